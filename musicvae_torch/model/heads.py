"""Output distributions: what a decoder's logits mean, as a loss and as samples.

Magenta modules reproduced: the decoders' ``_flat_reconstruction_loss`` and ``_sample`` in
``lstm_models``, and ``contrib.rnn``'s NADE (Larochelle and Murray 2011, "The Neural
Autoregressive Distribution Estimator").

Shape names: B batch, T steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.model.terms import OneHot, Term, densify

# Floors that Magenta puts under a probability before its logarithm.
_NADE_FLOOR = 1e-6
_GROOVE_FLOOR = 1e-7
# A temperature that no float32 logit survives: dividing by it takes the likeliest choice.
_COLDEST = 1e-30


class Head(nn.Module):
    """The distribution of one decoder's output rows.

    Attributes:
        depths: widths of the row's parts, which lie side by side.
        logit_depth: width of the logits.
        feedback_temperature: at which Magenta samples what scheduled sampling feeds back.
    """

    depths: tuple[int, ...]
    logit_depth: int
    feedback_temperature = 1.0

    def losses(self, logits: Tensor, targets: Sequence[Term]) -> Tensor:
        """Negative log-likelihood of the true rows, a term for each part, in nats: logits
        (B, T, logit_depth) → (B, T, parts)."""
        raise NotImplementedError

    def draw(self, logits: Tensor, temperature: float, generator: Generator | None) -> Tensor:
        """Draw tokens from logits (B, logit_depth): classes of one-hot parts, (B, parts) int64;
        otherwise rows (B, sum of depths).

        Args:
            temperature: divides the logits; 0 takes the likeliest.
            generator: source of randomness, on the logits' device; None: torch's own.
        """
        raise NotImplementedError

    def rows(self, tokens: Tensor) -> Tensor:
        """Rows (..., sum of depths) of tokens as :meth:`draw` gives them."""
        return tokens

    def sample(
        self, logits: Tensor, temperature: float, generator: Generator | None = None
    ) -> Tensor:
        """Draw rows of floats, (B, sum of depths); arguments as for :meth:`draw`."""
        return self.rows(self.draw(logits, temperature, generator)).to(logits)


class CategoricalHead(Head):
    """One softmax for each part, whose rows are one-hot."""

    def __init__(self, depths: tuple[int, ...]) -> None:
        super().__init__()
        self.depths = depths
        self.logit_depth = sum(depths)

    def losses(self, logits: Tensor, targets: Sequence[Term]) -> Tensor:
        parts = zip(self._parts(logits), targets, strict=True)
        return torch.stack([categorical_loss(part, truth) for part, truth in parts], dim=-1)

    def draw(self, logits: Tensor, temperature: float, generator: Generator | None) -> Tensor:
        parts = self._parts(logits)
        return torch.stack([sample_categorical(part, temperature, generator) for part in parts], -1)

    def inverse_cdf_sample(
        self, logits: Tensor, temperatures: Sequence[float], uniforms: Tensor
    ) -> Tensor:
        """:meth:`draw` with a temperature for each part, and with given random numbers (B, parts),
        drawn uniformly from [0, 1)."""
        parts = zip(self._parts(logits), temperatures, uniforms.unbind(-1), strict=True)
        return torch.stack([inverse_cdf_sample(*part) for part in parts], dim=-1)

    def rows(self, tokens: Tensor) -> Tensor:
        parts = zip(tokens.unbind(-1), self.depths, strict=True)
        return torch.cat([functional.one_hot(part, depth) for part, depth in parts], dim=-1)

    def _parts(self, logits: Tensor) -> Sequence[Tensor]:
        return torch.split(logits, list(self.depths), dim=-1)


class NADEHead(Head):
    """A row of bits, each bit's probability depending on the bits before it.

    The logits are the biases of the hidden units and those of the bits, in this order.
    """

    feedback_temperature = 0.0  # the threshold

    def __init__(self, depth: int, hidden: int) -> None:
        super().__init__()
        self.depths = (depth,)
        self.hidden = hidden
        self.logit_depth = hidden + depth
        # From a bit to the hidden units, and from the hidden units to a bit's logit.
        self.w_enc = nn.Parameter(torch.empty(depth, hidden))
        self.w_dec = nn.Parameter(torch.empty(depth, hidden))
        for weight in (self.w_enc, self.w_dec):
            nn.init.trunc_normal_(weight, std=depth**-0.5, a=-2 * depth**-0.5, b=2 * depth**-0.5)

    def losses(self, logits: Tensor, targets: Sequence[Term]) -> Tensor:
        bits = densify(targets).to(logits)
        pairs = zip(self.probabilities(logits, bits).unbind(-1), bits.unbind(-1), strict=True)
        losses = torch.zeros_like(logits[..., 0])
        for probability, bit in pairs:
            losses = losses + _bernoulli_loss(probability, bit, _NADE_FLOOR)
        return losses.unsqueeze(-1)

    def probabilities(self, logits: Tensor, bits: Tensor) -> Tensor:
        """Probability that each bit is 1, given the true bits before it: logits (...,
        logit_depth), bits (..., depth) → (..., depth)."""
        activation, biases = torch.split(logits, [self.hidden, self.depths[0]], dim=-1)
        probabilities = []
        for i, (encode, decode) in enumerate(zip(self.w_enc, self.w_dec, strict=True)):
            probabilities.append(torch.sigmoid(biases[..., i] + torch.sigmoid(activation) @ decode))
            activation = activation + bits[..., i, None] * encode
        return torch.stack(probabilities, dim=-1)

    def draw(self, logits: Tensor, temperature: float, generator: Generator | None) -> Tensor:
        activation, biases = torch.split(logits, [self.hidden, self.depths[0]], dim=-1)
        bits = []
        for i, (encode, decode) in enumerate(zip(self.w_enc, self.w_dec, strict=True)):
            logit = biases[:, i] + torch.sigmoid(activation) @ decode
            bits.append(sample_bits(logit, temperature, generator))
            activation = activation + bits[i][:, None] * encode
        return torch.stack(bits, dim=-1)


class GrooveHead(Head):
    """Drums of a step: whether each is struck, how hard (0 to 1), how early or late (-1 to 1).

    A third of the row each. Only the hits are drawn: velocities and offsets are the network's
    own values, which it is trained on by squared error, as in Magenta.

    Attributes:
        absolute: whether it is trained by absolute error instead.
    """

    absolute = False

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.depths = (depth,)
        self.logit_depth = depth

    def losses(self, logits: Tensor, targets: Sequence[Term]) -> Tensor:
        hits, velocities, offsets = logits.chunk(3, dim=-1)
        true_hits, true_velocities, true_offsets = densify(targets).to(logits).chunk(3, dim=-1)
        losses = _bernoulli_loss(torch.sigmoid(hits), true_hits, _GROOVE_FLOOR)
        error = torch.abs if self.absolute else torch.square
        losses = losses + error(torch.sigmoid(velocities) - true_velocities)
        losses = losses + error(torch.tanh(offsets) - true_offsets)
        return losses.sum(-1, keepdim=True)

    def draw(self, logits: Tensor, temperature: float, generator: Generator | None) -> Tensor:
        hits, velocities, offsets = logits.chunk(3, dim=-1)
        struck = sample_bits(hits, temperature, generator)
        return torch.cat([struck, torch.sigmoid(velocities), torch.tanh(offsets)], dim=-1)


def build_head(config: MusicVAEConfig, depths: tuple[int, ...]) -> Head:
    """The head of a core decoder whose parts are of these widths."""
    if config.output == "nade":
        return NADEHead(depths[0], config.nade_num_hidden)
    return GrooveHead(depths[0]) if config.output == "groove" else CategoricalHead(depths)


def widen(logits: Tensor) -> Tensor:
    """Logits in float32 at the least: autocast gives them in bfloat16, too coarse for sums."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def categorical_loss(logits: Tensor, targets: Term) -> Tensor:
    """Cross entropy of one-hot rows, (B, T, depth) → (B, T), in nats. A row of zeros costs nothing,
    as in TensorFlow."""
    if isinstance(targets, OneHot):
        classes = targets.classes
        losses = functional.cross_entropy(
            logits.flatten(0, 1), classes.flatten(), reduction="none", ignore_index=-1
        )
        return losses.view(classes.shape)
    return -(targets.to(logits) * functional.log_softmax(logits, dim=-1)).sum(-1)


def _bernoulli_loss(probabilities: Tensor, bits: Tensor, floor: float) -> Tensor:
    misses = (1 - bits) * torch.log(floor + 1 - probabilities)
    return -(bits * torch.log(floor + probabilities) + misses)


def sample_categorical(
    logits: Tensor, temperature: float, generator: Generator | None = None
) -> Tensor:
    """Draw one class per row: (B, depth) logits → (B,) int64; arguments as :meth:`Head.draw`."""
    if temperature == 0:
        return logits.argmax(-1)
    # One number a row, where torch.multinomial draws one a class: most of its time.
    uniforms = torch.rand(len(logits), generator=generator, device=logits.device)
    return inverse_cdf_sample(logits, temperature, uniforms)


def inverse_cdf_sample(logits: Tensor, temperature: float, uniforms: Tensor) -> Tensor:
    """:func:`sample_categorical` with given uniform numbers of [0, 1), (B,): the class at which the
    cumulative probability exceeds the number."""
    if temperature == 0:
        return logits.argmax(-1)
    # In half precision sums would skip classes, and numbers round up to beyond the last.
    logits = widen(logits)
    # Shifted first: a tiny temperature then sends the others to minus infinity, not all to it.
    shifted = logits - logits.amax(-1, keepdim=True)
    cdf = torch.softmax(shifted / max(temperature, _COLDEST), dim=-1).cumsum(-1)
    # Of the sum, which rounding may leave below 1.
    wanted = uniforms.to(logits)[:, None] * cdf[:, -1:]
    classes = torch.searchsorted(cdf, wanted, right=True).squeeze(-1)
    return classes.clamp_max(logits.shape[-1] - 1)


def sample_bits(logits: Tensor, temperature: float, generator: Generator | None = None) -> Tensor:
    """Draw each bit by itself, 1 with the probability sigmoid(logit / temperature): floats 0 or 1,
    of the logits' shape; arguments as :meth:`Head.draw`."""
    if temperature == 0:
        return (logits >= 0).to(logits)
    probabilities = torch.sigmoid(logits / max(temperature, _COLDEST))
    return torch.bernoulli(probabilities, generator=generator)
