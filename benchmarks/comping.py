#!/usr/bin/env python3
"""How the part of chords moves: voice leading of songs' chords.

    python benchmarks/comping.py MIDI_FOLDER [--songs 60] [--seed 0]

The chords of each song are those of its file, or inferred from all of its tracks but bass and
drums. They are voiced as for `accompany --add chords` and, to compare with, in root position
nearest to middle C. A row for each: semitones that the voices move from one chord to the next, in
all; the share of voices that stay; the share of notes of the part that are tones of the chord which
sounds when they begin; the share of chords of which no note is as high as the melody while they
last. Means over songs, with 95 % bootstrap intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from measuring.song_scores import score_songs, scores_table

from musicvae_torch.chords.symbols import chord_tones
from musicvae_torch.converters.trio import part_notes
from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import divisible, read_score
from surrogate.arrangement.arrange import kept_tracks
from surrogate.arrangement.comping import comp
from surrogate.arrangement.fill import StepNote
from surrogate.arrangement.harmony import Harmony, song_harmony
from surrogate.arrangement.voicing import (
    CENTRE,
    Voicing,
    distance,
    possible_voicings,
    voice_chords,
)
from surrogate.options import AccompanyOptions
from surrogate.song.context import SongContext, analyze
from surrogate.song.folders import midi_files

COLUMNS = ("semitones a change", "voices that stay", "chord tones", "below the melody")


def root_position(name: str) -> Voicing:
    """The voicing with the root at the bottom that is nearest to middle C."""
    root = chord_tones(name).root
    able = [own for own in possible_voicings(name) if own[0] % 12 == root]
    return min(able or possible_voicings(name), key=lambda own: abs(np.mean(own) - CENTRE))


def lowest(melody: Sequence[StepNote], start: int, end: int) -> float:
    """The lowest pitch of a melody from one step to another."""
    return min((p for first, last, p in melody if first < end and last > start), default=np.inf)


def measures(voicings: Sequence[Voicing], ceilings: Sequence[float]) -> list[float]:
    """Values of COLUMNS but that of chord tones."""
    moves = [distance(a, b) for a, b in pairwise(voicings)]
    stay = [len({*a} & {*b}) / len(b) for a, b in pairwise(voicings)]
    below = [own[-1] < ceiling for own, ceiling in zip(voicings, ceilings, strict=True)]
    return [float(np.mean(values)) for values in (moves, stay, below)]


def share_of_tones(song: SongContext, harmony: Harmony) -> float:
    """The share of a part's notes that are tones of the chord which sounds when they begin."""
    melody, _, drums = part_notes(song.tokens)
    strikes = comp(harmony, drums, melody, song.live, held=not drums)
    names = harmony.names_at(np.array([own.start for own in strikes], np.int64))
    inside = [
        pitch % 12 in chord_tones(str(name)).pitches
        for own, name in zip(strikes, names, strict=True)
        for pitch in own.pitches
    ]
    return float(np.mean(inside))


def score(song: SongContext, options: AccompanyOptions) -> dict[str, list[float]] | None:
    """The rows of a song; None: it has not two chords."""
    harmony = song_harmony(song, kept_tracks(song.roles, options))
    melody = part_notes(song.tokens)[0]
    steps = len(song.tokens)
    starts = harmony.starts[harmony.starts < steps].tolist()
    spans = zip(harmony.names, starts, [*starts[1:], steps], strict=False)
    chords = [(name, lowest(melody, a, b)) for name, a, b in spans if possible_voicings(name)]
    if len(chords) < 2:
        return None
    names, ceilings = zip(*chords, strict=True)
    led, rooted = voice_chords(names, ceilings), [root_position(name) for name in names]
    rows = {}
    for way, voicings in (("led", led), ("root position", rooted)):
        moves, stay, below = measures(voicings, ceilings)
        tones = share_of_tones(song, harmony) if way == "led" else float("nan")
        rows[way] = [moves, stay, tones, below]
    return rows


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--songs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    options = AccompanyOptions()

    def song_scores(path: Path) -> dict[str, list[float]] | None:
        try:
            return score(analyze(divisible(read_score(path)), options), options)
        except MidiError:
            return None

    rng = np.random.default_rng(arguments.seed)
    rows = score_songs(midi_files(arguments.folder), arguments.songs, rng, song_scores)
    print(scores_table("", COLUMNS, rows))


if __name__ == "__main__":
    main()
