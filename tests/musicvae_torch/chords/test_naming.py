"""Chord symbols of notes that sound together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicvae_torch.chords.inference import name_chord
from musicvae_torch.chords.symbols import NO_CHORD, ROOTS, chord_tones


@pytest.mark.parametrize(
    ("pitches", "name"),
    [
        ([60, 64, 67], "C"),
        ([52, 55, 60], "C"),  # inverted
        ([57, 60, 64, 67], "Am7"),
        ([60, 64, 67, 69], "Am7"),  # and not C6
        ([50, 54, 57, 60], "D7"),
        ([54, 57, 60, 62], "D7"),
        ([59, 62, 65, 69], "Bm7b5"),
        ([60, 63, 66, 69], "Cdim7"),  # of four roots the lowest
        ([63, 66, 69, 72], "Ebdim7"),
        ([60, 64, 68], "Caug"),
        ([60, 65, 67], "Csus"),
        ([60, 62, 67], "Csus2"),
        ([60, 67], "C5"),
        ([60, 64, 67, 71, 74], "Cmaj9"),
        ([60, 61, 64, 67], "C"),  # nearly: three of four
        ([], NO_CHORD),
    ],
)
def test_a_chord_is_named_after_its_tones(pitches: list[int], name: str) -> None:
    assert name_chord(pitches) == name


@given(st.sets(st.integers(0, 127), min_size=1, max_size=6))
def test_every_chord_has_a_name_that_is_read(pitches: set[int]) -> None:
    tones = chord_tones(name_chord(pitches))
    assert tones.pitches & {pitch % 12 for pitch in pitches}


@given(st.sampled_from(ROOTS), st.sampled_from(["", "m", "7", "m7", "maj7", "m7b5"]))
def test_the_tones_of_a_chord_name_it(root: str, kind: str) -> None:
    tones = chord_tones(root + kind)
    assert tones.root is not None
    low = 48 + tones.root
    assert name_chord([low + (pitch - low) % 12 for pitch in tones.pitches]) == root + kind
