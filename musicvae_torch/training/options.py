"""Options of a training."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.dataset.options import DRAWS
from musicvae_torch.hyperparameters import (
    GROOVE_ERRORS,
    HYPERPARAMETER_NAMES,
    SCHEDULES,
    Hyperparameters,
    hyperparameters_of,
)
from musicvae_torch.options import check_options, option

OBJECTIVE = "the objective: The defaults are Magenta's for the config."


def _objective(default: Any, **about: Any) -> Any:
    """A hyperparameter, of which each config has its own default."""
    return option(default, group=OBJECTIVE, usual="", **about)


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training. The defaults, except batch and length, are Magenta's for its
    hierarchical trios; :meth:`of` gives those of any config.

    Attributes:
        steps: total number of optimiser steps.
        batch_size: windows in a step, on each device.
        accumulate: number of batches whose gradients are averaged for one step, if memory is short.
        learning_rate: initial learning rate.
        decay_rate: factor of the learning rate at each step, down to a rate of 0.00001, with the
            exponential schedule.
        min_learning_rate: the rate at step t is (learning_rate - min) * decay_rate**t + min.
        schedule: schedule of the learning rate: exponential, the decay above; cosine, down to 0
            along half a cosine over all steps; linear, down to 0 in a straight line over the last
            quarter of the steps, so that a training that has not come so far can be made longer.
        warmup: steps over which the rate rises linearly to that of the schedule.
        optimizer: adam is TensorFlow's; muon updates the matrices with Muon and everything else
            with Adam, and needs far fewer steps.
        muon_learning_rate: initial learning rate of Muon, which follows the same schedule.
        fuse: compile the gate arithmetic of the LSTMs on CPUs, for speed; this needs a C++
            compiler.
        adam_beta2: decay of Adam's second moment; lower values are steadier.
        grad_clip: longer gradients are scaled down to this norm.
        grad_norm_limit: if the gradient of a step has at least this norm, before clipping, it is
            set to zero, as after an explosion (Magenta's grad_norm_clip_to_zero).
        max_transpose: training windows are transposed at random by up to this many semitones, up or
            down.
        silence_drums: probability that a drum is silent in a training window of a groove, so that
            there are more patterns than were played.
        draw: what is drawn with equal probability: songs (and then one of their windows), windows,
            or sources, the top-level folders of the songs (see temper).
        temper: with draw sources, a source of n songs is drawn with a probability proportional to
            n^P: 0 makes all sources equally likely, 1 all songs.
        average: share of itself that a moving average of the weights keeps at each step; validation
            and the result have the average in place of the weights. 0: no average.
        validate_every: steps between two validations.
        seed: seed of the weights, the batches, the posterior noise, the dropout and the sampling.
        start: how the layers next to the latent are initialised: magenta, with values so small that
            the latent has almost no effect at first; glorot, like all other layers, which learns
            sooner.
        free_bits: bits of KL divergence in a window that cost nothing.
        max_beta: B, the weight of the KL divergence beyond the free bits.
        beta_rate: R; the weight at step t is (1 - R^t) B; 0: B from the second step on.
        sampling_schedule: scheduled sampling: how the probability that the decoder reads a token of
            its own, instead of the song's, depends on the step.
        sampling_rate: K; the probability at step t is K (constant), 1 - K^t (exponential) or 1 - K
            / (K + exp(t / K)) (inverse_sigmoid).
        dropout_keep_prob: share of the LSTM cells' inputs that dropout keeps; 1: all.
        groove_error: error of the velocities and offsets of grooves: squared, as Magenta has it,
            which is least for the mean; or absolute, which is least for the median, for models that
            are told which drums are hit.
    """

    batch_size: int = option(32, least=1, metavar="N")
    steps: int = option(20_000, least=1, metavar="N")
    max_beta: float = _objective(0.2, metavar="B")
    free_bits: float = _objective(256.0, metavar="N")
    beta_rate: float = _objective(0.0, metavar="R")
    sampling_schedule: str = _objective("constant", flag="sampling", choices=SCHEDULES)
    sampling_rate: float = _objective(0.0, metavar="K")
    dropout_keep_prob: float = _objective(1.0, flag="keep", metavar="P")
    groove_error: str = _objective("squared", choices=GROOVE_ERRORS)
    learning_rate: float = option(1e-3, least=0, metavar="R")
    decay_rate: float = option(0.9999, least=0, metavar="R")
    min_learning_rate: float = 1e-5
    schedule: str = option("exponential", choices=("exponential", "cosine", "linear"))
    warmup: int = option(0, least=0, metavar="STEPS")
    optimizer: str = option("adam", choices=("adam", "muon"))
    muon_learning_rate: float = option(0.006, least=0, metavar="R")
    start: str = option("magenta", choices=("magenta", "glorot"), group="the model")
    fuse: bool = option(False)
    adam_beta2: float = option(0.999, least=0, below=1, metavar="B")
    grad_clip: float = 1.0
    grad_norm_limit: float = option(10_000.0, above=0, metavar="N")
    max_transpose: int = option(5, least=0, flag="transpose", metavar="SEMITONES")
    silence_drums: float = option(0.0, least=0, below=1, metavar="P")
    draw: str = option("songs", choices=DRAWS)
    temper: float = option(0.5, least=0, metavar="P")
    accumulate: int = option(1, least=1, metavar="N")
    average: float = option(0.0, least=0, below=1, metavar="SHARE")
    validate_every: int = option(500, least=1, metavar="STEPS")
    seed: int = option(0, least=0, most=2**32 - 1, metavar="N")

    def __post_init__(self) -> None:
        check_options(self)
        _ = self.hyperparameters  # which checks them

    @classmethod
    def of(cls, config: MusicVAEConfig, **changes: Any) -> TrainingOptions:
        """Magenta's hyperparameters for `config` and shifts that fit it, with `changes`."""
        from musicvae_torch.dataset.augment import default_shift

        own = asdict(hyperparameters_of(config)) | {"max_transpose": default_shift(config)}
        return cls(**(own | changes))

    @property
    def hyperparameters(self) -> Hyperparameters:
        return Hyperparameters(**{name: getattr(self, name) for name in HYPERPARAMETER_NAMES})

    def learning_rate_at(self, step: int) -> float:
        """The rate at a step, the first being 0; in float32, as Magenta computes it."""
        return self._scheduled_rate(step) * min(1.0, (step + 1) / max(self.warmup, 1))

    def _scheduled_rate(self, step: int) -> float:
        import numpy as np

        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * min(step / self.steps, 1.0))) / 2
        if self.schedule == "linear":
            return self.learning_rate * min(max(4 * (1 - step / self.steps), 0.0), 1.0)
        span = np.float32(self.learning_rate - self.min_learning_rate)
        decayed = np.float32(self.decay_rate) ** np.float32(step)
        return float(span * decayed + np.float32(self.min_learning_rate))
