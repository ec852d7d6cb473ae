"""Drum kits and basses that are known by their names, and what is called so and is none."""

from __future__ import annotations

import pytest
from small_scores import Notes, chunk, score

from musicvae_torch.midi.roles import bass_reasons
from musicvae_torch.midi.score import Score

HITS: Notes = [(n / 2, n / 2 + 0.25, (36, 42, 38, 42)[n % 4]) for n in range(32)]
LOW: Notes = [(n, n + 1, 36 + n % 3) for n in range(16)]
TUNE: Notes = [(n, n + 1, 72 + n % 5) for n in range(16)]
MIDDLE: Notes = [(n, n + 1, 50 + n % 5) for n in range(16)]
CHORDS: Notes = [(n, n + 1, pitch) for n in range(16) for pitch in (48, 52, 55)]

KITS = [
    "Drums", "DRUM KIT", "drumset", "Kit", "Percussion", "Perc.", "Batterie", "Batteria",
    "Batería", "Schlagzeug", "Schlagwerk", "Ударные", "Барабаны", "ドラム", "パーカッション", "鼓",
    "Kick", "Hi-Hat", "Snare",
]  # fmt: skip
NO_KITS = ["Drum Organ", "Drumorgel", "Steel Drums", "Drum & Bass", "Drum'n'Bass", "Marimba", ""]


def is_kit(notes: Notes, name: str, program: int = 0, channel: int = 2) -> bool:
    return score(chunk(notes, program, channel, name)).tracks[0].is_drum


@pytest.mark.parametrize("name", KITS)
def test_kits_by_name(name: str) -> None:
    assert is_kit(HITS, name, 25)
    # The name is not all: a tune is none of a kit's pitches, or has too many of them.
    assert not is_kit([*TUNE, (16, 17, 95)], name, 25)


@pytest.mark.parametrize("name", NO_KITS)
def test_names_of_no_kits(name: str) -> None:
    assert not is_kit(HITS, name, 25)


@pytest.mark.parametrize("program", [8, 13, 47, 108, 112, 114, 117, 118, 119])
def test_percussive_programs_are_no_kits(program: int) -> None:
    """Mallets, timpani, kalimba, steel drums, and single drums that play any pitch."""
    assert not is_kit(HITS, "Percussion", program)


def test_a_shaker_is_few_pitches_many_times() -> None:
    assert is_kit([(n / 2, n / 2 + 0.25, 70 + n % 2) for n in range(32)], "Shaker")
    assert not is_kit([(n, n + 1, 70 + n) for n in range(8)], "Shaker")


def basses(*parts: tuple[Notes, int, str]) -> dict[int, str]:
    """Indices of a song's basses, with reasons; each part is on a channel of its own."""
    return bass_reasons(song(*parts).tracks)


def song(*parts: tuple[Notes, int, str]) -> Score:
    return score(
        *(chunk(notes, program, n, name) for n, (notes, program, name) in enumerate(parts))
    )


TUNE_PART = (TUNE, 73, "Tune")


@pytest.mark.parametrize(
    "name",
    [
        "Bass", "bass line", "BASSLINE", "Sub-Bass", "Synth Bass", "Bass Guitar", "Bassgitarre",
        "Kontrabass", "Contrebasse", "Contrabbasso", "Contrabajo", "Bajo", "Baixo", "Basgitaar",
        "Basová kytara", "Бас", "Бас-гитара", "ベース", "贝斯", "베이스", "Bass_1", "1. Bass (DI)",
    ],
)  # fmt: skip
def test_basses_by_name(name: str) -> None:
    """Also where nothing else tells: in the middle, with a guitar's program."""
    assert basses(TUNE_PART, (MIDDLE, 25, name)) == {1: "its name"}


@pytest.mark.parametrize(
    "name",
    [
        "Bass Drum", "Bass Clarinet", "Bass-Clarinet", "Bassklarinette", "Bass Trombone",
        "Bassoon", "Bass Flute", "Bassposaune", "Drum & Bass",
        "Basso continuo", "Bass Voice", "Embassy", "Tune",
    ],
)  # fmt: skip
def test_names_of_no_basses(name: str) -> None:
    assert basses(TUNE_PART, (MIDDLE, 25, name)) == {}


def test_a_choirs_bass_sings() -> None:
    voices = [(TUNE, 0, "Soprano"), (MIDDLE, 0, "Alto"), (MIDDLE, 0, "Tenor"), (MIDDLE, 0, "Bass")]
    assert basses(*voices) == {}
    assert basses(TUNE_PART, (MIDDLE, 52, "Bass")) == {}  # program Choir Aahs
    assert basses(TUNE_PART, (TUNE, 0, "Bass")) == {}  # as high as a tune


def test_a_bass_by_how_it_is_played() -> None:
    lowest = {1: "the lowest part, one note at a time"}
    assert basses(TUNE_PART, (LOW, 0, "")) == lowest
    assert basses(TUNE_PART, (LOW, 58, "Tuba")) == lowest
    for notes in (
        MIDDLE,  # not so low
        LOW[:15],  # a few notes
        [(start, end, pitch - 12) for start, end, pitch in CHORDS],
    ):
        assert basses(TUNE_PART, (notes, 0, "")) == {}
    assert basses((LOW, 0, "")) == {}  # below nothing
    near = [(start, end, pitch + 4) for start, end, pitch in LOW]
    assert basses((near, 0, ""), (LOW, 0, "")) == {}


def test_one_that_is_named_is_enough() -> None:
    parts = TUNE_PART, (LOW, 0, ""), (MIDDLE, 33, "")
    assert basses(*parts) == {2: "program 33"}
    assert bass_reasons(song(*parts).tracks, melody=(2,)) == {
        1: "the lowest part, one note at a time"
    }
    assert bass_reasons(song(*parts[:2]).tracks, melody=(1,)) == {}
