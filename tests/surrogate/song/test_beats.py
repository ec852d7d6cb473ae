"""Whether notes follow their file's beats, and the beats of those that do not."""

from __future__ import annotations

import numpy as np
import pytest

from surrogate.song.beat_fit import follows_the_beats, grid_distance
from surrogate.song.beats import (
    bar_weights,
    beats_at,
    downbeat,
    onset_weights,
    track_beats,
)

NOMINAL, PLAYED = 120.0, 87.3
BARS = (
    (0, 1, 2, 3),
    (0, 1.5, 2, 3),
    (0, 1, 1.5, 2, 2.5, 3),
    (0, 2, 3, 3.5),
    (0, 0.5, 1, 2),
    (0, 0.75, 1, 2, 2.5, 3),
)
SIXTEENTH = 60 / NOMINAL / 4  # seconds


def tune(bars: int, seed: int = 0) -> np.ndarray:
    """Onsets of a melody in quarter notes, the first at 0."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [4 * bar + np.array(BARS[rng.integers(len(BARS))]) for bar in range(bars)]
    )


def lengths(onsets: np.ndarray) -> np.ndarray:
    return np.diff(onsets, append=onsets[-1] + 1)


def by_hand(quarters: np.ndarray, tempo: float, spread: float, seed: int = 0) -> np.ndarray:
    """Seconds of onsets that are played so many seconds off."""
    return quarters * 60 / tempo + np.random.default_rng(seed).normal(0, spread, len(quarters))


def in_file(seconds: np.ndarray) -> np.ndarray:
    """Quarter notes of a file at a nominal 120."""
    return seconds * NOMINAL / 60


def share_found(true: np.ndarray, found: np.ndarray) -> float:
    """F-measure of beats within 70 ms."""
    near = np.abs(true[:, None] - found) <= 0.07
    return float(2 * near.any(axis=1).sum() / (len(true) + len(found)))


def within(beats: np.ndarray, onsets: np.ndarray) -> np.ndarray:
    """Beats that are not far before or after all notes."""
    kept: np.ndarray = beats[(beats > onsets.min() - 0.1) & (beats < onsets.max() + 0.1)]
    return kept


def test_distance_to_the_grid() -> None:
    assert grid_distance(np.array([0.0, 0.25, 1.75])) == 0
    assert grid_distance(np.array([0.125])) == 0.5
    assert grid_distance(np.arange(30) / 3) == pytest.approx(2 / 9)  # none, a third, a third
    assert grid_distance(np.random.default_rng(0).random(4000) * 99) == pytest.approx(
        0.25, abs=0.01
    )
    assert grid_distance(np.zeros(0)) == 0


SHUFFLED = np.sort(np.concatenate([np.arange(64), np.arange(64) + 0.6]))
SWUNG = np.sort(np.concatenate([np.arange(64), np.arange(64) + 2 / 3]))
ON_THE_BEAT = {
    "exact": tune(16),
    "by hand": in_file(by_hand(tune(16), NOMINAL, 0.02)),
    "late": tune(16) + 0.06,
    "swung": in_file(by_hand(SWUNG, NOMINAL, 0.015)),
    "shuffled": in_file(by_hand(SHUFFLED, NOMINAL, 0.015)),
    "triplets": in_file(by_hand(np.arange(120) / 3, NOMINAL, 0.015)),
    "sixteenth triplets": np.arange(120) / 6,
    "thirty-seconds": np.arange(256) / 8,
    "off-beats": np.arange(64) + 0.5,
    "grace notes": np.concatenate([tune(16), tune(16)[::3] - 0.11]),
    "arpeggios": (np.arange(0, 64, 2)[:, None] + np.array([0, 0.05, 0.1, 0.15])).ravel(),
    "chords, rolled": (tune(16)[:, None] + np.array([0, 0.03, 0.05])).ravel(),
    "a few": tune(16)[:20],
}


@pytest.mark.parametrize("name", ON_THE_BEAT)
def test_what_follows_the_beats(name: str) -> None:
    fit = follows_the_beats(ON_THE_BEAT[name])
    assert fit.follows, fit


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("lead", [0.0, 0.43])
def test_a_transcription_at_a_nominal_tempo(seed: int, lead: float) -> None:
    played = lead + by_hand(tune(16, seed), PLAYED, 0.015, seed)
    fit = follows_the_beats(in_file(played))
    assert not fit.follows, fit


@pytest.mark.parametrize("seed", range(8))
def test_notes_at_any_time(seed: int) -> None:
    onsets = np.cumsum(np.random.default_rng(seed).gamma(4, 0.15, 200))
    fit = follows_the_beats(onsets)
    assert not fit.follows
    assert abs(fit.fit) < 0.25


def test_too_few_to_tell() -> None:
    onsets = np.random.default_rng(0).random(11) * 20
    assert follows_the_beats(onsets).follows
    assert follows_the_beats(np.zeros(0)).onsets == 0
    assert follows_the_beats(np.full(50, 3.3)).onsets == 1


def test_order_does_not_matter() -> None:
    onsets = in_file(by_hand(tune(16), PLAYED, 0.01))
    assert follows_the_beats(onsets[::-1]) == follows_the_beats(onsets)


@pytest.mark.parametrize("lead", [0.0, 0.7, 3.21])
def test_beats_of_a_tempo(lead: float) -> None:
    quarters = tune(32)
    onsets = lead + by_hand(quarters, PLAYED, 0.01)
    weights = onset_weights(lengths(quarters) * 60 / PLAYED, np.full(len(quarters), 80))
    beats = beats_at(onsets, PLAYED, onsets.max() + 2, weights)
    assert beats[-1] > onsets.max() + 2
    assert beats[0] == pytest.approx(onsets[0], abs=0.03)
    true = lead + np.arange(len(beats)) * 60 / PLAYED
    assert np.abs(beats - true).max() < 0.03


def test_a_tempo_that_is_nearly_right() -> None:
    quarters = tune(64)
    onsets = by_hand(quarters, PLAYED, 0.01)
    beats = beats_at(onsets, 87, onsets.max())
    assert 60 / np.diff(beats).mean() == pytest.approx(PLAYED, rel=3e-4)
    assert np.abs(beats - np.arange(len(beats)) * 60 / PLAYED).max() < 0.04
    # Where none fits better, it is left alone: notes on the beats told, or on no beats.
    for other in (by_hand(quarters, 87, 0.01), np.random.default_rng(0).random(300) * 100):
        assert 60 / np.diff(beats_at(other, 87, 100.0)) == pytest.approx(87)


def test_a_pickup_is_after_the_first_beat() -> None:
    quarters = np.concatenate([[0.5], 1 + tune(16)])
    onsets = 1 + quarters * 60 / PLAYED
    beats = beats_at(
        onsets, PLAYED, 20, onset_weights(lengths(quarters), np.full(len(quarters), 80))
    )
    assert beats[0] == pytest.approx(1, abs=0.02)
    early = np.concatenate([[-0.05], tune(16)[1:]])  # a first note that is a little early
    assert beats_at(early * 60 / PLAYED, PLAYED, 20)[0] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("tempo", [0.0, -3.0, float("nan"), float("inf")])
def test_no_tempo(tempo: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        beats_at(np.array([1.0]), tempo, 3.0)


def test_nothing_to_find() -> None:
    with pytest.raises(ValueError, match="no onsets"):
        beats_at(np.zeros(0), 90, 3.0)
    with pytest.raises(ValueError, match="two onsets"):
        track_beats(np.full(5, 2.0))
    with pytest.raises(ValueError, match="two hours"):
        track_beats(np.array([0.0, 1.0, 8000.0]))
    with pytest.raises(ValueError, match="two hours"):
        beats_at(np.array([0.0]), 90, 1e9)


@pytest.mark.parametrize("tempo", [PLAYED, 112.0, 140.0])
@pytest.mark.parametrize("seed", range(3))
def test_steady_beats(tempo: float, seed: int) -> None:
    quarters = tune(24, seed)
    onsets = 0.8 + by_hand(quarters, tempo, 0.02, seed)
    weights = onset_weights(lengths(quarters) * 60 / tempo, np.full(len(quarters), 80))
    beats, found = track_beats(onsets, weights)
    assert found == pytest.approx(tempo, rel=0.01)
    true = 0.8 + np.arange(quarters[-1] + 1) * 60 / tempo
    assert share_found(true, within(beats, onsets)) > 0.97
    assert np.median(np.abs(beats[:, None] - true).min(axis=0)) < 0.02


@pytest.mark.parametrize("seed", range(3))
def test_beats_that_drift(seed: int) -> None:
    """Ten per cent faster and slower within eight bars."""
    grid = np.arange(0, 140, 0.01)
    slower = np.exp(0.1 * np.sin(2 * np.pi * grid / 32))  # by the quarter note
    clock = np.cumsum(slower) * 0.01 * 60 / 100
    quarters = tune(32, seed)
    onsets = np.interp(quarters, grid, clock)
    onsets += np.random.default_rng(seed).normal(0, 0.015, len(onsets))
    weights = onset_weights(lengths(quarters) * 0.6, np.full(len(quarters), 80))
    beats, tempo = track_beats(onsets, weights)
    true = np.interp(np.arange(quarters[-1] + 1), grid, clock)
    assert share_found(true, within(beats, onsets)) > 0.95
    assert tempo == pytest.approx(100, rel=0.03)
    # No constant tempo does that.
    steady = beats_at(onsets, 100, onsets.max(), weights)
    assert share_found(true, within(steady, onsets)) < 0.7


def test_beats_go_with_the_notes() -> None:
    """Notes that come later have the same beats, later; and order does not matter."""
    onsets = by_hand(tune(16), PLAYED, 0.01)
    beats, tempo = track_beats(onsets, None, 60.0)
    later, same = track_beats(onsets[::-1] + 100, None, 160.0)
    assert tempo == pytest.approx(same)
    assert later == pytest.approx(beats + 100, abs=0.001)


def test_beats_are_there_for_all_notes() -> None:
    for quarters in (np.array([0.0, 1.0]), tune(3), np.concatenate([tune(8), 80 + tune(8)])):
        onsets = 2 + quarters * 60 / PLAYED
        beats, tempo = track_beats(onsets, None, onsets.max() + 3)
        gap = np.diff(beats)
        assert (gap > 0).all() and 40 <= tempo <= 200
        assert beats[0] <= onsets[0] + gap[0] / 8 and beats[1] > onsets[0]
        assert beats[-1] > onsets.max() + 3 >= beats[-2]
        assert gap.max() < 1.5 * gap.min()  # through the rest, too


def test_long_loud_and_low_notes_weigh_more() -> None:
    assert np.diff(onset_weights(np.array([0.1, 0.5, 2.0]), np.full(3, 80))).min() > 0
    assert np.diff(onset_weights(np.full(3, 0.5), np.array([20, 80, 127]))).min() > 0
    kick, hat, snare = np.array([36, 42, 38]), np.array([42]), np.array([38])
    heard = onset_weights(np.full(3, 0.1), np.full(3, 90), kick, np.ones(3, bool))
    assert heard[0] == heard[2] > heard[1]
    assert onset_weights(np.array([0.5]), np.array([90]), hat, np.array([False])) > heard[1]
    assert bar_weights(np.array([0.1]), snare, np.array([True])) < 0
    low, high = bar_weights(np.ones(2), np.array([36, 72]))
    assert low > high


@pytest.mark.parametrize("place", range(4))
def test_first_beat_of_the_bar(place: int) -> None:
    beats = np.arange(64) * 0.6
    onsets = np.concatenate([beats, beats + 0.3])  # off-beats, however long, tell nothing
    long = np.where(np.arange(64) % 4 == place, 2.0, 0.5)
    weights = np.concatenate([long, np.full(64, 9.0)])
    assert downbeat(onsets, weights, beats) == place


def test_equal_beats_begin_with_the_first_note() -> None:
    beats = np.arange(32) * 0.6
    for first in range(4):
        onsets = beats[first : first + 24]
        assert downbeat(onsets, np.ones(24), beats) == first
    assert downbeat(np.zeros(0), np.zeros(0), beats) == 0
