"""Core decoders that step together, without a gradient: sampling spends its time here.

What is the same in all steps is computed once, and small tensors of all core decoders are joined.
Shape names: C core decoders, B batch, H units, E embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from musicvae_torch.kernels.gemm import Product, linear, prepare, products_of
from musicvae_torch.kernels.input_gates import Rows
from musicvae_torch.kernels.layers import Layer
from musicvae_torch.kernels.recurrence import lstm_step
from musicvae_torch.model.terms import State

# Gates of so many numbers are faster one core at a time than put side by side.
_WORTH_JOINING = 1 << 14


class Core(NamedTuple):
    """A core decoder that is about to step.

    Attributes:
        layers: its LSTM layers, lowest first.
        output: the dense layer on top of them.
        depths: widths of the parts of its tokens, with which its inputs begin.
        states: of each layer, (B, segments, H): where it starts in each segment.
    """

    layers: Sequence[Layer]
    output: nn.Linear
    depths: Sequence[int]
    states: Sequence[State]


class Stepper:
    """Steps of core decoders whose LSTM layers are of the same sizes.

    At each step a core reads the token that was drawn in the step before, the embedding of its
    segment, and a control. Up to rounding the logits are those of
    :meth:`musicvae_torch.model.decoder.CoreDecoder.step`. Call :meth:`advance` before each
    :meth:`step`: the first copies what differs from step to step into tensors that stay where they
    are, and the second does the same operations on these every time, so that it can be captured as
    a CUDA graph.

    Args:
        cores: their weights are read now, once.
        one_hot: whether tokens are one-hot rows, given by their classes.
        embeddings: (B, segments, E).
        segment_steps: how long each embedding stays.
        controls: (B, steps, control width).
    """

    def __init__(
        self,
        cores: Sequence[Core],
        one_hot: bool,
        embeddings: Tensor,
        segment_steps: int,
        controls: Tensor,
    ) -> None:
        weights = [
            _lowest_weights(core, embeddings.shape[-1], controls.shape[-1]) for core in cores
        ]
        tokens = [token for token, _, _ in weights]
        self._controls = [control for _, _, control in weights]
        self._shares = _embedding_shares(cores, [own for _, own, _ in weights], embeddings)
        self._rows = Rows(tokens, [core.depths for core in cores]) if one_hot else None
        # Width of what a product multiplies beside the layer's own last output: the output of the
        # layer below, and in the lowest layer tokens, unless they are looked up.
        self._below = [0 if one_hot else sum(cores[0].depths)]
        self._below += [layer.units for layer in cores[0].layers[:-1]]
        self._products = [
            [
                _joined(core.layers[index], token, index, below)
                for core, token in zip(cores, tokens, strict=True)
            ]
            for index, below in enumerate(self._below)
        ]
        # In float32: they are a small part of the work, and all errors here are of the logits.
        self._outputs = [prepare(core.output.weight, core.output.bias) for core in cores]
        self._starts = [
            _joined_states(states) for states in zip(*(core.states for core in cores), strict=True)
        ]
        self._song_controls = controls
        self._segment_steps, self._steps = segment_steps, 0
        # What steps read and write, always in the same place.
        self._share = torch.empty_like(self._shares[0])
        self._control_share = torch.empty_like(self._share) if controls.shape[-1] else None
        self._inputs = [
            h.new_empty(*h.shape[1:3], below + h.shape[3])
            for below, (h, _) in zip(self._below, self._starts, strict=True)
        ]
        self._cells = [torch.empty_like(c[0]) for _, c in self._starts]

    def advance(self) -> None:
        """Prepare the next step."""
        segment, within = divmod(self._steps, self._segment_steps)
        if not within:
            self._begin(segment)
        if self._control_share is not None:
            self._control_share.copy_(self._control_shares[within])
        self._steps += 1

    def _begin(self, segment: int) -> None:
        self._share.copy_(self._shares[segment])
        rows = zip(self._below, self._inputs, self._cells, self._starts, strict=True)
        for below, inputs, cells, (h, c) in rows:
            inputs[..., :below] = 0
            inputs[..., below:] = h[segment]
            cells.copy_(c[segment])
        controls = self._song_controls[:, self._steps : self._steps + self._segment_steps]
        if self._control_share is not None:
            shares = [functional.linear(controls, weight) for weight in self._controls]
            self._control_shares = torch.stack(shares).unbind(2)

    def step(self, tokens: Sequence[Tensor]) -> list[Tensor]:
        """The step that :meth:`advance` prepared.

        Args:
            tokens: each core's, classes (B, parts) int64 or dense rows (B, width); empty: zeros.

        Returns:
            Each core's logits, (B, depth).
        """
        top = self._share
        shares: Tensor | None = self._first_share(tokens)
        for index, (inputs, cells) in enumerate(zip(self._inputs, self._cells, strict=True)):
            below = self._below[index]
            if index:
                inputs[..., :below] = top
            elif below:
                inputs[..., :below] = torch.stack(list(tokens)) if tokens else 0
            cores = zip(self._products[index], inputs, strict=True)
            gates = [
                product(rows, None if shares is None else shares[core])
                for core, (product, rows) in enumerate(cores)
            ]
            shares = None  # above the lowest layer, products read everything
            top = inputs[..., below:]
            if gates[0].numel() < _WORTH_JOINING:
                lstm_step(torch.stack(gates), cells, top)
            else:
                for own, c, h in zip(gates, cells, top, strict=True):
                    lstm_step(own, c, h)
        return [output(rows) for output, rows in zip(self._outputs, top, strict=True)]

    def _first_share(self, tokens: Sequence[Tensor]) -> Tensor:
        """The lowest layer's gates without its product: (C, B, 4H)."""
        share = self._share
        if self._control_share is not None:
            share = share + self._control_share
        if self._rows is None or not tokens:
            return share
        parts = self._rows.parts
        wide = [functional.pad(own, (0, parts - own.shape[1]), value=-1) for own in tokens]
        return self._rows(torch.stack(wide)).add_(share)


def _lowest_weights(
    core: Core, embedding_width: int, control_width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The lowest layer's input weights (4H, width) for tokens, for embeddings and for controls."""
    widths = [sum(core.depths), embedding_width, control_width]
    token, embedding, control = torch.split(core.layers[0].weight_ih.detach(), widths, dim=1)
    return token, embedding, control


def _embedding_shares(
    cores: Sequence[Core], weights: Sequence[Tensor], embeddings: Tensor
) -> Tensor:
    """What embeddings and biases contribute to the lowest layer's gates: (segments, C, B, 4H).

    Args:
        cores: the core decoders.
        weights: (4H, E) for the embeddings, one a core.
        embeddings: (B, segments, E).
    """
    by_segment = embeddings.transpose(0, 1)  # (segments, B, E)
    shares = []
    for core, weight in zip(cores, weights, strict=True):
        rows = linear(by_segment.flatten(0, 1), weight, core.layers[0].full_bias.detach())
        shares.append(torch.unflatten(rows, 0, by_segment.shape[:2]))
    return torch.stack(shares, dim=1)


def _joined_states(states: Sequence[State]) -> list[Tensor]:
    """The cores' states (h, c) of one layer, (B, segments, H), as (segments, C, B, H) each."""
    return [
        torch.stack([each.transpose(0, 1) for each in own], dim=1)
        for own in zip(*states, strict=True)
    ]


def _joined(layer: Layer, token: Tensor, index: int, below: int) -> Product:
    """The product of what a layer reads, (B, below), with its own last output beside it. The lowest
    layer, index 0, reads tokens, by their own weight."""
    sources = [layer.weight_ih, layer.weight_hh, layer.bias]
    # The lowest layer's bias is in the embedding's share.
    bias = layer.full_bias if index else None

    def weight() -> Tensor:
        read = layer.weight_ih if index else token
        return torch.cat([read, layer.weight_hh], dim=1) if below else layer.weight_hh

    return products_of(layer).prepare(("joined", below), sources, weight, layer.weight_dtype, bias)
