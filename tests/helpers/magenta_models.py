"""Small models that real Magenta saved with random weights, and what Magenta computed with them.

`golden/models` holds one for each config; its README says how they were made. A folder of more,
named by the environment variable MUSICVAE_SHARED, is read in the same way.
"""

from __future__ import annotations

import copy
import json
import os
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from paths import GOLDEN_FILES
from torch import Tensor

from convert_weights.conversion import convert
from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.model.vae import MusicVAE

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

MODELS = GOLDEN_FILES / "models"
SHARED = os.environ.get("MUSICVAE_SHARED")
_WHOLE = 4096  # logits kept of a golden window: all of a short one, some steps of a long one


def golden_folders(golden: Path, shared: str, what: str) -> list[ParameterSet]:
    """The folders in `golden` as parameters of tests, then those of more of Magenta's `what` in the
    folder `shared` of what MUSICVAE_SHARED names: without it, one that is skipped."""
    folders = sorted(folder for folder in golden.iterdir() if folder.is_dir())
    cases = [pytest.param(folder, id=folder.name) for folder in folders]
    if not SHARED:
        why = f"MUSICVAE_SHARED names no folder with more of Magenta's {what}"
        marks = [pytest.mark.shared, pytest.mark.skip(reason=why)]
        return [*cases, pytest.param(None, id="shared", marks=marks)]
    return cases + [
        pytest.param(folder, id=f"shared-{folder.name}", marks=pytest.mark.shared)
        for folder in sorted((Path(SHARED) / "magenta" / shared).iterdir())
    ]


@dataclass(frozen=True)
class Golden:
    """A model converted from Magenta's checkpoint, with Magenta's numbers.

    Attributes:
        folder: of the checkpoint.
        reference: arrays by name, batch first; rows are dense.
        hparams: Magenta's.
        logit_steps: the steps that `logits` and `var_logits` of the reference are of.
    """

    name: str
    folder: Path
    model: MusicVAE
    reference: dict[str, Tensor]
    hparams: dict[str, object]
    logit_steps: Tensor

    @property
    def config(self) -> MusicVAEConfig:
        return self.model.config

    def on(self, device: torch.device) -> Golden:
        """The model and the numbers on a device."""
        if device.type == "cpu":
            return self
        reference = {name: array.to(device) for name, array in self.reference.items()}
        return replace(self, model=copy.deepcopy(self.model).to(device), reference=reference)

    @property
    def controls(self) -> Tensor | None:
        return self.reference["controls"] if self.config.control_depth else None


@cache
def load_golden(folder: Path) -> Golden:
    """Convert the checkpoint in `folder`, named after its config, and read what is beside it."""
    name = folder.name
    with tempfile.TemporaryDirectory() as work:
        convert(folder, name, Path(work) / "model")
        model = MusicVAE.from_pretrained(Path(work) / "model")
    with np.load(folder / "reference.npz") as arrays:
        reference = {key: torch.from_numpy(arrays[key]) for key in arrays}
    hparams = json.loads((folder / "hparams.json").read_text(encoding="utf-8"))["hparams"]
    steps = reference.get("logit_steps", torch.arange(reference["outputs"].shape[1]))
    return Golden(name, folder, model, reference, hparams, steps)


def logit_steps(steps: int, depth: int) -> np.ndarray:
    """Which steps' logits a golden file keeps, for a window of `steps` by `depth`."""
    stride = max(1, steps * depth // _WHOLE)
    # An odd stride, so that each place in a bar comes up.
    return np.arange(min(5, steps - 1), steps, stride | 1)


def error(ours: Tensor | np.ndarray, reference: Tensor | np.ndarray) -> float:
    """Largest difference, relative to the largest value of the reference."""
    a, b = (torch.as_tensor(values).detach().cpu().double() for values in (ours, reference))
    assert a.shape == b.shape
    return float((a - b).abs().max() / b.abs().max())
