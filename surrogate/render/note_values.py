"""Lengths of notes as notation can write them: whole notes to sixty-fourths, dotted, and tuplets.

Times are fractions of quarter notes.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

# What a quarter note may be divided into, and what a note that fits none of these is moved to.
EXACT = (1, 2, 4, 8, 16, 3, 6, 12, 5, 10, 7)
NEAREST = (4, 3)
_PLAIN = [Fraction(4, 1 << power) for power in range(7)]
_LENGTHS = frozenset(
    [plain * dots for plain in _PLAIN for dots in (1, Fraction(3, 2), Fraction(7, 4))]
    + [
        plain * of
        for plain in _PLAIN[1:]
        for of in (Fraction(2, 3), Fraction(4, 5), Fraction(4, 7))
    ]
)


def quarter_of(tick: int, resolution: int) -> tuple[Fraction, bool]:
    """When a tick comes, in quarter notes, as notation can write it; and whether that is exact.

    Args:
        tick: of the score.
        resolution: ticks a quarter note.
    """
    exact = Fraction(tick, resolution)
    if any((exact * parts).denominator == 1 for parts in EXACT):
        return exact, True
    able = (Fraction(round(exact * parts), parts) for parts in NEAREST)
    return min(able, key=lambda time: abs(time - exact)), False


def spans(notes: np.ndarray, resolution: int) -> tuple[list[tuple[Fraction, Fraction, int]], int]:
    """Notes of TICK_NOTE as (start, end, pitch), and how many of them were moved."""
    found, moved = [], 0
    for start, end, pitch, _ in notes.tolist():
        begins, exact = quarter_of(start, resolution)
        ends, also = quarter_of(end, resolution)
        if ends <= begins:
            ends, also = begins + Fraction(1, NEAREST[0]), False
        moved += not (exact and also)
        found.append((begins, ends, pitch))
    return found, moved


def pieces(start: Fraction, end: Fraction) -> Iterator[tuple[Fraction, Fraction]]:
    """A stretch of a bar as stretches that a note or rest can last each, tied together.

    Args:
        start, end: from the beginning of the bar.
    """
    if end - start in _LENGTHS:
        yield start, end
        return
    for unit in (Fraction(2), Fraction(1), Fraction(1, 2), Fraction(1, 4), Fraction(1, 8)):
        middle = (start // unit + 1) * unit
        if start < middle < end:
            yield from pieces(start, middle)
            yield from pieces(middle, end)
            return
    yield start, end
