"""The tensors of a checkpoint by name, whatever its format is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from convert_weights.formats.file_range import FileRange
from musicvae_torch.errors import CheckpointError


class Tensor(NamedTuple):
    """One tensor: its shape, the name of its element type, and what reads it, read-only."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]


class Tensors(Mapping[str, np.ndarray]):
    """A checkpoint's tensors by name, each read from its file when it is asked for.

    No file stays open in between. Looking up an unknown name, or a tensor that cannot be read,
    raises CheckpointError.

    Attributes:
        files: those that hold the checkpoint, the one that lists the tensors first.
    """

    def __init__(self, files: Sequence[FileRange], tensors: Mapping[str, Tensor]) -> None:
        self.files = files
        self._tensors = tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """The tensor's shape."""
        return self._tensor(name).shape

    def dtype(self, name: str) -> str:
        """The name of the tensor's element type."""
        return self._tensor(name).dtype

    def __getitem__(self, name: str) -> np.ndarray:
        return self._tensor(name).read()

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def _tensor(self, name: str) -> Tensor:
        try:
            return self._tensors[name]
        except KeyError:
            raise CheckpointError(f"{self.files[0].label}: has no tensor {name!r}") from None
