#!/usr/bin/env python3
"""Whether a redo changes its bars alone and joins what stays, and whether fills come when asked.

    python benchmarks/redo.py MIDI_FOLDER [--songs 50] [--bars 4]

Of each song, which has a melody, bass and drums, four bars of bass and drums are redone: in the
song itself, and in the song as ``accompany`` accompanies it. mido reads each result, and every
message but the notes of those bars must be there as it was. The joins are compared with those of
the song itself, and with those of bars that were generated without knowing what stays. Two bars
of the new band are then to end in a fill.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections import Counter, defaultdict
from pathlib import Path

import mido
import numpy as np
from tqdm import tqdm

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score, divisible, read_score
from musicvae_torch.midi.vocabulary import CRASH, FIRST_NOTE, PARTS, STEPS_PER_BAR, TOMS
from surrogate.accompaniment import Accompaniment
from surrogate.evaluation.metrics import onsets
from surrogate.options import AccompanyOptions
from surrogate.pipeline import Accompanist
from surrogate.song.bars import bars_of
from surrogate.song.context import SongContext, analyze
from surrogate.song.folders import midi_files
from surrogate.song.redo import analyze_redo

MOST_BARS = 64
HALF = STEPS_PER_BAR // 2
REDONE = PARTS[1:]
ALL_OFF = (120, *range(123, 128))  # controllers that end all notes of a channel


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="real songs")
    parser.add_argument("--songs", type=int, default=50)
    parser.add_argument("--bars", type=int, default=4, help="that are redone")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    accompanist = Accompanist.from_pretrained(device="cpu")
    rng = np.random.default_rng(arguments.seed)
    paths = [path for folder in arguments.folders for path in midi_files(folder)]
    rng.shuffle(paths)
    faults: list[str] = []
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    songs = 0
    with tqdm(total=arguments.songs) as progress:
        for path in paths:
            if songs == arguments.songs:
                break
            try:
                score = divisible(read_score(path))
                first = draw_bars(score, arguments.bars, rng)
                if first is not None:
                    own = measure(accompanist, score, first, arguments.bars, rows)
                    faults += [f"{path}: {fault}" for fault in own]
                    songs += 1
                    progress.update()
                    if not songs % 10:  # it takes long, and may be stopped
                        report(songs, faults, rows)
            except MidiError:
                continue
    if songs % 10:
        report(songs, faults, rows)
    return int(bool(faults))


def redo_of(first: int, bars: int) -> tuple[str, ...]:
    """The bars to redo, from the bar of this number on."""
    return tuple(f"{part}:{first}-{first + bars - 1}" for part in REDONE)


def draw_bars(score: Score, bars: int, rng: np.random.Generator) -> int | None:
    """Number of the first bar of a stretch in which bass and drums play, as they do in the bars on
    both sides; None: there is none, the song is long, or not in 4/4."""
    if not (score.metres[:, 1:] == 4).all() or len(bars_of(score)) > MOST_BARS:
        return None
    song = analyze_redo(score, AccompanyOptions(redo=("bass:1", "drums:1")))
    own = analyze(score, AccompanyOptions())  # where a new band would play
    plays = np.ones(song.bars, bool)
    for column, part in enumerate(PARTS):
        struck = onsets(song.tokens[:, column], part)
        plays &= struck.reshape(song.bars, STEPS_PER_BAR, -1).any((1, 2))
    able = [
        bar
        for bar in range(1, song.bars - bars - 1)
        if plays[bar - 1 : bar + bars + 1].all()
        and 0 < bar + song.first_bar - own.first_bar < own.bars - bars - 1
    ]
    return int(rng.choice(able)) + song.first_bar + 1 if able else None


def measure(
    accompanist: Accompanist,
    score: Score,
    first: int,
    bars: int,
    rows: dict[str, dict[str, list[float]]],
) -> list[str]:
    """Measure a song, into rows; gives what was changed that should not have been."""
    redo = AccompanyOptions(redo=redo_of(first, bars))
    real = analyze_redo(score, redo)
    redone = accompanist.accompany(score, redo)
    faults = changed(score, redone, redo)
    band = accompanist.accompany(score, AccompanyOptions(keep="given"))
    again = accompanist.accompany(band.score, redo)
    faults += changed(band.score, again, redo)
    start = first - 1 - real.first_bar
    spliced = real.tokens.copy()
    context = analyze(score, AccompanyOptions())
    shift = real.first_bar - context.first_bar
    steps = slice(start * STEPS_PER_BAR, (start + bars) * STEPS_PER_BAR)
    foreign = band.best.tokens[(start + shift) * STEPS_PER_BAR :][: bars * STEPS_PER_BAR]
    spliced[steps, 1:] = foreign[:, 1:]
    for name, tokens in (
        ("the song itself", real.tokens),
        ("redone", redone.best.tokens),
        ("generated without what stays", spliced),
    ):
        joins(tokens, start, bars, rows[name])
    before = analyze_redo(band.score, redo)
    for song, after, kind in (
        (before, again.best.tokens, "a new band"),
        (real, redone.best.tokens, "the song itself"),
    ):
        same(song, after, f"bars of {kind}", first, bars, rows["the same as before"])
    fills(accompanist, score, first, bars, context, band, rows)
    return faults


def joins(tokens: np.ndarray, start: int, bars: int, found: dict[str, list[float]]) -> None:
    """How a stretch of bars joins those around it."""
    for line in (start, start + bars):
        step = line * STEPS_PER_BAR
        notes = np.flatnonzero(tokens[:, 1] >= FIRST_NOTE)
        before, after = notes[notes < step], notes[notes >= step]
        if len(before) and len(after):
            leap = abs(int(tokens[before[-1], 1]) - int(tokens[after[0], 1]))
            for most in (0, 2, 5, 7):
                found[f"bass within {most} semitones"].append(leap <= most)
            found["bass leaps of more than an octave"].append(leap > 12)
        left, right = (
            onsets(tokens[at : at + STEPS_PER_BAR, 2], "drums")
            for at in (step - STEPS_PER_BAR, step)
        )
        if (left | right).any():
            alike = float((left & right).sum() / (left | right).sum())
            found["drums alike on both sides"].append(alike)


def same(
    song: SongContext,
    after: np.ndarray,
    name: str,
    first: int,
    bars: int,
    found: dict[str, list[float]],
) -> None:
    """Whether bars are the same as before."""
    start = (first - 1 - song.first_bar) * STEPS_PER_BAR
    for column, part in enumerate(REDONE, start=1):
        steps = slice(start, start + bars * STEPS_PER_BAR)
        alike = [
            np.array_equal(onsets_of(a, part), onsets_of(b, part))
            for a, b in zip(
                song.tokens[steps, column].reshape(bars, -1),
                after[steps, column].reshape(bars, -1),
                strict=True,
            )
        ]
        found[f"{part}, {name}"] += alike
        found[f"{part}, all {name}"].append(all(alike))


def onsets_of(tokens: np.ndarray, part: str) -> np.ndarray:
    """What begins at each step, 0 for nothing."""
    return np.where(tokens >= (1 if part == "drums" else FIRST_NOTE), tokens, 0)


def fills(
    accompanist: Accompanist,
    score: Score,
    first: int,
    bars: int,
    context: SongContext,
    band: Accompaniment,
    rows: dict[str, dict[str, list[float]]],
) -> None:
    """How often a fill comes, where one is asked for and in the same bars where none is."""
    asked = (first, first + bars - 1)
    wanted = AccompanyOptions(fills=tuple((bar, bar) for bar in asked), keep="given")
    with_fills = accompanist.accompany(score, wanted).best.tokens
    for name, tokens in (("asked for", with_fills), ("not asked for", band.best.tokens)):
        hits = onsets(tokens[:, 2], "drums").reshape(-1, STEPS_PER_BAR, 9)
        for bar in asked:
            own = bar - 1 - context.first_bar
            toms = hits[own, HALF:][:, TOMS].any(1)
            row = rows[f"fill {name}"]
            row["two steps with toms or more"].append(toms.sum() >= 2)
            row["steps with toms"].append(float(toms.sum()))
            row["crash on the next downbeat"].append(bool(hits[own + 1, 0, CRASH]))
    others = np.ones(len(hits), bool)
    others[[bar - 1 - context.first_bar for bar in asked]] = False
    for name, tokens in (("with fills", with_fills), ("without fills", band.best.tokens)):
        toms = onsets(tokens[:, 2], "drums").reshape(-1, STEPS_PER_BAR, 9)[:, HALF:][..., TOMS]
        per_bar = toms.any(2).sum(1) >= 2
        rows[f"other bars, {name}"]["two steps with toms or more"] += per_bar[others].tolist()


def changed(before: Score, result: Accompaniment, options: AccompanyOptions) -> list[str]:
    """What a redo changed outside its bars, by mido alone."""
    old, new = (
        mido.MidiFile(file=io.BytesIO(content), clip=True)
        for content in (before.to_bytes(), result.score.to_bytes())
    )
    lines = bars_of(before)
    chosen = np.flatnonzero(lines.chosen(options.redone["bass"]))
    slack = old.ticks_per_beat // 8
    start, end = lines.ticks[chosen[0]] - slack, lines.ticks[chosen[-1] + 1]
    homes = {
        (track.chunk, channel)
        for track, role in zip(result.song.tracks, result.roles, strict=True)
        if role in options.redone
        for channel in track.channels
    }
    faults = []
    if (old.type, old.ticks_per_beat, len(old.tracks)) != (
        new.type, new.ticks_per_beat, len(new.tracks),
    ):  # fmt: skip
        faults.append("another header")
    for number, (a, b) in enumerate(zip(old.tracks, new.tracks, strict=False)):
        rest: list[list[tuple[int, bytes]]] = [[], []]
        notes: list[Counter[tuple[int, ...]]] = [Counter(), Counter()]
        for side, track in enumerate((a, b)):
            tick = 0
            sounding: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
            for message in track:
                tick += message.time
                if message.type == "control_change" and message.control in ALL_OFF:
                    for key in [key for key in sounding if key[0] == message.channel]:
                        _count(notes[side], key, sounding.pop(key), tick, (start, end))
                home = not message.is_meta and "note" in message.type
                if not home or (number, message.channel) not in homes:
                    if message.type != "end_of_track":
                        rest[side].append((tick, bytes(message.bytes())))
                    continue
                key = message.channel, message.note
                if message.type == "note_on" and message.velocity:
                    sounding[key].append((tick, message.velocity))
                    continue
                _count(notes[side], key, sounding.pop(key, []), tick, (start, end))
        if rest[0] != rest[1]:
            faults.append(f"messages of track {number}")
        if notes[0] != notes[1]:
            odd = sorted((notes[0] - notes[1]) + (notes[1] - notes[0]))
            faults.append(f"notes of track {number} outside {start}-{end}: {odd[:4]}")
    return faults


def _count(
    notes: Counter[tuple[int, ...]],
    key: tuple[int, int],
    ended: list[tuple[int, int]],
    tick: int,
    within: tuple[int, int],
) -> None:
    """Count notes of a channel and pitch that end at a tick, if they began outside some ticks."""
    for begun, velocity in ended:
        if not within[0] <= begun < within[1]:
            notes[(*key, velocity, begun, tick)] += 1


def report(songs: int, faults: list[str], rows: dict[str, dict[str, list[float]]]) -> None:
    """Print the faults, and means of all that was measured."""
    print(f"\n{songs} songs; faults: {len(faults)}", *faults, sep="\n")
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, row in rows.items():
        groups[tuple(row)].append(name)
    for columns, names in groups.items():
        print("\n| | " + " | ".join(columns) + " |")
        print("| --- " * (len(columns) + 1) + "|")
        for name in names:
            values = (float(np.mean(rows[name][column])) for column in columns)
            print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
    sys.stdout.flush()


if __name__ == "__main__":
    faulty = main()
    if faulty:
        sys.exit(1)
