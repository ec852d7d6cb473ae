"""Encoders: a window of steps → the posterior over the latent.

Magenta modules reproduced: ``lstm_models.BidirectionalLstmEncoder`` and
``HierarchicalLstmEncoder``, and the dense mean and standard deviation of ``base_model``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from musicvae_torch.lstm import BidirectionalLSTM


class Encoder(nn.Module):
    """Stacked bidirectional LSTMs, flat or one level above another.

    Args:
        input_depth: width of one step.
        units: LSTM units per direction of each layer, the same at every level.
        level_lengths: steps at each level, lowest first; empty for a flat encoder.
        z_size: dimensions of the latent.
    """

    def __init__(
        self, input_depth: int, units: tuple[int, ...], level_lengths: tuple[int, ...], z_size: int
    ) -> None:
        super().__init__()
        self.level_lengths = level_lengths
        embedding_size = 2 * units[-1]
        level_inputs = [input_depth] + [embedding_size] * (max(len(level_lengths), 1) - 1)
        self.levels = nn.ModuleList(BidirectionalLSTM(size, units) for size in level_inputs)
        self.mean = nn.Linear(embedding_size, z_size)
        self.stddev = nn.Linear(embedding_size, z_size)
        for dense in (self.mean, self.stddev):
            nn.init.normal_(dense.weight, std=0.001)
            nn.init.zeros_(dense.bias)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Normal:
        """Encode windows.

        Args:
            inputs: (batch, steps, input_depth).
            lengths: (batch,) steps that count; a hierarchical encoder takes 0 or all steps
                there, or (batch, segments) for the length of each lowest segment.

        Returns:
            The posterior; its mean and stddev are (batch, z_size). The standard deviation is
            the softplus of a dense layer.

        Raises:
            ValueError: the lengths' shape or values do not fit the encoder.
        """
        embedding = self._embed(inputs, lengths)
        mean = self.mean(embedding)
        stddev = nn.functional.softplus(self.stddev(embedding))
        return Normal(mean, stddev, validate_args=False)

    def _embed(self, inputs: Tensor, lengths: Tensor | None) -> Tensor:
        if not self.level_lengths:
            if lengths is not None and lengths.shape != inputs.shape[:1]:
                raise ValueError(
                    f"lengths have shape {tuple(lengths.shape)}; a flat encoder wants one per "
                    f"example: ({inputs.shape[0]},)"
                )
            return self.levels[0](inputs, lengths)
        batch = inputs.shape[0]
        lengths = self._segment_lengths(inputs, lengths)
        for level, steps in zip(self.levels, self.level_lengths, strict=True):
            segments = inputs.unflatten(1, (-1, steps)).flatten(0, 1)
            inputs = level(segments, lengths)  # (batch * segments, E)
            inputs = inputs.unflatten(0, (batch, -1))
            lengths = None  # upper levels read every segment, the empty ones too
        return inputs.squeeze(1)

    def _segment_lengths(self, inputs: Tensor, lengths: Tensor | None) -> Tensor | None:
        """Lengths of the lowest segments, (batch * segments,), or None where all are full."""
        if lengths is None:
            return None
        batch, steps = inputs.shape[:2]
        segments = steps // self.level_lengths[0]
        if lengths.shape == (batch,):
            if not bool(torch.isin(lengths, torch.tensor([0, steps], device=lengths.device)).all()):
                raise ValueError(
                    f"a hierarchical encoder takes windows of length 0 or {steps}, or one length "
                    f"per segment; got lengths {lengths.tolist()}"
                )
            lengths = (lengths // segments).unsqueeze(1).expand(batch, segments)
        if lengths.shape != (batch, segments):
            raise ValueError(
                f"lengths have shape {tuple(lengths.shape)}, wanted ({batch},) "
                f"or ({batch}, {segments})"
            )
        return lengths.reshape(-1)
