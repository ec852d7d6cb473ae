"""A small folder like the Groove MIDI Dataset: performances of drums, and a table of them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pretty_midi

SPLITS = ("train", "validation", "test")
STEP = 0.125  # seconds, at 120 quarter notes a minute


def write_grooves(folder: Path, performances: int = 3, bars: int = 4, seed: int = 0) -> None:
    """Write performances of each split, of a beat with random velocities and timing."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    rows = []
    for split in SPLITS:
        for number in range(performances):
            name = f"{split}_{number}.mid"
            midi = pretty_midi.PrettyMIDI(initial_tempo=120)
            kit = pretty_midi.Instrument(0, is_drum=True)
            for step in range(bars * 16):
                pitches = [42] * (step % 2 == 0) + [36] * (step % 8 == 0) + [38] * (step % 8 == 4)
                for pitch in pitches:
                    start = max(step * STEP + rng.normal(0, 0.01), 0.0)
                    velocity = int(rng.integers(40, 110))
                    kit.notes.append(pretty_midi.Note(velocity, pitch, start, start + 0.1))
            midi.instruments.append(kit)
            midi.write(str(folder / name))
            rows.append({"midi_filename": name, "split": split})
    with (folder / "info.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["midi_filename", "split"])
        table.writeheader()
        table.writerows(rows)
