"""Byte encodings inside a TensorFlow checkpoint: varints, protobuf messages, masked checksums.

Sources: protobuf's wire format as its public documentation states it; the checksum mask of the
LevelDB table format, which TensorFlow uses for tensors too.
"""

import struct
from collections import defaultdict
from typing import Any

import google_crc32c

from musicvae_torch.errors import CheckpointError

_MASK_DELTA = 0xA282EAD8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def masked_crc32c(data: Any) -> int:
    """The checksum of `data` (bytes, or a read-only uint8 array) as LevelDB stores it.

    A stored crc is rotated and shifted, so that a checksum of bytes that hold checksums stays good.
    """
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The unsigned integer (at most 64 bits) at `position`, and the position after it."""
    value = 0
    for index in range(10):
        if position + index >= len(data):
            raise CheckpointError("a variable-length integer runs past the end")
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value >> 64:
                break
            return value, position + index + 1
    raise CheckpointError("a variable-length integer is longer than 64 bits")


def write_varint(value: int) -> bytes:
    """The bytes of an unsigned integer, seven bits each, lowest first."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class Message:
    """A protobuf message, split into fields; absent fields have protobuf's default values."""

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = defaultdict(list)
        position = 0
        while position < len(data):
            tag, position = read_varint(data, position)
            value, position = _read_value(data, position, tag & 7)
            self._fields[tag >> 3].append(value)

    def unsigned(self, number: int) -> int:
        """Field `number` as an unsigned integer."""
        value = self._fields.get(number, [0])[-1]
        if not isinstance(value, int):
            raise CheckpointError(f"field {number} of a message holds bytes, expected a number")
        return value

    def signed(self, number: int) -> int:
        """Field `number` as a signed 64-bit integer (protobuf int32 or int64)."""
        value = self.unsigned(number)
        return value - (1 << 64) if value >> 63 else value

    def messages(self, number: int) -> list["Message"]:
        """All values of a repeated field of messages."""
        found = []
        for value in self._fields.get(number, []):
            if isinstance(value, int):
                raise CheckpointError(f"field {number} of a message holds a number, expected bytes")
            found.append(Message(value))
        return found


def _read_value(data: bytes, position: int, wire_type: int) -> tuple[int | bytes, int]:
    if wire_type == _VARINT:
        return read_varint(data, position)
    if wire_type == _BYTES:
        length, position = read_varint(data, position)
    elif wire_type in (_FIXED32, _FIXED64):
        length = 4 if wire_type == _FIXED32 else 8
    else:
        raise CheckpointError(f"a message has a field of the unknown wire type {wire_type}")
    end = position + length
    if end > len(data):
        raise CheckpointError(
            f"a field of {length} bytes runs past the end of its message of {len(data)} bytes"
        )
    content = data[position:end]
    return content if wire_type == _BYTES else int.from_bytes(content, "little"), end


def varint_field(number: int, value: int) -> bytes:
    """A number as a protobuf field; nothing for 0, as proto3 writes it."""
    if value == 0:
        return b""
    return write_varint(number << 3 | _VARINT) + write_varint(value & 0xFFFFFFFFFFFFFFFF)


def fixed32_field(number: int, value: int) -> bytes:
    """A number as a protobuf field of four bytes; nothing for 0."""
    if value == 0:
        return b""
    return write_varint(number << 3 | _FIXED32) + struct.pack("<I", value)


def bytes_field(number: int, data: bytes) -> bytes:
    """Bytes (a string, an encoded message) as a protobuf field."""
    return write_varint(number << 3 | _BYTES) + write_varint(len(data)) + data
