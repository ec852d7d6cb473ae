"""Batches of windows to train on, drawn at random."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from musicvae_torch.dataset.format import Windows
from musicvae_torch.notes.vocabulary import FIRST_NOTE, MELODY_DEPTH


def transpose(tokens: np.ndarray, semitones: int) -> np.ndarray:
    """Shift melody and bass of (steps, 3) tokens, or give them back unshifted where a pitch
    would leave the modelled range."""
    notes = tokens[:, :2] >= FIRST_NOTE
    shifted = tokens[:, :2].astype(np.int64) + semitones * notes
    if (shifted[notes] < FIRST_NOTE).any() or (shifted[notes] >= MELODY_DEPTH).any():
        return tokens
    return np.concatenate([shifted.astype(tokens.dtype), tokens[:, 2:]], axis=1)


def training_batches(
    windows: Windows, batch_size: int, max_transpose: int, seed: int, start: int = 0
) -> Iterator[np.ndarray]:
    """Endless batches, each window drawn from a song drawn at random, so that long songs and
    songs with many tracks do not outweigh the others.

    Args:
        windows: the data set.
        batch_size: windows a batch.
        max_transpose: largest random shift either way, in semitones.
        seed: of the draws; batch number i depends on the seed and i alone.
        start: number of the first batch, so that a resumed training goes on where it stopped.

    Yields:
        (batch, 256, 3) int64 tokens.
    """
    for picks, rng in _draws(windows, batch_size, seed, start):
        shifts = rng.integers(-max_transpose, max_transpose + 1, batch_size)
        batch = [
            transpose(windows.tokens[pick], int(shift))
            for pick, shift in zip(picks, shifts, strict=True)
        ]
        yield np.stack(batch).astype(np.int64)


def coded_batches(
    windows: Windows, batch_size: int, seed: int, start: int = 0
) -> Iterator[tuple[np.ndarray, ...]]:
    """The batches of :func:`training_batches` that are not shifted, with their stored codes.

    Yields:
        (batch, 256, 3) int64 tokens; mean and, where it is stored, stddev, (batch, z_size) float32.
    """
    codes = [code for code in (windows.code_mean, windows.code_stddev) if code is not None]
    for picks, _ in _draws(windows, batch_size, seed, start):
        tokens = windows.tokens[picks].astype(np.int64)
        yield tokens, *(code[picks] for code in codes)


def _draws(
    windows: Windows, batch_size: int, seed: int, number: int
) -> Iterator[tuple[np.ndarray, np.random.Generator]]:
    """The windows of batch `number` and those after it, and what the batch's further draws are
    made with."""
    order = np.argsort(windows.song, kind="stable")
    sizes = np.bincount(windows.song, minlength=len(windows.songs))
    firsts = np.cumsum(sizes) - sizes
    playable = np.flatnonzero(sizes)
    while True:
        rng = np.random.default_rng([seed, number])
        songs = rng.choice(playable, batch_size)
        yield order[firsts[songs] + rng.integers(sizes[songs])], rng
        number += 1
