from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from musicvae_torch.chords.symbols import ROOTS, chord_tones
from surrogate.arrangement.voicing import (
    HIGHEST,
    LOWEST,
    WIDEST,
    distance,
    possible_voicings,
    voice_chords,
    voiced_tones,
)

KINDS = ("", "m", "7", "maj7", "m7b5", "dim7", "sus", "5", "6", "9", "13", "7(b9)", "aug", "ped")
NAMES = st.sampled_from([*(root + kind for root in ROOTS for kind in KINDS), "C/Bb", "N.C."])
NO_CEILING = float("inf")


@given(st.lists(NAMES, min_size=1, max_size=6))
def test_voicings_are_chord_tones_around_middle_c(names: list[str]) -> None:
    for name, voicing in zip(names, voice_chords(names, [NO_CEILING] * len(names)), strict=True):
        classes = [pitch % 12 for pitch in voicing]
        assert sorted(classes) == sorted(voiced_tones(name))
        assert set(classes) <= chord_tones(name).pitches
        assert all(LOWEST <= pitch <= HIGHEST for pitch in voicing)
        assert not voicing or voicing[-1] - voicing[0] <= WIDEST
        assert (voicing == ()) == (name == "N.C.")


@given(st.lists(st.sampled_from(["C", "F", "G7", "Am", "Bb"]), min_size=2, max_size=3))
@examples(30)
def test_no_other_voicings_cost_less(names: list[str]) -> None:
    def cost(voicings: tuple[tuple[int, ...], ...]) -> float:
        moves = sum(distance(a, b) for a, b in itertools.pairwise(voicings))
        off = sum(abs(float(np.mean(voicing)) - 60) / 2 for voicing in voicings)
        clusters = sum(b - a == 1 for v in voicings for a, b in itertools.pairwise(v))
        return moves + off + 2 * clusters

    chosen = cost(tuple(voice_chords(names, [NO_CEILING] * len(names))))
    every = itertools.product(*map(possible_voicings, names))
    assert chosen <= min(map(cost, every)) + 1e-9


@pytest.mark.parametrize(
    ("before", "after", "semitones"),
    [
        ((60, 64, 67), (60, 64, 67), 0),
        ((60, 64, 67), (60, 65, 69), 3),
        ((59, 62, 67), (60, 64, 67), 3),
        ((60, 64, 67), (59, 62, 65, 67), 1 + 2 + 0 + 1),
        ((59, 62, 65, 67), (60, 64, 67), 1 + 2 + 0 + 1),
        ((), (60, 64, 67), 0),
    ],
)
def test_distance(before: tuple[int, ...], after: tuple[int, ...], semitones: int) -> None:
    assert distance(before, after) == distance(after, before) == semitones


def test_a_cadence_moves_little() -> None:
    voicings = voice_chords(["C", "F", "G", "C"], [NO_CEILING] * 4)
    assert max(distance(a, b) for a, b in itertools.pairwise(voicings)) <= 6
    assert set(voicings[0]) & set(voicings[1])  # the common tone stays


def test_voicings_stay_below_the_melody() -> None:
    (free,) = voice_chords(["C"], [NO_CEILING])
    (low,) = voice_chords(["C"], [free[-1]])
    assert low[-1] < free[-1]


def test_what_sounds_of_a_large_chord() -> None:
    assert set(voiced_tones("C13")) == {4, 10, 2, 5}  # its third and seventh, and ninth, eleventh
    assert set(voiced_tones("C7(b9)")) == {4, 10, 1, 0}
    assert set(voiced_tones("C5")) == {0, 7}
