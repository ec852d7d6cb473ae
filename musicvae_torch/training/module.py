"""Trainings as Lightning modules: steps, validation, optimiser, randomness."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.model.heads import GrooveHead
from musicvae_torch.model.lstm import BidirectionalLSTM, InitialState, LSTMStack
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training.objective import elbo_loss, standard_normal_kl
from musicvae_torch.training.optimizer import MuonWithAdam, TensorFlowAdam, clip_gradients
from musicvae_torch.training.options import TrainingOptions
from musicvae_torch.training.resuming import GROOVE_ERROR
from musicvae_torch.windows.scores import add_counts, reconstruction_counts, to_scores
from musicvae_torch.windows.tensors import ModelBatch

# Uses of a step's random numbers; with the seed, the step and the rank they make a seed.
_NOISE, _DROPS, _FREE = 1, 2, 3


class ScheduledTraining(lightning.LightningModule):
    """Base of all trainings: optimiser, schedule of its rate, and scores in checkpoints."""

    def __init__(self, options: TrainingOptions) -> None:
        super().__init__()
        self.options = options

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        scores = self.trainer.callback_metrics
        checkpoint["validation_scores"] = {
            name: float(value) for name, value in scores.items() if name.startswith("val/")
        }
        checkpoint[GROOVE_ERROR] = self.options.groove_error

    def matrices(self) -> list[Tensor] | None:
        """Parameters that the optimiser muon trains by Muon; None: the weights of LSTMs."""
        return None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        own, betas = self.options, (0.9, self.options.adam_beta2)
        if own.optimizer == "muon":
            rates = own.learning_rate, own.muon_learning_rate
            return MuonWithAdam(self, *rates, betas, self.matrices())
        return TensorFlowAdam(self.parameters(), own.learning_rate, betas)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        limits = self.options.grad_clip, self.options.grad_norm_limit
        self.log("train/gradient_norm", clip_gradients(self.parameters(), *limits))

    def on_train_batch_start(self, _batch: Any, _index: int) -> None:
        share = self.options.learning_rate_at(self.global_step) / self.options.learning_rate
        optimizer = self.optimizers()
        assert isinstance(optimizer, torch.optim.Optimizer)
        for group in optimizer.param_groups:
            muon = "ns_steps" in group  # Newton-Schulz iterations, which only Muon has
            full = self.options.muon_learning_rate if muon else self.options.learning_rate
            group["lr"] = full * share


class MusicVAETraining(ScheduledTraining):
    """The training and validation steps of a MusicVAE of any config.

    In a Trainer of your own::

        config = get_config("cat-mel_2bar_small", enc_rnn_size=(128,), dec_rnn_size=(128,))
        options = TrainingOptions.of(config, batch_size=64)
        data = WindowsDataModule.read("melodies.h5", config, options)
        module = MusicVAETraining(config, options)
        lightning.Trainer(max_steps=1000, val_check_interval=500, check_val_every_n_epoch=None).fit(
            module, data
        )
        module.model.save_pretrained("my_melodies")

    Batches are those of :class:`WindowsDataModule`. `options` decide on clipping: the Trainer's
    gradient_clip_val does nothing. Draws depend on the seed, the step and the rank alone, so that a
    resumed training repeats them.

    Args:
        config: sizes of the model.
        options: of the objective and the optimiser.
        model: to start from; None: a new one.
    """

    def __init__(
        self, config: MusicVAEConfig, options: TrainingOptions, model: MusicVAE | None = None
    ) -> None:
        super().__init__(options)
        self.model = (MusicVAE(config) if model is None else model).train()
        if model is None and options.start == "glorot":
            draw_wide_latent(self.model)
        for module in self.model.modules():
            if isinstance(module, LSTMStack | BidirectionalLSTM):
                module.keep = options.dropout_keep_prob
            elif isinstance(module, GrooveHead):
                module.absolute = options.groove_error == "absolute"
        self._hyperparameters = options.hyperparameters
        self._sums: dict[str, Tensor] = {}

    def elbo_terms(
        self,
        batch: ModelBatch,
        noise: Tensor | None,
        sampling: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Encode and reconstruct a batch.

        Args:
            batch: of windows.
            noise: (batch, z_size), by how many standard deviations latents differ from the
                posterior's mean; None: 0.
            sampling, generator: as for :meth:`MusicVAE.teacher_force`.

        Returns:
            Logits, and each window's reconstruction loss and KL divergence in nats.
        """
        posterior = self.model.encode(batch.inputs, batch.lengths, batch.controls)
        z = posterior.mean if noise is None else posterior.mean + posterior.stddev * noise
        logits, losses = self._reconstruct(z, batch, sampling, generator)
        return logits, losses, standard_normal_kl(posterior)

    def _reconstruct(
        self, z: Tensor, batch: ModelBatch, sampling: float, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        logits = self.model.teacher_force(z, batch.targets, batch.controls, sampling, generator)
        return logits, self.model.reconstruction_loss(logits, batch.targets, batch.lengths)

    def posterior_noise(self, batch: int, number: int | None = None) -> Tensor:
        """Standard normal draws for a batch, (batch, z_size).

        `number` counts the batches since the beginning; None: the step's, which is the same unless
        gradients of several batches are accumulated.
        """
        number = self.global_step if number is None else number
        # _NOISE makes them other draws than those of windows; zeros at the end change nothing.
        rng = np.random.default_rng([self.options.seed, number, _NOISE, self.global_rank])
        shape = batch, self.model.config.z_size
        return torch.from_numpy(rng.standard_normal(shape, np.float32)).to(self.device)

    def _batch_number(self, index: int) -> int:
        every = self._trainer.accumulate_grad_batches if self._trainer else 1
        return self.global_step * every + index % every

    @contextmanager
    def _own_draws(self, number: int) -> Iterator[None]:
        """A context in which torch's draws depend on the seed, the batch's number and the rank."""
        if not self._hyperparameters.samples and self._hyperparameters.dropout_keep_prob == 1:
            yield
            return
        seed = [self.options.seed, number, _DROPS, self.global_rank]
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]))
            yield

    def training_step(self, batch: ModelBatch, index: int) -> Tensor:
        number = self._batch_number(index)
        beta = self._hyperparameters.beta_at(self.global_step)
        sampling = self._hyperparameters.sampling_probability_at(self.global_step)
        noise = self.posterior_noise(len(batch.targets), number)
        with self._own_draws(number):
            _, losses, kl = self.elbo_terms(batch, noise, sampling)
        loss = elbo_loss(losses, kl, self.options.free_bits, beta)
        self.log_dict({"train/nats": losses.mean(), "train/kl": kl.mean()}, prog_bar=True)
        schedules: dict[str, float | Tensor] = {
            "step": float(self.global_step),  # from which Lightning's own count strays
            "train/loss": loss.detach(),
            "train/kl_bits": kl.mean() / math.log(2.0),
            "train/beta": beta,
            "train/learning_rate": self.options.learning_rate_at(self.global_step),
        }
        if self._hyperparameters.samples:
            schedules["train/sampling"] = sampling
        self.log_dict(schedules)
        return loss

    def on_validation_epoch_start(self) -> None:
        self._sums = {}

    def validation_step(self, batch: ModelBatch, index: int) -> None:
        """Count what comes back right from the posterior's mean, each step given the true ones
        before it. If the decoder is trained on samples of its own, count it once more, each step
        given those (scores that end in ``_sampled``, as Magenta evaluates such configs)."""
        posterior = self.model.encode(batch.inputs, batch.lengths, batch.controls)
        self._count("kl", standard_normal_kl(posterior))
        generator = torch.Generator(self.device).manual_seed(self.options.seed + _FREE + index)
        ways = {"": 0.0, "_sampled": 1.0} if self._hyperparameters.samples else {"": 0.0}
        for suffix, sampling in ways.items():
            logits, losses = self._reconstruct(posterior.mean, batch, sampling, generator)
            self._count(f"nats{suffix}", losses)
            counts = reconstruction_counts(self.model, logits, batch)
            add_counts(self._sums, {f"{name}{suffix}": pair for name, pair in counts.items()})

    def _count(self, name: str, values: Tensor) -> None:
        add_counts(self._sums, {name: (values.double().sum(), torch.tensor(len(values)))})

    def on_validation_epoch_end(self) -> None:
        # Of all processes together, so that each window counts once.
        total = self.trainer.strategy.reduce(torch.stack([*self._sums.values()]), reduce_op="sum")
        assert isinstance(total, Tensor)
        scores = to_scores(dict(zip(self._sums, total, strict=True)))
        scores["kl_bits"] = scores["kl"] / math.log(2.0)
        logged = {f"val/{name}": score.float() for name, score in scores.items()}
        logged["step"] = torch.tensor(float(self.global_step), device=self.device)
        self.log_dict(logged, sync_dist=True)  # all are equal, but Lightning would warn


def draw_wide_latent(model: MusicVAE) -> None:
    """Initialise the layers about the latent as Glorot uniform, and posteriors with little spread.

    Magenta's standard deviation of .001 leaves these layers without effect for hundreds of steps.
    """
    nn.init.xavier_uniform_(model.encoder.mean.weight)
    nn.init.constant_(model.encoder.stddev.bias, -1.0)
    for part in model.modules():
        if isinstance(part, InitialState):
            nn.init.xavier_uniform_(part.weight)
