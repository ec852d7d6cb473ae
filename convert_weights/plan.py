"""The plan of a conversion: a checkpoint's config, and the parameter of each variable.

Only names, shapes and types are looked at here; no weight is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import torch

from convert_weights.errors import listed
from convert_weights.formats.tensors import Tensors
from convert_weights.names.magenta import (
    BOOKKEEPING,
    RESIDUAL,
    Layer,
    Shape,
    match_layers,
    resize,
)
from musicvae_torch.config import CONFIGS, MusicVAEConfig
from musicvae_torch.errors import CheckpointError, ConfigError
from musicvae_torch.model.vae import MusicVAE


@dataclass(frozen=True)
class Plan:
    """A conversion of a checkpoint that fits a config.

    Attributes:
        config: the config, with the checkpoint's sizes.
        layers: the model's layers, with the variables that they come from.
        skipped: variables left out: the trainer's, and cuDNN's second copies.
        notes: where the checkpoint's sizes are not those of the config.
    """

    config: MusicVAEConfig
    layers: list[Layer]
    skipped: list[str]
    notes: list[str]


def make_plan(
    tensors: Tensors, config: MusicVAEConfig | None, name: str | os.PathLike[str]
) -> Plan:
    """Match a checkpoint's variables with a model.

    Args:
        tensors: the checkpoint.
        config: what it is a model of; None: the one config of Magenta's that the variables fit.
        name: what to call the checkpoint in errors.

    Raises:
        CheckpointError: variables are missing, unknown, or of the wrong shape or type; or no
            config was given and they fit none or several.
    """
    variables = {variable: tensors.shape(variable) for variable in tensors}
    skipped = [variable for variable in variables if BOOKKEEPING.search(variable)]
    for variable in skipped:
        del variables[variable]
    if residual := [variable for variable in variables if RESIDUAL.search(variable)]:
        raise CheckpointError(f"{name}: residual models are not supported: {listed(residual)}")
    if config is None:
        config = _identify(variables, name)
    sized, layers, faults = _match(config, variables)
    if faults or not _same_layers(config, sized):
        _refuse(name, config, sized, faults, _fitting(variables))
    if wrong := [
        f"{variable} is {tensors.dtype(variable)}, expected float32"
        for variable in variables
        if tensors.dtype(variable) != "float32"
    ]:
        raise CheckpointError(f"{name}: {listed(wrong)}")
    notes = [
        f"{size} is {getattr(sized, size)}, in {config.name} {getattr(config, size)}"
        for size in ("enc_rnn_size", "dec_rnn_size", "z_size", "nade_num_hidden")
        if getattr(sized, size) != getattr(config, size)
    ]
    return Plan(sized, layers, skipped, notes)


@cache
def parameter_shapes(config: MusicVAEConfig) -> Mapping[str, Shape]:
    """Names and shapes of all parameters of a model of `config`."""
    with torch.device("meta"):  # a model without memory
        state = MusicVAE(config).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _identify(variables: Mapping[str, Shape], source: str | os.PathLike[str]) -> MusicVAEConfig:
    """The one config that the variables fit; among several, the one of their sizes."""
    candidates = _fitting(variables)  # with the checkpoint's sizes, by name
    if not candidates:
        raise CheckpointError(
            f"{source}: fits none of Magenta's configs; --config NAME says why it is not that "
            "one, and --list shows its variables"
        )
    names = list(candidates)
    # Sizes are evidence only: released models do not always have those of their config.
    for closer in (
        [name for name in names if _same_layers(CONFIGS[name], candidates[name])],
        [name for name in names if CONFIGS[name] == candidates[name]],
    ):
        names = closer or names
    if len(names) > 1:
        raise CheckpointError(
            f"{source}: the variables fit several configs; choose with --config one of: "
            f"{', '.join(names)}"
        )
    return CONFIGS[names[0]]


def _refuse(
    name: str | os.PathLike[str],
    config: MusicVAEConfig,
    sized: MusicVAEConfig,
    faults: list[str],
    fitting: Iterable[str],
) -> None:
    """Raise what is wrong; a number of layers alone is wrong only where another config has it."""
    better = [other for other in fitting if faults or _same_layers(CONFIGS[other], sized)]
    if not faults and not better:
        return
    faults = faults or [
        f"has {len(sized.enc_rnn_size)} encoder and {len(sized.dec_rnn_size)} decoder layers, "
        f"expected {len(config.enc_rnn_size)} and {len(config.dec_rnn_size)}"
    ]
    hint = f" (but a {' or '.join(better)})" if better else ""
    raise CheckpointError(f"{name}: is no {config.name}{hint}: {'; '.join(faults)}")


def _fitting(variables: Mapping[str, Shape]) -> dict[str, MusicVAEConfig]:
    """Magenta's configs that the variables fit, by name, with the checkpoint's sizes."""
    matches = {name: _match(config, variables) for name, config in CONFIGS.items()}
    return {name: sized for name, (sized, _, faults) in matches.items() if not faults}


def _same_layers(*configs: MusicVAEConfig) -> bool:
    return len({(len(config.enc_rnn_size), len(config.dec_rnn_size)) for config in configs}) == 1


def _match(
    config: MusicVAEConfig, variables: Mapping[str, Shape]
) -> tuple[MusicVAEConfig, list[Layer], list[str]]:
    """The config with the checkpoint's sizes, its layers, and what does not fit."""
    try:
        sized = resize(config, variables)
    except ConfigError as error:
        return config, [], [str(error)]
    layers = match_layers(sized, parameter_shapes(sized))
    expected = {name: shape for layer in layers for name, shape in layer.variables.items()}
    faults = []
    if missing := [name for name in expected if name not in variables]:
        faults.append(f"missing variables: {listed(missing)}")
    if unknown := [name for name in variables if name not in expected]:
        faults.append(f"unknown variables: {listed(unknown)}")
    if wrong := [
        f"{name} is {list(variables[name])}, expected {list(shape)}"
        for name, shape in expected.items()
        if variables.get(name, shape) != shape
    ]:
        faults.append(f"wrong shapes: {listed(wrong)}")
    return sized, layers, faults
