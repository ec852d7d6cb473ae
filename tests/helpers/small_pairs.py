"""Small pairs of a MusicVAE of trios and its surrogate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from musicvae_torch.config import get_config
from musicvae_torch.model.vae import MusicVAE
from surrogate import (
    SurrogateConfig,
    SurrogateEncoder,
)


def small_vae(z_size: int = 4) -> MusicVAE:
    return MusicVAE(
        get_config("hier-trio_16bar", enc_rnn_size=(8,), dec_rnn_size=(8,), z_size=z_size)
    )


def small_surrogate(z_size: int = 4) -> SurrogateEncoder:
    return SurrogateEncoder(SurrogateConfig(z_size=z_size, rnn_size=(8,), level_lengths=(16, 16)))


class RestingVAE(MusicVAE):
    """A decoder that plays nothing: the hardest case for "wherever the melody plays"."""

    def sample_segments(  # type: ignore[override]
        self, _: Tensor, __: object, uniforms: Tensor, parts: Sequence[int]
    ) -> Tensor:
        return torch.zeros(*uniforms.shape[:2], len(parts), dtype=torch.int64)


def listening_vae() -> MusicVAE:
    """A decoder to which the latent matters, as to a trained one."""
    model = small_vae()
    with torch.no_grad():
        for name, weights in model.decoder.named_parameters():
            if "initial_state.weight" in name:
                weights.normal_(std=0.5)
    return model
