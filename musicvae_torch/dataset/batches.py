"""Batches of windows to train on, drawn at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from musicvae_torch.dataset.augment import Transpose
from musicvae_torch.dataset.folders import FOLDER_MARK
from musicvae_torch.dataset.format import Windows
from musicvae_torch.dataset.options import DRAWS
from musicvae_torch.errors import OptionError


def shifted_tokens(
    windows: Windows,
    picks: np.ndarray,
    rng: np.random.Generator,
    max_transpose: int,
    shift: Transpose,
) -> np.ndarray:
    """Tokens of those windows, each shifted at random: (batch, steps, parts), of their dtype."""
    shifts = rng.integers(-max_transpose, max_transpose + 1, len(picks))
    batch = [
        shift(windows.tokens[pick], int(semitones))
        for pick, semitones in zip(picks, shifts, strict=True)
    ]
    return np.stack(batch)


def draw_batches(
    windows: Windows,
    batch_size: int,
    seed: int,
    start: int = 0,
    *,
    rank: int = 0,
    draw: str = "songs",
    temper: float = 0.5,
) -> Iterator[tuple[np.ndarray, np.random.Generator]]:
    """Which windows make up batch after batch.

    Args:
        windows: the data set.
        batch_size: windows a batch.
        seed: of the draws; batch number i of a rank depends on the seed, i and the rank alone.
        start: number of the first batch, so that a resumed training goes on where it stopped.
        rank: which of the processes that train together this one is.
        draw: "windows": each as likely as any other; "songs": a song, each as likely, and then
            one of its windows, so that long songs and songs with many tracks do not outweigh the
            others; "sources": before that a top-level folder, so that large ones do not either.
        temper: a folder of n songs is drawn with a chance in proportion to n**temper: 0 makes
            folders alike, 1 songs.

    Yields:
        (batch,) rows of the data set, and what the batch's further draws are made with.

    Raises:
        OptionError: there is no such way to draw.
    """
    if draw not in DRAWS:
        raise OptionError(f"unknown way to draw {draw!r}; choose one of: {', '.join(DRAWS)}")
    order = np.argsort(windows.song, kind="stable")
    sizes = np.bincount(windows.song, minlength=len(windows.songs))
    firsts = np.cumsum(sizes) - sizes
    playable = np.flatnonzero(sizes)
    sources = [source_of(windows.songs[song]) for song in playable]
    chances = song_chances(sources, temper) if draw == "sources" else None
    number = start
    while True:
        # Zeros at the end of a seed change nothing: a lone process draws as it always did.
        rng = np.random.default_rng([seed, number, 0, rank])
        if draw == "windows":
            picks = rng.integers(len(order), size=batch_size)
        else:
            songs = rng.choice(playable, batch_size, p=chances)
            picks = order[firsts[songs] + rng.integers(sizes[songs])]
        yield picks, rng
        number += 1


def source_of(song: str) -> str:
    """The top-level folder of a song's path; "" for a song that lies in none.

    Where a data set is of several folders, both their names and the folders in them count:
    "archive//jazz/song.mid" is of "archive/jazz", and "archive//song.mid" of "archive".
    """
    folder, mark, path = song.rpartition(FOLDER_MARK)
    top = path.partition("/")[0] if "/" in path else ""
    return "/".join(filter(None, (folder, top))) if mark else top


def song_chances(sources: Sequence[str], temper: float) -> np.ndarray:
    """How likely each song is to be drawn, (songs,), which sum to 1.

    Args:
        sources: the folder, or whatever else, that each song is from.
        temper: as for :func:`draw_batches`.
    """
    _, source, counts = np.unique(sources, return_inverse=True, return_counts=True)
    chances = (counts**temper / counts)[source]
    return chances / chances.sum()
