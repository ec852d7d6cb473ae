"""The surrogate encoder that accompany-music-vae saved with Keras → our PointSurrogate.

The network is one or more bidirectional LSTM layers and a dense one. Keras stores a direction as
kernel, recurrent kernel and bias, its columns in blocks of gates i, f, c, o: PyTorch's order. There
are two layouts, told apart by the bias. D is the width of the input, H the units:

    LSTM       kernel (D, 4H) and recurrent kernel (H, 4H): PyTorch's, transposed. bias (4H,):
               one of PyTorch's two, the other is zeros.
    CuDNNLSTM  the same shapes, but a gate's block holds, read row by row, cuDNN's own (H, D) or
               (H, H) matrix, which is PyTorch's as it stands. bias (8H,): cuDNN's and PyTorch's
               two, one after the other.

(Facts of Keras's modules cudnn_lstm and hdf5_format.)
"""

import reprlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convert_weights.errors import located
from convert_weights.formats.file_range import FileRange
from convert_weights.formats.keras_hdf5 import Weights, read_keras_hdf5
from convert_weights.report import ConversionReport, provenance
from musicvae_torch.errors import CheckpointError, ConfigError
from surrogate.encoder.model import PointSurrogate, SurrogateConfig

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
# What our network does, by class of layer; a setting that a description lacks is not at odds.
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


def write_surrogate(source: Path, folder: Path, default_steps: int = 256) -> ConversionReport:
    """Convert a surrogate that Keras saved into config.json and model.safetensors in `folder`.

    With weights alone it cannot be seen that cells use tanh and sigmoid (Keras's own LSTM before
    version 2.3 took a hard sigmoid unless told otherwise), nor how many steps a window has; a note
    says so.

    Args:
        source: an HDF5 file with a whole model or with its weights alone.
        folder: there already.
        default_steps: in a window, where the file does not say.

    Raises:
        CheckpointError: the file is malformed or is of another network.
        ModuleNotFoundError: h5py is not installed.
        OSError: files cannot be read or written.
    """
    file = read_keras_hdf5(source)
    layers = {name: weights for name, weights in file.layers.items() if weights}
    described = file.model_config is not None
    steps = None
    with located(source):
        if described:
            steps = _check_model(file.model_config, list(layers))
        config, arrays = _to_parameters(layers, default_steps if steps is None else steps)
    with torch.device("meta"):
        network = PointSurrogate(config)
    network.load_state_dict(
        {name: torch.from_numpy(array) for name, array in arrays.items()}, assign=True
    )
    kind = f"Keras HDF5 {'model' if described else 'weights'}"
    # Magenta released no surrogates, so nothing is to say of its licence.
    owner = "of whoever trained them, under their licence"
    record = provenance(source.name, kind, owner, [FileRange.whole(source)])
    network.save_pretrained(folder, records={"provenance": record})
    notes = (
        []
        if steps
        else [f"the file does not say how many steps a window has: {config.max_seq_len} assumed"]
    )
    if not described:
        notes.append("weights alone: cells of tanh and sigmoid assumed")
    return ConversionReport(
        folder=folder,
        name=PointSurrogate.kind,
        config=config,
        parameters=sum(array.size for array in arrays.values()),
        converted=sum(len(weights) for weights in layers.values()),
        skipped=file.optimizer_weights,
        notes=notes,
        owner=owner,
    )


def _check_model(model_config: Any, weighted: list[str]) -> int | None:
    """Checks that a model computes what our network does.

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
            with located(f"layer {_shown(layer['config']['name'])}"):
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
        # Of an input layer, or of a first layer that does without: Keras puts it on either level.
        shape = _setting(layers[0], "config.batch_input_shape", None) or _setting(
            layers[0], "config.layer.config.batch_input_shape", (None, None)
        )
        return shape[1]
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"model_config is malformed: {type(error).__name__} {error}"
        ) from None


def _check_layer(layer: Any, previous: Any) -> None:
    kind = layer["class_name"]
    if kind not in (*_INERT, *_SETTINGS):
        raise CheckpointError(
            f"is a {_shown(kind)}, expected bidirectional LSTM layers and a dense one"
        )
    # A functional model says which layers each layer reads; a Sequential's read the one before.
    if "inbound_nodes" in layer:
        reads = [source[0] for call in layer["inbound_nodes"] for source in call]
        wanted = [] if previous is None else [previous["config"]["name"]]
        if reads != wanted:
            raise CheckpointError(f"reads the layers {_shown(reads)}, expected {_shown(wanted)}")
    for setting, allowed in _SETTINGS.get(kind, {}).items():
        found = _setting(layer["config"], setting, allowed[0])
        if found not in allowed:
            expected = " or ".join(repr(value) for value in allowed)
            raise CheckpointError(f"{setting} is {_shown(found)}, expected {expected}")


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
        with located(f"layer {name!r}"):
            depth = 2 * units[-1] if units else None
            units.append(_check_bidirectional(layers[name], depth))
        arrays = list(layers[name].values())
        for suffix, direction in (("", arrays[:3]), ("_reverse", arrays[3:])):
            for parameter, array in _lstm_parameters(*direction).items():
                parameters[f"layers.{index}.{parameter}_l0{suffix}"] = array
    with located(f"layer {dense!r}"):
        _check_dense(layers[dense], 2 * units[-1])
    kernel, bias = layers[dense].values()
    parameters |= {"mean.weight": np.ascontiguousarray(kernel.T), "mean.bias": bias}
    depth = parameters["layers.0.weight_ih_l0"].shape[1]
    try:
        return SurrogateConfig(steps, depth, len(bias), tuple(units)), parameters
    except ConfigError as error:
        raise CheckpointError(str(error)) from None


def _check_bidirectional(weights: Weights, depth: int | None) -> int:
    """Units of each direction. depth: width of the input, None for any."""
    match shapes := _shapes(weights):
        case [(rows, _), (units, _), (biases,), *_]:
            forward = [(depth or rows, 4 * units), (units, 4 * units), (biases,)]
            if shapes == forward * 2 and biases in (4 * units, 8 * units):
                return units
    raise CheckpointError(
        f"has weights of shapes {_shown(shapes)}, expected a forward and a backward LSTM of"
        f" {[depth or 'D', '4H']}, ['H', '4H'] and ['4H'] or ['8H']"
    )


def _check_dense(weights: Weights, depth: int) -> None:
    match shapes := _shapes(weights):
        case [(rows, columns), (biases,)] if rows == depth and columns == biases:
            return
    raise CheckpointError(
        f"has weights of shapes {_shown(shapes)}, expected a dense layer's [{depth}, Z] and [Z]"
    )


def _shapes(weights: Weights) -> list[tuple[int, ...]]:
    for name, array in weights.items():
        if array.dtype != np.float32:
            raise CheckpointError(f"{name!r} is {array.dtype}, expected float32")
    return [array.shape for array in weights.values()]


def _lstm_parameters(
    kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray
) -> dict[str, np.ndarray]:
    """One direction of either layout as PyTorch's parameters: (4H, D), (4H, H), (4H,), (4H,)."""
    depth, units = len(kernel), len(recurrent)
    if len(bias) == 4 * units:
        return {
            "weight_ih": np.ascontiguousarray(kernel.T),
            "weight_hh": np.ascontiguousarray(recurrent.T),
            "bias_ih": bias,
            "bias_hh": np.zeros_like(bias),
        }
    blocks = [block.reshape(units, depth) for block in np.split(kernel, 4, axis=1)]
    bias_ih, bias_hh = np.split(bias, 2)
    return {
        "weight_ih": np.concatenate(blocks),
        "weight_hh": np.concatenate(np.split(recurrent, 4, axis=1)),
        "bias_ih": bias_ih,
        "bias_hh": bias_hh,
    }


def _shown(value: Any) -> str:
    """A value from a file, cut to a readable length."""
    return _REPR.repr(value)
