"""Songs to train a band on: the windows of data sets, joined into runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from musicvae_torch.converters.trio import WINDOW_BARS
from musicvae_torch.dataset.batches import source_of
from musicvae_torch.dataset.format import open_dataset, split_rows
from musicvae_torch.errors import DatasetError
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, PARTS, STEPS_PER_BAR

_CHUNK = 4096  # windows read at a time
_STEPS = WINDOW_BARS * STEPS_PER_BAR


@dataclass(frozen=True)
class Runs:
    """Consecutive bars of the same three tracks of songs, one run after another.

    Attributes:
        tokens: (steps, 3) int16 classes of melody, bass and drums, of all runs.
        first: (runs + 1,) the step at which each begins, and the end of the last.
        song: (runs,) row in `songs`.
        songs: path of each song.
        sources: where each is from: its data set and the top-level folder in it.
        window_step: (windows,) the step at which each window of a data set begins.
        posterior_mean: (windows, z_size) the mean of a MusicVAE's posterior of each; None if a data
            set holds none.
    """

    tokens: np.ndarray
    first: np.ndarray
    song: np.ndarray
    songs: list[str]
    sources: list[str]
    window_step: np.ndarray
    posterior_mean: np.ndarray | None = None

    @cached_property
    def bar_run(self) -> np.ndarray:
        """(bars,) the run of each bar."""
        return np.repeat(np.arange(len(self.song)), np.diff(self.first) // STEPS_PER_BAR)

    @cached_property
    def bars_left(self) -> np.ndarray:
        """(bars,) bars from each to the end of its run, itself counted."""
        ends = self.first[self.bar_run + 1] // STEPS_PER_BAR
        return np.asarray(ends - np.arange(len(ends)))

    @cached_property
    def drums_used(self) -> np.ndarray:
        """(bars,) how many drums are struck in the sixteen bars from each on."""
        bars = np.bitwise_or.reduce(self.tokens[:, 2].reshape(-1, STEPS_PER_BAR), axis=1)
        used = bars.copy()
        for ahead in range(1, WINDOW_BARS):
            within = self.bars_left > ahead
            used[within] |= np.roll(bars, -ahead)[within]
        return np.asarray((used[:, None] >> np.arange(len(DRUM_CLASSES)) & 1).sum(1))

    def window(self, bar: int, bars: int) -> np.ndarray:
        """(steps, 3) classes of so many bars."""
        return self.tokens[bar * STEPS_PER_BAR : (bar + bars) * STEPS_PER_BAR]


def read_runs(paths: Sequence[str | Path], split: str | None = None) -> Runs:
    """Join the windows of data sets of trios.

    Args:
        paths: of build-dataset; windows may overlap, as with --hop 8.
        split: "train" or "validation", those songs alone; None: all.

    Raises:
        DatasetError: a file is missing, or no data set of 16-bar trios, or has no such songs; or
            some have posteriors and others have none, or those of other sizes.
    """
    each = [_read(Path(path), split) for path in paths]
    sizes = {None if one.posterior_mean is None else one.posterior_mean.shape[1] for one in each}
    if len(sizes) > 1:
        raise DatasetError(
            f"{', '.join(map(str, paths))}: some hold posteriors and others hold none, or those of "
            "another model; run encode-dataset on all with the same checkpoint"
        )
    steps = np.cumsum([0, *(len(one.tokens) for one in each)])
    songs = np.cumsum([0, *(len(one.songs) for one in each)])
    means = [one.posterior_mean for one in each if one.posterior_mean is not None]
    moved = [
        (one.first[:-1] + step, one.song + song, one.window_step + step)
        for one, step, song in zip(each, steps, songs, strict=False)
    ]
    first, song, window_step = (np.concatenate(columns) for columns in zip(*moved, strict=True))
    return Runs(
        tokens=np.concatenate([one.tokens for one in each]),
        first=np.append(first, steps[-1]),
        song=song,
        songs=[song for one in each for song in one.songs],
        sources=[source for one in each for source in one.sources],
        window_step=window_step,
        posterior_mean=np.concatenate(means) if means else None,
    )


def _read(path: Path, split: str | None) -> Runs:
    with open_dataset(path) as file:
        shape = file["tokens"].shape
        if len(shape) != 3 or shape[1:] != (_STEPS, len(PARTS)):
            raise DatasetError(
                f"{path}: tokens have shape {shape}, wanted (n, {_STEPS}, {len(PARTS)}); build it "
                "with build-dataset --config hier-trio_16bar"
            )
        rows = split_rows(file, split)
        if not len(rows):
            raise DatasetError(f"{path}: holds no windows{f' for {split}' if split else ''}")
        new, begins, parts = _join(file, rows)
        songs = [os.fsdecode(song) for song in file["songs"][:]]
        song = file["song"][:][rows]
        means = file["code_mean"][:][rows] if "code_mean" in file else None
    ends = np.cumsum(new)
    return Runs(
        tokens=np.concatenate(parts),
        first=np.append(ends[begins] - _STEPS, ends[-1]),
        song=song[begins],
        songs=songs,
        sources=[f"{path.stem}:{source_of(song)}" for song in songs],
        window_step=ends - _STEPS,
        posterior_mean=means,
    )


def _join(file: h5py.File, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """The steps that each window adds to the run that it belongs to.

    A window continues the one before it in the file if it is of the same tracks of the same song
    in the same key, begins at most sixteen bars later, and has the same tokens where they overlap:
    bars are counted from 0 again wherever the metre or the tempo changes.

    Returns:
        (windows,) how many of its steps, the last ones, are new; (windows,) bool, whether it
        begins a run; and the new steps' tokens.
    """
    same = np.ones(len(rows), bool)
    same[:1] = False
    for name in ("song", "instruments", "transposition"):
        if name in file:
            column = file[name][:][rows].reshape(len(rows), -1)
            same[1:] &= (column[1:] == column[:-1]).all(1)
    bar, start = file["bar"][:][rows], file["start"][:][rows]
    later = np.diff(bar, prepend=bar[:1])
    goes_on = same & (later > 0) & (later <= WINDOW_BARS) & (np.diff(start, prepend=start[:1]) > 0)
    new = np.where(goes_on, later * STEPS_PER_BAR, _STEPS)
    parts, before = [], np.zeros((_STEPS, len(PARTS)), np.int16)
    for first in range(0, len(rows), _CHUNK):
        chunk = rows[first : first + _CHUNK]
        windows = file["tokens"][chunk[0] : chunk[-1] + 1][chunk - chunk[0]].astype(np.int16)
        for index, window in enumerate(windows, first):
            shared = _STEPS - new[index]
            if shared and (before[-shared:] != window[:shared]).any():
                new[index], goes_on[index] = _STEPS, False
            parts.append(window[-new[index] :])
            before = window
    return new, ~goes_on, parts
