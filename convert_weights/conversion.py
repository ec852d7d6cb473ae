"""From a Magenta checkpoint to a folder that `MusicVAE.from_pretrained` reads."""

import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from convert_weights.errors import CheckpointError
from convert_weights.file_range import FileRange
from convert_weights.magenta import (
    Layer,
    Shape,
    is_bookkeeping,
    is_residual,
    match_layers,
    resize,
    to_parameters,
)
from convert_weights.safetensors_writer import write_safetensors
from convert_weights.sources import Source, open_source
from convert_weights.tensor_bundle import TensorBundle
from musicvae_torch import __version__
from musicvae_torch.config import CONFIGS, ConfigError, MusicVAEConfig, get_config
from musicvae_torch.model import MusicVAE
from musicvae_torch.pretrained import CONFIG_FILE, WEIGHTS_FILE, config_text

_MAX_LISTED = 10
_FORMATS = {
    "tensorflow": "TensorFlow V2 checkpoint",
    "magenta-js": "Magenta.js",
    "keras": "Keras HDF5",
}


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    folder: where the model is. config: with the sizes that the checkpoint has.
    parameters: numbers in the model. converted, skipped: variables of the checkpoint.
    """

    folder: Path
    config: MusicVAEConfig
    parameters: int
    converted: int
    skipped: int


@dataclass(frozen=True)
class Plan:
    """What a conversion would do: the model's sizes, its layers, and the variables left out."""

    config: MusicVAEConfig
    layers: list[Layer]
    skipped: list[str]


def convert(
    source: str | os.PathLike[str],
    config_name: str,
    out: str | os.PathLike[str],
    *,
    checkpoint: str | None = None,
    force: bool = False,
    progress: bool = False,
) -> ConversionReport:
    """Converts a checkpoint of Magenta's MusicVAE into OUT/config.json and OUT/model.safetensors.

    Tensor by tensor: of a checkpoint of any size, little more than the largest variable is in
    memory at a time.

    source: whatever `sources.open_source` takes; checkpoint: which one in it, if it has several.
    config_name: the Magenta config that it is a model of; sizes are taken from the checkpoint.
    out: a folder, new or empty; `force` lets those two files be replaced.
    progress: show a bar on stderr, if that is a terminal.

    Raises CheckpointError if the checkpoint is malformed or is not of that config, ConfigError for
    an unknown config, FileExistsError for a folder in use, OSError if files cannot be read or
    written. Nothing is left behind then.
    """
    config = get_config(config_name)
    folder = Path(out)
    _check_free(folder, force)
    # On the target's file system, so that a rename puts the result in place; in a folder that is
    # there already, so that a failure leaves no new one behind.
    target = folder.absolute()
    nearest = next(path for path in (target, *target.parents) if path.is_dir())
    with (
        tempfile.TemporaryDirectory(dir=nearest, prefix=".convert-weights-") as work,
        open_source(source, checkpoint, scratch=work) as found,
        open_bundle(found) as bundle,
    ):
        plan = make_plan(bundle, config, found.location)
        shapes = {name: shape for layer in plan.layers for name, shape in layer.parameters.items()}
        result = Path(work) / "result"
        result.mkdir()
        # A thread reads the files a second time while they are in the system's cache still.
        with ThreadPoolExecutor(max_workers=1) as hashing:
            provenance = hashing.submit(_provenance, found, bundle.files, config_name)
            write_safetensors(
                result / WEIGHTS_FILE, shapes, _convert_layers(bundle, plan.layers, progress)
            )
            records = {"provenance": provenance.result()}
        text = config_text(MusicVAE.kind, plan.config.to_dict(), records)
        (result / CONFIG_FILE).write_text(text, encoding="utf-8")
        _publish(result, folder)
    return ConversionReport(
        folder=folder,
        config=plan.config,
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        converted=sum(len(layer.variables) for layer in plan.layers),
        skipped=len(plan.skipped),
    )


def open_bundle(source: Source) -> TensorBundle:
    """The reader of a checkpoint that was found. Raises CheckpointError if it cannot be read."""
    if source.kind != "tensorflow":
        raise CheckpointError(f"{source.location}: {source.kind} checkpoints are not read")
    return TensorBundle.open_files(source.location, source.files)


def make_plan(bundle: TensorBundle, config: MusicVAEConfig, name: str | os.PathLike[str]) -> Plan:
    """Matches a checkpoint's variables with a model of `config`, without reading them.

    name: what to call the checkpoint in errors.
    Raises CheckpointError if variables are missing, unknown, or of the wrong shape or type.
    """
    variables = {variable: bundle.shape(variable) for variable in bundle}
    skipped = [variable for variable in variables if is_bookkeeping(variable)]
    for variable in skipped:
        del variables[variable]
    if residual := [variable for variable in variables if is_residual(variable)]:
        raise CheckpointError(f"{name}: residual models are not supported: {_listed(residual)}")
    sized, layers, faults = _match(config, variables)
    faults += [
        f"{variable} is {bundle.dtype(variable)}, expected float32"
        for variable in variables
        if bundle.dtype(variable) != "float32"
    ]
    if faults:
        others = [
            other
            for other in CONFIGS
            if other != config.name and not _match(CONFIGS[other], variables)[2]
        ]
        hint = f" (but a {' or '.join(others)})" if others else ""
        raise CheckpointError(f"{name}: is no {config.name}{hint}: {'; '.join(faults)}")
    return Plan(sized, layers, skipped)


def _match(
    config: MusicVAEConfig, variables: dict[str, Shape]
) -> tuple[MusicVAEConfig, list[Layer], list[str]]:
    """The config with the checkpoint's sizes, its layers, and what does not fit."""
    try:
        sized = resize(config, variables)
    except ConfigError as error:
        return config, [], [str(error)]
    state = _meta_model(sized).state_dict()
    layers = match_layers(sized, {name: tuple(tensor.shape) for name, tensor in state.items()})
    expected = {name: shape for layer in layers for name, shape in layer.variables.items()}
    faults = []
    if missing := [name for name in expected if name not in variables]:
        faults.append(f"missing variables: {_listed(missing)}")
    if unknown := [name for name in variables if name not in expected]:
        faults.append(f"unknown variables: {_listed(unknown)}")
    wrong = [
        f"{name} is {list(variables[name])}, expected {list(shape)}"
        for name, shape in expected.items()
        if variables.get(name, shape) != shape
    ]
    if wrong:
        faults.append(f"wrong shapes: {_listed(wrong)}")
    return sized, layers, faults


def _meta_model(config: MusicVAEConfig) -> MusicVAE:
    """A model without memory: names and shapes only."""
    with torch.device("meta"):
        return MusicVAE(config)


def _convert_layers(
    bundle: TensorBundle, layers: list[Layer], progress: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """Our parameters with their names, those of one layer after another."""
    disable = None if progress else True
    for layer in tqdm(layers, desc="converting", unit="layer", disable=disable):
        yield from to_parameters(layer, (bundle[name] for name in layer.variables)).items()


def _provenance(source: Source, files: Iterable[FileRange], config_name: str) -> dict[str, Any]:
    return {
        "converter": f"convert_weights {__version__}",
        "source": source.name,
        "source_format": _FORMATS[source.kind],
        "config": config_name,
        "sha256": {file.name: file.sha256() for file in files},
    }


def _check_free(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder}: is a file, expected a folder")
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder}: is not empty; --force replaces the model in it")


def _publish(result: Path, folder: Path) -> None:
    """Puts the finished folder in place; of one that exists, only the files of the same names."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        result.replace(folder)
        return
    # config.json last: a folder without it is no model.
    for path in sorted(result.iterdir(), reverse=True):
        path.replace(folder / path.name)


def _listed(items: list[str]) -> str:
    shown = ", ".join(items[:_MAX_LISTED])
    rest = len(items) - _MAX_LISTED
    return f"{shown} and {rest} more" if rest > 0 else shown
