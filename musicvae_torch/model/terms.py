"""What a network reads at each step, and the state of an LSTM layer.

Terms lie side by side. One-hot ones are kept as their classes, so that a kernel may look them up.
Shape names: B batch, T steps, D width, H units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class OneHot(NamedTuple):
    """One-hot rows by their classes: (B, T) int64, where -1 is a row of zeros."""

    classes: Tensor
    depth: int


# A dense term is (B, T, D), or (B, 1, D) where it is the same at every step.
Term = Tensor | OneHot
State = tuple[Tensor, Tensor]  # (h, c), each (B, H)


def term_shape(term: Term) -> tuple[int, int]:
    """Batch and steps of a term."""
    batch, steps = (term.classes if isinstance(term, OneHot) else term).shape[:2]
    return batch, steps


def cut(term: Term, steps: int) -> Term:
    """(B, T, ...) → (B * segments, steps, ...): a long sequence as short ones."""
    if isinstance(term, OneHot):
        return OneHot(term.classes.reshape(-1, steps), term.depth)
    return torch.unflatten(term, 1, (term.shape[1] // steps, steps)).flatten(0, 1)


def delay(term: Term) -> Term:
    """Every step one later; the first step is zeros and the last is lost."""
    if isinstance(term, OneHot):
        return OneHot(functional.pad(term.classes, (1, 0), value=-1)[:, :-1], term.depth)
    return functional.pad(term, (0, 0, 1, 0))[:, :-1]


def densify(terms: Sequence[Term]) -> Tensor:
    """Terms side by side as plain floats: (B, T, D)."""
    steps = max(term_shape(term)[1] for term in terms)
    like = next((term for term in terms if isinstance(term, Tensor)), None)
    dense = []
    for term in terms:
        if isinstance(term, OneHot):
            rows = functional.one_hot(term.classes + 1, term.depth + 1)[..., 1:]
            dense.append(rows.float() if like is None else rows.to(like))
        else:
            dense.append(term.expand(-1, steps, -1))
    return torch.cat(dense, dim=-1)
