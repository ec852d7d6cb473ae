"""An average of the weights of a training's steps, with Lightning's callback."""

from __future__ import annotations

from functools import partial
from typing import Any

import lightning
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

# Where Lightning puts the trained weights in a checkpoint whose "state_dict" is the average.
TRAINED = "current_model_state"


class ExponentialAverage(WeightAveraging):
    """Keeps an exponential moving average of the weights, which takes their place in validations
    and in the "state_dict" of checkpoints, but not in the training.

    The average starts as the weights after the first step.

    Args:
        share: of itself that the average keeps at each step, above 0 and below 1.
    """

    def __init__(self, share: float) -> None:
        # Lightning's own class for this holds a closure, which cannot be sent to other processes.
        super().__init__(avg_fn=partial(_moved, share))

    def on_train_start(
        self, _trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Put the average where the module is, which Lightning moves only after it was copied, so
        that weights do not go to the CPU at each step."""
        assert self._average_model is not None
        self._average_model.to(pl_module.device)

    def on_train_end(self, *_: Any) -> None:
        """Leave the trained weights in the module, where Lightning would put the average: a
        finished training can be made longer, and then goes on from them."""


def _moved(share: float, average: Tensor, trained: Tensor, _steps: Tensor | int) -> Tensor:
    return average.lerp(trained, 1 - share)
