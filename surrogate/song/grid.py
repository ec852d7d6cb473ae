"""A song's own beats as the model's grid, sixteen steps a bar, whatever tempo and metre do."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from musicvae_torch.errors import MidiError, OptionError
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR, STEPS_PER_QUARTER
from surrogate.song.bars import bar_length, bar_line_ticks, changes_of_metre
from surrogate.song.metre import BEATS, beat_groups, beat_positions, step_offsets

MAX_BARS = 2048  # an hour and more; longer songs are broken files
NOT_THERE = np.iinfo(np.int64).max
_TOO_LONG = f"the song is longer than {MAX_BARS} bars"


class _Section(NamedTuple):
    """A stretch of a song in one metre, from one tick to another."""

    start: int
    end: int
    metre: tuple[int, int]


class Grid:
    """Ticks ↔ steps of the model's bars, which :mod:`surrogate.song.metre` lays on the song's.

    Each change of metre begins a bar of the model's. A short first bar is a pickup, which ends
    with the model's bar.

    Args:
        score: the song, in ticks that sixteenths fall on.
        until: tick up to which there must be bars.
        pickup: quarter notes before the first full bar, where the file does not say.

    Attributes:
        step_ticks: (bars * 16 + 1,) int64, where each step begins and the last one ends. Steps of
            a beat that the song does not have begin with the next step, and last no time.

    Raises:
        MidiError: there are more than MAX_BARS bars, or the pickup is as long as a bar.
        OptionError: the pickup is negative.
    """

    def __init__(self, score: Score, until: int, pickup: float = 0.0) -> None:
        if not 0 <= pickup < np.inf:
            raise OptionError(f"pickup must be a number of quarter notes, 0 or more, not {pickup}")
        self.step_ticks = _step_ticks(score, until, round(pickup * score.resolution))
        lasts = np.diff(self.step_ticks) > 0
        self._live = np.append(np.flatnonzero(lasts), len(lasts))
        live_ticks = self.step_ticks[self._live]
        # Ticks half-way between two steps belong to the later one.
        self._turns = (live_ticks[:-1] + live_ticks[1:] + 1) // 2

    @property
    def bars(self) -> int:
        """Bars of the model."""
        return len(self.step_ticks) // STEPS_PER_BAR

    def steps(self, ticks: np.ndarray) -> np.ndarray:
        """The nearest step of each tick."""
        return self._live[np.searchsorted(self._turns, ticks, side="right")]

    def to_steps(self, notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nearest start and end steps of notes of TICK_NOTE, (notes,) each; a note lasts at least
        one step."""
        starts = np.minimum(self.steps(notes["start"]), self._live[-2])
        following = self._live[np.searchsorted(self._live, starts, side="right")]
        return starts, np.maximum(self.steps(notes["end"]), following)

    def to_bars(self, notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The bar in which each note of TICK_NOTE begins, and the bar after its last, (notes,)
        each; ticks are not rounded to steps."""
        lines = self.step_ticks[::STEPS_PER_BAR]
        firsts = np.searchsorted(lines, notes["start"], side="right") - 1
        ends = np.searchsorted(lines, notes["end"], side="left")
        firsts = np.clip(firsts, 0, self.bars - 1)
        return firsts, np.clip(ends, firsts + 1, self.bars)


def _step_ticks(score: Score, until: int, pickup: int) -> np.ndarray:
    sections = _sections(score, until, pickup)
    rows: dict[int, np.ndarray] = {}  # each beat's four steps, by the number of the model's beat
    position = 0
    for index, section in enumerate(sections):
        position = -(-position // BEATS) * BEATS
        bars = _bars_of(section, score)
        if index == 0 and len(bars) == 1 < len(sections) and len(bars[0]) < BEATS:
            rows |= enumerate(bars[0], start=BEATS - len(bars[0]))
            position = BEATS
            continue
        for bar in bars:
            taken, position = beat_positions(beat_groups(len(bar)), position)
            rows |= zip(taken, bar, strict=True)
        if position > MAX_BARS * BEATS:
            raise MidiError(f"{score.name}: {_TOO_LONG}")
    beats = -(-position // BEATS) * BEATS
    ticks = np.full((beats, STEPS_PER_QUARTER), NOT_THERE, np.int64)
    ticks[list(rows)] = np.stack(list(rows.values()))
    # Steps that the song does not have begin, and end, with the next one that it has.
    all_ticks = np.append(ticks, sections[-1].end)
    return np.minimum.accumulate(all_ticks[::-1])[::-1]


def _sections(score: Score, until: int, pickup: int) -> list[_Section]:
    """The song up to the end of the bar that `until` is in, or ends."""
    above, below = score.metres[0, 1:].tolist()
    if pickup >= bar_length(above, below, score.resolution):
        raise MidiError(
            f"{score.name}: the pickup must be shorter than the first bar, of {above}/{below}"
        )
    changes = [(tick, (above, below)) for tick, above, below in changes_of_metre(score, pickup)]
    changes = [change for change in changes if change[0] < max(until, 1)]
    sections = [_Section(start, end, metre) for (start, metre), (end, _) in pairwise(changes)]
    start, metre = changes[-1]
    last = _bar_lines(_Section(start, max(until, 1), metre), score)[-1]
    return [*sections, _Section(start, last, metre)]


def _bars_of(section: _Section, score: Score) -> list[list[np.ndarray]]:
    """The beats of each bar, each as the ticks of its four steps, without those that a change of
    metre cuts off."""
    offsets = step_offsets(*section.metre)
    beats = np.array([[round(step * score.resolution) for step in beat] for beat in offsets])
    return [
        [np.minimum(beat, section.end) for beat in start + beats if beat[0] < section.end]
        for start in _bar_lines(section, score)[:-1]
    ]


def _bar_lines(section: _Section, score: Score) -> list[int]:
    """Ticks at which the bars of a section begin, and the last one ends."""
    length = bar_length(*section.metre, score.resolution)
    if (section.end - section.start) / length > MAX_BARS * BEATS:
        raise MidiError(f"{score.name}: {_TOO_LONG}")
    return bar_line_ticks(section.start, section.end, length)
