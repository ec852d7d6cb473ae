"""Swing: how late a song's notes are on each sixteenth of the beat."""

from __future__ import annotations

import numpy as np

from musicvae_torch.midi.vocabulary import STEPS_PER_QUARTER

LEAST_NOTES = 8  # on a sixteenth of the beat, to tell the song's timing there
MOST_APART = 0.2  # of a step, between the quartiles of those notes
LEAST_SWING = 0.05  # of a step; what is less is no swing, but a file's inaccuracy


def median_offsets(offsets: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The median offset of notes from the grid, in steps and positive if late, on each of the four
    sixteenths of the beat: (4,).

    In a shuffle, for example, off-beats are at two thirds of the beat, which is a third of a step
    before the fourth sixteenth. A sixteenth on which notes are few, or do not agree, has 0.

    Args:
        offsets: (notes,) by how much of a step each comes after its step.
        steps: (notes,) the nearest step of each.
    """
    swing = np.zeros(STEPS_PER_QUARTER)
    for sixteenth in range(STEPS_PER_QUARTER):
        own = offsets[steps % STEPS_PER_QUARTER == sixteenth]
        if len(own) < LEAST_NOTES:
            continue
        low, middle, high = np.quantile(own, (0.25, 0.5, 0.75))
        if high - low <= MOST_APART and abs(middle) >= LEAST_SWING:
            swing[sixteenth] = middle
    return swing
