"""The data set's file (HDF5): what it holds, written in runs, read whole or by split.

Columns of windows: ``tokens`` (windows, steps, parts), as the config's converter has them; ``song``
(a row of the songs' columns); ``bar`` and ``start`` (in seconds), as in ``converters.base.Window``;
``instruments``, the tracks it was made of, filled up with -1; ``transposition`` in semitones;
``length``, if windows differ in it; and if posteriors were added, ``code_mean`` and ``code_stddev``
(windows, z_size), the encoder's posterior.

Columns of songs: ``songs``, the path, as ``folders.py`` names songs; ``digest`` (16,), a hash of
the file's bytes; ``validation``, whether the song is set aside to validate on.

Attributes: ``format_version``, ``library_version``, ``config`` and ``options`` as JSON, ``build``
(a hash of all that decided the content), and with posteriors ``codes``, JSON that names their
model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.dataset.overlap import rows_apart
from musicvae_torch.errors import ConfigError, DatasetError, OptionError

FORMAT_VERSION = 1
SPLITS = ("train", "validation")
# Columns of the file, and the fields of Windows that hold them.
POSTERIOR_COLUMNS = {"code_mean": "posterior_mean", "code_stddev": "posterior_stddev"}
ANY_MODEL = "any model"  # in place of a model's hash: posteriors of whatever model
_CHUNK_BYTES = 2**18


@dataclass(frozen=True)
class Windows:
    """A data set, or one split of it, in memory.

    Attributes:
        tokens: (windows, steps, parts) classes; floats for grooves.
        song: (windows,) row in `songs`.
        songs: path of each song, such as "jazz/song.mid"; of several folders, "archive//song.mid".
        posterior_mean, posterior_stddev: (windows, z_size), if they were asked for and are there.
        length: (windows, segments) steps that are in use, if windows differ in it.
    """

    tokens: np.ndarray
    song: np.ndarray
    songs: list[str]
    posterior_mean: np.ndarray | None = None
    posterior_stddev: np.ndarray | None = None
    length: np.ndarray | None = None


@contextmanager
def open_dataset(path: str | Path) -> Iterator[h5py.File]:
    """Open a data set's file for reading.

    Raises:
        DatasetError: it is missing, damaged, or no data set; also if that shows inside the block.
    """
    try:
        with h5py.File(path, "r") as file:
            version = file.attrs.get("format_version", FORMAT_VERSION)
            if version != FORMAT_VERSION:
                raise DatasetError(
                    f"{path}: format_version is {version}, this library reads {FORMAT_VERSION}"
                )
            yield file
    except DatasetError:
        raise
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path}: not a data set of build-dataset ({reason})") from None


def read_dataset(
    path: str | Path,
    split: str | None = None,
    *,
    shape: tuple[int, int] | None = None,
    posteriors_of: str | None = None,
    apart: int | None = None,
) -> Windows:
    """Load a data set.

    Args:
        path: the file.
        split: "train" or "validation", to load only the windows of those songs; None: all.
        shape: (steps, parts) that the tokens must have; None: any.
        posteriors_of: sha256 of a model's weights, whose posteriors to load if the file has them;
            or ANY_MODEL. (Those that were imported have no ``posterior_stddev``.)
        apart: bars of a window, to load only the first of windows that overlap; None: all.

    Raises:
        DatasetError: the file is missing or is no such data set, or the split is empty.
    """
    if split not in (None, *SPLITS):
        raise OptionError(f"unknown split {split!r}; choose one of: {', '.join(SPLITS)}")
    with open_dataset(path) as file:
        songs = [os.fsdecode(song) for song in file["songs"][:]]
        wanted = {"length": "length"}
        if posteriors_of and posteriors_of in (ANY_MODEL, posterior_model(file).get("sha256")):
            wanted |= POSTERIOR_COLUMNS
        columns = {field: file[name][:] for name, field in wanted.items() if name in file}
        windows = Windows(file["tokens"][:], file["song"][:], songs, **columns)
        aside = file["validation"][:].astype(bool) if split and "validation" in file else None
        rows = None if apart is None else rows_apart(file, apart)
    found, sizes = windows.tokens.shape, "steps, parts" if shape is None else f"{shape}"[1:-1]
    right = len(found) == 3 and (shape is None or found[1:] == shape)
    if not right or len(windows.song) != found[0]:
        raise DatasetError(f"{path}: tokens have shape {found}, wanted (n, {sizes})")
    windows = windows if rows is None else take_windows(windows, rows)
    if split is None:
        return windows
    if aside is None:
        raise DatasetError(_without_split(path))
    windows = _songs_only(windows, aside == (split == "validation"))
    if not len(windows.tokens):
        raise DatasetError(f"{path}: no song for {split}; build it with another --validation share")
    return windows


def read_sides(
    data: str | Path,
    validation: str | Path | None,
    *,
    shape: tuple[int, int] | None = None,
    posteriors_of: str | None = None,
    apart: int | None = None,
) -> tuple[Windows, Windows]:
    """Windows to train on and windows to validate on: of two data sets, or of one's two splits.

    Args:
        data: the data set to train on.
        validation: a data set of other songs; None: the songs that `data` has set aside.
        shape, posteriors_of: as for :func:`read_dataset`.
        apart: as for :func:`read_dataset`, of the windows to validate on.

    Raises:
        DatasetError: a file is missing or is no such data set, or a side is empty.
    """
    read = partial(read_dataset, shape=shape, posteriors_of=posteriors_of)
    if validation is None:
        return read(data, "train"), read(data, "validation", apart=apart)
    return read(data), read(validation, apart=apart)


def split_rows(file: h5py.File, split: str | None) -> np.ndarray:
    """Rows of the windows of a split's songs; of all songs, if the split is None. Raises
    DatasetError if no songs are set aside."""
    song: np.ndarray = file["song"][:]
    if split is None:
        return np.arange(len(song))
    if "validation" not in file or not file["validation"][:].any():
        raise DatasetError(_without_split(file.filename))
    return np.flatnonzero(file["validation"][:].astype(bool)[song] == (split == "validation"))


def _without_split(path: str | Path) -> str:
    return (
        f"{path}: was built without validation songs; build it with --validation 0.1, or name a "
        "data set of other songs with --validation"
    )


def has_split(path: str | Path) -> bool:
    """Whether a data set has songs set aside to validate on; errors as :func:`open_dataset`."""
    with open_dataset(path) as file:
        return "validation" in file and bool(file["validation"][:].any())


def _songs_only(windows: Windows, wanted: np.ndarray) -> Windows:
    """The windows of the songs that are wanted, (songs,) bool; songs are renumbered."""
    kept = take_windows(windows, np.flatnonzero(wanted[windows.song]))
    return replace(
        kept,
        song=(np.cumsum(wanted) - 1)[kept.song],
        songs=[song for song, keep in zip(windows.songs, wanted, strict=True) if keep],
    )


def take_windows(windows: Windows, rows: np.ndarray) -> Windows:
    """The windows of some rows; `songs` is left as it is."""
    taken: dict[str, Any] = {
        name: None if column is None else column[rows]
        for name, column in vars(windows).items()
        if name != "songs"
    }
    return replace(windows, **taken)


def posterior_model(file: h5py.File) -> dict[str, Any]:
    """What a data set says of the model of its posteriors; empty if it holds none."""
    known = json.loads(file.attrs["codes"]) if "codes" in file.attrs else {}
    return known if isinstance(known, dict) else {}


def dataset_config(file: h5py.File) -> MusicVAEConfig:
    """The config of a data set's windows; raises DatasetError if the file does not say."""
    try:
        return MusicVAEConfig.from_dict(json.loads(file.attrs["config"]))
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise DatasetError(
            f"{file.filename}: does not say of what config it is ({error})"
        ) from None


class DatasetWriter:
    """Writes a new data set of known size, run after run.

    Args:
        file: empty, open for writing.
        windows: how many there will be.
        attributes: of the file, beside its version.
    """

    def __init__(self, file: h5py.File, windows: int, attributes: dict[str, Any]) -> None:
        self._file = file
        self._windows = windows
        self._written = 0
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs.update(attributes)

    def add(self, **columns: np.ndarray) -> None:
        """Append windows: (n, ...) for each column, the same columns in every call."""
        (count,) = {len(values) for values in columns.values()}
        for name, values in columns.items():
            if name not in self._file:
                self._create(name, values)
            self._file[name][self._written : self._written + count] = values
        self._written += count

    def _create(self, name: str, values: np.ndarray) -> None:
        row = max(values[:1].nbytes, 1)
        packed: dict[str, Any] = {}
        if self._windows:
            packed["chunks"] = (min(max(_CHUNK_BYTES // row, 1), self._windows), *values.shape[1:])
            if name not in POSTERIOR_COLUMNS:  # whose bits are noise to a compressor
                packed |= {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        self._file.create_dataset(name, (self._windows, *values.shape[1:]), values.dtype, **packed)

    def add_songs(
        self, songs: list[str], digests: np.ndarray, validation: np.ndarray | None
    ) -> None:
        """The songs' columns: paths, (songs, 16) uint8, and, if there is a split, (songs,) bool."""
        names = np.array([os.fsencode(song) for song in songs], object)
        self._file.create_dataset("songs", data=names, dtype=h5py.string_dtype())
        self._file["digest"] = digests
        if validation is not None:
            self._file["validation"] = validation
