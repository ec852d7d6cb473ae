"""Latents, and attributes of their windows → a direction for each attribute.

There are three methods, which docs/attributes.md compares. A strength of 1 moves the latent by one
standard deviation of the attribute:

- "difference", of the MusicVAE paper (Roberts et al. 2018, section 5.4): the mean latent of the
  windows in the attribute's top quartile less that of those in the bottom one. Other attributes
  that go with it in the data change, too.
- "regression": the latent as a linear function of the attribute and of those that are to stay.
- "probes": the attributes as linear functions of the latent; then, of all moves that change the
  one attribute and not those that are to stay, the likeliest in a normal distribution with the
  latents' covariance.

:func:`held_still` names the attributes that are to stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from musicvae_torch.analysis.attributes import ATTRIBUTES
from musicvae_torch.analysis.probes import FEWEST_WINDOWS, ROUNDING, r2, ridge_weights, varies
from musicvae_torch.errors import DatasetError, OptionError

METHODS = ("probes", "regression", "difference")
"""Methods of finding a direction; docs/attributes.md says how they differ."""

_QUARTILES = (25, 75)
# Ridge against wild directions, of few windows or of attributes that go together: as a share of the
# mean variance of the latent's dimensions, and of the attributes' variance, 1.
_LATENT_RIDGE = 0.01
_ATTRIBUTE_RIDGE = 1e-3


@dataclass(frozen=True)
class Directions:
    """Directions as arrays, with the fields of ``AttributeVectors``; and in `left_out` attributes
    that do not differ among the windows, or that too few of them have."""

    names: tuple[str, ...]
    directions: np.ndarray
    means: np.ndarray
    stddevs: np.ndarray
    r2: np.ndarray
    left_out: tuple[str, ...]


def learn_directions(
    latents: np.ndarray, values: Mapping[str, np.ndarray], method: str = METHODS[0]
) -> Directions:
    """Learn a direction for each attribute.

    Args:
        latents: (windows, z_size).
        values: (windows,) of each attribute; NaN: a window has none, and counts as an average one
            if the attribute is to stay.
        method: one of METHODS.

    Raises:
        OptionError: there is no such method.
        DatasetError: no attribute differs among the windows.
    """
    if method not in METHODS:
        raise OptionError(f"unknown method {method!r}; choose one of: {', '.join(METHODS)}")
    names = tuple(name for name, column in values.items() if varies(column[~np.isnan(column)]))
    if not names:
        raise DatasetError(
            f"no attribute differs among these {len(latents)} windows; at least {FEWEST_WINDOWS} "
            "are needed, better thousands"
        )
    columns = np.stack([values[name] for name in names], axis=1)
    means, stddevs = np.nanmean(columns, axis=0), np.nanstd(columns, axis=0)
    scores = (columns - means) / stddevs  # (windows, attributes)
    centred = latents.astype(np.float64) - latents.mean(0, dtype=np.float64)
    shares, directions = _by_probes(centred, scores, names)
    if method == "difference":
        directions = np.stack([_difference(centred, column) for column in scores.T])
    elif method == "regression":
        directions = _by_regression(centred, scores, names)
    left_out = tuple(name for name in values if name not in names)
    return Directions(names, directions, means, stddevs, shares, left_out)


def held_still(name: str, names: Sequence[str]) -> list[str]:
    """The attributes that are to stay when one is moved: all except its kin and sums of others."""
    kin = ATTRIBUTES[name].kin if name in ATTRIBUTES else ()
    sums = {one for one in names if one in ATTRIBUTES and set(ATTRIBUTES[one].made_of) & set(names)}
    return [other for other in names if other != name and other not in {*kin, *sums}]


def _rows(name: str, names: Sequence[str]) -> list[int]:
    """Indices of the attribute and of those that are to stay."""
    return [names.index(one) for one in (name, *held_still(name, names))]


def _difference(latents: np.ndarray, scores: np.ndarray) -> np.ndarray:
    low, high = np.nanpercentile(scores, _QUARTILES)
    top, bottom = scores >= high, scores <= low
    gap = latents[top].mean(0) - latents[bottom].mean(0)
    # Ties may put a window into both quartiles, but not all: the scores differ.
    apart = scores[top].mean() - scores[bottom].mean()
    direction: np.ndarray = gap / max(apart, ROUNDING)
    return direction


def _by_regression(latents: np.ndarray, scores: np.ndarray, names: Sequence[str]) -> np.ndarray:
    directions = []
    for name in names:
        own = _rows(name, names)
        known = ~np.isnan(scores[:, own[0]])
        given = np.nan_to_num(scores[known][:, own])
        given -= given.mean(0)
        away = latents[known] - latents[known].mean(0)
        ridge = _ATTRIBUTE_RIDGE * len(given) * np.eye(len(own))
        directions.append(np.linalg.solve(given.T @ given + ridge, given.T @ away)[0])
    return np.stack(directions)


def _by_probes(
    latents: np.ndarray, scores: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """R² of the probes, (attributes,), and directions, (attributes, z_size)."""
    given = np.nan_to_num(scores)
    given -= given.mean(0)
    (probes,) = ridge_weights(latents, given, (_LATENT_RIDGE,))
    predicted = latents @ probes
    shares = np.array([r2(*columns) for columns in zip(given.T, predicted.T, strict=True)])
    shares = np.clip(shares, 0, 1)
    along = latents.T @ predicted / len(latents)  # (z_size, attributes)
    directions = []
    for name, share in zip(names, shares, strict=True):
        own = _rows(name, names)
        read = probes[:, own].T @ along[:, own] + _ATTRIBUTE_RIDGE * np.eye(len(own))
        # One standard deviation more of the attribute reads, on average, as `share` of that: if an
        # attribute can hardly be read, it is moved little, instead of the latent far.
        wanted = np.zeros(len(own))
        wanted[0] = share
        directions.append(along[:, own] @ np.linalg.solve(read, wanted))
    return shares, np.stack(directions)
