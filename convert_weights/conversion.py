"""From a Magenta checkpoint to a folder that `MusicVAE.from_pretrained` reads."""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from convert_weights.magenta import Layer, to_parameters
from convert_weights.plan import make_plan, meta_model
from convert_weights.tensor_bundle import TensorBundle, find_prefix
from musicvae_torch import __version__
from musicvae_torch.config import MusicVAEConfig, get_config


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    folder: where the model is. config: with the sizes that the checkpoint has.
    parameters: numbers in the model. converted, skipped: variables of the checkpoint.
    notes: where the checkpoint's sizes are not those of the config.
    """

    folder: Path
    config: MusicVAEConfig
    parameters: int
    converted: int
    skipped: int
    notes: list[str]


def convert(
    source: str | os.PathLike[str],
    config_name: str | None,
    out: str | os.PathLike[str],
    *,
    force: bool = False,
    progress: bool = False,
) -> ConversionReport:
    """Converts a checkpoint of Magenta's MusicVAE into OUT/config.json and OUT/model.safetensors.

    source: a checkpoint's prefix, its index or data file, or a folder that holds one checkpoint.
    config_name: what it is a model of, as get_config takes it; sizes are taken from the
        checkpoint. None: the one config of Magenta's that the variables fit.
    out: a folder, new or empty; `force` lets those two files be replaced.
    progress: show a bar on stderr, if that is a terminal.

    Raises CheckpointError if the checkpoint is malformed or is not of that config, ConfigError for
    an unknown config, FileExistsError for a folder in use, OSError if files cannot be read or
    written. Nothing is left behind then.
    """
    config = None if config_name is None else get_config(config_name)
    prefix = find_prefix(source)
    folder = Path(out)
    _check_free(folder, force)
    # On the target's file system, so that a rename puts the result in place; in a folder that is
    # there already, so that a failure leaves no new one behind.
    target = folder.absolute()
    nearest = next(path for path in (target, *target.parents) if path.is_dir())
    with (
        TensorBundle.open(prefix) as bundle,
        tempfile.TemporaryDirectory(dir=nearest, prefix=".convert-weights-") as work,
    ):
        plan = make_plan(bundle, config, prefix)
        weights = _convert_layers(bundle, plan.layers, progress)
        model = meta_model(plan.config)
        model.load_state_dict(weights, strict=True, assign=True)
        records = {"provenance": _provenance(prefix, bundle.files, plan.config.name)}
        result = Path(work) / "result"
        model.save_pretrained(result, records=records)
        _publish(result, folder)
    return ConversionReport(
        folder=folder,
        config=plan.config,
        parameters=sum(tensor.numel() for tensor in weights.values()),
        converted=sum(len(layer.variables) for layer in plan.layers),
        skipped=len(plan.skipped),
        notes=plan.notes,
    )


def _convert_layers(
    bundle: TensorBundle, layers: list[Layer], progress: bool
) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = {}
    disable = None if progress else True
    for layer in tqdm(layers, desc="converting", unit="layer", disable=disable):
        arrays = to_parameters(layer, (bundle[name] for name in layer.variables))
        for name, array in arrays.items():
            # A copy: the bundle's arrays are views of read-only files.
            weights[name] = torch.from_numpy(np.array(array, order="C"))
    return weights


def _provenance(prefix: Path, files: Iterable[Path], config_name: str) -> dict[str, Any]:
    sha256 = {}
    for path in files:
        with path.open("rb") as file:
            sha256[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "converter": f"convert_weights {__version__}",
        "source": prefix.name,
        "source_format": "TensorFlow V2 checkpoint",
        "config": config_name,
        "sha256": sha256,
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
