"""Which parts of a trio are given and which are hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from musicvae_torch.converters.trio import PARTS
from musicvae_torch.errors import OptionError

# All that one may be given without being given everything.
MASKS: tuple[tuple[str, ...], ...] = tuple(
    given for count in range(1, len(PARTS)) for given in combinations(PARTS, count)
)


def mask_name(given: Sequence[str]) -> str:
    """ "melody+drums": how commands and logs write a mask."""
    return "+".join(given)


# How often each is drawn in training: what one is most likely to have is a melody.
MASK_WEIGHTS: Mapping[str, float] = {
    "melody": 0.4,
    "bass": 0.15,
    "drums": 0.15,
    "melody+bass": 0.1,
    "melody+drums": 0.1,
    "bass+drums": 0.1,
}


def check_masks(weights: Mapping[str, float]) -> None:
    """Make sure that these are weights of masks.

    Raises:
        OptionError: a name is unknown, or a weight negative, or all of them are 0.
    """
    known = [mask_name(given) for given in MASKS]
    for name, weight in weights.items():
        if name not in known:
            raise OptionError(f"unknown mask {name!r}; choose among: {', '.join(known)}")
        if not 0 <= weight < float("inf"):
            raise OptionError(f"the weight of mask {name} must be 0 or more, not {weight}")
    if not any(weights.values()):
        raise OptionError("at least one mask must have a weight above 0")


def draw_masks(
    weights: Mapping[str, float], hears: Sequence[str], count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw which parts are given.

    Args:
        weights: chance of each mask, by its name, up to a common factor.
        hears: parts that may be given; masks with others are left out.
        count: how many to draw.
        rng: what to draw with.

    Returns:
        (count, parts) bool.

    Raises:
        OptionError: no mask of these parts has a weight.
    """
    usable = [given for given in MASKS if set(given) <= set(hears)]
    chances = np.array([weights.get(mask_name(given), 0.0) for given in usable])
    if not chances.sum():
        raise OptionError(f"no mask has a weight that gives {', '.join(hears)} or some of them")
    rows = np.array([[part in given for part in PARTS] for given in usable])
    return rows[rng.choice(len(usable), count, p=chances / chances.sum())]
