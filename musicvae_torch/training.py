"""Training a MusicVAE on a data set of windows, with Lightning.

The objective is Magenta's (``music_vae.base_model``): the mean reconstruction loss plus
``beta`` times the mean of what the KL divergence of an example has above its free bits. Its
optimiser settings are Magenta's too: Adam, the gradient's norm clipped at 1, and a learning
rate that decays exponentially to a floor.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.dataset import Windows, coded_batches, read_sides, training_batches
from musicvae_torch.devices import pick_device
from musicvae_torch.model import MusicVAE
from musicvae_torch.notes.trio import PARTS

SAVE_EVERY = 60.0  # seconds


@dataclass(frozen=True)
class TrainingOptions:
    """How to train; the defaults are Magenta's for its 16-bar trios, but for batch and length.

    Attributes:
        batch_size: windows a step.
        steps: optimiser steps in all.
        max_beta: weight of the KL divergence.
        free_bits: bits of KL divergence of a window that cost nothing.
        learning_rate, decay_rate, min_learning_rate: the rate at step t is
            (learning_rate - min) * decay_rate**t + min.
        adam_beta2: decay of Adam's second moment.
        grad_clip: longer gradients are scaled down to this norm.
        grad_norm_limit: a step whose gradient is longer than this, before scaling, counts as an
            explosion: its gradient is set to zero (Magenta's grad_norm_clip_to_zero).
        max_transpose: training windows are shifted at random by up to this many semitones.
        validate_every: steps between validations.
        seed: of the weights, the batches and the posterior noise.
    """

    batch_size: int = 32
    steps: int = 20_000
    max_beta: float = 0.2
    free_bits: float = 256
    learning_rate: float = 1e-3
    decay_rate: float = 0.9999
    min_learning_rate: float = 1e-5
    adam_beta2: float = 0.999
    grad_clip: float = 1.0
    grad_norm_limit: float = 10_000
    max_transpose: int = 5
    validate_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("batch_size", "steps", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    def learning_rate_at(self, step: int) -> float:
        span = self.learning_rate - self.min_learning_rate
        return span * self.decay_rate**step + self.min_learning_rate


def standard_normal_kl(posterior: Normal) -> Tensor:
    """KL divergence from the prior, summed over the latent: (batch,), in nats."""
    prior = Normal(torch.zeros_like(posterior.mean), torch.ones_like(posterior.stddev))
    return kl_divergence(posterior, prior).sum(-1)


class ScheduledTraining(lightning.LightningModule):
    """What every training here shares: Adam with a decaying rate, and scores in checkpoints."""

    def __init__(self, options: TrainingOptions) -> None:
        super().__init__()
        self.options = options

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        scores = self.trainer.callback_metrics
        checkpoint["validation_scores"] = {
            name: float(value) for name, value in scores.items() if name.startswith("val/")
        }

    def configure_optimizers(self) -> torch.optim.Optimizer:
        betas = (0.9, self.options.adam_beta2)
        return torch.optim.Adam(self.parameters(), lr=self.options.learning_rate, betas=betas)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), self.options.grad_clip)
        self.log("train/gradient_norm", norm)
        if not norm <= self.options.grad_norm_limit:  # not a number fails this too
            for parameter in self.parameters():
                if parameter.grad is not None:
                    parameter.grad.zero_()

    def on_train_batch_start(self, _batch: Tensor, _index: int) -> None:
        rate = self.options.learning_rate_at(self.global_step)
        optimizer = self.optimizers()
        assert isinstance(optimizer, torch.optim.Optimizer)
        for group in optimizer.param_groups:
            group["lr"] = rate


class MusicVAETraining(ScheduledTraining):
    """The training and validation steps of a MusicVAE; batches are (batch, steps, parts) tokens."""

    def __init__(self, config: MusicVAEConfig, options: TrainingOptions) -> None:
        super().__init__(options)
        self.model = MusicVAE(config)

    def elbo_terms(self, tokens: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, and each window's reconstruction loss and KL divergence in nats, at the
        posterior's mean, or `noise` standard deviations from it."""
        posterior = self.model.encode(tokens)
        z = posterior.mean if noise is None else posterior.mean + posterior.stddev * noise
        logits = self.model.teacher_force(z, tokens)
        losses = self.model.reconstruction_loss(logits, tokens)
        return logits, losses, standard_normal_kl(posterior)

    def posterior_noise(self, batch: int) -> Tensor:
        """The step's standard normal draws, (batch, z_size)."""
        # From the seed and the step alone, so that a resumed training repeats them; the 1 keeps
        # them apart from the draws of `training_batches`.
        rng = np.random.default_rng([self.options.seed, self.global_step, 1])
        shape = batch, self.model.config.z_size
        return torch.from_numpy(rng.standard_normal(shape, np.float32)).to(self.device)

    def training_step(self, tokens: Tensor, _index: int) -> Tensor:
        _, losses, kl = self.elbo_terms(tokens, self.posterior_noise(len(tokens)))
        free_nats = self.options.free_bits * math.log(2.0)
        loss = losses.mean() + self.options.max_beta * (kl - free_nats).clamp(min=0).mean()
        self.log_dict({"train/nats": losses.mean(), "train/kl": kl.mean()}, prog_bar=True)
        return loss

    def validation_step(self, batch: list[Tensor], _index: int) -> None:
        tokens = batch[0]
        logits, losses, kl = self.elbo_terms(tokens, noise=None)
        scores = {"val/nats": losses.mean(), "val/kl": kl.mean()}
        parts = zip(PARTS, logits.split(self.model.config.output_depths, -1), strict=True)
        for index, (name, guess) in enumerate(parts):
            right = guess.argmax(-1) == tokens[..., index]
            scores[f"val/accuracy_{name}"] = right.float().mean()
        self.log_dict(scores, batch_size=len(losses))


class _TrainingStream(IterableDataset):
    """Batches from the one that the trainer's step counter stands at; with their stored codes
    where there are some, and no window is shifted."""

    def __init__(self, module: WindowsDataModule, windows: Windows) -> None:
        self.module = module
        self.windows = windows

    def __iter__(self) -> Iterator[Tensor | list[Tensor]]:
        trainer, options = self.module.trainer, self.module.options
        start = trainer.global_step if trainer else 0
        if self.windows.code_mean is not None and not options.max_transpose:
            for arrays in coded_batches(self.windows, options.batch_size, options.seed, start):
                yield [torch.from_numpy(array) for array in arrays]
        batches = training_batches(
            self.windows, options.batch_size, options.max_transpose, options.seed, start
        )
        yield from map(torch.from_numpy, batches)


class WindowsDataModule(lightning.LightningDataModule):
    """Endless training batches, and the validation windows in order."""

    def __init__(self, training: Windows, validation: Windows, options: TrainingOptions) -> None:
        super().__init__()
        self.training = training
        self.validation = validation
        self.options = options

    def train_dataloader(self) -> DataLoader:
        return DataLoader(_TrainingStream(self, self.training), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        windows = self.validation
        columns = [windows.tokens.astype("int64"), windows.code_mean, windows.code_stddev]
        tensors = [torch.from_numpy(column) for column in columns if column is not None]
        return DataLoader(TensorDataset(*tensors), batch_size=self.options.batch_size)


class _KeepLast(Checkpoint):
    """Saves, now and then, what a stopped training goes on from.

    Only between a step and the next where no validation is due, and after a validation: from
    anywhere else Lightning goes on with a step, or part of a validation, left out.
    """

    def __init__(self, path: Path, validate_every: int) -> None:
        self.path = path
        self.validate_every = validate_every
        self.saved = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        due = trainer.global_step % self.validate_every == 0
        if not due and time.monotonic() - self.saved >= SAVE_EVERY:
            self._save(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, *_: object) -> None:
        self._save(trainer)

    def _save(self, trainer: lightning.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self.saved = time.monotonic()


def fit(
    module: lightning.LightningModule,
    data: lightning.LightningDataModule,
    options: TrainingOptions,
    work: str | Path,
    device: str = "auto",
    monitor: str = "val/nats",
) -> Path:
    """Train until `options.steps`, or go on where a training in `work` was stopped.

    Args:
        module, data: what to train on what.
        options: steps, clipping, validation.
        work: folder for checkpoints (the last and the best) and, for each start, a metrics.csv.
        device: "auto", "cpu" or "cuda".
        monitor: the validation score whose lowest value is the best.

    Returns:
        The best checkpoint so far.

    Raises:
        ValueError: `work` holds the training of another model.
        KeyboardInterrupt: the training was stopped; its state of a minute ago, or less, is in
            `work`.
    """
    work = Path(work)
    best = ModelCheckpoint(
        dirpath=work, filename="best", monitor=monitor, enable_version_counter=False
    )
    last = work / "last.ckpt"
    validate_every = min(options.validate_every, options.steps)  # at least once, for a best
    resumes = last.is_file()
    if resumes:
        _check_resumable(last, module)
    trainer = lightning.Trainer(
        accelerator="gpu" if pick_device(device).type == "cuda" else "cpu",
        devices=1,
        max_steps=options.steps,
        val_check_interval=validate_every,
        check_val_every_n_epoch=None,
        callbacks=[best, _KeepLast(last, validate_every), TQDMProgressBar(refresh_rate=10)],
        logger=CSVLogger(work, name="log"),
        log_every_n_steps=50,
        num_sanity_val_steps=0,
    )
    try:
        trainer.fit(module, data, ckpt_path=str(last) if resumes else None)
    except SystemExit:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from None
    trainer.save_checkpoint(last)
    return Path(best.best_model_path)


def _check_resumable(path: Path, module: lightning.LightningModule) -> None:
    """Make sure that the checkpoint `path` is of a model like `module`'s."""
    advice = "delete the folder, or give another one for the work"
    try:
        stored = torch.load(path, map_location="cpu", mmap=True, weights_only=True)["state_dict"]
    except Exception as error:  # unpickling fails in many ways
        raise ValueError(f"{path}: no checkpoint to go on from ({error}); {advice}") from None
    own = module.state_dict()
    if {name: value.shape for name, value in stored.items()} != {
        name: value.shape for name, value in own.items()
    }:
        raise ValueError(f"{path}: the training of a model of other sizes is here; {advice}")


def train_musicvae(
    data: str | Path,
    validation: str | Path | None,
    out: str | Path,
    config: MusicVAEConfig,
    options: TrainingOptions,
    *,
    work: str | Path | None = None,
    device: str = "auto",
    store: str = "float32",
) -> Path:
    """Train a MusicVAE and write the best of it, by validation, as a checkpoint folder.

    Args:
        data, validation: data sets of build-dataset, of different songs; without the second,
            the songs that `data` has set aside.
        out: folder for the result.
        config: sizes of the model.
        options: how to train.
        work: folder for what a later call needs to go on; None: `out` with ".training" added.
        device: "auto", "cpu" or "cuda".
        store: precision of the stored weights, "float32" or "float16".

    Returns:
        `out`.

    Raises:
        DatasetError: a data set cannot be read.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    sides = read_sides(data, validation, shape=(config.max_seq_len, len(PARTS)))
    windows = WindowsDataModule(*sides, options)
    lightning.seed_everything(options.seed, verbose=False)
    module = MusicVAETraining(config, options)
    best = fit(module, windows, options, work or f"{out}.training", device)
    scores = load_best(module, best)
    record = training_record(windows, options, scores)
    module.model.save_pretrained(out, dtype=getattr(torch, store), records={"training": record})
    return Path(out)


def load_best(module: lightning.LightningModule, best: Path) -> dict[str, float]:
    """Load the weights of a checkpoint of :func:`fit`; the validation scores they had."""
    checkpoint = torch.load(best, map_location="cpu", weights_only=True)
    module.load_state_dict(checkpoint["state_dict"])
    return {"step": checkpoint["global_step"], **checkpoint["validation_scores"]}


def training_record(
    data: WindowsDataModule, options: TrainingOptions, scores: dict[str, float]
) -> dict[str, Any]:
    """What the weights were trained on, how, and how they score, for config.json."""
    sizes = {
        name: {"songs": len(windows.songs), "windows": len(windows.tokens)}
        for name, windows in (("training", data.training), ("validation", data.validation))
    }
    return {"data": sizes, "options": asdict(options), "best": scores}
