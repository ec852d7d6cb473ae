"""Encoders: a window of steps → the posterior over the latent.

Magenta modules reproduced: ``lstm_models.BidirectionalLstmEncoder`` and
``HierarchicalLstmEncoder``, and the dense mean and standard deviation of ``base_model``.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributions import Normal

from musicvae_torch.inputs import encoder_lengths
from musicvae_torch.model.lstm import BidirectionalLSTM, draw_normal
from musicvae_torch.model.terms import Term, cut, term_shape


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
            draw_normal(dense.weight, std=0.001)
            nn.init.zeros_(dense.bias)

    def forward(self, terms: Sequence[Term], lengths: Tensor | None = None) -> Normal:
        """The posterior of windows; its mean and stddev are (batch, z_size).

        Args:
            terms: what each step reads, (batch, steps, ...), of input_depth in all.
            lengths: (batch,) steps that count; for a hierarchical encoder 0 or all steps, or
                (batch, segments), the length of each lowest segment.

        Raises:
            ValueError: the lengths' shape or values do not fit the encoder.
        """
        embedding = self._embed(terms, lengths)  # (batch, 2H)
        # Under autocast the layers give bfloat16, too coarse for what is summed over the latent.
        mean = self.mean(embedding).to(self.mean.weight)
        stddev = nn.functional.softplus(self.stddev(embedding).to(self.mean.weight))
        return Normal(mean, stddev, validate_args=False)

    def _embed(self, terms: Sequence[Term], lengths: Tensor | None) -> Tensor:
        batch, steps = term_shape(terms[0])
        if lengths is not None:
            lengths = encoder_lengths(lengths, batch, steps, self.level_lengths)
        for level, segment_steps in zip(self.levels[:-1], self.level_lengths[:-1], strict=True):
            # (batch, steps, ...) → (batch * segments, segment_steps, ...) → (..., 2H)
            embeddings = level([cut(term, segment_steps) for term in terms], lengths)
            steps //= segment_steps
            terms = [embeddings.unflatten(0, (batch, steps))]
            lengths = None  # upper levels read every segment, the empty ones too
        return self._summarize(terms, lengths)

    def _summarize(self, terms: Sequence[Term], lengths: Tensor | None) -> Tensor:
        """The top level's embedding of the steps it reads: (batch, 2H)."""
        embedding: Tensor = self.levels[-1](terms, lengths)
        return embedding
