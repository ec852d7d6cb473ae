#!/usr/bin/env python3
"""Make golden.npz and notes.npz beside this file with Magenta itself.

Runs where the packages magenta 2.1.4 and note-seq 0.0.5 are installed, which nothing else of
this project needs.

golden.npz: for each song of make_multitrack_songs.py, and each of two configs, the windows that
Magenta's converter makes of it. NAME is (windows, 512) classes of hier-multiperf_vel_1bar_med,
NAME_chords (windows, 512, 2) of hier-multiperf_vel_1bar_med_chords and its controls, -1 in
rows of zeros; NAME_lengths and NAME_chords_lengths are (windows, 8).

notes.npz: made-up samples, sense and nonsense, (samples, 512, 2) classes as above; and for each,
notesI, what Magenta writes: pitch, start, end, velocity, program, is_drum, instrument; and
textsI, timesI, its chords.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
CONFIG = "hier-multiperf_vel_1bar_med"
FIELDS = ("pitch", "start_time", "end_time", "velocity", "program", "is_drum", "instrument")
CLASSES, CHORDS, TRACKS, EVENTS = 490, 49, 8, 64


def classes(rows: Any) -> np.ndarray:
    rows = np.asarray(rows)
    return np.where(rows.any(-1), rows.argmax(-1), -1).astype(np.int16)


def one_hot(tokens: np.ndarray, depth: int) -> np.ndarray:
    rows: np.ndarray = np.eye(depth + 1)[tokens + 1]
    return rows[:, 1:]


def windows_of(sequence: Any, converter: Any) -> tuple[np.ndarray, np.ndarray]:
    tensors = converter.to_tensors(sequence)
    columns = [classes(tensors.outputs)] if tensors.outputs else [np.zeros((0, 512), np.int16)]
    if converter.control_depth:
        columns.append(classes(tensors.controls) if tensors.outputs else columns[0])
    tokens = np.stack(columns, axis=-1) if len(columns) > 1 else columns[0]
    return tokens, np.array(tensors.lengths, np.int32).reshape(-1, TRACKS)


def samples() -> np.ndarray:
    """Classes drawn at random: all alike, few pitches, mostly short waits; some without END."""
    rng = np.random.default_rng(0)
    tokens = []
    for kind in range(9):
        shape = (TRACKS, EVENTS)
        drawn = rng.integers(0, CLASSES, shape)
        pitches = rng.integers(60, 60 + 1 + kind, shape) + 128 * rng.integers(0, 2, shape)
        waits = rng.integers(256, 256 + (96 if kind == 8 else 4 + kind), shape)
        loud = rng.integers(352, 360, shape)
        if kind:
            drawn = np.select(
                [rng.random(shape) < p for p in (0.6, 0.6, 0.7)], [pitches, waits, loud], drawn
            )
        drawn[rng.random(shape) < 0.5 * (drawn >= 360)] = 256
        drawn[:4, 0] = 360 + rng.integers(0, 129, 4)
        drawn[: 2 * (kind % 4), 20 + kind :] = -1
        drawn[0, 10 + kind] = 489
        tokens.append(np.stack([drawn, rng.integers(0, CHORDS, shape)], axis=-1))
    return np.array(tokens, np.int16).reshape(-1, TRACKS * EVENTS, 2)


def main() -> None:
    note_seq: Any = import_module("note_seq")
    configs: Any = import_module("magenta.models.music_vae.configs")
    plain, chords = (configs.CONFIG_MAP[CONFIG + end].data_converter for end in ("", "_chords"))
    golden: dict[str, Any] = {}
    for path in sorted(HERE.glob("*.mid")):
        sequence = note_seq.midi_file_to_note_sequence(str(path))
        for name, converter in ((path.stem, plain), (f"{path.stem}_chords", chords)):
            golden[name], golden[f"{name}_lengths"] = windows_of(sequence, converter)
            print(f"{name}: {len(golden[name])} windows")
    np.savez_compressed(HERE / "golden.npz", **golden)

    notes: dict[str, Any] = {"samples": samples()}
    outputs = [one_hot(sample[:, 0], CLASSES) for sample in notes["samples"]]
    controls = [one_hot(sample[:, 1], CHORDS) for sample in notes["samples"]]
    for index, sequence in enumerate(chords.from_tensors(outputs, controls)):
        rows = [[getattr(note, name) for name in FIELDS] for note in sequence.notes]
        notes[f"notes{index}"] = np.array(rows)
        notes[f"texts{index}"] = np.array([chord.text for chord in sequence.text_annotations])
        notes[f"times{index}"] = np.array([chord.time for chord in sequence.text_annotations])
        print(f"sample {index}: {len(rows)} notes, {len(sequence.text_annotations)} chords")
    np.savez_compressed(HERE / "notes.npz", **notes)


if __name__ == "__main__":
    main()
