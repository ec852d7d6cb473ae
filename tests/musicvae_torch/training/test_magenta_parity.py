"""The first steps of a training against those of real Magenta, from the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from magenta_models import error, golden_folders
from paths import GOLDEN_FILES
from torch import Tensor

from convert_weights.names.magenta import match_layers, to_parameters
from musicvae_torch.config import get_config
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import ModelBatch, MusicVAETraining, TrainingOptions
from musicvae_torch.training.optimizer import clip_gradients, global_norm

GOLDEN = GOLDEN_FILES / "training"
# Relative to the largest value; the worst seen on CPUs are 2e-7 and 2.3e-6.
LOSS, GRADIENT = 2e-6, 1e-5
ON_CUDA = 5  # times as much
# In learning rates, of which a step moves each weight by about one; the worst seen is 0.004, and
# 0.6 with PyTorch's own Adam.
MOVE = 0.01


class Run:
    """One of Magenta's runs, and a training of ours from its weights."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.device = device
        self.loss, self.gradient, self.moved = LOSS, GRADIENT, MOVE
        if device.type == "cuda":
            self.loss, self.gradient, self.moved = (
                ON_CUDA * tolerance for tolerance in (LOSS, GRADIENT, MOVE)
            )
        stored = "hparams.json" if (folder / "hparams.json").is_file() else "parity.json"
        described = json.loads((folder / stored).read_text(encoding="utf-8"))
        hparams = described["hparams"]
        self.arrays = read(folder)
        self.steps = sum(name.endswith("/loss") for name in self.arrays)
        sizes = {name: hparams[name] for name in ("z_size", "enc_rnn_size", "dec_rnn_size")}
        if "nade_num_hidden" in hparams:
            sizes["nade_num_hidden"] = hparams["nade_num_hidden"]
        self.config = get_config(described["config"], **sizes)
        names = ("free_bits", "max_beta", "beta_rate", "learning_rate", "decay_rate", "grad_clip")
        options = TrainingOptions(
            **{name: hparams[name] for name in names},
            min_learning_rate=hparams["min_learning_rate"],
            grad_norm_limit=hparams["grad_norm_clip_to_zero"],
        )
        shapes = {name: value.shape for name, value in MusicVAE(self.config).state_dict().items()}
        self.layers = match_layers(self.config, shapes)
        self.shapes = shapes
        self.training = At(self.config, options)
        self.training.to(device)
        self.training.model.load_state_dict(self.parameters("init"))
        self.optimizer = self.training.configure_optimizers()

    def parameters(self, prefix: str) -> dict[str, Tensor]:
        """Magenta's variables of that prefix, or their gradients, in our names and layouts."""
        found: dict[str, Tensor] = {}
        for layer in self.layers:
            variables = [self.arrays[f"{prefix}/{name}"] for name in layer.variables]
            for name, array in to_parameters(layer, variables).items():
                flat = np.ascontiguousarray(array).reshape(self.shapes[name])
                found[name] = torch.from_numpy(flat.copy()).to(self.device)
        return found

    def batch(self) -> ModelBatch:
        arrays = {
            name: torch.from_numpy(self.arrays[name]) for name in ("inputs", "outputs", "lengths")
        }
        controls = torch.from_numpy(self.arrays["controls"]) if self.config.control_depth else None
        batch = ModelBatch(arrays["inputs"], arrays["outputs"], arrays["lengths"], controls)
        return batch.on(self.device)

    def noise(self) -> Tensor:
        return torch.from_numpy(self.arrays["eps"]).to(self.device)

    def gradients(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and gradients of a step, at Magenta's own number of it."""
        At.global_step = int(self.arrays[f"step{step}/step"])
        At.noise = self.noise()
        self.optimizer.zero_grad()
        loss = self.training.training_step(self.batch(), 0)
        loss.backward()
        named = self.training.model.named_parameters()
        return loss.detach(), {name: p.grad for name, p in named if p.grad is not None}

    def move(self) -> None:
        options, parameters = self.training.options, list(self.training.parameters())
        clip_gradients(parameters, options.grad_clip, options.grad_norm_limit)
        for group in self.optimizer.param_groups:
            group["lr"] = options.learning_rate_at(At.global_step)
        self.optimizer.step()


class At(MusicVAETraining):
    """A training that stands at a given step and draws given noise."""

    global_step = 0
    noise: Tensor

    def posterior_noise(self, batch: int, number: int | None = None) -> Tensor:
        return self.noise


def read(folder: Path) -> dict[str, np.ndarray]:
    """A run's arrays; of a variant, with those that it shares with the plain run."""
    with np.load(folder / "parity.npz") as arrays:
        own = {name: arrays[name] for name in arrays}
    plain = folder.with_name(folder.name.rpartition("_")[0]) / "parity.npz"
    if not plain.is_file():
        return own
    with np.load(plain) as arrays:
        shared = {
            name: arrays[name] for name in arrays if not name.startswith(("step", "after", "grad"))
        }
    return shared | own


@pytest.fixture(params=golden_folders(GOLDEN, "training", "runs"))
def run(request: pytest.FixtureRequest, device: torch.device) -> Run:
    return Run(request.param, device)


pytestmark = pytest.mark.filterwarnings("ignore:You are trying to `self.log")


def test_schedules_are_magentas(run: Run) -> None:
    options = run.training.options
    for step in range(run.steps):
        number = int(run.arrays[f"step{step}/step"])
        beta, rate = (float(run.arrays[f"step{step}/{name}"]) for name in ("losses/kl_beta", "lr"))
        assert (options.hyperparameters.beta_at(number), options.learning_rate_at(number)) == (
            beta,
            rate,
        )


@pytest.mark.usefixtures("implementation")
def test_losses_gradients_and_norm(run: Run) -> None:
    loss, gradients = run.gradients(0)
    assert float(loss) == pytest.approx(float(run.arrays["step0/loss"]), rel=run.loss)
    _, losses, kl = run.training.elbo_terms(run.batch(), run.noise())
    assert error(losses, run.arrays["step0/losses/r_loss"]) <= run.loss
    assert error(kl / np.log(2), run.arrays["step0/losses/kl_bits"]) <= run.loss
    norm = float(global_norm(list(gradients.values())))
    assert norm == pytest.approx(float(run.arrays["step0/global_norm"]), rel=run.loss)
    if any(name.startswith("grad/") for name in run.arrays):
        theirs = run.parameters("grad")
        largest = max(float(value.abs().max()) for value in theirs.values())
        for name, gradient in gradients.items():
            # Some are all but zero, the sum of what cancels out.
            whole = max(float(theirs[name].abs().max()), 1e-4 * largest)
            difference = float((gradient - theirs[name]).abs().max())
            assert difference <= run.gradient * whole, name


@pytest.mark.usefixtures("implementation")
def test_steps_of_training_are_magentas(run: Run) -> None:
    before = {name: value.clone() for name, value in run.training.model.state_dict().items()}
    moved = any(name.startswith("after") for name in run.arrays)
    for step in range(run.steps):
        loss, _ = run.gradients(step)
        theirs = float(run.arrays[f"step{step}/loss"])
        assert float(loss) == pytest.approx(theirs, rel=run.loss), step
        rate = float(run.arrays[f"step{step}/lr"])
        run.move()
        if f"after{step + 1}/encoder/mu/bias" in run.arrays:
            after = run.parameters(f"after{step + 1}")
            for name, ours in run.training.model.state_dict().items():
                difference = float((ours - after[name]).abs().max())
                assert difference <= run.moved * rate, (name, step)
    if not moved:
        for name, ours in run.training.model.state_dict().items():
            assert torch.equal(ours, before[name]), name
