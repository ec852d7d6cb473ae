"""The one place where :mod:`musicvae_torch.model`, which is to be read, hands work to the kernels.

Each function stands before a piece of reference code. It decides, by device, gradient, autocast and
precision of the weights, whether a kernel computes the same in less time, and returns that kernel's
result; or None, and the reference runs. With the kernels switched off
(:func:`musicvae_torch.kernels.reference`, or MUSICVAE_TORCH_KERNELS=0) it always does.

| | on CPUs, with a gradient | on CPUs, without | on CUDA |
| --- | --- | --- | --- |
| whole sequences | recurrence.recur | recurrence.unroll | cuDNN |
| sequences with lengths | packed | sorted, then unroll | cuDNN, packed |
| single steps | torch.lstm_cell | torch.lstm_cell | torch.lstm_cell |
| decoding | the reference | stepper.Stepper | stepper.Stepper, as a CUDA graph |

Without a gradient, weights are multiplied in the precision that ``multiply_in`` chose; on CUDA,
int8 is refused.

Shape names: B batch, T steps, D input width, H units.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from musicvae_torch.kernels import gemm, layers, pytorch_lstm, rollout
from musicvae_torch.kernels.cuda_graph import CUDARecorder, Recorder
from musicvae_torch.kernels.layers import Layer
from musicvae_torch.kernels.stepper import Core, Stepper
from musicvae_torch.kernels.switch import graphs_enabled, kernels_enabled
from musicvae_torch.model.terms import State, Term


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``functional.linear`` of x (..., K) by the weight (N, K)."""
    product = gemm.linear if kernels_enabled() else functional.linear
    return product(x, weight, bias)


def lstm_cell(layer: Layer, x: Tensor, state: State) -> State | None:
    """A layer's step from x (B, D) and its last state to the new one."""
    return pytorch_lstm.cell(layer, x, state) if kernels_enabled() else None


def run_layer(
    layer: Layer, terms: Sequence[Term], state: State, lengths: Tensor | None, reverse: bool
) -> tuple[Tensor, Tensor] | None:
    """Outputs (B, T, H) of a layer over whole sequences, and the last one computed, (B, H)."""
    if not kernels_enabled() or lengths is not None:
        return None
    run = pytorch_lstm.run if state[0].is_cuda else layers.run
    return run(layer, terms, state, reverse)


def embed_sequences(
    directions: Sequence[tuple[Layer, Layer]], terms: Sequence[Term], lengths: Tensor, keep: float
) -> Tensor | None:
    """The last outputs of stacked bidirectional layers over sequences with lengths (B,): (B, 2H).

    Args:
        directions: forward and backward weights of each layer.
        keep: share of each layer's inputs that is kept.
    """
    if not kernels_enabled():
        return None
    if keep < 1 or torch.is_grad_enabled() or directions[0][0].weight_hh.is_cuda:
        return pytorch_lstm.embed_packed(directions, terms, lengths, keep)
    return layers.embed_sorted(directions, terms, lengths)


def roll_out(
    cores: Sequence[tuple[Sequence[Layer], nn.Linear, Sequence[int]]],
    starts: Sequence[Sequence[State]],
    one_hot: bool,
    embeddings: Tensor,
    segment_steps: int,
    controls: Tensor,
    given: Tensor,
    choose: rollout.Choose,
    generator: Generator | None,
) -> list[Tensor] | None:
    """All steps of core decoders; see :class:`Stepper` for further arguments, and
    :func:`rollout.roll_out` for `given`, `choose` and the result.

    Args:
        cores: the first fields of each :class:`Core`.
        starts: its last field.
        generator: from which `choose` draws; None: torch's own.
    """
    if not kernels_enabled() or torch.is_grad_enabled():
        return None
    joined = [Core(*core, states) for core, states in zip(cores, starts, strict=True)]
    stepper = Stepper(joined, one_hot, embeddings, segment_steps, controls)
    records = recorder(embeddings.device, generator) if len(embeddings) else None
    return rollout.roll_out(stepper, given, choose, records)


def fixes_steps(device: torch.device) -> bool:
    """Whether steps on a device should do the same operations each time, on tensors that stay where
    they are, for :func:`recorder` to capture."""
    return device.type == "cuda" and kernels_enabled()


def recorder(device: torch.device, generator: Generator | None = None) -> Recorder | None:
    """What captures steps of sampling on a device as a CUDA graph; None where they run as they are:
    on CPUs, and if graphs are switched off or one is being captured already."""
    if device.type != "cuda" or not graphs_enabled() or torch.cuda.is_current_stream_capturing():
        return None
    return CUDARecorder(device, generator)


def set_weight_dtype(network: nn.Module, dtype: str) -> None:
    """Choose the precision in which kernels multiply by a network's weights without a gradient.

    Raises:
        OptionError: there is no such precision, or not on the device that the network is on.
    """
    gemm.check_weight_dtype(dtype, next(network.parameters()).device)
    for module in network.modules():
        if hasattr(module, "weight_dtype"):
            module.weight_dtype = dtype  # type: ignore[assignment]
            gemm.forget_products(module)
