"""`musicvae groove` on whole songs: only the drums change, and a song without drums is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from magenta_models import MODELS
from odd_songs import FINGERED_BASS, FLUTE, GUITAR, HITS
from raw_midi import (
    BAR,
    QUARTER,
    Event,
    Timed,
    bass_line,
    beat,
    chords,
    chunk,
    conductor,
    control,
    gs_part_mode,
    line,
    meta,
    named,
    notes,
    parse,
    part,
    program,
    smf,
    sysex,
    tune,
)

from convert_weights.conversion import convert
from musicvae_torch.cli.latent import main

HUMANISE, HATS, TAP = (
    "groovae_2bar_humanize",
    "groovae_2bar_add_closed_hh",
    "groovae_2bar_tap_fixed_velocity",
)
MODEL_OF = {"humanise": HUMANISE, "hats": HATS, "tap": TAP}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models of Magenta's, one of each kind."""
    folder = tmp_path_factory.mktemp("models")
    for name in MODEL_OF.values():
        convert(MODELS / name, name, folder / name)
    return folder


def groove(
    what: str, content: bytes, models: Path, folder: Path, *options: str
) -> tuple[int, Path]:
    """The status of the command on a song, and where the result would be."""
    song, out = folder / "song.mid", folder / "out.mid"
    song.write_bytes(content)
    model = str(models / MODEL_OF[what])
    return main(["groove", what, str(song), "--musicvae", model, "-o", str(out), *options]), out


def drum_hits(path: Path, channel: int = 9) -> list[tuple[int, int]]:
    """(start, pitch) of the notes of a channel."""
    return sorted(
        (note.start, note.pitch)
        for track in parse(path.read_bytes()).tracks
        for note in notes(track)
        if note.channel == channel
    )


# Everything that a song may hold beside its drums.
OTHERS: list[bytes] = [
    conductor(
        (0, meta(2, b"Copyright 1991")),
        (0, sysex(b"\x7e\x7f\x09\x01\xf7")),
        (BAR, meta(6, b"Verse")),
        (5 * BAR, meta(6, b"Chorus")),
        (6 * BAR, meta(0x51, b"\x08\x00\x00")),
        end=8 * BAR,
    ),
    chunk(
        [
            (0, named("Guitar")),
            (0, meta(4, b"Nylon")),
            (0, control(4, 0, 8)),
            (0, program(4, GUITAR)),
            (300, b"\xd4\x30"),
            (310, b"\xa4\x3c\x22"),
            (320, b"\xe4\x00\x41"),
            (330, meta(5, b"la")),
            (340, meta(0x4B, b"unknown")),
            *line(chords(), 4),
        ],
        9 * BAR,
    ),
    part("Bass", 2, bass_line(), FINGERED_BASS),
]
FOREIGN = b"XFKM\0\0\0\4\0\1\2\3"


def song_with(drums: bytes, *more: bytes) -> bytes:
    return smf(*OTHERS, *more, drums, FOREIGN)


def events(content: bytes, names: set[bytes]) -> list[tuple[Event, ...]]:
    """Of the chunks but those of these names."""
    return [track.events for track in parse(content).tracks if track.name not in names]


@pytest.mark.parametrize("what", [what for what in MODEL_OF if what != "tap"])
def test_a_song_without_drums_is_refused(
    what: str, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content in (
        smf(part("Flute", 0, tune(), FLUTE)),
        smf(*OTHERS),
        smf(part("", 0, tune()), format=0),
    ):
        status, out = groove(what, content, models, tmp_path)
        assert status == 2 and not out.exists()
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1 and "song.mid" in error and "drums" in error


@pytest.mark.parametrize("what", MODEL_OF)
def test_only_the_drums_change(what: str, models: Path, tmp_path: Path) -> None:
    content = song_with(part("Kit", 9, beat()))
    status, out = groove(what, content, models, tmp_path)
    assert status == 0
    before, after = parse(content), parse(out.read_bytes())
    kept = [track.events for track in after.tracks]
    for track in before.tracks[:3]:
        assert track.events in kept
    assert [chunk for chunk in after.chunks if chunk.kind == b"XFKM"] == [
        chunk for chunk in before.chunks if chunk.kind == b"XFKM"
    ]
    assert after.division == before.division and drum_hits(out)
    assert {note.channel for track in after.tracks for note in notes(track)} == {2, 4, 9}


@pytest.mark.parametrize("length", [0, 60])
def test_humanise_keeps_the_hits(models: Path, tmp_path: Path, length: int) -> None:
    """Of no length, too: as many of each drum, none further off than half a sixteenth."""
    rows = beat(length=length)
    status, out = groove("humanise", song_with(part("Kit", 9, rows)), models, tmp_path)
    hits = drum_hits(out)
    assert status == 0 and len(hits) == HITS
    for pitch in (36, 38, 42):
        was = [start for start, _, own in rows if own == pitch]
        now = [start for start, own in hits if own == pitch]
        assert len(was) == len(now)
        assert max(abs(a - b) for a, b in zip(was, now, strict=True)) <= QUARTER // 8


def test_half_of_the_hits_without_length(models: Path, tmp_path: Path) -> None:
    rows = [(start, start + (30 if pitch == 42 else 0), pitch) for start, _, pitch in beat()]
    content = smf(part("Kit", 9, rows))
    status, out = groove("humanise", content, models, tmp_path)
    assert status == 0 and len(drum_hits(out)) == HITS
    status, out = groove("hats", content, models, tmp_path)
    others = [(start, pitch) for start, pitch in drum_hits(out) if pitch != 42]
    assert status == 0 and len([pitch for _, pitch in others if pitch in (36, 38)]) == 32


def test_drums_that_a_message_puts_elsewhere(models: Path, tmp_path: Path) -> None:
    head = conductor((0, gs_part_mode(10, 2)))
    flute = part("Flute", 0, tune(), FLUTE)
    content = smf(head, flute, part("Kit", 10, beat()))
    status, out = groove("humanise", content, models, tmp_path)
    assert status == 0
    after = parse(out.read_bytes())
    assert parse(content).tracks[1].events in [track.events for track in after.tracks]
    hits = [n for track in after.tracks for n in notes(track) if n.channel in (9, 10)]
    assert len(hits) == HITS


def test_an_option_says_which_are_the_drums(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A kit on a channel of its own that nothing else gives away."""
    kit = [(start, end, pitch + 3) for start, end, pitch in beat()]
    content = smf(conductor(), part("Flute", 0, tune(), FLUTE), part("X", 1, kit, 0))
    for query in ("X", "channel:2", "name:x", "1"):
        status, out = groove("humanise", content, models, tmp_path, "--drums", query)
        assert status == 0
        after = parse(out.read_bytes())
        assert parse(content).tracks[1].events in [track.events for track in after.tracks]
        assert len(drum_hits(out, channel=1)) == HITS and not drum_hits(out)
        out.unlink()
    status, out = groove("humanise", content, models, tmp_path, "--drums", "Sousaphone")
    assert status == 2 and not out.exists() and len(capsys.readouterr().err.splitlines()) == 1


def test_other_messages_of_a_chunk_with_drums_stay(models: Path, tmp_path: Path) -> None:
    """A file of format 0: all parts, and all that is said, in one chunk."""
    rest: list[Timed] = [
        (0, program(0, FLUTE)),
        (0, control(9, 7, 90)),
        (480, meta(6, b"Verse")),
        (500, sysex(b"\x43\x01\xf7")),
        *line(tune()),
    ]
    content = smf(chunk([*rest, *line(beat(), 9)], 9 * BAR), format=0)
    status, out = groove("humanise", content, models, tmp_path)
    assert status == 0
    before = parse(content).tracks[0].events
    wanted = [(e.tick, e.data) for e in before if e.data[0] not in (0x89, 0x99)]
    assert len(wanted) > len(rest)
    first = parse(out.read_bytes()).tracks[0]
    there = [(event.tick, event.data) for event in first.events]
    assert all(row in there for row in wanted)
    assert len(drum_hits(out)) == HITS


def rows_of(path: Path) -> list[list[tuple[int, ...]]]:
    """(start, end, pitch, velocity) of the notes of each track."""
    return [
        sorted((n.start, n.end, n.pitch, n.velocity) for n in notes(track))
        for track in parse(path.read_bytes()).tracks
    ]


def test_every_hit_keeps_its_track_its_pitch_and_its_length(models: Path, tmp_path: Path) -> None:
    """Claps and tambourines, which the model takes for a snare and hi-hats, are still those."""
    of = {36: 36, 38: 39, 42: 54}
    kits = [
        part(name, 9, [(start, end, of[pitch]) for start, end, pitch in beat() if pitch == own])
        for name, own in (("Kick", 36), ("Clap", 38), ("Tambourine", 42))
    ]
    content = song_with(kits[0], *kits[1:])
    status, out = groove("humanise", content, models, tmp_path)
    before, after = rows_of(tmp_path / "song.mid"), rows_of(out)
    assert status == 0 and before != after
    for was, now in zip(before, after, strict=True):
        assert [row[2] for row in was] == [row[2] for row in now]
        # A chunk ends when it did, and so does its last note.
        assert [row[1] - row[0] for row in was][:-1] == [row[1] - row[0] for row in now][:-1]


def test_a_roll_keeps_all_its_hits(models: Path, tmp_path: Path) -> None:
    """Thirty-seconds, of which the model reads one a step."""
    rows = [(at, at + 20, 38) for at in range(0, 4 * BAR, QUARTER // 8)]
    status, out = groove("humanise", smf(part("Kit", 9, rows)), models, tmp_path)
    starts = [start for start, _ in drum_hits(out)]
    assert status == 0 and len(starts) == len(rows)
    assert max(abs(a - b) for (a, *_), b in zip(rows, starts, strict=True)) <= QUARTER // 4


def test_swing_stays(tmp_path: Path) -> None:
    """Off-beats at two thirds of the beat are as far from a sixteenth afterwards as before, by the
    model that ships; small ones made up play nearly half a step off."""
    played = []
    for off in (2 * QUARTER // 3, 3 * QUARTER // 4):
        rows = [
            (at, at + 60, 42) for beat in range(32) for at in (beat * QUARTER, beat * QUARTER + off)
        ]
        song, out = tmp_path / "song.mid", tmp_path / "out.mid"
        song.write_bytes(smf(part("Kit", 9, rows)))
        assert main(["groove", "humanise", str(song), "-o", str(out)]) == 0
        played.append([start for start, _ in drum_hits(out)])
    earlier = [straight - swung for swung, straight in zip(*played, strict=True)]
    assert set(earlier[::2]) == {0} and len({start % QUARTER for start in played[1]}) > 2
    assert set(earlier[1::2]) <= {QUARTER // 12 + off for off in (-1, 0, 1)}


def test_other_drums_keep_their_messages_when_hats_are_added(models: Path, tmp_path: Path) -> None:
    """Flams, and a tambourine, which the model takes for a closed hi-hat."""
    rows = sorted([*beat(), *((start + 10, end + 10, 38) for start, end, p in beat() if p == 38)])
    rows += [(at, at + 30, 54) for at in range(0, 8 * BAR, QUARTER)]
    content = song_with(part("Kit", 9, rows))
    status, out = groove("hats", content, models, tmp_path)
    assert status == 0
    was, now = ([r for own in rows_of(path) for r in own] for path in (tmp_path / "song.mid", out))
    assert [r for r in was if r[2] != 42] == [r for r in now if r[2] != 42]
    assert [r for r in was if r[2] == 42] != [r for r in now if r[2] == 42]


@pytest.mark.parametrize("what", MODEL_OF)
def test_the_models_that_ship(what: str, tmp_path: Path) -> None:
    song, out = tmp_path / "song.mid", tmp_path / "out.mid"
    song.write_bytes(song_with(part("Kit", 9, beat())))
    assert main(["groove", what, str(song), "-o", str(out)]) == 0
    velocities = {row[3] for own in rows_of(out) for row in own if row[2] in (36, 38, 42)}
    assert len(velocities) > 5


def test_hats_rest_where_the_other_drums_do(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two bars of silence and two of hi-hats alone, between the drums."""
    alone = [row for row in beat(bars=2, first=4) if row[2] == 42]
    content = smf(part("Kit", 9, [*beat(bars=2), *alone, *beat(bars=2, first=6)]))
    status, out = groove("hats", content, models, tmp_path, "--temperature", "1")
    middle = [row for row in drum_hits(out) if 2 * BAR <= row[0] < 6 * BAR - QUARTER // 8]
    assert status == 0 and middle == [(start, 42) for start, _, _ in alone]
    out.unlink()
    status, out = groove("hats", smf(part("Kit", 9, alone)), models, tmp_path)
    error = capsys.readouterr().err
    assert status == 2 and not out.exists() and "hi-hats alone" in error
