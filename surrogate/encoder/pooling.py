"""An encoder's outputs for each bar → one embedding of the window."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from musicvae_torch.model.encoder import Encoder
from musicvae_torch.model.lstm import BidirectionalLSTM
from musicvae_torch.model.terms import Term

HEADS = 4


class PooledEncoder(Encoder):
    """MusicVAE's encoder, whose top level may be summarised otherwise.

    Args:
        input_depth, units, level_lengths, z_size: as of :class:`Encoder`.
        pooling: "last": the last state of either direction, as in MusicVAE; "mean": the mean of
            the outputs of all bars (of all steps, where the encoder is flat); "attention": their
            weighted mean, in HEADS shares of the width, each weighted by the softmax over the
            bars of a learned query. HEADS must divide the width.
    """

    def __init__(
        self,
        input_depth: int,
        units: tuple[int, ...],
        level_lengths: tuple[int, ...],
        z_size: int,
        pooling: str = "last",
    ) -> None:
        super().__init__(input_depth, units, level_lengths, z_size)
        self.pooling = pooling
        self.query = nn.Linear(2 * units[-1], HEADS) if pooling == "attention" else None

    def _summarize(self, terms: Sequence[Term], lengths: Tensor | None) -> Tensor:
        if self.pooling == "last":
            return super()._summarize(terms, lengths)
        if lengths is not None:
            raise ValueError("an encoder that pools takes whole windows alone")
        top = self.levels[-1]
        assert isinstance(top, BidirectionalLSTM)
        outputs = top.outputs(terms)  # (batch, bars, width)
        if self.query is None:
            return outputs.mean(1)
        weights = torch.softmax(self.query(outputs), dim=1)  # (batch, bars, heads)
        shares = outputs.view(*weights.shape, -1) * weights.unsqueeze(-1)
        return shares.sum(1).flatten(1)
