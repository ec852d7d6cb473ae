"""TensorFlow's V2 checkpoint, the "tensor bundle": PREFIX.index and PREFIX.data-XXXXX-of-YYYYY.

The index is a sorted string table (sstable.py). Its empty key holds a BundleHeaderProto, each other
key is a tensor's name with a BundleEntryProto; the shards hold the tensors' bytes, little-endian,
row by row. Field numbers are those of TensorFlow's tensor_bundle.proto, tensor_shape.proto and
types.proto.
"""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from convert_weights.errors import located
from convert_weights.formats.file_range import FileRange, files_in
from convert_weights.formats.sstable import read_table, write_table
from convert_weights.formats.tensors import Tensor, Tensors
from convert_weights.formats.wire import (
    Message,
    bytes_field,
    fixed32_field,
    masked_crc32c,
    varint_field,
)
from musicvae_torch.errors import CheckpointError

_DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    8: "complex64",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
_NUMBERS = {name: number for number, name in _DTYPES.items()}
_FORMAT_VERSION = 1
_MAX_RANK = 32  # NumPy 1's limit; TensorFlow's own is 254, and no variable comes near


@dataclass(frozen=True)
class Entry:
    """The index's entry of one tensor. offset and size are in bytes, within its shard."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int


def open_tensor_bundle(
    prefix: str | os.PathLike[str], files: Mapping[str, FileRange] | None = None
) -> Tensors:
    """The tensors of a checkpoint, in order of names.

    NumPy has no bfloat16: such tensors are widened to float32, which is exact. Tensors of a type
    that has no array (strings) are listed, but cannot be read. Checksums are verified on reading.

    prefix: where it is; the last part is what its files' names begin with.
    files: NAME.index and NAME.data-XXXXX-of-YYYYY by name, among any others; None: those on disk
        beside the prefix.
    Raises CheckpointError if the index or a shard is missing, malformed or cut off, or if the
    checkpoint is big-endian, holds partitioned variables, or tensors that overlap.
    """
    if files is None:
        files = files_in(Path(prefix).parent)
    index = _find(files, index_path(prefix))
    shard_count, entries = _read_index(index)
    shards = [_find(files, path) for path in shard_paths(prefix, shard_count)]
    tensors = {}
    for name, entry in entries.items():
        _check_entry(name, entry, index, shards)
        dtype = _DTYPES.get(entry.dtype, f"type {entry.dtype}")
        read = partial(_read_tensor, name, entry, index, shards[entry.shard])
        tensors[name] = Tensor(entry.shape, dtype, read)
    _check_overlaps(entries, shards)
    return Tensors([index, *shards], tensors)


def _read_tensor(name: str, entry: Entry, index: FileRange, shard: FileRange) -> np.ndarray:
    if entry.dtype not in _DTYPES:
        raise CheckpointError(
            f"{index.label}: tensor {name!r} is of type {entry.dtype}, expected one of"
            f" {', '.join(_DTYPES.values())}"
        )
    with located(shard.label):
        raw = shard.map(entry.offset, entry.size)
    found = masked_crc32c(raw)
    if found != entry.checksum:
        raise CheckpointError(
            f"{shard.label}: tensor {name!r} has the checksum {found:#010x},"
            f" expected {entry.checksum:#010x}"
        )
    array = _decode(raw, _DTYPES[entry.dtype]).reshape(entry.shape)
    array.flags.writeable = False
    return array


def write_tensor_bundle(prefix: str | os.PathLike[str], tensors: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as a checkpoint of one shard, without compression, in order of names.

    Raises CheckpointError for a name or a type that a checkpoint cannot hold.
    """
    path = index_path(prefix)
    header = varint_field(1, 1) + bytes_field(3, varint_field(1, _FORMAT_VERSION))  # one shard
    pairs = [(b"", header)]
    (shard,) = shard_paths(prefix, 1)
    with shard.open("wb") as file:
        for key, name in sorted((name.encode(), name) for name in tensors):
            array = np.asarray(tensors[name])
            if key[:1] in (b"", b"\0"):
                raise CheckpointError(f"{path}: {name!r} cannot be the name of a tensor")
            if array.dtype.name not in _NUMBERS:
                raise CheckpointError(f"{path}: tensor {name!r} is of type {array.dtype}")
            content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
            entry = Entry(
                dtype=_NUMBERS[array.dtype.name],
                shape=array.shape,
                shard=0,
                offset=file.tell(),
                size=len(content),
                checksum=masked_crc32c(content),
            )
            file.write(content)
            pairs.append((key, encode_entry(entry)))
    write_table(path, pairs)


def index_path(prefix: str | os.PathLike[str]) -> Path:
    """The index file of the checkpoint PREFIX."""
    return Path(f"{os.fspath(prefix)}.index")


def shard_paths(prefix: str | os.PathLike[str], count: int) -> Iterator[Path]:
    """The data files of the checkpoint PREFIX, which has `count` of them."""
    for number in range(count):
        yield Path(f"{os.fspath(prefix)}.data-{number:05d}-of-{count:05d}")


def encode_entry(entry: Entry) -> bytes:
    """The BundleEntryProto of a tensor."""
    shape = b"".join(bytes_field(2, varint_field(1, size)) for size in entry.shape)
    return (
        varint_field(1, entry.dtype)
        + bytes_field(2, shape)
        + varint_field(3, entry.shard)
        + varint_field(4, entry.offset)
        + varint_field(5, entry.size)
        + fixed32_field(6, entry.checksum)
    )


def _find(files: Mapping[str, FileRange], path: Path) -> FileRange:
    try:
        return files[path.name]
    except KeyError:
        raise CheckpointError(f"{path}: no such file, but the checkpoint needs it") from None


def _read_index(file: FileRange) -> tuple[int, dict[str, Entry]]:
    """The number of shards, and the entries by name."""
    table = dict(read_table(file))
    with located(file.label):
        if b"" not in table:
            raise CheckpointError("has no header, expected one under the empty key")
        shard_count = _decode_header(table.pop(b""))
        entries: dict[str, Entry] = {}
        # Slices of partitioned variables have keys that begin with NUL; last, so that the error
        # names the variable that they belong to.
        for key in sorted(table, key=lambda key: key.startswith(b"\0")):
            name = key.decode(errors="backslashreplace")
            with located(f"tensor {name!r}"):
                if key.startswith(b"\0"):
                    raise CheckpointError("is a slice of a partitioned variable, expected a whole")
                entries[name] = _decode_entry(table[key])
    return shard_count, entries


def _check_entry(name: str, entry: Entry, index: FileRange, shards: list[FileRange]) -> None:
    """Raises CheckpointError if an entry contradicts itself or the files."""
    if not 0 <= entry.shard < len(shards):
        raise CheckpointError(
            f"{index.label}: tensor {name!r} is in shard {entry.shard},"
            f" expected less than {len(shards)}"
        )
    shard = shards[entry.shard]
    if entry.offset < 0 or entry.size < 0 or entry.offset + entry.size > shard.size:
        raise CheckpointError(
            f"{shard.label}: tensor {name!r} takes {entry.size} bytes at {entry.offset},"
            f" expected them within the file's {shard.size}"
        )
    if dtype := _DTYPES.get(entry.dtype):
        size = math.prod(entry.shape) * _storage_dtype(dtype).itemsize
        if size != entry.size:
            raise CheckpointError(
                f"{index.label}: tensor {name!r} of shape {list(entry.shape)} and type"
                f" {dtype} takes {entry.size} bytes, expected {size}"
            )


def _check_overlaps(entries: Mapping[str, Entry], shards: list[FileRange]) -> None:
    """Raises CheckpointError if two tensors share bytes, which no writer makes: a small file could
    stand for a model of any size."""
    extents = sorted(
        (entry.shard, entry.offset, entry.size, name)
        for name, entry in entries.items()
        if entry.size
    )
    for (shard, offset, size, name), (next_shard, next_offset, _, other) in pairwise(extents):
        if shard == next_shard and offset + size > next_offset:
            raise CheckpointError(f"{shards[shard].label}: tensors {name!r} and {other!r} overlap")


def _decode_header(data: bytes) -> int:
    """The number of shards that a BundleHeaderProto gives."""
    header = Message(data)
    shard_count = header.signed(1)
    if shard_count < 1:
        raise CheckpointError(f"says that it has {shard_count} shards, expected at least 1")
    if header.unsigned(2) != 0:
        raise CheckpointError("is big-endian, expected little-endian")
    for version in header.messages(3):
        if version.signed(2) > _FORMAT_VERSION:
            raise CheckpointError(
                f"needs a reader of format {version.signed(2)}, expected {_FORMAT_VERSION}"
            )
    return shard_count


def _decode_entry(data: bytes) -> Entry:
    message = Message(data)
    if slices := message.messages(7):
        raise CheckpointError(f"is partitioned into {len(slices)} slices, expected a whole")
    shape: tuple[int, ...] = ()
    for proto in message.messages(2):
        if proto.unsigned(3):
            raise CheckpointError("has an unknown rank, expected a shape")
        shape = tuple(dimension.signed(1) for dimension in proto.messages(2))
    if len(shape) > _MAX_RANK or any(size < 0 for size in shape):
        raise CheckpointError(
            f"has {len(shape)} dimensions, the smallest {min(shape)},"
            f" expected at most {_MAX_RANK}, none below 0"
        )
    return Entry(
        dtype=message.unsigned(1),
        shape=shape,
        shard=message.signed(3),
        offset=message.signed(4),
        size=message.signed(5),
        checksum=message.unsigned(6),
    )


def _storage_dtype(name: str) -> np.dtype:
    """The little-endian NumPy type in which the elements of a TensorFlow type are stored."""
    return np.dtype({"bfloat16": "uint16", "bool": "uint8"}.get(name, name)).newbyteorder("<")


def _decode(raw: np.ndarray, name: str) -> np.ndarray:
    stored = raw.view(_storage_dtype(name))
    if name == "bfloat16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored != 0 if name == "bool" else stored
