"""Windows as a Lightning data module: endless batches to train on, and all to validate on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.dataset import Windows, coded_batches, read_sides, training_batches, transpose
from musicvae_torch.dataset.augment import transposer
from musicvae_torch.dataset.batches import draw_batches, shifted_tokens
from musicvae_torch.dataset.reading import check_tokens
from musicvae_torch.dataset.tensors import ModelBatch, has_converter, model_batch, token_width
from musicvae_torch.errors import DatasetError, OptionError
from musicvae_torch.training.options import TrainingOptions

Batch = Tensor | list[Tensor] | ModelBatch


def as_model_batch(batch: Batch) -> ModelBatch:
    """A batch of whatever form: bare tokens are inputs and targets alike, with codes or not."""
    if isinstance(batch, ModelBatch):
        return batch
    tokens = batch if isinstance(batch, Tensor) else batch[0]
    return ModelBatch(tokens, tokens)


def _is_plain(config: MusicVAEConfig | None) -> bool:
    """Whether a config's tokens are inputs and targets as they are, as those of trios."""
    return config is None or (
        config.output == "categorical"
        and config.input_depth == config.output_depth
        and not config.control_depth
    )


class WindowsDataModule(lightning.LightningDataModule):
    """Endless training batches, and the validation windows in order.

    Each batch depends on the seed, its number and the process's rank alone. Batches of configs
    whose tokens are inputs and targets alike, such as trios, are (batch, steps, parts) int64
    tokens, with their stored codes where there are some and no window is shifted; those of
    others are :class:`ModelBatch`.

    Args:
        training, validation: the windows.
        options: of batches and draws.
        config: whose windows they are; None: trios.
    """

    def __init__(
        self,
        training: Windows,
        validation: Windows,
        options: TrainingOptions,
        config: MusicVAEConfig | None = None,
    ) -> None:
        super().__init__()
        if config and options.max_transpose and transposer(config) is None:
            raise OptionError(
                f"config {config.name!r} has nothing to transpose: max_transpose must be 0, not "
                f"{options.max_transpose}"
            )
        self.training = training
        self.validation = validation
        self.options = options
        self.config = config

    @classmethod
    def read(
        cls,
        data: str | Path,
        config: MusicVAEConfig,
        options: TrainingOptions,
        validation: str | Path | None = None,
    ) -> WindowsDataModule:
        """Data sets of build-dataset, of different songs; without the second, the songs that
        `data` has set aside. Windows to validate on do not overlap.

        Raises:
            DatasetError: a file cannot be read, or its windows are not such as `config` takes.
        """
        width = token_width(config)
        for path in (data, validation):
            if path is not None:
                check_tokens(path, config)
        bars = get_converter(config).window_bars if has_converter(config) else None
        sides = read_sides(data, validation, shape=(config.max_seq_len, width), apart=bars)
        return cls(*sides, options, config)

    @property
    def plain(self) -> bool:
        return _is_plain(self.config) and self.training.length is None

    def train_dataloader(self) -> DataLoader:
        return DataLoader(_TrainingStream(self), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        windows, trainer = self.validation, self.trainer
        rank, ranks = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        if len(windows.tokens) < ranks:
            raise DatasetError(
                f"{len(windows.tokens)} windows to validate on are too few for {ranks} processes"
            )
        rows = slice(rank, None, ranks)
        if self.plain:
            columns = [windows.tokens.astype("int64"), windows.code_mean, windows.code_stddev]
            tensors = [torch.from_numpy(column[rows]) for column in columns if column is not None]
            return DataLoader(TensorDataset(*tensors), batch_size=self.options.batch_size)
        numbers = _Numbers(range(len(windows.tokens))[rows])
        return DataLoader(numbers, self.options.batch_size, collate_fn=self._validation_batch)

    def _validation_batch(self, rows: list[int]) -> ModelBatch:
        return self.batch(self.validation, np.array(rows), self.validation.tokens[rows])

    def batch(self, windows: Windows, rows: np.ndarray, tokens: np.ndarray) -> ModelBatch:
        """Those of the windows, with `tokens` in place of their own."""
        assert self.config is not None
        lengths = None if windows.length is None else windows.length[rows]
        return model_batch(self.config, tokens, lengths)


class _Numbers(Dataset):
    """Rows of the validation windows, as a data set for a DataLoader."""

    def __init__(self, rows: range) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> int:
        return self._rows[index]


class _TrainingStream(IterableDataset):
    """Batches from the one that the trainer's step counter stands at."""

    def __init__(self, module: WindowsDataModule) -> None:
        self.module = module

    def __iter__(self) -> Iterator[Batch]:
        module, options = self.module, self.module.options
        windows, trainer = module.training, module.trainer
        start, rank = 0, 0
        if trainer:
            start = trainer.global_step * trainer.accumulate_grad_batches
            rank = trainer.global_rank
        draws: dict[str, Any] = {"rank": rank, "draw": options.draw, "temper": options.temper}
        size, most = options.batch_size, options.max_transpose
        shift = transposer(module.config) if module.config else transpose
        if not module.plain:
            picked = draw_batches(windows, size, options.seed, start, **draws)
            for rows, rng in picked:
                tokens = (
                    shifted_tokens(windows, rows, rng, most, shift)
                    if shift and most
                    else windows.tokens[rows]
                )
                yield module.batch(windows, rows, tokens)
        if windows.code_mean is not None and not most:
            for arrays in coded_batches(windows, size, options.seed, start, **draws):
                yield [torch.from_numpy(array) for array in arrays]
        draws["shift"] = shift or transpose  # which does nothing where `most` is 0
        batches = training_batches(windows, size, most, options.seed, start, **draws)
        yield from map(torch.from_numpy, batches)
