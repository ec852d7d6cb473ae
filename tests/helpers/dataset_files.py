"""Data sets as files, of made-up windows."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
from made_up import tiny

from musicvae_torch.dataset import Windows


def write(path: Path, windows: Windows, name: str | None = None, **columns: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        file["tokens"], file["song"] = windows.tokens, windows.song
        file.create_dataset("songs", data=windows.songs, dtype=h5py.string_dtype())
        for column, values in columns.items():
            file[column] = values
        if windows.length is not None:
            file["length"] = windows.length
        if name is not None:
            file.attrs["config"] = json.dumps(tiny(name).to_dict())
    return path
