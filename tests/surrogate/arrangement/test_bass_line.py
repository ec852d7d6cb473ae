from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surrogate.arrangement.bass_line import HOW, keep_bass_in_harmony
from surrogate.arrangement.fill import StepNote
from surrogate.arrangement.harmony import parse

C2, D2, E2, F2, G2, A2, B2, C3 = 36, 38, 40, 41, 43, 45, 47, 48


def in_quarters(*pitches: int) -> list[StepNote]:
    return [(4 * i, 4 * i + 4, pitch) for i, pitch in enumerate(pitches)]


def pitches_of(notes: list[StepNote]) -> list[int]:
    return [pitch for _, _, pitch in notes]


@pytest.mark.parametrize("how", HOW)
def test_chord_tones_stay(how: str) -> None:
    line = in_quarters(C2, E2, G2, C3)
    assert keep_bass_in_harmony(line, parse("C", 1), how) == line


def test_the_first_note_of_a_chord_goes_to_its_root() -> None:
    # F's nearest tone of C is E, but it leads.
    assert keep_bass_in_harmony([(0, 4, F2)], parse("C", 1)) == [(0, 4, C2)]
    line = in_quarters(C2, C2, C2, C2, A2, C2, C2, C2)
    assert pitches_of(keep_bass_in_harmony(line, parse("C | G", 2)))[4] == G2


def test_other_notes_go_to_the_nearest_tone() -> None:
    # On the half bar F goes to E, D# to E as well (a semitone), A to G.
    assert pitches_of(keep_bass_in_harmony([(0, 4, C2), (8, 12, F2)], parse("C", 1)))[1] == E2
    assert pitches_of(keep_bass_in_harmony([(0, 4, C2), (8, 12, E2 - 1)], parse("C", 1)))[1] == E2
    assert pitches_of(keep_bass_in_harmony([(0, 4, C2), (8, 12, A2)], parse("C", 1)))[1] == G2


def test_of_equally_near_tones_the_root_wins() -> None:
    # From E down to D: C and E are two semitones off, C is the root.
    assert pitches_of(keep_bass_in_harmony([(0, 4, E2), (8, 12, D2)], parse("C", 1)))[1] == C2


def test_the_line_keeps_its_direction() -> None:
    def second(first: int, then: int) -> int:
        return pitches_of(keep_bass_in_harmony([(0, 4, first), (8, 12, then)], parse("C", 1)))[1]

    assert second(G2, F2) == E2
    # A whole step down to B flat: C is nearer than G (2 against 3), but would be no step.
    assert second(C3, B2 - 1) == G2
    # A semitone up to F: E (1) would be none, G (2) is up.
    assert second(E2, F2) == G2


def test_passing_notes_stay_in_strong_and_move_in_all() -> None:
    line = [*in_quarters(C2, D2, E2, F2), (16, 20, G2)]
    harmony = parse("C", 2)
    assert keep_bass_in_harmony(line, harmony, "strong") == line
    assert pitches_of(keep_bass_in_harmony(line, harmony, "all")) == [C2, E2, E2, G2, G2]


def test_a_leap_off_the_chord_moves_on_beats_but_not_between() -> None:
    harmony = parse("C", 1)
    assert pitches_of(keep_bass_in_harmony([(0, 4, C2), (4, 6, A2)], harmony)) == [C2, G2]
    assert pitches_of(keep_bass_in_harmony([(0, 4, C2), (6, 8, A2)], harmony)) == [C2, A2]
    assert pitches_of(keep_bass_in_harmony([(0, 4, C2), (6, 8, A2)], harmony, "all")) == [C2, G2]
    # Long ones are no passing matter.
    assert pitches_of(keep_bass_in_harmony([(0, 2, C2), (6, 14, A2)], harmony)) == [C2, G2]


def test_repeated_notes_move_together() -> None:
    line = [(2 * i, 2 * i + 2, D2) for i in range(8)]
    assert pitches_of(keep_bass_in_harmony(line, parse("C", 1))) == [C2] * 8
    octaves = [(2 * i, 2 * i + 2, D2 + 12 * (i % 2)) for i in range(8)]
    assert pitches_of(keep_bass_in_harmony(octaves, parse("C", 1))) == [C2, C3] * 4


def test_held_notes_are_cut_and_struck_again() -> None:
    assert keep_bass_in_harmony([(0, 16, C2)], parse("C G", 1)) == [(0, 8, C2), (8, 16, G2 - 12)]
    # C is in F too.
    assert keep_bass_in_harmony([(0, 16, C2)], parse("C F", 1)) == [(0, 16, C2)]
    # A single step is not worth it.
    assert keep_bass_in_harmony([(0, 9, C2)], parse("C G", 1)) == [(0, 8, C2)]


def test_a_note_that_comes_early_is_of_the_next_chord() -> None:
    line = [(0, 6, C2), (6, 16, G2)]
    assert keep_bass_in_harmony(line, parse("C G", 1)) == line
    # D is no tone of C, but of G, which it plays early.
    assert keep_bass_in_harmony([(0, 6, C2), (6, 16, D2)], parse("C G", 1)) == [
        (0, 6, C2),
        (6, 16, D2),
    ]


def test_slash_chords_have_their_bass() -> None:
    moved = keep_bass_in_harmony(in_quarters(C2, C2, G2, C3), parse("C/E", 1))
    assert pitches_of(moved) == [E2, E2, G2, E2 + 12]


def test_sevenths_stay_but_attract_nothing() -> None:
    harmony = parse("C7", 1)
    assert pitches_of(keep_bass_in_harmony([(0, 4, C2), (8, 12, B2 - 1)], harmony)) == [C2, B2 - 1]
    assert pitches_of(keep_bass_in_harmony([(0, 4, C2), (8, 12, A2)], harmony)) == [C2, G2]


def test_without_a_chord_nothing_moves() -> None:
    line = in_quarters(C2, D2 + 1, F2 + 1, B2)
    assert keep_bass_in_harmony(line, parse("N.C.", 1), "all") == line
    assert keep_bass_in_harmony([], parse("C", 1)) == []


@st.composite
def lines(draw: st.DrawFn) -> list[StepNote]:
    """Notes of one voice within eight bars."""
    notes: list[StepNote] = []
    step = 0
    while step < 128 and len(notes) < 40:
        start = step + draw(st.integers(0, 6))
        step = start + draw(st.integers(1, 24))
        notes.append((start, step, draw(st.integers(24, 60))))
    return notes


CHORDS = ["C", "Am7", "F#dim", "Bb/D", "N.C.", "Gsus4", "E9", "Abmaj7"]


@given(lines(), st.lists(st.sampled_from(CHORDS), min_size=1, max_size=8), st.sampled_from(HOW))
def test_any_line_comes_back_in_order_and_in_range(
    line: list[StepNote], chords: list[str], how: str
) -> None:
    harmony = parse(" | ".join(chords), 8)
    moved = keep_bass_in_harmony(line, harmony, how)
    assert moved == sorted(moved)
    assert all(start < end for start, end, _ in moved)
    assert all(one[1] <= other[0] for one, other in pairwise(moved))
    assert {start for start, _, _ in line} <= {start for start, _, _ in moved}
    pitches = pitches_of(line)
    assert all(min(28, *pitches) <= pitch <= max(55, *pitches) for pitch in pitches_of(moved))
    if how == "all":
        for start, _, pitch in moved:
            own = [harmony.chords[int(harmony.index_at(step))] for step in (start, start + 2)]
            assert any(one.root is None or pitch % 12 in one.core for one in own)
