"""Windows that do not overlap, so that each step of a song is scored once."""

from __future__ import annotations

import h5py
import numpy as np


def rows_apart(file: h5py.File, bars: int) -> np.ndarray:
    """Rows of windows that begin at least `bars` after the one before of the same song and tracks.

    Copies in other keys are left out. If the file does not say where windows lie, all rows are
    taken.
    """
    count = len(file["tokens"])
    if not {"bar", "instruments"} <= set(file):
        return np.arange(count)
    bar, song = file["bar"][:], file["song"][:]
    tracks = [tuple(row) for row in file["instruments"][:].tolist()]
    copies = np.zeros(count, bool)
    if "transposition" in file:
        # A song may be shifted as a whole; its windows' copies come after them.
        shift = file["transposition"][:]
        _, first = np.unique(song, return_index=True)
        copies = shift != shift[first][np.searchsorted(song[first], song)]
    last: dict[tuple[int, tuple[int, ...]], int] = {}
    kept = []
    for row in np.flatnonzero(~copies).tolist():
        line, here = (int(song[row]), tracks[row]), int(bar[row])
        before = last.get(line)
        # An earlier bar begins a further section.
        if before is None or here >= before + bars or here < before:
            kept.append(row)
            last[line] = here
    return np.array(kept, np.int64)
