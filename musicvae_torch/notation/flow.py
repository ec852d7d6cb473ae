"""The order in which the bars of a score are played, when each begins, and in which metre.

Times are fractions of quarter notes from the beginning, so that nothing is rounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from musicvae_torch.errors import NotationError
from musicvae_torch.midi.messages import MAX_POWER

MAX_TIMES = 64  # that a repeat may be played
MAX_PLAYED = 100_000  # bars, repeats written out
_QUARTERS_A_WHOLE = 4
_WRITTEN = "written-"  # before the index of a bar, in the group by which its copies are known


@dataclass(frozen=True)
class PlayedBar:
    """A bar as it is played; one that is repeated has several.

    Attributes:
        index: of the bar, as it is written.
        start: quarter notes from the beginning.
        length: quarter notes.
        times: how often the bar was played before.
    """

    index: int
    start: Fraction
    length: Fraction
    times: int


def bars_of_parts(score: Any) -> list[list[Any]]:
    """The written bars of each part of a ``music21.stream.Score``; a part without bar lines is
    divided by its metre."""
    found = []
    for part in score.parts:
        bars = list(part.getElementsByClass("Measure"))
        if not bars and part.recurse().notesAndRests:
            bars = list(part.makeMeasures().getElementsByClass("Measure"))
        found.append(bars)
    return found


def play_order(score: Any, parts: Sequence[Sequence[Any]]) -> tuple[list[int], list[str]]:
    """The indices of the bars in the order in which they are played, with all repeats, endings and
    jumps (D.C., D.S., coda), and remarks.

    Raises:
        NotationError: a repeat is to be played more than MAX_TIMES.
    """
    from music21 import repeat

    written = max(map(len, parts))
    plain = list(range(written))
    for part, bars in zip(score.parts, parts, strict=True):
        marks = list(part.recurse().getElementsByClass("RepeatMark"))
        if not marks or len(bars) != written:
            continue
        if any((getattr(mark, "times", None) or 1) > MAX_TIMES for mark in marks):
            raise NotationError(f"a repeat is played more than {MAX_TIMES} times")
        try:
            for index, bar in enumerate(bars):
                bar.groups.append(f"{_WRITTEN}{index}")
            expanded = repeat.Expander(part).process().getElementsByClass("Measure")
            order = [_written_index(bar) for bar in expanded]
        except Exception:
            return plain, ["its repeats cannot be followed; every bar is played once"]
        if len(order) > MAX_PLAYED:
            raise NotationError(f"more than {MAX_PLAYED} bars, repeats written out")
        if order != plain:
            return order, [
                f"repeats are written out: {len(order)} bars, where {written} are written"
            ]
    return plain, []


def _written_index(bar: Any) -> int:
    """Which of the written bars a copy of music21's is of."""
    return next(int(g.removeprefix(_WRITTEN)) for g in bar.groups if g.startswith(_WRITTEN))


def played_bars(order: Sequence[int], parts: Sequence[Sequence[Any]]) -> list[PlayedBar]:
    """When each bar begins; a bar is as long as the longest part has it."""
    lengths = [Fraction(0)] * max(map(len, parts))
    for bars in parts:
        for index, bar in enumerate(bars):
            lengths[index] = max(lengths[index], Fraction(bar.highestTime))
    start, times = Fraction(0), Counter[int]()
    played = []
    for index in order:
        played.append(PlayedBar(index, start, lengths[index], times[index]))
        times[index] += 1
        start += lengths[index]
    return played


def metres(played: Sequence[PlayedBar], bars: Sequence[Any]) -> list[tuple[Fraction, int, int]]:
    """Where metres begin, as (quarter, numerator, denominator).

    A bar that is shorter or longer than its metre, such as a pickup, gets a metre of its own; but
    not the last one, if it is short. Two short ones in a row that make a whole bar together, as on
    both sides of a repeat, are one bar.

    Args:
        played: the bars in the order in which they are played.
        bars: those of the part that has the metres, as they are written.
    """
    nominal = _nominal(bars)
    found: list[tuple[Fraction, int, int]] = []
    at = 0
    while at < len(played):
        bar, metre = played[at], nominal[played[at].index]
        length, count = bar.length, 1
        following = played[at + 1 : at + 2]
        if at and length < _quarters(metre) and following:
            both = length + following[0].length
            if both == _quarters(metre) and nominal[following[0].index] == metre:
                length, count = both, 2
        # The last bar may be what a pickup leaves of it.
        cut = at > 0 and not following and length < _quarters(metre)
        own = metre if cut or length == _quarters(metre) else _metre_of(length, metre)
        if length and (not found or found[-1][1:] != own):
            found.append((bar.start, *own))
        at += count
    return found


def _nominal(bars: Sequence[Any]) -> list[tuple[int, int]]:
    """The metre of each bar that its part is written in."""
    current = (4, 4)
    found = []
    for bar in bars:
        own = bar.timeSignature
        if own is not None and own.numerator and own.denominator:
            current = int(own.numerator), int(own.denominator)
        found.append(current)
    return found


def _quarters(metre: tuple[int, int]) -> Fraction:
    return Fraction(metre[0] * _QUARTERS_A_WHOLE, metre[1])


def _metre_of(length: Fraction, nominal: tuple[int, int]) -> tuple[int, int]:
    """The metre of a bar of so many quarter notes; the nominal one, where MIDI has none for it."""
    for power in range(nominal[1].bit_length() - 1, MAX_POWER + 1):
        count = length * (1 << power) / _QUARTERS_A_WHOLE
        if count.denominator == 1 and 0 < count <= 255:
            return int(count), 1 << power
    return nominal
