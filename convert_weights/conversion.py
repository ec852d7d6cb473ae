"""A checkpoint of Magenta's → a folder that `MusicVAE.from_pretrained` reads."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from convert_weights.formats.atomic_folder import atomic_folder, refuse_own_folder
from convert_weights.formats.file_range import FileRange
from convert_weights.formats.safetensors_writer import write_safetensors
from convert_weights.formats.tensor_bundle import open_tensor_bundle
from convert_weights.formats.tensors import Tensors
from convert_weights.formats.tfjs_weights import open_tfjs_weights
from convert_weights.names.magenta import to_parameters
from convert_weights.names.magenta_js import read_magenta_js_config
from convert_weights.plan import Plan, make_plan
from convert_weights.sources.locate import Source, open_source
from convert_weights.sources.releases import NOTICE, Release
from musicvae_torch import __version__
from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.errors import CheckpointError
from musicvae_torch.io.checkpoint import FORMAT_VERSION, config_text
from musicvae_torch.io.checkpoint_files import CONFIG_FILE, WEIGHTS_FILE
from musicvae_torch.model.vae import MusicVAE

_FORMATS = {"tensorflow": "TensorFlow V2 checkpoint", "magenta-js": "magenta.js"}


@dataclass(frozen=True)
class ConversionReport:
    """The result of a conversion.

    Attributes:
        folder: where the network is.
        name: name of its config, or of its kind.
        config: its sizes, which are those of the checkpoint.
        parameters: number of the network's parameters.
        converted: number of arrays that became the network's.
        skipped: number of the checkpoint's other arrays.
        notes: what a user should know of this checkpoint.
        owner: whose weights they are and under which licence, as far as is known.
    """

    folder: Path
    name: str
    config: Any
    parameters: int
    converted: int
    skipped: int
    notes: list[str]
    owner: str


def open_tensors(source: Source) -> tuple[Tensors, MusicVAEConfig | None]:
    """A checkpoint's variables under TensorFlow's names, and the config that it states, if any.

    Raises:
        CheckpointError: the checkpoint is malformed, or that of a surrogate.
        OSError: files cannot be read.
    """
    if source.kind == "tensorflow":
        return open_tensor_bundle(source.location, source.files), None
    if source.kind == "magenta-js":
        weights = open_tfjs_weights(source.files)
        return weights, read_magenta_js_config(source.files, weights, name=source.name)
    raise CheckpointError(
        f"{source.location}: is a surrogate that Keras saved, no MusicVAE: only --out FOLDER"
        " takes it"
    )


def convert(
    source: str | os.PathLike[str],
    config_name: str | None,
    out: str | os.PathLike[str],
    *,
    checkpoint: str | None = None,
    release: Release | None = None,
    force: bool = False,
    progress: bool = False,
) -> ConversionReport:
    """Convert a checkpoint into OUT/config.json and OUT/model.safetensors.

    Tensors are converted one by one, so that little more than the largest variable is in memory. If
    the conversion fails, nothing is left in OUT.

    Args:
        source: whatever `open_source` takes: a MusicVAE, or a surrogate encoder that Keras saved.
        config_name: the model's config, as get_config takes it; sizes are taken from the
            checkpoint. None: what the checkpoint says, or the one config that its variables fit.
        out: a folder, new or empty.
        checkpoint: name of the checkpoint to convert, if `source` has several.
        release: the release from which `source` is, for the record.
        force: replace the two files if they are in `out` already.
        progress: show a bar on stderr, if that is a terminal.

    Raises:
        CheckpointError: the checkpoint is malformed or not of that config.
        ConfigError: no such config.
        OutputError: the folder is in use, or that of the magenta.js checkpoint itself.
        OSError: files cannot be read or written.
    """
    config = None if config_name is None else get_config(config_name)
    with (
        atomic_folder(out, force) as result,
        open_source(source, checkpoint, scratch=result.parent) as found,
    ):
        if found.kind == "keras":
            if config:
                raise CheckpointError(
                    f"{found.location}: is a surrogate that Keras saved, no {config.name}"
                )
            return _write_surrogate(found, result, Path(out))
        if found.kind == "magenta-js":
            refuse_own_folder(out, found.location)
        tensors, stated = open_tensors(found)
        plan = make_plan(tensors, config or stated, found.location)
        return _write_musicvae(found, tensors, plan, result, Path(out), release, progress)


def _write_surrogate(source: Source, work: Path, folder: Path) -> ConversionReport:
    """Write a surrogate that Keras saved into `work`, which is to become `folder`."""
    from surrogate.accompany_music_vae.keras import read_keras_surrogate

    surrogate = read_keras_surrogate(source.location)
    network = surrogate.network
    # Magenta released no surrogates: nothing is known of the licence.
    owner = "of whoever trained them, under their licence"
    record = _provenance(source, surrogate.source_format, owner, source.files.values())
    network.save_pretrained(work, records={"provenance": record})
    return ConversionReport(
        folder=folder,
        name=network.kind,
        config=network.config,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        converted=surrogate.converted,
        skipped=surrogate.skipped,
        notes=surrogate.notes,
        owner=owner,
    )


def _write_musicvae(
    source: Source,
    tensors: Tensors,
    plan: Plan,
    work: Path,
    folder: Path,
    release: Release | None,
    progress: bool,
) -> ConversionReport:
    """Write a MusicVAE into `work`, which is to become `folder`."""
    if release is None:
        owner = f"of whoever trained them, under their licence; what Magenta released is {NOTICE}"
    else:
        owner = f"Magenta's {release.name}, {NOTICE}"
    shapes = {name: shape for layer in plan.layers for name, shape in layer.parameters.items()}
    # A thread reads the files a second time while they are still in the system's cache.
    with ThreadPoolExecutor(max_workers=1) as hashing:
        record = hashing.submit(_provenance, source, _FORMATS[source.kind], owner, tensors.files)
        bar = tqdm(plan.layers, "converting", unit="layer", disable=None if progress else True)
        arrays = (
            parameter
            for layer in bar
            for parameter in to_parameters(layer, map(tensors.__getitem__, layer.variables)).items()
        )
        write_safetensors(work / WEIGHTS_FILE, shapes, arrays)
        records = {"provenance": record.result() | {"config": plan.config.name}}
    text = config_text(MusicVAE.kind, plan.config.to_dict(), records)
    (work / CONFIG_FILE).write_text(text, encoding="utf-8")
    return ConversionReport(
        folder=folder,
        name=plan.config.name,
        config=plan.config,
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        converted=sum(len(layer.variables) for layer in plan.layers),
        skipped=len(plan.skipped),
        notes=plan.notes,
        owner=owner,
    )


def _provenance(
    source: Source, source_format: str, owner: str, files: Iterable[FileRange]
) -> dict[str, Any]:
    """The record of a conversion, for config.json. files: those that hold the checkpoint."""
    return {
        "converter": f"convert_weights {__version__}",
        "format_version": FORMAT_VERSION,
        "source": source.name,
        "source_format": source_format,
        "weights": owner,
        "sha256": {file.name: file.sha256() for file in files},
    }
