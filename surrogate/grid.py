"""A song's own beats as a grid of sixteenth steps, whatever its tempo does."""

from __future__ import annotations

import numpy as np
import pretty_midi

from musicvae_torch.notes.vocabulary import STEPS_PER_QUARTER


class StepGrid:
    """Seconds ↔ steps by the ticks of a MIDI file, so that tempo changes need no care."""

    def __init__(self, midi: pretty_midi.PrettyMIDI) -> None:
        self._midi = midi
        self._ticks_per_step = midi.resolution / STEPS_PER_QUARTER

    def to_steps(self, notes: list[pretty_midi.Note]) -> tuple[np.ndarray, np.ndarray]:
        """Start and end steps of notes, (notes,) each; a note lasts at least one step."""
        starts = self._nearest([note.start for note in notes])
        ends = self._nearest([note.end for note in notes])
        return starts, np.maximum(ends, starts + 1)

    def to_seconds(self, step: int) -> float:
        """When a step begins."""
        return float(self._midi.tick_to_time(round(step * self._ticks_per_step)))

    def _nearest(self, seconds: list[float]) -> np.ndarray:
        ticks = np.array([self._midi.time_to_tick(second) for second in seconds], np.float64)
        return np.floor(ticks / self._ticks_per_step + 0.5).astype(np.int64)
