"""Accompaniment: a surrogate encoder hears one part and predicts the latent of the whole trio."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surrogate.model import (
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
        home = "surrogate.pipeline" if name.lower().startswith("accompan") else "surrogate.model"
        return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
