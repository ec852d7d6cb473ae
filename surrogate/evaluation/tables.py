"""Scores of songs as Markdown tables: means with bootstrap intervals, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from musicvae_torch.io.markdown import markdown_table
from surrogate.evaluation.metrics import bootstrap_interval

DASH = "-"  # where a column does not apply

Scores = dict[str, np.ndarray]  # column → (songs,), NaN where there is nothing to measure


@dataclass(frozen=True)
class Estimate:
    """A mean over songs.

    Attributes:
        mean, low, high: the mean and its 95 % bootstrap interval; NaN of no songs.
        songs: how many it is of.
    """

    mean: float
    low: float
    high: float
    songs: int

    @classmethod
    def of(cls, values: np.ndarray, seed: int) -> Estimate:
        """The estimate from a value for each song, NaN left out."""
        kept = values[~np.isnan(values)]
        mean = float(kept.mean()) if len(kept) else math.nan
        return cls(mean, *bootstrap_interval(kept, seed), len(kept))

    def text(self, digits: int, sign: bool = False) -> str:
        """Such as "0.51 (0.48 to 0.55)"."""
        if not self.songs:
            return DASH
        mean, low, high = (
            f"{value:{'+' if sign else ''}.{digits}f}" for value in (self.mean, self.low, self.high)
        )
        return f"{mean} ({low} to {high})"

    def as_json(self) -> dict[str, float | int | None]:
        values = {"mean": self.mean, "low": self.low, "high": self.high}
        numbers: dict[str, float | int | None] = {
            name: None if math.isnan(value) else value for name, value in values.items()
        }
        return numbers | {"songs": self.songs}


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; `header` is of the columns after the first."""
    return markdown_table(["", *header], rows)


def scores_table(rows: dict[str, Scores], columns: Sequence[str], seed: int) -> str:
    """The mean of each column over songs, with its interval; a row for each entry of `rows`."""
    nothing = np.zeros(0)
    body = []
    for name, scores in rows.items():
        means = [Estimate.of(scores.get(column, nothing), seed) for column in columns]
        texts = [mean.text(_digits(of)) for mean, of in zip(means, columns, strict=True)]
        body.append([name, *texts])
    return markdown(columns, body)


def rows_as_json(
    rows: dict[str, Scores], seed: int, each: str, kept: np.ndarray | None = None
) -> dict[str, dict[str, Any]]:
    """Each row's means, with intervals and single values, as plain JSON data; NaN becomes null.

    Args:
        rows: by name.
        seed: of the intervals.
        each: key of the single values.
        kept: (songs,) bool, those that count in the means; None: all.
    """
    return {
        name: {
            column: Estimate.of(values if kept is None else values[kept], seed).as_json()
            | {each: [None if math.isnan(value) else value for value in values.tolist()]}
            for column, values in scores.items()
        }
        for name, scores in rows.items()
    }


def paired_differences(
    rows: dict[str, Scores], reference: str, column: str, seed: int
) -> dict[str, Estimate]:
    """The other rows' scores less those of the reference, song by song."""
    return {
        name: Estimate.of(scores[column] - rows[reference][column], seed)
        for name, scores in rows.items()
        if name != reference and column in scores
    }


def per_song(values: np.ndarray, song: np.ndarray, songs: int) -> np.ndarray:
    """(songs,) means of a value for each window, NaN left out; NaN of a song without any.

    Args:
        values: (windows,).
        song: (windows,) index of each window's song.
        songs: how many there are.
    """
    real = ~np.isnan(values)
    counts = np.bincount(song[real], minlength=songs)
    sums = np.bincount(song[real], weights=values[real], minlength=songs)
    return np.asarray(np.divide(sums, counts, out=np.full(songs, np.nan), where=counts > 0))


def mean_where(values: np.ndarray) -> np.ndarray:
    """(n,) means of (m, n) values, NaN left out; NaN where there is nothing else."""
    real = ~np.isnan(values)
    sums, counts = np.where(real, values, 0.0).sum(0), real.sum(0)
    return np.asarray(np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0))


def _digits(column: str) -> int:
    return 3 if column.startswith(("nats", "latent")) or "groove" in column else 2
