"""Metrics of accompaniments, on cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from musicvae_torch.chords.symbols import chord_class
from musicvae_torch.converters.melody import infer_chord_classes
from surrogate.evaluation.metrics import (
    accuracy,
    bootstrap_interval,
    estimate_key,
    groove_consistency,
    notes_per_bar,
    onset_f1,
    pitch_histogram,
    share_in_chords,
    share_in_key,
)

C2, MIDDLE_C = 36, 60
KICK, SNARE, HAT = 1, 2, 4  # bits of drum classes


def pitched(notes: dict[int, int], steps: int) -> np.ndarray:
    """(steps,) melody or bass classes of MIDI pitches by their first step."""
    tokens = np.zeros(steps, np.int64)
    for step, pitch in notes.items():
        tokens[step] = pitch - 21 + 2
    return tokens


def drums(hits: dict[int, int], steps: int = 16) -> np.ndarray:
    tokens = np.zeros(steps, np.int64)
    for step, struck in hits.items():
        tokens[step] = struck
    return tokens


def test_accuracy_counts_rests() -> None:
    assert accuracy(np.array([0, 0, 5, 1]), np.array([0, 0, 6, 1])) == 0.75


def test_drum_onsets() -> None:
    truth = drums({0: KICK | HAT, 4: SNARE | HAT, 8: KICK})  # 5 hits on 3 steps
    ours = drums({0: KICK, 4: SNARE, 12: HAT})  # 3 hits on 3 steps; 2 hits on 2 steps are right
    assert onset_f1(ours, truth) == pytest.approx((2 * 2 / 8, 2 * 2 / 6))
    assert onset_f1(truth, truth) == (1.0, 1.0)
    assert onset_f1(drums({}), truth) == (0.0, 0.0)
    assert np.isnan(onset_f1(drums({}), drums({}))).all()


def test_density() -> None:
    assert notes_per_bar(drums({0: KICK | HAT, 20: SNARE}, 32), "drums") == 1.5
    bass = pitched({0: C2, 4: C2}, 32)
    bass[8] = 1  # an end is no note
    assert notes_per_bar(bass, "bass") == 1.0


def test_groove_consistency() -> None:
    # Three bars of bass: the second lacks one of the first's onsets, the third is as the second.
    bass = pitched({0: C2, 8: C2, 16: 40, 32: 43}, 48)
    assert groove_consistency(bass, "bass") == pytest.approx(1 - (1 / 16 + 0) / 2)
    # Of drums each is compared for itself: kick against snare are two differences of 144.
    assert groove_consistency(drums({0: KICK, 16: SNARE}, 32), "drums") == pytest.approx(
        1 - 2 / 144
    )
    assert np.isnan(groove_consistency(bass[:16], "bass"))


def test_histogram_weighs_by_duration() -> None:
    melody = pitched({0: MIDDLE_C, 4: 67}, 16)
    melody[8] = 1
    histogram = pitch_histogram(melody, pitched({12: 48}, 16))
    assert histogram[0] == 4 + 4 and histogram[7] == 4 and histogram.sum() == 12


@pytest.mark.parametrize("tonic", [0, 4, 11])
def test_keys(tonic: int) -> None:
    """A scale whose tonic triad weighs most, in major and in (harmonic) minor."""
    major = np.zeros(12)
    major[[0, 2, 4, 5, 7, 9, 11]] = 4, 1, 3, 1, 3, 1, 1
    assert estimate_key(np.roll(major, tonic)) == (tonic, "major")
    minor = np.zeros(12)
    minor[[0, 2, 3, 5, 7, 8, 11]] = 4, 1, 3, 1, 3, 1, 1
    assert estimate_key(np.roll(minor, tonic)) == (tonic, "minor")


def test_no_key_of_nothing() -> None:
    assert estimate_key(np.zeros(12)) is None
    assert np.isnan(share_in_key(pitched({0: C2}, 16), None))


def test_bass_in_key() -> None:
    bass = pitched({0: 36, 4: 42, 8: 43, 12: 47}, 16)  # C, F sharp, G, B
    assert share_in_key(bass, (0, "major")) == 0.75
    assert share_in_key(bass, (9, "minor")) == 0.75
    # In A minor both sevenths, G and G sharp, count; in C major one does.
    sevenths = pitched({0: 43, 8: 44}, 16)
    assert share_in_key(sevenths, (9, "minor")) == 1.0
    assert share_in_key(sevenths, (0, "major")) == 0.5
    assert np.isnan(share_in_key(np.zeros(16, np.int64), (0, "major")))


def test_bass_in_chords() -> None:
    chords = np.array([chord_class("C")] * 8 + [chord_class("Am")] * 4 + [0] * 4)
    # E is in C; G, held from there into Am, counts where it starts; G is not in Am, E is; where
    # there is no chord nothing counts.
    bass = pitched({0: 40, 7: 43, 8: 43, 10: 40, 12: 41}, 16)
    assert share_in_chords(bass, chords) == 0.75
    assert share_in_chords(pitched({0: 37}, 16), chords) == 0.0
    assert np.isnan(share_in_chords(pitched({12: 41}, 16), chords))


def test_chords_are_heard() -> None:
    """Arpeggios of C and of A minor, a bar each, with their roots in the bass."""
    melody = pitched({0: 60, 4: 64, 8: 67, 12: 64, 16: 69, 20: 60, 24: 64, 28: 60}, 32)
    bass = pitched({0: 36, 16: 45}, 32)
    chords = infer_chord_classes(melody, bass)
    assert set(chords[:16].tolist()) == {chord_class("C")}
    assert set(chords[16:].tolist()) == {chord_class("Am")}
    assert not infer_chord_classes(np.zeros(32, np.int64)).any()


def test_bootstrap() -> None:
    assert bootstrap_interval(np.full(5, 2.0), seed=0) == (2.0, 2.0)
    values = np.array([0.0, 1.0] * 50 + [np.nan])
    low, high = bootstrap_interval(values, seed=0)
    assert (low, high) == bootstrap_interval(values[:-1], seed=0)
    # The mean of 100 fair coins: 0.5 give or take 1.96 times 0.05.
    assert low == pytest.approx(0.402, abs=0.02) and high == pytest.approx(0.598, abs=0.02)
    assert np.isnan(bootstrap_interval(np.array([np.nan]), seed=0)).all()
