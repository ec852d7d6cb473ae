"""What MusPy and smg-metrics say of made-up parts: writes golden.json beside this file.

Run it in an environment of its own, with `pip install muspy==0.5.0 smg-metrics==5.4.3`.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import muspy
import numpy as np
import pretty_midi
from smg_metrics.distribution import compute_all

STEP = 0.125  # seconds: a sixteenth at 120 quarters a minute
PARTS = 24


def part(rng: np.random.Generator) -> list[list[int]]:
    """Notes as start, duration (both in sixteenths) and pitch, one after another."""
    scale = rng.choice(12, rng.integers(2, 13), replace=False)
    notes, step = [], 0
    for index in range(int(rng.integers(5, 40))):
        duration = 1 if index == 0 else int(rng.integers(1, 9))
        pitch = int(rng.choice(scale)) + 12 * int(rng.integers(3, 6))
        notes.append([step, duration, pitch])
        step += duration + int(rng.integers(0, 3))
    return notes


def write(notes: list[list[int]], path: Path) -> None:
    midi = pretty_midi.PrettyMIDI(initial_tempo=120)
    track = pretty_midi.Instrument(33)
    track.notes = [
        pretty_midi.Note(80, pitch, start * STEP, (start + duration) * STEP)
        for start, duration, pitch in notes
    ]
    midi.instruments.append(track)
    midi.write(str(path))


def main() -> None:
    rng = np.random.default_rng(0)
    parts = [part(rng) for _ in range(PARTS)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.mid" for index in range(PARTS)]
        for notes, path in zip(parts, paths, strict=True):
            write(notes, path)
        for index, (notes, path) in enumerate(zip(parts, paths, strict=True)):
            music = muspy.read_midi(str(path))
            overlap = compute_all(path, paths[(index + 1) % PARTS])
            rows.append(
                {
                    "notes": notes,
                    "pitch_class_entropy": muspy.pitch_class_entropy(music),
                    "scale_consistency": muspy.scale_consistency(music),
                    "pitch_overlap_with_next": overlap.pd,
                    "duration_overlap_with_next": overlap.dd,
                }
            )
    target = Path(__file__).parent / "golden.json"
    target.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


if __name__ == "__main__":
    main()
