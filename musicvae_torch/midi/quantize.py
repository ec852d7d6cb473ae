"""Songs → sections of one tempo and metre, with notes on a grid of steps.

Facts of note-seq 0.0.5: ``sequences_lib.split_note_sequence_on_time_changes`` and
``quantize_note_sequence``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musicvae_torch.midi.notes import Song
from musicvae_torch.midi.vocabulary import STEPS_PER_QUARTER

DEFAULT_QPM = 120.0
DEFAULT_METRE = (4.0, 4.0)


@dataclass(frozen=True)
class Section:
    """A stretch of a song in one tempo and metre, its notes on steps counted from its start.

    Attributes:
        notes: those of the song that start here, of NOTE_DTYPE; times still in song seconds.
        start_steps, end_steps: (notes,) ints; a note lasts at least one step.
        steps: length of the section.
        metre: numerator and denominator.
        start: where it begins in the song, in seconds.
        end: where the next one begins, or the song ends, in seconds.
        qpm: quarter notes per minute.
        steps_per_quarter: how fine the grid is.
    """

    notes: np.ndarray
    start_steps: np.ndarray
    end_steps: np.ndarray
    steps: int
    metre: tuple[float, float]
    start: float
    end: float
    qpm: float
    steps_per_quarter: int

    @property
    def start_times(self) -> np.ndarray:
        """(notes,) seconds from the section's start."""
        return np.asarray(self.notes["start"] - self.start)

    @property
    def end_times(self) -> np.ndarray:
        """(notes,) seconds from the section's start; a note ends with the section at the latest."""
        return np.asarray(np.minimum(self.notes["end"], self.end) - self.start)

    @property
    def steps_per_bar(self) -> float:
        """Steps in a bar; not whole for odd metres, infinite for denominators that are no power of
        two, which Magenta refuses."""
        numerator, denominator = self.metre
        if denominator < 1 or int(denominator) & (int(denominator) - 1):
            return np.inf
        return self.steps_per_quarter * 4 * numerator / denominator

    def seconds(self, step: int) -> float:
        """When a step begins, in seconds of the song."""
        return self.start + step * 60 / self.qpm / self.steps_per_quarter


def sections(song: Song, steps_per_quarter: int = STEPS_PER_QUARTER) -> list[Section]:
    """Cut a song, and its notes, wherever its tempo or metre really changes."""
    if not len(song.notes) or song.end <= 0:
        return []
    # Sorted, since Magenta reads its notes in order of time from here on.
    notes = song.notes.take(np.argsort(song.notes["start"], kind="stable"))
    starts = _section_starts(song)
    found = []
    for start, end in zip(starts, [*starts[1:], song.end], strict=True):
        first, last = np.searchsorted(notes["start"], [start, end])
        (qpm,) = _last_before(song.tempos, start, (DEFAULT_QPM,))
        metre = _last_before(song.time_signatures, start, DEFAULT_METRE)
        found.append(_quantized(notes[first:last], start, end, qpm, metre, steps_per_quarter))
    return found


def common_time_sections(song: Song, steps_per_quarter: int = STEPS_PER_QUARTER) -> list[Section]:
    """The sections of a song whose bars have four quarters, in 4/4, 2/2 or 8/8."""
    found = sections(song, steps_per_quarter)
    return [section for section in found if section.steps_per_bar == 4 * steps_per_quarter]


def _section_starts(song: Song) -> list[float]:
    changes: list[tuple[float, int, tuple[float, ...]]] = []
    changes += [(float(t), 0, (float(n), float(d))) for t, n, d in song.time_signatures]
    changes += [(float(t), 1, (float(qpm),)) for t, qpm in song.tempos]
    changes.sort(key=lambda change: change[:2])
    current: list[tuple[float, ...]] = [DEFAULT_METRE, (DEFAULT_QPM,)]
    starts = [0.0]
    for time, kind, value in changes:
        if time >= song.end or value == current[kind]:
            continue
        if time > starts[-1]:
            starts.append(time)
        current[kind] = value
    return starts


def steady_section(song: Song) -> Section | None:
    """The whole song as one section, its notes in the song's own order.

    Returns:
        None if the tempo or metre changes (from 120 and 4/4, if the song sets them after its
        beginning), or if a note lies before time 0.
    """
    qpm = _steady(song.tempos, (DEFAULT_QPM,))
    metre = _steady(song.time_signatures, DEFAULT_METRE)
    if qpm is None or metre is None:
        return None
    section = _quantized(song.notes, 0.0, song.end, qpm[0], metre, STEPS_PER_QUARTER)
    first = min(section.start_steps.min(initial=0), section.end_steps.min(initial=0))
    return section if first >= 0 else None


def _steady(changes: np.ndarray, default: tuple[float, ...]) -> tuple[float, ...] | None:
    """The one value that holds from the beginning to the end, if there is one."""
    if not len(changes):
        return default
    values = {tuple(float(value) for value in row) for row in changes[:, 1:]}
    if changes[:, 0].min() > 0:
        values.add(default)
    return values.pop() if len(values) == 1 else None


def _quantized(
    notes: np.ndarray,
    start: float,
    end: float,
    qpm: float,
    metre: tuple[float, ...],
    steps_per_quarter: int,
) -> Section:
    start_steps = to_steps(notes["start"] - start, qpm, steps_per_quarter)
    end_times = np.minimum(notes["end"], end) - start
    end_steps = to_steps(end_times, qpm, steps_per_quarter)
    end_steps += end_steps == start_steps
    longest = to_steps(end_times.max(initial=0.0), qpm, steps_per_quarter)
    return Section(
        notes=notes,
        start_steps=start_steps,
        end_steps=end_steps,
        steps=int(max(longest, end_steps.max(initial=0))),
        metre=(metre[0], metre[1]),
        start=start,
        end=end,
        qpm=qpm,
        steps_per_quarter=steps_per_quarter,
    )


def _last_before(changes: np.ndarray, time: float, default: tuple[float, ...]) -> tuple[float, ...]:
    rows = changes[changes[:, 0] <= time]
    return tuple(float(value) for value in rows[-1, 1:]) if len(rows) else default


def to_steps(
    seconds: np.ndarray, qpm: float, steps_per_quarter: int = STEPS_PER_QUARTER
) -> np.ndarray:
    """The nearest step of each time, halves upwards, as Magenta rounds."""
    steps_per_second = steps_per_quarter * qpm / 60.0
    return np.trunc(seconds * steps_per_second + 0.5).astype(np.int64)
