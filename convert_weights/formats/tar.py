"""Tar archives: where their members lie, so that these can be read in place.

Formats: v7, ustar and pax (POSIX.1-2001, pax), and the long names of GNU tar. Python's tarfile is
not used, as an archive may be hostile: tarfile takes a description of any size into memory,
recurses into descriptions of descriptions, and ends quietly at a damaged header.
"""

import posixpath
import re
from pathlib import Path
from typing import BinaryIO, NamedTuple

from convert_weights.errors import located
from convert_weights.formats.file_range import FileRange
from musicvae_torch.errors import CheckpointError

_BLOCK = 512
_MAX_MEMBERS = 10_000
_MAX_DESCRIPTION = 64 * 1024
_FILES = (b"0", b"\0", b"7")
_FOLDER, _SPARSE, _LONG_NAME, _LONG_LINK, _PAX, _PAX_FOR_ALL = b"5", b"S", b"L", b"K", b"x", b"g"
# Members without content, whatever size they give.
_EMPTY = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    _FOLDER: "a folder",
    b"6": "a pipe",
}
_PAX_RECORD = re.compile(rb"(\d{1,9}) ([^=]+)=")

# The members of an archive by name: the bytes of a file, or what it is that is no plain file.
Members = dict[str, FileRange | str]


class _Header(NamedTuple):
    name: str
    kind: bytes
    size: int


def read_tar(archive: Path, label: str) -> Members:
    """The members of an uncompressed tar by name ("./a//b" is "a/b"), folders left out.

    label: what to call the archive in errors. Of members with the same name the last one counts, as
    it does when tar unpacks them. Names are only names here: nothing is written under them.
    Raises CheckpointError for a file that is no tar, is damaged or cut off, holds sparse files, or
    has over 10,000 members.
    """
    members: Members = {}
    described: dict[str, str] = {}  # by a member that only describes the one after it
    position = count = 0
    size = archive.stat().st_size
    with located(label), archive.open("rb") as file:
        while header := _read_header(file, position):
            count += 1
            if count > _MAX_MEMBERS:
                raise CheckpointError(f"has over {_MAX_MEMBERS} members, expected a checkpoint's")
            kind, name = header.kind, described.get("path") or header.name
            stored = 0 if kind in _EMPTY else _size(described, header)
            start = position + _BLOCK
            if start + stored > size:
                raise CheckpointError(
                    f"is cut off: {name!r} takes {stored} bytes at {start}, expected them within"
                    f" the archive's {size}"
                )
            position = start + -(-stored // _BLOCK) * _BLOCK
            if kind in (_PAX, _LONG_NAME):
                described |= _read_description(file, kind, stored)
                continue
            if kind in (_PAX_FOR_ALL, _LONG_LINK):
                continue
            if kind == _SPARSE or any(key.startswith("GNU.sparse.") for key in described):
                raise CheckpointError(
                    f"holds {name!r} as a sparse file: unpack it, give the folder"
                )
            described = {}
            if kind != _FOLDER and not name.endswith("/"):
                path = posixpath.normpath(name)
                members[path] = (
                    FileRange(f"{label}/{path}", archive, start, stored)
                    if kind in _FILES
                    else _EMPTY.get(kind, f"of the unknown type {kind!r}")
                )
    return members


def starts_tar(head: bytes) -> bool:
    """Whether a file may be a tar, perhaps an empty one, that starts with these 512 bytes."""
    return _is_header(head) or not head.strip(b"\0")


def _is_header(block: bytes) -> bool:
    """Whether a block bears the checksum of a header."""
    if len(block) != _BLOCK:
        return False
    # The checksum is of the header with blanks in its own place.
    found = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    return re.fullmatch(rb" *([0-7]+)[ \0]*", block[148:156]) is not None and (
        int(block[148:156].strip(b" \0"), 8) == found
    )


def _read_header(file: BinaryIO, position: int) -> _Header | None:
    """The header at `position`; None at the archive's end: zeros, or the end of the file."""
    file.seek(position)
    block = file.read(_BLOCK)
    if position == 0 and not block.strip(b"\0"):
        raise CheckpointError("is an empty archive" if block else "is empty")
    if len(block) in (0, _BLOCK) and not block.strip(b"\0"):
        return None
    if not _is_header(block):
        what = f"is damaged or cut off: no member begins at {position}"
        raise CheckpointError(what if position else "is no tar archive")
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and (folder := _text(block[345:500])):
        name = f"{folder}/{name}"
    return _Header(name, block[156:157], _number(block[124:136]))


def _number(field: bytes) -> int:
    """Octal digits, or where the highest bit is set a big-endian number."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise CheckpointError(f"has a member of the size {field!r}, expected a number")
    return int(digits or b"0", 8)


def _size(described: dict[str, str], header: _Header) -> int:
    size = described.get("size", "")
    return int(size) if re.fullmatch(r"[0-9]{1,20}", size) else header.size


def _read_description(file: BinaryIO, kind: bytes, size: int) -> dict[str, str]:
    """What a member that stands before another one says of it, after `file`'s position."""
    if size > _MAX_DESCRIPTION:
        raise CheckpointError(f"describes a member in {size} bytes, expected {_MAX_DESCRIPTION}")
    content = file.read(size)
    if kind == _LONG_NAME:
        return {"path": _text(content)}
    records = {}
    position = 0
    while position < size:
        # "LENGTH KEY=VALUE\n", the length that of all this.
        match = _PAX_RECORD.match(content, position)
        end = position + int(match[1]) if match else 0
        if not match or not match.end() < end <= size:
            raise CheckpointError("describes a member in a way that is no record of pax")
        records[_text(match[2])] = _text(content[match.end() : end - 1])
        position = end
    return records


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="surrogateescape")
