"""No bar without the band: filling bars that a part leaves empty while the melody plays."""

from __future__ import annotations

import numpy as np

from musicvae_torch.notes.vocabulary import STEPS_PER_BAR

StepNote = tuple[int, int, int]  # start step, end step, pitch


def sounding_bars(notes: list[StepNote], bars: int) -> np.ndarray:
    """(bars,) bool: where any of the notes sounds."""
    sounding = np.zeros(bars, bool)
    for start, end, _ in notes:
        sounding[start // STEPS_PER_BAR : -(-end // STEPS_PER_BAR)] = True
    return sounding


def fill_silent_bars(notes: list[StepNote], wanted: np.ndarray) -> list[StepNote]:
    """Repeat the nearest played bar, preferably an earlier one, in every wanted bar that is silent.

    Args:
        notes: of one part, all within the bars.
        wanted: (bars,) bool, where the part should sound.

    Returns:
        The notes with those filled in, in order; as they were if the part is empty throughout.
    """
    sounding = sounding_bars(notes, len(wanted))
    played = np.flatnonzero(sounding)
    filled = list(notes)
    for bar in np.flatnonzero(wanted & ~sounding):
        if not len(played):
            break
        earlier = played[played < bar]
        source = earlier[-1] if len(earlier) else played[0]
        shift = int(bar - source) * STEPS_PER_BAR
        filled += [
            (start + shift, end + shift, pitch) for start, end, pitch in _within(notes, int(source))
        ]
    return sorted(filled)


def _within(notes: list[StepNote], bar: int) -> list[StepNote]:
    """The notes that sound in a bar, cut to it."""
    first, last = bar * STEPS_PER_BAR, (bar + 1) * STEPS_PER_BAR
    return [
        (max(start, first), min(end, last), pitch)
        for start, end, pitch in notes
        if start < last and end > first
    ]
