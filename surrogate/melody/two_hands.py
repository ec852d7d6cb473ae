"""Which notes of a piano are the right hand's.

A boundary between the hands moves through the song. At each moment it wants to lie in a gap, away
from the notes around, near the place that parts the whole song best, and not to move: the cheapest
way through is found by dynamic programming. So the left hand stays the left hand while the right
one rests.
"""

from __future__ import annotations

import numpy as np

BOUNDARIES = np.arange(36, 91)  # a hand plays from there up, the other below
TOGETHER = 0.05  # seconds after a note, within which the next one is of the same moment
AROUND = 1.0  # seconds before and after a moment, whose notes count
REACH = 4  # semitones; notes nearer to the boundary than that speak against it
CROWDED = 2.0  # cost of a boundary where all notes around it lie
AWAY = 0.05  # cost of a semitone from where the whole song is parted best
MOVING = 0.6  # cost of a semitone's move
APART = 12.0  # semitones between the middles of two hands
BOTH = 0.2  # share of the left hand's notes over which the right one plays
MAX_NOTES = 100_000  # more are no piano's


def right_hand(starts: np.ndarray, ends: np.ndarray, pitches: np.ndarray) -> np.ndarray | None:
    """Which notes are the right hand's; None if these are not two hands.

    Two hands lie an octave apart, and play at the same time often enough.

    Args:
        starts, ends: (notes,) in seconds, by start.
        pitches: (notes,) MIDI pitches.

    Returns:
        (notes,) bool.
    """
    if len(starts) > MAX_NOTES or len(np.unique(pitches)) < 2:
        return None
    right = pitches >= boundaries(starts, pitches)
    if not right.any() or right.all():
        return None
    if pitches[right].mean() - pitches[~right].mean() < APART:
        return None
    covered = _sound_at(starts[right], ends[right], starts[~right], ends[~right])
    return right if covered.mean() >= BOTH else None


def boundaries(starts: np.ndarray, pitches: np.ndarray) -> np.ndarray:
    """The lowest pitch that is the right hand's, at each note.

    Args:
        starts: (notes,) in seconds, in order; at least one note.
        pitches: (notes,) MIDI pitches.

    Returns:
        (notes,) MIDI pitches out of BOUNDARIES.
    """
    moment = np.concatenate([[0], np.cumsum(np.diff(starts) > TOGETHER)])
    begins = starts[np.searchsorted(moment, np.arange(moment[-1] + 1))]
    # (notes + 1, boundaries): cost of all notes before each.
    distance = np.abs(pitches[:, None] - (BOUNDARIES - 0.5)[None])
    crowd = np.zeros((len(pitches) + 1, len(BOUNDARIES)))
    np.cumsum(np.maximum(0.0, 1 - distance / REACH), axis=0, out=crowd[1:])
    first = np.searchsorted(starts, begins - AROUND)
    last = np.searchsorted(starts, begins + AROUND, side="right")
    cost = CROWDED * (crowd[last] - crowd[first]) / (last - first)[:, None]
    cost += AWAY * np.abs(BOUNDARIES - best_boundary(pitches))
    return np.asarray(BOUNDARIES[_cheapest(cost)][moment])


def best_boundary(pitches: np.ndarray) -> int:
    """The boundary between 48 and 76 that parts pitches into the two densest groups: of least
    squared distance to their means; the middle one of several as good."""
    counts = np.bincount(pitches, minlength=128).astype(float)
    values = np.arange(len(counts))
    moments = np.array([counts, counts * values, counts * values**2])
    below = moments.cumsum(axis=1)[:, 47:76]  # parted below 48, ..., below 76
    sides = np.stack([below, moments.sum(axis=1)[:, None] - below])
    number, total, squares = sides.swapaxes(0, 1)
    spread = (squares - total**2 / np.maximum(number, 1)).sum(axis=0)
    best = np.flatnonzero(spread <= spread.min() + 1e-6)
    return 48 + int(best[len(best) // 2])


def _cheapest(cost: np.ndarray) -> np.ndarray:
    """The cheapest way through costs (moments, boundaries), moves included, by Viterbi's
    algorithm: (moments,) indices of BOUNDARIES."""
    moving = MOVING * np.abs(BOUNDARIES[:, None] - BOUNDARIES[None])
    columns = np.arange(len(BOUNDARIES))
    came = np.zeros(cost.shape, np.int8)
    total = cost[0]
    for moment in range(1, len(cost)):
        ways = moving + total
        came[moment] = ways.argmin(axis=1)
        total = ways[columns, came[moment]] + cost[moment]
    way = np.zeros(len(cost), int)
    way[-1] = total.argmin()
    for moment in range(len(cost) - 1, 0, -1):
        way[moment - 1] = came[moment, way[moment]]
    return way


def _sound_at(
    starts: np.ndarray, ends: np.ndarray, begin: np.ndarray, until: np.ndarray
) -> np.ndarray:
    """Whether any of the notes sounds in each stretch of time."""
    begun = np.searchsorted(starts, until)  # those that begin before it is over
    over = np.searchsorted(np.sort(ends), begin, side="right")  # those that end before it begins
    return begun > over
