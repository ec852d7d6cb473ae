#!/usr/bin/env python3
"""What keeping the bass in the harmony does to accompaniments of real songs.

    python benchmarks/bass_in_harmony.py MIDI_FOLDER [--songs 30] [--temperature 0.6] [--seed 0]

Of each song up to two windows: the melody is heard, bass and drums are generated, and the bass's
notes are moved by ``surrogate.arrangement.bass_line`` into chords that are inferred from the melody
alone, from it and the generated bass, or from all pitched tracks of the song but its bass (as where
those are kept). A row for each way:
the share of the notes in the key of the melody and the true bass; and on tones of the triads
inferred from the melody, from melody and true bass, and from all pitched tracks and the true
bass; how many notes a bar there are; how many are not as they were generated. The last row is
the song's own bass. Means over songs, with 95 % bootstrap intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from measuring.song_scores import score_songs, scores_table

from musicvae_torch.chords.symbols import chord_class
from musicvae_torch.converters.base import from_one_hot
from musicvae_torch.converters.melody import infer_chord_classes, melody_notes, melody_tokens
from musicvae_torch.converters.trio import DEPTHS, TrioConverter, TrioRules, part_notes
from musicvae_torch.errors import MidiError
from musicvae_torch.midi.fast import load_song
from musicvae_torch.midi.vocabulary import MELODY_PROGRAMS, STEPS_PER_BAR
from surrogate.arrangement.bass_line import HOW, keep_bass_in_harmony
from surrogate.arrangement.fill import StepNote
from surrogate.arrangement.harmony import Harmony, infer
from surrogate.evaluation.metrics import (
    estimate_key,
    notes_per_bar,
    pitch_histogram,
    share_in_chords,
    share_in_key,
)
from surrogate.evaluation.tables import mean_where
from surrogate.pipeline import Accompanist
from surrogate.song.folders import midi_files

STEPS = 256
UNPITCHED_PROGRAMS = 112  # from here on: sound effects
COLUMNS = (
    "in key",
    "melody's chords",
    "melody and bass's",
    "whole song's",
    "notes a bar",
    "changed",
)


def windows(path: Path, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Up to two windows of a song: tokens (steps, 3), and the notes of its pitched tracks but the
    bass, (3, notes) of start steps, end steps and pitches."""
    converter = TrioConverter(TrioRules(STEPS // STEPS_PER_BAR, MELODY_PROGRAMS), STEPS)
    try:
        song = load_song(path)
    except MidiError:
        return
    found = zip(converter.sections(song), converter.song_windows(song), strict=True)
    every = [(section, window) for section, own in found for window in own]
    for index in rng.permutation(len(every))[:2]:
        section, window = every[index]
        notes, first = section.notes, window.bar * STEPS_PER_BAR
        kept = ~notes["is_drum"] & (notes["program"] < UNPITCHED_PROGRAMS)
        kept &= notes["instrument"] != window.instruments[1]
        kept &= (section.start_steps < first + STEPS) & (section.end_steps > first)
        starts = np.maximum(section.start_steps[kept] - first, 0)
        ends = np.minimum(section.end_steps[kept] - first, STEPS)
        yield window.tokens.astype(np.int64), np.stack([starts, ends, notes["pitch"][kept]])


@torch.no_grad()
def generate(
    accompanist: Accompanist, tokens: np.ndarray, temperature: float, seed: int
) -> list[StepNote]:
    """A bass to the melody of (steps, 3) tokens."""
    surrogate, musicvae = accompanist.surrogate, accompanist.musicvae
    assert surrogate is not None
    heard = torch.from_numpy(tokens[None]).to(musicvae.device)
    generator = torch.Generator(musicvae.device).manual_seed(seed)
    z = surrogate.posterior_mean(heard, ("melody",))
    samples = musicvae.decode(z, None, temperature, generator=generator)
    return part_notes(from_one_hot(samples.cpu().numpy(), DEPTHS)[0])[1]


def heard_in(notes: np.ndarray, a_bar: int = 2) -> Harmony:
    """The chords of a window's (3, notes)."""
    starts, ends, pitches = notes
    return infer(starts, ends, pitches, STEPS // STEPS_PER_BAR, a_bar)


def triads(harmony: Harmony) -> np.ndarray:
    """(steps,) classes of what was inferred."""
    names = harmony.names_at(np.arange(STEPS))
    return np.array([chord_class(str(name)) for name in names], np.int64)


def tokens_of(bass: list[StepNote]) -> np.ndarray:
    """(steps,) classes."""
    rows = np.array(bass, np.int64).reshape(-1, 3)
    return melody_tokens(rows[:, 0], rows[:, 1], rows[:, 2], STEPS)


def score(tokens: np.ndarray, tracks: np.ndarray, bass: list[StepNote]) -> dict[str, list[float]]:
    """Values of the columns for each way."""
    melody, true_bass = tokens[:, 0], tokens[:, 1]
    true_notes = melody_notes(true_bass)
    alone = heard_in(np.array(melody_notes(melody), np.int64).reshape(-1, 3).T)
    song = heard_in(tracks)
    both = np.concatenate([tracks, np.array(true_notes, np.int64).reshape(-1, 3).T], axis=1)
    measures = (triads(alone), infer_chord_classes(melody, true_bass), triads(heard_in(both)))
    key = estimate_key(pitch_histogram(melody, true_bass))
    ways = {"as generated": bass}
    sung = np.array(melody_notes(melody), np.int64).reshape(-1, 3).T
    new = np.array(bass, np.int64).reshape(-1, 3).T
    sources = {
        "melody": alone,
        "melody, a bar": heard_in(sung, 1),
        "melody and new bass": heard_in(np.concatenate([sung, new], axis=1)),
        "song": song,
        "song, a bar": heard_in(tracks, 1),
    }
    for source, harmony in sources.items():
        ways |= {f"{source}, {how}": keep_bass_in_harmony(bass, harmony, how) for how in HOW}
    ways["the song's own"] = true_notes
    rows = {}
    for name, notes in ways.items():
        own = tokens_of(notes)
        shares = [share_in_chords(own, chords) for chords in measures]
        changed = np.mean([note not in bass for note in notes]) if notes else np.nan
        rows[name] = [share_in_key(own, key), *shares, notes_per_bar(own, "bass"), float(changed)]
    return rows


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--songs", type=int, default=30)
    parser.add_argument("--temperature", type=float, default=0.6)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    paths = midi_files(arguments.folder)
    accompanist = Accompanist.from_pretrained(device="cpu")

    def song_scores(path: Path) -> dict[str, list[float]] | None:
        found = [
            score(
                tokens,
                tracks,
                generate(accompanist, tokens, arguments.temperature, arguments.seed),
            )
            for tokens, tracks in windows(path, rng)
        ]
        if not found:
            return None
        return {way: mean_where(np.array([one[way] for one in found])).tolist() for way in found[0]}

    rows = score_songs(paths, arguments.songs, rng, song_scores)
    print(scores_table("", COLUMNS, rows))


if __name__ == "__main__":
    main()
