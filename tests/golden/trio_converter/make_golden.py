#!/usr/bin/env python3
"""Make golden.npz and notes.npz beside this file with Magenta itself.

Runs where the packages magenta 2.1.4 and note-seq 0.0.5 are installed, which nothing else of
this project needs.

golden.npz: for each song of make_songs.py the windows that Magenta's converter of
hierdec-trio_16bar makes of it, in its order and without its limit of windows a file, as
(windows, 256, 3) classes of melody, bass and drums.

CONFIG.npz: the same for other configs, each song's windows in ascending order, since Magenta's
order is that of a set. `SONG` holds the classes of outputs and controls, (windows, steps, 1 or
2), or for rolls their bits, packed eight to a number; `SONG/inputs` likewise those of inputs
that differ from outputs. `SONG+3` is the song three semitones higher.

notes.npz: the notes that these converters write for the argmax samples in
../models/CONFIG/reference.npz, as CONFIG/number; a row is pitch, start, end, velocity, program,
is_drum, instrument. CONFIG/number/chords are times, CONFIG/number/names names of its chords.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
CONFIGS = (
    "cat-mel_2bar_big",
    "hierdec-mel_16bar",
    "cat-mel_2bar_med_chords",
    "cat-drums_2bar_small",
    "nade-drums_2bar_full",
)
TRIO = "hierdec-trio_16bar"
TRANSPOSED = ("pitches+3", "harmony+3")
DEPTHS = (90, 90, 512)
FIELDS = ("pitch", "start_time", "end_time", "velocity", "program", "is_drum", "instrument")


def classes(rows: np.ndarray) -> np.ndarray:
    parts = np.split(rows, np.cumsum(DEPTHS)[:-1], axis=-1)
    return np.stack([part.argmax(-1) for part in parts], axis=-1).astype(np.uint16)


def compact(rows: np.ndarray, roll: bool) -> np.ndarray:
    if roll:
        return np.packbits(rows, axis=-1)
    tokens: np.ndarray = rows.argmax(-1)
    return tokens[..., None]


def tensors(converter: Any, sequence: Any, config: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Outputs with controls, and inputs where they differ, in ascending order."""
    found = converter.to_tensors(sequence)
    if not found.outputs:
        return np.zeros((0, 32, 1), np.uint8), None
    rows = compact(np.array(found.outputs), config.startswith("nade"))
    if converter.control_depth:
        rows = np.concatenate([rows, compact(np.array(found.controls), False)], axis=-1)
    is_drums = "drums" in config
    inputs = compact(np.array(found.inputs), is_drums)
    if not is_drums:
        assert np.array_equal(found.inputs, found.outputs)
    order = np.lexsort(rows.reshape(len(rows), -1).T[::-1])
    rows = rows[order]
    rows = rows.astype(np.uint16 if rows.max() > 255 else np.uint8)
    return rows, inputs[order] if is_drums else None


def write_trios(converter: Any, sequences: dict[str, Any]) -> None:
    windows: dict[str, Any] = {}
    for name, sequence in sequences.items():
        if name not in TRANSPOSED:
            found = [classes(rows) for rows in converter.to_tensors(sequence).outputs]
            windows[name] = np.array(found, np.uint16).reshape(-1, 256, len(DEPTHS))
            print(f"{name}: {len(found)} trios")
    np.savez_compressed(HERE / "golden.npz", **windows)


def write_windows(config: str, converter: Any, sequences: dict[str, Any]) -> None:
    kept: dict[str, Any] = {}
    for name, sequence in sequences.items():
        kept[name], inputs = tensors(converter, sequence, config)
        if inputs is not None:
            kept[f"{name}/inputs"] = inputs
        print(f"{name}: {len(kept[name])} windows of {config}")
    np.savez_compressed(HERE / f"{config}.npz", **kept)


def written(config: str, converter: Any) -> dict[str, Any]:
    """The notes, and the chords if any, that are written for the samples of a config's model."""
    notes: dict[str, Any] = {}
    reference = np.load(HERE.parent / "models" / config / "reference.npz")
    samples = reference["samples"]
    controls = [reference["sample_c_input"]] * len(samples) if converter.control_depth else None
    for number, sequence in enumerate(converter.from_tensors(samples, controls)):
        key = f"{config}/{number}"
        notes[key] = np.array([[getattr(note, name) for name in FIELDS] for note in sequence.notes])
        if controls:
            notes[f"{key}/chords"] = np.array([text.time for text in sequence.text_annotations])
            notes[f"{key}/names"] = np.array([text.text for text in sequence.text_annotations])
    return notes


def main() -> None:
    note_seq: Any = import_module("note_seq")
    configs: Any = import_module("magenta.models.music_vae.configs")
    converters = {name: configs.CONFIG_MAP[name].data_converter for name in (*CONFIGS, TRIO)}
    for converter in converters.values():
        converter.max_tensors_per_notesequence = None

    def sequences() -> dict[str, Any]:
        """Read again for each converter, which may change them."""
        songs = {
            path.stem: note_seq.midi_file_to_note_sequence(str(path))
            for path in sorted(HERE.glob("*.mid"))
        }
        transpose = note_seq.sequences_lib.transpose_note_sequence
        return songs | {
            name: transpose(songs[name.removesuffix("+3")], 3)[0] for name in TRANSPOSED
        }

    write_trios(converters[TRIO], sequences())
    for config in CONFIGS:
        write_windows(config, converters[config], sequences())
    notes: dict[str, Any] = {}
    for config, converter in converters.items():
        notes |= written(config, converter)
    np.savez_compressed(HERE / "notes.npz", **notes)


if __name__ == "__main__":
    main()
