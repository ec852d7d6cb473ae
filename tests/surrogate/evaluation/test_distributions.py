"""Distributions of notes, on cases worked by hand and beside MusPy and smg-metrics."""

from __future__ import annotations

import json

import numpy as np
import pytest
from paths import GOLDEN_FILES

from surrogate.evaluation.distributions import (
    note_features,
    overlapping_area,
    pitch_class_entropy,
    scale_consistency,
    velocity_bins,
)

GOLDEN = json.loads((GOLDEN_FILES / "field_metrics/golden.json").read_text(encoding="utf-8"))


def bass_tokens(notes: list[list[int]]) -> np.ndarray:
    """(steps,) classes of notes as start, duration and pitch, none of which overlap."""
    tokens = np.zeros(notes[-1][0] + notes[-1][1], np.int64)
    for start, duration, pitch in notes:
        tokens[start] = pitch - 21 + 2
        if start + duration < len(tokens):
            tokens[start + duration] = 1
    return tokens


@pytest.mark.parametrize("index", range(len(GOLDEN)))
def test_as_muspy_and_smg_metrics(index: int) -> None:
    row, following = GOLDEN[index], GOLDEN[(index + 1) % len(GOLDEN)]
    own, other = (note_features(bass_tokens(one["notes"]), "bass") for one in (row, following))
    assert pitch_class_entropy(own["pitch"]) == pytest.approx(row["pitch_class_entropy"])
    assert scale_consistency(own["pitch"]) == pytest.approx(row["scale_consistency"])
    for feature in ("pitch", "duration"):
        wanted = row[f"{feature}_overlap_with_next"]
        assert overlapping_area(own[feature], other[feature]) == pytest.approx(wanted, abs=1e-4)


def test_overlapping_area() -> None:
    # Shares of 40: 2/4 and 1/2; of 43: 1/4 and 0; of 45: 1/4 and 1/2. 1/2 + 0 + 1/4.
    one, other = np.array([40, 40, 43, 45]), np.array([45, 40])
    assert overlapping_area(one, other) == overlapping_area(other, one) == 0.75
    assert overlapping_area(one, one) == 1.0
    assert overlapping_area(one, np.array([30, 99])) == 0.0
    assert np.isnan(overlapping_area(one, np.zeros(0, np.int64)))


def test_features_of_a_bass() -> None:
    tokens = np.zeros(32, np.int64)
    tokens[[0, 4, 12]] = np.array([36, 38, 36]) - 21 + 2
    tokens[7] = 1
    features = note_features(tokens, "bass")
    assert features["pitch"].tolist() == [36, 38, 36]
    assert features["duration"].tolist() == [4, 3, 20]  # the last rings to the end
    assert features["onset interval"].tolist() == [4, 8]


def test_features_of_drums() -> None:
    tokens = np.zeros(16, np.int64)
    tokens[[0, 4, 6]] = 0b000000101, 0b000000010, 0b000000100
    features = note_features(tokens, "drums")
    assert sorted(features["pitch"].tolist()) == [0, 1, 2, 2]
    assert features["onset interval"].tolist() == [4, 2] and "duration" not in features


def test_nothing_gives_nan() -> None:
    nothing = note_features(np.zeros(16, np.int64), "bass")["pitch"]
    assert np.isnan([pitch_class_entropy(nothing), scale_consistency(nothing)]).all()


def test_velocity_bins() -> None:
    assert velocity_bins(np.array([1, 3, 4, 7, 127])).tolist() == [0, 0, 1, 1, 31]
