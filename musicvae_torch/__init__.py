"""MusicVAE in PyTorch: a variational autoencoder of music, after Google Magenta's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from musicvae_torch.lazy import lazy_names

if TYPE_CHECKING:
    from musicvae_torch.config import CONFIGS, MusicVAEConfig, get_config
    from musicvae_torch.converters.registry import get_converter
    from musicvae_torch.model.vae import MusicVAE

__all__ = ["CONFIGS", "MusicVAE", "MusicVAEConfig", "get_config", "get_converter"]
__version__ = "0.2.0"

# Commands that only print help must not wait for torch, which takes seconds to import.
__getattr__ = lazy_names(
    __name__,
    {
        "musicvae_torch.config": "CONFIGS MusicVAEConfig get_config",
        "musicvae_torch.converters.registry": "get_converter",
        "musicvae_torch.model.vae": "MusicVAE",
    },
)
