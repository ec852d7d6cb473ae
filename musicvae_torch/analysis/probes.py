"""Linear probes: how much of an attribute of windows can be read from their latents.

A probe that is fitted to half of the songs is scored on the other half's windows. Halves are of
songs, as windows of one song are much alike, and often overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_WINDOWS = 8  # that a fit needs
ROUNDING = 1e-9  # standard deviations below it come from rounding
_FOLDS = 5
# Strengths of the ridge. Without one, a few hundred windows would be fitted by the latent's
# hundreds of dimensions whatever was measured.
_RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0)


@dataclass(frozen=True)
class ProbeScore:
    """How well one attribute is predicted.

    Attributes:
        windows: number of windows that have the attribute.
        map_r2: R² of a least-squares fit to the two axes of the map: 1 at best, and 0 for the mean
            of the scored half. NaN: fewer than FEWEST_WINDOWS windows of either half have the
            attribute, or it does not differ among them.
        latent_r2: R² of a ridge fit to the whole latent.
    """

    windows: int
    map_r2: float
    latent_r2: float


def probe_attributes(
    means: np.ndarray,
    flat: np.ndarray,
    values: Mapping[str, np.ndarray],
    songs: np.ndarray,
    seed: int = 0,
) -> dict[str, ProbeScore]:
    """How well the map's axes and the whole latent predict each attribute. The ridge is chosen by
    cross-validation over the songs of the half that is fitted.

    Args:
        means: (windows, z_size) of the posteriors.
        flat: (windows, 2), the same on the map.
        values: (windows,) of each attribute, NaN where it is undefined.
        songs: (windows,) number of each window's song.
        seed: of the halves.
    """
    songs = np.asarray(songs)
    rng = np.random.default_rng(seed)
    halves = split_songs(songs, 2, rng)
    folds = np.full(len(songs), -1)
    folds[halves == 0] = split_songs(songs[halves == 0], _FOLDS, rng)
    scores = {}
    for name, column in values.items():
        known = ~np.isnan(column)
        fit, score = known & (halves == 0), known & (halves == 1)
        map_r2 = latent_r2 = np.nan
        if varies(column[fit]) and varies(column[score]):
            truth = column[score]
            map_r2 = r2(truth, _predict(flat, column, fit, score, (0.0,))[0])
            ridge = _best_ridge(means, column, np.where(fit, folds, -1))
            latent_r2 = r2(truth, _predict(means, column, fit, score, (ridge,))[0])
        scores[name] = ProbeScore(int(known.sum()), map_r2, latent_r2)
    return scores


def varies(values: np.ndarray) -> bool:
    """Whether values (n,) are enough, and differ."""
    return len(values) >= FEWEST_WINDOWS and float(values.std()) > ROUNDING


def r2(values: np.ndarray, predicted: np.ndarray) -> float:
    """Coefficient of determination of predictions (n,): 1 - squared error / squared distance of the
    values from their mean. At most 1; NaN if the values are all alike."""
    total = float(((values - values.mean()) ** 2).sum())
    if total <= ROUNDING**2:
        return float("nan")
    return 1 - float(((values - predicted) ** 2).sum()) / total


def ridge_weights(inputs: np.ndarray, targets: np.ndarray, ridges: Sequence[float]) -> np.ndarray:
    """Weights of linear fits, (ridges, size, columns): inputs @ weights are the predictions.

    Args:
        inputs: (rows, size), centred.
        targets: (rows, columns), centred.
        ridges: each is added to the variance of each input, in units of their mean variance; 0
            gives the least-squares fit with the shortest weights.
    """
    left, lengths, right = np.linalg.svd(inputs, full_matrices=False)
    squares = lengths**2
    mean_square = squares.sum() / inputs.shape[1]
    kept = lengths > ROUNDING * max(float(lengths.max()), ROUNDING)
    projected = left.T @ targets  # (axes, columns)
    weights = []
    for ridge in ridges:
        scale = np.zeros(len(lengths))
        scale[kept] = lengths[kept] / (squares[kept] + ridge * mean_square)
        weights.append(right.T @ (scale[:, None] * projected))
    return np.stack(weights)


def split_songs(songs: np.ndarray, parts: int, rng: np.random.Generator) -> np.ndarray:
    """(windows,) index of each window's part, the same for all windows of a song: songs in random
    order go each to the part with fewest windows so far."""
    order, inverse, counts = np.unique(songs, return_inverse=True, return_counts=True)
    filled, part = np.zeros(parts, np.int64), np.zeros(len(order), np.int64)
    for song in rng.permutation(len(order)):
        part[song] = filled.argmin()
        filled[part[song]] += counts[song]
    return part[inverse]


def _best_ridge(inputs: np.ndarray, values: np.ndarray, folds: np.ndarray) -> float:
    """The ridge of _RIDGES with the least error when each fold is predicted from the others; the
    strongest if there is one fold. Rows of fold -1 are left out."""
    present = [fold for fold in range(_FOLDS) if (folds == fold).any()]
    if len(present) < 2:
        return _RIDGES[-1]
    errors = np.zeros(len(_RIDGES))
    for fold in present:
        out = folds == fold
        predicted = _predict(inputs, values, (folds >= 0) & ~out, out, _RIDGES)
        errors += ((values[out] - predicted) ** 2).sum(1)
    return _RIDGES[int(errors.argmin())]


def _predict(
    inputs: np.ndarray,
    values: np.ndarray,
    fit: np.ndarray,
    score: np.ndarray,
    ridges: Sequence[float],
) -> np.ndarray:
    """(ridges, rows to score) predictions of linear fits to the rows to fit."""
    given = inputs[fit].astype(np.float64)
    centre, level = given.mean(0), values[fit].mean()
    weights = ridge_weights(given - centre, (values[fit] - level)[:, None], ridges)
    return np.asarray(level + ((inputs[score] - centre) @ weights)[..., 0])
