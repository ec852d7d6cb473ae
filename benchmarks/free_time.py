"""How surely free time is told from notes on the beat, and how well beats are found.

    python benchmarks/free_time.py MIDI_FOLDER [--songs N] [--seed 0] [--show]

Free time: how many songs are said not to follow their beats, and how many stretches of melodies of
the others: as they are, and counted at another tempo (of the file's 120, what is played goes at
87.3, or at any tempo from 60 to 200 that is not within 2 % of a half, two thirds, three quarters,
four thirds or three halves of it, or of 120 itself).

Beats: of songs that follow theirs the first 90 seconds, each onset 20 ms off (a standard
deviation), steady, or at a tempo that wanders by up to 10 % in waves of 8 to 40 seconds. Measured
is the beat F-measure, of beats within 70 ms (as in mir_eval, but from the first beat on): of the
beats that are tracked, that pretty_midi estimates, and that are found where the mean tempo is told;
and, after a stroke, the best of that and of the F-measures for every other beat and for twice as
many. True beats are the file's: quarters, dotted in compound metres.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pretty_midi
from tqdm import tqdm

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score, read_score
from musicvae_torch.midi.tracks import TICK_NOTE
from surrogate.melody.choice import choose_melody
from surrogate.song.bars import bars_of
from surrogate.song.beat_fit import follows_the_beats
from surrogate.song.beats import (
    bar_weights,
    beats_at,
    downbeat,
    onset_weights,
    track_beats,
)
from surrogate.song.folders import midi_files
from surrogate.song.metre import bar_beats

NOMINAL, PLAYED = 120.0, 87.3
SIMPLE_RATIOS = (1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2)
STRETCHES = (12, 30, 100)  # notes
SECONDS, JITTER, WANDERING, NEAR = 90.0, 0.02, 0.1, 0.07


class Song(NamedTuple):
    path: Path
    score: Score
    notes: np.ndarray
    drums: np.ndarray
    melody: np.ndarray  # without notes, where there is none


class Played(NamedTuple):
    """A part as it might have been recorded, in seconds."""

    onsets: np.ndarray
    durations: np.ndarray
    velocities: np.ndarray
    pitches: np.ndarray
    drums: np.ndarray
    beats: np.ndarray  # where they truly are


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--songs", type=int, help="drawn by chance; all of them where not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="name what is said to be free")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    paths = midi_files(arguments.folder)
    chosen = rng.permutation(len(paths))[: arguments.songs].tolist()
    songs = [song for path in tqdm([paths[index] for index in chosen]) if (song := read(path))]
    on_beat = tell_free_time(songs, rng, arguments.show)
    find_beats([song for song in on_beat if len(song.melody) >= 30], rng)
    find_downbeats(on_beat)


def read(path: Path) -> Song | None:
    try:
        score = read_score(path)
    except MidiError:
        return None
    if not score.tracks:
        return None
    drums = [np.full(len(track.notes), track.is_drum) for track in score.tracks]
    try:
        melody = choose_melody(score).notes
    except MidiError:
        melody = np.zeros(0, TICK_NOTE)
    notes = np.concatenate([track.notes for track in score.tracks])
    return Song(path, score, notes, np.concatenate(drums), melody)


def tell_free_time(songs: list[Song], rng: np.random.Generator, show: bool) -> list[Song]:
    """Print how often free time is found; the songs that follow their beats."""
    on_beat = []
    for song in songs:
        fit = follows_the_beats(song.notes["start"] / song.score.resolution)
        if fit.follows:
            on_beat.append(song)
        elif show:
            print(f"free: {song.path} {fit}")
    print(f"{len(songs) - len(on_beat)} of {len(songs)} songs do not follow their beats")
    print("| melody notes | stretches | on the beat | at 87.3 | at any tempo |")
    print("| --- | --- | --- | --- | --- |")
    for count in STRETCHES:
        said = [
            [not follows_the_beats(onsets).follows for onsets in (part, retimed, other)]
            for song in on_beat
            for part, retimed, other in stretches(song, count, rng)
        ]
        shares = (
            " | ".join(f"{share:.3f}" for share in np.mean(said, axis=0)) if said else "- | - | -"
        )
        print(f"| {count} | {len(said)} | {shares} |")
    return on_beat


def stretches(
    song: Song, count: int, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Two stretches of so many notes of a melody: as it is, at 87.3, and at another tempo."""
    onsets = song.melody["start"] / song.score.resolution
    if len(onsets) < count:
        return []
    found = []
    for _ in range(2):
        begin = int(rng.integers(len(onsets) - count + 1))
        part = onsets[begin : begin + count]
        tempo = NOMINAL
        while min(abs(tempo / NOMINAL / ratio - 1) for ratio in SIMPLE_RATIOS) < 0.02:
            tempo = np.exp(rng.uniform(np.log(60), np.log(200)))
        found.append((part, part * NOMINAL / PLAYED, part * NOMINAL / tempo))
    return found


def find_beats(songs: list[Song], rng: np.random.Generator) -> None:
    print("| notes | tempo | tracked | pretty_midi | told |")
    print("| --- | --- | --- | --- | --- |")
    for name in ("all", "melody"):
        for wandering in (0.0, WANDERING):
            rows = [
                row
                for song in tqdm(songs)
                if (row := scores(play(song, name == "melody", wandering, rng)))
            ]
            means = np.mean(rows, axis=0).reshape(-1, 2).tolist() if rows else []
            values = " | ".join(f"{right:.2f} / {any_level:.2f}" for right, any_level in means)
            print(f"| {name} | {f'within {wandering:.0%}' if wandering else 'steady'} | {values} |")


def scores(played: Played) -> list[float]:
    """F-measures at the right level and at the best: tracked, by pretty_midi, told the tempo."""
    if len(played.beats) < 8 or len(np.unique(played.onsets)) < 8:
        return []
    weights = onset_weights(played.durations, played.velocities, played.pitches, played.drums)
    until = float(played.onsets.max())
    tempo = 60 / np.diff(played.beats).mean()
    tracked, _ = track_beats(played.onsets, weights, until)
    estimated = pretty_midis_beats(played)
    told = beats_at(played.onsets, tempo, until, weights)
    return [
        measure(played.beats, found)
        for found in (tracked, estimated, told)
        for measure in (f_measure, at_any_level)
    ]


def play(song: Song, melody: bool, wandering: float, rng: np.random.Generator) -> Played:
    notes = song.melody if melody else song.notes
    drums = np.zeros(len(notes), bool) if melody else song.drums
    at = song.score.seconds(notes["start"])
    early = at < at.min() + SECONDS
    notes, drums = notes[early], drums[early]
    clock = wandering_clock(wandering, rng)
    starts = clock(song.score.seconds(notes["start"]))
    ends = clock(song.score.seconds(notes["end"]))
    beats = clock(song.score.seconds(true_beats(song.score)))
    onsets = starts + rng.normal(0, JITTER, len(starts))
    beats = beats[(beats >= onsets.min() - NEAR) & (beats <= onsets.max() + NEAR)]
    durations = np.maximum(ends - starts, 0.03)
    return Played(onsets, durations, notes["velocity"], notes["pitch"], drums, beats)


def wandering_clock(
    wandering: float, rng: np.random.Generator
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from the time at which something should come to that at which it comes."""
    lengths = np.exp(rng.uniform(np.log(8), np.log(40), (4, 1)))
    sizes, phases = rng.uniform(0.3, 1, (4, 1)), rng.uniform(0, 2 * np.pi, (4, 1))
    grid = np.arange(0, 7200, 0.05)
    waves = (sizes * np.sin(2 * np.pi * grid / lengths + phases)).sum(axis=0)
    passed = np.cumsum(np.exp(wandering * waves / np.abs(waves).max())) * 0.05
    return lambda times: np.interp(times, grid, passed)


def true_beats(score: Score) -> np.ndarray:
    """Ticks of all beats of a song, dotted in compound metres."""
    bars = bars_of(score)
    found = [np.zeros(0)]
    for start, end, (above, below) in zip(
        bars.ticks[:-1].tolist(), bars.ticks[1:].tolist(), bars.metres.tolist(), strict=True
    ):
        lengths = [float(beat) * score.resolution for beat in bar_beats(above, below)]
        at = start + np.cumsum([0.0, *lengths[:-1]])
        found.append(at[at < end])
    return np.round(np.concatenate(found)).astype(np.int64)


def pretty_midis_beats(played: Played) -> np.ndarray:
    """Beats at the tempo and from the beat that pretty_midi estimates."""
    midi = pretty_midi.PrettyMIDI()
    starts = np.maximum(played.onsets, 0)
    for is_drum in (False, True):
        instrument = pretty_midi.Instrument(0, is_drum)
        own = played.drums == is_drum
        instrument.notes = [
            pretty_midi.Note(int(velocity), int(pitch), float(start), float(start + duration))
            for velocity, pitch, start, duration in zip(
                played.velocities[own],
                played.pitches[own],
                starts[own],
                played.durations[own],
                strict=True,
            )
        ]
        midi.instruments.append(instrument)
    midi.instruments = [instrument for instrument in midi.instruments if instrument.notes]
    tempo, first = midi.estimate_tempo(), midi.estimate_beat_start()
    return np.arange(first, played.onsets.max(), 60 / tempo)


def f_measure(true: np.ndarray, found: np.ndarray) -> float:
    """The F-measure of beats within 70 ms, each used once."""
    row = column = hits = 0
    while row < len(true) and column < len(found):
        late = found[column] - true[row]
        hits += abs(late) <= NEAR
        row += late >= -NEAR
        column += late <= NEAR
    return 2 * hits / max(len(true) + len(found), 1)


def at_any_level(true: np.ndarray, found: np.ndarray) -> float:
    doubled = np.sort(np.concatenate([true, (true[1:] + true[:-1]) / 2]))
    return max(f_measure(level, found) for level in (true, true[::2], true[1::2], doubled))


def find_downbeats(songs: list[Song]) -> None:
    """Print how often the first beat of a bar is found, where the beats are known."""
    for name in ("all notes", "melody"):
        right = []
        for song in songs:
            score = song.score
            notes = song.notes if name == "all notes" else song.melody
            if score.metres[:, 1:].tolist() != [[4, 4]] or len(notes) < 30:
                continue
            drums = song.drums if name == "all notes" else np.zeros(len(notes), bool)
            starts, ends = score.seconds(notes["start"]), score.seconds(notes["end"])
            weights = bar_weights(ends - starts, notes["pitch"], drums)
            beats = score.seconds(true_beats(score))
            right.append(downbeat(starts, weights, beats) == 0)
        print(f"first beat of the bar, {name}: {np.mean(right):.2f} of {len(right)} songs in 4/4")


if __name__ == "__main__":
    main()
