"""The sorted string table: LevelDB's file of sorted keys and values, as TensorFlow writes it.

A file is data blocks, an (empty) meta index block, an index block whose values are the handles
(offset, size) of the data blocks, and a footer of 48 bytes. A block is entries whose keys leave out
what they share with the key before, then the offsets of the entries that are whole ("restarts"). A
trailer of 5 bytes follows each block: compression, masked crc32c.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from convert_weights.errors import located
from convert_weights.formats import snappy
from convert_weights.formats.file_range import FileRange
from convert_weights.formats.wire import masked_crc32c, read_varint, write_varint
from musicvae_torch.errors import CheckpointError

_MAGIC = 0xDB4775248B80FB57
_FOOTER_SIZE = 48
_TRAILER_SIZE = 5
_NO_COMPRESSION, _SNAPPY = 0, 1
_RESTART_INTERVAL = 16
_BLOCK_SIZE = 256 * 1024
# Keys grow by sharing a prefix: without a limit, a small hostile file would fill the memory.
_MAX_KEY_SIZE = 4096
# A table of a thousand tensors takes a tenth of that.
_MAX_TABLE_SIZE = 1024 * 1024


def read_table(file: FileRange) -> Iterator[tuple[bytes, bytes]]:
    """Yields the (key, value) pairs of a table file, in order of keys.

    Raises CheckpointError, naming the file, for a file that is truncated, corrupt or no table. So
    that no file takes long, blocks must not overlap, and there is at most 1 MiB of them, unpacked.
    """
    with located(file.label):
        table = file.read(_MAX_TABLE_SIZE)
        index, _ = _read_block(table, _index_handle(table), start=0)
        end = unpacked = 0
        previous: bytes | None = None
        for _, handle in _entries(index):
            block, end = _read_block(table, handle, start=end)
            unpacked += len(block)
            if unpacked > _MAX_TABLE_SIZE:
                raise CheckpointError(f"unpacks to {unpacked} bytes or more, expected a small file")
            for key, value in _entries(block):
                if previous is not None and key <= previous:
                    raise CheckpointError(f"the key {key!r} follows {previous!r}, expected order")
                previous = key
                yield key, value


def write_table(
    path: str | os.PathLike[str],
    pairs: Iterable[tuple[bytes, bytes]],
    block_size: int = _BLOCK_SIZE,
) -> None:
    """Writes (key, value) pairs, sorted by key, as a table without compression.

    block_size: bytes of entries after which a data block is closed.
    """
    index: list[tuple[bytes, bytes]] = []
    block: list[tuple[bytes, bytes]] = []
    filled = 0
    with Path(path).open("wb") as file:
        for key, value in pairs:
            if filled >= block_size:
                index.append((_separator(block[-1][0], key), _write_block(file, block)))
                block, filled = [], 0
            block.append((key, value))
            filled += len(key) + len(value)
        if block:
            index.append((_separator(block[-1][0], None), _write_block(file, block)))
        footer = _write_block(file, []) + _write_block(file, index, restart_interval=1)
        file.write(footer.ljust(_FOOTER_SIZE - 8, b"\0") + struct.pack("<Q", _MAGIC))


def _index_handle(table: bytes) -> bytes:
    if len(table) < _FOOTER_SIZE:
        raise CheckpointError(
            f"has {len(table)} bytes, expected at least a footer of {_FOOTER_SIZE}"
        )
    footer = table[-_FOOTER_SIZE:]
    (magic,) = struct.unpack("<Q", footer[-8:])
    if magic != _MAGIC:
        raise CheckpointError(
            f"ends in {magic:#018x}, expected {_MAGIC:#018x}: no index of a checkpoint, or cut off"
        )
    _, position = read_varint(footer, 0)
    _, position = read_varint(footer, position)
    return footer[position:-8]


def _read_block(table: bytes, handle: bytes, start: int) -> tuple[bytes, int]:
    """The content of the block at `handle`, checksum verified, decompressed; and where it ends.

    start: where the block before it ends.
    """
    offset, position = read_varint(handle, 0)
    size, _ = read_varint(handle, position)
    stop = offset + size + _TRAILER_SIZE
    last = len(table) - _FOOTER_SIZE
    if stop > last:
        raise CheckpointError(
            f"a block of {size} bytes at {offset} runs past the end at {last}: the file is cut off"
        )
    if offset < start:
        raise CheckpointError(f"a block at {offset} overlaps the one before, that ends at {start}")
    content, trailer = table[offset : offset + size], table[offset + size : stop]
    compression, expected = struct.unpack("<BI", trailer)
    found = masked_crc32c(content + trailer[:1])
    if found != expected:
        raise CheckpointError(
            f"the block at {offset} has the checksum {found:#010x}, expected {expected:#010x}"
        )
    if compression == _SNAPPY:
        return snappy.decompress(content), stop
    if compression != _NO_COMPRESSION:
        raise CheckpointError(f"the block at {offset} has the unknown compression {compression}")
    return content, stop


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    end = len(block) - 4
    if end >= 0:
        (restarts,) = struct.unpack("<I", block[end:])
        end -= 4 * restarts
    if end < 0:
        raise CheckpointError(f"a block of {len(block)} bytes has no room for its restarts")
    position, key = 0, b""
    while position < end:
        shared, position = read_varint(block, position)
        unshared, position = read_varint(block, position)
        value_size, position = read_varint(block, position)
        value_at = position + unshared
        if shared > len(key) or value_at + value_size > end or shared + unshared > _MAX_KEY_SIZE:
            raise CheckpointError(
                f"an entry of {shared} + {unshared} + {value_size} bytes does not fit its block"
            )
        key = key[:shared] + block[position:value_at]
        position = value_at + value_size
        yield key, block[value_at:position]


def _write_block(
    file: BinaryIO, pairs: list[tuple[bytes, bytes]], restart_interval: int = _RESTART_INTERVAL
) -> bytes:
    """Writes a block with its trailer; returns its handle."""
    block, restarts, previous = bytearray(), [0], b""
    for number, (key, value) in enumerate(pairs):
        shared = 0
        if number % restart_interval:
            same = [one == other for one, other in zip(previous, key, strict=False)]
            shared = [*same, False].index(False)
        elif number:
            restarts.append(len(block))
        for length in (shared, len(key) - shared, len(value)):
            block += write_varint(length)
        block += key[shared:] + value
        previous = key
    block += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    offset = file.tell()
    content = bytes(block) + bytes([_NO_COMPRESSION])
    file.write(content + struct.pack("<I", masked_crc32c(content)))
    return write_varint(offset) + write_varint(len(block))


def _separator(last: bytes, following: bytes | None) -> bytes:
    """A short key that is not below `last` and is below `following` (None: the table's end)."""
    for length, byte in enumerate(last):
        candidate = last[:length] + bytes([min(byte + 1, 0xFF)])
        if byte < 0xFF and (following is None or candidate < following):
            return candidate
    return last
