"""Magenta's names and layouts of variables ↔ musicvae_torch's of parameters, as data.

Sources: the variable names in checkpoints that Magenta 2.1.4 and its trainer wrote; the gate order
i, j, f, o of TensorFlow's LSTMBlockCell. No number is changed either way: arrays are only permuted,
transposed, split and joined.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from musicvae_torch.config import MusicVAEConfig

Shape = tuple[int, ...]
Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Layout:
    """How a kind of layer is stored on either side.

    variables: last parts of the Magenta names; parameters: last parts of ours.
    to_parameters, to_variables: arrays in those orders, one way and back. An array that
        to_parameters gives may have an axis split in several; its elements in C order are the
        parameter's.
    variable_shapes: shapes of the variables from the shapes of the parameters.
    """

    variables: tuple[str, ...]
    parameters: tuple[str, ...]
    to_parameters: Callable[..., Arrays]
    to_variables: Callable[..., Arrays]
    variable_shapes: Callable[..., tuple[Shape, ...]]


@dataclass(frozen=True)
class Row:
    """A line of the name table: a layer's scope in Magenta, its prefix in ours, its layout."""

    scope: str
    prefix: str
    layout: Layout


@dataclass(frozen=True)
class Layer:
    """One layer of a model: full names on both sides, and the shapes of the variables."""

    layout: Layout
    variables: dict[str, Shape]
    parameters: dict[str, Shape]


def _swap_middle_gates(array: np.ndarray) -> np.ndarray:
    """i, j, f, o to i, f, j, o (PyTorch's i, f, g, o) and back, along the last axis."""
    blocks = array.reshape(*array.shape[:-1], 4, -1)
    return blocks[..., [0, 2, 1, 3], :].reshape(array.shape)


def _lstm_to_parameters(kernel: np.ndarray, bias: np.ndarray) -> Arrays:
    """kernel (D + H, 4H), bias (4H) to weight_ih (4H, D), weight_hh (4H, H), bias (4H).

    The gates' axis 4H is split into (2, 2, H): so the middle two swap without a copy.
    """
    units = kernel.shape[1] // 4
    gates = kernel.reshape(len(kernel), 2, 2, units).transpose(2, 1, 3, 0)
    weight_ih, weight_hh = np.split(gates, [len(kernel) - units], axis=-1)
    return weight_ih, weight_hh, _swap_middle_gates(bias)


def _lstm_to_variables(weight_ih: np.ndarray, weight_hh: np.ndarray, bias: np.ndarray) -> Arrays:
    kernel = np.concatenate([weight_ih, weight_hh], axis=1).T
    return _swap_middle_gates(kernel), _swap_middle_gates(bias)


LSTM = Layout(
    variables=("kernel", "bias"),
    parameters=("weight_ih", "weight_hh", "bias"),
    to_parameters=_lstm_to_parameters,
    to_variables=_lstm_to_variables,
    variable_shapes=lambda w_ih, w_hh, bias: ((w_ih[1] + w_hh[1], w_ih[0]), bias),
)
DENSE = Layout(
    variables=("kernel", "bias"),  # (in, out), (out)
    parameters=("weight", "bias"),  # (out, in), (out)
    to_parameters=lambda kernel, bias: (kernel.T, bias),
    to_variables=lambda weight, bias: (weight.T, bias),
    variable_shapes=lambda weight, bias: (weight[::-1], bias),
)
NADE = Layout(
    variables=("w_enc", "w_dec_t"),  # (D, 1, H), (D, H, 1)
    parameters=("w_enc", "w_dec"),  # (D, H), (D, H)
    to_parameters=lambda w_enc, w_dec_t: (w_enc[:, 0, :], w_dec_t[:, :, 0]),
    to_variables=lambda w_enc, w_dec: (w_enc[:, None, :], w_dec[:, :, None]),
    variable_shapes=lambda w_enc, w_dec: ((w_enc[0], 1, w_enc[1]), (*w_dec, 1)),
)

_BIDIRECTIONAL = "cell_{layer}/bidirectional_rnn/{direction}/multi_rnn_cell/cell_0/lstm_cell"
FLAT_ENCODER = Row(f"encoder/{_BIDIRECTIONAL}", "encoder.levels.0.layers.{layer}.{direction}", LSTM)
HIERARCHICAL_ENCODER = Row(
    f"encoder/hierarchical_level_{{level}}/{_BIDIRECTIONAL}",
    "encoder.levels.{level}.layers.{layer}.{direction}",
    LSTM,
)
POSTERIOR = (
    Row("encoder/mu", "encoder.mean", DENSE),
    Row("encoder/sigma", "encoder.stddev", DENSE),
)
CONDUCTOR = (
    Row(
        "decoder/hierarchical_level_0/cell_{layer}/lstm_cell",
        "decoder.conductor.layers.{layer}",
        LSTM,
    ),
    Row("decoder/hierarchical_level_0/initial_state", "decoder.conductor.initial_state", DENSE),
)
_CORE = "decoder.cores.{part}"
# Under the scope of a core decoder, which says where in a model it sits.
CORE = (
    Row("multi_rnn_cell/cell_{layer}/lstm_cell", f"{_CORE}.layers.{{layer}}", LSTM),
    Row("z_to_initial_state", f"{_CORE}.initial_state", DENSE),
    Row("output_projection", f"{_CORE}.output", DENSE),
    Row("nade", f"{_CORE}.head", NADE),
)
# Variables of the trainer, and cuDNN's second copies of weights.
BOOKKEEPING = re.compile(
    r"(^|/)(global_step|beta1_power|beta2_power|opaque_kernel)$|/(Adam|Adam_1)$"
)
# Variables of residual models, which no released config is.
RESIDUAL = re.compile(r"input_?projection_?wrapper|residual_?wrapper", re.IGNORECASE)


def name_table(config: MusicVAEConfig) -> tuple[Row, ...]:
    """The rows that hold for models of `config`'s kind."""
    encoder = HIERARCHICAL_ENCODER if config.is_hierarchical_encoder else FLAT_ENCODER
    conductor = CONDUCTOR if config.is_hierarchical_decoder else ()
    whole = "core_decoder/" if config.is_hierarchical_decoder else ""
    part = "core_decoder_{part}/" if len(config.core_depths) > 1 else ""
    scope = f"{whole}{part}decoder"
    core = tuple(replace(row, scope=f"{scope}/{row.scope}") for row in CORE)
    return (encoder, *POSTERIOR, *conductor, *core)


def resize(config: MusicVAEConfig, variables: Mapping[str, Shape]) -> MusicVAEConfig:
    """`config` with the sizes that a checkpoint's shapes show.

    Released models were trained with other sizes than Magenta's code gives. A size that the
    checkpoint does not show stays as it is. Raises musicvae_torch's ConfigError for impossible
    sizes.
    """
    sizes: dict[str, Any] = {
        "enc_rnn_size": _units(config, "encoder.levels.0.layers.{layer}.fw", variables),
        "dec_rnn_size": _units(config, "decoder.cores.0.layers.{layer}", variables),
    }
    mean_bias = variables.get("encoder/mu/bias", ())
    if len(mean_bias) == 1:
        sizes["z_size"] = mean_bias[0]
    if config.output == "nade":
        w_enc = variables.get(f"{_find_row(name_table(config), 'decoder.cores.0.head')[1]}/w_enc")
        if w_enc is not None and len(w_enc) == 3:
            sizes["nade_num_hidden"] = w_enc[2]
    return replace(config, **{name: size for name, size in sizes.items() if size})


def match_layers(config: MusicVAEConfig, parameters: Mapping[str, Shape]) -> list[Layer]:
    """Finds, for all parameters of a model of `config`, the Magenta variables they come from.

    parameters: names and shapes, as in the model's state dict.
    Raises LookupError for a parameter that no row of the table names.
    """
    table = name_table(config)
    layers = []
    for prefix in dict.fromkeys(name.rpartition(".")[0] for name in parameters):
        row, scope = _find_row(table, prefix)
        layout = row.layout
        shapes = {
            name: parameters[name] for name in (f"{prefix}.{leaf}" for leaf in layout.parameters)
        }
        names = [f"{scope}/{leaf}" for leaf in layout.variables]
        variables = dict(zip(names, layout.variable_shapes(*shapes.values()), strict=True))
        layers.append(Layer(layout, variables, shapes))
    return layers


def to_parameters(layer: Layer, variables: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """A layer's variables (in the order of `layer.variables`) as our parameters: views where they
    can be, perhaps with an axis split in several."""
    return dict(zip(layer.parameters, layer.layout.to_parameters(*variables), strict=True))


def to_variables(layer: Layer, parameters: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Inverse of `to_parameters`, to the bit."""
    return dict(zip(layer.variables, layer.layout.to_variables(*parameters), strict=True))


def _units(config: MusicVAEConfig, prefix: str, variables: Mapping[str, Shape]) -> tuple[int, ...]:
    """LSTM units of each layer of the stack that has these parameters, from its biases (4H,)."""
    units: list[int] = []
    while True:
        _, scope = _find_row(name_table(config), prefix.format(layer=len(units)))
        shape = variables.get(f"{scope}/bias", ())
        if len(shape) != 1:
            return tuple(units)
        units.append(shape[0] // 4)


def _find_row(table: tuple[Row, ...], prefix: str) -> tuple[Row, str]:
    """The row that names `prefix`, and the Magenta scope of that layer."""
    for row in table:
        if match := _pattern(row.prefix).fullmatch(prefix):
            return row, row.scope.format(**match.groupdict())
    raise LookupError(f"no Magenta variable is known for the parameters {prefix}.*")


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """A template such as "a.{layer}.b" as a regular expression with named groups."""
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\w+)", re.escape(template)))
