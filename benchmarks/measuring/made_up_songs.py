"""Songs that are made up, to time a training where there is no data set."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

_BARS, _WINDOW = 64, 256


def write_songs(path: Path, songs: int) -> Path:
    """Write a data set of 16-bar trios, as ``build-dataset --hop 8`` does, a tenth of whose songs
    are set aside; returns its path."""
    rng = np.random.default_rng(0)
    starts = range(0, _BARS - 15, 8)
    tokens: list[np.ndarray] = []
    song: list[int] = []
    bar: list[int] = []
    for number in range(songs):
        notes = np.zeros((16 * _BARS, 3), np.int16)
        for part, every, low, high in ((0, 2, 40, 60), (1, 4, 15, 30), (2, 2, 1, 64)):
            notes[::every, part] = rng.integers(low, high, len(notes[::every]))
        tokens += [notes[16 * first : 16 * first + _WINDOW] for first in starts]
        song += [number] * len(starts)
        bar += starts
    with h5py.File(path, "w") as file:
        file.attrs["format_version"] = 1
        file["tokens"], file["song"], file["bar"] = np.stack(tokens), np.array(song), np.array(bar)
        file["start"] = 2.0 * np.array(bar)
        file["instruments"] = np.tile(np.arange(3), (len(song), 1))
        file["transposition"] = np.zeros(len(song), np.int32)
        file["songs"] = [f"made_up/{number}.mid" for number in range(songs)]
        file["validation"] = np.arange(songs) % 10 == 0
    return path
