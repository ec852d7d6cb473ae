"""How many notes a bar each part of a band has."""

from __future__ import annotations

import numpy as np

from musicvae_torch.midi.vocabulary import DRUM_CLASSES, FIRST_NOTE, PARTS, STEPS_PER_BAR

# Notes, or drum hits, a bar from which each class but the first, silence, begins: about the
# eighths of 3,000 windows.
DENSITIES = {
    "melody": (2.0, 3.0, 4.0, 5.0, 6.5, 9.0),
    "bass": (3.0, 4.0, 5.5, 7.0, 8.5, 11.0),
    "drums": (5.0, 8.0, 11.0, 14.0, 18.0, 24.0),
}
DENSITY_DEPTH = 8


def density_class(part: str, notes_per_bar: float) -> int:
    """The class of a part that has so many notes, or drum hits, a bar; class 0 is silence."""
    return int(notes_per_bar > 0) + int(np.searchsorted(DENSITIES[part], notes_per_bar, "right"))


def densities_of(tokens: np.ndarray, span_bars: int) -> np.ndarray:
    """How many notes each part has, span by span.

    Args:
        tokens: (steps, 3) classes.
        span_bars: bars of a span, over which notes are counted; the last may be shorter.

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
