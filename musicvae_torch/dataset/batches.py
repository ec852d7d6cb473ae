"""Drawing batches of windows to train on."""

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
    """Tokens of the picked windows, each shifted at random: (batch, steps, parts)."""
    shifts = draw_shifts(rng, max_transpose, len(picks)).tolist()
    return np.stack([shift(windows.tokens[pick], n) for pick, n in zip(picks, shifts, strict=True)])


def draw_shifts(rng: np.random.Generator, max_transpose: int, count: int) -> np.ndarray:
    """Semitones by which to shift windows at random, either way: (count,)."""
    return rng.integers(-max_transpose, max_transpose + 1, count)


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
    """Draw the windows of batch after batch.

    Args:
        windows: the data set.
        batch_size: windows a batch.
        seed: of the draws; batch number i of a rank depends on the seed, i and the rank alone.
        start: number of the first batch, so that a resumed training goes on where it stopped.
        rank: number of this process, of those that train together.
        draw: "windows": all are equally likely; "songs": a song is drawn first, and then one of
            its windows, so that long songs and songs with many tracks do not outweigh the others;
            "sources": a top-level folder is drawn before that, so that large ones do not either.
        temper: a folder of n songs is drawn with a probability in proportion to n**temper: 0 makes
            folders equally likely, 1 songs.

    Yields:
        (batch,) rows of the data set, and the generator for further draws of the batch.

    Raises:
        OptionError: `draw` is none of these.
    """
    if draw not in DRAWS:
        raise OptionError(f"unknown way to draw {draw!r}; choose one of: {', '.join(DRAWS)}")
    order = np.argsort(windows.song, kind="stable")
    sizes = np.bincount(windows.song, minlength=len(windows.songs))
    firsts = np.cumsum(sizes) - sizes
    playable = np.flatnonzero(sizes)
    sources = [source_of(windows.songs[song]) for song in playable]
    probabilities = song_chances(sources, temper) if draw == "sources" else None
    number = start
    while True:
        # Zeros at the end of a seed change nothing: a lone process draws as it always did.
        rng = np.random.default_rng([seed, number, 0, rank])
        if draw == "windows":
            picks = rng.integers(len(order), size=batch_size)
        else:
            songs = rng.choice(playable, batch_size, p=probabilities)
            picks = order[firsts[songs] + rng.integers(sizes[songs])]
        yield picks, rng
        number += 1


def source_of(song: str) -> str:
    """The top-level folder of a song's path; "" for a song that lies in none.

    Of several folders that were read, the name counts, too: "archive//jazz/song.mid" is of
    "archive/jazz", and "archive//song.mid" of "archive".
    """
    folder, mark, path = song.rpartition(FOLDER_MARK)
    top = path.partition("/")[0] if "/" in path else ""
    return "/".join(filter(None, (folder, top))) if mark else top


def song_chances(sources: Sequence[str], temper: float) -> np.ndarray:
    """Probability of each song, (songs,).

    Args:
        sources: folder, or whatever else, that each song is from.
        temper: as for :func:`draw_batches`.
    """
    _, source, counts = np.unique(sources, return_inverse=True, return_counts=True)
    weights = (counts**temper / counts)[source]
    probabilities: np.ndarray = weights / weights.sum()
    return probabilities
