"""Steps of training by hand, as Lightning takes them."""

from __future__ import annotations

from typing import Any

from musicvae_torch.training import MusicVAETraining
from musicvae_torch.training.optimizer import clip_gradients
from surrogate.training.band.module import BandTraining


def training_losses(
    module: MusicVAETraining | BandTraining, batch: Any, steps: int = 3
) -> list[float]:
    """The loss of each step of training on the same batch, which is on the module's device."""
    optimizer, losses = module.configure_optimizers(), []
    for _ in range(steps):
        loss = module.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        clip_gradients(module.parameters(), 1.0, 1e6)
        optimizer.step()
        losses.append(float(loss))
    return losses
