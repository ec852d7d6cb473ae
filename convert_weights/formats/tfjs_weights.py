"""TensorFlow.js's weight files: weights_manifest.json and the shards that it names.

The manifest is a list of groups. A group's shards, one after another, hold its tensors in the
order in which the manifest lists them: little-endian, row by row, without gaps. A shard may end
anywhere, even within a number. Format and arithmetic are those of tfjs-core's io module
(types.ts, weights_loader.ts, io_utils.ts).
"""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert_weights.errors import located
from convert_weights.formats.file_range import FileRange
from convert_weights.formats.strict_json import field, number, read_json, shown, write_json
from musicvae_torch.errors import CheckpointError
from musicvae_torch.io.files import replacing

MANIFEST = "weights_manifest.json"

_DTYPES = ("float32", "int32", "bool")
_STORED = {
    "float32": "<f4",
    "int32": "<i4",
    "bool": "u1",
    "uint8": "u1",
    "uint16": "<u2",
    "float16": "<f2",
}
_AFFINE = {1: "uint8", 2: "uint16"}  # by bytes a number
_SHARD_BYTES = 4 << 20
_MAX_RANK = 32  # NumPy 1's limit
_MAX_DIMENSION = 2**31 - 1


@dataclass(frozen=True)
class _Entry:
    """What the manifest says of one tensor.

    stored: the type of its numbers in the shards; as uint8 or uint16 they stand for
    number * scale + minimum. offset: bytes from the start of its group.
    """

    dtype: str
    shape: tuple[int, ...]
    stored: str
    scale: float
    minimum: float
    group: int
    offset: int

    @property
    def size(self) -> int:
        """Bytes in the shards."""
        return math.prod(self.shape) * np.dtype(_STORED[self.stored]).itemsize


class TfjsWeights(AbstractContextManager["TfjsWeights"]):
    """A manifest's tensors by name, each read from the shards when asked for.

    Open them with `TfjsWeights.open`. Iterating gives the names, in the manifest's order. No file
    stays open in between: large models have hundreds of shards.
    """

    def __init__(
        self, manifest: FileRange, entries: dict[str, _Entry], groups: list["_Group"]
    ) -> None:
        self._manifest = manifest
        self._entries = entries
        self._groups = groups
        self.files = [manifest, *(file for group in groups for file in group.files)]

    @classmethod
    def open(cls, files: Mapping[str, FileRange]) -> "TfjsWeights":
        """Opens the weights in a folder, whose files are given by name.

        Raises CheckpointError if the manifest or a shard is missing, malformed or cut off.
        """
        document = read_json(files, MANIFEST)
        with located(files[MANIFEST].label):
            entries, groups = _read_manifest(document, files)
        return cls(files[MANIFEST], entries, groups)

    def __exit__(self, *exception: object) -> None:
        pass

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def shape(self, name: str) -> tuple[int, ...]:
        """The tensor's shape. Raises CheckpointError if there is no such tensor."""
        return self._entry(name).shape

    def dtype(self, name: str) -> str:
        """The type of the array that is read: "float32", "int32" or "bool".

        Raises CheckpointError if there is no such tensor.
        """
        return self._entry(name).dtype

    def __getitem__(self, name: str) -> np.ndarray:
        """The tensor as a read-only array; quantised numbers come as tfjs restores them.

        Raises CheckpointError if there is no such tensor, or its files are gone.
        """
        entry = self._entry(name)
        raw = self._groups[entry.group].read(entry.offset, entry.size)
        array = _restore(raw.view(_STORED[entry.stored]), entry).reshape(entry.shape)
        array.flags.writeable = False
        return array

    def _entry(self, name: str) -> _Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise CheckpointError(f"{self._manifest.label}: has no tensor {name!r}") from None


def write_tfjs_weights(
    folder: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray],
    quantization_bytes: int | None = None,
) -> None:
    """Writes float32 arrays as a manifest of one group and shards of 4 MiB.

    quantization_bytes: 1 or 2 to store each number in that many, by a linear map of its tensor's
    range; None to keep the numbers as they are.
    Raises CheckpointError for arrays of another type, and for numbers that are not finite if they
    are to be quantised.
    """
    folder = Path(folder)
    entries = [_describe(name, tensors[name], quantization_bytes) for name in tensors]
    pieces = (_pack(tensors[entry["name"]], entry) for entry in entries)
    total = sum(math.prod(entry["shape"]) for entry in entries) * (quantization_bytes or 4)
    count = math.ceil(total / _SHARD_BYTES)
    paths = [f"group1-shard{index}of{count}" for index in range(1, count + 1)]
    for path, shard in zip(paths, _cut(pieces), strict=True):
        with replacing(folder / path) as temporary:
            temporary.write_bytes(shard)
    write_json(folder / MANIFEST, [{"paths": paths, "weights": entries}])


def _describe(name: str, array: np.ndarray, quantization_bytes: int | None) -> dict[str, Any]:
    """The manifest's entry of an array that is to be written."""
    if array.dtype != np.float32:
        raise CheckpointError(f"tensor {name!r} is of type {array.dtype}, expected float32")
    entry = {"name": name, "shape": list(array.shape), "dtype": "float32"}
    if quantization_bytes is None:
        return entry
    low, high = float(array.min()), float(array.max())
    if not math.isfinite(high - low):
        raise CheckpointError(f"tensor {name!r} has numbers that are not finite")
    stored = _AFFINE[quantization_bytes]
    scale = (high - low) / np.iinfo(stored).max
    return entry | {"quantization": {"dtype": stored, "min": low, "scale": scale or 1.0}}


def _pack(array: np.ndarray, entry: dict[str, Any]) -> bytes:
    """An array's bytes in the shards, as its manifest entry says."""
    if "quantization" not in entry:
        return array.astype("<f4", copy=False).tobytes()
    how = entry["quantization"]
    steps = np.rint((array.astype(np.float64) - how["min"]) / how["scale"])
    return steps.astype(_STORED[how["dtype"]]).tobytes()


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces joined and cut anew into shards, all full but the last."""
    pending = bytearray()
    for piece in pieces:
        pending += piece
        while len(pending) >= _SHARD_BYTES:
            yield bytes(pending[:_SHARD_BYTES])
            del pending[:_SHARD_BYTES]
    if pending:
        yield bytes(pending)


@dataclass(frozen=True)
class _Group:
    """A group's shards as one run of bytes."""

    files: list[FileRange]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def read(self, offset: int, size: int) -> np.ndarray:
        """`size` bytes from `offset`: mapped into memory if one shard has them all, or a copy."""
        parts = []
        start = 0
        for file in self.files:
            first, last = max(offset - start, 0), min(offset + size - start, file.size)
            if first < last:
                with located(file.label):
                    try:
                        parts.append(file.map(first, last - first))
                    except OSError as error:
                        raise CheckpointError(str(error.strerror)) from None
            start += file.size
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint8), *parts])


def _read_manifest(
    document: Any, files: Mapping[str, FileRange]
) -> tuple[dict[str, _Entry], list[_Group]]:
    if not isinstance(document, list):
        raise CheckpointError(f"is {shown(document)}, expected a list of groups of weights")
    entries: dict[str, _Entry] = {}
    groups: list[_Group] = []
    for index, described in enumerate(document):
        with located(f"group {index + 1}"):
            group = _Group(_find_shards(field(described, "paths", list), files))
            offset = 0
            for weight in field(described, "weights", list):
                name = field(weight, "name", str)
                if name in entries:
                    raise CheckpointError(f"tensor {name!r} is listed twice")
                with located(f"tensor {name!r}"):
                    entries[name] = _read_entry(weight, index, offset)
                offset += entries[name].size
            if offset != group.size:
                raise CheckpointError(
                    f"its tensors take {offset} bytes, but its shards have {group.size}"
                )
            groups.append(group)
    return entries, groups


def _find_shards(paths: list[Any], files: Mapping[str, FileRange]) -> list[FileRange]:
    shards = []
    for path in paths:
        # No path leads out of the folder: only names of the folder's own files are known.
        if not isinstance(path, str) or path not in files:
            raise CheckpointError(f"has the shard {shown(path)}, expected a file in that folder")
        shards.append(files[path])
    if len(set(paths)) < len(paths):
        raise CheckpointError("lists a shard twice")
    return shards


def _read_entry(weight: dict[str, Any], group: int, offset: int) -> _Entry:
    dtype = field(weight, "dtype", str)
    shape = field(weight, "shape", list)
    if len(shape) > _MAX_RANK or not all(
        type(size) is int and 1 <= size <= _MAX_DIMENSION for size in shape
    ):
        raise CheckpointError(f"has the shape {shown(shape)}, expected whole numbers from 1")
    if dtype not in _DTYPES:
        raise CheckpointError(f"is of type {shown(dtype)}, expected {', '.join(_DTYPES)}")
    stored, scale, minimum = dtype, 1.0, 0.0
    if "quantization" in weight:
        how = field(weight, "quantization", dict)
        stored = field(how, "dtype", str)
        if dtype != "float32" or stored not in (*_AFFINE.values(), "float16"):
            raise CheckpointError(
                f"is {dtype} stored as {shown(stored)}, expected float32 stored as"
                f" {', '.join(_AFFINE.values())} or float16"
            )
        if stored in _AFFINE.values():
            scale, minimum = number(how, "scale"), number(how, "min")
    return _Entry(dtype, tuple(shape), stored, scale, minimum, group, offset)


def _restore(raw: np.ndarray, entry: _Entry) -> np.ndarray:
    """The numbers that stored ones stand for."""
    if entry.stored in _AFFINE.values():
        # JavaScript has float64 alone: tfjs rounds once, when the sum goes into a Float32Array.
        with np.errstate(over="ignore", invalid="ignore"):
            return (raw * np.float64(entry.scale) + entry.minimum).astype(np.float32)
    return raw != 0 if entry.dtype == "bool" else raw.astype(entry.dtype, copy=False)
