"""Any metre as the 4/4 that the model knows: the model's beats on which the song's beats fall.

Bars of the model have four beats. Of a song's bar

- 4/4 and 2/2 are a bar, 2/4 is half of one;
- 3/4 takes the first, second and fourth beat: the model's backbeats, on two and four, become the
  waltz's two and three, and its third beat is left out;
- compound metres (6/8, 9/8, 12/8, ...) count in dotted beats, two, three or four of them, as
  above, with the off-beats swung: a dotted beat's eighths are the model's first, second and third
  sixteenth;
- longer bars are put together: 5/4 is 3 + 2, 6/4 is 3 + 3, 7/4 is 4 + 3, and 5/8 and 7/8 are
  quarters with a dotted one at the end.
"""

from __future__ import annotations

from fractions import Fraction

BEATS = 4  # of the model's bar
SIMPLE = (Fraction(0), Fraction(1, 4), Fraction(1, 2), Fraction(3, 4))
COMPOUND = (Fraction(0), Fraction(1, 3), Fraction(2, 3), Fraction(5, 6))  # a beat's sixteenths

_GROUPS = {5: (3, 2), 6: (3, 3)}
_POSITIONS = {1: (0,), 2: (0, 1), 3: (0, 1, 3), 4: (0, 1, 2, 3)}


def is_common(numerator: int, denominator: int) -> bool:
    """Whether a metre's bars are the model's own."""
    return (numerator, denominator) in ((4, 4), (2, 2))


def bar_beats(numerator: int, denominator: int) -> list[Fraction]:
    """Lengths of a bar's beats, in quarter notes."""
    unit = Fraction(4, denominator)
    if unit < 1 and numerator % 3 == 0:
        return [3 * unit] * (numerator // 3)
    beats = [Fraction(1)] * int(numerator * unit)
    rest = numerator * unit - len(beats)
    if not beats:
        return [rest]
    return [*beats[:-1], beats[-1] + rest]


def step_offsets(numerator: int, denominator: int) -> list[list[Fraction]]:
    """The offsets of the four steps of each beat of a bar, in quarter notes from the bar line."""
    offsets, since = [], Fraction(0)
    for beat in bar_beats(numerator, denominator):
        steps = COMPOUND if beat.numerator % 3 == 0 else SIMPLE  # dotted beats divide by three
        offsets.append([since + beat * step for step in steps])
        since += beat
    return offsets


def beat_groups(beats: int) -> list[int]:
    """Divide a bar of so many beats into groups of one to four."""
    if beats in _GROUPS:
        return list(_GROUPS[beats])
    return [BEATS] * (beats // BEATS) + [beats % BEATS] * (beats % BEATS > 0)


def beat_positions(groups: list[int], position: int) -> tuple[list[int], int]:
    """The model's beats that a bar falls on, the first of them at `position` or later, and the
    position after them. Groups of three and four begin a bar of the model's, pairs half a bar.
    """
    taken: list[int] = []
    for group in groups:
        unit = BEATS if group > 2 else group
        position = -(-position // unit) * unit
        taken += [position + beat for beat in _POSITIONS[group]]
        position += BEATS if group == 3 else group
    return taken, position
