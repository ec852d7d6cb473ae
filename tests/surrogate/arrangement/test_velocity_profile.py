"""How velocities are learnt from songs, of few songs too."""

from __future__ import annotations

import runpy

import numpy as np
import pytest
from paths import ROOT

from surrogate.arrangement.dynamics import VelocityContour

BENCHMARK = runpy.run_path(str(ROOT / "benchmarks" / "velocity_profile.py"), run_name="benchmark")
KICK, SNARE = 36, 38
pytestmark = pytest.mark.filterwarnings("error")


def played(pitches: list[int], velocities: list[int]) -> object:
    """Notes on the beats of bars, one after another."""
    steps = np.arange(len(pitches)) * 4
    return BENCHMARK["Played"](steps, np.array(pitches), np.array(velocities, float))


def test_accents_of_drums_that_no_song_has() -> None:
    song = played([KICK, SNARE, KICK, SNARE] * 2, [100, 80, 100, 80] * 2)
    accents = BENCHMARK["learn_accents"]([song], "drums")
    assert accents.shape == (9, 16) and np.isfinite(accents).all()
    # The kick is 10 above the song's mean and the snare 10 below, wherever they are.
    assert accents[0] == pytest.approx(np.full(16, 10.0), abs=0.2)
    assert accents[1] == pytest.approx(np.full(16, -10.0), abs=0.2)
    # What is never struck is as loud as the mean.
    assert accents[2:] == pytest.approx(np.zeros((7, 16)), abs=0.2)
    assert not BENCHMARK["learn_accents"]([], "drums").any()


def test_nothing_follows_what_never_changes() -> None:
    song = played([KICK, SNARE] * 4, [100, 80] * 4)
    steady = BENCHMARK["velocity_contour"](np.arange(0, 32, 4), np.full(8, 70.0), 2)
    assert isinstance(steady, VelocityContour)
    assert BENCHMARK["learn_follow"]([(song, steady)], "drums") == pytest.approx(0.0, abs=1e-6)
    assert BENCHMARK["learn_follow"]([], "drums") == 0.0
