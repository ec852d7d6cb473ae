"""What a part is: which tracks are the melody, the bass and drums, whatever channels, programs and
names a file has, and that no part is lost or doubled for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from odd_songs import (
    FINGERED_BASS,
    FLUTE,
    GUITAR,
    HITS,
    STRINGS,
    counts,
    left,
    new_channels,
    read,
    roles,
)
from raw_midi import (
    BAR,
    GS_RESET,
    Timed,
    bass_line,
    beat,
    chords,
    chunk,
    conductor,
    control,
    gs_part_mode,
    line,
    mpe,
    named,
    note,
    notes,
    parse,
    part,
    port,
    program,
    smf,
    sysex,
    tune,
)

from musicvae_torch.errors import MidiError
from surrogate import Accompanist, AccompanyOptions
from surrogate.cli.accompany import main as accompany_command
from surrogate.melody.choice import choose_melody
from surrogate.song.roles import roles_of

DRUMS = part("", 9, beat())


@pytest.fixture(scope="module")
def accompanist() -> Accompanist:
    """The pair that ships."""
    return Accompanist.from_pretrained(device="cpu")


# Programs that another chunk says.

SET_UP: list[Timed] = [
    (0, program(0, FLUTE)),
    (0, program(1, FINGERED_BASS)),
    (0, program(2, STRINGS)),
]
PLAIN_PARTS = [part("", 0, tune()), part("", 1, bass_line()), part("", 2, chords())]


@pytest.mark.parametrize("place", [0, 1, 3])
def test_programs_hold_for_their_channel_in_any_chunk(tmp_path: Path, place: int) -> None:
    chunks = list(PLAIN_PARTS)
    chunks.insert(place, conductor(*SET_UP))
    score = read(tmp_path, *chunks)
    assert [track.program for track in score.tracks] == [FLUTE, FINGERED_BASS, STRINGS]
    assert roles_of(score, melody=(0,)) == ("melody", "bass", "other")
    assert choose_melody(score, "instrument:flute").tracks == (0,)


def test_a_program_in_another_chunk_changes_a_channel_at_its_tick(tmp_path: Path) -> None:
    set_up = conductor((0, program(0, FLUTE)), (4 * BAR, program(0, STRINGS)))
    score = read(tmp_path, set_up, part("", 0, tune()))
    assert [(track.program, len(track.notes)) for track in score.tracks] == [
        (FLUTE, 18),
        (STRINGS, 18),
    ]


def test_a_program_after_the_notes_is_not_theirs(tmp_path: Path) -> None:
    score = read(tmp_path, part("", 0, tune(), FLUTE, [(9 * BAR, program(0, 33))]))
    assert [track.program for track in score.tracks] == [FLUTE]


def test_programs_hold_for_their_port_alone(tmp_path: Path) -> None:
    second: list[Timed] = [(0, port(1))]
    score = read(
        tmp_path,
        part("A", 0, tune(), FLUTE, [(0, port(0))]),
        part("B", 0, chords(), STRINGS, second),
        part("C", 1, bass_line(), FINGERED_BASS, second),
        part("D", 9, beat(), None, second),
    )
    assert [track.program for track in score.tracks][:3] == [FLUTE, STRINGS, FINGERED_BASS]
    assert [track.port for track in score.tracks] == [0, 1, 1, 1]
    assert list(roles(score).values()) == ["melody", "other", "bass", "drums"]


def test_the_old_bass_goes_though_its_program_is_elsewhere(
    accompanist: Accompanist, tmp_path: Path
) -> None:
    result = accompanist.accompany(read(tmp_path, conductor(*SET_UP), *PLAIN_PARTS))
    assert left(result, 1) == 0 and left(result, 0) == 36 and left(result, 2) == 24


# One instrument on many channels.


def spread(rows: Sequence[tuple[int, int, int]], channels: Sequence[int]) -> list[Timed]:
    """Each note on the next of the channels, bent a little."""
    return [
        event
        for number, row in enumerate(rows)
        for channel in (channels[number % len(channels)],)
        for event in [(row[0], bytes([0xE0 | channel, 1, 64])), *line([row], channel)]
    ]


@pytest.mark.parametrize(("zone", "members"), [(0, 15), (0, 5), (15, 15), (15, 6)], ids=str)
@pytest.mark.parametrize("format", [0, 1])
def test_mpe_is_one_part(tmp_path: Path, zone: int, members: int, format: int) -> None:
    used = [zone + step if zone == 0 else zone - step for step in range(1, members + 1)]
    own = chunk([(0, named("Seaboard")), *mpe(zone, members), *spread(tune(), used)])
    chunks = [own] if format == 0 else [conductor(), own]
    score = read(tmp_path, *chunks, format=format)
    assert counts(score) == [(tuple(sorted(used)), 36)]
    assert not score.tracks[0].is_drum and "MPE" in score.tracks[0].why
    assert score.to_bytes() == smf(*chunks, format=format)


def test_drums_beside_an_mpe_zone_are_drums(tmp_path: Path) -> None:
    own = chunk([(0, named("Seaboard")), *mpe(0, 5), *spread(tune(), range(1, 6))])
    score = read(tmp_path, own, part("Kit", 9, beat()))
    assert counts(score) == [((1, 2, 3, 4, 5), 36), ((9,), HITS)]
    assert roles(score) == {"Seaboard": "melody", "Kit": "drums"}


@pytest.mark.parametrize("members", [15, 5])
@pytest.mark.parametrize("keep", ["others", "given"])
def test_an_mpe_melody_is_whole_in_the_result(
    accompanist: Accompanist, tmp_path: Path, members: int, keep: str
) -> None:
    own = chunk([*mpe(0, members), *spread(tune(), range(1, members + 1))])
    score = read(tmp_path, conductor(), own)
    try:
        result = accompanist.accompany(score, AccompanyOptions(keep=keep))
    except MidiError as error:
        assert "MPE" in str(error)
        return
    written = parse(result.score.to_bytes()).tracks
    assert len(notes(written[1])) == 36
    if members == 15:  # no channel is left
        assert sum("MPE" in line and "second MIDI port" in line for line in result.notes) == 2
        assert all(track.port == 1 for track in result.best.tracks)
        return
    used = {note.channel for note in notes(written[1])}
    assert not used & (new_channels(result, "bass") | new_channels(result, "drums"))


STRINGS_OF_A_GUITAR = range(10, 16)


def test_a_guitar_synthesizer_is_one_part(tmp_path: Path) -> None:
    programs: list[Timed] = [(0, program(channel, GUITAR)) for channel in STRINGS_OF_A_GUITAR]
    guitar = chunk([(0, named("GK")), *programs, *spread(tune(), STRINGS_OF_A_GUITAR)])
    score = read(tmp_path, conductor(), guitar)
    assert counts(score) == [(tuple(STRINGS_OF_A_GUITAR), 36)]
    assert not score.tracks[0].is_drum


def test_a_guitar_synthesizer_in_format_0(tmp_path: Path) -> None:
    """Its channels are in mono mode (controller 126), beside a bass and drums in the one chunk."""
    modes: list[Timed] = [
        (0, data)
        for channel in STRINGS_OF_A_GUITAR
        for data in (control(channel, 126, 1), program(channel, GUITAR))
    ]
    others = [(0, program(1, FINGERED_BASS)), *line(bass_line(), 1), *line(beat(), 9)]
    own = chunk([*modes, *spread(tune(), STRINGS_OF_A_GUITAR), *others])
    score = read(tmp_path, own, format=0)
    assert sorted(counts(score)) == [
        ((1,), 32),
        ((9,), HITS),
        (tuple(STRINGS_OF_A_GUITAR), 36),
    ]


def test_channels_of_one_chunk_with_other_programs_are_other_parts(tmp_path: Path) -> None:
    events = [
        (0, program(0, FLUTE)),
        (0, program(1, FINGERED_BASS)),
        (0, program(2, STRINGS)),
        *line(tune()),
        *line(bass_line(), 1),
        *line(chords(), 2),
        *line(beat(), 9),
    ]
    score = read(tmp_path, chunk(events), format=0)
    assert sorted(counts(score)) == [((0,), 36), ((1,), 32), ((2,), 24), ((9,), HITS)]


# The bass.

BASSES = [
    ("Bass", 0),
    ("Bass", 87),
    ("BASS GUITAR", 0),
    ("Fretless Bass", 25),
    ("Slap Bass 1", 0),
    ("E-Bass", 0),
    ("Synth Bass", 80),
    ("Upright Bass", 0),
    ("Double Bass", 43),
    ("Contrabass", 43),
    ("Kontrabass", 43),
    ("Basse", 0),
    ("Bajo", 0),
    ("Basso", 0),
    ("ベース", 0),
    ("Бас", 0),
    ("Tuba", 58),
    ("", 32),
    ("Left", 39),
]


@pytest.mark.parametrize(("name", "number"), BASSES, ids=str)
def test_a_bass_by_name_or_program(tmp_path: Path, name: str, number: int) -> None:
    score = read(
        tmp_path, part("Melody", 0, tune(), FLUTE), part(name, 1, bass_line(), number), DRUMS
    )
    assert roles_of(score, melody=(0,)) == ("melody", "bass", "drums")


NO_BASSES = [
    ("Bassoon", 70),
    ("Bass Clarinet", 71),
    ("Basset Horn", 71),
    ("Bass Drum", 116),
    ("Bass Trombone", 57),
    ("Bass Flute", 73),
]


@pytest.mark.parametrize(("name", "number"), NO_BASSES, ids=str)
def test_names_that_only_begin_like_a_bass(tmp_path: Path, name: str, number: int) -> None:
    """They play above a true bass, which is there."""
    above = [(start, end, pitch + 12) for start, end, pitch in bass_line()]
    score = read(
        tmp_path,
        part("Melody", 0, tune(), FLUTE),
        part(name, 1, above, number),
        part("Electric Bass", 2, bass_line(), FINGERED_BASS),
    )
    melody, other, bass = roles_of(score, melody=(0,))
    assert (melody, bass) == ("melody", "bass") and other != "bass"


@pytest.mark.parametrize("number", [52, 53, 0, 19])
@pytest.mark.parametrize("names", [("Soprano", "Alto", "Tenor", "Bass"), ("S", "A", "T", "B")])
def test_the_bass_of_a_choir_is_a_singer(
    accompanist: Accompanist, tmp_path: Path, number: int, names: tuple[str, ...]
) -> None:
    voices = [
        part(name, channel, [(s, e, p - 7 * channel) for s, e, p in tune()], number)
        for channel, name in enumerate(names)
    ]
    score = read(tmp_path, conductor(), *voices)
    assert "bass" not in roles_of(score, melody=(0,))
    result = accompanist.accompany(score, AccompanyOptions(melody=names[0]))
    assert [left(result, channel) for channel in range(4)] == [36] * 4


@pytest.mark.parametrize(
    ("name", "number"), [("Bass", 0), ("Fretless Bass", 25), ("Kontrabass", 43)]
)
def test_no_two_basses(accompanist: Accompanist, tmp_path: Path, name: str, number: int) -> None:
    chunks = [part("Melody", 0, tune(), FLUTE), part(name, 1, bass_line(), number), DRUMS]
    result = accompanist.accompany(read(tmp_path, conductor(), *chunks))
    assert left(result, 1) == 0 and left(result, 9) == 0 and left(result, 0) == 36
    assert [track.name for track in result.replaced] == [name, ""]


def test_options_say_otherwise(accompanist: Accompanist, tmp_path: Path) -> None:
    score = read(
        tmp_path,
        conductor(),
        part("Melody", 0, tune(), FLUTE),
        part("Low", 1, bass_line(), 0),
        part("Kit", 2, beat(), 0),
        part("Bass", 3, chords(), 0),
    )
    options = AccompanyOptions(melody="Melody", bass="Low", drums="Kit")
    result = accompanist.accompany(score, options)
    assert result.roles == ("melody", "bass", "drums", "other")
    assert [left(result, channel) for channel in range(4)] == [36, 0, 0, 24]
    result = accompanist.accompany(score, AccompanyOptions(bass="none", drums="none"))
    assert "bass" not in result.roles and "drums" not in result.roles
    assert [left(result, channel) for channel in range(4)] == [36, 32, HITS, 24]
    with pytest.raises(MidiError, match=r"song\.mid"):
        accompanist.accompany(score, AccompanyOptions(bass="Sousaphone"))


def test_two_singers_share_the_melody(accompanist: Accompanist, tmp_path: Path) -> None:
    score = read(
        tmp_path,
        conductor(),
        part("Her", 0, tune(4), 53),
        part("Piano", 1, chords(), 0),
        part("Him", 2, tune(4, 4, -5), 52),
    )
    result = accompanist.accompany(score, AccompanyOptions(melody="0,2"))
    assert result.melody is not None and result.melody.tracks == (0, 2)
    assert result.roles == ("melody", "other", "melody")
    for name in (-2, -1):
        starts = [note.start for note in notes(parse(result.score.to_bytes()).tracks[name])]
        assert min(starts) < BAR and max(starts) >= 7 * BAR


def test_a_name_that_all_tracks_have(accompanist: Accompanist, tmp_path: Path) -> None:
    """Another channel and another program are another player."""
    score = read(
        tmp_path,
        conductor(),
        part("My Song", 0, tune(), FLUTE),
        part("My Song", 1, bass_line(8, 8), FINGERED_BASS),
        part("My Song", 9, beat(16)),
    )
    for wanted in ("0", "track:0", f"program:{FLUTE}", None):
        assert choose_melody(score, wanted).tracks == (0,)
    result = accompanist.accompany(score)
    assert result.roles == ("melody", "bass", "drums")
    assert result.melody is not None and len(result.melody.notes) == 36


def test_one_player_who_changes_the_program(tmp_path: Path) -> None:
    own = part("My Song", 0, tune(), FLUTE, [(4 * BAR, program(0, FLUTE + 1))])
    score = read(tmp_path, own, part("My Song", 9, beat()))
    assert choose_melody(score).tracks == (0, 1)


# What the command says.


def test_the_list_of_tracks_says_what_was_decided_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    score = read(
        tmp_path,
        conductor((0, sysex(GS_RESET)), (60, gs_part_mode(10, 2))),
        part("Tune", 0, tune(8, 1), FLUTE),
        part("Kontrabass", 1, bass_line(8, 1), 43),
        part("Kit", 10, beat(8, 1)),
    )
    assert accompany_command([str(tmp_path / "song.mid"), "--list-tracks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, role in (("Tune", "melody"), ("Kontrabass", "bass"), ("Kit", "drums")):
        (row,) = [line for line in lines if name in line]
        assert role in row.partition(name)[2]
    assert "GS" in score.tracks[2].why


def test_options_may_be_given_more_than_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(
        tmp_path, part("A", 0, tune(4), 53), part("B", 1, chords(), 0), part("C", 2, tune(4, 4), 52)
    )
    song, out = str(tmp_path / "song.mid"), tmp_path / "out.mid"
    said = []
    for own in (["--melody", "0,2"], ["--melody", "0", "--melody", "2"]):
        assert accompany_command([song, "-o", str(out), *own]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and said[0].count("track 0") and said[0].count("track 2")
    assert accompany_command([song, "-o", str(out), "--bass", "none", "--drums", "none"]) == 0
    assert accompany_command([song, "-o", str(out), "--drums", "Sousaphone"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("rows", [tune(), chords()], ids=["a line", "chords"])
@pytest.mark.parametrize("message", [b"\xe0\x00\x40", b"\xd0\x40", b"\xb0\x4a\x40"], ids=bytes.hex)
def test_mpe_that_does_not_say_so(
    accompanist: Accompanist, tmp_path: Path, rows: list[tuple[int, int, int]], message: bytes
) -> None:
    """Channel 10 is one of its channels, and new drums go elsewhere."""
    events: list[Timed] = [(0, named("Seaboard"))]
    for index, row in enumerate(rows):
        channel = 1 + index % 15
        events += [(row[0], bytes([message[0] | channel]) + message[1:]), *note(channel, *row)]
    score = read(tmp_path, conductor(), chunk(events))
    assert counts(score) == [(tuple(range(1, 16)), len(rows))]
    result = accompanist.accompany(score, AccompanyOptions(melody=0))
    own, *_, drums = [track for track in parse(result.score.to_bytes()).tracks if notes(track)]
    assert len(notes(own)) == len(rows)
    assert drums.name == b"drums" and b"\xff\x21\x01" in [event.data for event in drums.events]


def test_parts_that_sound_together_are_no_mpe(tmp_path: Path) -> None:
    events = [event for channel in range(4) for event in line(chords_voice(channel), channel)]
    assert len(counts(read(tmp_path, conductor(), chunk(events)))) == 4


def chords_voice(index: int) -> list[tuple[int, int, int]]:
    return [(start, end, pitch + 7 * index) for start, end, pitch in tune()]


def test_drums_among_many_parts_of_one_chunk_are_drums(tmp_path: Path) -> None:
    parts = [line(tune(2, channel * 2), channel) for channel in range(16) if channel != 9]
    events = [*(event for own in parts for event in own), *line(beat(), 9)]
    score = read(tmp_path, chunk(events), format=0)
    assert [track.channels for track in score.tracks if track.is_drum] == [(9,)]
