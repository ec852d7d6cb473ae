"""The model's grid on a song's own beats: metres, pickups, changes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_scores import score_of

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import TICK_NOTE, Track
from surrogate.song.bars import bars_of
from surrogate.song.grid import MAX_BARS, Grid
from surrogate.song.metre import bar_beats, beat_groups, beat_positions, is_common


def in_metres(*changes: tuple[int, int, int], resolution: int = 4) -> Score:
    """A file of nothing but changes of metre: (tick, numerator, denominator)."""
    chunk, last = mido.MidiTrack(), 0
    for tick, above, below in changes:
        chunk.append(
            mido.MetaMessage("time_signature", numerator=above, denominator=below, time=tick - last)
        )
        last = tick
    return score_of(mido.MidiFile(ticks_per_beat=resolution, tracks=[chunk]))


def beats(grid: Grid) -> list[int | None]:
    """Where each of the model's beats begins; None where it lasts no time."""
    lengths = np.diff(grid.step_ticks)
    return [
        int(grid.step_ticks[step]) if lengths[step : step + 4].any() else None
        for step in range(0, len(lengths), 4)
    ]


@pytest.mark.parametrize(
    ("metre", "lengths"),
    [
        ((4, 4), [1, 1, 1, 1]),
        ((2, 2), [1, 1, 1, 1]),
        ((3, 4), [1, 1, 1]),
        ((6, 8), [1.5, 1.5]),
        ((3, 8), [1.5]),
        ((12, 8), [1.5] * 4),
        ((9, 16), [0.75] * 3),
        ((5, 8), [1, 1.5]),
        ((7, 8), [1, 1, 1.5]),
        ((1, 8), [0.5]),
        ((5, 4), [1] * 5),
        ((3, 2), [1] * 6),
    ],
)
def test_beats_of_a_bar(metre: tuple[int, int], lengths: list[float]) -> None:
    assert bar_beats(*metre) == [Fraction(length) for length in lengths]
    assert is_common(*metre) == (metre in [(4, 4), (2, 2)])


@given(st.integers(1, 40), st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_beats_fill_their_bar(above: int, below: int) -> None:
    lengths = bar_beats(above, below)
    assert sum(lengths) == Fraction(4 * above, below) and min(lengths) > 0
    groups = beat_groups(len(lengths))
    assert sum(groups) == len(lengths) and max(groups) <= 4
    taken, after = beat_positions(groups, 0)
    assert len(taken) == len(lengths) and taken == sorted(set(taken)) and after > taken[-1]


def test_where_beats_fall() -> None:
    assert beat_positions([4], 0) == ([0, 1, 2, 3], 4)
    assert beat_positions([3], 4) == ([4, 5, 7], 8)
    assert beat_positions([3, 2], 0) == ([0, 1, 3, 4, 5], 6)
    assert beat_positions([2], 2) == ([2, 3], 4)
    assert beat_positions([2], 1) == ([2, 3], 4)
    assert beat_positions([1], 3) == ([3], 4)
    assert beat_positions([4], 6) == ([8, 9, 10, 11], 12)


@pytest.mark.parametrize(
    ("metre", "until", "wanted"),
    [
        ((4, 4), 17, [0, 4, 8, 12, 16, 20, 24, 28]),
        ((3, 4), 24, [0, 4, None, 8, 12, 16, None, 20]),
        ((2, 4), 16, [0, 4, 8, 12]),
        ((2, 4), 24, [0, 4, 8, 12, 16, 20, None, None]),
        ((6, 8), 24, [0, 6, 12, 18]),
        ((9, 8), 18, [0, 6, None, 12]),
        ((5, 4), 20, [0, 4, None, 8, 12, 16, None, None]),
        ((7, 8), 14, [0, 4, None, 8]),
    ],
)
def test_beats_of_any_metre_are_laid_on_4_4(
    metre: tuple[int, int], until: int, wanted: list[int | None]
) -> None:
    grid = Grid(in_metres((0, *metre)), until)
    assert beats(grid) == wanted
    assert grid.bars == len(wanted) // 4


def test_off_beats_of_dotted_beats_swing() -> None:
    grid = Grid(in_metres((0, 6, 8)), 12)
    assert grid.step_ticks[:9].tolist() == [0, 2, 4, 5, 6, 8, 10, 11, 12]
    assert grid.step_ticks[8:].tolist() == [12] * 9


def test_a_short_first_bar_is_a_pickup() -> None:
    assert beats(Grid(in_metres((0, 1, 4), (4, 4, 4)), 36)) == [
        None, None, None, 0, 4, 8, 12, 16, 20, 24, 28, 32,
    ]  # fmt: skip
    waltz = Grid(in_metres((0, 1, 4), (4, 3, 4)), 16)
    assert beats(waltz) == [None, None, None, 0, 4, 8, None, 12]
    said = Grid(in_metres((0, 4, 4)), 20, pickup=1.0)
    assert beats(said) == [None, None, None, 0, 4, 8, 12, 16]
    eighth = Grid(in_metres((0, 4, 4)), 18, pickup=0.5)
    assert eighth.step_ticks[12:20].tolist() == [0, 1, 2, 2, 2, 3, 4, 5]


def test_a_pickup_shorter_than_a_bar() -> None:
    with pytest.raises(MidiError, match="the pickup must be shorter than the first bar, of 3/4"):
        Grid(in_metres((0, 3, 4)), 40, pickup=3.0)
    with pytest.raises(ValueError, match="0 or more"):
        Grid(in_metres((0, 3, 4)), 40, pickup=-1.0)


def test_a_change_of_metre_begins_a_bar() -> None:
    grid = Grid(in_metres((0, 4, 4), (24, 3, 4)), 36)
    assert beats(grid) == [0, 4, 8, 12, 16, 20, None, None, 24, 28, None, 32]
    inside = Grid(in_metres((0, 4, 4), (22, 4, 4)), 38)  # in the middle of a beat
    assert beats(inside) == [0, 4, 8, 12, 16, 20, None, None, 22, 26, 30, 34]
    assert inside.step_ticks[20:25].tolist() == [20, 21, 22, 22, 22]


def test_too_many_bars() -> None:
    with pytest.raises(MidiError, match=f"longer than {MAX_BARS} bars"):
        Grid(in_metres((0, 4, 4)), (MAX_BARS + 1) * 16)
    with pytest.raises(MidiError, match=f"longer than {MAX_BARS} bars"):
        Grid(in_metres((0, 1, 128)), 10**9)
    Grid(in_metres((0, 4, 4)), MAX_BARS * 16)


def notes(*spans: tuple[int, int]) -> np.ndarray:
    return np.array([(start, end, 60, 80) for start, end in spans], TICK_NOTE)


def test_notes_to_steps_and_bars() -> None:
    grid = Grid(in_metres((0, 4, 4), resolution=8), 64)  # two ticks a step
    starts, ends = grid.to_steps(notes((0, 1), (1, 2), (3, 4), (62, 64), (63, 64), (64, 70)))
    assert starts.tolist() == [0, 1, 2, 31, 31, 31] and ends.tolist() == [1, 2, 3, 32, 32, 32]
    firsts, lasts = grid.to_bars(notes((0, 1), (31, 32), (31, 33), (32, 33), (0, 64)))
    assert firsts.tolist() == [0, 0, 0, 1, 0] and lasts.tolist() == [1, 1, 2, 2, 2]


def test_no_note_is_heard_on_a_beat_that_is_not_there() -> None:
    grid = Grid(in_metres((0, 3, 4)), 12)
    starts, ends = grid.to_steps(notes((0, 4), (4, 8), (8, 12)))
    assert starts.tolist() == [0, 4, 12] and ends.tolist() == [4, 12, 16]


@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.integers(1, 9), st.sampled_from([2, 4, 8, 16])),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 200),
    st.data(),
)
def test_any_metres(changes: list[tuple[int, int, int]], until: int, data: st.DataObject) -> None:
    ticks = np.cumsum([0, *(gap for gap, _, _ in changes[1:])]).tolist()
    score = in_metres(*((t, a, b) for t, (_, a, b) in zip(ticks, changes, strict=True)))
    grid = Grid(score, until)
    assert len(grid.step_ticks) == grid.bars * 16 + 1
    assert (np.diff(grid.step_ticks) >= 0).all()
    assert grid.step_ticks[0] == 0 and grid.step_ticks[-1] >= until
    start = data.draw(st.integers(0, until - 1))
    end = data.draw(st.integers(start + 1, until))
    (first,), (last,) = grid.to_steps(notes((start, end)))
    assert 0 <= first < last <= grid.bars * 16
    assert grid.step_ticks[first] < grid.step_ticks[last]  # so that it can be written again
    # No other step is nearer.
    assert abs(grid.step_ticks[first] - start) == abs(grid.step_ticks[:-1] - start).min() or (
        first == np.flatnonzero(np.diff(grid.step_ticks))[-1]
    )


def test_bars_of_no_whole_number_of_ticks_are_those_that_are_counted() -> None:
    """9/32 of four ticks a quarter is 4.5 ticks: lines at 0, 4.5, 9, 13.5, rounded each alone."""
    score = in_metres((0, 9, 32))
    notes = np.array([(0, 18, 60, 80)], TICK_NOTE)
    score = replace(score, tracks=(Track(0, "", 0, 0, 0, notes),))
    grid = Grid(score, 18)
    assert grid.step_ticks[::16].tolist() == [0, 4, 9, 14, 18] == bars_of(score).ticks.tolist()
    # A bar of less than a tick is one.
    score = replace(score, metres=np.array([(0, 1, 128)]))
    assert bars_of(score).ticks.tolist() == list(range(19))
    assert grid_lines(Grid(score, 18)) == list(range(19))


def grid_lines(grid: Grid) -> list[int]:
    """Ticks at which anything begins, and where all ends."""
    return sorted(set(grid.step_ticks.tolist()))
