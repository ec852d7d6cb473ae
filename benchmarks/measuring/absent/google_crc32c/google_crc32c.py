"""CRC-32C in Python, slowly, for machines without the package google-crc32c."""

from __future__ import annotations

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits reversed


def _entry(index: int) -> int:
    for _ in range(8):
        index = index >> 1 ^ (_POLYNOMIAL if index & 1 else 0)
    return index


_TABLE = [_entry(index) for index in range(256)]


def extend(crc: int, data: bytes) -> int:
    """The checksum of what `crc` is of, followed by `data`."""
    crc ^= 0xFFFFFFFF
    for byte in bytes(data):
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def value(data: bytes) -> int:
    """The checksum of `data`."""
    return extend(0, data)
