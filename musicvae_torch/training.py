"""Training a MusicVAE on a data set of windows, with Lightning.

The objective is Magenta's (``music_vae.base_model``): the mean reconstruction loss plus
``beta`` times the mean of what the KL divergence of an example has above its free bits. Its
optimiser settings are Magenta's too: Adam, the gradient's norm clipped at 1, and a learning
rate that decays exponentially to a floor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.dataset import Windows, training_batches
from musicvae_torch.model import MusicVAE
from musicvae_torch.notes.trio import PARTS


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
        grad_clip: largest norm of the gradient.
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
    grad_clip: float = 1.0
    max_transpose: int = 5
    validate_every: int = 500
    seed: int = 0

    def learning_rate_at(self, step: int) -> float:
        span = self.learning_rate - self.min_learning_rate
        return span * self.decay_rate**step + self.min_learning_rate


def one_hot(tokens: Tensor, depths: tuple[int, ...]) -> Tensor:
    """(..., parts) int64 classes → (..., sum of depths) float32 rows, part beside part."""
    rows = [functional.one_hot(tokens[..., i], depth) for i, depth in enumerate(depths)]
    return torch.cat(rows, dim=-1).float()


def standard_normal_kl(posterior: Normal) -> Tensor:
    """KL divergence from the prior, summed over the latent: (batch,), in nats."""
    prior = Normal(torch.zeros_like(posterior.mean), torch.ones_like(posterior.stddev))
    return kl_divergence(posterior, prior).sum(-1)


class MusicVAETraining(lightning.LightningModule):
    """The training and validation steps of a MusicVAE; batches are (batch, steps, parts) tokens."""

    def __init__(self, config: MusicVAEConfig, options: TrainingOptions) -> None:
        super().__init__()
        self.options = options
        self.model = MusicVAE(config)

    def elbo_terms(self, tokens: Tensor, noise: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits, targets, and each window's reconstruction loss and KL divergence in nats."""
        targets = one_hot(tokens, self.model.config.output_depths)
        posterior = self.model.encode(targets)
        z = posterior.rsample() if noise else posterior.mean
        logits = self.model.teacher_force(z, targets)
        losses = self.model.reconstruction_loss(logits, targets)
        return logits, targets, losses, standard_normal_kl(posterior)

    def training_step(self, tokens: Tensor, _: int) -> Tensor:
        _, _, losses, kl = self.elbo_terms(tokens, noise=True)
        free_nats = self.options.free_bits * math.log(2.0)
        loss = losses.mean() + self.options.max_beta * (kl - free_nats).clamp(min=0).mean()
        self.log_dict({"train/nats": losses.mean(), "train/kl": kl.mean()}, prog_bar=True)
        return loss

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        logits, targets, losses, kl = self.elbo_terms(batch[0], noise=False)
        scores = {"val/nats": losses.mean(), "val/kl": kl.mean()}
        depths = self.model.config.output_depths
        for name, guess, truth in zip(
            PARTS, logits.split(depths, -1), targets.split(depths, -1), strict=True
        ):
            right = guess.argmax(-1) == truth.argmax(-1)
            scores[f"val/accuracy_{name}"] = right.float().mean()
        self.log_dict(scores, batch_size=len(losses))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.options.learning_rate)

    def on_train_batch_start(self, _batch: Tensor, _index: int) -> None:
        rate = self.options.learning_rate_at(self.global_step)
        optimizer = self.optimizers()
        assert isinstance(optimizer, torch.optim.Optimizer)
        for group in optimizer.param_groups:
            group["lr"] = rate


class _TrainingStream(IterableDataset):
    """Batches from the one that the trainer's step counter stands at."""

    def __init__(self, module: lightning.LightningDataModule, windows: Windows) -> None:
        self.module = module
        self.windows = windows

    def __iter__(self) -> Iterator[Tensor]:
        trainer, options = self.module.trainer, self.module.options
        start = trainer.global_step if trainer else 0
        batches = training_batches(
            self.windows, options.batch_size, options.max_transpose, options.seed, start
        )
        return map(torch.from_numpy, batches)


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
        tokens = torch.from_numpy(self.validation.tokens.astype("int64"))
        return DataLoader(TensorDataset(tokens), batch_size=self.options.batch_size)


def fit(
    module: lightning.LightningModule,
    data: lightning.LightningDataModule,
    options: TrainingOptions,
    work: str | Path,
    device: str = "auto",
    monitor: str = "val/nats",
) -> lightning.Trainer:
    """Train until `options.steps`, or go on where a training in `work` was stopped.

    Args:
        module, data: what to train on what.
        options: steps, clipping, validation.
        work: folder for checkpoints (the last and the best) and metrics.csv.
        device: "auto", "cpu" or "cuda".
        monitor: the validation score whose lowest value is the best.

    Returns:
        The trainer; ``trainer.checkpoint_callback.best_model_path`` is the best checkpoint.
    """
    work = Path(work)
    checkpoints = ModelCheckpoint(
        dirpath=work, filename="best", monitor=monitor, save_last=True, enable_version_counter=False
    )
    trainer = lightning.Trainer(
        accelerator={"cuda": "gpu"}.get(device, device),
        devices=1,
        max_steps=options.steps,
        gradient_clip_val=options.grad_clip,
        val_check_interval=options.validate_every,
        check_val_every_n_epoch=None,
        callbacks=[checkpoints, TQDMProgressBar(refresh_rate=10)],
        logger=CSVLogger(work, name="", version="log"),
        log_every_n_steps=50,
        num_sanity_val_steps=0,
    )
    last = work / "last.ckpt"
    trainer.fit(module, data, ckpt_path=str(last) if last.is_file() else None)
    return trainer
