"""How Magenta trains each of its configs, as data; and the schedules that these numbers mean.

Facts of Magenta 2.1.4's ``music_vae.configs``, ``base_model.get_default_hparams`` and
``lstm_utils.get_sampling_probability``. Magenta computes its schedules in float32, and so does
this: at step 50,000 float64 would be off in the fourth digit.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.errors import OptionError

SCHEDULES = ("constant", "exponential", "inverse_sigmoid")


@dataclass(frozen=True)
class Hyperparameters:
    """What differs from config to config in training.

    Attributes:
        free_bits: bits of KL divergence of a window that cost nothing.
        max_beta: weight that the KL divergence rises to.
        beta_rate: its weight at step t is (1 - beta_rate**t) * max_beta: with 0, nothing at
            step 0 and max_beta from step 1.
        sampling_schedule, sampling_rate: chance, at each step of each window, that the decoder
            is fed its own sample of the step before instead of the true one: "constant" (the
            rate itself, 0 to 1), "exponential" (1 - rate**t, rate between 0 and 1) or
            "inverse_sigmoid" (1 - k / (k + exp(t / k)), rate k of at least 1).
        dropout_keep_prob: share of each LSTM cell's inputs that is kept in training, above 0.
    """

    free_bits: float = 0.0
    max_beta: float = 1.0
    beta_rate: float = 0.0
    sampling_schedule: str = "constant"
    sampling_rate: float = 0.0
    dropout_keep_prob: float = 1.0

    def __post_init__(self) -> None:
        for name in ("free_bits", "max_beta"):
            if not getattr(self, name) >= 0:
                raise OptionError(f"{name} must be 0 or more, not {getattr(self, name)}")
        if not 0 <= self.beta_rate < 1:
            raise OptionError(f"beta_rate must be from 0 to below 1, not {self.beta_rate}")
        if not 0 < self.dropout_keep_prob <= 1:
            raise OptionError(
                f"dropout_keep_prob must be above 0 and at most 1, not {self.dropout_keep_prob}"
            )
        self._check_sampling()

    def _check_sampling(self) -> None:
        rate = self.sampling_rate
        ranges = {
            "constant": (0 <= rate <= 1, "from 0 to 1"),
            "exponential": (0 < rate < 1, "between 0 and 1"),
            "inverse_sigmoid": (1 <= rate < float("inf"), "at least 1"),
        }
        if self.sampling_schedule not in ranges:
            raise OptionError(
                f"unknown sampling schedule {self.sampling_schedule!r}; choose one of: "
                f"{', '.join(SCHEDULES)}"
            )
        right, wanted = ranges[self.sampling_schedule]
        if not right:
            raise OptionError(
                f"a sampling rate of schedule {self.sampling_schedule} is {wanted}, not {rate}"
            )

    @property
    def samples(self) -> bool:
        """Whether the decoder is ever fed its own samples."""
        return self.sampling_schedule != "constant" or self.sampling_rate > 0

    def beta_at(self, step: int) -> float:
        """Weight of the KL divergence at a step, the first being 0."""
        import numpy as np

        kept = np.float32(self.beta_rate) ** np.float32(step)
        return float((np.float32(1) - kept) * np.float32(self.max_beta))

    def sampling_probability_at(self, step: int) -> float:
        """Chance of feeding a sample back at a training step, the first being 0."""
        import numpy as np

        rate, now = np.float32(self.sampling_rate), np.float32(step)
        if self.sampling_schedule == "constant":
            return float(rate)
        if self.sampling_schedule == "exponential":
            return float(np.float32(1) - rate**now)
        with np.errstate(over="ignore"):  # beyond step 88 k: infinity, whose inverse is 0
            return float(np.float32(1) - rate / (rate + np.exp(now / rate)))


HYPERPARAMETER_NAMES = tuple(field.name for field in fields(Hyperparameters))

_ANNEALED = {"sampling_schedule": "inverse_sigmoid", "sampling_rate": 1000.0}
_DRUMS = Hyperparameters(free_bits=48, max_beta=0.2, **_ANNEALED)  # type: ignore[arg-type]
_GROOVE = Hyperparameters(free_bits=48, max_beta=0.2, dropout_keep_prob=0.3)
_LONG = Hyperparameters(free_bits=256, max_beta=0.2)

HYPERPARAMETERS: dict[str, Hyperparameters] = {
    "cat-mel_2bar_small": Hyperparameters(
        max_beta=0.2,
        beta_rate=0.99999,
        **_ANNEALED,  # type: ignore[arg-type]
    ),
    "cat-mel_2bar_big": Hyperparameters(
        max_beta=0.5,
        beta_rate=0.99999,
        **_ANNEALED,  # type: ignore[arg-type]
    ),
    "cat-mel_2bar_med_chords": Hyperparameters(),
    "cat-drums_2bar_small": _DRUMS,
    "cat-drums_2bar_big": _DRUMS,
    "nade-drums_2bar_reduced": _DRUMS,
    "nade-drums_2bar_full": _DRUMS,
    "flat-trio_16bar": Hyperparameters(),
    "hierdec-trio_16bar": _LONG,
    "hier-trio_16bar": _LONG,
    "flat-mel_16bar": _LONG,
    "hierdec-mel_16bar": _LONG,
    "hier-mel_16bar": _LONG,
    "hier-multiperf_vel_1bar_med": Hyperparameters(),
    "hier-multiperf_vel_1bar_big": Hyperparameters(),
    "hier-multiperf_vel_1bar_med_chords": Hyperparameters(),
    "hier-multiperf_vel_1bar_big_chords": Hyperparameters(),
    "groovae_4bar": _GROOVE,
    "groovae_2bar_humanize": _GROOVE,
    "groovae_2bar_tap_fixed_velocity": _GROOVE,
    "groovae_2bar_tap_fixed_velocity_note_dropout": _GROOVE,
    "groovae_2bar_add_closed_hh": _GROOVE,
    "groovae_2bar_hits_control_tfds": _GROOVE,
}


def hyperparameters_of(config: MusicVAEConfig) -> Hyperparameters:
    """Magenta's for the config that `config` is based on; its defaults for any other."""
    return HYPERPARAMETERS.get(config.base, Hyperparameters())
