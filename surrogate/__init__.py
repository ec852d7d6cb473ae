"""Accompaniment: some parts of a song in, the same song with the missing parts out.

docs/architecture.md shows what is where, and what imports what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from musicvae_torch.lazy import lazy_names

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

# As in musicvae_torch: help and errors must not wait for torch.
__getattr__ = lazy_names(
    __name__,
    {
        "surrogate.accompaniment": "Accompaniment",
        "surrogate.accompany_music_vae.network": "PointSurrogate",
        "surrogate.encoder.loading": "load_surrogate",
        "surrogate.encoder.model": "Surrogate SurrogateConfig SurrogateEncoder",
        "surrogate.options": "AccompanyOptions",
        "surrogate.pipeline": "Accompanist accompany",
    },
)
