"""Adam and the clipping of gradients, as TensorFlow does both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

EPSILON = 1e-8


class TensorFlowAdam(torch.optim.Adam):
    """Adam as ``tf.train.AdamOptimizer`` has it.

    At its step t it moves by lr * sqrt(1 - b2**t) / (1 - b1**t) * m / (sqrt(v) + epsilon), where
    PyTorch adds its epsilon to sqrt(v / (1 - b2**t)). The two are the same where PyTorch's
    epsilon is epsilon / sqrt(1 - b2**t), so this sets it anew at each step and leaves the work to
    PyTorch. (With PyTorch's own, the first steps of tiny gradients differ by up to half a step.)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = EPSILON,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=epsilon)
        self.epsilon = epsilon

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; `closure` may compute the gradients first, and its loss is given back."""
        for group in self.param_groups:
            taken = (self.state[p]["step"] for p in group["params"] if self.state.get(p))
            t = float(next(taken, 0.0)) + 1
            group["eps"] = self.epsilon / math.sqrt(1 - group["betas"][1] ** t)
        return super().step(closure)


def clip_gradients(parameters: Iterable[Tensor], longest: float, limit: float) -> Tensor:
    """Scale all gradients down together to a norm of at most `longest`; set them to zero where
    their norm is `limit` or more, or no number. (Magenta's clip_mode "global_norm".)

    Returns:
        The norm before that, ().
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = global_norm(gradients)
    size = float(norm)
    if not size < limit:
        torch._foreach_zero_(gradients)
    elif size > longest:
        torch._foreach_mul_(gradients, longest / size)
    return norm


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Length of all tensors taken as one vector: ()."""
    if not tensors:
        return torch.zeros(())
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors))))
