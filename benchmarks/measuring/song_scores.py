"""Scores of songs, by the ways to do something that a benchmark compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from musicvae_torch.io.markdown import markdown_table
from surrogate.evaluation.tables import Estimate

Rows = dict[str, list[Sequence[float]]]
"""By way, the scores of each song: a number for each column, NaN where it does not apply."""


def score_songs(
    paths: Sequence[Path],
    songs: int,
    rng: np.random.Generator,
    score: Callable[[Path], Mapping[str, Sequence[float]] | None],
) -> Rows:
    """The scores of songs in random order, until there are those of so many.

    Args:
        paths: of all songs.
        songs: how many to score; fewer, if no more can be scored.
        rng: source of the order.
        score: gives the scores of a song by way; None: it cannot be scored.
    """
    rows: Rows = {}
    with tqdm(total=songs, unit="song") as bar:
        for index in rng.permutation(len(paths)):
            found = score(paths[index])
            if found is None:
                continue
            for way, values in found.items():
                rows.setdefault(way, []).append(values)
            bar.update()
            if song_count(rows) == songs:
                break
    return rows


def song_count(rows: Rows) -> int:
    """How many songs have scores."""
    return len(next(iter(rows.values()), []))


def scores_table(title: str, columns: Sequence[str], rows: Rows, digits: int = 2) -> str:
    """Means over songs as a Markdown table, with 95 % bootstrap intervals: a row for each way.

    Args:
        title: of the first column; the number of songs follows it.
        columns: titles of the others.
        rows: see :data:`Rows`.
        digits: after the point.
    """
    body = [
        [way, *(Estimate.of(values, seed=0).text(digits) for values in np.array(songs).T)]
        for way, songs in rows.items()
    ]
    return markdown_table([f"{title}{song_count(rows)} songs", *columns], body)
