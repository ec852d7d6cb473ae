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
    status, out = groove("humanise", content, models, tmp_path, "--drums", "X")
    assert status == 0
    after = parse(out.read_bytes())
    assert parse(content).tracks[1].events in [track.events for track in after.tracks]
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
