"""The chords of bars: a section's progression ↔ a chord at each event of its tracks.

Facts of note-seq 0.0.5's ``sequences_lib`` and ``chords_lib`` as Magenta 2.1.4's
``music_vae.data_hierarchical`` uses them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pretty_midi

from musicvae_torch.chords.symbols import Progression, chord_class, chord_name
from musicvae_torch.converters.performance import (
    END,
    PROGRAM,
    STEPS_PER_BAR,
    STEPS_PER_QUARTER,
    Events,
    lasting_steps,
)
from musicvae_torch.midi.quantize import to_steps

# A chord may begin at any step of a bar, or on the line after it: one number for bar and step.
_POSITIONS = STEPS_PER_BAR + 1


@dataclass(frozen=True)
class BarChords:
    """The chords in the bars of a section; a chord begins at the first step of each bar.

    Attributes:
        positions: (chords,) bar * _POSITIONS + step, ascending.
        classes: (chords,) of ``chords.chord_class``.
        ends: (bars,) the step at which a bar's last note, and with it its chord, ends.
    """

    positions: np.ndarray
    classes: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(
        cls, progression: Progression, bar_lines: np.ndarray, ends: np.ndarray, qpm: float
    ) -> BarChords:
        """Cut a progression, in time of the section, at the bar lines (bars + 1,)."""
        times = progression.times
        classes = np.array([chord_class(name) for name in progression.names])
        before = np.searchsorted(times, bar_lines[:-1], side="right") - 1
        inside = np.flatnonzero(~np.isin(times, bar_lines) & (times < bar_lines[-1]))
        bars = np.searchsorted(bar_lines, times[inside]) - 1
        steps = to_steps(times[inside] - bar_lines[bars], qpm, STEPS_PER_QUARTER)
        first_steps = np.arange(len(bar_lines) - 1) * _POSITIONS
        positions = np.concatenate([first_steps, bars * _POSITIONS + steps])
        order = np.argsort(positions, kind="stable")
        classes = np.concatenate([classes[before], classes[inside]])
        return cls(positions[order], classes[order], ends)

    def clashing_bars(self) -> np.ndarray:
        """The bars in which two chords fall on one step, even if by rounding: Magenta refuses
        them."""
        return np.unique(self.positions[1:][np.diff(self.positions) == 0] // _POSITIONS)

    def at_events(self, events: Events, bars: np.ndarray) -> np.ndarray:
        """(events,) class of the chord at each event, given each one's bar (events,): none at
        programs, and at END that of the event before."""
        steps = events.steps - lasting_steps(events.classes)
        ends = np.flatnonzero(events.classes == END)
        steps[ends] = steps[ends - 1]
        positions = bars * _POSITIONS + np.minimum(steps, self.ends[bars] - 1)
        chords = self.classes[np.searchsorted(self.positions, positions, side="right") - 1]
        return np.where((events.classes >= PROGRAM) & (events.classes < END), 0, chords)


def chord_texts(
    classes: np.ndarray, chords: np.ndarray, seconds_per_step: float
) -> list[pretty_midi.Text]:
    """The chords of a bar as text events, from the classes of events and of the chord at each,
    (tracks, events): one whenever the chord changes, and those of a step in order of name."""
    timed = []
    for own_classes, own_chords in zip(classes, chords, strict=True):
        before_end = np.logical_and.accumulate(own_classes != END)
        kept = before_end & (own_classes < PROGRAM)
        lasting = lasting_steps(own_classes[kept])
        steps = np.cumsum(lasting) - lasting
        names = map(chord_name, own_chords[kept].tolist())
        timed += [
            pair for pair in zip(steps.tolist(), names, strict=True) if pair[0] < STEPS_PER_BAR
        ]
    timed.sort()
    return [
        pretty_midi.Text(name, step * seconds_per_step)
        for index, (step, name) in enumerate(timed)
        if index == 0 or name != timed[index - 1][1]
    ]
