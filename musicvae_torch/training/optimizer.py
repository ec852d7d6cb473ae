"""Adam and the clipping of gradients as in TensorFlow; and Muon, which learns faster."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from musicvae_torch.errors import OptionError
from musicvae_torch.model.lstm import LSTMWeights

EPSILON = 1e-8
# Weight decay of Muon. Without it recurrent matrices grow until the LSTM is chaotic: at a rate of
# .02 gradients were a million times as long after 600 steps.
MUON_DECAY = 0.2


class TensorFlowAdam(torch.optim.Adam):
    """Adam as ``tf.train.AdamOptimizer`` has it.

    Step t moves weights by lr * sqrt(1 - b2**t) / (1 - b1**t) * m / (sqrt(v) + epsilon), while
    PyTorch adds its epsilon to sqrt(v / (1 - b2**t)). The two are equal if PyTorch's epsilon is
    epsilon / sqrt(1 - b2**t), which this class sets at each step. (With a constant epsilon, the
    first steps of tiny gradients differ by up to half a step.)
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
        """Take a step; `closure`, if any, computes the gradients and the loss that is returned."""
        for group in self.param_groups:
            taken = (self.state[p]["step"] for p in group["params"] if self.state.get(p))
            t = float(next(taken, 0.0)) + 1
            group["eps"] = self.epsilon / math.sqrt(1 - group["betas"][1] ** t)
        return super().step(closure)


class MuonWithAdam(torch.optim.Optimizer):
    """Muon for weight matrices and :class:`TensorFlowAdam` for all else.

    Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks") moves a
    matrix along the nearest orthogonal one to its momentum.

    Args:
        module: with the parameters to train.
        lr: Adam's rate.
        muon_lr: Muon's rate; steps have a root mean square comparable to Adam's.
        betas: Adam's.
        matrices: parameters for Muon; None: the weights of LSTMs.

    Raises:
        OptionError: this PyTorch has no Muon.
    """

    def __init__(
        self,
        module: nn.Module,
        lr: float,
        muon_lr: float,
        betas: tuple[float, float],
        matrices: Sequence[Tensor] | None = None,
    ) -> None:
        if not hasattr(torch.optim, "Muon"):
            raise OptionError(f"optimizer muon needs PyTorch 2.9 or newer, not {torch.__version__}")
        if matrices is None:
            matrices = [
                weight
                for part in module.modules()
                if isinstance(part, LSTMWeights)
                for weight in (part.weight_ih, part.weight_hh)
                if weight.requires_grad
            ]
        taken = {id(weight) for weight in matrices}
        others = [p for p in module.parameters() if p.requires_grad and id(p) not in taken]
        self.both = (
            torch.optim.Muon(
                matrices, lr=muon_lr, weight_decay=MUON_DECAY, adjust_lr_fn="match_rms_adamw"
            ),
            TensorFlowAdam(others, lr, betas),
        )
        super().__init__([group for one in self.both for group in one.param_groups], {})
        self._share_groups()

    def _share_groups(self) -> None:
        """Share the groups of both optimisers, so that a rate set here holds there."""
        self.param_groups = [group for one in self.both for group in one.param_groups]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; `closure`, if any, computes the gradients and the loss that is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for one in self.both:
            one.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"both": [one.state_dict() for one in self.both]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for one, state in zip(self.both, state_dict["both"], strict=True):
            one.load_state_dict(state)
        self._share_groups()


def optimizer_kind(state: Mapping[str, Any]) -> str:
    """The optimiser of a state dict: "muon", "adam" or "rmsprop"; raises KeyError for others."""
    if "both" in state:
        return "muon"
    return "rmsprop" if "alpha" in state["param_groups"][0] else "adam"


def clip_gradients(parameters: Iterable[Tensor], longest: float, limit: float) -> Tensor:
    """Scale all gradients down together to a norm of at most `longest`; set them to zero if their
    norm is `limit` or more, or not a number. (Magenta's clip_mode "global_norm".)

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
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors))))
    return norm
