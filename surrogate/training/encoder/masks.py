"""Which parts of a trio are given and which are hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from musicvae_torch.errors import OptionError
from musicvae_torch.midi.vocabulary import PARTS
from surrogate.training.encoder.options import MASKS, mask_name


def draw_masks(
    weights: Mapping[str, float], input_parts: Sequence[str], count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw which parts are given.

    Args:
        weights: chance of each mask, by its name, up to a common factor.
        input_parts: parts that may be given; masks with others are left out.
        count: how many to draw.
        rng: what to draw with.

    Returns:
        (count, parts) bool.

    Raises:
        OptionError: no mask of these parts has a weight.
    """
    usable = [given for given in MASKS if set(given) <= set(input_parts)]
    chances = np.array([weights.get(mask_name(given), 0.0) for given in usable])
    if not chances.sum():
        raise OptionError(
            f"no mask has a weight that gives {', '.join(input_parts)} or some of them"
        )
    rows = np.array([[part in given for part in PARTS] for given in usable])
    return rows[rng.choice(len(usable), count, p=chances / chances.sum())]
