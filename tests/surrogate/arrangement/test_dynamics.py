from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from surrogate.arrangement.dynamics import (
    REFERENCE,
    PartProfile,
    VelocityContour,
    accents,
    as_loud,
    part_level,
    part_profiles,
    part_velocities,
    swell,
    velocity_contour,
)

PROFILE = PartProfile(
    level=90.0,
    slope=0.5,
    constant_level=95.0,
    constant_slope=0.8,
    most_above=20.0,
    follow=0.5,
    spread=4.0,
    accents=np.arange(16.0)[None],
)
NOTES = st.lists(
    st.tuples(st.integers(0, 100), st.just(200), st.integers(28, 60)), min_size=1, max_size=40
)


def test_a_bar_counts_for_itself_and_less_for_its_neighbours() -> None:
    contour = velocity_contour(np.array([0, 4, 16]), np.array([60, 80, 100]), 2)
    # Bars of 70 and 100; weights 1 and 2/3.
    np.testing.assert_allclose(
        contour.bars, [(70 + 100 * 2 / 3) / (5 / 3), (100 + 140 / 3) / (5 / 3)]
    )
    assert contour.mean == 80
    assert not contour.constant


def test_bars_far_from_any_note_lie_on_a_line() -> None:
    contour = velocity_contour(np.array([0, 8 * 16]), np.array([50, 90]), 11)
    # Three bars away a note no longer counts: bars 0 to 2 are 50, 6 to 10 are 90.
    assert contour.bars.tolist() == [50, 50, 50, 60, 70, 80, 90, 90, 90, 90, 90]


def test_loudness_runs_between_the_middles_of_bars() -> None:
    contour = VelocityContour(np.array([50.0, 82.0]), 66.0, False)
    # A note's middle counts: step 7's is at the bar's half less half a step; to the next bar's
    # middle, at 24, it is 16 steps, and 2 velocities a step.
    assert contour.at(np.array([0, 7, 8, 15, 16, 31])).tolist() == [50, 50, 51, 65, 67, 82]


def test_notes_outside_count_for_the_first_and_last_bar() -> None:
    contour = velocity_contour(np.array([-5, 1000]), np.array([40, 40]), 3)
    assert contour.bars.tolist() == [40, 40, 40]
    assert contour.constant


def test_no_notes_are_of_the_fixed_velocity() -> None:
    contour = velocity_contour(np.zeros(0, int), np.zeros(0, int), 2)
    assert contour.bars.tolist() == [80, 80]
    assert contour.constant


@given(
    st.lists(st.tuples(st.integers(-40, 400), st.integers(1, 127)), min_size=1, max_size=50),
    st.integers(1, 12),
)
def test_loudness_is_one_number_a_bar_within_the_velocities(
    notes: list[tuple[int, int]], bars: int
) -> None:
    steps, velocities = np.array(notes).T
    contour = velocity_contour(steps, velocities, bars)
    assert contour.bars.shape == (bars,)
    assert contour.bars.min() >= velocities.min() - 1e-9
    assert contour.bars.max() <= velocities.max() + 1e-9


def test_level_rises_with_the_song() -> None:
    def level(mean: float, constant: bool) -> float:
        return part_level(PROFILE, VelocityContour(np.array([mean]), mean, constant))

    assert level(REFERENCE, False) == 90
    assert level(REFERENCE, True) == 95
    assert level(120, False) == 100
    assert level(120, True) == 111
    # By the line 65, but no further than 20 above what is contour.
    assert level(40, False) == 60


def test_swell_and_accents() -> None:
    contour = VelocityContour(np.array([60.0, 100.0]), 80.0, False)
    assert swell(PROFILE, contour, np.array([0, 31])).tolist() == [-10, 10]
    assert accents(PROFILE, np.array([0, 5, 17]), np.array([30, 30, 30])).tolist() == [0, 5, 1]


def test_drums_have_accents_by_class_and_unknown_pitches_none() -> None:
    table = np.arange(9 * 16.0).reshape(9, 16)
    profile = PartProfile(90, 1, 90, 1, 20, 1, 0, table)
    pitches = np.array([36, 38, 51, 10])
    assert accents(profile, np.array([0, 4, 16, 0]), pitches).tolist() == [0, 20, 128, 0]


def test_without_dynamics_all_is_as_it_was() -> None:
    contour = velocity_contour(np.array([0, 16, 32]), np.array([30, 60, 120]), 3)
    notes = [(0, 4, 40), (16, 20, 41), (40, 44, 43)]
    assert part_velocities(notes, "bass", contour, 0.0).tolist() == [80, 80, 80]


def test_velocities_follow_a_crescendo() -> None:
    steps = np.arange(0, 16 * 16, 2)
    contour = velocity_contour(steps, np.linspace(40, 120, len(steps)), 16)
    kicks = [(step, step + 1, 36) for step in range(0, 256, 16)]
    natural, twice = (part_velocities(kicks, "drums", contour, dynamics) for dynamics in (1.0, 2.0))
    for velocities, least in ((natural, 15), (twice, 30)):
        assert velocities[-4:].mean() - velocities[:4].mean() > least


def test_hits_on_the_beat_are_louder_than_between() -> None:
    contour = velocity_contour(np.array([0, 100]), np.array([90, 90]), 16)
    hats = [(step, step + 1, 42) for step in range(256)]
    velocities = part_velocities(hats, "drums", contour).reshape(16, 16)
    assert velocities[:, ::4].mean() > velocities[:, 1::2].mean() + 5


def test_soft_songs_are_not_drowned() -> None:
    contour = velocity_contour(np.array([0, 8, 16]), np.array([20, 30, 25]), 2)
    notes = [(step, step + 1, 40) for step in range(32)]
    assert (
        part_velocities(notes, "bass", contour).mean() < 25 + part_profiles()["bass"].most_above + 3
    )


def test_seeds_differ_and_reproduce() -> None:
    contour = velocity_contour(np.array([0, 8]), np.array([70, 80]), 2)
    notes = [(step, step + 1, 40) for step in range(32)]
    first = part_velocities(notes, "bass", contour, seed=3)
    assert first.tolist() == part_velocities(notes, "bass", contour, seed=3).tolist()
    assert first.tolist() != part_velocities(notes, "bass", contour, seed=4).tolist()


def test_a_touch_takes_the_place_of_accents_and_deviations() -> None:
    contour = VelocityContour(np.full(2, 100.0), 100.0, True)
    touch = np.array([100, 60, 110, 50])
    notes = [(0, 1, 36), (4, 5, 42), (8, 9, 38), (14, 15, 42)]
    level = part_profiles()["drums"].constant_level
    made = part_velocities(notes, "drums", contour, touch=touch)
    assert np.ptp(made - touch) <= 1  # rounded
    # Amplitudes are as the squares of velocities: the hits have the energy of even ones.
    assert np.mean(made**4.0) ** 0.25 == pytest.approx(level, abs=0.5)
    assert made.mean() < level - 5
    even = part_velocities(notes, "drums", contour, touch=np.zeros(4))
    assert even.tolist() == [round(level)] * 4


@given(
    st.lists(st.tuples(st.floats(-60, 200), st.floats(1, 127)), min_size=1, max_size=30),
)
def test_velocities_as_loud_as_others(rows: list[tuple[float, float]]) -> None:
    velocities, even = np.array(rows).T
    made = as_loud(velocities, even)
    assert made.min() >= 1 and made.max() <= 127
    assert np.mean(made**4) ** 0.25 == pytest.approx(np.mean(even**4) ** 0.25, abs=0.1)
    inside = (made > 1) & (made < 127)
    assert np.ptp((made - velocities)[inside]) < 1e-6 if inside.any() else True


@examples(50)
@given(NOTES, st.sampled_from(["melody", "bass", "drums"]), st.floats(0, 2), st.integers(1, 127))
def test_velocities_are_midi(
    notes: list[tuple[int, int, int]], part: str, dynamics: float, loud: int
) -> None:
    contour = velocity_contour(np.array([0, 16]), np.array([loud, 127]), 8)
    velocities = part_velocities(notes, part, contour, dynamics)
    assert velocities.shape == (len(notes),)
    assert velocities.min() >= 1
    assert velocities.max() <= 127


def test_profile_that_ships() -> None:
    profiles = part_profiles()
    assert [*profiles] == ["melody", "bass", "drums"]
    assert [len(profile.accents) for profile in profiles.values()] == [1, 1, 9]
    for profile in profiles.values():
        assert profile.accents.shape[1] == 16
        assert 0 < profile.follow < 1
        assert 60 < profile.level < 120
