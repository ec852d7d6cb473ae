"""From a checkpoint of Magenta's to a folder that `MusicVAE.from_pretrained` reads."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from convert_weights.formats.atomic_folder import publishing, refuse_own_folder
from convert_weights.formats.file_range import FileRange
from convert_weights.formats.safetensors_writer import write_safetensors
from convert_weights.formats.tensor_bundle import TensorBundle
from convert_weights.formats.tfjs_weights import TfjsWeights
from convert_weights.names.magenta import Layer, to_parameters
from convert_weights.names.magenta_js import read_magenta_js_config
from convert_weights.plan import Plan, Tensors, make_plan
from convert_weights.report import ConversionReport, owner_of, provenance
from convert_weights.sources.locate import Source, open_source
from convert_weights.sources.releases import Release
from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.errors import CheckpointError
from musicvae_torch.io.checkpoint import CONFIG_FILE, WEIGHTS_FILE, config_text
from musicvae_torch.model.vae import MusicVAE

_FORMATS = {"tensorflow": "TensorFlow V2 checkpoint", "magenta-js": "magenta.js"}


@dataclass(frozen=True)
class Opened:
    """A checkpoint that was found and can be read.

    Attributes:
        source: where its files are.
        tensors: its variables under TensorFlow's names.
        config: what it says it is a model of; None: nothing.
        files: those that hold it, for the record.
    """

    source: Source
    tensors: Tensors
    config: MusicVAEConfig | None
    files: Iterable[FileRange]


@contextmanager
def open_checkpoint(
    source: str | os.PathLike[str],
    checkpoint: str | None = None,
    *,
    scratch: str | os.PathLike[str] | None = None,
) -> Iterator[Opened]:
    """Find and open a checkpoint of TensorFlow or magenta.js; arguments as for `open_source`.

    Raises:
        CheckpointError: there is none, several, or one that cannot be read.
        OSError: files cannot be read.
    """
    with (
        open_source(source, checkpoint, scratch=scratch) as found,
        _open_tensors(found) as opened,
    ):
        yield opened


@contextmanager
def _open_tensors(source: Source) -> Iterator[Opened]:
    if source.kind == "tensorflow":
        with TensorBundle.open_files(source.location, source.files) as bundle:
            yield Opened(source, bundle, None, bundle.files)
    elif source.kind == "magenta-js":
        with TfjsWeights.open(source.files) as weights:
            config = read_magenta_js_config(source.files, weights, name=source.name)
            yield Opened(source, weights, config, weights.files)
    else:
        raise CheckpointError(
            f"{source.location}: is a surrogate that Keras saved, no MusicVAE: only --out"
            " FOLDER takes it"
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

    Tensor by tensor: of a checkpoint of any size, little more than the largest variable is in
    memory at a time. Where it cannot be done, nothing is left behind.

    Args:
        source: whatever `sources.open_source` takes. What Keras saved becomes a surrogate encoder,
            all else a MusicVAE.
        config_name: what it is a model of, as get_config takes it; sizes are taken from the
            checkpoint. None: what the checkpoint says, or the one config that its variables fit.
        out: a folder, new or empty.
        checkpoint: which one in `source`, if it has several.
        release: the release that `source` is, for the record.
        force: let the two files be replaced.
        progress: show a bar on stderr, if that is a terminal.

    Raises:
        CheckpointError: the checkpoint is malformed or not of that config.
        ConfigError: no such config.
        FileExistsError: the folder is in use, or that of the magenta.js checkpoint itself.
        OSError: files cannot be read or written.
    """
    config = None if config_name is None else get_config(config_name)
    with (
        publishing(out, force) as result,
        open_source(source, checkpoint, scratch=result.parent) as found,
    ):
        if found.kind == "keras":
            from convert_weights.names.keras import write_surrogate

            if config:
                raise CheckpointError(
                    f"{found.location}: is a surrogate that Keras saved, no {config.name}"
                )
            report = write_surrogate(found.location, result)
        else:
            if found.kind == "magenta-js":
                refuse_own_folder(out, found.location)
            with _open_tensors(found) as opened:
                plan = make_plan(opened.tensors, config or opened.config, found.location)
                report = _write_musicvae(opened, plan, result, owner_of(release), progress)
    return replace(report, folder=Path(out))


def _write_musicvae(
    opened: Opened, plan: Plan, folder: Path, owner: str, progress: bool
) -> ConversionReport:
    shapes = {name: shape for layer in plan.layers for name, shape in layer.parameters.items()}
    # A thread reads the files a second time while they are in the system's cache still.
    with ThreadPoolExecutor(max_workers=1) as hashing:
        record = hashing.submit(_provenance, opened, plan, owner)
        write_safetensors(
            folder / WEIGHTS_FILE, shapes, _convert_layers(opened.tensors, plan, progress)
        )
        records = {"provenance": record.result()}
    text = config_text(MusicVAE.kind, plan.config.to_dict(), records)
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
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


def _convert_layers(
    tensors: Tensors, plan: Plan, progress: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """Our parameters with their names, those of one layer after another."""
    disable = None if progress else True
    bar: Iterable[Layer] = tqdm(plan.layers, desc="converting", unit="layer", disable=disable)
    for layer in bar:
        yield from to_parameters(layer, (tensors[name] for name in layer.variables)).items()


def _provenance(opened: Opened, plan: Plan, owner: str) -> dict[str, Any]:
    source = opened.source
    return provenance(source.name, _FORMATS[source.kind], owner, opened.files) | {
        "config": plan.config.name
    }
