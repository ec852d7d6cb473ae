"""Finding the members of a tar archive, so that they can be read in place.

Python's tarfile reads the headers. By itself it would take a description of any size into memory,
and end without an error at a damaged header; both are checked here.
"""

import io
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from convert_weights.errors import located
from convert_weights.formats.file_range import FileRange
from musicvae_torch.errors import CheckpointError

_BLOCK = tarfile.BLOCKSIZE
_MAX_MEMBERS = 10_000
_MAX_DESCRIPTION = 64 * 1024
_MAX_HEADERS = 16 << 20  # bytes of all headers and descriptions together
# Members that are no files.
_OTHERS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}

# The members of an archive by name: the bytes of a file, or, of another member, what it is.
Members = Mapping[str, FileRange | str]


def read_tar(archive: Path, label: str) -> Members:
    """The members of an uncompressed tar by name ("./a//b" is "a/b"), folders left out.

    label: what to call the archive in errors. Of members with the same name the last one counts, as
    it does when tar unpacks them. Names are only names here: nothing is written under them.
    Raises CheckpointError for a file that is no tar, is damaged or cut off, holds sparse files, or
    has over 10,000 members or 16 MiB of headers.
    """
    members: dict[str, FileRange | str] = {}
    with located(label), _HeaderFile(archive) as file:
        size = file.seek(0, io.SEEK_END)
        head = file.read_at(0)
        if not head.strip(b"\0"):
            raise CheckpointError("is an empty archive" if head else "is empty")
        if not starts_tar(head):
            raise CheckpointError("is no tar archive")
        for count, member in enumerate(_headers(file), start=1):
            if count > _MAX_MEMBERS:
                raise CheckpointError(f"has over {_MAX_MEMBERS} members, expected a checkpoint's")
            start = member.offset_data
            if not 0 <= member.size <= size - start and member.type not in _OTHERS:
                raise CheckpointError(
                    f"is cut off: {member.name!r} takes {member.size} bytes at {start}, expected"
                    f" them within the archive's {size}"
                )
            if member.issparse():
                raise CheckpointError(
                    f"holds {member.name!r} as a sparse file: unpack it, give the folder"
                )
            if not member.isdir():
                path = posixpath.normpath(member.name)
                members[path] = (
                    FileRange(f"{label}/{path}", archive, start, member.size)
                    if member.type in tarfile.REGULAR_TYPES
                    else _OTHERS.get(member.type, f"of the unknown type {member.type!r}")
                )
    return members


def starts_tar(head: bytes) -> bool:
    """Whether a file that starts with these 512 bytes may be a tar, perhaps an empty one."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return not head.strip(b"\0")
    return True


class _HeaderFile(io.FileIO):
    """A file that refuses to be read beyond what the headers of a checkpoint's archive take."""

    _left = _MAX_HEADERS

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MAX_DESCRIPTION:
            raise CheckpointError(
                f"describes a member in {size} bytes, expected {_MAX_DESCRIPTION} at most"
            )
        self._left -= size
        if self._left < 0:
            raise CheckpointError(f"has over {_MAX_HEADERS} bytes of headers, expected a few")
        return super().read(size) or b""

    def read_at(self, position: int) -> bytes:
        """The block at a position; less than a block at the end of the file."""
        self.seek(position)
        return self.read(_BLOCK)


def _headers(file: _HeaderFile) -> Iterator[tarfile.TarInfo]:
    """The headers of a tar's members, each with its description."""
    file.seek(0)
    try:
        with tarfile.TarFile(fileobj=file, encoding="utf-8", errors="surrogateescape") as tar:
            yield from tar
            end = tar.offset
    except (CheckpointError, OSError):
        raise
    except RecursionError:
        raise CheckpointError("describes descriptions of members, expected members") from None
    except Exception as error:  # of odd bytes tarfile makes errors of many types
        raise CheckpointError(f"is damaged: {error}") from None
    rest = file.read_at(end)
    if rest.strip(b"\0") or 0 < len(rest) < _BLOCK:
        raise CheckpointError(f"is damaged or cut off: no member begins at {end}")
