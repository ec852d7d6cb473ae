"""The LSTM recurrence with its own backward pass, for CPUs.

PyTorch's CPU LSTM multiplies dense inputs and saves every intermediate of every step. Here the
input's share of the gates comes ready made (for one-hot inputs it is a row look-up), all steps
write into one buffer, and the recurrent weight's gradient is one product at the end. On CUDA,
cuDNN's LSTM is better than either.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Recurrence(torch.autograd.Function):
    """Gates in the order input, forget, cell, output; T steps, B batch, H units."""

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, weight: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor]:
        steps, batch, width = projected.shape
        units = width // 4
        gates = torch.empty_like(projected)
        cells = projected.new_empty(steps + 1, batch, units)
        squashed = projected.new_empty(steps, batch, units)  # tanh of the cells
        hidden = projected.new_empty(steps + 1, batch, units)
        cells[0], hidden[0] = c, h
        for t in range(steps):
            gate = torch.addmm(projected[t], hidden[t], weight.t(), out=gates[t])
            gate[:, : 2 * units].sigmoid_()
            gate[:, 2 * units : 3 * units].tanh_()
            gate[:, 3 * units :].sigmoid_()
            take, keep, new, show = gate.split(units, dim=1)
            torch.mul(keep, cells[t], out=cells[t + 1]).addcmul_(take, new)
            torch.tanh(cells[t + 1], out=squashed[t])
            torch.mul(show, squashed[t], out=hidden[t + 1])
        ctx.save_for_backward(gates, cells, squashed, hidden, weight)
        return hidden[1:], cells[steps]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        gates, cells, squashed, hidden, weight = ctx.saved_tensors
        grad_hidden, grad_cell = grads
        units = weight.shape[1]
        grad_gates = torch.empty_like(gates)
        dc = grad_cell.clone()
        dh = torch.zeros_like(dc)
        for t in range(len(gates) - 1, -1, -1):
            take, keep, new, show = gates[t].split(units, dim=1)
            grad_gate = grad_gates[t]
            d_take, d_keep, d_new, d_show = grad_gate.split(units, dim=1)
            dh = dh + grad_hidden[t]
            dc += torch.ops.aten.tanh_backward(dh * show, squashed[t])
            torch.mul(dh, squashed[t], out=d_show).mul_(show).mul_(1 - show)
            torch.mul(dc, new, out=d_take)
            torch.mul(dc, cells[t], out=d_keep)
            sigmoids = gates[t][:, : 2 * units]
            grad_gate[:, : 2 * units].mul_(sigmoids).mul_(1 - sigmoids)
            torch.mul(dc, take, out=d_new).mul_(1 - new * new)
            dc *= keep
            dh = grad_gate @ weight
        grad_weight = grad_gates.flatten(0, 1).t() @ hidden[:-1].flatten(0, 1)
        return grad_gates, grad_weight, dh, dc


def recur(projected: Tensor, weight: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Run an LSTM layer whose input projection and biases are already in `projected`.

    Args:
        projected: (T, B, 4H).
        weight: (4H, H), recurrent.
        h, c: (B, H), the start state.

    Returns:
        Outputs of all steps, (T, B, H), and the last cell, (B, H).
    """
    return _Recurrence.apply(projected, weight, h, c)
