"""How much of what is measured of windows can be read, linearly, from where they lie.

A fit on half of the songs is scored on the other half's windows. Halves are of songs, as windows of
one song are much alike, and often overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from musicvae_torch.attribute_vectors.directions import LEAST_WINDOWS

_FOLDS = 5
# Of the inputs' mean variance: how strongly a fit to the whole latent may be held back. A few
# hundred windows would else be fitted by its hundreds of dimensions whatever was measured.
_RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0)
_NOTHING = 1e-9  # standard deviations below it are of rounding


@dataclass(frozen=True)
class Told:
    """Of one attribute.

    Attributes:
        windows: that have it.
        map: R² of a least-squares fit to the two axes of the map, 1 at best; 0 is no better than
            the mean of the scored half, and less is worse than it. NaN: less than 8 windows of
            either half have it, or it does not differ there.
        latent: R² of a ridge fit to the whole latent, likewise.
    """

    windows: int
    map: float
    latent: float


def what_is_told(
    means: np.ndarray,
    flat: np.ndarray,
    values: Mapping[str, np.ndarray],
    songs: np.ndarray,
    seed: int = 0,
) -> dict[str, Told]:
    """How much the map's axes and the whole latent tell of each attribute.

    How strongly the fit to the whole latent is held back is chosen within the half that is fitted,
    by cross-validation over its songs.

    Args:
        means: (windows, z_size) of the posteriors.
        flat: (windows, 2), the same on the map.
        values: (windows,) of each attribute, NaN where it is undefined.
        songs: (windows,) of each window, a number.
        seed: of the halves.
    """
    songs = np.asarray(songs)
    rng = np.random.default_rng(seed)
    halves = spread_songs(songs, 2, rng)
    folds = np.full(len(songs), -1)
    folds[halves == 0] = spread_songs(songs[halves == 0], _FOLDS, rng)
    told = {}
    for name, column in values.items():
        known = ~np.isnan(column)
        fit, score = known & (halves == 0), known & (halves == 1)
        of_map = of_latent = np.nan
        if _varies(column[fit]) and _varies(column[score]):
            of_map = r_squared(flat, column, fit, score)
            ridge = _best_ridge(means, column, np.where(fit, folds, -1))
            of_latent = r_squared(means, column, fit, score, ridge)
        told[name] = Told(int(known.sum()), of_map, of_latent)
    return told


def r_squared(
    inputs: np.ndarray,
    values: np.ndarray,
    fit: np.ndarray,
    score: np.ndarray,
    ridge: float = 0.0,
) -> float:
    """1 - squared error / squared distance from the mean, over the rows to score.

    Args:
        inputs: (rows, size).
        values: (rows,), known in all rows that are named.
        fit, score: (rows,) bool.
        ridge: added to the variance of each input, in units of their mean variance; 0: least
            squares, of least length where many fit alike.

    Returns:
        At most 1; NaN where the values to score are all alike.
    """
    away = values[score] - values[score].mean()
    total = float(away @ away)
    if total <= _NOTHING**2:
        return float("nan")
    left = values[score] - _predict(inputs, values, fit, score, (ridge,))[0]
    return 1 - float(left @ left) / total


def spread_songs(songs: np.ndarray, parts: int, rng: np.random.Generator) -> np.ndarray:
    """(windows,) part of each window, 0 to parts - 1, all windows of a song in one: songs in
    random order go each to the part with fewest windows so far."""
    order, inverse, counts = np.unique(songs, return_inverse=True, return_counts=True)
    filled, part = np.zeros(parts, np.int64), np.zeros(len(order), np.int64)
    for song in rng.permutation(len(order)):
        part[song] = filled.argmin()
        filled[part[song]] += counts[song]
    return part[inverse]


def _best_ridge(inputs: np.ndarray, values: np.ndarray, folds: np.ndarray) -> float:
    """Of _RIDGES, that with the least error where each fold is predicted from the others; the
    strongest where there is but one. Rows of fold -1 are not looked at."""
    present = [fold for fold in range(_FOLDS) if (folds == fold).any()]
    if len(present) < 2:
        return _RIDGES[-1]
    errors = np.zeros(len(_RIDGES))
    for fold in present:
        out = folds == fold
        found = _predict(inputs, values, (folds >= 0) & ~out, out, _RIDGES)
        errors += ((values[out] - found) ** 2).sum(1)
    return _RIDGES[int(errors.argmin())]


def _predict(
    inputs: np.ndarray,
    values: np.ndarray,
    fit: np.ndarray,
    score: np.ndarray,
    ridges: tuple[float, ...],
) -> np.ndarray:
    """(ridges, rows to score), what linear fits to the other rows say of them."""
    given = inputs[fit].astype(np.float64)
    middle, level = given.mean(0), values[fit].mean()
    left, lengths, right = np.linalg.svd(given - middle, full_matrices=False)
    along = (inputs[score] - middle) @ right.T  # (rows, axes)
    wanted = left.T @ (values[fit] - level)  # (axes,)
    squares = lengths**2
    unit = squares.sum() / given.shape[1]
    kept = lengths > _NOTHING * max(float(lengths.max()), _NOTHING)
    weights = np.zeros((len(ridges), len(lengths)))
    for row, ridge in enumerate(ridges):
        weights[row, kept] = lengths[kept] / (squares[kept] + ridge * unit)
    return level + (weights * wanted) @ along.T


def _varies(values: np.ndarray) -> bool:
    return len(values) >= LEAST_WINDOWS and float(values.std()) > _NOTHING
