"""MusicVAE in PyTorch: a variational autoencoder of music, after Google Magenta's."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musicvae_torch.config import CONFIGS, MusicVAEConfig, get_config
    from musicvae_torch.converters.registry import get_converter
    from musicvae_torch.model.vae import MusicVAE

__all__ = ["CONFIGS", "MusicVAE", "MusicVAEConfig", "get_config", "get_converter"]
__version__ = "0.2.0"

_HOMES = {
    "CONFIGS": "musicvae_torch.config",
    "MusicVAE": "musicvae_torch.model.vae",
    "MusicVAEConfig": "musicvae_torch.config",
    "get_config": "musicvae_torch.config",
    "get_converter": "musicvae_torch.converters.registry",
}


def __getattr__(name: str) -> Any:
    # torch takes seconds to import; commands that only print help must not wait for it.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
