"""The place in a checkpoint at which an error lies."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from musicvae_torch.errors import CheckpointError


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
