"""Windows as a Lightning data module: endless batches to train on, each window once to validate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from musicvae_torch.config import MusicVAEConfig, get_config
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.dataset.augment import has_drums_to_silence, silence_drums, transposer
from musicvae_torch.dataset.batches import draw_batches, draw_shifts, shifted_tokens
from musicvae_torch.dataset.format import Windows, read_sides
from musicvae_torch.dataset.reading import check_tokens
from musicvae_torch.errors import DatasetError, OptionError
from musicvae_torch.training.device_data import DeviceWindows, fits
from musicvae_torch.training.options import TrainingOptions
from musicvae_torch.windows.tensors import ModelBatch, has_converter, model_batch, token_width


class WindowsDataModule(lightning.LightningDataModule):
    """Endless training batches, and the validation windows in order.

    Each training batch depends on the seed, its number and the process's rank alone. Batches have
    the stored posteriors of their windows, if there are any and no window is shifted.

    Args:
        training, validation: the windows.
        options: of batches and draws.
        config: of the windows; None: trios.
    """

    def __init__(
        self,
        training: Windows,
        validation: Windows,
        options: TrainingOptions,
        config: MusicVAEConfig | None = None,
    ) -> None:
        super().__init__()
        self.config = config or get_config("hier-trio_16bar")
        self.shift = transposer(self.config)
        if options.max_transpose and self.shift is None:
            raise OptionError(
                f"config {self.config.name!r} has nothing to transpose: max_transpose must be 0, "
                f"not {options.max_transpose}"
            )
        if options.silence_drums and not has_drums_to_silence(self.config):
            raise OptionError(
                f"config {self.config.name!r} is of no grooves: silence_drums must be 0, not "
                f"{options.silence_drums}"
            )
        if options.groove_error != "squared" and self.config.output != "groove":
            raise OptionError(
                f"config {self.config.name!r} is of no grooves: groove_error must be squared, not "
                f"{options.groove_error}"
            )
        self.training = training
        self.validation = validation
        self.options = options

    @classmethod
    def read(
        cls,
        data: str | Path,
        config: MusicVAEConfig,
        options: TrainingOptions,
        validation: str | Path | None = None,
    ) -> WindowsDataModule:
        """Read data sets of build-dataset, to validate on the second or, without it, on the songs
        that `data` has set aside. Windows to validate on do not overlap.

        Raises:
            DatasetError: a file cannot be read, or its windows are of another kind.
        """
        shape = (config.max_seq_len, token_width(config))
        for path in [data] if validation is None else [data, validation]:
            check_tokens(path, config)
        bars = get_converter(config).window_bars if has_converter(config) else None
        sides = read_sides(data, validation, shape=shape, apart=bars)
        return cls(*sides, options, config)

    def train_dataloader(self) -> DataLoader[ModelBatch]:
        return DataLoader(_TrainingStream(self), batch_size=None)

    def val_dataloader(self) -> DataLoader[ModelBatch]:
        windows, trainer = self.validation, self.trainer
        rank, ranks = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        if len(windows.tokens) < ranks:
            raise DatasetError(
                f"{len(windows.tokens)} windows to validate on are too few for {ranks} processes"
            )
        rows: Any = range(rank, len(windows.tokens), ranks)
        return DataLoader(rows, self.options.batch_size, collate_fn=self._validation_batch)

    def _validation_batch(self, rows: list[int]) -> ModelBatch:
        return self.batch(self.validation, np.array(rows), self.validation.tokens[rows])

    def batch(self, windows: Windows, rows: np.ndarray, tokens: np.ndarray) -> ModelBatch:
        """A batch of the windows of some rows, with `tokens` in place of their own."""
        lengths = None if windows.length is None else windows.length[rows]
        mean, stddev = (
            None if column is None else torch.from_numpy(column[rows])
            for column in (windows.posterior_mean, windows.posterior_stddev)
        )
        batch = model_batch(self.config, tokens, lengths)
        return batch._replace(posterior_mean=mean, posterior_stddev=stddev)


class _TrainingStream(IterableDataset[ModelBatch]):
    """Training batches, from the trainer's step on; made on the trainer's device, if it has room
    for the windows."""

    def __init__(self, module: WindowsDataModule) -> None:
        self.module = module

    def __iter__(self) -> Iterator[ModelBatch]:
        module, options = self.module, self.module.options
        windows, trainer = module.training, module.trainer
        start, rank = 0, 0
        if trainer:
            start = trainer.global_step * trainer.accumulate_grad_batches
            rank = trainer.global_rank
        most = options.max_transpose
        if most:  # stored posteriors are those of windows that are not shifted
            windows = replace(windows, posterior_mean=None, posterior_stddev=None)
        here = None
        if trainer and fits(windows, module.config, trainer.strategy.root_device):
            here = DeviceWindows(windows, module.config, trainer.strategy.root_device)
        draws: dict[str, Any] = {"rank": rank, "draw": options.draw, "temper": options.temper}
        batches = draw_batches(windows, options.batch_size, options.seed, start, **draws)
        for rows, rng in batches:
            if here is not None:
                yield here.batch(rows, draw_shifts(rng, most, len(rows)))
                continue
            tokens = windows.tokens[rows]
            if most and module.shift:
                tokens = shifted_tokens(windows, rows, rng, most, module.shift)
            if options.silence_drums:
                tokens = silence_drums(tokens, options.silence_drums, rng)
            yield module.batch(windows, rows, tokens)
