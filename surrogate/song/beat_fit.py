"""Whether notes follow the beats of their file.

Recordings and transcriptions count time at a nominal 120 quarter notes a minute, whatever was
played. Everything here works on onsets alone, with numpy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SIXTEENTHS = 4  # a quarter note

CHORD = 1 / 16  # quarter notes within which onsets are one
SUBDIVISIONS = np.array([1, 2, 3, 4, 6])  # of a quarter note, on which notes of most songs lie
FAST = (8, 12)  # those that count only where notes are as fast
LAG = 1 / 16  # quarter notes by which all notes may be late, or early
LEAST_ONSETS = 12
LEAST_FIT = 0.25
OTHER_FIT, GAIN = 0.75, 0.25
EXCERPT = 200  # onsets that other tempos are tried on
MOST_TEMPOS = 8000


class BeatFit(NamedTuple):
    """How notes lie on beats.

    Attributes:
        follows: whether notes follow the beats, or are too few to tell.
        fit: mean cosine of the onsets' phases at the subdivision that they fit best: 1 if all are
            on it, 0 by chance.
        distance: see :func:`grid_distance`.
        onsets: how many there are, chords counted once.
    """

    follows: bool
    fit: float
    distance: float
    onsets: int


def grid_distance(onsets: np.ndarray) -> float:
    """Mean distance of onsets to the nearest sixteenth, in sixteenths: .25 by chance, .17 of
    triplets, .1 and more of swing, 0 of no onsets.

    Args:
        onsets: (n,) in quarter notes of the file's own.
    """
    if not len(onsets):
        return 0.0
    sixteenths = np.asarray(onsets, float) * SIXTEENTHS
    return float(np.abs(sixteenths - np.round(sixteenths)).mean())


def follows_the_beats(onsets: np.ndarray) -> BeatFit:
    """Whether onsets lie where the beats of their file are.

    Onsets that follow the beats gather at a subdivision of the quarter note in two or three;
    others are spread evenly. By chance the fit has a standard deviation of 1/sqrt(2n), so n onsets
    do not follow if their fit is below a quarter plus that. A few regular notes at another tempo
    may fit better by chance: they do not follow either, if they fit that tempo clearly better.
    Fewer than 12 tell nothing. Tempos in simple ratios to the file's, as 90 or 60 to 120, are not
    told apart.

    Give it the onsets of all tracks: a solo may be free over a band that is not. Measured by
    `benchmarks/free_time.py`, see docs/accompaniment.md.

    Args:
        onsets: (n,) in quarter notes of the file's own, of all notes, in any order.
    """
    times = np.unique(np.asarray(onsets, float))
    distinct = times[np.diff(times, prepend=-np.inf) > CHORD]
    count = len(distinct)
    fit, distance = _fit(distinct), grid_distance(distinct)
    if count < LEAST_ONSETS:
        return BeatFit(True, fit, distance, count)
    follows = fit >= LEAST_FIT + (2 * count) ** -0.5 and not (
        fit < OTHER_FIT and _fits_another_tempo(distinct[:EXCERPT])
    )
    return BeatFit(follows, fit, distance, count)


def _fit(onsets: np.ndarray) -> float:
    """See :class:`BeatFit`."""
    if not len(onsets):
        return 0.0
    gaps = np.diff(onsets)
    fast = [k for k in FAST if len(gaps) and (gaps < 1.25 / k).mean() > 0.25]
    subdivisions = np.append(SUBDIVISIONS, fast)
    means = np.exp(2j * np.pi * subdivisions[:, None] * onsets).mean(axis=1)
    beyond = np.maximum(np.abs(np.angle(means)) - 2 * np.pi * subdivisions * LAG, 0)
    return float((np.abs(means) * np.cos(beyond)).max())


def _fits_another_tempo(onsets: np.ndarray) -> bool:
    """Whether onsets gather clearly better at the beats of a tempo from half to double the file's.
    (Which one, this does not tell: beats of four thirds of a tempo gather on its triplets.)"""
    since = onsets - onsets[0]
    count = int(np.clip(np.log(4) * since[-1] / 0.05, 1, MOST_TEMPOS))
    ratios = np.exp(np.linspace(-np.log(2), np.log(2), count))
    best = phase_coherence(since, ratios).max()
    own = max(_fit(onsets), phase_coherence(since, np.ones(1))[0])  # however late its beats are
    return bool(best > OTHER_FIT and best - own > GAIN)


def phase_coherence(onsets: np.ndarray, tempos: np.ndarray) -> np.ndarray:
    """(tempos,) how much onsets gather at a beat's best subdivision, wherever; 1: all are on it."""
    turns = np.exp(2j * np.pi * tempos[:, None] * onsets)
    powers = turns.copy()
    best = np.abs(powers.mean(axis=1))
    for _ in range(SIXTEENTHS - 1):
        powers *= turns
        best = np.maximum(best, np.abs(powers.mean(axis=1)))
    return np.asarray(best)
