"""The one error that a checkpoint which cannot be used raises."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


class CheckpointError(ValueError):
    """A checkpoint that is malformed, or is not what was asked for; the message is one line."""


@contextmanager
def located(where: str | os.PathLike[str]) -> Iterator[None]:
    """Puts `where` (a file, a tensor) in front of the message of a CheckpointError from within."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(where)}: {error}") from None
