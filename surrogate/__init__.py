"""Accompaniment: a surrogate encoder hears one part and predicts the latent of the whole trio.

From the ground up, each knowing only what is below it: what may be chosen (``options``); which
track is the ``melody``; the ``song`` as the networks hear it; the ``networks``; their ``training``,
and the ``arrangement`` of what the decoder plays; pictures, sound and pages to ``present`` it;
``pipeline`` and ``result``, all of a song's way; its ``evaluation``; the commands and the ``app``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surrogate.encoder.model import (
        PointSurrogate,
        Surrogate,
        SurrogateConfig,
        SurrogateEncoder,
        load_surrogate,
    )
    from surrogate.pipeline import Accompaniment, Accompanist, AccompanyOptions, accompany

__all__ = [
    "Accompaniment",
    "Accompanist",
    "AccompanyOptions",
    "PointSurrogate",
    "Surrogate",
    "SurrogateConfig",
    "SurrogateEncoder",
    "accompany",
    "load_surrogate",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        home = "pipeline" if name.lower().startswith("accompan") else "encoder.model"
        return getattr(import_module(f"surrogate.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
