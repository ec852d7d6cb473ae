"""How near played drums are to a performance of the same hits: timing and velocities.

The measures of Gillick et al., "Learning to Groove with Inverse Sequence Transformations" (2019),
section 5: mean absolute errors, hit by hit, and distances between distributions. Conventions:

- timing is in milliseconds after the hit's step of the grid (negative: before it), so that an
  error does not depend on the tempo;
- velocities are MIDI's, 1 to 127;
- errors are means over a performance's hits first, so that long performances do not outweigh
  others; distributions are of all hits of a drum together.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from musicvae_torch.converters.groove import DRUMS, MAX_VELOCITY

QUANTILES = 1000


class Performances(NamedTuple):
    """Windows of performances.

    Attributes:
        tokens: (windows, steps, 27) hits, velocities and offsets, as ``GrooveConverter`` has them.
        qpm: (windows,) tempo, in quarter notes a minute.
        performance: (windows,) which performance each is of.
    """

    tokens: np.ndarray
    qpm: np.ndarray
    performance: np.ndarray

    @property
    def hits(self) -> np.ndarray:
        """(windows, steps, 9) bool."""
        return self.tokens[..., :DRUMS] > 0


class Hits(NamedTuple):
    """The hits of performances, one a row.

    Attributes:
        performance: (hits,) which performance each is of.
        drum: (hits,) index of its drum, in the order of ``vocabulary.DRUM_CLASSES``.
        timing: (hits,) milliseconds after its step.
        velocity: (hits,) MIDI velocity.
    """

    performance: np.ndarray
    drum: np.ndarray
    timing: np.ndarray
    velocity: np.ndarray


def hits_of(performances: Performances, tokens: np.ndarray | None = None) -> Hits:
    """The hits of performances, in order of window, step and drum.

    Args:
        performances: windows with their tempo.
        tokens: (windows, steps, 27) to take velocities and offsets from, at the hits of
            `performances`; None: their own.
    """
    window, step, drum = np.nonzero(performances.hits)
    rows = performances.tokens if tokens is None else tokens
    _, velocities, offsets = np.split(rows.astype(np.float64), 3, axis=-1)
    # An offset is in halves of a step, and positive before the step's time.
    half_step = 60_000 / performances.qpm[window] / 4 / 2
    return Hits(
        performances.performance[window],
        drum,
        -offsets[window, step, drum] * half_step,
        velocities[window, step, drum] * MAX_VELOCITY,
    )


def mean_errors(true: Hits, played: Hits) -> tuple[np.ndarray, np.ndarray]:
    """Mean absolute errors of each performance: timing in milliseconds, and MIDI velocity.

    Args:
        true, played: the same hits, in the same order.

    Returns:
        (performances,) each, in order of the performances' numbers.
    """
    _, own, counts = np.unique(true.performance, return_inverse=True, return_counts=True)
    timing = np.bincount(own, np.abs(played.timing - true.timing)) / counts
    velocity = np.bincount(own, np.abs(played.velocity - true.velocity)) / counts
    return timing, velocity


class AddedHits(NamedTuple):
    """How near drums that were added to a performance are to those that it has.

    Attributes:
        f1: (performances,) F1 of their hits; NaN without hits on either side.
        timing, velocity: (performances,) mean absolute errors, in milliseconds and of MIDI
            velocity, of hits that both have; NaN without such.
        drum_f1: (9,) F1 of all hits of each drum; NaN for drums that were not added, or that have
            none on either side.
    """

    f1: np.ndarray
    timing: np.ndarray
    velocity: np.ndarray
    drum_f1: np.ndarray


def added_hits(true: Performances, rows: np.ndarray, drums: Collection[int]) -> AddedHits:
    """Scores of drums that were added.

    Args:
        true: what drummers played, (windows, steps, 27).
        rows: what was added to it, of the same shape.
        drums: indices of the drums to compare.
    """
    is_added = np.isin(np.arange(DRUMS), list(drums))
    own, played = true.hits & is_added, (rows[..., :DRUMS] > 0.5) & is_added
    performances, numbers = np.unique(true.performance, return_inverse=True)
    counts = np.zeros((3, len(performances), DRUMS))
    for count, hits in zip(counts, (own & played, own, played), strict=True):
        np.add.at(count, numbers, hits.sum(1))
    tokens = np.where(np.tile(own & played, 3), true.tokens, 0)
    both = true._replace(tokens=tokens)
    errors = np.full((2, len(performances)), np.nan)
    if both.hits.any():
        there = np.isin(performances, both.performance[both.hits.any((1, 2))])
        errors[:, there] = mean_errors(hits_of(both), hits_of(both, rows))
    timing, velocity = errors
    return AddedHits(_f1(*counts.sum(-1)), timing, velocity, _f1(*counts.sum(1)))


def _f1(both: np.ndarray, true: np.ndarray, played: np.ndarray) -> np.ndarray:
    total = true + played
    return np.where(total > 0, 2 * both / np.maximum(total, 1), np.nan)


def distribution_distances(true: Hits, played: Hits) -> tuple[np.ndarray, np.ndarray]:
    """Wasserstein distances from the distribution of all of a drum's hits to the true one.

    Args:
        true, played: hits, not necessarily the same.

    Returns:
        (9,) each, of timing in milliseconds and of MIDI velocity; NaN for a drum without hits on
        either side.
    """
    distances = np.full((2, DRUMS), np.nan)
    for drum in range(DRUMS):
        ours, theirs = played.drum == drum, true.drum == drum
        if ours.any() and theirs.any():
            distances[0, drum] = wasserstein(played.timing[ours], true.timing[theirs])
            distances[1, drum] = wasserstein(played.velocity[ours], true.velocity[theirs])
    return distances[0], distances[1]


def wasserstein(values: np.ndarray, others: np.ndarray) -> float:
    """The distance of order 1 between two samples, in their unit: the mean distance between their
    quantiles, at the middles of QUANTILES equal shares."""
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    found = (np.quantile(sample, shares, method="inverted_cdf") for sample in (values, others))
    first, second = found
    return float(np.abs(first - second).mean())
