"""The LSTM of TensorFlow's ``LSTMBlockCell``, on PyTorch's own kernels.

This is the one place that knows the cell's semantics. TensorFlow adds 1.0 to the forget gate's
pre-activation at run time, outside its variables. Here that 1.0 is the second bias which
PyTorch's LSTM has anyway, kept as a constant, so that stored weights stay bit-identical to
Magenta's. Gates lie in PyTorch's order: input, forget, cell, output.

Shape names: B batch, T steps, D input width, H units, E embedding width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

FORGET_BIAS = 1.0

State = tuple[Tensor, Tensor]  # (h, c), each (B, H)


class LSTMWeights(nn.Module):
    """Weights of one direction of one layer.

    Shapes: weight_ih (4H, D), weight_hh (4H, H), bias (4H,).
    """

    def __init__(self, input_size: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.weight_ih = nn.Parameter(torch.empty(4 * units, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * units, units))
        self.bias = nn.Parameter(torch.zeros(4 * units))
        self.forget_bias: Tensor
        self.register_buffer("forget_bias", torch.empty(4 * units), persistent=False)
        self.set_constants()
        self._glorot_uniform()

    def set_constants(self) -> None:
        """Fill what is neither trained nor stored (a module built without memory needs it)."""
        self.forget_bias.zero_()
        self.forget_bias[self.units : 2 * self.units] = FORGET_BIAS

    def _glorot_uniform(self) -> None:
        # TensorFlow draws one kernel of (D + H, 4H); PyTorch's two blocks share its bound.
        rows = self.weight_ih.shape[1] + self.units
        bound = math.sqrt(6.0 / (rows + 4 * self.units))
        nn.init.uniform_(self.weight_ih, -bound, bound)
        nn.init.uniform_(self.weight_hh, -bound, bound)

    def flat(self) -> list[Tensor]:
        """The four tensors in the order that ``torch.lstm`` takes them."""
        return [self.weight_ih, self.weight_hh, self.bias, self.forget_bias]


class LSTMStack(nn.ModuleList):
    """Unidirectional layers of differing widths, over a sequence or one step at a time."""

    def __init__(self, input_size: int, units: tuple[int, ...]) -> None:
        sizes = zip((input_size, *units), units, strict=False)
        super().__init__(LSTMWeights(size_in, size) for size_in, size in sizes)

    def forward(self, inputs: Tensor, states: list[State]) -> Tensor:
        """Run all steps: inputs (B, T, D) and one state a layer → top outputs (B, T, H)."""
        for layer, (h, c) in zip(self, states, strict=True):
            assert isinstance(layer, LSTMWeights)
            inputs, _, _ = torch.lstm(
                inputs,
                [h.unsqueeze(0), c.unsqueeze(0)],
                layer.flat(),
                has_biases=True,
                num_layers=1,
                dropout=0.0,
                train=self.training,
                bidirectional=False,
                batch_first=True,
            )
        return inputs

    def step(self, inputs: Tensor, states: list[State]) -> tuple[Tensor, list[State]]:
        """One step: inputs (B, D) → the top layer's output (B, H) and the new states."""
        new_states: list[State] = []
        for layer, state in zip(self, states, strict=True):
            assert isinstance(layer, LSTMWeights)
            h, c = torch.lstm_cell(inputs, state, *layer.flat())
            new_states.append((h, c))
            inputs = h
        return inputs, new_states


class InitialState(nn.Module):
    """All layers' start states from an embedding: tanh of one dense layer, read as c, h, c, h.

    (Magenta's ``initial_cell_state_from_embedding``.)
    """

    def __init__(self, embedding_size: int, units: tuple[int, ...]) -> None:
        super().__init__()
        self.units = units
        self.weight = nn.Parameter(torch.empty(2 * sum(units), embedding_size))
        self.bias = nn.Parameter(torch.zeros(2 * sum(units)))
        nn.init.normal_(self.weight, std=0.001)

    def forward(self, embedding: Tensor) -> list[State]:
        """embedding (B, E) → one (h, c) a layer."""
        flat = torch.tanh(nn.functional.linear(embedding, self.weight, self.bias))
        blocks = flat.split([size for units in self.units for size in (units, units)], dim=-1)
        return [
            (h.contiguous(), c.contiguous())
            for c, h in zip(blocks[0::2], blocks[1::2], strict=True)
        ]


class BidirectionalLSTM(nn.Module):
    """Stacked bidirectional layers that summarise a sequence in one embedding.

    Each layer's two directions are joined before the next layer, as in TensorFlow's
    ``stack_bidirectional_dynamic_rnn``.
    """

    def __init__(self, input_size: int, units: tuple[int, ...]) -> None:
        super().__init__()
        self.embedding_size = 2 * units[-1]
        sizes = (input_size, *(2 * size for size in units))
        self.layers = nn.ModuleList(
            nn.ModuleDict({"fw": LSTMWeights(size_in, size), "bw": LSTMWeights(size_in, size)})
            for size_in, size in zip(sizes, units, strict=False)
        )

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embed sequences.

        Args:
            inputs: (B, T, D).
            lengths: steps that count in each sequence, (B,), 0 to T; None: all of them.

        Returns:
            (B, 2H): the last forward state beside the last backward state of the top layer.
            A sequence of length 0 gives zeros.
        """
        batch, steps, _ = inputs.shape
        if lengths is None or bool((lengths == steps).all()):
            return self._embed(inputs.transpose(0, 1), None)
        lengths = lengths.to("cpu", torch.int64)
        # Packing refuses empty sequences: they run for one step, which is then discarded.
        packed = pack_padded_sequence(inputs, lengths.clamp(min=1), True, enforce_sorted=False)
        assert packed.unsorted_indices is not None
        embedding = self._embed(packed.data, packed)[packed.unsorted_indices]
        return embedding * (lengths > 0).to(embedding).view(batch, 1)

    def _embed(self, data: Tensor, packed: PackedSequence | None) -> Tensor:
        """data: (T, B, D), or packed rows whose batch sizes are in `packed`."""
        batch = data.shape[1] if packed is None else int(packed.batch_sizes[0])
        hidden = data
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleDict)
            fw, bw = layer["fw"], layer["bw"]
            assert isinstance(fw, LSTMWeights) and isinstance(bw, LSTMWeights)
            zeros = data.new_zeros(2, batch, fw.units)
            weights = fw.flat() + bw.flat()
            options = {"has_biases": True, "num_layers": 1, "dropout": 0.0}
            options |= {"train": self.training, "bidirectional": True}
            if packed is None:
                data, hidden, _ = torch.lstm(
                    data, [zeros, zeros], weights, batch_first=False, **options
                )
            else:
                data, hidden, _ = torch.lstm(
                    data, packed.batch_sizes, [zeros, zeros], weights, **options
                )
        return torch.cat([hidden[0], hidden[1]], dim=-1)
