"""What the tests of odd songs have in common: how songs are read, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raw_midi import beat, notes, parse, smf

from musicvae_torch.midi.score import Score, read_score
from surrogate.accompaniment import Accompaniment
from surrogate.melody.choice import choose_melody
from surrogate.song.roles import roles_of

FLUTE, FINGERED_BASS, STRINGS, GUITAR = 73, 33, 48, 27
HITS = len(beat())


def read(folder: Path, *chunks: bytes, format: int = 1) -> Score:
    """A song of chunks, by way of `song.mid` in a folder."""
    return read_bytes(folder, smf(*chunks, format=format))


def read_bytes(folder: Path, content: bytes, name: str = "song.mid") -> Score:
    """A file of that content."""
    path = folder / name
    path.write_bytes(content)
    return read_score(path)


def heard(score: Score) -> list[tuple[int, ...]]:
    """(start, end, pitch) of all notes."""
    return sorted(tuple(row)[:3] for track in score.tracks for row in track.notes.tolist())


def roles(score: Score) -> dict[str, str]:
    """Of each track by its name, beside the likeliest melody."""
    parts = roles_of(score, melody=choose_melody(score).tracks)
    return {track.name: role for track, role in zip(score.tracks, parts, strict=True)}


def counts(score: Score) -> list[tuple[tuple[int, ...], int]]:
    """Channels and number of notes of each track."""
    return [(tuple(sorted(track.channels)), len(track.notes)) for track in score.tracks]


def left(result: Accompaniment, channel: int, new: Sequence[str] = ("bass", "drums")) -> int:
    """How many notes of a channel are in the result, but for those of the new chunks."""
    tracks = parse(result.score.to_bytes()).tracks
    return sum(
        note.channel == channel
        for track in tracks[: len(tracks) - len(new)]
        for note in notes(track)
    )


def new_starts(result: Accompaniment) -> list[int]:
    """Ticks at which new notes begin."""
    tracks = parse(result.score.to_bytes()).tracks[-2:]
    assert [track.name for track in tracks] == [b"bass", b"drums"]
    return sorted(note.start for track in tracks for note in notes(track))


def new_channels(result: Accompaniment, name: str) -> set[int]:
    """Of the new chunk of a name."""
    track = parse(result.score.to_bytes()).tracks[{"bass": -2, "drums": -1}[name]]
    assert track.name == name.encode() and notes(track)
    return {note.channel for note in notes(track)}
