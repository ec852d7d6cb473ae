"""From data sets and a trio's checkpoint to a surrogate's: what `train-surrogate` does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch

from musicvae_torch.converters.trio import PARTS
from musicvae_torch.dataset import Windows, read_sides
from musicvae_torch.dataset.codes import weights_sha256
from musicvae_torch.dataset.format import ANY_MODEL
from musicvae_torch.errors import DatasetError, OptionError
from musicvae_torch.hyperparameters import HYPERPARAMETER_NAMES
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR
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
from surrogate.training.encoder.module import PointTraining, SurrogateTraining
from surrogate.training.encoder.options import SurrogateObjective


def train_surrogate(
    data: str | Path,
    validation: str | Path | None,
    musicvae: str | Path,
    out: str | Path,
    options: TrainingOptions,
    *,
    rnn_size: tuple[int, ...] = (128,),
    hears: tuple[str, ...] = PARTS,
    pooling: str = "last",
    objective: SurrogateObjective | None = None,
    epochs: float | None = None,
    monitor: str = "val/kl",
    work: str | Path | None = None,
    device: str | Hardware = "auto",
    store: str = "float32",
) -> Path:
    """Train a surrogate of the trio in folder `musicvae` and write it to folder `out`.

    Args:
        data, validation: data sets of build-dataset, of different songs; without the second,
            the songs that `data` has set aside. Codes of `musicvae` that they hold are used where
            windows are not shifted. Windows to validate on do not overlap.
        musicvae: checkpoint folder of a trio.
        out: folder for the result.
        options: how to train.
        rnn_size: LSTM units per direction of each layer.
        hears: parts that it can be given, in the order of PARTS.
        pooling: see :class:`surrogate.encoder.pooling.PooledEncoder`.
        objective: what to train it to do; None: the defaults.
        epochs: in place of `options.steps`, so many times the windows of `data`.
        monitor: the validation score whose lowest value is the best: "val/kl", the KL divergence
            with the melody given, or "val/hidden_nats", what the decoder then loses on the others.
        work, device, store: as for ``musicvae_torch.training.train_musicvae``.

    Returns:
        `out`.

    Raises:
        DatasetError, CheckpointError: a data set or the trio cannot be read.
        ConfigError, OptionError: a size or an option is out of range.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    trio = MusicVAE.from_pretrained(musicvae)
    sides = _trio_sides(data, validation, trio, musicvae)
    options = _with_epochs(options, epochs, sides[0])
    config = SurrogateConfig(
        max_seq_len=trio.config.max_seq_len,
        input_depth=sum(part_depths(hears)),
        z_size=trio.config.z_size,
        rnn_size=rnn_size,
        level_lengths=trio.config.encoder_level_lengths,
        hears=hears,
        pooling=pooling,
    )
    lightning.seed_everything(options.seed, verbose=False)
    module = SurrogateTraining(trio, config, options, objective)
    extra = {"objective": module.record(), "musicvae": Path(musicvae).name}
    return _run(module, sides, options, out, extra, monitor, work, device, store)


def train_point_surrogate(
    data: str | Path,
    validation: str | Path | None,
    musicvae: str | Path | None,
    out: str | Path,
    options: TrainingOptions,
    *,
    rnn_size: tuple[int, ...] = (128, 128),
    epochs: float | None = None,
    monitor: str = "val/latent_error",
    work: str | Path | None = None,
    device: str | Hardware = "auto",
    store: str = "float32",
) -> Path:
    """Train the surrogate of accompany-music-vae and write it to folder `out`.

    Args:
        data, validation: as for :func:`train_surrogate`; or, without `musicvae`, data sets that
            hold codes of whatever trio (such as import-dataset makes of that project's files),
            of which the melody and the mean are needed.
        musicvae: checkpoint folder of a trio; None: codes stand in for it.
        options: how to train; ``TrainingOptions(**SEED_OPTIONS)`` is how the original did, for
            SEED_EPOCHS, but that there each window had its turn once an epoch.
        out, rnn_size, epochs, monitor, work, device, store: as for :func:`train_surrogate`.

    Returns:
        `out`.

    Raises:
        DatasetError, CheckpointError: a data set or the trio cannot be read, or there is neither
            a trio nor codes.
        ConfigError, OptionError: a size or an option is out of range.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    if musicvae is None:
        trio, sides = None, _coded_sides(data, validation, options)
        assert sides[0].code_mean is not None
        steps, z_size = sides[0].tokens.shape[1], sides[0].code_mean.shape[1]
    else:
        trio = MusicVAE.from_pretrained(musicvae)
        sides = _trio_sides(data, validation, trio, musicvae)
        steps, z_size = trio.config.max_seq_len, trio.config.z_size
    options = _with_epochs(options, epochs, sides[0])
    lightning.seed_everything(options.seed, verbose=False)
    config = SurrogateConfig(max_seq_len=steps, z_size=z_size, rnn_size=rnn_size)
    module = PointTraining(trio, config, options)
    extra = {} if musicvae is None else {"musicvae": Path(musicvae).name}
    return _run(module, sides, options, out, extra, monitor, work, device, store)


def _trio_sides(
    data: str | Path, validation: str | Path | None, trio: MusicVAE, folder: str | Path
) -> tuple[Windows, Windows]:
    shape = trio.config.max_seq_len, len(PARTS)
    bars = shape[0] // STEPS_PER_BAR
    return read_sides(data, validation, shape=shape, codes_of=weights_sha256(folder), apart=bars)


def _coded_sides(
    data: str | Path, validation: str | Path | None, options: TrainingOptions
) -> tuple[Windows, Windows]:
    """Windows with the codes that are stored beside them."""
    if options.max_transpose:
        raise OptionError("stored codes do not go with windows that are shifted: --transpose 0")
    sides = read_sides(data, validation, codes_of=ANY_MODEL)
    for path, windows in zip((data, validation or data), sides, strict=True):
        if windows.code_mean is None:
            raise DatasetError(f"{path}: holds no codes; name the trio with --musicvae")
        if windows.tokens.shape[2] not in (1, len(PARTS)):
            shape = windows.tokens.shape
            raise DatasetError(f"{path}: tokens have shape {shape}, wanted melodies or trios")
    found, wanted = (
        (*side.tokens.shape[1:], None if side.code_mean is None else side.code_mean.shape[1])
        for side in (sides[1], sides[0])
    )
    if found != wanted:
        raise DatasetError(f"{validation}: has steps, parts and latents {found}, wanted {wanted}")
    return sides


def _with_epochs(options: TrainingOptions, epochs: float | None, data: Windows) -> TrainingOptions:
    if epochs is None:
        return options
    if not 0 < epochs < float("inf"):
        raise OptionError(f"epochs must be above 0, not {epochs}")
    return replace(options, steps=max(round(epochs * len(data.tokens) / options.batch_size), 1))


def _run(
    module: SurrogateTraining | PointTraining,
    sides: tuple[Windows, Windows],
    options: TrainingOptions,
    out: str | Path,
    extra: dict[str, Any],
    monitor: str,
    work: str | Path | None,
    device: str | Hardware,
    store: str,
) -> Path:
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
