from __future__ import annotations

import numpy as np
import pytest

from surrogate.arrangement.comping import (
    HELD,
    PROGRAMS,
    Strike,
    comp,
    comp_again,
    holds_chords,
    strike_notes,
)
from surrogate.arrangement.fill import StepNote
from surrogate.arrangement.harmony import Harmony

BAR = 16
KICK, SNARE, HAT = 36, 38, 42
DRUMS: list[StepNote] = [(step, step + 1, HAT) for step in range(0, 32, 2)]
DRUMS += [(step, step + 1, KICK) for step in (0, 8, 10, 16)]
DRUMS += [(step, step + 1, SNARE) for step in (4, 12, 20, 28)]
HARMONY = Harmony(np.array([0, 16, 24]), ("C", "Am", "N.C."))
ALL = np.ones(2 * BAR, bool)


def times(strikes: list[Strike]) -> list[tuple[int, int]]:
    return [(own.start, own.end) for own in strikes]


def test_strikes_are_with_kick_and_snare() -> None:
    strikes = comp(HARMONY, DRUMS, [], ALL, held=False)
    # The kick on 10 is too near to that on 8; strikes with the snare are short.
    assert times(strikes) == [(0, 4), (4, 6), (8, 12), (12, 14), (16, 20), (20, 22)]
    classes = [{pitch % 12 for pitch in own.pitches} for own in strikes]
    assert classes == [{0, 4, 7}] * 4 + [{9, 0, 4}] * 2


def test_held_chords_last() -> None:
    assert times(comp(HARMONY, DRUMS, [], ALL, held=True)) == [(0, 16), (16, 24)]
    long = Harmony(np.array([0]), ("C",))
    assert times(comp(long, [], [], np.ones(5 * BAR, bool), True)) == [(0, 32), (32, 64), (64, 80)]


def test_without_drums_chords_are_held() -> None:
    assert times(comp(HARMONY, [], [], ALL, held=False)) == [(0, 16), (16, 24)]


@pytest.mark.parametrize("held", [False, True])
def test_nothing_sounds_where_the_part_may_not(held: bool) -> None:
    live = ALL.copy()
    live[6:18] = False
    strikes = comp(HARMONY, DRUMS, [], live, held)
    assert strikes
    assert all(live[start:end].all() for start, end in times(strikes))
    assert times(strikes)[-1][1] <= 24  # no chord from there on
    assert comp(HARMONY, DRUMS, [], np.zeros(32, bool), held) == []


def test_bars_that_are_made_anew() -> None:
    """They have the rhythm of the whole part, other voicings, and none of the bars around them."""
    long = Harmony(np.array([0, 32, 48]), ("C", "F", "C"))
    hits = [(step + shift, end + shift, hit) for shift in (0, 32) for step, end, hit in DRUMS]
    whole = comp(long, hits, [], np.ones(4 * BAR, bool), held=False)
    voicings = set()
    for seed in range(8):
        anew = comp_again(long, hits, [], [(16, 40)], False, strike_notes(whole), seed)
        assert times(anew) == [own for own in times(whole) if 16 <= own[0] < 40]
        assert [{p % 12 for p in own.pitches} for own in anew] == [
            {p % 12 for p in own.pitches} for own in whole if 16 <= own.start < 40
        ]
        old = {own.pitches for own in whole}
        assert not old & {own.pitches for own in anew}
        voicings |= {own.pitches for own in anew if own.start < 32}
    assert len(voicings) > 1
    held = comp_again(long, hits, [], [(0, 16), (40, 56)], True, [], 0)
    assert times(held) == [(0, 16), (40, 48), (48, 56)]


@pytest.mark.parametrize("name", PROGRAMS)
def test_instruments_that_hold_chords(name: str) -> None:
    assert holds_chords(PROGRAMS[name]) == (name in HELD)


def test_notes_of_strikes() -> None:
    strikes = [Strike(0, 4, (60, 64)), Strike(4, 6, (59, 62))]
    assert strike_notes(strikes) == [(0, 4, 60), (0, 4, 64), (4, 6, 59), (4, 6, 62)]


def test_the_melody_is_above() -> None:
    melody = [(0, 32, 62)]
    strikes = comp(HARMONY, DRUMS, melody, ALL, held=False)
    assert max(pitch for own in strikes for pitch in own.pitches) < 62
