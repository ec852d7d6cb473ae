"""Bars that a part leaves empty while the melody plays, filled with its nearest played bar."""

from __future__ import annotations

import numpy as np

from musicvae_torch.midi.vocabulary import STEPS_PER_BAR

StepNote = tuple[int, int, int]  # start step, end step, pitch

# A plain bar, for parts that the model left silent throughout.
PLAIN_DRUMS: list[StepNote] = [(0, 1, 36), (4, 5, 38), (8, 9, 36), (12, 13, 38)]
LOWEST_BASS = 28


def plain_bass(pitches: np.ndarray) -> list[StepNote]:
    """A bar of two notes of the melody's commonest pitch class (C if there are no pitches), in a
    bass's register."""
    common = int(np.bincount(pitches % 12, minlength=12).argmax())
    pitch = LOWEST_BASS + (common - LOWEST_BASS) % 12
    return [(0, STEPS_PER_BAR // 2, pitch), (STEPS_PER_BAR // 2, STEPS_PER_BAR, pitch)]


def bar_steps(bars: int) -> np.ndarray:
    """(bars + 1,) steps at which the model's bars begin, and the last one ends."""
    return np.arange(bars + 1) * STEPS_PER_BAR


def sounding_bars(
    notes: list[StepNote], lines: np.ndarray, live: np.ndarray | None = None
) -> np.ndarray:
    """(bars,) bool: the bars in which any note sounds.

    Args:
        lines: (bars + 1,) steps at which bars begin, ascending from 0, and the last one ends.
        live: (steps,) bool, the steps at which a note can sound; None: all.
    """
    sounding = np.zeros(lines[-1], bool)
    for start, end, _ in notes:
        sounding[start:end] = True
    if live is not None:
        sounding &= live
    return np.logical_or.reduceat(sounding, lines[:-1])


def let_go(notes: list[StepNote]) -> list[StepNote]:
    """End each note with the bar after its own, at the latest, because a model that falls silent
    leaves its last note sounding."""
    return [
        (start, min(end, (start // STEPS_PER_BAR + 2) * STEPS_PER_BAR), pitch)
        for start, end, pitch in notes
    ]


def only_live(notes: list[StepNote], live: np.ndarray) -> list[StepNote]:
    """The notes that sound at a live step, (steps,) bool, cut where they begin before the first."""
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
    live: np.ndarray,
    lines: np.ndarray,
) -> list[StepNote]:
    """Repeat the nearest played bar, preferably an earlier one, in every wanted bar that is silent.

    Args:
        notes: of one part, all within the bars.
        wanted: (bars,) bool, where the part should sound.
        plain: a bar of the model's, for silent bars to which no played bar fits, or none that
            sounds at a live step.
        live: (steps,) bool, the steps at which a note can sound. Songs in other metres lack some of
            a bar's beats, and a song's last bar may be cut short.
        lines: (bars + 1,) steps at which bars begin, and the last one ends, none longer than one
            of the model's.

    Returns:
        The notes with those filled in, in order.
    """
    sounding = sounding_bars(notes, lines, live)
    filled = list(notes)
    for bar in np.flatnonzero(wanted & ~sounding).tolist():
        first, last = lines[bar : bar + 2].tolist()
        pattern = _nearest(notes, lines, sounding, bar)
        if not any(live[first + start : first + end].any() for start, end, _ in pattern):
            begin = first % STEPS_PER_BAR
            pattern = _between(plain, begin, begin + last - first)
        filled += [(start + first, end + first, pitch) for start, end, pitch in pattern]
    return sorted(filled)


def _nearest(
    notes: list[StepNote], lines: np.ndarray, sounding: np.ndarray, bar: int
) -> list[StepNote]:
    """The notes of the nearest played bar with the same length and the same position within a bar
    of the model's, counted from its start; none if there is no such bar."""
    alike = (np.diff(lines) == lines[bar + 1] - lines[bar]) & (
        lines[:-1] % STEPS_PER_BAR == lines[bar] % STEPS_PER_BAR
    )
    played = np.flatnonzero(sounding & alike)
    if not len(played):
        return []
    earlier = played[played < bar]
    nearest = int(earlier[-1] if len(earlier) else played[0])
    return _between(notes, *lines[nearest : nearest + 2].tolist())


def _between(notes: list[StepNote], first: int, last: int) -> list[StepNote]:
    """The notes that sound between two steps, cut to them, counted from the first."""
    return [
        (max(start, first) - first, min(end, last) - first, pitch)
        for start, end, pitch in notes
        if start < last and end > first
    ]
