#!/usr/bin/env python3
"""Make golden.npz and notes.npz beside this file with Magenta itself.

Runs where the packages magenta 2.1.4 and note-seq 0.0.5 are installed, which nothing else of
this project needs.

golden.npz: for each of Magenta's GrooVAE configs and the modes eval and infer, under CONFIG/MODE/
- inputs, outputs and controls of all windows of all songs of make_groove_songs.py, by name,
- counts of windows of each song,
- errors: for each song the pitch that Magenta failed at, or -1.
numpy's random numbers are seeded with SEED before a config's and mode's first song. Mode train
gives what eval gives.

notes.npz: the notes that Magenta writes for the samples of make_groove_songs.py; a row is pitch,
start, end, velocity, program, is_drum.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import make_groove_songs
import numpy as np

HERE = Path(__file__).resolve().parent
SEED = 7
ARRAYS = ("inputs", "outputs", "controls")
FIELDS = ("pitch", "start_time", "end_time", "velocity", "program", "is_drum")


def convert(note_seq: Any, converter: Any) -> dict[str, np.ndarray]:
    np.random.seed(SEED)
    found: dict[str, Any] = {name: [] for name in (*ARRAYS, "counts", "errors")}
    for path in sorted(HERE.glob("*.mid")):
        count, pitch = 0, -1
        try:
            tensors = converter.to_tensors(note_seq.midi_file_to_note_sequence(str(path)))
            count = len(tensors.outputs)
            for name in ARRAYS:
                found[name] += [array.astype(np.float32) for array in getattr(tensors, name)]
        except KeyError as error:
            pitch = error.args[0]
        found["counts"].append(count)
        found["errors"].append(pitch)
    return {name: np.array(values) for name, values in found.items()}


def write(converter: Any) -> Iterator[np.ndarray]:
    for sequence in converter.from_tensors(list(make_groove_songs.samples())):
        yield np.array([[getattr(note, name) for name in FIELDS] for note in sequence.notes])


def main() -> None:
    note_seq: Any = import_module("note_seq")
    configs: Any = import_module("magenta.models.music_vae.configs")
    windows: dict[str, Any] = {}
    notes: dict[str, Any] = {}
    for name in sorted(name for name in configs.CONFIG_MAP if name.startswith("groovae")):
        converter = configs.CONFIG_MAP[name].data_converter
        for mode in ("eval", "infer"):
            converter.set_mode(mode)
            for key, array in convert(note_seq, converter).items():
                windows[f"{name}/{mode}/{key}"] = array
            if name == "groovae_4bar":
                notes |= {f"{mode}{i}": rows for i, rows in enumerate(write(converter))}
    np.savez_compressed(HERE / "golden.npz", **windows)
    np.savez_compressed(HERE / "notes.npz", **notes)


if __name__ == "__main__":
    main()
