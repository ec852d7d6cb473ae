"""LSTM layers by PyTorch's own functions: cuDNN on CUDA, packed sequences, and a single step.

PyTorch has two biases a gate: the second takes what TensorFlow adds to the forget gate.

On CUDA, autocast would run cuDNN's LSTM in float16, whatever precision it is set to (PyTorch's
AutocastRNN.cpp): it is switched off here, and weights and inputs are cast to that precision.

Shape names: B batch, T steps, D input width, H units.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from musicvae_torch.kernels.gemm import BFLOAT16, INT8, refuse_int8
from musicvae_torch.kernels.layers import Layer
from musicvae_torch.model.terms import State, Term, densify

# The weights are those of a checkpoint, each a tensor of its own; copying them for a call takes
# about as long as reading them once.
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous")


def cell(layer: Layer, x: Tensor, state: State) -> State:
    """One step: x (B, D) → the new state."""
    h, c = torch.lstm_cell(x, state, *_weights(layer))
    return h, c


def run(
    layer: Layer, terms: Sequence[Term], state: State, reverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Outputs (B, T, H) of one direction, and the one that was computed last, (B, H)."""
    inputs, (h, c) = densify(terms), state
    kind, result = _precisions(layer)
    with _without_autocast(layer):
        outputs, _, _ = torch.lstm(
            (inputs.flip(1) if reverse else inputs).to(kind),
            [h.unsqueeze(0).to(kind), c.unsqueeze(0).to(kind)],
            [weight.to(kind) for weight in _weights(layer)],
            has_biases=True,
            num_layers=1,
            dropout=0.0,
            train=torch.is_grad_enabled(),
            bidirectional=False,
            batch_first=True,
        )
    outputs = outputs.to(result)
    return outputs.flip(1) if reverse else outputs, outputs[:, -1]


def embed_packed(
    directions: Sequence[tuple[Layer, Layer]], terms: Sequence[Term], lengths: Tensor, keep: float
) -> Tensor:
    """The last outputs of stacked bidirectional layers, (B, 2H).

    Args:
        directions: forward and backward weights of each layer.
        lengths: (B,) steps that count, from 0.
        keep: share of each layer's inputs that is kept. Unlike in the reference, both directions
            of a layer drop the same.
    """
    # Packing refuses empty sequences: they run for one step, which is then discarded.
    lengths = lengths.to("cpu", torch.int64)
    at_least_one = lengths.clamp(min=1)
    packed = pack_padded_sequence(densify(terms), at_least_one, True, enforce_sorted=False)
    assert isinstance(packed, PackedSequence) and packed.unsorted_indices is not None
    kind, result = _precisions(directions[0][0])
    data = hidden = (
        packed.data if kind == directions[0][0].weight_hh.dtype else packed.data.to(kind)
    )
    with _without_autocast(directions[0][0]):
        for fw, bw in directions:
            zeros = data.new_zeros(2, len(lengths), fw.units)
            data, hidden, _ = torch.lstm(
                functional.dropout(data, 1 - keep),
                packed.batch_sizes,
                [zeros, zeros],
                [weight.to(kind) for weight in _weights(fw) + _weights(bw)],
                has_biases=True,
                num_layers=1,
                dropout=0.0,
                train=torch.is_grad_enabled(),
                bidirectional=True,
            )
    embedding = torch.cat([hidden[0], hidden[1]], dim=-1)[packed.unsorted_indices]
    if embedding.dtype == kind:
        embedding = embedding.to(result)
    return embedding * (lengths > 0).to(embedding).unsqueeze(1)


def _precisions(layer: Layer) -> tuple[torch.dtype, torch.dtype]:
    """The precision in which a layer runs, and that of its results. On CPUs both are the weights'
    own; :mod:`musicvae_torch.kernels.layers` computes in the others.

    Raises:
        OptionError: int8 is asked for, which runs on CPUs alone.
    """
    weight = layer.weight_hh
    wide = weight.dtype
    if not weight.is_cuda or wide != torch.float32:
        return wide, wide
    if torch.is_autocast_enabled("cuda"):
        low = torch.get_autocast_dtype("cuda")
        return low, low
    if torch.is_grad_enabled():  # where multiply_in does not apply
        return wide, wide
    if layer.weight_dtype == INT8:
        refuse_int8(weight.device)
    return torch.bfloat16 if layer.weight_dtype == BFLOAT16 else wide, wide


def _without_autocast(layer: Layer) -> AbstractContextManager[object]:
    on_cuda = layer.weight_hh.is_cuda
    return torch.autocast("cuda", enabled=False) if on_cuda else nullcontext()


def _weights(layer: Layer) -> list[Tensor]:
    """A layer's weights in the order that PyTorch takes them."""
    return [layer.weight_ih, layer.weight_hh, layer.bias, layer.forget_bias]
