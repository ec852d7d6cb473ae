"""LSTM layers over whole sequences on CPUs.

Shape names: B batch, T steps, D input width, H units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from musicvae_torch.kernels.gemm import BFLOAT16, ProductCache, products_of
from musicvae_torch.kernels.input_gates import Projection, project
from musicvae_torch.kernels.recurrence import recur, unroll
from musicvae_torch.model.terms import OneHot, State, Term, term_shape


class Layer(Protocol):
    """What kernels read of a :class:`musicvae_torch.model.lstm.LSTMWeights`."""

    units: int
    weight_dtype: str

    @property
    def weight_ih(self) -> Tensor: ...  # (4H, D)
    @property
    def weight_hh(self) -> Tensor: ...  # (4H, H)
    @property
    def bias(self) -> Tensor: ...  # (4H,)
    @property
    def forget_bias(self) -> Tensor: ...  # (4H,), what is added at run time
    @property
    def full_bias(self) -> Tensor: ...  # (4H,), both


def run(
    layer: Layer, terms: Sequence[Term], state: State, reverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Outputs (B, T, H) of one direction, and the one that was computed last, (B, H)."""
    h, c = state
    if not torch.is_grad_enabled():
        steps = max(term_shape(term)[1] for term in terms)
        return _unroll(layer, terms, state, [len(h)] * steps, reverse)
    projected = project(terms, layer.weight_ih, layer.full_bias)
    outputs, _ = recur(projected, layer.weight_hh, h, c, reverse=reverse)
    return outputs.transpose(0, 1), outputs[0 if reverse else -1]


def embed_sorted(
    directions: Sequence[tuple[Layer, Layer]], terms: Sequence[Term], lengths: Tensor
) -> Tensor:
    """The last outputs of stacked bidirectional layers, (B, 2H), without a gradient. Sequences are
    sorted from long to short, so that each step runs those alone that reach it.

    Args:
        directions: forward and backward weights of each layer.
        lengths: (B,) steps that count, from 0.
    """
    lengths = lengths.to("cpu", torch.int64)
    order = lengths.argsort(descending=True, stable=True)
    steps = torch.arange(int(lengths.max()) if len(lengths) else 0)
    counts = (lengths > steps[:, None]).sum(1).tolist()
    terms = [
        OneHot(term.classes[order, : len(steps)], term.depth)
        if isinstance(term, OneHot)
        else term[order, : len(steps)]
        for term in terms
    ]
    last: list[Tensor] = []
    for pair in directions:
        zeros = pair[0].weight_hh.new_zeros(len(lengths), pair[0].units)
        ran = [
            _unroll(layer, terms, (zeros, zeros), counts, reverse)
            for layer, reverse in zip(pair, (False, True), strict=True)
        ]
        terms, last = [outputs for outputs, _ in ran], [h for _, h in ran]
    return torch.cat(last, dim=-1)[order.argsort()]


def _unroll(
    layer: Layer, terms: Sequence[Term], state: State, counts: Sequence[int], reverse: bool
) -> tuple[Tensor, Tensor]:
    """:func:`run` without a gradient, over sequences from long to short.

    Args:
        counts: the number of sequences that reach each step.
    """
    dtype, products = layer.weight_dtype, products_of(layer)
    if torch.is_autocast_enabled("cpu"):
        # While a network is trained, its weights change at each step: no product is worth keeping.
        dtype, products = BFLOAT16, ProductCache()
    shares = Projection(terms, layer.weight_ih, layer.full_bias, dtype, products)
    weight = layer.weight_hh
    product = products.prepare("recurrent", [weight], weight.detach, dtype)
    outputs, last = unroll(shares, product, *state, counts, reverse=reverse)
    return outputs.transpose(0, 1), last
