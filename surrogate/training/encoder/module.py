"""Training surrogate encoders against the posterior of a trained MusicVAE, with Lightning.

SurrogateTraining works by hand as well as by the function of its command in
``surrogate.training.encoder.train``::

    options = TrainingOptions(batch_size=32, steps=2000)
    data = WindowsDataModule(*read_sides("data.h5", None), options)
    module = SurrogateTraining(musicvae, config, options)
    best = fit(module, data, options, "work", monitor="val/kl")
    load_best(module, best)
    module.surrogate.save_pretrained("my_surrogate")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from musicvae_torch.errors import OptionError
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import ScheduledTraining, TrainingOptions, standard_normal_kl
from musicvae_torch.windows.tensors import ModelBatch
from surrogate.encoder.model import Surrogate, SurrogateConfig, SurrogateEncoder
from surrogate.training.encoder.options import MASKS, SurrogateObjective, mask_name

_MASKS, NOISE = 2, 3  # kinds of draws, beside those of batches


def masks_of(input_parts: Sequence[str]) -> list[tuple[str, ...]]:
    """The masks that give nothing but input parts."""
    return [given for given in MASKS if set(given) <= set(input_parts)]


def draw_masks(
    weights: Mapping[str, float], input_parts: Sequence[str], count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw which parts are given: (count, parts) bool.

    Args:
        weights: how often each mask is drawn, by its name, up to a common factor.
        input_parts: parts that may be given; masks with others are left out.

    Raises:
        OptionError: no mask of these parts has a weight.
    """
    usable = masks_of(input_parts)
    shares = np.array([weights.get(mask_name(given), 0.0) for given in usable])
    if not shares.sum():
        raise OptionError(
            f"no mask has a weight that gives {', '.join(input_parts)} or some of them"
        )
    rows = np.array([[part in given for part in PARTS] for given in usable])
    return rows[rng.choice(len(usable), count, p=shares / shares.sum())]


def batch_draws(module: ScheduledTraining, kind: int, index: int) -> np.random.Generator:
    """The draws of a kind for the batch that Lightning counts as `index`.

    They are made from the seed, the step, the batch within it and the rank alone, so that a
    resumed training repeats them.
    """
    options, batch = module.options, index % module.options.accumulate
    return np.random.default_rng(
        [options.seed, module.global_step, kind, batch, module.global_rank]
    )


class PosteriorTraining(ScheduledTraining):
    """What trainings of surrogates share: the frozen trio, and scores that need no surrogate.

    Batches are those of :class:`WindowsDataModule`. A posterior that a batch does not hold is
    computed as it comes, so that windows may be transposed at random.

    Attributes:
        surrogate: the network that is trained.
        monitors: validation scores whose lowest value may stand for the best weights.
    """

    surrogate: Surrogate
    monitors: list[str]

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

    def posterior_of(self, batch: ModelBatch) -> Normal:
        """The trio's posterior, as the batch holds it or else computed."""
        mean, stddev = batch.posterior_mean, batch.posterior_stddev
        if mean is not None and stddev is not None:
            return Normal(mean, stddev, validate_args=False)
        with torch.no_grad():
            return self.musicvae.encode(batch.inputs)

    def part_nats(self, z: Tensor, tokens: Tensor) -> Tensor:
        """Nats of each part by the trio's decoder, teacher-forced: (batch, parts)."""
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


class SurrogateTraining(PosteriorTraining):
    """Trains the surrogate's distribution, given some parts, towards the trio's posterior.

    The loss is the KL divergence from posterior to prediction, summed over the latent, plus
    `decoder_weight` times the nats of the hidden parts by the trio's frozen decoder. Which parts of
    a window are given is drawn at random.

    Args:
        musicvae: the trio; it is frozen, and moved to where the training runs.
        config: sizes of the surrogate.
        options: how to train.
        objective: losses and masks; None: the defaults.

    Raises:
        OptionError: no mask has a weight that leaves only parts which the surrogate takes.
    """

    surrogate: SurrogateEncoder

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
        self.monitors = ["val/kl", "val/hidden_nats", "val/latent_error"]
        self.masks = masks_of(config.input_parts)
        self.monitors += [f"val/kl_given_{mask_name(given)}" for given in self.masks]
        draw_masks(self.objective.masks, config.input_parts, 1, np.random.default_rng(0))
        if self.objective.decoder_weight:
            # cuDNN has no backward pass otherwise; the decoder itself works the same in both.
            self.musicvae.decoder.train()

    @property
    def main_mask(self) -> tuple[str, ...]:
        """The given parts of scores that do not name them: the melody, if it is an input."""
        input_parts = self.surrogate.input_parts
        return ("melody",) if "melody" in input_parts else input_parts[:1]

    def draw_given(self, count: int, index: int) -> Tensor:
        """Which parts the windows of batch `index` are given: (count, parts) bool."""
        rng = batch_draws(self, _MASKS, index)
        masks = draw_masks(self.objective.masks, self.surrogate.input_parts, count, rng)
        return torch.from_numpy(masks).to(self.device)

    def hidden_nats(
        self, predicted: Normal, tokens: Tensor, given_mask: Tensor, index: int
    ) -> Tensor:
        """Nats of the hidden parts of batch `index`, decoded from the prediction: (batch,)."""
        z = predicted.mean
        if self.objective.decode_from == "sample":
            rng = batch_draws(self, NOISE, index)
            noise = rng.standard_normal(tuple(z.shape), np.float32)
            z = z + predicted.stddev * torch.from_numpy(noise).to(z)
        return (self.part_nats(z, tokens) * ~given_mask).sum(-1)

    def training_step(self, batch: ModelBatch, index: int) -> Tensor:
        tokens = batch.targets
        given_mask = self.draw_given(len(tokens), index)
        predicted = self.surrogate(tokens, given_mask)
        loss = kl_divergence(self.posterior_of(batch), predicted).sum(-1).mean()
        self.log("train/kl", loss, prog_bar=True)
        if self.objective.decoder_weight:
            nats = self.hidden_nats(predicted, tokens, given_mask, index).mean()
            self.log("train/hidden_nats", nats, prog_bar=True)
            loss = loss + self.objective.decoder_weight * nats
        return loss

    def validation_step(self, batch: ModelBatch, index: int) -> None:
        tokens = batch.targets
        posterior = self.posterior_of(batch)
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
