"""The LSTM of TensorFlow's ``LSTMBlockCell``, on PyTorch.

This is the one place that knows the cell's semantics. TensorFlow adds 1.0 to the forget gate's
pre-activation at run time, outside its variables; here too that 1.0 is a constant, so that
stored weights stay bit-identical to Magenta's. Gates lie in PyTorch's order: input, forget,
cell, output.

What a layer reads at each step is a list of terms that lie side by side: one-hot rows, kept as
their classes, and dense vectors, per step or the same at every step.

Shape names: B batch, T steps, D input width, H units, E embedding width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from musicvae_torch.recurrence import recur

FORGET_BIAS = 1.0

State = tuple[Tensor, Tensor]  # (h, c), each (B, H)


class OneHot(NamedTuple):
    """One-hot rows by their classes: (B, T) int64, where -1 is a row of zeros."""

    classes: Tensor
    depth: int


# A dense term is (B, T, D), or (B, 1, D) where it is the same at every step.
Term = Tensor | OneHot


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
        self.register_buffer("forget_bias", None, persistent=False)
        self.set_constants()
        self._glorot_uniform()

    def set_constants(self) -> None:
        """Make anew what is neither trained nor stored, where the weights are (a module that was
        built without memory needs it)."""
        self.forget_bias = torch.zeros_like(self.bias)
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

    def run(
        self, terms: Sequence[Term], state: State, reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Run over whole sequences.

        Args:
            terms: what each step reads.
            state: where to start, (B, H) each.
            reverse: read the steps last to first.

        Returns:
            Outputs (B, T, H), each at the place of its step, and the last one read, (B, H).
        """
        h, c = state
        if h.is_cuda:
            inputs = densify(terms)
            inputs = inputs.flip(1) if reverse else inputs
            outputs, _, _ = torch.lstm(
                inputs,
                [h.unsqueeze(0), c.unsqueeze(0)],
                self.flat(),
                has_biases=True,
                num_layers=1,
                dropout=0.0,
                train=self.training,
                bidirectional=False,
                batch_first=True,
            )
            outputs = outputs.transpose(0, 1)
        else:
            projected = self._project(terms)
            outputs, _ = recur(projected.flip(0) if reverse else projected, self.weight_hh, h, c)
        last = outputs[-1]
        return (outputs.flip(0) if reverse else outputs).transpose(0, 1), last

    def _project(self, terms: Sequence[Term]) -> Tensor:
        """The input's share of the gates, biases included: (T, B, 4H)."""
        widths = [term_width(term) for term in terms]
        bias: Tensor | None = self.bias + self.forget_bias
        projected = None
        for term, weight in zip(terms, self.weight_ih.split(widths, dim=1), strict=True):
            if weight.shape[1] == 0:
                continue
            share = _project_term(term, weight, bias)
            projected = share if projected is None else projected + share
            bias = None  # in the first share already
        assert projected is not None
        return projected


def _project_term(term: Term, weight: Tensor, bias: Tensor | None) -> Tensor:
    """One term's share of the gates: (T, B, 4H)."""
    if not isinstance(term, OneHot):
        return functional.linear(term.transpose(0, 1), weight, bias)
    # One row more than classes: the zeros that class -1 stands for.
    rows = functional.pad(weight.t(), (0, 0, 0, 1))
    rows = rows if bias is None else rows + bias
    return functional.embedding(term.classes.t() % (term.depth + 1), rows)


def term_width(term: Term) -> int:
    return term.depth if isinstance(term, OneHot) else term.shape[-1]


def term_shape(term: Term) -> tuple[int, int]:
    """Batch and steps of a term."""
    batch, steps = (term.classes if isinstance(term, OneHot) else term).shape[:2]
    return batch, steps


def cut(term: Term, steps: int) -> Term:
    """(B, T, ...) → (B * segments, steps, ...): a long sequence as short ones."""
    if isinstance(term, OneHot):
        return OneHot(term.classes.reshape(-1, steps), term.depth)
    segments = term.shape[1] // steps
    return term.unflatten(1, (segments, steps)).flatten(0, 1)


def delay(term: Term) -> Term:
    """Every step one later; the first step is zeros and the last is lost."""
    if isinstance(term, OneHot):
        return OneHot(functional.pad(term.classes, (1, 0), value=-1)[:, :-1], term.depth)
    return functional.pad(term, (0, 0, 1, 0))[:, :-1]


def densify(terms: Sequence[Term]) -> Tensor:
    """Terms side by side as plain floats: (B, T, D)."""
    steps = max(term_shape(term)[1] for term in terms)
    like = next((term for term in terms if isinstance(term, Tensor)), None)
    dense = []
    for term in terms:
        if isinstance(term, OneHot):
            rows = functional.one_hot(term.classes + 1, term.depth + 1)[..., 1:]
            dense.append(rows.float() if like is None else rows.to(like))
        else:
            dense.append(term.expand(-1, steps, -1))
    return torch.cat(dense, dim=-1)


def drop_inputs(terms: Sequence[Term], keep: float) -> Sequence[Term]:
    """Terms of which each number of each step is kept with chance `keep`, and then made larger
    by as much, so that the sum is as before."""
    return [functional.dropout(densify(terms), 1 - keep)]


class LSTMStack(nn.ModuleList):
    """Unidirectional layers of differing widths, over a sequence or one step at a time.

    Attributes:
        keep: share of each layer's inputs that is kept in training (Magenta's
            dropout_keep_prob, of which the recurrent state knows nothing).
    """

    keep = 1.0

    def __init__(self, input_size: int, units: tuple[int, ...]) -> None:
        sizes = zip((input_size, *units), units, strict=False)
        super().__init__(LSTMWeights(size_in, size) for size_in, size in sizes)

    def forward(self, terms: Sequence[Term], states: list[State]) -> Tensor:
        """Run all steps: terms of T steps and one state a layer → top outputs (B, T, H)."""
        outputs: Sequence[Term] = terms
        for layer, state in zip(self, states, strict=True):
            assert isinstance(layer, LSTMWeights)
            if self.training and self.keep < 1:
                outputs = drop_inputs(outputs, self.keep)
            outputs = [layer.run(outputs, state)[0]]
        top = outputs[0]
        assert isinstance(top, Tensor)
        return top

    def step(self, inputs: Tensor, states: list[State]) -> tuple[Tensor, list[State]]:
        """One step: inputs (B, D) → the top layer's output (B, H) and the new states."""
        new_states: list[State] = []
        for layer, state in zip(self, states, strict=True):
            assert isinstance(layer, LSTMWeights)
            if self.training and self.keep < 1:
                inputs = functional.dropout(inputs, 1 - self.keep)
            h, c = torch.lstm_cell(inputs, state, *layer.flat())
            new_states.append((h, c))
            inputs = h
        return inputs, new_states


class LSTMSteps:
    """An LSTMStack's steps, where each reads one-hot rows beside a vector that stays for many.

    What they have in common is computed once: rows are looked up, not multiplied, and the share
    of the vector is added as it is. To 1e-6 of them the outputs are those of
    :meth:`LSTMStack.step`. For sampling alone: no gradient flows.

    Args:
        stack: read when this is made.
        depths: widths of the one-hot rows, which the stack's inputs begin with.
    """

    def __init__(self, stack: LSTMStack, depths: Sequence[int]) -> None:
        layers = [layer for layer in stack if isinstance(layer, LSTMWeights)]
        first = layers[0].weight_ih.detach()
        rows = sum(depths)
        self._rows = first[:, :rows].t().contiguous()
        self._still = first[:, rows:].contiguous()
        self._biases = [(layer.bias + layer.forget_bias).detach() for layer in layers]
        self._inputs = [layer.weight_ih.detach() for layer in layers[1:]]
        self._recurrent = [layer.weight_hh.detach() for layer in layers]
        starts = [sum(depths[:part]) for part in range(len(depths))]
        self._starts = torch.tensor(starts, device=first.device)
        self._share = first.new_empty(0)
        self._states: list[State] = []

    def begin(self, still: Tensor, states: list[State]) -> None:
        """Start anew: still (B, E), the rest of the stack's inputs, and a state a layer."""
        self._share = functional.linear(still, self._still, self._biases[0])
        self._states = list(states)

    def step(self, classes: Tensor | None) -> Tensor:
        """One step: classes (B, parts) of the rows, None for zeros → the top output (B, H)."""
        gates = self._share
        if classes is not None:
            gates = gates + functional.embedding(classes + self._starts, self._rows).sum(1)
        output = self._advance(0, gates)
        for layer, weight in enumerate(self._inputs, start=1):
            output = self._advance(layer, functional.linear(output, weight, self._biases[layer]))
        return output

    def _advance(self, layer: int, gates: Tensor) -> Tensor:
        h, c = self._states[layer]
        gates = gates + functional.linear(h, self._recurrent[layer])
        take, keep, new, show = gates.chunk(4, dim=-1)
        c = torch.sigmoid(keep) * c + torch.sigmoid(take) * torch.tanh(new)
        h = torch.sigmoid(show) * torch.tanh(c)
        self._states[layer] = h, c
        return h


def draw_normal(weight: Tensor, std: float) -> None:
    """Initialise a weight from N(0, std²), where it has memory to write to."""
    # Without, there is nothing to draw, and PyTorch would import its compiler to do so: a second.
    if not weight.is_meta:
        nn.init.normal_(weight, std=std)


class InitialState(nn.Module):
    """All layers' start states from an embedding: tanh of one dense layer, read as c, h, c, h.

    (Magenta's ``initial_cell_state_from_embedding``.)
    """

    def __init__(self, embedding_size: int, units: tuple[int, ...]) -> None:
        super().__init__()
        self.units = units
        self.weight = nn.Parameter(torch.empty(2 * sum(units), embedding_size))
        self.bias = nn.Parameter(torch.zeros(2 * sum(units)))
        draw_normal(self.weight, std=0.001)

    def forward(self, embedding: Tensor) -> list[State]:
        """embedding (B, E) → one (h, c) a layer."""
        flat = torch.tanh(functional.linear(embedding, self.weight, self.bias))
        blocks = flat.split([size for units in self.units for size in (units, units)], dim=-1)
        return [
            (h.contiguous(), c.contiguous())
            for c, h in zip(blocks[0::2], blocks[1::2], strict=True)
        ]


class BidirectionalLSTM(nn.Module):
    """Stacked bidirectional layers that summarise a sequence in one embedding.

    Each layer's two directions are joined before the next layer, as in TensorFlow's
    ``stack_bidirectional_dynamic_rnn``.

    Attributes:
        keep: as of :class:`LSTMStack`. Each direction drops inputs of its own, but where
            sequences have lengths of their own both drop the same.
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

    def forward(self, terms: Sequence[Term], lengths: Tensor | None = None) -> Tensor:
        """Embed sequences.

        Args:
            terms: what each of T steps reads.
            lengths: steps that count in each sequence, (B,), 0 to T; None: all of them.

        Returns:
            (B, 2H): the last forward state beside the last backward state of the top layer.
            A sequence of length 0 gives zeros.
        """
        if lengths is None:
            return self._run_whole(terms)[1]
        return self._embed_lengths(densify(terms), lengths.to("cpu", torch.int64))

    def outputs(self, terms: Sequence[Term]) -> Tensor:
        """The top layer's outputs at each of T steps, both directions side by side: (B, T, 2H)."""
        return densify(self._run_whole(terms)[0])

    def _directions(self) -> list[tuple[LSTMWeights, LSTMWeights]]:
        pairs = []
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleDict)
            fw, bw = layer["fw"], layer["bw"]
            assert isinstance(fw, LSTMWeights) and isinstance(bw, LSTMWeights)
            pairs.append((fw, bw))
        return pairs

    def _run_whole(self, terms: Sequence[Term]) -> tuple[Sequence[Term], Tensor]:
        """The top layer's outputs, a term for each direction, and the embedding."""
        batch, _ = term_shape(terms[0])
        for fw, bw in self._directions():
            zeros = fw.weight_hh.new_zeros(batch, fw.units)
            drops = self.training and self.keep < 1
            read_fw = drop_inputs(terms, self.keep) if drops else terms
            read_bw = drop_inputs(terms, self.keep) if drops else terms
            forwards, last_fw = fw.run(read_fw, (zeros, zeros))
            backwards, last_bw = bw.run(read_bw, (zeros, zeros), reverse=True)
            terms = [forwards, backwards]
        return terms, torch.cat([last_fw, last_bw], dim=-1)

    def _embed_lengths(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        # Packing refuses empty sequences: they run for one step, which is then discarded.
        packed = pack_padded_sequence(inputs, lengths.clamp(min=1), True, enforce_sorted=False)
        assert isinstance(packed, PackedSequence) and packed.unsorted_indices is not None
        data, hidden = packed.data, packed.data
        for fw, bw in self._directions():
            zeros = data.new_zeros(2, len(lengths), fw.units)
            if self.training and self.keep < 1:
                data = functional.dropout(data, 1 - self.keep)
            data, hidden, _ = torch.lstm(
                data,
                packed.batch_sizes,
                [zeros, zeros],
                fw.flat() + bw.flat(),
                has_biases=True,
                num_layers=1,
                dropout=0.0,
                train=self.training,
                bidirectional=True,
            )
        embedding = torch.cat([hidden[0], hidden[1]], dim=-1)[packed.unsorted_indices]
        return embedding * (lengths > 0).to(embedding).unsqueeze(1)
