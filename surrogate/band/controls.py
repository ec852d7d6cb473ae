"""Density classes, by which the band network is told how many notes a part has."""

from __future__ import annotations

import numpy as np

from musicvae_torch.midi.vocabulary import DRUM_CLASSES, FIRST_NOTE, PARTS, STEPS_PER_BAR

# Notes, or drum hits, a bar at which each class but the first, silence, begins: about the octiles
# of 3,000 windows.
DENSITIES = {
    "melody": (2.0, 3.0, 4.0, 5.0, 6.5, 9.0),
    "bass": (3.0, 4.0, 5.5, 7.0, 8.5, 11.0),
    "drums": (5.0, 8.0, 11.0, 14.0, 18.0, 24.0),
}
DENSITY_DEPTH = 8


def density_class(part: str, notes_per_bar: float) -> int:
    """The density class of a part with `notes_per_bar` notes or drum hits; class 0 is silence."""
    return int(notes_per_bar > 0) + int(np.searchsorted(DENSITIES[part], notes_per_bar, "right"))


def densities_of(tokens: np.ndarray, span_bars: int) -> np.ndarray:
    """Find the density class of each part, span by span.

    Args:
        tokens: (steps, 3) classes.
        span_bars: bars in which notes are counted together; the last span may be shorter.

    Returns:
        (steps, 3) density classes.
    """
    span = span_bars * STEPS_PER_BAR
    drums = tokens[:, 2, None].astype(np.int64) >> np.arange(len(DRUM_CLASSES)) & 1
    counts = np.column_stack([tokens[:, :2] >= FIRST_NOTE, drums.sum(1)])
    classes = np.zeros(tokens.shape, np.int64)
    for first in range(0, len(tokens), span):
        own = counts[first : first + span]
        classes[first : first + span] = [
            density_class(part, float(total) * STEPS_PER_BAR / len(own))
            for part, total in zip(PARTS, own.sum(0), strict=True)
        ]
    return classes
