"""Writing files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from musicvae_torch.errors import OutputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends without an error.

    The temporary name keeps the suffix, by which many writers choose their format.

    Raises:
        OutputError: the file cannot be made there.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-", suffix=path.suffix)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None
    os.close(handle)
    temporary = Path(name)
    try:
        with _naming(path, temporary):
            yield temporary
        # mkstemp's files are private; give the result the permissions any new file gets.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        with _naming(path, temporary):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _naming(path: Path, temporary: Path) -> Iterator[None]:
    """In which what the operating system refuses of the temporary file, or of no named file, as
    when the disk is full, is said of the file that is to be written."""
    try:
        yield
    except OSError as error:
        if error.strerror is None or error.filename not in (None, str(temporary)):
            raise
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None


def printable(name: str) -> str:
    """A file's name as text; bytes that are no UTF-8 become question marks."""
    return name.encode("utf-8", "replace").decode("utf-8")
