#!/usr/bin/env python3
"""Make golden.npz and notes.npz beside this file with Magenta itself.

Runs where the packages magenta 2.1.4 and note-seq 0.0.5 are installed, which nothing else of
this project needs.

golden.npz: for each song of make_songs.py the windows that Magenta's converter of
hierdec-trio_16bar makes of it, in its order and without its limit of windows a file, as
(windows, 256, 3) classes of melody, bass and drums.

notes.npz: the notes that the same converter writes for the argmax samples in
../hierdec-trio_16bar/reference.npz; a row is pitch, start, end, velocity, program, is_drum,
instrument.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent / "hierdec-trio_16bar" / "reference.npz"
DEPTHS = (90, 90, 512)
FIELDS = ("pitch", "start_time", "end_time", "velocity", "program", "is_drum", "instrument")


def classes(rows: np.ndarray) -> np.ndarray:
    parts = np.split(rows, np.cumsum(DEPTHS)[:-1], axis=-1)
    return np.stack([part.argmax(-1) for part in parts], axis=-1).astype(np.uint16)


def one_hot(tokens: np.ndarray) -> np.ndarray:
    parts = [np.eye(depth)[tokens[:, part]] for part, depth in enumerate(DEPTHS)]
    return np.concatenate(parts, axis=-1)


def main() -> None:
    note_seq: Any = import_module("note_seq")
    configs: Any = import_module("magenta.models.music_vae.configs")
    converter = configs.CONFIG_MAP["hierdec-trio_16bar"].data_converter
    converter.max_tensors_per_notesequence = None
    windows: dict[str, Any] = {}
    for path in sorted(HERE.glob("*.mid")):
        sequence = note_seq.midi_file_to_note_sequence(str(path))
        found = [classes(rows) for rows in converter.to_tensors(sequence).outputs]
        windows[path.stem] = np.array(found, np.uint16).reshape(-1, 256, len(DEPTHS))
        print(f"{path.name}: {len(found)} windows")
    np.savez_compressed(HERE / "golden.npz", **windows)

    sequences = converter.from_tensors([one_hot(sample) for sample in np.load(SAMPLES)["samples"]])
    rows = [[[getattr(note, name) for name in FIELDS] for note in s.notes] for s in sequences]
    notes: dict[str, Any] = {f"sample{i}": np.array(row) for i, row in enumerate(rows)}
    np.savez_compressed(HERE / "notes.npz", **notes)


if __name__ == "__main__":
    main()
