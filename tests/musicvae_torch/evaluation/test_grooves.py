"""Errors and distances of played drums, on cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicvae_torch.evaluation.grooves import (
    Performances,
    added_hits,
    distribution_distances,
    hits_of,
    mean_errors,
    wasserstein,
)

SNARE = 1


def performances() -> Performances:
    """Two performances of a kick and a snare, at 120 and 60 quarter notes a minute."""
    tokens = np.zeros((2, 32, 27), np.float32)
    tokens[:, 0, 0] = tokens[:, 4, SNARE] = 1
    tokens[:, 0, 9] = 100 / 127
    tokens[:, 4, 9 + SNARE] = 60 / 127
    tokens[:, 0, 18] = 0.2  # a tenth of a step early
    return Performances(tokens, np.array([120.0, 60.0]), np.array([7, 3]))


def test_hits_are_in_milliseconds_and_midi_velocities() -> None:
    hits = hits_of(performances())
    assert hits.drum.tolist() == [0, SNARE, 0, SNARE]
    assert hits.performance.tolist() == [7, 7, 3, 3]
    # A sixteenth lasts 125 and 250 ms.
    np.testing.assert_allclose(hits.timing, [-12.5, 0, -25, 0], atol=1e-5)
    np.testing.assert_allclose(hits.velocity, [100, 60, 100, 60], rtol=1e-6)


def test_errors_are_means_of_each_performance() -> None:
    true = performances()
    played = true.tokens.copy()
    played[0, 0, 18] = 0  # the first performance's kick on the grid
    played[1, 4, 9 + SNARE] = 80 / 127
    timing, velocity = mean_errors(hits_of(true), hits_of(true, played))
    np.testing.assert_allclose(timing, [0, 6.25], atol=1e-5)  # performances 3 and 7
    np.testing.assert_allclose(velocity, [10, 0], atol=1e-5)


def test_distances_are_drum_by_drum() -> None:
    true = performances()
    played = true.tokens.copy()
    played[:, 0, 9] = 90 / 127
    timing, velocity = distribution_distances(hits_of(true), hits_of(true, played))
    assert timing[:2].tolist() == [0, 0]
    np.testing.assert_allclose(velocity[:2], [10, 0], atol=1e-5)
    assert np.isnan(timing[2:]).all() and np.isnan(velocity[2:]).all()


def test_added_drums_are_scored_where_both_hit() -> None:
    true = performances()
    rows = np.zeros_like(true.tokens)
    rows[0, 0, 0] = 1  # the first performance's kick, on the grid and softer; and no snare
    rows[0, 0, 9] = 90 / 127
    rows[1, 8, SNARE] = 1  # what the other does not have
    scores = added_hits(true, rows, [0, SNARE])
    np.testing.assert_allclose(scores.f1, [0, 2 / 3])  # performances 3 and 7
    np.testing.assert_allclose(scores.timing, [np.nan, 12.5], atol=1e-5)
    np.testing.assert_allclose(scores.velocity, [np.nan, 10], atol=1e-5)
    np.testing.assert_allclose(scores.drum_f1[:3], [2 / 3, 0, np.nan])


def test_only_the_drums_that_were_added_count() -> None:
    true = performances()
    rows = np.zeros_like(true.tokens)
    rows[:, 0, 0] = 1
    rows[:, 3, SNARE] = 1
    assert added_hits(true, rows, [0]).f1.tolist() == [1, 1]
    assert added_hits(true, true.tokens, [SNARE]).f1.tolist() == [1, 1]
    assert np.isnan(added_hits(true, true.tokens, [5]).f1).all()


SAMPLES = st.lists(st.floats(-100, 100), min_size=1, max_size=40).map(np.array)


@given(SAMPLES, SAMPLES, st.floats(-50, 50))
def test_the_distance_is_one(first: np.ndarray, second: np.ndarray, shift: float) -> None:
    assert wasserstein(first, first) == 0
    assert wasserstein(first, second) == wasserstein(second, first) >= 0
    assert wasserstein(first, first + shift) == pytest.approx(abs(shift), abs=1e-9)
