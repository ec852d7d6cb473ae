"""The encoder's posterior of each window of a data set, stored beside it.

Lightning runs the encoder, so that several devices or nodes can share the windows. Each finished
batch is stored in a file of its own; a stopped run goes on with those that are missing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import h5py
import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import BasePredictionWriter, TQDMProgressBar
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.dataset.format import CODE_COLUMNS, codes_model, dataset_config, open_dataset
from musicvae_torch.dataset.tensors import Batch, encoder_arguments
from musicvae_torch.errors import DatasetError
from musicvae_torch.io.checkpoint import weights_sha256
from musicvae_torch.io.devices import pick_device
from musicvae_torch.io.files import replacing
from musicvae_torch.model.vae import MusicVAE


def add_codes(
    data: str | Path,
    musicvae: str | Path,
    *,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    batch_size: int = 256,
    progress: bool = True,
) -> int:
    """Add ``code_mean`` and ``code_stddev`` of every window to a data set, or replace them.

    Finished batches are kept in the folder `data` with ".codes" added, from where the same call
    goes on. Nothing is done where the codes of this model are there already.

    Args:
        data: the file; replaced as a whole, at the end.
        musicvae: checkpoint folder of a model that takes such windows.
        device: "auto", "cpu" or "cuda".
        devices: how many of them on each node.
        nodes: how many machines; each runs the same call, as Lightning wants it.
        batch_size: windows at a time.
        progress: show a progress bar.

    Returns:
        How many windows there are.

    Raises:
        DatasetError: the data set cannot be read, or its windows are not of the model's kind.
        CheckpointError: the model cannot be read.
        OptionError: there is no such device.
    """
    data = Path(data)
    model = MusicVAE.from_pretrained(musicvae)
    weights = weights_sha256(musicvae)
    with open_dataset(data) as file:
        check_config(file, model.config)
        count = len(file["tokens"])
        if codes_model(file).get("sha256") == weights:
            return count
        # Windows that a new build put in the file are others.
        build = str(file.attrs.get("build", ""))
    key = hashlib.sha256(f"{weights} {build} {count} {batch_size}".encode()).hexdigest()[:16]
    parts = data.with_name(f"{data.name}.codes") / key
    batches = _Batches(data, model.config, batch_size, count, parts)
    trainer = _trainer(device, devices, nodes, progress, parts)
    if len(batches):
        with warnings.catch_warnings():
            for harmless in ("does not have many workers", "infer the batch indices", "LeafSpec"):
                warnings.filterwarnings("ignore", f".*{harmless}")
            loader = DataLoader(batches, batch_size=None)
            trainer.predict(_Encoder(model), loader, return_predictions=False)
    trainer.strategy.barrier()
    if trainer.is_global_zero:
        record = {"musicvae": Path(musicvae).name, "sha256": weights}
        _write_codes(data, parts, -(-count // batch_size), record)
        shutil.rmtree(parts.parent)
    return count


def check_config(file: h5py.File, config: MusicVAEConfig) -> None:
    """Make sure that a data set's windows are what a model takes.

    Raises:
        DatasetError: they are not.
    """
    stored = dataset_config(file)
    for name in ("max_seq_len", "input_depth", "output_depths", "control_depth"):
        if getattr(stored, name) != getattr(config, name):
            raise DatasetError(
                f"{file.filename}: holds windows of {stored.name}, which {config.name} does not "
                f"take ({name} {getattr(stored, name)}, not {getattr(config, name)})"
            )


class _Encoder(lightning.LightningModule):
    def __init__(self, model: MusicVAE) -> None:
        super().__init__()
        self.model = model

    def predict_step(self, batch: tuple[int, Batch]) -> tuple[int, Tensor]:
        """A batch's number and its codes, (2, windows, z_size): mean and stddev."""
        number, (inputs, lengths, controls) = batch
        posterior = self.model.encode(inputs, lengths, controls)
        return number, torch.stack([posterior.mean, posterior.stddev])


class _Batches(Dataset):
    """The batches that are still to be encoded, with their numbers."""

    def __init__(
        self, data: Path, config: MusicVAEConfig, batch_size: int, count: int, done: Path
    ) -> None:
        self._data = data
        self._config = config
        self._batch_size = batch_size
        numbers = range(-(-count // batch_size))
        self._left = [number for number in numbers if not _part_path(done, number).is_file()]

    def __len__(self) -> int:
        return len(self._left)

    def __getitem__(self, index: int) -> tuple[int, Batch]:
        number = self._left[index]
        rows = slice(number * self._batch_size, (number + 1) * self._batch_size)
        with open_dataset(self._data) as file:
            tokens = file["tokens"][rows]
            lengths = file["length"][rows] if "length" in file else None
        return number, encoder_arguments(self._config, tokens, lengths)


class _PartWriter(BasePredictionWriter):
    """Stores each batch's codes as they come, on whatever rank."""

    def __init__(self, folder: Path) -> None:
        super().__init__("batch")
        self._folder = folder

    def write_on_batch_end(self, *arguments: Any) -> None:
        number, codes = arguments[2]
        with replacing(_part_path(self._folder, number)) as path, path.open("wb") as file:
            np.save(file, codes.cpu().numpy())


def _part_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.npy"


def _trainer(
    device: str, devices: int, nodes: int, progress: bool, parts: Path
) -> lightning.Trainer:
    callbacks: list[lightning.Callback] = [_PartWriter(parts)]
    if progress:
        callbacks.append(TQDMProgressBar(refresh_rate=1))
    # Processes of its own for one machine, as the command must not be run once more in each.
    spawns = devices > 1 and nodes == 1
    return lightning.Trainer(
        accelerator="gpu" if pick_device(device).type == "cuda" else "cpu",
        devices=devices,
        num_nodes=nodes,
        strategy="ddp_spawn" if spawns else "auto",
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        inference_mode=True,
    )


def _write_codes(data: Path, parts: Path, batches: int, model: dict[str, str]) -> None:
    # In the parts' folder, so that nothing else is left where this is cut short.
    with h5py.File(parts / "merged.h5", "w") as file:
        with h5py.File(data, "r") as old:
            file.attrs.update(old.attrs)
            for name in old:
                if name not in CODE_COLUMNS:
                    old.copy(name, file)
            count = len(old["tokens"])
        file.attrs["codes"] = json.dumps(model)
        first = 0
        for number in range(batches):
            codes = np.load(_part_path(parts, number), allow_pickle=False)
            for name, values in zip(CODE_COLUMNS, codes, strict=True):
                if name not in file:
                    file.create_dataset(name, (count, codes.shape[-1]), np.float32)
                file[name][first : first + codes.shape[1]] = values
            first += codes.shape[1]
    (parts / "merged.h5").replace(data)
