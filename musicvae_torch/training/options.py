"""How to train, in one dataclass."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.dataset.augment import default_shift
from musicvae_torch.dataset.batches import DRAWS
from musicvae_torch.errors import OptionError
from musicvae_torch.hyperparameters import HYPERPARAMETER_NAMES, Hyperparameters, hyperparameters_of

CHOICES = {
    "draw": DRAWS,
    "schedule": ("exponential", "cosine", "linear"),
    "optimizer": ("adam", "muon"),
    "start": ("magenta", "glorot"),
}


@dataclass(frozen=True)
class TrainingOptions:
    """How to train; the defaults are Magenta's for its hierarchical trios, but for batch and
    length. :meth:`of` gives those of any config.

    Attributes:
        batch_size: windows a step, on each device.
        steps: optimiser steps in all.
        max_beta, free_bits, beta_rate, sampling_schedule, sampling_rate, dropout_keep_prob: of a
            MusicVAE's objective; see :class:`Hyperparameters`.
        learning_rate, decay_rate, min_learning_rate: the rate at step t is
            (learning_rate - min) * decay_rate**t + min.
        schedule: "exponential", that rate; "cosine", from learning_rate to 0 along half a cosine
            over all steps; or "linear", learning_rate and over the last quarter of all steps in a
            straight line to 0, so that a training that has not come so far may be made longer.
        warmup: steps over which the rate rises to that, in even steps.
        optimizer: "adam", TensorFlow's; or "muon", with Adam for all but the LSTMs' matrices.
        muon_learning_rate: Muon's rate where Adam's is learning_rate; it goes the same way.
        start: "magenta", whose latent begins with next to no effect; or "glorot", which draws the
            layers about the latent as wide as all others, and so learns sooner.
        fuse: compile the gate arithmetic of CPUs, for speed; wants a C++ compiler.
        adam_beta2: decay of Adam's second moment.
        grad_clip: longer gradients are scaled down to this norm.
        grad_norm_limit: a step whose gradient is as long as this, or longer, before scaling,
            counts as an explosion: its gradient is set to zero (Magenta's
            grad_norm_clip_to_zero).
        max_transpose: training windows are shifted at random by up to this many semitones.
        draw, temper: how windows are drawn; see ``musicvae_torch.dataset.batches.draw_batches``.
        accumulate: batches whose gradients are averaged for one step.
        validate_every: steps between validations.
        seed: of the weights, the batches, the posterior noise, the dropout and the sampling.
    """

    batch_size: int = 32
    steps: int = 20_000
    max_beta: float = 0.2
    free_bits: float = 256
    beta_rate: float = 0.0
    sampling_schedule: str = "constant"
    sampling_rate: float = 0.0
    dropout_keep_prob: float = 1.0
    learning_rate: float = 1e-3
    decay_rate: float = 0.9999
    min_learning_rate: float = 1e-5
    schedule: str = "exponential"
    warmup: int = 0
    optimizer: str = "adam"
    muon_learning_rate: float = 0.006
    start: str = "magenta"
    fuse: bool = False
    adam_beta2: float = 0.999
    grad_clip: float = 1.0
    grad_norm_limit: float = 10_000
    max_transpose: int = 5
    draw: str = "songs"
    temper: float = 0.5
    accumulate: int = 1
    validate_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        least = dict.fromkeys(("batch_size", "steps", "accumulate", "validate_every"), 1)
        least |= dict.fromkeys(("max_transpose", "seed", "warmup"), 0)
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise OptionError(f"{name} must be at least {bound}, not {getattr(self, name)}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise OptionError(
                    f"unknown {name} {getattr(self, name)!r}; choose one of: {', '.join(choices)}"
                )
        _ = self.hyperparameters  # which says what is wrong with them

    @classmethod
    def of(cls, config: MusicVAEConfig, **changes: Any) -> TrainingOptions:
        """Magenta's hyperparameters for `config`, shifts that fit it, and what is changed."""
        own = asdict(hyperparameters_of(config)) | {"max_transpose": default_shift(config)}
        return cls(**(own | changes))

    @property
    def hyperparameters(self) -> Hyperparameters:
        return Hyperparameters(**{name: getattr(self, name) for name in HYPERPARAMETER_NAMES})

    def learning_rate_at(self, step: int) -> float:
        """The rate at a step, the first being 0; in float32, as Magenta computes it."""
        return self._scheduled_rate(step) * min(1.0, (step + 1) / max(self.warmup, 1))

    def _scheduled_rate(self, step: int) -> float:
        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * min(step / self.steps, 1.0))) / 2
        if self.schedule == "linear":
            return self.learning_rate * min(max(4 * (1 - step / self.steps), 0.0), 1.0)
        span = np.float32(self.learning_rate - self.min_learning_rate)
        decayed = np.float32(self.decay_rate) ** np.float32(step)
        return float(span * decayed + np.float32(self.min_learning_rate))
