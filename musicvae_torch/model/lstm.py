"""The LSTM of TensorFlow's ``LSTMBlockCell``, in ordinary PyTorch operations.

TensorFlow adds 1.0 to the forget gate's pre-activation at run time, outside its variables. So does
this module: stored weights stay bit-identical to Magenta's. Gates lie in PyTorch's order: input i,
forget f, cell g, output o.

This is the reference, on every device, with and without a gradient. Where
:mod:`musicvae_torch.kernels.dispatch` knows a faster kernel, that runs instead.

Shape names: B batch, T steps, D input width, H units, E embedding width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from musicvae_torch.kernels import dispatch
from musicvae_torch.model.terms import State, Term, densify, term_shape

FORGET_BIAS = 1.0


class LSTMWeights(nn.Module):
    """One direction of one layer, with weight_ih (4H, D), weight_hh (4H, H) and bias (4H,).

    Attributes:
        weight_dtype: precision in which kernels multiply without a gradient; see
            :meth:`musicvae_torch.model.network.Network.multiply_in`.
    """

    weight_dtype = "float32"

    def __init__(self, input_size: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.weight_ih = nn.Parameter(torch.empty(4 * units, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * units, units))
        self.bias = nn.Parameter(torch.zeros(4 * units))
        # TensorFlow draws one kernel (D + H, 4H), Glorot uniform: both of its blocks share a bound.
        bound = math.sqrt(6.0 / (input_size + units + 4 * units))
        nn.init.uniform_(self.weight_ih, -bound, bound)
        nn.init.uniform_(self.weight_hh, -bound, bound)

    @property
    def forget_bias(self) -> Tensor:
        """(4H,): what is added to the gates at run time."""
        constant = torch.zeros_like(self.bias)
        constant[self.units : 2 * self.units] = FORGET_BIAS
        return constant

    @property
    def full_bias(self) -> Tensor:
        """(4H,): the bias with what is added at run time."""
        return self.bias + self.forget_bias

    def step(self, x: Tensor, state: State) -> State:
        """Read x (B, D) in a state; returns the new state."""
        if (fast := dispatch.lstm_cell(self, x, state)) is not None:
            return fast
        h, c = state
        gates = functional.linear(x, self.weight_ih, self.bias)  # (B, 4H)
        gates = gates + functional.linear(h, self.weight_hh)
        i, f, g, o = gates.chunk(4, dim=-1)  # (B, H) each
        c = torch.sigmoid(f + FORGET_BIAS) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, c

    def forward(
        self,
        terms: Sequence[Term],
        state: State,
        lengths: Tensor | None = None,
        reverse: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Read whole sequences: outputs (B, T, H) in the order of the steps, and the output of the
        step that was read last, (B, H).

        Args:
            terms: what each of T steps reads.
            lengths: (B,) steps that count in each sequence; the others leave its state as it is.
            reverse: read the last step first.
        """
        if (fast := dispatch.run_layer(self, terms, state, lengths, reverse)) is not None:
            return fast
        x = densify(terms)  # (B, T, D)
        steps = range(x.shape[1])
        outputs: dict[int, Tensor] = {}
        for t in reversed(steps) if reverse else steps:
            h, c = self.step(x[:, t], state)
            if lengths is not None:
                counts = (t < lengths).unsqueeze(1)  # (B, 1)
                h, c = torch.where(counts, h, state[0]), torch.where(counts, c, state[1])
            state = h, c
            outputs[t] = h
        return torch.stack([outputs[t] for t in steps], dim=1), state[0]


class LSTMStack(nn.ModuleList):
    """Unidirectional layers of differing widths, over a sequence or one step at a time.

    Attributes:
        keep: share of each layer's inputs, but not of its recurrent state, that is kept in training
            (Magenta's dropout_keep_prob).
    """

    keep = 1.0

    def __init__(self, input_size: int, units: tuple[int, ...]) -> None:
        sizes = zip((input_size, *units), units, strict=False)
        super().__init__(LSTMWeights(size_in, size) for size_in, size in sizes)

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[LSTMWeights]: ...

    def forward(self, terms: Sequence[Term], states: list[State]) -> Tensor:
        """Run all steps: terms of T steps and one state a layer → top outputs (B, T, H)."""
        for layer, state in zip(self, states, strict=True):
            outputs: Tensor = layer(drop_inputs(self, terms), state)[0]
            terms = [outputs]
        return outputs

    def step(self, x: Tensor, states: list[State]) -> tuple[Tensor, list[State]]:
        """One step: x (B, D) → the top layer's output (B, H) and the new states."""
        new_states: list[State] = []
        for layer, state in zip(self, states, strict=True):
            new_states.append(
                layer.step(functional.dropout(x, 1 - self.keep, self.training), state)
            )
            x, _ = new_states[-1]
        return x, new_states


class BidirectionalLSTM(nn.Module):
    """Stacked bidirectional layers that summarise a sequence in one embedding. Each layer reads
    both directions of the one below (TensorFlow's ``stack_bidirectional_dynamic_rnn``).

    Attributes:
        keep: as of :class:`LSTMStack`; each direction drops inputs of its own.
    """

    keep = 1.0

    def __init__(self, input_size: int, units: tuple[int, ...]) -> None:
        super().__init__()
        self.input_size = input_size
        self.embedding_size = 2 * units[-1]
        sizes = (input_size, *(2 * size for size in units))
        self.layers = nn.ModuleList(
            nn.ModuleDict({"fw": LSTMWeights(size_in, size), "bw": LSTMWeights(size_in, size)})
            for size_in, size in zip(sizes, units, strict=False)
        )

    def directions(self) -> list[tuple[LSTMWeights, LSTMWeights]]:
        """The forward and the backward weights of each layer."""
        layers = cast(Sequence[dict[str, LSTMWeights]], self.layers)
        return [(layer["fw"], layer["bw"]) for layer in layers]

    def forward(self, terms: Sequence[Term], lengths: Tensor | None = None) -> Tensor:
        """Embed sequences: the top layer's last forward output beside its last backward output,
        (B, 2H). A sequence of length 0 gives zeros.

        Args:
            terms: what each of T steps reads.
            lengths: steps that count in each sequence, (B,), 0 to T; None: all of them.
        """
        if lengths is not None:
            keep = self.keep if self.training else 1.0
            fast = dispatch.embed_sequences(self.directions(), terms, lengths, keep)
            if fast is not None:
                return fast
        return self._run(terms, lengths)[1]

    def outputs(self, terms: Sequence[Term]) -> Tensor:
        """The top layer's outputs at each of T steps, both directions side by side: (B, T, 2H)."""
        return densify(self._run(terms)[0])

    def _run(
        self, terms: Sequence[Term], lengths: Tensor | None = None
    ) -> tuple[Sequence[Term], Tensor]:
        """The top layer's outputs, a term for each direction, and the embedding."""
        batch, _ = term_shape(terms[0])
        for fw, bw in self.directions():
            zeros = fw.weight_hh.new_zeros(batch, fw.units)
            read_fw, read_bw = drop_inputs(self, terms), drop_inputs(self, terms)
            forwards, last_fw = fw(read_fw, (zeros, zeros), lengths)
            backwards, last_bw = bw(read_bw, (zeros, zeros), lengths, reverse=True)
            terms = [forwards, backwards]
        return terms, torch.cat([last_fw, last_bw], dim=-1)


def drop_inputs(layers: LSTMStack | BidirectionalLSTM, terms: Sequence[Term]) -> Sequence[Term]:
    """In training, keep each number of each step with the probability `keep`, scaled up so that
    the sum is as before."""
    if layers.training and layers.keep < 1:
        return [functional.dropout(densify(terms), 1 - layers.keep)]
    return terms


class InitialState(nn.Module):
    """All layers' start states from an embedding: tanh of one dense layer, read as c, h, c, h
    (Magenta's ``initial_cell_state_from_embedding``)."""

    def __init__(self, embedding_size: int, units: tuple[int, ...]) -> None:
        super().__init__()
        self.units = units
        self.weight = nn.Parameter(torch.empty(2 * sum(units), embedding_size))
        self.bias = nn.Parameter(torch.zeros(2 * sum(units)))
        draw_normal(self.weight, std=0.001)

    def forward(self, embedding: Tensor) -> list[State]:
        """embedding (..., E) → one (h, c) a layer, (..., H) each."""
        flat = torch.tanh(dispatch.linear(embedding, self.weight, self.bias))
        blocks = torch.split(flat, [size for size in self.units for _ in range(2)], dim=-1)
        pairs = zip(blocks[0::2], blocks[1::2], strict=True)
        return [(h.contiguous(), c.contiguous()) for c, h in pairs]


def draw_normal(weight: Tensor, std: float) -> None:
    """Initialise a weight from N(0, std²), if it has memory to write to."""
    # On a weight without memory PyTorch would import its compiler to draw nothing: a second.
    if not weight.is_meta:
        nn.init.normal_(weight, std=std)
