"""Training examples of a band: endless batches, and windows to validate on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, get_worker_info

from musicvae_torch.converters.melody import infer_chord_classes
from musicvae_torch.converters.trio import WINDOW_BARS
from musicvae_torch.dataset.augment import shift_chords, transpose
from musicvae_torch.dataset.batches import song_chances
from musicvae_torch.errors import DatasetError
from musicvae_torch.midi.vocabulary import PARTS, STEPS_PER_BAR
from musicvae_torch.training import TrainingOptions
from surrogate.band.controls import densities_of
from surrogate.band.model import HIDDEN
from surrogate.training.band.masking import MELODY, MaskingOptions
from surrogate.training.band.runs import Runs, read_runs

STYLES = ("nothing", "another window", "the melody")
_SPANS = (4, 8, 16)  # bars, over which densities are counted; or over the whole window
_THIN = 2  # drums that are struck in a window of clean data, at least
_WINDOWS_A_SONG = 8  # to validate on, at most
_MOST_WORKERS = 8


class BandBatch(NamedTuple):
    """A batch of windows and what is given of them; see :class:`surrogate.band.model.Band`.

    Attributes:
        tokens: (batch, steps, 3) int64, all of them; HIDDEN for a part that is not there.
        given, past: (batch, steps, 3) int64 tokens, HIDDEN where they are not given, or forgotten.
        chords: (batch, steps) int64.
        density: (batch, steps, 3) int64.
        style: (batch, style_size) posterior mean of another window of the song; zeros for none.
        wants_melody_style: (batch,) bool, whether the style is to be predicted from the melody.
    """

    tokens: Tensor
    given: Tensor
    past: Tensor
    chords: Tensor
    density: Tensor
    style: Tensor
    wants_melody_style: Tensor


class BandDataModule(lightning.LightningDataModule):
    """Windows masked at random, each batch by the seed, its number and the process's rank alone;
    and 16-bar windows to validate on.

    Args:
        training, validation: songs.
        options: of batches and draws. A batch has as many steps as `batch_size` windows of 16
            bars, whatever the length of its windows.
        masking: lengths of windows, and what is given of them. Lengths that fit nowhere are left
            out.
        style_size: dimensions of a style.
        validation_windows: how many to validate on, at most.
        workers: processes that make training batches, which are the same whatever their number;
            None: none on CPUs, and on CUDA one for each spare core, up to 8.

    Raises:
        DatasetError: no song is long enough, with drums enough, for any of the lengths.
    """

    def __init__(
        self,
        training: Runs,
        validation: Runs,
        options: TrainingOptions,
        masking: MaskingOptions,
        style_size: int,
        validation_windows: int = 600,
        workers: int | None = None,
    ) -> None:
        super().__init__()
        self.workers = workers
        self.training, self.validation = training, validation
        self.options, self.masking = options, masking
        self.style_size = style_size
        self.validation_windows = validation_windows
        self._draws = {
            bars: WindowSampler(training, bars, options, masking) for bars in masking.bars
        }
        self._weights = np.array(
            [weight * self._draws[bars].fits for bars, weight in masking.bars.items()]
        )
        if not self._weights.any():
            raise DatasetError(
                f"no window of {', '.join(map(str, masking.bars))} bars fits into any of the "
                f"{len(training.songs)} songs to train on"
            )
        self._chords: dict[int, np.ndarray] = {}

    @classmethod
    def read(
        cls,
        data: Sequence[str | Path],
        validation: str | Path | None,
        options: TrainingOptions,
        masking: MaskingOptions,
        style_size: int,
        workers: int | None = None,
    ) -> BandDataModule:
        """Data sets of build-dataset; without `validation`, the songs they have set aside.

        Raises:
            DatasetError: a file cannot be read, or holds no such windows, or posteriors of another
                size.
        """
        if validation is None:
            sides = read_runs(data, "train"), read_runs(data, "validation")
        else:
            sides = read_runs(data), read_runs([validation])
        means = sides[0].posterior_mean
        if means is not None and means.shape[1] != style_size:
            raise DatasetError(
                f"{data[0]}: holds posteriors of {means.shape[1]} dimensions, and the band's style "
                f"has {style_size}"
            )
        return cls(*sides, options, masking, style_size, workers=workers)

    def train_dataloader(self) -> DataLoader[BandBatch]:
        workers = self.workers
        if workers is None:
            trainer = self.trainer
            cuda = trainer is not None and trainer.strategy.root_device.type == "cuda"
            workers = min(_MOST_WORKERS, spare_cores()) if cuda else 0
        parallel: dict[str, Any] = {}
        if workers:
            # A fork shares the songs' memory; the batches are plain arrays, without CUDA.
            parallel = {"multiprocessing_context": "fork", "worker_init_fn": _ignore_interrupts}
        return DataLoader(_Stream(self), batch_size=None, num_workers=workers, **parallel)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        tokens = validation_windows(self.validation, self.validation_windows)
        trainer = self.trainer
        rank, ranks = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        if len(tokens) < ranks:
            raise DatasetError(
                f"{len(tokens)} windows to validate on are too few for {ranks} processes"
            )
        own = torch.from_numpy(tokens[rank::ranks].astype(np.int64))
        return DataLoader(TensorDataset(own), batch_size=self.options.batch_size)

    def batch(self, number: int, rank: int = 0) -> BandBatch:
        """A training batch."""
        rng = np.random.default_rng([self.options.seed, number, 0, rank])
        bars = int(rng.choice(list(self._draws), p=self._weights / self._weights.sum()))
        count = max(self.options.batch_size * WINDOW_BARS // bars, 1)
        starts = self._draws[bars].draw(count, rng)
        columns = zip(*(self._example(int(start), bars, rng) for start in starts), strict=True)
        return BandBatch(*(torch.from_numpy(np.stack(column)) for column in columns))

    def _example(self, bar: int, bars: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """One window's row of each of a :class:`BandBatch`'s tensors."""
        most = self.options.max_transpose
        plain = self.training.window(bar, bars)
        semitones = int(rng.integers(-most, most + 1))
        tokens = transpose(plain, semitones).astype(np.int64)
        if (tokens == plain).all():
            semitones = 0  # it would have left the range of pitches
        steps = len(tokens)
        given, lacks_melody = self.masking.draw_given(steps, rng)
        forgotten = self.masking.draw_forgotten(steps, rng)
        chords = np.full(steps, HIDDEN)
        if rng.random() < self.masking.with_chords:
            chords = shift_chords(self._chords_at(bar, bars), semitones)
        density = self._density(tokens, rng)
        style, wants_melody_style = self._style(bar, bars, rng)
        if lacks_melody:
            tokens[:, MELODY] = density[:, MELODY] = HIDDEN
        wants_melody_style = wants_melody_style and bool(given[:, MELODY].all())
        return (
            tokens,
            np.where(given, tokens, HIDDEN),
            np.where(forgotten, HIDDEN, tokens),
            chords,
            density,
            style,
            np.array(wants_melody_style),
        )

    def _chords_at(self, bar: int, bars: int) -> np.ndarray:
        """(steps,) chords of melody and bass, inferred once for each run."""
        runs = self.training
        run = int(runs.bar_run[bar])
        first = runs.first[run]
        if run not in self._chords:
            tokens = runs.tokens[first : runs.first[run + 1]].astype(np.int64)
            self._chords[run] = infer_chord_classes(tokens[:, 0], tokens[:, 1]).astype(np.int8)
        start = bar * STEPS_PER_BAR - first
        return self._chords[run][start : start + bars * STEPS_PER_BAR].astype(np.int64)

    def _density(self, tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(steps, 3) density classes of some parts, or of none."""
        if rng.random() >= self.masking.with_density:
            return np.full(tokens.shape, HIDDEN)
        span = int(rng.choice([*_SPANS, len(tokens) // STEPS_PER_BAR]))
        said = rng.random(len(PARTS)) < 0.5
        return np.where(said, densities_of(tokens, span), HIDDEN)

    def _style(self, bar: int, bars: int, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
        """The posterior's mean of another window of the run that shares no bar with this one, if
        that is drawn and there is one; and whether the melody's style is wanted instead."""
        style = np.zeros(self.style_size, np.float32)
        kind, pick = STYLES[rng.integers(len(STYLES))], rng.random()
        runs = self.training
        if kind != "another window" or runs.posterior_mean is None:
            return style, kind == "the melody"
        run = int(runs.bar_run[bar])
        low, high = np.searchsorted(runs.window_step, runs.first[run : run + 2])
        starts = runs.window_step[low:high] // STEPS_PER_BAR
        others = low + np.flatnonzero((starts + WINDOW_BARS <= bar) | (starts >= bar + bars))
        if len(others):
            style[:] = runs.posterior_mean[others[int(pick * len(others))]]
        return style, False


class WindowSampler:
    """Draws windows of a fixed length: first a source, then a song of it, then a bar at which a
    window may begin.

    Args:
        runs: the songs.
        bars: of a window.
        options: of these `draw` and `temper` count.
        masking: of these `thin_drums` counts.

    Attributes:
        fits: whether such a window fits anywhere.
    """

    def __init__(
        self, runs: Runs, bars: int, options: TrainingOptions, masking: MaskingOptions
    ) -> None:
        fits = runs.bars_left >= bars
        if not masking.thin_drums:
            fits &= runs.drums_used >= _THIN
        starts = np.flatnonzero(fits)
        self.fits = bool(len(starts))
        song = runs.song[runs.bar_run[starts]]
        order = np.argsort(song, kind="stable")
        self._starts = starts[order]
        self._songs, self._sizes = np.unique(song, return_counts=True)
        self._firsts = np.cumsum(self._sizes) - self._sizes
        self._by_window = options.draw == "windows"
        self._chances: np.ndarray | None = None
        if options.draw == "sources" and self.fits:
            self._chances = song_chances([runs.sources[n] for n in self._songs], options.temper)

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count,) bars at which windows begin."""
        if self._by_window:
            return np.asarray(self._starts[rng.integers(len(self._starts), size=count)])
        songs = rng.choice(len(self._songs), count, p=self._chances)
        return np.asarray(self._starts[self._firsts[songs] + rng.integers(self._sizes[songs])])


def validation_windows(runs: Runs, most: int) -> np.ndarray:
    """(windows, steps, 3) classes of 16-bar windows that do not overlap, some of each song."""
    starts = np.flatnonzero(runs.bars_left >= WINDOW_BARS)
    into_run = starts - runs.first[runs.bar_run[starts]] // STEPS_PER_BAR
    starts = starts[into_run % WINDOW_BARS == 0]
    song = runs.song[runs.bar_run[starts]]
    kept: list[int] = []
    for number in np.unique(song):
        own = starts[song == number]
        kept += own[_spread(len(own), _WINDOWS_A_SONG)].tolist()
    chosen = np.array(kept)[_spread(len(kept), most)]
    return np.stack([runs.window(int(bar), WINDOW_BARS) for bar in chosen])


def _spread(count: int, most: int) -> np.ndarray:
    """At most `most` of the numbers below `count`, evenly spread."""
    return np.arange(count) if count <= most else np.arange(most) * count // most


def spare_cores() -> int:
    """Cores that this process may use, but for one."""
    return (len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1) - 1


def _ignore_interrupts(_worker: int) -> None:
    """Leave Ctrl-C to the process that trains, which ends after its step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Stream(IterableDataset[BandBatch]):
    """Batches, from the one that is next by the trainer's count of steps."""

    def __init__(self, module: BandDataModule) -> None:
        self.module = module

    def __iter__(self) -> Iterator[BandBatch]:
        trainer = self.module.trainer
        first = trainer.global_step * trainer.accumulate_grad_batches if trainer else 0
        worker = get_worker_info()
        # The loader takes a batch of each worker in turn.
        turns = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for number in count(first + turns[0], turns[1]):
            yield self.module.batch(number, trainer.global_rank if trainer else 0)
