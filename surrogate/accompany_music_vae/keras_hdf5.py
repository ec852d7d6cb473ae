"""The HDF5 file in which Keras 1 and 2, and tf.keras, save a model or its weights.

A group holds an attribute layer_names, the model's layers in order, and a group for each layer,
which holds an attribute weight_names and those arrays; a name may contain slashes, and is then a
path. A list of names too long for one attribute is cut in several, layer_names0, layer_names1 and
so on. In a file of weights alone that group is the root. In a whole model it is model_weights, and
the root has the attribute model_config, JSON, and perhaps a group optimizer_weights.
(Facts of Keras's module saving.hdf5_format.)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np

from musicvae_torch.errors import CheckpointError
from musicvae_torch.io.workers import Failure, map_in_processes

Weights = dict[str, np.ndarray]

# A surrogate of the original size is read in less than a second and takes a few megabytes.
_MAX_SECONDS = 60
_BASE_MEMORY = 1 << 30

# What errors say of a file whose reading failed without an exception; of others, that it crashed.
_DAMAGE = {
    "timed out": f"took more than {_MAX_SECONDS} s to read",
    "out of memory": "asks for more memory than it can need",
}


@dataclass(frozen=True)
class KerasFile:
    """The content of a file.

    layers: the arrays of each layer by name, both in the file's order.
    model_config: the model's description, as Keras put it into JSON; None with weights alone.
    optimizer_weights: number of the optimiser's arrays that the file has, too.
    """

    layers: dict[str, Weights]
    model_config: Any
    optimizer_weights: int


def read_keras_hdf5(path: Path) -> KerasFile:
    """Read a file, whatever the model is.

    Another process reads it, as damage can make HDF5's library crash, hang, or ask for gigabytes.

    Raises:
        CheckpointError: there is no such file, it is not HDF5 or not of Keras, it is corrupt, or a
            part of it lies in other files.
        ModuleNotFoundError: h5py is not installed; the message says what to install.
    """
    try:
        import h5py  # noqa: F401
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"{path}: reading Keras's files needs h5py: pip install 'musicvae-torch[keras]'",
            name="h5py",
        ) from None
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file, expected a model that Keras saved as HDF5")
    memory = _BASE_MEMORY + 4 * path.stat().st_size
    ((_, result),) = map_in_processes(
        _read, [path], workers=1, seconds=_MAX_SECONDS, memory=memory, quiet=True
    )
    if not isinstance(result, Failure):
        return result
    if isinstance(result.error, CheckpointError):
        raise CheckpointError(f"{path}: {result.error}")
    if result.error is not None:  # of corrupt bytes h5py makes errors of almost any type
        reason = " ".join(str(result.error).split()) or type(result.error).__name__
        raise CheckpointError(f"{path}: not readable as a Keras HDF5 file: {reason}")
    raise CheckpointError(f"{path}: {_DAMAGE.get(result, 'made its reader crash')}: it is damaged")


def _read(path: Path) -> KerasFile:
    import h5py

    with h5py.File(path, "r") as file:
        config = _text(file, "model_config") if "model_config" in file.attrs else None
        root = file if config is None else _member(file, "model_weights")
        layers = {
            name: {weight: _member(layer, weight) for weight in _names(layer, "weight_names")}
            for name in _names(root, "layer_names")
            for layer in [_member(root, name)]
        }
        _check_sizes(layers, path.stat().st_size)
        optimizer = "optimizer_weights" in file and _member(file, "optimizer_weights")
        return KerasFile(
            {
                layer: {name: np.asarray(dataset[()]) for name, dataset in datasets.items()}
                for layer, datasets in layers.items()
            },
            None if config is None else json.loads(config),
            len(_names(optimizer, "weight_names")) if optimizer else 0,
        )


def _member(group: Any, path: str) -> Any:
    """The group or dataset at `path`, if it lies in this very file."""
    import h5py

    for name in path.split("/"):
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise CheckpointError(f"has no {path!r} in {group.name!r}")
        group = group[name]
    return group


def _text(group: Any, attribute: str) -> Any:
    """An attribute that is a string or an array of strings."""
    import h5py

    stored = group.attrs.get_id(attribute)
    if 0 in stored.shape:  # an empty list, which is stored as one of numbers
        return []
    # Looked at first, as reading an attribute of a damaged type may crash HDF5's library.
    if h5py.check_string_dtype(stored.dtype) is None:
        raise CheckpointError(f"{attribute} at {group.name!r} is not text")
    return group.attrs[attribute]


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names, in one attribute or cut in several."""
    pieces = [attribute] if attribute in group.attrs else []
    if not pieces:
        numbered = (f"{attribute}{number}" for number in count())
        pieces = list(takewhile(lambda name: name in group.attrs, numbered))
    if not pieces:
        raise CheckpointError(
            f"has no {attribute} at {group.name!r}, expected a model or weights that"
            " Keras 1 or 2 saved as HDF5"
        )
    names = [name for piece in pieces for name in _text(group, piece)]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _check_sizes(layers: dict[str, dict[str, Any]], file_size: int) -> None:
    """Raises CheckpointError, before memory is taken, for arrays that are not whole in the file."""
    total = 0
    for layer, datasets in layers.items():
        for name, dataset in datasets.items():
            total += dataset.nbytes
            stored = 0 if dataset.external else dataset.id.get_storage_size()
            if stored != dataset.nbytes or total > file_size:
                raise CheckpointError(
                    f"layer {layer!r}: {name!r} of shape {list(dataset.shape)} takes"
                    f" {dataset.nbytes} bytes, expected them plainly in the file"
                )
