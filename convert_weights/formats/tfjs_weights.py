"""TensorFlow.js's weight files: weights_manifest.json and the shards that it names.

The manifest is a list of groups. A group's shards, one after another, hold its tensors in the
order in which the manifest lists them: little-endian, row by row, without gaps. A shard may end
anywhere, even within a number. Format and arithmetic are those of tfjs-core's io module
(types.ts, weights_loader.ts, io_utils.ts).
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from convert_weights.errors import located
from convert_weights.formats.file_range import FileRange
from convert_weights.formats.strict_json import field, number, read_json, shown
from convert_weights.formats.tensors import Tensor, Tensors
from musicvae_torch.errors import CheckpointError

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
    """The manifest's description of one tensor.

    stored: the type of its numbers in the shards; as uint8 or uint16 they stand for
    number * scale + minimum. shards: those of its group. offset: in bytes, from the start of the
    first shard.
    """

    dtype: str
    shape: tuple[int, ...]
    stored: str
    scale: float
    minimum: float
    shards: list[FileRange]
    offset: int

    @property
    def size(self) -> int:
        """Bytes in the shards."""
        return math.prod(self.shape) * np.dtype(_STORED[self.stored]).itemsize


def open_tfjs_weights(files: Mapping[str, FileRange]) -> Tensors:
    """The tensors that a folder's manifest lists, in its order; `files` are the folder's, by name.

    They are of type "float32", "int32" or "bool"; quantised numbers are restored as tfjs does.
    Raises CheckpointError if the manifest or a shard is missing, malformed or cut off.
    """
    document = read_json(files, MANIFEST)
    with located(files[MANIFEST].label):
        entries, shards = _read_manifest(document, files)
    tensors = {
        name: Tensor(entry.shape, entry.dtype, partial(_read_tensor, entry))
        for name, entry in entries.items()
    }
    return Tensors([files[MANIFEST], *shards], tensors)


def _read_tensor(entry: _Entry) -> np.ndarray:
    raw = _read_bytes(entry.shards, entry.offset, entry.size)
    array = _restore(raw.view(_STORED[entry.stored]), entry).reshape(entry.shape)
    array.flags.writeable = False
    return array


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
        (folder / path).write_bytes(shard)
    manifest = [{"paths": paths, "weights": entries}]
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


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
    steps: np.ndarray = np.rint((array.astype(np.float64) - how["min"]) / how["scale"])
    return steps.astype(_STORED[how["dtype"]]).tobytes()


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Joins the pieces and cuts them into shards, all full but the last."""
    pending = bytearray()
    for piece in pieces:
        pending += piece
        while len(pending) >= _SHARD_BYTES:
            yield bytes(pending[:_SHARD_BYTES])
            del pending[:_SHARD_BYTES]
    if pending:
        yield bytes(pending)


def _read_bytes(shards: list[FileRange], offset: int, size: int) -> np.ndarray:
    """`size` bytes of the shards, one after another, from `offset` on: mapped into memory if one
    shard has them all, else a copy."""
    parts = []
    start = 0
    for shard in shards:
        first, last = max(offset - start, 0), min(offset + size - start, shard.size)
        if first < last:
            with located(shard.label):
                try:
                    parts.append(shard.map(first, last - first))
                except OSError as error:
                    raise CheckpointError(str(error.strerror)) from None
        start += shard.size
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint8), *parts])


def _read_manifest(
    document: Any, files: Mapping[str, FileRange]
) -> tuple[dict[str, _Entry], list[FileRange]]:
    """The manifest's entries by name of the tensor, and the shards of all groups."""
    if not isinstance(document, list):
        raise CheckpointError(f"is {shown(document)}, expected a list of groups of weights")
    entries: dict[str, _Entry] = {}
    all_shards: list[FileRange] = []
    for index, described in enumerate(document):
        with located(f"group {index + 1}"):
            shards = _find_shards(field(described, "paths", list), files)
            offset = 0
            for weight in field(described, "weights", list):
                name = field(weight, "name", str)
                if name in entries:
                    raise CheckpointError(f"tensor {name!r} is listed twice")
                with located(f"tensor {name!r}"):
                    entries[name] = _read_entry(weight, shards, offset)
                offset += entries[name].size
            size = sum(shard.size for shard in shards)
            if offset != size:
                raise CheckpointError(
                    f"its tensors take {offset} bytes, but its shards have {size}"
                )
            all_shards += shards
    return entries, all_shards


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


def _read_entry(weight: dict[str, Any], shards: list[FileRange], offset: int) -> _Entry:
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
    return _Entry(dtype, tuple(shape), stored, scale, minimum, shards, offset)


def _restore(raw: np.ndarray, entry: _Entry) -> np.ndarray:
    """The numbers that stored ones stand for."""
    if entry.stored in _AFFINE.values():
        # JavaScript has float64 alone: tfjs rounds once, when the sum goes into a Float32Array.
        with np.errstate(over="ignore", invalid="ignore"):
            return (raw * np.float64(entry.scale) + entry.minimum).astype(np.float32)
    return raw != 0 if entry.dtype == "bool" else raw.astype(entry.dtype, copy=False)
