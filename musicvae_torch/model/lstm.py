"""The LSTM of TensorFlow's ``LSTMBlockCell``, on PyTorch.

This is the one place that knows the cell's semantics. TensorFlow adds 1.0 to the forget gate's
pre-activation at run time, outside its variables; here too that 1.0 is a constant, so that
stored weights stay bit-identical to Magenta's. Gates lie in PyTorch's order: input, forget,
cell, output.

What a layer reads at each step is a list of :mod:`musicvae_torch.model.terms`.

Shape names: B batch, T steps, D input width, H units, E embedding width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from musicvae_torch.kernels.gemm import BFLOAT16, FLOAT32, ProductCache, linear
from musicvae_torch.kernels.input_gates import Projection, project
from musicvae_torch.kernels.recurrence import recur, unroll
from musicvae_torch.model.terms import Term, arrange, densify, drop_inputs, term_shape

FORGET_BIAS = 1.0

State = tuple[Tensor, Tensor]  # (h, c), each (B, H)


class LSTMWeights(nn.Module):
    """Weights of one direction of one layer.

    Shapes: weight_ih (4H, D), weight_hh (4H, H), bias (4H,).

    Attributes:
        weight_dtype: precision of products where no gradient is wanted; see
            :func:`musicvae_torch.kernels.gemm.prepare`.
        kept: such products, of low precision.
    """

    weight_dtype = FLOAT32

    def __init__(self, input_size: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.kept = ProductCache()
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
        # Not zeros_like: for a tensor without memory PyTorch imports a third of a second's worth.
        self.forget_bias = torch.zeros(
            self.bias.shape, dtype=self.bias.dtype, device=self.bias.device
        )
        if self.bias.is_meta:
            return
        self.forget_bias[self.units : 2 * self.units] = FORGET_BIAS

    def _glorot_uniform(self) -> None:
        # TensorFlow draws one kernel of (D + H, 4H); PyTorch's two blocks share its bound.
        rows = self.weight_ih.shape[1] + self.units
        bound = math.sqrt(6.0 / (rows + 4 * self.units))
        nn.init.uniform_(self.weight_ih, -bound, bound)
        nn.init.uniform_(self.weight_hh, -bound, bound)

    @property
    def full_bias(self) -> Tensor:
        """(4H,), what is added at run time included."""
        return self.bias + self.forget_bias

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
            return self._run_on_cuda(terms, h, c, reverse)
        if not torch.is_grad_enabled():
            steps = max(term_shape(term)[1] for term in terms)
            return self.unroll(terms, state, [len(h)] * steps, reverse)
        projected = project(terms, self.weight_ih, self.full_bias)
        outputs, _ = recur(projected, self.weight_hh, h, c, reverse=reverse)
        return outputs.transpose(0, 1), outputs[0 if reverse else -1]

    def unroll(
        self, terms: Sequence[Term], state: State, counts: Sequence[int], reverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """:meth:`run` without a gradient, over sequences of lengths of their own, long ones first.

        Args:
            counts: for each step the sequences that reach it.
        """
        dtype, kept = self.weight_dtype, self.kept
        if torch.is_autocast_enabled("cpu"):
            dtype, kept = BFLOAT16, ProductCache()  # in a training: they change with every step
        shares = Projection(terms, self.weight_ih, self.full_bias, dtype, kept)
        weight = self.weight_hh
        product = kept.prepare("recurrent", [weight], weight.detach, dtype)
        outputs, last = unroll(shares, product, *state, counts, reverse=reverse)
        return outputs.transpose(0, 1), last

    def _run_on_cuda(
        self, terms: Sequence[Term], h: Tensor, c: Tensor, reverse: bool
    ) -> tuple[Tensor, Tensor]:
        inputs = densify(terms)
        low = self.weight_dtype == BFLOAT16 and not torch.is_grad_enabled()
        kind = torch.bfloat16 if low else h.dtype
        outputs, _, _ = torch.lstm(
            (inputs.flip(1) if reverse else inputs).to(kind),
            [h.unsqueeze(0).to(kind), c.unsqueeze(0).to(kind)],
            [weight.to(kind) for weight in self.flat()],
            has_biases=True,
            num_layers=1,
            dropout=0.0,
            train=self.training,
            bidirectional=False,
            batch_first=True,
        )
        outputs = outputs.to(h.dtype)
        last = outputs[:, -1]
        return outputs.flip(1) if reverse else outputs, last


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
        """embedding (..., E) → one (h, c) a layer, (..., H) each."""
        flat = torch.tanh(linear(embedding, self.weight, self.bias))
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
        lengths = lengths.to("cpu", torch.int64)
        drops = self.training and self.keep < 1
        if drops or torch.is_grad_enabled() or self._directions()[0][0].weight_hh.is_cuda:
            return self._embed_packed(densify(terms), lengths)
        return self._embed_unrolled(terms, lengths)

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

    def _embed_unrolled(self, terms: Sequence[Term], lengths: Tensor) -> Tensor:
        """Steps beyond a sequence's end cost nothing: sequences from long to short, as many in
        each step as reach it."""
        order = lengths.argsort(descending=True, stable=True)
        steps = torch.arange(int(lengths.max()) if len(lengths) else 0)
        counts = (lengths > steps[:, None]).sum(1).tolist()
        terms = [arrange(term, order, len(steps)) for term in terms]
        last: list[Tensor] = []
        for pair in self._directions():
            zeros = pair[0].weight_hh.new_zeros(len(lengths), pair[0].units)
            ran = [
                layer.unroll(terms, (zeros, zeros), counts, reverse)
                for layer, reverse in zip(pair, (False, True), strict=True)
            ]
            terms, last = [outputs for outputs, _ in ran], [h for _, h in ran]
        return torch.cat(last, dim=-1)[order.argsort()]

    def _embed_packed(self, inputs: Tensor, lengths: Tensor) -> Tensor:
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
