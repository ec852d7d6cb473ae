"""Checking that a stopped training can go on with the model and the options that are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import lightning
import torch
from torch import Tensor

from musicvae_torch.errors import CheckpointError, OptionError
from musicvae_torch.training.averaging import TRAINED
from musicvae_torch.training.optimizer import optimizer_kind
from musicvae_torch.training.options import TrainingOptions

# Where a checkpoint says which error of grooves was learnt.
GROOVE_ERROR = "groove_error"

_ADVICE = "or delete the folder, or give another one for the work"


def check_resumable(
    path: Path, module: lightning.LightningModule, monitor: str, options: TrainingOptions
) -> None:
    """Make sure that a training can go on from a checkpoint.

    Steps, rates, batches, data and precision may differ from before. Sizes, the optimiser, the
    score, the error of grooves and whether weights are averaged may not: the weights, the
    optimiser's state or the trained weights would be lost, or the best so far could not be compared
    with what follows.

    Args:
        path: the checkpoint, in the training's work folder.
        module: what to train.
        monitor: the validation score whose lowest value is the best.
        options: how to go on.

    Raises:
        CheckpointError: it cannot be read.
        OptionError: it is of another model, optimiser, score or error of grooves, or averages where
            this does not.
    """
    try:
        stored = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        weights, optimizers = stored["state_dict"], stored["optimizer_states"]
        before = optimizer_kind(optimizers[0])
    except Exception as error:  # unpickling fails in many ways
        raise CheckpointError(
            f"{path}: no checkpoint to go on from ({error}); {_ADVICE[3:]}"
        ) from None
    work = path.parent
    difference = _difference(weights, module.state_dict())
    if difference:
        raise OptionError(
            f"{work}: the training here is of a model of other sizes: {difference}; ask for the "
            f"same, {_ADVICE}"
        )
    asked = module.configure_optimizers()
    assert isinstance(asked, torch.optim.Optimizer)
    kinds = {
        "optimizer": (before, optimizer_kind(asked.state_dict())),
        # Checkpoints from before there was a choice do not name it.
        "groove-error": (stored.get(GROOVE_ERROR, "squared"), options.groove_error),
    }
    for name, (there, here) in kinds.items():
        if there != here:
            raise OptionError(
                f"{work}: the training here has {name} {there}, and {here} is asked now; ask for "
                f"{there}, {_ADVICE}"
            )
    if (options.average > 0) != (TRAINED in stored):
        there, here = ("an average", "none") if TRAINED in stored else ("no average", "one")
        raise OptionError(
            f"{work}: the training here keeps {there} of the weights, and {here} is asked now; ask "
            f"for the same, {_ADVICE}"
        )
    scores = [state["monitor"] for state in stored["callbacks"].values() if "monitor" in state]
    if scores and monitor not in scores:
        raise OptionError(
            f"{work}: the best of the training here is that by {scores[0]}, and {monitor} is asked "
            f"now; ask for {scores[0]}, {_ADVICE}"
        )


def _difference(stored: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str | None:
    """The first weight that differs, in words, if any does."""
    for name in [*own, *stored]:
        there, here = (
            f"of shape {tuple(side[name].shape)}" if name in side else "missing"
            for side in (stored, own)
        )
        if there != here:
            return f"{name} is {there} there, and {here} in what is asked now"
    return None
