"""The encoder's posterior of each window of a data set, stored beside it.

Lightning runs the encoder, so that several devices or nodes can share the windows. Each finished
batch is stored in a file of its own; after a stop, the missing ones are computed.
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
from musicvae_torch.dataset.format import (
    POSTERIOR_COLUMNS,
    dataset_config,
    open_dataset,
    posterior_model,
)
from musicvae_torch.errors import DatasetError
from musicvae_torch.io.checkpoint import weights_sha256
from musicvae_torch.io.files import replacing
from musicvae_torch.io.hardware import Hardware
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.tensors import ModelBatch, model_batch


def add_posteriors(
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

    Finished batches are kept in the folder `data` with ".codes" added, from which the same call
    goes on after a stop. Posteriors that this very model has added are left alone.

    Args:
        data: the file; replaced as a whole, at the end.
        musicvae: checkpoint folder of a model that takes such windows.
        device: "auto", "cpu" or "cuda".
        devices: how many of them on each node.
        nodes: how many machines; each runs the same call, started as Lightning requires.
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
        if posterior_model(file).get("sha256") == weights:
            return count
        # Batches of an earlier build's windows are of no use.
        build = str(file.attrs.get("build", ""))
    key = hashlib.sha256(f"{weights} {build} {count} {batch_size}".encode()).hexdigest()[:16]
    store = data.with_name(f"{data.name}.codes") / key
    batches = _Batches(data, model.config, batch_size, count, store)
    trainer = lightning.Trainer(
        **Hardware(device, devices, nodes).trainer_arguments(),
        callbacks=[_BatchWriter(store), *([TQDMProgressBar(refresh_rate=1)] if progress else [])],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        inference_mode=True,
    )
    if len(batches):
        with warnings.catch_warnings():
            for harmless in ("does not have many workers", "infer the batch indices", "LeafSpec"):
                warnings.filterwarnings("ignore", f".*{harmless}")
            loader = DataLoader(batches, batch_size=None)
            trainer.predict(_Encoder(model), loader, return_predictions=False)
    trainer.strategy.barrier()
    if trainer.is_global_zero:
        record = {"musicvae": Path(musicvae).name, "sha256": weights}
        _write_posteriors(data, store, -(-count // batch_size), record)
        shutil.rmtree(store.parent)
    return count


def check_config(file: h5py.File, config: MusicVAEConfig) -> None:
    """Raise DatasetError unless a data set's windows are what a model takes."""
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

    def predict_step(self, batch: tuple[int, ModelBatch]) -> tuple[int, Tensor]:
        """A batch's number and its posteriors, (2, windows, z_size): mean and stddev."""
        number, windows = batch
        posterior = self.model.encode(windows.inputs, windows.lengths, windows.controls)
        return number, torch.stack([posterior.mean, posterior.stddev])


class _Batches(Dataset[tuple[int, ModelBatch]]):
    """The batches that are still to be encoded, with their numbers."""

    def __init__(
        self, data: Path, config: MusicVAEConfig, batch_size: int, count: int, store: Path
    ) -> None:
        self._data = data
        self._config = config
        self._batch_size = batch_size
        numbers = range(-(-count // batch_size))
        self._missing = [number for number in numbers if not _batch_path(store, number).is_file()]

    def __len__(self) -> int:
        return len(self._missing)

    def __getitem__(self, index: int) -> tuple[int, ModelBatch]:
        number = self._missing[index]
        rows = slice(number * self._batch_size, (number + 1) * self._batch_size)
        with open_dataset(self._data) as file:
            tokens = file["tokens"][rows]
            lengths = file["length"][rows] if "length" in file else None
        return number, model_batch(self._config, tokens, lengths)


class _BatchWriter(BasePredictionWriter):
    """Stores the posteriors of each batch, on the rank that encoded it."""

    def __init__(self, store: Path) -> None:
        super().__init__("batch")
        self._store = store

    def write_on_batch_end(self, *arguments: Any) -> None:
        number, posteriors = arguments[2]
        with replacing(_batch_path(self._store, number)) as path, path.open("wb") as file:
            np.save(file, posteriors.cpu().numpy())


def _batch_path(store: Path, number: int) -> Path:
    return store / f"{number:06d}.npy"


def _write_posteriors(data: Path, store: Path, batches: int, model: dict[str, str]) -> None:
    # In the store's folder, so that nothing else is left behind if this is interrupted.
    with h5py.File(store / "merged.h5", "w") as file:
        with h5py.File(data, "r") as old:
            file.attrs.update(old.attrs)
            for name in old:
                if name not in POSTERIOR_COLUMNS:
                    old.copy(name, file)
            count = len(old["tokens"])
        file.attrs["codes"] = json.dumps(model)
        first = 0
        for number in range(batches):
            moments = np.load(_batch_path(store, number), allow_pickle=False)
            for name, values in zip(POSTERIOR_COLUMNS, moments, strict=True):
                column = file.require_dataset(name, (count, values.shape[1]), np.float32)
                column[first : first + len(values)] = values
            first += moments.shape[1]
    (store / "merged.h5").replace(data)
