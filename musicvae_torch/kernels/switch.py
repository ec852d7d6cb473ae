"""The switches between the kernels and the readable reference in :mod:`musicvae_torch.model`, and
between CUDA graphs and single operations."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

VARIABLE = "MUSICVAE_TORCH_KERNELS"
"""Environment variable: "0" switches the kernels off when the package is imported."""

GRAPHS_VARIABLE = "MUSICVAE_TORCH_CUDA_GRAPHS"
"""Environment variable: "0" switches CUDA graphs off when the package is imported."""

_enabled = ContextVar("kernels_enabled", default=os.environ.get(VARIABLE) != "0")
_graphs = ContextVar("graphs_enabled", default=os.environ.get(GRAPHS_VARIABLE) != "0")


def kernels_enabled() -> bool:
    """Whether fast paths may run here."""
    return _enabled.get()


@contextmanager
def reference() -> Iterator[None]:
    """Run networks on the readable reference alone, in this thread, inside this context.

    ::

        from musicvae_torch.kernels import reference

        with reference():
            posterior = model.encode(windows)

    Results agree with those of the kernels up to rounding. Weights are multiplied in their own
    precision, whatever ``multiply_in`` has chosen.
    """
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)


def graphs_enabled() -> bool:
    """Whether steps of sampling may be captured as CUDA graphs here."""
    return kernels_enabled() and _graphs.get()


@contextmanager
def without_graphs() -> Iterator[None]:
    """Sample without CUDA graphs, in this thread, inside this context: each operation is launched
    by itself. Seeds give the same samples as with graphs, more slowly."""
    token = _graphs.set(False)
    try:
        yield
    finally:
        _graphs.reset(token)
