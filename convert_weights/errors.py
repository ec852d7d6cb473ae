"""The errors that a checkpoint which cannot be used, or had, raises."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class CheckpointError(ValueError):
    """A checkpoint that is malformed, or is not what was asked for; the message is one line."""


class DownloadError(CheckpointError):
    """A checkpoint that could not be downloaded; the message is one line and says what to do."""


@contextmanager
def located(where: str | os.PathLike[str]) -> Iterator[None]:
    """Puts `where` (a file, a tensor) in front of the message of a CheckpointError from within."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(where)}: {error}") from None


def listed(names: Sequence[str]) -> str:
    """Names for a message: the first ten, and how many more there are."""
    more = len(names) - 10
    return ", ".join(names[:10]) + (f" and {more} more" if more > 0 else "")
