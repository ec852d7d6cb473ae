"""The tensors of a checkpoint by name, whatever its format is."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np

from convert_weights.errors import CheckpointError
from convert_weights.formats.file_range import FileRange

Entry = TypeVar("Entry")


class Tensors(Mapping[str, np.ndarray], Generic[Entry]):
    """A checkpoint's tensors by name, each read from its file when it is asked for.

    No file stays open in between, and the arrays are read-only.

    Attributes:
        files: those that hold the checkpoint, the one that lists the tensors first.
        entries: what that file says of each tensor, in the order of the names.
    """

    def __init__(self, files: Sequence[FileRange], entries: Mapping[str, Entry]) -> None:
        self.files = files
        self.entries = entries

    @abstractmethod
    def shape(self, name: str) -> tuple[int, ...]:
        """The tensor's shape. Raises CheckpointError if there is no such tensor."""

    @abstractmethod
    def dtype(self, name: str) -> str:
        """The name of the element type. Raises CheckpointError if there is no such tensor."""

    def entry(self, name: str) -> Entry:
        """What the checkpoint says of a tensor. Raises CheckpointError if there is none."""
        try:
            return self.entries[name]
        except KeyError:
            raise CheckpointError(f"{self.files[0].label}: has no tensor {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, name: object) -> bool:
        return name in self.entries
