"""The windows that a model takes, of a data set or of a folder of MIDI files."""

from __future__ import annotations

import tempfile
from pathlib import Path

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.dataset.build import build_dataset
from musicvae_torch.dataset.extraction import default_hop, same_windows
from musicvae_torch.dataset.format import (
    Windows,
    dataset_config,
    has_split,
    open_dataset,
    read_dataset,
)
from musicvae_torch.dataset.options import BuildOptions, WindowOptions
from musicvae_torch.errors import DatasetError
from musicvae_torch.windows.tensors import has_converter, token_width


def read_windows(
    data: str | Path,
    config: MusicVAEConfig,
    split: str,
    *,
    posteriors_of: str | None = None,
    apart: bool = False,
    progress: bool = False,
) -> Windows:
    """Read the windows of a data set, or of a folder of MIDI files.

    Args:
        data: the file or folder.
        config: of the model that is to take the windows.
        split: "train" or "validation", which songs to take if some are set aside; else all.
        posteriors_of: as for :func:`read_dataset`.
        apart: leave out windows that overlap.
        progress: show a progress bar.

    Raises:
        DatasetError: they cannot be read, or are of another config.
    """
    if Path(data).is_dir():
        with tempfile.TemporaryDirectory() as work:
            chosen = WindowOptions(config, hop_bars=default_hop(config))
            built = Path(work) / "data.h5"
            build_dataset(data, built, BuildOptions(chosen, validation=0.0, progress=progress))
            return read_windows(built, config, split, apart=apart)
    return read_split(
        data, config, split if has_split(data) else None, posteriors_of=posteriors_of, apart=apart
    )


def read_split(
    data: str | Path,
    config: MusicVAEConfig,
    split: str | None,
    *,
    posteriors_of: str | None = None,
    apart: bool = False,
) -> Windows:
    """Read the windows of a split of a data set; of all songs, if the split is None.

    Arguments are as for :func:`read_windows`.

    Raises:
        DatasetError: it cannot be read, is of another config, or has no such split.
    """
    check_tokens(data, config)
    return read_dataset(
        data,
        split,
        shape=(config.max_seq_len, token_width(config)),
        posteriors_of=posteriors_of,
        apart=get_converter(config).window_bars if apart else None,
    )


def check_tokens(path: str | Path, config: MusicVAEConfig) -> None:
    """Raise DatasetError unless a data set's tokens mean to `config` what they meant when it was
    built. (That of one groove config suits most others, whose inputs are made of the same tokens.)
    """
    with open_dataset(path) as file:
        if "config" not in file.attrs:
            return
        stored = dataset_config(file)
    if stored == config or not (has_converter(stored) and has_converter(config)):
        return
    if not same_windows(config, stored):
        raise DatasetError(
            f"{path}: holds windows of {stored.name}, which {config.name} does not take; build "
            f"one with build-dataset --config {config.base}"
        )
