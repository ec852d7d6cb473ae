"""Writes a safetensors file tensor by tensor, so that it need not fit in memory.

The format (public description at huggingface.co/docs/safetensors): the length of the header, 8
bytes, little-endian; the header, JSON, padded with blanks to a multiple of 8 bytes:
{"__metadata__": {text: text}, NAME: {"dtype", "shape", "data_offsets": [from, to]}, ...}; then the
tensors' bytes, little-endian, row by row, one after another. Offsets count from the header's end.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

_BLOCK_ROWS = 64


def write_safetensors(
    path: str | os.PathLike[str],
    shapes: Mapping[str, tuple[int, ...]],
    tensors: Iterable[tuple[str, np.ndarray]],
) -> None:
    """Writes float32 tensors, which musicvae_torch.io.checkpoint reads.

    shapes: of all tensors, by name, in the order in which they come.
    tensors: each name with an array whose elements, in C order, are the tensor's. The array may be
        a view with more axes than the tensor, transposed ones: these are written quickly.

    Raises ValueError for tensors that differ from `shapes`; the file is then incomplete.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with Path(path).open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for (name, array), expected in zip(tensors, shapes, strict=True):
            if name != expected or array.size != math.prod(shapes[name]):
                raise ValueError(f"{name} {array.shape}: expected {expected} {shapes[expected]}")
            for block in _blocks(array.astype("<f4", copy=False)):
                file.write(block.data)


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """An array's elements in C order, some rows at a time."""
    if array.ndim < 2 or array.flags.c_contiguous:
        yield np.ascontiguousarray(array)
    elif array.ndim > 2:
        for part in array:
            yield from _blocks(part)
    else:
        for start in range(0, len(array), _BLOCK_ROWS):
            # Columns of a large matrix lie far apart in memory. Gathering some of them first, and
            # transposing these within the processor's cache, is six times as fast as one step.
            columns = np.ascontiguousarray(array[start : start + _BLOCK_ROWS].T)
            yield np.ascontiguousarray(columns.T)
