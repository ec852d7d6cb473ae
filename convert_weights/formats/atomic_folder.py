"""Writing a folder of files whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from musicvae_torch.errors import OutputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_folder(folder: str | os.PathLike[str], force: bool) -> Iterator[Path]:
    """A private folder whose files are moved to `folder` when the block ends without an error.

    Args:
        folder: new or empty; with `force`, files of the same names in it are replaced.
        force: write into a folder that is not empty.

    Raises:
        OutputError: `folder` is a file, or is not empty and `force` is not set.
        OSError: `folder` cannot be written; the error names it.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file, expected a folder")
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder}: is not empty; --force replaces the model in it")
    # On the target's file system, so that a rename puts the result in place; in a folder that is
    # there already, so that a failure leaves no new one behind.
    target = folder.absolute()
    nearest = next(path for path in (target, *target.parents) if path.is_dir())
    with tempfile.TemporaryDirectory(dir=nearest, prefix=".convert-weights-") as work:
        result = Path(work) / "result"
        try:
            result.mkdir()
            yield result
            _move(result, folder)
        except OSError as error:
            # A full disk has no name, and a user does not know the private folder.
            if error.errno in _FULL or Path(work) in Path(str(error.filename)).parents:
                raise OSError(error.errno, error.strerror, os.fspath(folder)) from None
            raise


def refuse_own_folder(folder: str | os.PathLike[str], source: Path) -> None:
    """Raise OutputError if `folder` is `source`: each has a config.json of another kind."""
    if source.is_dir() and Path(folder).is_dir() and source.samefile(folder):
        raise OutputError(
            f"{os.fspath(folder)}: is the folder that is converted, and its config.json would be"
            " lost; choose another folder"
        )


def _move(result: Path, folder: Path) -> None:
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        result.replace(folder)
        return
    # config.json last: a folder without it is no model.
    for path in sorted(result.iterdir(), reverse=True):
        path.replace(folder / path.name)
