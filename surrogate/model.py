"""Surrogate encoders: a melody → the latent that the trio's encoder would have given.

The idea is of the project accompany-music-vae, whose network, PointSurrogate here, predicts the
posterior's mean. SurrogateEncoder predicts the whole posterior, with the very network that
encodes trios, reading the melody alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from musicvae_torch.config import ConfigError
from musicvae_torch.encoder import Encoder
from musicvae_torch.lstm import OneHot, Term, densify
from musicvae_torch.pretrained import CONFIG_FILE, CheckpointError, PretrainedNetwork, read_config


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


class Surrogate(PretrainedNetwork):
    """What all surrogate encoders have in common: what they hear, and a latent to play."""

    config_class = SurrogateConfig
    config: SurrogateConfig

    def __init__(self, config: SurrogateConfig) -> None:
        super().__init__()
        self.config = config

    def posterior_mean(self, melody: Tensor) -> Tensor:
        """The predicted mean of the trio's posterior.

        Args:
            melody: (batch, max_seq_len) int64 classes, or (batch, max_seq_len, input_depth)
                one-hot rows.

        Returns:
            (batch, z_size).

        Raises:
            ValueError: the melody has another shape.
        """
        raise NotImplementedError

    def _term(self, melody: Tensor) -> Term:
        """A melody as an LSTM of ours reads it; see :meth:`posterior_mean`."""
        steps, depth = self.config.max_seq_len, self.config.input_depth
        shape = tuple(melody.shape[1:])
        if shape == (steps,) and melody.dtype == torch.int64:
            return OneHot(melody, depth)
        if shape == (steps, depth):
            return melody.to(next(self.parameters()))
        raise ValueError(
            f"melody has shape {tuple(melody.shape)}, wanted (batch, {steps}) int64 classes "
            f"or (batch, {steps}, {depth}) one-hot rows"
        )


class SurrogateEncoder(Surrogate):
    """Predicts the posterior of a trio from its melody."""

    kind = "surrogate"

    def __init__(self, config: SurrogateConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(
            config.input_depth, config.rnn_size, config.level_lengths, config.z_size
        )

    def forward(self, melody: Tensor) -> Normal:
        """The predicted posterior, whose ``mean`` and ``stddev`` are (batch, z_size).

        For the argument and errors, see :meth:`posterior_mean`.
        """
        return self.encoder([self._term(melody)])

    def posterior_mean(self, melody: Tensor) -> Tensor:
        return self(melody).mean


class PointSurrogate(Surrogate):
    """Predicts the mean of a trio's posterior from its melody, and no spread.

    The network of accompany-music-vae: bidirectional LSTMs one upon the other, the top layer's
    last forward output beside its last backward one, and a dense layer. Its cell is PyTorch's,
    with two biases, as cuDNN has it: unlike in MusicVAE nothing is added to the forget gate at run
    time; that bias starts at 1 instead. Weights start as Keras draws them.

    Raises:
        ConfigError: the sizes are of a hierarchical encoder.
    """

    kind = "point-surrogate"

    def __init__(self, config: SurrogateConfig) -> None:
        super().__init__(config)
        if config.level_lengths:
            raise ConfigError(f"{self.kind}: is flat; level_lengths must be empty: {config}")
        widths = (config.input_depth, *(2 * units for units in config.rnn_size))
        self.layers = nn.ModuleList(
            nn.LSTM(width, units, batch_first=True, bidirectional=True)
            for width, units in zip(widths, config.rnn_size, strict=False)
        )
        self.mean = nn.Linear(widths[-1], config.z_size)
        self._draw_weights()

    def _draw_weights(self) -> None:
        for name, parameter in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            elif "weight_hh" in name:
                nn.init.orthogonal_(parameter)
            else:
                nn.init.xavier_uniform_(parameter)
            if "bias_hh" in name:
                units = len(parameter) // 4
                nn.init.ones_(parameter.detach()[units : 2 * units])

    def forward(self, melody: Tensor) -> Tensor:
        """The predicted mean, (batch, z_size); see :meth:`posterior_mean`."""
        outputs = densify([self._term(melody)])
        for layer in self.layers:
            outputs, (last, _) = layer(outputs)  # (batch, steps, 2H), (2, batch, H)
        return self.mean(torch.cat([last[0], last[1]], dim=-1))

    def posterior_mean(self, melody: Tensor) -> Tensor:
        return self(melody)


def load_surrogate(folder: str | Path, device: str | torch.device = "cpu") -> Surrogate:
    """Load a checkpoint folder that holds any kind of surrogate encoder, in evaluation mode.

    Raises:
        CheckpointError: a file is missing or unreadable, or holds another kind of network.
    """
    kind = read_config(folder).get("kind")
    for network in (SurrogateEncoder, PointSurrogate):
        if network.kind == kind:
            return network.from_pretrained(folder, device)
    raise CheckpointError(
        f"{Path(folder) / CONFIG_FILE}: holds a {kind!r}, wanted a "
        f"{SurrogateEncoder.kind!r} or a {PointSurrogate.kind!r}"
    )
