"""Data sets and a trio's checkpoint → a surrogate's checkpoint, the work of `train-surrogate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch

from musicvae_torch.dataset import Windows, read_sides
from musicvae_torch.errors import OptionError
from musicvae_torch.hyperparameters import HYPERPARAMETER_NAMES
from musicvae_torch.io.checkpoint import weights_sha256
from musicvae_torch.midi.vocabulary import PARTS, STEPS_PER_BAR
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.training import (
    Hardware,
    TrainingOptions,
    WindowsDataModule,
    fit,
    load_best,
    training_record,
)
from surrogate.encoder.model import SurrogateConfig, part_depths
from surrogate.training.encoder.module import PosteriorTraining, SurrogateTraining
from surrogate.training.encoder.options import SurrogateObjective


def train_surrogate(
    data: str | Path,
    validation: str | Path | None,
    musicvae: str | Path,
    out: str | Path,
    options: TrainingOptions,
    *,
    rnn_size: tuple[int, ...] = (128,),
    input_parts: tuple[str, ...] = PARTS,
    pooling: str = "last",
    objective: SurrogateObjective | None = None,
    epochs: float | None = None,
    monitor: str = "val/kl",
    work: str | Path | None = None,
    device: str | Hardware = "auto",
    store: str = "float32",
) -> Path:
    """Train a surrogate of the trio in folder `musicvae`; write it to folder `out`; return that.

    Args:
        data, validation: data sets of build-dataset, of different songs; without the second,
            the songs that `data` has set aside. Posteriors of `musicvae` that they hold are used
            where windows are not shifted. Windows to validate on do not overlap.
        musicvae: checkpoint folder of a trio.
        out: folder for the result.
        options: how to train.
        rnn_size: LSTM units per direction of each layer.
        input_parts: parts that it can be given, in the order of PARTS.
        pooling: see :class:`surrogate.encoder.pooling.PooledEncoder`.
        objective: what to train it to do; None: the defaults.
        epochs: in place of `options.steps`, so many times the windows of `data`.
        monitor: the validation score whose lowest value is the best: "val/kl", the KL divergence
            with the melody given, or "val/hidden_nats", the decoder's nats of the other parts.
        work, device, store: as for ``musicvae_torch.training.train_musicvae``.

    Raises:
        DatasetError, CheckpointError: a data set or the trio cannot be read.
        ConfigError, OptionError: a size or an option is out of range.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    trio = MusicVAE.from_pretrained(musicvae)
    sides = trio_sides(data, validation, trio, musicvae)
    options = with_epochs(options, epochs, sides[0])
    config = SurrogateConfig(
        max_seq_len=trio.config.max_seq_len,
        input_depth=sum(part_depths(input_parts)),
        z_size=trio.config.z_size,
        rnn_size=rnn_size,
        level_lengths=trio.config.encoder_level_lengths,
        input_parts=input_parts,
        pooling=pooling,
    )
    lightning.seed_everything(options.seed, verbose=False)
    module = SurrogateTraining(trio, config, options, objective)
    extra = {"objective": module.record(), "musicvae": Path(musicvae).name}
    return run_training(module, sides, options, out, extra, monitor, work, device, store)


def trio_sides(
    data: str | Path, validation: str | Path | None, trio: MusicVAE, folder: str | Path
) -> tuple[Windows, Windows]:
    """Windows to train and to validate on, for a surrogate of the trio in `folder`.

    For `data`, `validation` and the errors, see :func:`train_surrogate`.
    """
    shape = trio.config.max_seq_len, len(PARTS)
    bars = shape[0] // STEPS_PER_BAR
    return read_sides(
        data, validation, shape=shape, posteriors_of=weights_sha256(folder), apart=bars
    )


def with_epochs(options: TrainingOptions, epochs: float | None, data: Windows) -> TrainingOptions:
    """The options with as many steps as take `epochs` times the windows; None: unchanged.

    Raises:
        OptionError: epochs is not above 0.
    """
    if epochs is None:
        return options
    if not 0 < epochs < float("inf"):
        raise OptionError(f"epochs must be above 0, not {epochs}")
    return replace(options, steps=max(round(epochs * len(data.tokens) / options.batch_size), 1))


def run_training(
    module: PosteriorTraining,
    sides: tuple[Windows, Windows],
    options: TrainingOptions,
    out: str | Path,
    extra: dict[str, Any],
    monitor: str,
    work: str | Path | None,
    device: str | Hardware,
    store: str,
) -> Path:
    """Train a module's surrogate; write its best weights to folder `out`, and return that.

    Args:
        sides: windows to train and to validate on.
        extra: more to record of the training.
        options, out, monitor, work, device, store: as for :func:`train_surrogate`.

    Raises:
        OptionError: the module has no score `monitor`.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    if monitor not in module.monitors:
        known = ", ".join(module.monitors)
        raise OptionError(f"unknown score {monitor!r} to monitor; choose one of: {known}")
    windows = WindowsDataModule(*sides, options)
    best = fit(module, windows, options, work or f"{out}.training", device, monitor=monitor)
    scores = load_best(module, best)
    record = training_record(windows, options, scores) | extra
    for name in HYPERPARAMETER_NAMES:  # of a MusicVAE's objective
        record["options"].pop(name)
    module.surrogate.save_pretrained(out, dtype=getattr(torch, store), records={"training": record})
    return Path(out)
