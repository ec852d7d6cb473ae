"""Accompaniment: some parts of a song in, the same song with the missing parts out.

docs/architecture.md shows what is where, and what imports what.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surrogate.accompaniment import Accompaniment
    from surrogate.accompany_music_vae.network import PointSurrogate
    from surrogate.encoder.loading import load_surrogate
    from surrogate.encoder.model import Surrogate, SurrogateConfig, SurrogateEncoder
    from surrogate.options import AccompanyOptions
    from surrogate.pipeline import Accompanist, accompany

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
_HOMES = {"PointSurrogate": "accompany_music_vae.network", "load_surrogate": "encoder.loading"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        home = "pipeline" if name.lower().startswith("accompan") else "encoder.model"
        return getattr(import_module(f"surrogate.{_HOMES.get(name, home)}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
