"""Core decoders that step together, without a gradient: what sampling spends its time on.

What steps have in common is computed once, and little tensors of all core decoders are treated as
one. Shape names: C core decoders, B batch, H units, E embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from musicvae_torch.kernels.gemm import Product, linear, prepare
from musicvae_torch.kernels.input_gates import Rows
from musicvae_torch.kernels.recurrence import step_gates
from musicvae_torch.model.lstm import LSTMStack, LSTMWeights, State

# Gates of so many numbers cost more to put side by side than to treat one core at a time.
_WORTH_JOINING = 1 << 14


class Stepper:
    """Steps of LSTM stacks of the same sizes, each with a dense layer on top.

    Each step a stack reads a token, which is what was drawn in the step before; an embedding that
    stays for many steps; and a control. To 1e-6 of them the results are those of
    :meth:`LSTMStack.step` in evaluation mode.

    Args:
        stacks, outputs: one of each for a core; read when this is made.
        depths: for each core, the widths of the parts of its tokens, which its inputs begin with.
        controls: width of the controls, which its inputs end with.
        one_hot: whether tokens are one-hot rows, given by their classes.
    """

    def __init__(
        self,
        stacks: Sequence[LSTMStack],
        outputs: Sequence[nn.Linear],
        depths: Sequence[Sequence[int]],
        controls: int,
        one_hot: bool,
    ) -> None:
        cores = [[layer for layer in stack if isinstance(layer, LSTMWeights)] for stack in stacks]
        tokens: list[Tensor] = []
        self._still: list[tuple[Tensor, Tensor]] = []
        self._controls: list[Tensor] = []
        for layers, own in zip(cores, depths, strict=True):
            weight = layers[0].weight_ih.detach()
            rest = weight.shape[1] - sum(own) - controls
            token, still, control = weight.split([sum(own), rest, controls], dim=1)
            tokens.append(token)
            self._still.append((still, layers[0].full_bias.detach()))
            self._controls.append(control)
        self._rows = Rows(tokens, depths) if one_hot else None
        # What a product multiplies beside the layer's own last output: the output below, and in
        # the lowest layer tokens, where they are not looked up.
        self._below = [0 if one_hot else sum(depths[0])]
        self._below += [layer.units for layer in cores[0][:-1]]
        self._products = [
            [
                _joined(layers[index], tokens[core], index, below)
                for core, layers in enumerate(cores)
            ]
            for index, below in enumerate(self._below)
        ]
        # A small part of the work, of which every error is one of the logits.
        self._outputs = [prepare(layer.weight, layer.bias) for layer in outputs]

    def start(
        self,
        embeddings: Tensor,
        states: Sequence[Sequence[State]],
        segment_steps: int,
        controls: Tensor,
    ) -> None:
        """Take up a song.

        Args:
            embeddings: (B, segments, E).
            states: for each core, one a layer, (B, segments, H): where it starts in a segment.
            segment_steps: how long each embedding stays.
            controls: (B, steps, control width).
        """
        self._segment_steps, self._steps = segment_steps, 0
        by_segment = embeddings.transpose(0, 1)
        rows = by_segment.flatten(0, 1)
        shares = [
            linear(rows, *still).view(*by_segment.shape[:2], len(still[0])) for still in self._still
        ]
        self._shares = torch.stack(shares, dim=1)
        self._starts = [
            [
                torch.stack([each.transpose(0, 1) for each in own], dim=1)
                for own in zip(*layer, strict=True)
            ]
            for layer in zip(*states, strict=True)
        ]
        self._song_controls = controls

    def _begin(self, segment: int) -> None:
        self._share = self._shares[segment]
        self._inputs, self._cells = [], []
        for below, (h, c) in zip(self._below, self._starts, strict=True):
            start = h[segment]
            empty = start.new_zeros(*start.shape[:2], below)
            self._inputs.append(torch.cat([empty, start], dim=-1))
            self._cells.append(c[segment].clone())
        controls = self._song_controls[:, self._steps : self._steps + self._segment_steps]
        self._control_shares: Sequence[Tensor] | None = None
        if controls.shape[-1]:
            shares = [functional.linear(controls, weight) for weight in self._controls]
            self._control_shares = torch.stack(shares).unbind(2)

    def step(self, tokens: Sequence[Tensor] | None) -> list[Tensor]:
        """One step.

        Args:
            tokens: each core's, classes (B, parts) int64 or dense rows (B, width); None: zeros.

        Returns:
            Each core's logits, (B, depth).
        """
        if self._steps % self._segment_steps == 0:
            self._begin(self._steps // self._segment_steps)
        top = self._share
        shares: Tensor | None = self._first_share(tokens)
        for index, (inputs, cells) in enumerate(zip(self._inputs, self._cells, strict=True)):
            below = self._below[index]
            if index:
                inputs[..., :below] = top
            elif below:
                inputs[..., :below] = 0 if tokens is None else torch.stack(list(tokens))
            cores = zip(self._products[index], inputs, strict=True)
            gates = [
                product(rows, None if shares is None else shares[core])
                for core, (product, rows) in enumerate(cores)
            ]
            shares = None  # above the lowest layer the products have all
            top = inputs[..., below:]
            if gates[0].numel() < _WORTH_JOINING:
                step_gates(torch.stack(gates), top, cells)
            else:
                for own in zip(gates, top, cells, strict=True):
                    step_gates(*own)
        return [output(rows) for output, rows in zip(self._outputs, top, strict=True)]

    def _first_share(self, tokens: Sequence[Tensor] | None) -> Tensor:
        """What the lowest layer's gates are beside its product: (C, B, 4H)."""
        share = self._share
        if self._control_shares is not None:
            share = share + self._control_shares[self._steps % self._segment_steps]
        self._steps += 1
        if self._rows is None or tokens is None:
            return share
        parts = self._rows.parts
        wide = [functional.pad(own, (0, parts - own.shape[1]), value=-1) for own in tokens]
        return self._rows(torch.stack(wide)).add_(share)


def _joined(layer: LSTMWeights, token: Tensor, index: int, below: int) -> Product:
    """The product of what a layer reads, (B, below) of it, with its own last output beside it.

    Args:
        token: the weight of the tokens, which the lowest layer reads.
        index: of the layer.
    """
    sources = [layer.weight_ih, layer.weight_hh, layer.bias]
    # That of the lowest layer is in the embedding's share.
    bias = layer.full_bias if index else None

    def weight() -> Tensor:
        read = layer.weight_ih if index else token
        return torch.cat([read, layer.weight_hh], dim=1) if below else layer.weight_hh

    return layer.kept.prepare(("joined", below), sources, weight, layer.weight_dtype, bias)
