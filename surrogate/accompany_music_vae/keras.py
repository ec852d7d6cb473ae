"""Reads the surrogate encoder that accompany-music-vae saved with Keras into a PointSurrogate.

The network is one or more bidirectional LSTM layers and a dense one. Keras stores a direction as
kernel, recurrent kernel and bias, its columns in blocks of gates i, f, c, o: PyTorch's order. There
are two layouts, which differ in the bias. D is the width of the input, H the units:

    LSTM       kernel (D, 4H) and recurrent kernel (H, 4H): PyTorch's, transposed. bias (4H,):
               one of PyTorch's two, the other is zeros.
    CuDNNLSTM  the same shapes, but a gate's block holds, read row by row, cuDNN's own (H, D) or
               (H, H) matrix, which is PyTorch's as it stands. bias (8H,): cuDNN's and PyTorch's
               two, one after the other.

(Facts of Keras's modules cudnn_lstm and hdf5_format.)
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from musicvae_torch.errors import CheckpointError, ConfigError
from surrogate.accompany_music_vae.keras_hdf5 import KerasFile, Weights, read_keras_hdf5
from surrogate.accompany_music_vae.network import PointSurrogate
from surrogate.encoder.model import SurrogateConfig

_INERT = ("InputLayer", "Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise")
_CELL = {
    "class_name": ("LSTM", "CuDNNLSTM"),
    "config.activation": ("tanh",),
    "config.recurrent_activation": ("sigmoid",),
    "config.use_bias": (True,),
    "config.return_state": (False,),
    "config.stateful": (False,),
    "config.time_major": (False,),
}
# The settings of a network like ours, by class of layer; what a description lacks is Keras's own.
_SETTINGS: dict[str, dict[str, tuple[Any, ...]]] = {
    "Bidirectional": {
        "merge_mode": ("concat",),
        **{f"layer.{key}": values for key, values in _CELL.items()},
        "layer.config.go_backwards": (False,),
        **{f"backward_layer.{key}": values for key, values in _CELL.items()},
        "backward_layer.config.go_backwards": (True,),
    },
    "Dense": {"activation": ("linear",), "use_bias": (True,)},
}
_REPR = reprlib.Repr()
_REPR.maxstring = 60
_shown = _REPR.repr  # a value from a file, cut to a readable length


@dataclass(frozen=True)
class KerasSurrogate:
    """A surrogate that was read from a file of Keras.

    Attributes:
        network: with the file's weights.
        source_format: what the file holds, a model or weights alone.
        converted: arrays of the file that became the network's.
        skipped: arrays of the file that belong to the optimiser.
        notes: assumptions about what the file does not say.
    """

    network: PointSurrogate
    source_format: str
    converted: int
    skipped: int
    notes: list[str]


def read_keras_surrogate(source: Path, default_steps: int = 256) -> KerasSurrogate:
    """Read a surrogate that Keras saved.

    A file with weights alone does not show that cells use tanh and sigmoid (Keras's own LSTM before
    version 2.3 took a hard sigmoid unless told otherwise), nor how many steps a window has; a note
    says so.

    Args:
        source: an HDF5 file with a whole model or with its weights alone.
        default_steps: steps in a window, where the file does not say.

    Raises:
        CheckpointError: the file is malformed or holds another network.
        ModuleNotFoundError: h5py is not installed.
    """
    file = read_keras_hdf5(source)
    try:
        return _convert(file, default_steps)
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{source}: {error}") from None


def _convert(file: KerasFile, default_steps: int) -> KerasSurrogate:
    layers = {name: weights for name, weights in file.layers.items() if weights}
    notes, steps = [], None
    if file.model_config is None:
        notes.append("weights alone: cells of tanh and sigmoid assumed")
    else:
        steps = _check_model(file.model_config, list(layers))
    if steps is None:
        steps = default_steps
        notes.insert(0, f"the file does not say how many steps a window has: {steps} assumed")
    config, arrays = _to_parameters(layers, steps)
    with torch.device("meta"):
        network = PointSurrogate(config)
    network.load_state_dict(
        {name: torch.from_numpy(array) for name, array in arrays.items()}, assign=True
    )
    return KerasSurrogate(
        network=network,
        source_format=f"Keras HDF5 {'weights' if file.model_config is None else 'model'}",
        converted=sum(len(weights) for weights in layers.values()),
        skipped=file.optimizer_weights,
        notes=notes,
    )


def _check_model(model_config: Any, weighted: list[str]) -> int | None:
    """Checks that a model computes what PointSurrogate does.

    model_config: Keras's description. weighted: the layers that have weights, in order.
    Returns the steps in a window, or None where the model takes any number.
    Raises CheckpointError, naming the layer and the setting that differs.
    """
    try:
        if model_config["class_name"] not in ("Sequential", "Model", "Functional"):
            raise CheckpointError(f"is a {_shown(model_config['class_name'])}, expected a model")
        layers = model_config["config"]
        layers = layers["layers"] if isinstance(layers, dict) else layers
        for previous, layer in zip([None, *layers], layers, strict=False):
            _check_layer(layer, previous)
        recurrent = [layer for layer in layers if layer["class_name"] == "Bidirectional"]
        for layer in recurrent:
            wanted = layer is not recurrent[-1]
            if _setting(layer, "config.layer.config.return_sequences", False) is not wanted:
                name = _shown(layer["config"]["name"])
                raise CheckpointError(f"layer {name}: return_sequences is not {wanted}")
        names = [layer["config"]["name"] for layer in layers if layer["class_name"] in _SETTINGS]
        if names != weighted:
            raise CheckpointError(
                f"describes the layers {_shown(names)}, but has weights of {_shown(weighted)}"
            )
        # Without an input layer the first layer has it; Keras puts it on either level.
        shape = _setting(layers[0], "config.batch_input_shape", None) or _setting(
            layers[0], "config.layer.config.batch_input_shape", (None, None)
        )
        steps: int | None = shape[1]
        return steps
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"model_config is malformed: {type(error).__name__} {error}"
        ) from None


def _check_layer(layer: Any, previous: Any) -> None:
    """Raises CheckpointError for a layer that PointSurrogate lacks, or that does not read the one
    before it (None: the model's input)."""
    kind, where = layer["class_name"], f"layer {_shown(layer['config']['name'])}"
    if kind not in (*_INERT, *_SETTINGS):
        raise CheckpointError(
            f"{where}: is a {_shown(kind)}, expected bidirectional LSTM layers and a dense one"
        )
    # A functional model says which layers each layer reads; a Sequential's read the one before.
    if "inbound_nodes" in layer:
        reads = [source[0] for call in layer["inbound_nodes"] for source in call]
        wanted = [] if previous is None else [previous["config"]["name"]]
        if reads != wanted:
            raise CheckpointError(
                f"{where}: reads the layers {_shown(reads)}, expected {_shown(wanted)}"
            )
    for setting, allowed in _SETTINGS.get(kind, {}).items():
        found = _setting(layer["config"], setting, allowed[0])
        if found not in allowed:
            expected = " or ".join(repr(value) for value in allowed)
            raise CheckpointError(f"{where}: {setting} is {_shown(found)}, expected {expected}")


def _setting(config: Any, path: str, default: Any) -> Any:
    for key in path.split("."):
        if not isinstance(config, dict) or key not in config:
            return default
        config = config[key]
    return config


def _to_parameters(
    layers: dict[str, Weights], steps: int
) -> tuple[SurrogateConfig, dict[str, np.ndarray]]:
    """The network's sizes and parameters. layers: those with weights, in order."""
    if len(layers) < 2:
        raise CheckpointError(
            f"has weights in the layers {_shown(list(layers))}, expected bidirectional LSTM layers"
            " and a dense one"
        )
    *recurrent, dense = layers
    parameters: dict[str, np.ndarray] = {}
    units: list[int] = []
    for index, name in enumerate(recurrent):
        units.append(_check_bidirectional(name, layers[name], 2 * units[-1] if units else None))
        arrays = list(layers[name].values())
        for suffix, direction in (("", arrays[:3]), ("_reverse", arrays[3:])):
            for parameter, array in _lstm_parameters(*direction).items():
                parameters[f"layers.{index}.{parameter}_l0{suffix}"] = array
    match _shapes(dense, layers[dense]):
        case [(rows, columns), (biases,)] if rows == 2 * units[-1] and columns == biases:
            kernel, bias = layers[dense].values()
        case shapes:
            raise CheckpointError(
                f"layer {dense!r}: has weights of shapes {_shown(shapes)}, expected a dense layer's"
                f" [{2 * units[-1]}, Z] and [Z]"
            )
    parameters |= {"mean.weight": np.ascontiguousarray(kernel.T), "mean.bias": bias}
    depth = parameters["layers.0.weight_ih_l0"].shape[1]
    return SurrogateConfig(steps, depth, len(bias), tuple(units)), parameters


def _check_bidirectional(name: str, weights: Weights, depth: int | None) -> int:
    """The units of each direction of a layer. depth: width of the input, None for any."""
    match shapes := _shapes(name, weights):
        case [(rows, _), (units, _), (biases,), *_]:
            forward = [(depth or rows, 4 * units), (units, 4 * units), (biases,)]
            if shapes == forward * 2 and biases in (4 * units, 8 * units):
                return units
    raise CheckpointError(
        f"layer {name!r}: has weights of shapes {_shown(shapes)}, expected a forward and a backward"
        f" LSTM of {[depth or 'D', '4H']}, ['H', '4H'] and ['4H'] or ['8H']"
    )


def _shapes(layer: str, weights: Weights) -> list[tuple[int, ...]]:
    for name, array in weights.items():
        if array.dtype != np.float32:
            raise CheckpointError(f"layer {layer!r}: {name!r} is {array.dtype}, expected float32")
    return [array.shape for array in weights.values()]


def _lstm_parameters(
    kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray
) -> dict[str, np.ndarray]:
    """One direction of either layout as PyTorch's parameters: (4H, D), (4H, H), (4H,), (4H,)."""
    depth, units = len(kernel), len(recurrent)
    if len(bias) == 4 * units:
        weight_ih, weight_hh = kernel.T, recurrent.T
        biases = [bias, np.zeros_like(bias)]
    else:
        blocks = np.split(kernel, 4, axis=1)
        weight_ih = np.concatenate([block.reshape(units, depth) for block in blocks])
        weight_hh = np.concatenate(np.split(recurrent, 4, axis=1))
        biases = np.split(bias, 2)
    return {
        "weight_ih": np.ascontiguousarray(weight_ih),
        "weight_hh": np.ascontiguousarray(weight_hh),
        "bias_ih": biases[0],
        "bias_hh": biases[1],
    }
