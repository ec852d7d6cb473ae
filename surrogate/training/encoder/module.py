"""Training surrogate encoders against the posterior of a trained MusicVAE, with Lightning.

Two trainings: SurrogateTraining, of a distribution from any parts, and PointTraining, which is
that of accompany-music-vae. Both work by hand as well as by their commands' functions in
``surrogate.training.encoder.train``::

    options = TrainingOptions(batch_size=32, steps=2000)
    data = WindowsDataModule(*read_sides("data.h5", None), options)
    module = SurrogateTraining(musicvae, config, options)
    best = fit(module, data, options, "work", monitor="val/kl")
    load_best(module, best)
    module.surrogate.save_pretrained("my_surrogate")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from musicvae_torch.converters.trio import PARTS
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import ScheduledTraining, TrainingOptions, standard_normal_kl
from surrogate.encoder.model import PointSurrogate, SurrogateConfig, SurrogateEncoder
from surrogate.training.encoder.masks import draw_masks
from surrogate.training.encoder.options import MASKS, SurrogateObjective, mask_name

_MASKS, _NOISE = 2, 3  # kinds of draws, beside those of batches


class _AgainstPosterior(ScheduledTraining):
    """What both trainings share: the frozen trio, and scores that need no surrogate.

    Batches are (batch, steps, parts) tokens, whose posterior is computed as they come, so that
    windows may be transposed at random; or a list of these and the posterior's mean (batch,
    z_size), and its stddev where it is known.
    """

    def __init__(self, musicvae: MusicVAE | None, options: TrainingOptions) -> None:
        super().__init__(options)
        # In a list, so that the frozen model is neither trained nor stored.
        self._frozen = [] if musicvae is None else [musicvae.eval().requires_grad_(False)]
        self._constants: dict[int, dict[str, Tensor]] = {}

    def on_fit_start(self) -> None:
        for musicvae in self._frozen:
            musicvae.to(self.device)

    @property
    def musicvae(self) -> MusicVAE:
        """The frozen trio."""
        return self._frozen[0]

    def posterior_of(
        self, tokens: Tensor, mean: Tensor | None = None, stddev: Tensor | None = None
    ) -> Normal:
        """The trio's posterior, as given or else computed."""
        if mean is not None and stddev is not None:
            return Normal(mean, stddev, validate_args=False)
        with torch.no_grad():
            return self.musicvae.encode(tokens)

    def part_nats(self, z: Tensor, tokens: Tensor) -> Tensor:
        """What the trio's decoder, teacher-forced, loses on each part: (batch, parts)."""
        logits = self.musicvae.teacher_force(z, tokens)
        return self.musicvae.part_losses(logits, tokens).sum(1)

    def surrogate_scores(
        self, z: Tensor, tokens: Tensor, given: Sequence[str]
    ) -> dict[str, Tensor]:
        """Mean nats of each part, and of all that were not given, from the surrogate's latents."""
        scores = self.source_scores("surrogate", z, tokens)
        hidden = [scores[f"val/surrogate_nats_{part}"] for part in PARTS if part not in given]
        return scores | {"val/hidden_nats": torch.stack(hidden).sum()}

    def source_scores(self, source: str, z: Tensor, tokens: Tensor) -> dict[str, Tensor]:
        """Mean nats of each part, decoded from a source's latents."""
        nats = self.part_nats(z, tokens).mean(0)
        return {f"val/{source}_nats_{part}": value for part, value in zip(PARTS, nats, strict=True)}

    def constant_scores(self, index: int, tokens: Tensor, mean: Tensor) -> dict[str, Tensor]:
        """Scores of validation batch `index` that no training changes: from the encoder's latent
        and from the prior's mean. Computed once."""
        if index not in self._constants:
            self._constants[index] = self.source_scores("encoder", mean, tokens)
            zeros = torch.zeros_like(mean)
            self._constants[index] |= self.source_scores("prior_mean", zeros, tokens)
        return self._constants[index]

    def batch_draws(self, kind: int, index: int) -> np.random.Generator:
        """The draws of a kind for the batch that Lightning counts as `index`.

        They are made from the seed, the step, the batch within it and the rank alone, so that a
        resumed training repeats them.
        """
        batch = index % self.options.accumulate
        return np.random.default_rng(
            [self.options.seed, self.global_step, kind, batch, self.global_rank]
        )


class SurrogateTraining(_AgainstPosterior):
    """Brings the surrogate's distribution, given some parts, close to the trio's posterior.

    The loss is the KL divergence from posterior to prediction, summed over the latent, and with
    `decoder_weight` what the trio's frozen decoder makes of the prediction. Which parts of a
    window are given is drawn at random.

    Args:
        musicvae: the trio; it is frozen, and moved to where the training runs.
        config: sizes of the surrogate.
        options: how to train.
        objective: what to train; None: the defaults.

    Raises:
        OptionError: no mask has a weight that leaves only parts which the surrogate hears.
    """

    def __init__(
        self,
        musicvae: MusicVAE,
        config: SurrogateConfig,
        options: TrainingOptions,
        objective: SurrogateObjective | None = None,
    ) -> None:
        super().__init__(musicvae, options)
        self.objective = objective or SurrogateObjective()
        self.surrogate = SurrogateEncoder(config)
        draw_masks(self.objective.masks, config.hears, 1, np.random.default_rng(0))
        if self.objective.decoder_weight:
            # cuDNN has no backward pass otherwise; the decoder itself works the same in both.
            self.musicvae.decoder.train()

    @property
    def main_mask(self) -> tuple[str, ...]:
        """What is given where scores do not say so: the melody, if it can hear it."""
        hears = self.surrogate.hears
        return ("melody",) if "melody" in hears else hears[:1]

    @property
    def masks(self) -> list[tuple[str, ...]]:
        """All that it may be given and is scored for."""
        return [given for given in MASKS if set(given) <= set(self.surrogate.hears)]

    @property
    def monitors(self) -> list[str]:
        """Validation scores whose lowest value may stand for the best weights."""
        own = ["val/kl", "val/hidden_nats", "val/latent_error"]
        return own + [f"val/kl_given_{mask_name(given)}" for given in self.masks]

    def draw_given(self, count: int, index: int) -> Tensor:
        """Which parts the windows of batch `index` are given: (count, parts) bool."""
        rng = self.batch_draws(_MASKS, index)
        masks = draw_masks(self.objective.masks, self.surrogate.hears, count, rng)
        return torch.from_numpy(masks).to(self.device)

    def hidden_nats(
        self, predicted: Normal, tokens: Tensor, given_mask: Tensor, index: int
    ) -> Tensor:
        """What the decoder loses on the hidden parts of batch `index`, playing the prediction:
        (batch,)."""
        z = predicted.mean
        if self.objective.decode_from == "sample":
            rng = self.batch_draws(_NOISE, index)
            noise = rng.standard_normal(tuple(z.shape), np.float32)
            z = z + predicted.stddev * torch.from_numpy(noise).to(z)
        return (self.part_nats(z, tokens) * ~given_mask).sum(-1)

    def training_step(self, batch: Tensor | list[Tensor], index: int) -> Tensor:
        tokens, *codes = [batch] if isinstance(batch, Tensor) else batch
        given_mask = self.draw_given(len(tokens), index)
        predicted = self.surrogate(tokens, given_mask)
        loss = kl_divergence(self.posterior_of(tokens, *codes), predicted).sum(-1).mean()
        self.log("train/kl", loss, prog_bar=True)
        if self.objective.decoder_weight:
            nats = self.hidden_nats(predicted, tokens, given_mask, index).mean()
            self.log("train/hidden_nats", nats, prog_bar=True)
            loss = loss + self.objective.decoder_weight * nats
        return loss

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        tokens, *codes = batch
        posterior = self.posterior_of(tokens, *codes)
        main = self.surrogate.posterior(tokens, self.main_mask)
        scores = {
            "val/kl": kl_divergence(posterior, main).sum(-1).mean(),
            "val/kl_of_prior": standard_normal_kl(posterior).mean(),
            "val/latent_error": functional.mse_loss(main.mean, posterior.mean),
            **self.surrogate_scores(main.mean, tokens, self.main_mask),
            **self.constant_scores(index, tokens, posterior.mean),
        }
        for given in self.masks:
            predicted = self.surrogate.posterior(tokens, given)
            kl = kl_divergence(posterior, predicted).sum(-1).mean()
            scores[f"val/kl_given_{mask_name(given)}"] = kl
        self.log_dict(scores, batch_size=len(tokens), sync_dist=True)

    def record(self) -> dict[str, Any]:
        """The objective as plain JSON data."""
        return asdict(self.objective)


class PointTraining(_AgainstPosterior):
    """The training of accompany-music-vae: mean squared error on the posterior's mean.

    Its optimiser is Keras's RMSprop: rho .9, an epsilon of 1e-7 outside the square root, no
    momentum; all of which PyTorch's does alike. Keras 2.2, with which it was trained, clips by the
    norm of all gradients together (tf.keras clips each by its own), as all trainings here do.

    Args:
        musicvae: the trio, frozen; None: batches hold its codes, and need no more than the melody.
        config: sizes of the surrogate.
        options: how to train; the original's are
            :data:`surrogate.training.encoder.options.SEED_OPTIONS`.
    """

    def __init__(
        self, musicvae: MusicVAE | None, config: SurrogateConfig, options: TrainingOptions
    ) -> None:
        super().__init__(musicvae, options)
        self.surrogate = PointSurrogate(config)

    @property
    def monitors(self) -> list[str]:
        """Validation scores whose lowest value may stand for the best weights."""
        return ["val/latent_error"] + ["val/hidden_nats"] * len(self._frozen)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(
            self.parameters(), lr=self.options.learning_rate, alpha=0.9, eps=1e-7
        )

    def error_of(self, tokens: Tensor, *codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The prediction and the posterior's mean, (batch, z_size), and the mean squared error."""
        mean = codes[0] if codes else self.posterior_of(tokens).mean
        predicted = self.surrogate(tokens[..., PARTS.index("melody")])
        return predicted, mean, functional.mse_loss(predicted, mean)

    def training_step(self, batch: Tensor | list[Tensor], _: int) -> Tensor:
        tensors = [batch] if isinstance(batch, Tensor) else batch
        error = self.error_of(*tensors)[-1]
        self.log("train/latent_error", error, prog_bar=True)
        return error

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        tokens = batch[0]
        predicted, mean, error = self.error_of(*batch)
        scores = {
            "val/latent_error": error,
            "val/latent_error_of_prior_mean": mean.square().mean(),
        }
        if self._frozen:
            scores |= self.surrogate_scores(predicted, tokens, self.surrogate.hears)
            scores |= self.constant_scores(index, tokens, mean)
        self.log_dict(scores, batch_size=len(tokens), sync_dist=True)
