#!/usr/bin/env python3
"""Whether accompanied songs keep every message that they should.

    python benchmarks/kept_messages.py FOLDER [FOLDER ...] [--out OUT] [--workers N] [--json FILE]

Accompanies every MIDI file of the folders at the defaults, and reads song and result from their
bytes (measuring/raw_midi.py, which knows of no library). Of each song it holds that

- every message that did not belong to a replaced part is in the result, at its tick, in its order
  and byte for byte; if the result counts more ticks a quarter note, all ticks are so many times
  later. To a replaced part belong the deleted notes, and messages to a channel all of whose notes
  were deleted; its chunk may be left out if nothing but names remains of it;
- chunks of other kinds than MTrk are there byte for byte;
- every deleted note is counted in a line that the command prints;
- no new note begins outside the song's bars from that of the melody's first note to that of its
  last, where a note that is half a sixteenth early or late belongs to the bar it is meant for;
- the new bass is on no channel that the file makes drums;
- the result is a regular file: its header counts its chunks, and each ends where it says.

Prints the faults by kind with the names of the files, and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from measuring import raw_midi
from measuring.kept import Pair, lost, matched
from measuring.raw_midi import Chunk, RawFile
from tqdm import tqdm

SUFFIXES = {".mid", ".midi", ".kar", ".rmi", ".smf"}
NEW_NAMES = (b"bass", b"drums")
PARTLY = re.compile(r"replaced: track \d+: .*: (\d+) of (\d+) notes(?:; .*)?")
WHOLLY = re.compile(r"replaced: track \d+: .*, (\d+) notes?")
SHOWN = 12  # names a kind of fault


@dataclass
class Verdict:
    """What was found in a song.

    Attributes:
        song: its path.
        refused: why it was not accompanied; empty if it was.
        faults: (kind, what it is) of each.
        kept, deleted, new: numbers of its notes that stay and that do not, and of new ones.
    """

    song: str
    refused: str = ""
    faults: list[tuple[str, str]] = field(default_factory=list)
    kept: int = 0
    deleted: int = 0
    new: int = 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="of MIDI files")
    parser.add_argument("--out", type=Path, help="a folder for the accompanied songs")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--json", type=Path, help="a file for what was found in each song")
    arguments = parser.parse_args()
    songs = [
        (path, None if arguments.out is None else arguments.out / f"{number}_{path.stem}.mid")
        for number, folder in enumerate(arguments.folders)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    if arguments.workers > 1:
        with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
            verdicts = list(tqdm(pool.imap_unordered(judge, songs, 4), total=len(songs)))
    else:
        verdicts = [judge(song) for song in tqdm(songs)]
    verdicts.sort(key=lambda verdict: verdict.song)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(verdict) for verdict in verdicts], indent=1))
    print(table(verdicts))
    return int(any(verdict.faults for verdict in verdicts))


def accompanist() -> Any:
    """The pair that ships, loaded once in each process, on one thread."""
    if not _LOADED:
        import torch

        from surrogate.pipeline import Accompanist

        torch.set_num_threads(1)
        _LOADED.append(Accompanist.from_pretrained(device="cpu"))
    return _LOADED[0]


_LOADED: list[Any] = []


def judge(job: tuple[Path, Path | None]) -> Verdict:
    """Accompany a song, and look for faults."""
    from musicvae_torch.errors import MidiError
    from surrogate.cli.accompany import report_lines

    path, out = job
    verdict = Verdict(str(path))
    try:
        result = accompanist().accompany(path)
        content, lines = result.score.to_bytes(), report_lines(result)
        if out is not None:
            result.write(out)
        verdict.faults += check(verdict, path.read_bytes(), content, lines, result)
    except MidiError as error:
        verdict.refused = str(error)
    except Exception as error:  # a fault of the product or of the check: either is to be seen
        verdict.faults.append(("error", f"{type(error).__name__}: {error}"))
    return verdict


def check(
    verdict: Verdict, before: bytes, after: bytes, lines: list[str], result: Any
) -> Iterator[tuple[str, str]]:
    """The faults of a result as (kind, what it is); notes are counted in the verdict."""
    song, band = raw_midi.parse(before), raw_midi.parse(after)
    yield from _irregular(band)
    if band.division % song.division:
        yield "message moved", f"{song.division} ticks a quarter became {band.division}"
        return
    factor = band.division // song.division
    foreign = [[c for c in f.chunks if c.kind != raw_midi.TRACK] for f in (song, band)]
    if foreign[0] != foreign[1]:
        yield "chunk lost", f"{[c.kind for c in foreign[0]]} became {[c.kind for c in foreign[1]]}"
    pairs, new = matched(song, band, factor)
    counts = {chunk.name: len(raw_midi.notes(chunk)) for chunk in new}
    if not set(counts) <= set(NEW_NAMES) or len(counts) != len(new):
        yield "message moved", f"chunks that are not the song's: {[chunk.name for chunk in new]}"
    verdict.new = sum(counts.values())
    yield from lost(pairs)
    drums = raw_midi.drum_channels(song)
    yield from _uncounted(pairs, lines, drums, verdict)
    yield from _outside(song, new, factor, result)
    for chunk in new:
        on_drums = {note.channel for note in raw_midi.notes(chunk)} & drums
        if chunk.name == b"bass" and on_drums:
            yield "bass on a drum channel", f"channel {min(on_drums) + 1}"


def _irregular(file: RawFile) -> Iterator[tuple[str, str]]:
    """Wrong counts and sizes."""
    if file.count != len(file.tracks):
        yield "irregular result", f"the header counts {file.count} of {len(file.tracks)} tracks"
    if any(chunk.size != len(chunk.content) for chunk in file.tracks):
        yield "irregular result", "a track has another size than its header says"
    if not all(chunk.events and chunk.events[-1].meta(0x2F) is not None for chunk in file.tracks):
        yield "irregular result", "a track without its end"


def _uncounted(
    pairs: list[Pair], lines: list[str], drums: set[int], verdict: Verdict
) -> Iterator[tuple[str, str]]:
    """Whether the printed lines count the deleted notes; they may leave out pitched notes of no
    length, which are none."""
    stays = [stays for pair in pairs for _, stays in pair.note_ons]
    lengthless = sum(
        note.start == note.end and note.channel not in drums and not pair.stays[note.index]
        for pair in pairs
        for note in raw_midi.notes(pair.before)
    )
    verdict.kept, verdict.deleted = stays.count(True), stays.count(False)
    counted = 0
    for line in lines:
        if found := PARTLY.fullmatch(line) or WHOLLY.fullmatch(line):
            counted += int(found[1])
    if not verdict.deleted - lengthless <= counted <= verdict.deleted:
        yield "deleted note not told", f"{verdict.deleted} are deleted, the lines count {counted}"


def _outside(
    song: RawFile, new: list[Chunk], factor: int, result: Any
) -> Iterator[tuple[str, str]]:
    """New notes that begin in bars in which the melody does not play."""
    begins, ends, half = [], [], song.division / 8
    scale, pedals = Fraction(song.division, result.song.resolution), raw_midi.Pedals(song)
    for index in result.melody.tracks:
        track = result.song.tracks[index]
        chunk = song.tracks[track.chunk]
        told = {(int(n["start"] * scale), int(n["pitch"])) for n in track.notes}
        raw = [note for note in raw_midi.notes(chunk) if (note.start, note.pitch) in told]
        if not raw or {(note.start, note.pitch) for note in raw} != told:
            yield "melody misread", f"track {index} has notes that chunk {track.chunk} has not"
        for note in raw:
            end = pedals.silent(note.end, note.channel)
            begins.append(note.start + half)
            ends.append(max(end - half, note.start + half))
    if not begins:
        return
    bars = raw_midi.bar_lines(song, int(max(ends)) + 1)
    first = bars[bisect_right(bars, min(begins)) - 1] * factor
    last = bars[bisect_left(bars, max(ends))] * factor
    for chunk in new:
        early = [note.start for note in raw_midi.notes(chunk) if note.start < int(first)]
        late = [note.start for note in raw_midi.notes(chunk) if note.start >= last]
        if early or late:
            name, where = chunk.name.decode(), f"{float(first):g} to {float(last):g}"
            yield "new note outside", f"{name} at {[*early, *late][:4]}, the bars are {where}"


def table(verdicts: list[Verdict]) -> str:
    """Counts of faults and the names of the files, and what was refused."""
    kinds: dict[str, dict[str, str]] = {}
    for verdict in verdicts:
        for kind, what in verdict.faults:
            kinds.setdefault(kind, {}).setdefault(Path(verdict.song).name, what)
    made = [verdict for verdict in verdicts if not verdict.refused]
    kept, deleted, new = (sum(getattr(v, f) for v in made) for f in ("kept", "deleted", "new"))
    rows = [
        f"{len(verdicts)} songs, {len(made)} accompanied: {kept} notes stay, {deleted} are "
        f"deleted, {new} are new",
        *(f"not accompanied: {v.refused}" for v in verdicts if v.refused),
    ]
    for kind, songs in sorted(kinds.items(), key=lambda row: -len(row[1])):
        rows.append(f"\n{kind}: {len(songs)} songs")
        rows += [f"  {name}: {what}" for name, what in list(songs.items())[:SHOWN]]
        rows += [f"  and {len(songs) - SHOWN} more"] * (len(songs) > SHOWN)
    return "\n".join([*rows, "" if kinds else "no faults"])


if __name__ == "__main__":
    faulty = main()
    if faulty:
        sys.exit(1)
