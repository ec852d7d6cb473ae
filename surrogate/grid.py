"""A song's own beats as a grid of sixteenth steps, whatever its tempo does."""

from __future__ import annotations

import copy
from math import gcd

import numpy as np
import pretty_midi

from musicvae_torch.notes.vocabulary import STEPS_PER_BAR, STEPS_PER_QUARTER

_LAST_TICK = 10_000_000 - 1  # pretty_midi's limit


class StepGrid:
    """Seconds ↔ steps and bars, by the ticks of a MIDI file, so that tempo changes need no care.

    Bars are of 16 steps and counted from the last time signature before `start`, so that after a
    pickup bar of its own metre they fall on the song's bars.

    Args:
        midi: the song.
        start: seconds, where the music to be placed begins.
    """

    def __init__(self, midi: pretty_midi.PrettyMIDI, start: float) -> None:
        self._midi = midi
        self._ticks_per_step = midi.resolution / STEPS_PER_QUARTER
        changes = [change.time for change in midi.time_signature_changes if change.time <= start]
        self._origin = int(midi.time_to_tick(max(changes, default=0.0)))

    def to_steps(self, notes: list[pretty_midi.Note]) -> tuple[np.ndarray, np.ndarray]:
        """Nearest start and end steps of notes, (notes,) each; a note lasts at least one step."""
        starts, ends = np.floor(self._steps(notes) + 0.5).astype(np.int64)
        return starts, np.maximum(ends, starts + 1)

    def to_bars(self, notes: list[pretty_midi.Note]) -> tuple[np.ndarray, np.ndarray]:
        """First bar of each note and the bar after its last, (notes,) each, unrounded."""
        starts, ends = self._steps(notes) / STEPS_PER_BAR
        firsts = np.floor(starts).astype(np.int64)
        return firsts, np.maximum(np.ceil(ends).astype(np.int64), firsts + 1)

    def to_seconds(self, step: int) -> float:
        """When a step begins."""
        tick = self._origin + round(step * self._ticks_per_step)
        return float(self._midi.tick_to_time(min(tick, _LAST_TICK)))

    def _steps(self, notes: list[pretty_midi.Note]) -> np.ndarray:
        """(2, notes) starts and ends in steps, not rounded."""
        times = [[note.start for note in notes], [note.end for note in notes]]
        ticks = [[self._midi.time_to_tick(time) for time in row] for row in times]
        return (np.array(ticks, np.float64) - self._origin) / self._ticks_per_step


def refined(midi: pretty_midi.PrettyMIDI) -> pretty_midi.PrettyMIDI:
    """`midi`, or a copy with so many ticks a quarter that every step falls on one, at the same
    times."""
    factor = STEPS_PER_QUARTER // gcd(midi.resolution, STEPS_PER_QUARTER)
    if factor == 1:
        return midi
    midi = copy.deepcopy(midi)
    last = int(midi.time_to_tick(midi.get_end_time())) * factor
    midi.resolution *= factor
    midi._tick_scales = [(tick * factor, scale / factor) for tick, scale in midi._tick_scales]
    midi._update_tick_to_time(min(last, _LAST_TICK))
    return midi
