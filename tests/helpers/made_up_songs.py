"""Songs that sound like nothing, but have what songs have: a named melody, chords, bass, drums."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pretty_midi

BARS, BEAT = 32, 0.5  # bars of 4/4, seconds a quarter note


def write_songs(folder: Path, count: int, seed: int = 0) -> None:
    """Write `count` songs; every other one is set at one velocity, the others are played."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(count):
        song = made_up_song(rng, played=number % 2 == 0)
        song.write(str(folder / f"song_{number}.mid"))


def made_up_song(rng: np.random.Generator, played: bool) -> pretty_midi.PrettyMIDI:
    """Thirty-two bars over four chords, busier or less so, with more swing or less."""
    song = pretty_midi.PrettyMIDI(initial_tempo=60 / BEAT)
    song.time_signature_changes.append(pretty_midi.TimeSignature(4, 4, 0))
    roots = rng.choice([0, 2, 5, 7, 9], 4)
    level, busy = int(rng.integers(50, 100)), rng.uniform(0.5, 0.9)
    swing = rng.random()
    # Program (-1: drums), length of the notes in beats, and which pitches on a beat.
    tracks: dict[str, tuple[int, float, Callable[[int, int], list[int]]]] = {
        "Melody": (9, 0.5, lambda root, beat: [72 + root + int(rng.choice([0, 4, 7, 12]))]),
        "Piano": (0, 2.0, lambda root, beat: [60 + root, 64 + root, 67 + root]),
        "Bass": (33, 0.5, lambda root, beat: [36 + root + int(rng.choice([0, 7]))]),
        "Drums": (-1, 0.5, lambda root, beat: [38 if beat % 2 else 36, 42]),
    }
    for name, (program, length, pitches) in tracks.items():
        track = pretty_midi.Instrument(max(program, 0), is_drum=program < 0, name=name)
        for start in np.arange(0, 4 * BARS, length):
            if start % 4 and rng.random() > busy:
                continue
            for pitch in pitches(int(roots[int(start // 4) % 4]), int(start % 4)):
                velocity = level + (int(rng.integers(-20, 21)) if played else 0)
                late = 0.25 if start % 1 and rng.random() < swing else 0
                times = (start + late) * BEAT, (start + length) * BEAT
                track.notes.append(pretty_midi.Note(velocity, pitch, *times))
        song.instruments.append(track)
    return song
