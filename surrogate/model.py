"""The surrogate encoder: a melody → the latent that the trio's encoder would have given.

The idea is of the project accompany-music-vae. Ours predicts a distribution, with the very
network that encodes trios, reading the melody alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal

from musicvae_torch.config import ConfigError
from musicvae_torch.encoder import Encoder
from musicvae_torch.lstm import OneHot
from musicvae_torch.pretrained import PretrainedNetwork


@dataclass(frozen=True)
class SurrogateConfig:
    """Sizes of a surrogate encoder.

    Attributes:
        max_seq_len: steps in a window.
        input_depth: classes of the part that it hears.
        z_size: dimensions of the latent that it predicts.
        rnn_size: LSTM units per direction of each layer.
        level_lengths: steps at each level of the encoder, lowest first; empty: flat.
    """

    max_seq_len: int = 256
    input_depth: int = 90
    z_size: int = 512
    rnn_size: tuple[int, ...] = (128, 128)
    level_lengths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        sizes = (self.max_seq_len, self.input_depth, self.z_size, *self.rnn_size)
        if not self.rnn_size or not all(type(size) is int and size > 0 for size in sizes):
            raise ConfigError(f"surrogate: sizes must be whole numbers of at least 1: {self}")
        if self.level_lengths and prod(self.level_lengths) != self.max_seq_len:
            raise ConfigError(
                f"surrogate: level_lengths {self.level_lengths} multiply to "
                f"{prod(self.level_lengths)}, not to max_seq_len {self.max_seq_len}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The sizes as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SurrogateConfig:
        """Inverse of :meth:`to_dict`; lists become tuples, as JSON has none.

        Raises:
            TypeError: a key is unknown.
        """
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**fields)


class SurrogateEncoder(PretrainedNetwork):
    """Predicts the posterior of a trio from its melody."""

    kind = "surrogate"
    config_class = SurrogateConfig
    config: SurrogateConfig

    def __init__(self, config: SurrogateConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(
            config.input_depth, config.rnn_size, config.level_lengths, config.z_size
        )

    def forward(self, melody: Tensor) -> Normal:
        """Predict latents.

        Args:
            melody: (batch, max_seq_len) int64 classes, or (batch, max_seq_len, input_depth)
                one-hot rows.

        Returns:
            A normal distribution whose ``mean`` and ``stddev`` are (batch, z_size).

        Raises:
            ValueError: the melody has another shape.
        """
        steps, depth = self.config.max_seq_len, self.config.input_depth
        shape = tuple(melody.shape[1:])
        if shape == (steps,) and melody.dtype == torch.int64:
            return self.encoder([OneHot(melody, depth)])
        if shape == (steps, depth):
            return self.encoder([melody.to(self.encoder.mean.weight)])
        raise ValueError(
            f"melody has shape {tuple(melody.shape)}, wanted (batch, {steps}) int64 classes "
            f"or (batch, {steps}, {depth}) one-hot rows"
        )
