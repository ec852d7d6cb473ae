"""No bar without the band: filling bars that a part leaves empty while the melody plays."""

from __future__ import annotations

import numpy as np

from musicvae_torch.notes.vocabulary import STEPS_PER_BAR

StepNote = tuple[int, int, int]  # start step, end step, pitch

# What a part plays that the model left silent throughout: the plainest bar there is.
PLAIN_DRUMS: list[StepNote] = [(0, 1, 36), (4, 5, 38), (8, 9, 36), (12, 13, 38)]
LOWEST_BASS = 28


def plain_bass(pitches: np.ndarray) -> list[StepNote]:
    """A bar of the melody's commonest pitch class (C, of none), in a bass's register."""
    common = int(np.bincount(pitches % 12, minlength=12).argmax())
    pitch = LOWEST_BASS + (common - LOWEST_BASS) % 12
    return [(0, STEPS_PER_BAR // 2, pitch), (STEPS_PER_BAR // 2, STEPS_PER_BAR, pitch)]


def sounding_bars(notes: list[StepNote], bars: int, live: np.ndarray | None = None) -> np.ndarray:
    """(bars,) bool: where any of the notes sounds.

    Args:
        live: (bars * 16,) bool, steps at which anything can be heard; None: all.
    """
    sounding = np.zeros(bars * STEPS_PER_BAR, bool)
    for start, end, _ in notes:
        sounding[start:end] = True
    if live is not None:
        sounding &= live
    return np.logical_or.reduce(sounding.reshape(bars, STEPS_PER_BAR), axis=1)


def let_go(notes: list[StepNote]) -> list[StepNote]:
    """End each note with the bar after its own, at the latest: a model that falls silent leaves
    its last note sounding, which is no playing."""
    return [
        (start, min(end, (start // STEPS_PER_BAR + 2) * STEPS_PER_BAR), pitch)
        for start, end, pitch in notes
    ]


def only_live(notes: list[StepNote], live: np.ndarray) -> list[StepNote]:
    """The notes that sound at any of the steps (steps,) bool, none of them before the first."""
    first = int(live.argmax())
    before = np.append(0, np.cumsum(live))  # live steps before each step
    last = len(live)
    return [
        (max(start, first), end, pitch)
        for start, end, pitch in notes
        if before[min(end, last)] > before[min(start, last)]
    ]


def fill_silent_bars(
    notes: list[StepNote],
    wanted: np.ndarray,
    plain: list[StepNote],
    live: np.ndarray | None = None,
) -> list[StepNote]:
    """Repeat the nearest played bar, preferably an earlier one, in every wanted bar that is silent.

    Args:
        notes: of one part, all within the bars.
        wanted: (bars,) bool, where the part should sound.
        plain: one bar, which stands for the played one where there is none at all, or it has
            nothing at the steps that are live.
        live: (bars * 16,) bool, steps at which anything can be heard; None: all. A song of
            another metre has not all of a bar's beats, and its last bar may be cut short.

    Returns:
        The notes with those filled in, in order.
    """
    live = np.ones(len(wanted) * STEPS_PER_BAR, bool) if live is None else live
    sounding = sounding_bars(notes, len(wanted), live)
    played = np.flatnonzero(sounding)
    filled = list(notes)
    for bar in np.flatnonzero(wanted & ~sounding).tolist():
        pattern = plain
        if len(played):
            earlier = played[played < bar]
            pattern = _bar_of(notes, int(earlier[-1] if len(earlier) else played[0]))
            if not sounding_bars(pattern, 1, live.reshape(-1, STEPS_PER_BAR)[bar]).any():
                pattern = plain
        shift = bar * STEPS_PER_BAR
        filled += [(start + shift, end + shift, pitch) for start, end, pitch in pattern]
    return sorted(filled)


def _bar_of(notes: list[StepNote], bar: int) -> list[StepNote]:
    """The notes that sound in a bar, cut to it, counted from its start."""
    first = bar * STEPS_PER_BAR
    return [
        (max(start - first, 0), min(end - first, STEPS_PER_BAR), pitch)
        for start, end, pitch in notes
        if start < first + STEPS_PER_BAR and end > first
    ]
