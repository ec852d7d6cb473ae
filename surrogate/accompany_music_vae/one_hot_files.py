"""Windows of trios ↔ the data sets of accompany-music-vae: HDF5 files of one-hot rows.

The columns of such a file are ``melody`` and ``bass``, bool (windows, 256, 90); ``drums``, bool
(windows, 256, 512); ``trio``, bool (windows, 256, 692), the three side by side; and ``code``,
float32 (windows, z_size), the mean of the posterior. No column names the song of a window.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tqdm import tqdm

from musicvae_torch import __version__
from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.converters.base import from_one_hot, one_hot
from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.dataset.extraction import DIGEST_BYTES
from musicvae_torch.dataset.format import DatasetWriter, open_dataset, split_rows
from musicvae_torch.dataset.merge import digest_shares
from musicvae_torch.errors import DatasetError, OptionError
from musicvae_torch.io.files import replacing
from musicvae_torch.midi.vocabulary import PARTS

COLUMNS = (*PARTS, "trio", "code")
STEPS = 256
AT_ONCE = 256  # windows read and written at a time


def export_dataset(
    data: str | Path,
    out: str | Path,
    columns: Sequence[str] = ("melody", "code"),
    *,
    split: str | None = None,
    progress: bool = True,
) -> int:
    """Write a data set of trios as a file of accompany-music-vae.

    Args:
        data: a data set of trios.
        out: the new file.
        columns: some of COLUMNS; "code" needs a data set with posteriors.
        split: "train" or "validation", to write the windows of those songs alone; None: all.
        progress: show a progress bar.

    Returns:
        The number of windows.

    Raises:
        DatasetError: the data set cannot be read, holds no trios, or lacks what is wanted.
        OptionError: no such column or split.
    """
    for name in columns:
        if name not in COLUMNS:
            raise OptionError(f"unknown column {name!r}; choose among: {', '.join(COLUMNS)}")
    with open_dataset(data) as source:
        if source["tokens"].shape[1:] != (STEPS, len(PARTS)):
            shape = source["tokens"].shape
            raise DatasetError(f"{data}: tokens have shape {shape}, wanted trios (n, {STEPS}, 3)")
        if "code" in columns and "code_mean" not in source:
            raise DatasetError(f"{data}: holds no posteriors; add them with encode-dataset")
        rows = split_rows(source, split)
        with replacing(out) as path, h5py.File(path, "w") as file:
            for name in columns:
                _create(file, name, len(rows), source)
            disable = None if progress else True
            for first in tqdm(range(0, len(rows), AT_ONCE), unit="run", disable=disable):
                taken = rows[first : first + AT_ONCE]
                span = slice(taken[0], taken[-1] + 1)
                inside = taken - taken[0]
                tokens = source["tokens"][span][inside]
                for name in columns:
                    values = (
                        source["code_mean"][span][inside]
                        if name == "code"
                        else _one_hot(name, tokens)
                    )
                    file[name][first : first + len(taken)] = values
    return len(rows)


def _create(file: h5py.File, name: str, count: int, source: h5py.File) -> None:
    if name == "code":
        file.create_dataset(name, (count, source["code_mean"].shape[1]), np.float32)
        return
    row = (STEPS, sum(_depths(name)))
    packed: dict[str, Any] = {"compression": "gzip", "compression_opts": 1} if count else {}
    chunks = (min(16, count), *row) if count else None
    file.create_dataset(name, (count, *row), bool, chunks=chunks, **packed)


def _depths(name: str) -> tuple[int, ...]:
    return DEPTHS if name == "trio" else (DEPTHS[PARTS.index(name)],)


def _one_hot(name: str, tokens: np.ndarray) -> np.ndarray:
    own = tokens if name == "trio" else tokens[..., PARTS.index(name), None]
    return one_hot(own, _depths(name))


def import_dataset(
    source: str | Path, out: str | Path, *, validation: float = 0.1, progress: bool = True
) -> int:
    """Read a file of accompany-music-vae into a data set.

    The windows are of trios if the file has ``trio`` or all three parts, else of melodies. A row of
    zeros becomes class -1. Each window counts as a song.

    Args:
        source: the file.
        out: the data set.
        validation: share of the windows to set aside for validation; 0: no split.
        progress: show a progress bar.

    Returns:
        The number of windows.

    Raises:
        DatasetError: the file is unreadable, has no such columns, or rows that are not one-hot.
    """
    source, out = Path(source), Path(out)
    try:
        file = h5py.File(source, "r")
    except OSError as error:
        raise DatasetError(f"{source}: not readable as HDF5 ({error})") from None
    with file:
        names, config = _check_columns(file)
        count = len(file[names[0]])
        attributes = {
            "library_version": __version__,
            "config": json.dumps(config.to_dict()),
            "options": json.dumps({"imported": source.name, "validation": validation}),
        }
        if "code" in file:
            attributes["codes"] = json.dumps({"imported": source.name})
        with replacing(out) as path, h5py.File(path, "w") as data:
            writer = DatasetWriter(data, count, attributes)
            digests = np.zeros((count, DIGEST_BYTES), np.uint8)
            disable = None if progress else True
            for first in tqdm(range(0, count, AT_ONCE), unit="run", disable=disable):
                columns = _columns(file, names, first)
                for row, tokens in enumerate(columns["tokens"], start=first):
                    digest = hashlib.blake2b(tokens.tobytes(), digest_size=DIGEST_BYTES)
                    digests[row] = np.frombuffer(digest.digest(), np.uint8)
                writer.add(**columns)
            aside = digest_shares(digests) < validation if validation else None
            writer.add_songs([f"{source.name}#{row}" for row in range(count)], digests, aside)
    return count


def _check_columns(file: h5py.File) -> tuple[list[str], MusicVAEConfig]:
    """The columns to read tokens from, and the config whose windows they hold."""
    trio, parts = "trio" in file, all(name in file for name in PARTS)
    names = ["trio"] if trio else list(PARTS) if parts else ["melody"]
    if names[0] not in file:
        raise DatasetError(f"{file.filename}: has none of the columns {', '.join(COLUMNS)}")
    count = len(file[names[0]]) if getattr(file[names[0]], "shape", ()) else 0
    wanted: dict[str, tuple[Any, ...]] = {
        name: (count, STEPS, sum(_depths(name))) for name in names
    }
    if "code" in file:
        wanted["code"] = (count, *getattr(file["code"], "shape", ())[1:2])
    for name, shape in wanted.items():
        found = getattr(file[name], "shape", None)
        if found != shape or not count:
            raise DatasetError(
                f"{file.filename}: column {name} has shape {found}, wanted {shape} of at least one"
            )
    return names, get_config("hierdec-trio_16bar" if trio or parts else "hierdec-mel_16bar")


def _columns(file: h5py.File, names: list[str], first: int) -> dict[str, np.ndarray]:
    rows = np.concatenate([file[name][first : first + AT_ONCE] for name in names], axis=-1) != 0
    depths = [depth for name in names for depth in _depths(name)]
    tokens = from_one_hot(rows, depths)
    for part, hits in enumerate(np.split(rows, np.cumsum(depths)[:-1], axis=-1)):
        counts = hits.sum(-1)
        if (counts > 1).any():
            window = first + int(np.flatnonzero((counts > 1).any(-1))[0])
            raise DatasetError(f"{file.filename}: window {window} has rows that are not one-hot")
        tokens[..., part][counts == 0] = -1
    count = len(tokens)
    columns = {
        "tokens": tokens,
        "song": np.arange(first, first + count, dtype=np.int32),
        "bar": np.zeros(count, np.int32),
        "start": np.zeros(count),
        "instruments": np.full((count, tokens.shape[-1]), -1, np.int16),
        "transposition": np.zeros(count, np.int8),
    }
    if "code" in file:
        columns["code_mean"] = file["code"][first : first + AT_ONCE].astype(np.float32)
    return columns
