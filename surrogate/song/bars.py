"""The bars that a musician counts: the song's own, by its metres."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.vocabulary import STEPS_PER_QUARTER
from surrogate.melody.features import notes_of

MAX_BARS = 4096  # two hours and more; longer songs are broken files
QUARTERS_A_WHOLE = 4


@dataclass(frozen=True, eq=False)
class Bars:
    """The bars of a song, from its start to the end of the bar in which its last note ends.

    Attributes:
        ticks: (bars + 1,) int64, where each starts, and where the last ends.
        first: number of the first bar: 1; 0 for a pickup, which is not counted; after an intro
            less, so that the song's own bar is still 1.
        metres: (bars, 2) int64, numerator and denominator of each.
    """

    ticks: np.ndarray
    first: int
    metres: np.ndarray

    def __len__(self) -> int:
        return len(self.metres)

    @property
    def last(self) -> int:
        """Number of the last bar."""
        return self.first + len(self) - 1

    def index_at(self, ticks: np.ndarray) -> np.ndarray:
        """Index of the bar that each tick is in; any shape. Ticks after the last bar are in it."""
        found = np.searchsorted(self.ticks, ticks, side="right") - 1
        return np.asarray(np.clip(found, 0, len(self) - 1))

    def chosen(self, ranges: Iterable[tuple[int, int]]) -> np.ndarray:
        """(bars,) bool: those whose numbers lie in any of the ranges, ends included."""
        numbers = np.arange(self.first, self.first + len(self))
        within = [(numbers >= first) & (numbers <= last) for first, last in ranges]
        return np.any(within, axis=0) if within else np.zeros(len(self), bool)

    def missing(self, ranges: Iterable[tuple[int, int]]) -> str:
        """A range that is not wholly in the song, and the song's bars, in words; empty if all
        are."""
        for first, last in ranges:
            if first < self.first or last > self.last:
                wanted = f"bars {first}-{last}" if last > first else f"bar {first}"
                return f"{wanted}, but the song has bars {self.first}-{self.last}"
        return ""

    def with_more(self, count: int, resolution: int) -> Bars:
        """The bars with `count` more of the last metre at the end."""
        above, below = self.metres[-1].tolist()
        length = bar_length(above, below, resolution)
        start = int(self.ticks[-1])
        ticks = [start + round(bar * length) for bar in range(1, count + 1)]
        return Bars(
            np.append(self.ticks, np.array(ticks, np.int64)),
            self.first,
            np.concatenate([self.metres, np.repeat(self.metres[-1:], count, axis=0)]),
        )

    def beats(self, resolution: int) -> np.ndarray:
        """Ticks of all beats that start no bar: units of the metre's denominator.

        Args:
            resolution: ticks a quarter.
        """
        inner = [np.zeros(0)]
        for start, end, unit in zip(
            self.ticks[:-1], self.ticks[1:], self.metres[:, 1], strict=True
        ):
            step = resolution * QUARTERS_A_WHOLE / unit
            if step >= 1:
                inner.append(np.arange(start + step, end - 0.5, step))
        return np.concatenate(inner)


def covered(firsts: np.ndarray, stops: np.ndarray, count: int) -> np.ndarray:
    """(count,) bool: the indices that any range from one of `firsts` to its stop, excluded, covers.
    A range has one index at least; what lies outside 0 to `count` is cut off."""
    stops = np.clip(np.maximum(stops, firsts + 1), 0, count)
    firsts = np.clip(firsts, 0, count)
    changes = np.bincount(firsts, minlength=count + 1) - np.bincount(stops, minlength=count + 1)
    return np.cumsum(changes)[:count] > 0


def bars_that_sound(lines: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(bars,) bool: the bars in which any of the notes sounds.

    Args:
        lines: (bars + 1,) ticks at which bars begin, ascending, and the last one ends.
        starts, ends: (notes,) ticks.
    """
    firsts = np.searchsorted(lines, starts, side="right") - 1
    return covered(firsts, np.searchsorted(lines, ends, side="left"), len(lines) - 1)


def last_tick(score: Score) -> int:
    """When the last note ends; 0 in an empty song."""
    return int(notes_of(score.tracks)["end"].max(initial=0))


def slack(resolution: int) -> int:
    """Ticks by which a note may miss a bar line and still count as on it: half a sixteenth."""
    return resolution // (2 * STEPS_PER_QUARTER)


def snapped(notes: np.ndarray, lines: np.ndarray, resolution: int) -> np.ndarray:
    """Notes of TICK_NOTE, moved to the bar lines that they begin a little before, or end a little
    after; a little is :func:`slack`.

    Args:
        lines: (bars + 1,) ticks, ascending.
        resolution: ticks a quarter.
    """
    notes = notes.copy()
    most = slack(resolution)
    following = lines[np.minimum(np.searchsorted(lines, notes["start"]), len(lines) - 1)]
    early = (following > notes["start"]) & (following - notes["start"] <= most)
    # The last note of the song, if short, does not belong to the bar after it.
    early &= (notes["end"] > following) | (following <= notes["start"].max(initial=0))
    notes["start"][early] = following[early]
    before = lines[np.maximum(np.searchsorted(lines, notes["end"], side="right") - 1, 0)]
    late = (before > notes["start"]) & (notes["end"] - before <= most)
    notes["end"][late] = before[late]
    np.maximum(notes["end"], notes["start"] + 1, out=notes["end"])
    return notes


def begun_in(notes: np.ndarray, bars: Bars, resolution: int) -> np.ndarray:
    """(notes,) index of the bar in which each note of TICK_NOTE begins; one that begins a little
    before a bar line (:func:`slack`) belongs to the bar after it."""
    return bars.index_at(snapped(notes, bars.ticks, resolution)["start"])


def bars_of(score: Score, pickup: int = 0) -> Bars:
    """The bars of a song, one at least. A metre that changes within a bar starts a new bar; a note
    that ends a little late adds none.

    Args:
        pickup: ticks before the first full bar, where the file does not say.

    Raises:
        MidiError: there are more than MAX_BARS.
    """
    last_start = int(notes_of(score.tracks)["start"].max(initial=0))
    end = max(last_tick(score) - slack(score.resolution), last_start + 1)
    ticks: list[int] = []
    metres: list[tuple[int, int]] = []
    changes = [row for row in changes_of_metre(score, pickup) if row[0] < end]
    for index, (start, numerator, denominator) in enumerate(changes):
        is_last = index + 1 == len(changes)
        until = end if is_last else changes[index + 1][0]
        length = bar_length(numerator, denominator, score.resolution)
        if len(ticks) + (until - start) / length > MAX_BARS:
            raise MidiError(f"{score.name}: more than {MAX_BARS} bars")
        lines = bar_line_ticks(start, until, length)
        ticks += lines if is_last else lines[:-1]
        metres += [(numerator, denominator)] * (len(lines) - 1)
    first = 0 if _starts_with_pickup(ticks, changes, score.resolution) else 1
    return Bars(np.array(ticks, np.int64), first, np.array(metres, np.int64))


def bar_length(numerator: int, denominator: int, resolution: int) -> Fraction:
    """Ticks of a bar, at least one, not always a whole number; `resolution` is of a quarter."""
    return max(Fraction(resolution * QUARTERS_A_WHOLE * numerator, denominator), Fraction(1))


def bar_line_ticks(start: int, until: int, length: Fraction) -> list[int]:
    """Ticks at which bars of `length` ticks begin, from `start` on, and the last one ends: the one
    that `until` is in, or ends. Each is rounded by itself, so that no error adds up."""
    bars = ceil((until - start) / length)
    return [start + round(bar * length) for bar in range(bars + 1)]


def changes_of_metre(score: Score, pickup: int = 0) -> list[tuple[int, int, int]]:
    """Where metres begin, as (tick, numerator, denominator). A pickup of some ticks, of which the
    file does not say, ends with another beginning of the metre that is in force then."""
    changes = [(tick, above, below) for tick, above, below in score.metres.tolist()]
    if not pickup:
        return changes
    _, above, below = [change for change in changes if change[0] <= pickup][-1]
    return [changes[0], (pickup, above, below), *(c for c in changes if c[0] > pickup)]


def _starts_with_pickup(
    ticks: list[int], changes: list[tuple[int, int, int]], resolution: int
) -> bool:
    """Whether the file gives a metre of its own to a first bar that is shorter than the next."""
    if len(changes) < 2 or ticks[1] != changes[1][0]:
        return False
    _, numerator, denominator = changes[1]
    return ticks[1] < resolution * QUARTERS_A_WHOLE * numerator / denominator
