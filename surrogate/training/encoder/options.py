"""What to train a surrogate encoder for, in a dataclass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from musicvae_torch.errors import OptionError
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.options import Option, check_options, option

LATENTS = ("sample", "mean")
# How often each mask is drawn in training: most songs that users have are melodies.
MASK_WEIGHTS: Mapping[str, float] = {
    "melody": 0.4,
    "bass": 0.15,
    "drums": 0.15,
    "melody+bass": 0.1,
    "melody+drums": 0.1,
    "bass+drums": 0.1,
}
# All choices of some parts, but not all, that may be given.
MASKS: tuple[tuple[str, ...], ...] = tuple(
    given for count in range(1, len(PARTS)) for given in combinations(PARTS, count)
)


@dataclass(frozen=True)
class SurrogateObjective:
    """What a SurrogateEncoder is trained to do.

    Attributes:
        masks: how often each choice of given parts is drawn.
        decoder_weight: weight of a second loss: the teacher-forced loss of the frozen decoder on
            the hidden parts, in nats a window, decoded from the prediction; 0: none.
        decode_from: what is decoded for this loss: a sample of the predicted distribution, or its
            mean.
    """

    masks: Mapping[str, float] = option(
        factory=lambda: dict(MASK_WEIGHTS),
        metavar="MASK=WEIGHT,...",
        example="melody=.6,bass+drums=.4",
    )
    decoder_weight: float = option(0.0, least=0, metavar="W")
    decode_from: str = option("sample", choices=LATENTS)

    def __post_init__(self) -> None:
        check_options(self)
        known = [mask_name(given) for given in MASKS]
        for name, weight in self.masks.items():
            if name not in known:
                raise OptionError(f"unknown mask {name!r}; choose among: {', '.join(known)}")
            Option(least=0).check(f"the weight of mask {name}", weight)
        if not any(self.masks.values()):
            raise OptionError("at least one mask must have a weight above 0")


def mask_name(given: Sequence[str]) -> str:
    """ "melody+drums": how commands and logs write a mask."""
    return "+".join(given)
