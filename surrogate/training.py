"""Training a surrogate encoder against the posterior of a trained MusicVAE."""

from __future__ import annotations

import lightning
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from musicvae_torch.model import MusicVAE
from musicvae_torch.notes.trio import PARTS
from musicvae_torch.training import TrainingOptions, one_hot, standard_normal_kl
from surrogate.model import SurrogateConfig, SurrogateEncoder


class SurrogateTraining(lightning.LightningModule):
    """Brings the surrogate's distribution, given the melody, close to the trio's posterior.

    The loss is the KL divergence from posterior to prediction, summed over the latent. Batches
    are (batch, steps, parts) tokens; the posterior is computed as they come, so that windows may
    be transposed at random.
    """

    def __init__(
        self, musicvae: MusicVAE, config: SurrogateConfig, options: TrainingOptions
    ) -> None:
        super().__init__()
        self.options = options
        self.surrogate = SurrogateEncoder(config)
        # In a list, so that the frozen model is neither trained nor stored.
        self._musicvae = [musicvae.eval().requires_grad_(False)]

    def on_fit_start(self) -> None:
        self._musicvae[0].to(self.device)

    def divergence(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One-hot rows, the predicted mean, and each window's KL divergence in nats."""
        musicvae = self._musicvae[0]
        targets = one_hot(tokens, musicvae.config.output_depths)
        with torch.no_grad():
            posterior = musicvae.encode(targets)
        predicted = self.surrogate(targets[..., : self.surrogate.config.input_depth])
        return targets, predicted.mean, kl_divergence(posterior, predicted).sum(-1)

    def training_step(self, tokens: Tensor, _: int) -> Tensor:
        loss = self.divergence(tokens)[2].mean()
        self.log("train/kl", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        targets, z, divergence = self.divergence(batch[0])
        musicvae = self._musicvae[0]
        losses = musicvae.part_losses(musicvae.teacher_force(z, targets), targets).sum(1).mean(0)
        scores = {"val/kl": divergence.mean()}
        scores |= {f"val/nats_{name}": loss for name, loss in zip(PARTS, losses, strict=True)}
        scores["val/kl_of_prior"] = standard_normal_kl(musicvae.encode(targets)).mean()
        self.log_dict(scores, batch_size=len(targets))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.surrogate.parameters(), lr=self.options.learning_rate)
