"""A range of a file's bytes: a whole file, or a member of an archive, read in place."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from musicvae_torch.errors import CheckpointError

_HASHED_AT_ONCE = 16 * 1024 * 1024


@dataclass(frozen=True)
class FileRange:
    """`size` bytes of the file `path`, from `offset` on.

    label: what errors call it: the path, or for a member of an archive ARCHIVE/MEMBER.
    """

    label: str
    path: Path
    offset: int
    size: int

    @classmethod
    def whole(cls, path: Path) -> "FileRange":
        """All of a file. Raises OSError if there is none."""
        return cls(os.fspath(path), path, 0, path.stat().st_size)

    @property
    def name(self) -> str:
        """The last part of the label."""
        return PurePath(self.label).name

    def read(self, max_size: int) -> bytes:
        """The bytes. Raises CheckpointError if there are more than `max_size`, or some are gone."""
        if self.size > max_size:
            raise CheckpointError(f"has {self.size} bytes, expected {max_size} at most")
        return self.map().tobytes()

    def map(self, offset: int = 0, size: int | None = None) -> np.ndarray:
        """A part of the range (None: to its end) as a read-only array of bytes.

        The array is a memory map of its own: pages are read when they are touched, and let go with
        the array. Raises CheckpointError if the part is not within the range, or not in the file.
        """
        size = self.size - offset if size is None else size
        if offset < 0 or size < 0 or offset + size > self.size:
            raise CheckpointError(f"{size} bytes at {offset} are not within its {self.size} bytes")
        if size == 0:  # which cannot be mapped
            return np.frombuffer(b"", np.uint8)
        try:
            mapped = np.memmap(self.path, np.uint8, "r", self.offset + offset, (size,))
        except ValueError:
            raise CheckpointError(f"is shorter than the {self.size} bytes it had") from None
        return mapped.view(np.ndarray)

    def sha256(self) -> str:
        """The SHA-256 of the bytes, in hexadecimal."""
        digest = hashlib.sha256()
        for start in range(0, self.size, _HASHED_AT_ONCE):
            digest.update(self.map(start, min(_HASHED_AT_ONCE, self.size - start)).data)
        return digest.hexdigest()


def files_in(folder: Path) -> dict[str, FileRange]:
    """The files of a folder by name, in order, without those in its subfolders."""
    return {path.name: FileRange.whole(path) for path in sorted(folder.iterdir()) if path.is_file()}
