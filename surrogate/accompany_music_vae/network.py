"""PointSurrogate, the network of accompany-music-vae."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from musicvae_torch.errors import ConfigError
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.model.terms import OneHot, Term, densify
from surrogate.encoder.model import Surrogate, SurrogateConfig


class PointSurrogate(Surrogate):
    """Predicts the mean of a trio's posterior from its melody, and no standard deviation.

    Bidirectional LSTM layers, and a dense layer on the last outputs of both directions of the top
    one. The cell is PyTorch's, with two biases, as cuDNN has it: unlike in MusicVAE nothing is
    added to the forget gate at run time; its bias starts at 1 instead. Weights start as in Keras.

    Raises:
        ConfigError: the sizes are of a hierarchical encoder, or its input is not the melody.
    """

    kind = "point-surrogate"

    def __init__(self, config: SurrogateConfig) -> None:
        super().__init__(config)
        if config.level_lengths:
            raise ConfigError(f"{self.kind}: is flat; level_lengths must be empty: {config}")
        if config.input_parts != ("melody",) or config.pooling != "last":
            raise ConfigError(f"{self.kind}: takes the melody alone, and pools nothing: {config}")
        widths = (config.input_depth, *(2 * units for units in config.rnn_size))
        self.layers = nn.ModuleList(
            nn.LSTM(width, units, batch_first=True, bidirectional=True)
            for width, units in zip(widths, config.rnn_size, strict=False)
        )
        self.mean = nn.Linear(widths[-1], config.z_size)
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
        """The predicted mean.

        Args:
            melody: (batch, max_seq_len) int64 classes, or (batch, max_seq_len, input_depth)
                one-hot rows.

        Returns:
            (batch, z_size).

        Raises:
            ValueError: the melody has another shape.
        """
        outputs = densify([self._term(melody)])
        for layer in self.layers:
            outputs, (last, _) = layer(outputs)  # (batch, steps, 2H), (2, batch, H)
        mean: Tensor = self.mean(torch.cat([last[0], last[1]], dim=-1))
        return mean

    def posterior_mean(self, tokens: Tensor, given: Sequence[str] = ("melody",)) -> Tensor:
        self._check(tokens, given)
        return self.forward(tokens[..., PARTS.index("melody")])

    def _term(self, melody: Tensor) -> Term:
        steps, depth = self.config.max_seq_len, self.config.input_depth
        shape = melody.shape[1:]
        if shape == (steps,) and melody.dtype == torch.int64:
            return OneHot(melody, depth)
        if shape == (steps, depth):
            return melody.to(self.mean.weight)
        raise ValueError(
            f"melody has shape {tuple(melody.shape)}, wanted (batch, {steps}) int64 classes "
            f"or (batch, {steps}, {depth}) one-hot rows"
        )
