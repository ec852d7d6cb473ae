"""Training a MusicVAE: a data set, or a folder of MIDI files → a checkpoint folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import lightning
import torch
from filelock import FileLock

from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.dataset.build import build_dataset
from musicvae_torch.dataset.extraction import default_hop
from musicvae_torch.dataset.options import BuildOptions, WindowOptions
from musicvae_torch.errors import CheckpointError, ConfigError, OptionError
from musicvae_torch.io.checkpoint import read_config, weights_sha256
from musicvae_torch.io.hardware import Hardware
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training.data import WindowsDataModule
from musicvae_torch.training.fitting import fit
from musicvae_torch.training.module import MusicVAETraining
from musicvae_torch.training.options import TrainingOptions

# Share of a folder's songs to set aside to validate on; the next, if that is none or all of them.
_SHARES = (0.1, 0.2, 0.3, 0.5, 0.7)


class RecordedTraining(MusicVAETraining):
    """A training whose checkpoints say from which weights it began."""

    origin: dict[str, str] | None = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["origin"] = self.origin

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.origin = checkpoint.get("origin")


def train_musicvae(
    data: str | Path,
    validation: str | Path | None,
    out: str | Path,
    config: MusicVAEConfig | None,
    options: TrainingOptions,
    *,
    init: str | Path | None = None,
    work: str | Path | None = None,
    device: str | Hardware = "auto",
    store: str = "float32",
) -> Path:
    """Train a MusicVAE and write the best of it, by validation, as a checkpoint folder.

    Args:
        data: data set of build-dataset; or a folder of MIDI files, of which a data set is made in
            `work` first.
        validation: the same, of other songs; None: the songs that `data` has set aside, a tenth
            of a folder's.
        out: folder for the result.
        config: sizes of the model; None: those of `init`.
        options: how to train; ``TrainingOptions.of(config)`` gives Magenta's.
        init: checkpoint folder with weights to start from, such as one of convert-weights.
        work: folder from which a later call goes on; None: `out` with ".training" added.
        device: "auto", "cpu" or "cuda"; or the whole hardware.
        store: precision of the stored weights, "float32" or "float16".

    Returns:
        `out`.

    Raises:
        CheckpointError: `init` cannot be read.
        ConfigError: no converter knows the config.
        DatasetError: a data set cannot be read or made, or is of another kind of windows.
        ValueError: `init` is of other sizes than `config`, or options do not go together.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    work = Path(work or f"{out}.training")
    model, origin = None, None
    if init is not None:
        model = MusicVAE.from_pretrained(init)
        # The name may differ.
        sizes = [field.name for field in fields(MusicVAEConfig) if field.name != "name"]
        wanted = {name: getattr(config, name) for name in sizes} if config else {}
        config = initial_config(init, wanted)
        origin = {"musicvae": Path(init).resolve().name, "sha256": weights_sha256(init)}
    if config is None:
        raise ValueError("give a config, or a checkpoint to start from")
    source, aside = as_dataset(data, config, work, "data.h5", validation is None), None
    if validation is not None:
        aside = as_dataset(validation, config, work, "validation.h5", False)
    windows = WindowsDataModule.read(source, config, options, aside)
    lightning.seed_everything(options.seed, verbose=False)
    module = RecordedTraining(config, options, model)
    module.origin = origin
    best = fit(module, windows, options, work, device)
    scores = load_best(module, best)
    record = training_record(windows, options, scores)
    if module.origin:
        record["initialised_from"] = module.origin
    if isinstance(device, Hardware) and (processes := device.devices * device.num_nodes) > 1:
        record["processes"] = processes
    module.model.save_pretrained(out, dtype=getattr(torch, store), records={"training": record})
    return Path(out)


def initial_config(
    init: str | Path, wanted: Mapping[str, Any], base: str | Path | None = None
) -> MusicVAEConfig:
    """The config of a checkpoint to start from, whose sizes cannot be changed.

    Args:
        init: checkpoint folder.
        wanted: values that its fields must have.
        base: name or file of the config that it must be based on; None: any.

    Raises:
        CheckpointError: it cannot be read.
        OptionError: a field has another value, or it is based on another config.
    """
    record = read_config(init)
    if record.get("kind") != MusicVAE.kind or not isinstance(record.get("model"), dict):
        raise CheckpointError(f"{init}: holds no MusicVAE to start from")
    try:
        stored = MusicVAEConfig.from_dict(record["model"])
    except ConfigError as error:
        raise CheckpointError(f"{init}: {error}") from None
    if base is not None and (named := get_config(base)).base != stored.base:
        raise OptionError(f"{init}: is a {stored.base}, not a {named.base}; leave the config out")
    for name, value in wanted.items():
        if getattr(stored, name) != value:
            raise OptionError(
                f"{init}: its {name} is {getattr(stored, name)}, not {value}; the sizes of a "
                "checkpoint cannot be changed; leave them out"
            )
    return stored


def as_dataset(
    data: str | Path, config: MusicVAEConfig, work: Path, name: str, splits: bool
) -> Path:
    """The path of a data set: `data` itself, or one made of the MIDI files in that folder.

    Args:
        data: a data set or a folder.
        config: of its windows.
        work, name: where to make it. If a training in `work` has begun with it, it is left as it
            is, whatever has become of the folder.
        splits: whether to set a tenth of the songs aside, or more, if a tenth is none.

    Raises:
        DatasetError: the folder has no window of the config.
    """
    data = Path(data)
    if not data.is_dir():
        return data
    out = work / name
    work.mkdir(parents=True, exist_ok=True)
    with FileLock(work / "data.lock"):  # as several processes may run this very call
        if not (out.is_file() and (work / "last.ckpt").is_file()):
            chosen = WindowOptions(config, hop_bars=default_hop(config))
            for share in _SHARES if splits else (0.0,):
                built = build_dataset(data, out, BuildOptions(chosen, validation=share))
                if not splits or 0 < built.validation < built.songs or built.songs < 2:
                    break
    return out


def load_best(module: lightning.LightningModule, best: Path) -> dict[str, float]:
    """Load the weights of a checkpoint of :func:`fit`; returns their validation scores."""
    checkpoint = torch.load(best, map_location="cpu", weights_only=True)
    module.on_load_checkpoint(checkpoint)
    module.load_state_dict(checkpoint["state_dict"])
    return {"step": checkpoint["global_step"], **checkpoint["validation_scores"]}


def training_record(
    data: WindowsDataModule, options: TrainingOptions, scores: dict[str, float]
) -> dict[str, Any]:
    """The record of a training for config.json: sizes of the data, options and scores."""
    sizes = {
        name: {"songs": len(windows.songs), "windows": len(windows.tokens)}
        for name, windows in (("training", data.training), ("validation", data.validation))
    }
    return {"data": sizes, "options": asdict(options), "best": scores}
