"""Many voices → the one on top: what is sung of notes that sound together.

Times are compared in seconds, since what a player does not quite do together is a matter of
hundredths of a second at any tempo.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from surrogate.melody.features import within_range
from surrogate.melody.two_hands import right_hand

TOGETHER = 0.06  # seconds within which the notes of a chord begin
LEGATO = 0.06  # seconds by which a note may lap over the next of the same voice
STEP = 2  # semitones; a voice that moves so far has left its last note, though that still sounds


@dataclass(frozen=True, eq=False)
class Reduction:
    """A melody that was reduced from notes.

    Attributes:
        notes: of TICK_NOTE, by start; none laps over another.
        how: what was done, for the user; empty if nothing had to be.
    """

    notes: np.ndarray
    how: str


def reduce_to_melody(notes: np.ndarray, seconds: Callable[[np.ndarray], np.ndarray]) -> Reduction:
    """The melody of notes: the highest voice, and where two hands play, that of the right hand.

    Args:
        notes: of TICK_NOTE, in any order. Those outside MIN_PITCH to MAX_PITCH are left out.
        seconds: from ticks to seconds, as ``Score.seconds``.

    Returns:
        Some of the notes, whose ends may come sooner. Notes of which none laps over another all
        stay as they are.
    """
    notes = _undoubled(notes[within_range(notes["pitch"])])
    if not (notes["end"][:-1] > notes["start"][1:]).any():
        return Reduction(notes, "")
    how = []
    right = right_hand(seconds(notes["start"]), seconds(notes["end"]), notes["pitch"])
    if right is not None:
        notes = notes[right]
        how.append("right hand")
    kept = highest_voice(seconds(notes["start"]), seconds(notes["end"]), notes["pitch"])
    if not kept.all():
        how.append("highest voice of chords")
    voice = notes[kept].copy()
    voice["end"][:-1] = np.minimum(voice["end"][:-1], voice["start"][1:])
    return Reduction(voice, ", ".join(how))


def _undoubled(notes: np.ndarray) -> np.ndarray:
    """Notes by start, then pitch; of those that share both, as tracks in unison do, the longest."""
    notes = notes[np.lexsort((-notes["end"], notes["pitch"], notes["start"]))]
    alike = (np.diff(notes["start"]) == 0) & (np.diff(notes["pitch"]) == 0)
    return np.asarray(notes[np.concatenate([[True], ~alike])[: len(notes)]])


def highest_voice(starts: np.ndarray, ends: np.ndarray, pitches: np.ndarray) -> np.ndarray:
    """Which notes are of the voice on top.

    A note is hidden if a higher one sounds as it begins, or begins together with it, and both go
    on for longer than legato would explain. A note held while another begins a step below it
    hides nothing any more: the voice has moved down, and a pedal holds what it left.

    Args:
        starts, ends: (notes,) in seconds, by start, then pitch.
        pitches: (notes,) MIDI pitches.

    Returns:
        (notes,) bool. Of those kept no two begin at once.
    """
    kept = np.zeros(len(starts), bool)
    start, end, pitch = starts.tolist(), ends.tolist(), pitches.tolist()
    sounding: dict[int, int] = {}  # of each pitch the last note struck
    for note, begin in enumerate(start):
        for other in [p for p, i in sounding.items() if end[i] <= begin]:
            del sounding[other]
        kept[note] = not any(
            _laps((begin, end[note]), (start[other], end[other]))
            for other in _may_hide(note, start, pitch, sounding)
        )
        if kept[note]:
            for left in range(pitch[note] + 1, pitch[note] + STEP + 1):
                sounding.pop(left, None)
        last = sounding.get(pitch[note])
        doubled = last is not None and begin - start[last] <= TOGETHER
        if last is None or not doubled or end[last] <= end[note]:
            sounding[pitch[note]] = note
    return kept


def _laps(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two notes (start, end) sound together for longer than legato would explain."""
    shorter = min(one[1] - one[0], other[1] - other[0])
    return min(one[1], other[1]) - max(one[0], other[0]) > min(LEGATO, shorter / 2)


def _may_hide(
    note: int, start: list[float], pitch: list[int], sounding: dict[int, int]
) -> list[int]:
    """The notes that hide `note` if they lap over it."""
    begin, own = start[note], pitch[note]
    hiding = []
    for other, index in sounding.items():
        recent = begin - start[index] <= TOGETHER
        # The same pitch hides only what doubles it: later it is struck again.
        if (recent and other >= own) or other > own + STEP:
            hiding.append(index)
    for following in range(note + 1, len(start)):
        if start[following] > begin + TOGETHER:
            break
        if pitch[following] > own:
            hiding.append(following)
    return hiding
