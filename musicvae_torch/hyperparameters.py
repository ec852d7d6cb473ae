"""How Magenta trains each of its configs, as data; and the schedules that these numbers mean.

The numbers are from Magenta 2.1.4's ``music_vae.configs``, ``base_model.get_default_hparams`` and
``lstm_utils.get_sampling_probability``. Magenta computes its schedules in float32, and so does
this module: at step 50,000 float64 would be off in the fourth digit.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from musicvae_torch.config import CONFIGS, MusicVAEConfig
from musicvae_torch.errors import OptionError
from musicvae_torch.options import check_options, option

SCHEDULES = ("constant", "exponential", "inverse_sigmoid")
GROOVE_ERRORS = ("squared", "absolute")


@dataclass(frozen=True)
class Hyperparameters:
    """Numbers of the objective that differ from config to config.

    Attributes:
        free_bits: bits of KL divergence of a window that cost nothing.
        max_beta: weight that the KL divergence rises to.
        beta_rate: its weight at step t is (1 - beta_rate**t) * max_beta: with 0, nothing at
            step 0 and max_beta from step 1.
        sampling_schedule, sampling_rate: probability, at each step of each window, that the
            decoder is fed its own sample of the step before instead of the true one: "constant"
            (the rate itself, 0 to 1), "exponential" (1 - rate**t, rate between 0 and 1) or
            "inverse_sigmoid" (1 - k / (k + exp(t / k)), rate k of at least 1).
        dropout_keep_prob: share of each LSTM cell's inputs that is kept in training, above 0.
    """

    free_bits: float = option(0.0, least=0)
    max_beta: float = option(1.0, least=0)
    beta_rate: float = option(0.0, least=0, below=1)
    sampling_schedule: str = option("constant", choices=SCHEDULES)
    sampling_rate: float = 0.0
    dropout_keep_prob: float = option(1.0, above=0, most=1)

    def __post_init__(self) -> None:
        check_options(self)
        rate = self.sampling_rate
        right, wanted = {
            "constant": (0 <= rate <= 1, "from 0 to 1"),
            "exponential": (0 < rate < 1, "between 0 and 1"),
            "inverse_sigmoid": (1 <= rate < float("inf"), "at least 1"),
        }[self.sampling_schedule]
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
        """Probability of feeding a sample back at a training step, the first being 0."""
        import numpy as np

        rate, now = np.float32(self.sampling_rate), np.float32(step)
        if self.sampling_schedule == "constant":
            return float(rate)
        if self.sampling_schedule == "exponential":
            return float(np.float32(1) - rate**now)
        with np.errstate(over="ignore"):  # beyond step 88 k: infinity, whose inverse is 0
            return float(np.float32(1) - rate / (rate + np.exp(now / rate)))


HYPERPARAMETER_NAMES = tuple(field.name for field in fields(Hyperparameters))

_DEFAULT = Hyperparameters()
_ANNEALED = Hyperparameters(sampling_schedule="inverse_sigmoid", sampling_rate=1000.0)
_DRUMS = replace(_ANNEALED, free_bits=48, max_beta=0.2)
_GROOVE = Hyperparameters(free_bits=48, max_beta=0.2, dropout_keep_prob=0.3)
_LONG = Hyperparameters(free_bits=256, max_beta=0.2)
# By the beginning of the config's name; all others have the defaults.
_FAMILIES = {
    "cat-mel_2bar_small": replace(_ANNEALED, max_beta=0.2, beta_rate=0.99999),
    "cat-mel_2bar_big": replace(_ANNEALED, max_beta=0.5, beta_rate=0.99999),
    "cat-drums": _DRUMS,
    "nade-drums": _DRUMS,
    "hierdec": _LONG,
    "hier-trio": _LONG,
    "hier-mel": _LONG,
    "flat-mel": _LONG,
    "groovae": _GROOVE,
}
HYPERPARAMETERS = {
    name: next((own for first, own in _FAMILIES.items() if name.startswith(first)), _DEFAULT)
    for name in CONFIGS
}


def hyperparameters_of(config: MusicVAEConfig) -> Hyperparameters:
    """Magenta's for the config that `config` is based on; Magenta's defaults for any other."""
    return HYPERPARAMETERS.get(config.base, _DEFAULT)
