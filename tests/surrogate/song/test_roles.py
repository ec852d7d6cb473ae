"""The part that each track of a song plays, and why."""

from __future__ import annotations

import mido
import pytest
from small_scores import chunk, score

from musicvae_torch.midi.score import Score
from surrogate.song.roles import CHOSEN, roles_and_reasons, roles_of, with_drums

TUNE = chunk([(beat, beat + 1, 72 + beat % 5) for beat in range(16)], 73, 0, "tune")
LOW = [(beat, beat + 1, 36 + beat % 3) for beat in range(16)]
HITS = [
    (beat / 2, beat / 2 + 0.25, pitch)
    for beat in range(32)
    for pitch in (42, *([(36, 38)[beat // 2 % 2]] if beat % 2 == 0 else []))
]


def band(bass: mido.MidiTrack | None = None, kit: mido.MidiTrack | None = None) -> Score:
    """A tune, a bass by its program, and drums on channel 10."""
    return score(TUNE, bass or chunk(LOW, 33, 1), kit or chunk(HITS, 0, 9))


def test_each_has_a_part_and_a_reason() -> None:
    assert roles_and_reasons(band(), melody=(0,)) == [
        ("melody", ""), ("bass", "program 33"), ("drums", "channel 10"),
    ]  # fmt: skip
    assert roles_of(band()) == ("other", "bass", "drums")


@pytest.mark.parametrize(
    ("bass", "why"),
    [
        (chunk(LOW, 0, 1, "Bass"), "its name"),
        (chunk(LOW, 0, 1), "the lowest part, one note at a time"),
        (chunk(LOW, 58, 1), "the lowest part, one note at a time"),
    ],
)
def test_reasons_of_basses(bass: mido.MidiTrack, why: str) -> None:
    assert roles_and_reasons(band(bass=bass), melody=(0,))[1] == ("bass", why)


@pytest.mark.parametrize(
    ("kit", "why"),
    [
        (chunk(HITS, 0, 4, "Drums"), "its name, and the pitches of a drum kit"),
        (chunk(HITS, 0, 15), "channel 16, and the pitches of a drum kit"),
        (chunk(HITS, 0, 4), "the pitches of a drum kit"),
    ],
)
def test_reasons_of_kits(kit: mido.MidiTrack, why: str) -> None:
    assert roles_and_reasons(band(kit=kit), melody=(0,))[2] == ("drums", why)


def test_the_melody_is_no_other_part() -> None:
    """Whatever it is called or played on."""
    assert roles_of(band(), melody=(1,)) == ("other", "melody", "drums")


def test_the_user_has_the_last_word() -> None:
    song = band()
    assert roles_and_reasons(song, (0,), bass=(), drums=()) == [
        ("melody", ""), ("other", ""), ("other", "channel 10"),
    ]  # fmt: skip
    assert roles_and_reasons(song, bass=(0,), drums=(1, 2)) == [
        ("bass", CHOSEN), ("drums", CHOSEN), ("drums", CHOSEN),
    ]  # fmt: skip


def test_drums_as_chosen() -> None:
    """They are drums for all that ask the score."""
    song = band()
    drums = with_drums(song, (1,))
    assert [track.is_drum for track in drums.tracks] == [False, True, True]
    assert [track.is_drum for track in song.tracks] == [False, False, True]
    assert drums.tracks[1].sound == "drums" and roles_of(drums) == ("other", "drums", "drums")
    assert drums.to_bytes() == song.to_bytes()
