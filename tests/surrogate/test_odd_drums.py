"""Drums that messages put on other channels than the tenth, and what stays where no band plays."""

from __future__ import annotations

from pathlib import Path

import pytest
from odd_songs import (
    FINGERED_BASS,
    FLUTE,
    GUITAR,
    HITS,
    STRINGS,
    left,
    new_channels,
    read,
    roles,
)
from raw_midi import (
    BAR,
    GM2_ON,
    GS_RESET,
    QUARTER,
    XG_ON,
    Timed,
    bank,
    bass_line,
    beat,
    chords,
    conductor,
    control,
    gs_part_mode,
    notes,
    parse,
    part,
    program,
    sysex,
    tune,
    xg_part_mode,
)

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score
from surrogate import Accompanist, AccompanyOptions
from surrogate.accompaniment import Accompaniment
from surrogate.cli.accompany import main as accompany_command
from surrogate.melody.choice import choose_melody


@pytest.fixture(scope="module")
def accompanist() -> Accompanist:
    """The pair that ships."""
    return Accompanist.from_pretrained(device="cpu")


# Drums on other channels, and no drums on channel 10.

GS = (0, sysex(GS_RESET))
XG = (0, sysex(XG_ON))
GM2 = (0, sysex(GM2_ON))
# Channel from 0, and the events of the conductor's chunk and of the part's.
MADE_DRUMS: dict[str, tuple[int, list[Timed], list[Timed]]] = {
    "GS, channel 11": (10, [GS, (60, gs_part_mode(10, 2))], []),
    "GS, channel 2": (1, [GS, (60, gs_part_mode(1, 1))], []),
    "GS, channel 16": (15, [GS, (60, gs_part_mode(15, 2))], []),
    "GS, another device": (10, [(0, gs_part_mode(10, 1, device=0x11))], []),
    "GS, in its own chunk": (10, [GS], [(0, gs_part_mode(10, 2))]),
    "XG part mode, channel 11": (10, [XG, (60, xg_part_mode(10, 1))], []),
    "XG part mode, drum setup 2": (3, [XG, (60, xg_part_mode(3, 3))], []),
    "XG bank 127": (10, [XG], bank(10, 127, 0)),
    "XG bank 127, another kit": (4, [XG], bank(4, 127, 25)),
    "XG bank 126": (10, [XG], bank(10, 126, 0)),
    "GM2 bank 120": (10, [GM2], bank(10, 120, 0)),
    "GM2 bank 120, channel 1": (0, [GM2], bank(0, 120, 8)),
    "GM2 bank in another chunk": (10, [GM2, *bank(10, 120, 0)], []),
}


@pytest.mark.parametrize("name", MADE_DRUMS)
def test_channels_that_messages_make_drums(tmp_path: Path, name: str) -> None:
    channel, first, own = MADE_DRUMS[name]
    # Later than the messages, which may come some ticks in.
    score = read(
        tmp_path,
        conductor(*first),
        part("A", 5, tune(8, 1), FLUTE),
        part("B", channel, beat(8, 1), None, own),
    )
    assert [track.is_drum for track in score.tracks] == [False, True]
    assert roles(score) == {"A": "melody", "B": "drums"}
    with pytest.raises(MidiError):
        choose_melody(score, "1")


@pytest.mark.parametrize("name", ["GS, channel 11", "XG part mode, channel 11", "GM2 bank 120"])
def test_drums_on_another_channel_make_room(
    accompanist: Accompanist, tmp_path: Path, name: str
) -> None:
    channel, first, own = MADE_DRUMS[name]
    score = read(
        tmp_path,
        conductor(*first),
        part("A", 0, tune(8, 1), FLUTE),
        part("B", channel, beat(8, 1), None, own),
    )
    result = accompanist.accompany(score)
    assert left(result, channel) == 0 and left(result, 0) == 36
    assert [track.index for track in result.replaced] == [1]


MELODIC = {
    "GS bank 127 is a CM-64": [GS, *bank(10, 127, 0)],
    "XG bank 64": [XG, *bank(10, 64, 0)],
    "GM2 bank 121": [GM2, *bank(10, 121, 0)],
    "bank 8": [GS, *bank(10, 8, 4)],
    "GS, made drums and melodic again": [GS, (20, gs_part_mode(10, 1)), (60, gs_part_mode(10, 0))],
    "XG, made drums and normal again": [XG, (20, xg_part_mode(10, 1)), (60, xg_part_mode(10, 0))],
    "a GS message for another part": [GS, (60, gs_part_mode(11, 1))],
    "a bank without a program change": [XG, (0, control(10, 0, 127))],
}


@pytest.mark.parametrize("name", MELODIC)
def test_channels_that_are_no_drums(tmp_path: Path, name: str) -> None:
    score = read(tmp_path, conductor(*MELODIC[name]), part("A", 10, tune(8, 1)))
    assert [track.is_drum for track in score.tracks] == [False]
    assert choose_melody(score).tracks == (0,)


MELODIC_TEN = {
    "GS": [GS, (60, gs_part_mode(9, 0))],
    "XG": [XG, (60, xg_part_mode(9, 0))],
    "GM2": [GM2, *bank(9, 121, FLUTE)],
}


@pytest.mark.parametrize("name", MELODIC_TEN)
def test_a_channel_10_that_is_made_melodic(tmp_path: Path, name: str) -> None:
    own = [] if name == "GM2" else [(70, program(9, FLUTE))]
    score = read(tmp_path, conductor(*MELODIC_TEN[name], *own), part("Tune", 9, tune(8, 1)))
    assert [track.is_drum for track in score.tracks] == [False]
    assert choose_melody(score).tracks == (0,)


def test_the_tune_on_channel_10_is_accompanied(accompanist: Accompanist, tmp_path: Path) -> None:
    score = read(tmp_path, conductor(*MELODIC_TEN["GS"]), part("Tune", 9, tune(8, 1), FLUTE))
    result = accompanist.accompany(score)
    assert left(result, 9) == 36
    assert 9 not in new_channels(result, "bass") | new_channels(result, "drums")


@pytest.mark.parametrize("message", [gs_part_mode(1, 1), xg_part_mode(1, 2)])
def test_a_new_bass_is_on_no_channel_of_drums(
    accompanist: Accompanist, tmp_path: Path, message: bytes
) -> None:
    """Though the file has no notes on it, and it is the first that is free."""
    score = read(tmp_path, conductor((60, message)), part("Tune", 0, tune(), FLUTE))
    result = accompanist.accompany(score)
    assert not new_channels(result, "bass") & {0, 1, 9}


def test_kits_on_channel_16(tmp_path: Path) -> None:
    """Where the "Extended" half of a file is melodic and the "Base" half has its drums on 16."""
    for name in ("Drums", "Percussion", ""):
        score = read(tmp_path, part("A", 0, tune(), FLUTE), part(name, 15, beat()))
        assert [track.is_drum for track in score.tracks] == [False, True], name


def test_other_parts_on_channel_16(tmp_path: Path) -> None:
    score = read(tmp_path, part("", 15, tune(), FLUTE), part("", 0, chords(), STRINGS))
    assert [track.is_drum for track in score.tracks] == [False, False]
    score = read(tmp_path, part("A", 0, tune(), FLUTE), part("B", 15, bass_line(), FINGERED_BASS))
    assert roles(score) == {"A": "melody", "B": "bass"}


@pytest.mark.parametrize(
    ("name", "number"), [("Steel Drums", 114), ("Timpani", 47), ("Kalimba", 108)]
)
def test_pitched_drums_are_no_drums(tmp_path: Path, name: str, number: int) -> None:
    score = read(tmp_path, part(name, 0, tune(), number), part("Strings", 1, chords(), STRINGS))
    assert [track.is_drum for track in score.tracks] == [False, False]


# Where no new band plays.

SOLO = (8, 16)  # bars in which the tune is sung, of 24


def long_song(folder: Path) -> Score:
    return read(
        folder,
        conductor(),
        part("Vocals", 0, tune(8, SOLO[0]), 53),
        part("Guitar", 3, chords(24), GUITAR),
        part("Bass", 1, bass_line(24), FINGERED_BASS),
        part("Drums", 9, beat(24)),
    )


def by_bars(result: Accompaniment, channel: int, name: str) -> tuple[list[int], list[int]]:
    """Old and new notes of a part that begin in each of three times eight bars."""
    tracks = parse(result.score.to_bytes()).tracks
    old, new = [0, 0, 0], [0, 0, 0]
    for track in tracks:
        for note in notes(track):
            third = note.start // (8 * BAR)
            if track.name == name.encode():
                new[third] += 1
            elif note.channel == channel and track.name == name.capitalize().encode():
                old[third] += 1
    return old, new


@pytest.mark.parametrize(("name", "channel", "count"), [("bass", 1, 32), ("drums", 9, HITS)])
def test_outside_the_melody_the_songs_own_band_plays(
    accompanist: Accompanist, tmp_path: Path, name: str, channel: int, count: int
) -> None:
    score = long_song(tmp_path)
    old, new = by_bars(accompanist.accompany(score), channel, name)
    assert old == [count, 0, count] and new[0] == new[2] == 0 < new[1]
    old, new = by_bars(
        accompanist.accompany(score, AccompanyOptions(outside="band")), channel, name
    )
    assert old == [0, 0, 0] and min(new) > 0
    old, new = by_bars(
        accompanist.accompany(score, AccompanyOptions(outside="none")), channel, name
    )
    assert old == [0, 0, 0] and new[0] == new[2] == 0 < new[1]


def test_each_loss_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long_song(tmp_path)
    song, out = str(tmp_path / "song.mid"), str(tmp_path / "out.mid")
    assert accompany_command([song, "-o", out]) == 0
    said = capsys.readouterr().out.splitlines()
    lost = [row for row in said if row.startswith("replaced: track")]
    assert len(lost) == 2
    assert "32 of 96 notes" in lost[0] and f"{HITS} of {3 * HITS} notes" in lost[1]
    assert accompany_command([song, "-o", out, "--outside", "none"]) == 0
    said = capsys.readouterr().out.splitlines()
    lost = [row for row in said if row.startswith("replaced: track")]
    assert ", 96 notes" in lost[0] and f", {3 * HITS} notes" in lost[1]


def test_a_note_that_reaches_into_the_new_band_began_outside(
    accompanist: Accompanist, tmp_path: Path
) -> None:
    """It stays: it began where the song's own bass plays."""
    held = [(0, 7 * BAR, 36), (7 * BAR + 3 * QUARTER, 8 * BAR + QUARTER, 38)]
    rows = [*held, *bass_line(8, 16)]
    score = read(tmp_path, part("Tune", 0, tune(8, 8), FLUTE), part("", 1, rows, FINGERED_BASS))
    result = accompanist.accompany(score)
    assert left(result, 1) == len(rows)


_IN_PACKETS = gs_part_mode(1, 1)[2:]  # F0 and its length come before


@pytest.mark.parametrize(
    "messages",
    [
        [sysex(_IN_PACKETS[:4]), sysex(_IN_PACKETS[4:], 0xF7)],
        [sysex(_IN_PACKETS[:2]), sysex(_IN_PACKETS[2:7], 0xF7), sysex(_IN_PACKETS[7:], 0xF7)],
        [sysex(b"\xf0" + _IN_PACKETS, 0xF7)],
    ],
    ids=["two packets", "three packets", "escape"],
)
def test_a_sysex_in_packets_makes_drums(
    accompanist: Accompanist, tmp_path: Path, messages: list[bytes]
) -> None:
    said = conductor(*((0, message) for message in messages))
    low = [(start, end, 60 + pitch % 5) for start, end, pitch in beat()]
    score = read(tmp_path, said, part("Tune", 0, tune(), FLUTE), part("x", 1, low, STRINGS))
    assert roles(score) == {"Tune": "melody", "x": "drums"}
    score = read(tmp_path, said, part("Tune", 0, tune(), FLUTE))
    assert 1 not in new_channels(accompanist.accompany(score), "bass")


def test_packets_that_belong_to_another_sysex(tmp_path: Path) -> None:
    """An escape that is none of a sysex, and a packet after a whole one, say nothing."""
    odd = [sysex(b"\x43\xf7"), sysex(_IN_PACKETS, 0xF7)]
    said = conductor(*((0, message) for message in odd))
    score = read(tmp_path, said, part("Tune", 0, tune(), FLUTE), part("x", 1, chords(), STRINGS))
    assert roles(score)["x"] == "other"


def test_pretty_midi_has_the_drums_for_drums(accompanist: Accompanist, tmp_path: Path) -> None:
    """It knows channel 10 alone, and no program of another chunk."""
    setup = conductor((0, gs_part_mode(9, 0)), (0, gs_part_mode(10, 1)), (0, program(9, FLUTE)))
    score = read(tmp_path, setup, part("Tune", 9, tune()), part("Kit", 10, beat()))
    made = accompanist.accompany(score, AccompanyOptions(given=("melody", "drums")))
    found = {
        one.name: (one.is_drum, one.program, len(one.notes))
        for one in made.score.to_pretty_midi().instruments
    }
    assert found["Tune"] == (False, FLUTE, len(tune()))
    assert found["Kit"] == (True, 0, HITS) and not found["bass"][0]
