"""The LSTM recurrence on CPUs: with its own backward pass, and without one.

PyTorch's CPU LSTM multiplies dense inputs, and saves every intermediate of every step in training.
Here the input's share of the gates is given (one-hot inputs are looked up), products are those of
:mod:`musicvae_torch.kernels.gemm`, all steps write into one buffer, and the recurrent weight's
gradient is one product at the end. Under ``torch.autocast("cpu", torch.bfloat16)`` products and
what is kept for the backward pass are in bfloat16, cells and sums in float32.

Gates lie in the order input i, forget f, cell g, output o. Shape names: T steps, B batch, H units.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from musicvae_torch.errors import OptionError
from musicvae_torch.kernels.gemm import BFLOAT16, Product, apply, prepare, weight_gradient

# Numbers of the input's shares that are made at once, for several steps: enough to multiply well,
# and few enough to be in the processor's cache when they are read.
_SHARES = 1 << 21


def lstm_cell_forward(
    sums: Tensor, c: Tensor, h: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One step's gate arithmetic.

    Args:
        sums: (..., 4H) of the gates.
        c: (..., H) cell of the step before; replaced by the new one.
        h: (..., H) to be filled with tanh of the new cell. If it is given, the gates are activated
            in place; otherwise `sums` stay as they are, which the compiler needs.

    Returns:
        The gates i and f side by side, (..., 2H), g and o, and tanh of the new cell, (..., H) each.
        The output is the product of the last two.
    """
    units = c.shape[-1]
    in_place = h is not None
    sigmoid = torch.sigmoid_ if in_place else torch.sigmoid
    i_and_f = sigmoid(sums[..., : 2 * units])
    g = sums[..., 2 * units : 3 * units]
    g = tanh_via_sigmoid(g.mul_(2) if in_place else 2 * g)
    o = sigmoid(sums[..., 3 * units :])
    i, f = i_and_f.chunk(2, dim=-1)
    c.mul_(f).addcmul_(i, g)
    return i_and_f, g, o, tanh_via_sigmoid(torch.mul(c, 2, out=h))


def lstm_cell_backward(
    grad_gates: Tensor,
    grad_hidden: Tensor,
    dh: Tensor,
    dc: Tensor,
    gates: Tensor,
    c: Tensor,
    tanh_c: Tensor,
) -> None:
    """The gradient of :func:`lstm_cell_forward`, in place.

    Args:
        grad_gates: (B, 4H), to be filled with the gradient of the gates' sums.
        grad_hidden, dh: (B, H), gradients of the output, as layers above and the next step use it.
        dc: (B, H), gradient of the new cell, in the weights' precision; replaced by the gradient
            of the cell before.
        gates: (B, 4H), activated.
        c, tanh_c: (B, H), the cell before, and tanh of the new cell.
    """
    through_sigmoid = torch.ops.aten.sigmoid_backward.default
    through_tanh = torch.ops.aten.tanh_backward.default
    wide = dc.dtype
    i, f, g, o = gates.to(wide).chunk(4, dim=1)
    tanh_c = tanh_c.to(wide)
    grad_h = grad_hidden.to(wide) + dh.to(wide)
    dc.add_(through_tanh(grad_h * o, tanh_c))
    parts = (
        through_sigmoid(dc * g, i),
        through_sigmoid(dc * c.to(wide), f),
        through_tanh(dc * i, g),
        through_sigmoid(grad_h * tanh_c, o),
    )
    torch.cat(parts, dim=1, out=grad_gates)
    dc.mul_(f)


def tanh_via_sigmoid(doubled: Tensor) -> Tensor:
    """tanh(x) from 2x, in place, up to 1e-7 or so: PyTorch's sigmoid is several times as fast."""
    return doubled.sigmoid_().mul_(2).sub_(1)


def lstm_step(sums: Tensor, c: Tensor, h: Tensor) -> None:
    """One step without a gradient.

    Args:
        sums: (..., 4H) of the gates; overwritten.
        c, h: (..., H) cell and output of the step before; replaced by the new ones.
    """
    _, _, o, tanh_c = lstm_cell_forward(sums, c, h)
    tanh_c.mul_(o)  # which is h


def _saved_step(
    sums: Tensor, gates: Tensor, cell: Tensor, squashed: Tensor, hidden: Tensor, after: Tensor
) -> None:
    """One step that keeps what its gradient needs.

    Args:
        sums: (B, 4H) of the gates.
        gates, squashed, hidden, after: to be filled with the activated gates, tanh of the new cell,
            the output and the new cell, each in its own precision.
        cell: (B, H) in the weights' precision; replaced by the new cell.
    """
    i_and_f, g, o, tanh_c = lstm_cell_forward(sums.to(cell.dtype), cell)
    torch.cat((i_and_f, g, o), dim=1, out=gates)
    after.copy_(cell)
    squashed.copy_(tanh_c)
    hidden.copy_(tanh_c.mul_(o))


class _Fused:
    """The gate arithmetic as it runs: plain, or compiled into one pass over memory."""

    forward = staticmethod(_saved_step)
    backward = staticmethod(lstm_cell_backward)


def require_compiler(what: str = "compiling") -> None:
    """Make sure that there is the C++ compiler that ``torch.compile`` uses.

    Raises:
        OptionError: there is none.
    """
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise OptionError(f"{what} wants a C++ compiler, and there is no {compiler}; do without it")


def compile_recurrence() -> None:
    """Fuse the gate arithmetic by ``torch.compile`` from now on, in this process. The results
    differ in rounding alone.

    Raises:
        OptionError: there is no C++ compiler.
    """
    require_compiler("fusing")
    from torch._dynamo import config as dynamo

    # A version for each shape in a model; shapes beyond the limit run uncompiled.
    limit = "recompile_limit" if hasattr(dynamo, "recompile_limit") else "cache_size_limit"
    setattr(dynamo, limit, 64)
    _Fused.forward = staticmethod(torch.compile(_saved_step, dynamic=False))
    _Fused.backward = staticmethod(torch.compile(lstm_cell_backward, dynamic=False))


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, weight: Tensor, h: Tensor, c: Tensor, reverse: bool
    ) -> tuple[Tensor, Tensor]:
        steps, batch, width = projected.shape
        lowers = torch.is_autocast_enabled("cpu") and weight.dtype == torch.float32
        low = torch.get_autocast_dtype("cpu") if lowers else h.dtype
        gates = projected.new_empty(steps, batch, width, dtype=low)
        squashed = projected.new_empty(steps, batch, width // 4, dtype=low)
        before, hidden = _chain(squashed, h, reverse)
        cells, after = _chain(squashed, c, reverse)
        cell = c.to(weight.dtype, copy=True)
        product = _product(weight, low)
        sequences = before, projected, gates, squashed, hidden, after
        for past, share, gate, *states in _walk(reverse, *sequences):
            _Fused.forward(product(past, share), gate, cell, *states)
        ctx.reverse = reverse
        ctx.save_for_backward(gates, cells, squashed, before, weight)
        return hidden, cell

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        gates, cells, squashed, before, weight = ctx.saved_tensors
        grad_hidden, grad_cell = grads
        grad_gates = torch.empty_like(gates)
        dc = grad_cell.to(weight.dtype, copy=True)
        dh = torch.zeros_like(dc)
        product = _product(weight.t(), gates.dtype)
        sequences = grad_gates, grad_hidden, gates, cells, squashed
        for grad, grad_h, *made in _walk(not ctx.reverse, *sequences):
            _Fused.backward(grad, grad_h, dh, dc, *made)
            dh = product(grad)
        grad_weight = None
        if ctx.needs_input_grad[1]:
            grad_weight = weight_gradient(grad_gates.flatten(0, 1), before.flatten(0, 1))
            grad_weight = grad_weight.to(weight.dtype)
        return grad_gates, grad_weight, dh, dc, None


def _chain(like: Tensor, start: Tensor, reverse: bool) -> tuple[Tensor, Tensor]:
    """Allocate the states before and after each step, (T, B, H) each, in one tensor of the dtype
    and device of `like`; `start` is the state before the step that runs first."""
    states = like.new_empty(len(like) + 1, *like.shape[1:])
    states[-1 if reverse else 0] = start
    return (states[1:], states[:-1]) if reverse else (states[:-1], states[1:])


def _walk(reverse: bool, *sequences: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Iterate over each step's items of all sequences (T, ...), from the first step or from the
    last."""
    steps = list(zip(*(sequence.unbind() for sequence in sequences), strict=True))
    return reversed(steps) if reverse else iter(steps)


def _product(weight: Tensor, low: torch.dtype) -> Product:
    if low == torch.bfloat16:
        return prepare(weight, dtype=BFLOAT16)
    return prepare(weight.to(low))


def recur(
    projected: Tensor, weight: Tensor, h: Tensor, c: Tensor, *, reverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Run an LSTM layer whose input projection and biases are already in `projected`.

    Args:
        projected: (T, B, 4H).
        weight: (4H, H), recurrent.
        h, c: (B, H), the start state.
        reverse: run the last step first.

    Returns:
        Outputs (T, B, H) in the order of the steps, in bfloat16 if autocast asks for it; and the
        cell after the step that was run last, (B, H).
    """
    outputs, cell = apply(_Recurrence, projected, weight, h, c, reverse)
    return outputs, cell


def unroll(
    shares: Callable[[int, int, int], Tensor],
    product: Product,
    h: Tensor,
    c: Tensor,
    counts: Sequence[int],
    *,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Run an LSTM layer without a gradient, over sequences of lengths of their own.

    Args:
        shares: gives the input's share of the gates, biases included, (steps, B', 4H), from one
            step to before another, for the first B' sequences. It is overwritten.
        product: of the recurrent weight.
        h, c: (B, H), the start state of sequences that are ordered from long to short.
        counts: the number of sequences that reach each step.
        reverse: read each sequence from its end.

    Returns:
        Outputs (T, B, H) in the order of the steps, zeros beyond a sequence's end; and each
        sequence's output that was computed last, (B, H).
    """
    h, c = h.clone(), c.clone()
    batch, units = h.shape
    outputs = h.new_zeros(len(counts), batch, units)
    stride = max(1, _SHARES // max(1, 4 * units * batch))
    starts = range(0, len(counts), stride)
    for start in reversed(starts) if reverse else starts:
        stop = min(start + stride, len(counts))
        chunk = shares(start, stop, counts[start])
        for t in range(stop - 1, start - 1, -1) if reverse else range(start, stop):
            rows = counts[t]
            gates = product(h[:rows], chunk[t - start, :rows])
            lstm_step(gates, c[:rows], h[:rows])
            outputs[t, :rows] = h[:rows]
    return outputs, h
