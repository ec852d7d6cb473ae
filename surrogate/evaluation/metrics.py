"""How good an accompaniment is: small functions of tokens and notes, and bootstrap intervals.

Tokens of a part are classes as the networks know them (see ``musicvae_torch.midi.vocabulary``):
of melody and bass 0 holds or rests, 1 ends a note, 2 + i starts one; of drums the sum of 2**class
over what is struck. A share of nothing is NaN.
"""

from __future__ import annotations

import math

import numpy as np

from musicvae_torch.chords.symbols import MAJOR_SCALE, ROOTS
from musicvae_torch.converters.drums import unpack_rolls
from musicvae_torch.converters.melody import melody_notes
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, FIRST_NOTE, MIN_PITCH, STEPS_PER_BAR

# How well each degree of the chromatic scale fitted a key, as listeners rated it, from the tonic
# upwards: Krumhansl and Kessler 1982, "Tracing the dynamic changes in perceived tonal
# organization in a spatial representation of musical keys".
_MAJOR_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_MINOR_SCALE = (0, 2, 3, 5, 7, 8, 10, 11)  # natural, and the leading note
_TRIADS = ((0, 4, 7), (0, 3, 7), (0, 4, 8), (0, 3, 6))  # in the order of chords.TRIADS
RESAMPLES = 2000  # of a bootstrap
LEVEL = 0.95  # share of the resampled means that lie within an interval


def mean_of(values: np.ndarray) -> float:
    """The mean of (n,) or (n, ...) values; NaN if n is 0."""
    return float(values.mean()) if len(values) else math.nan


def pitches_of(classes: np.ndarray) -> np.ndarray:
    """MIDI pitches of melody or bass classes that start notes."""
    return classes - FIRST_NOTE + MIN_PITCH


def accuracy(tokens: np.ndarray, truth: np.ndarray) -> float:
    """Share of the steps (steps,) whose class is right, "no event" included."""
    return float((tokens == truth).mean())


def onset_f1(drums: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Agreement of drum hits with the real ones: twice the hits in both over the hits of both.

    Args:
        drums, truth: (steps,) classes.

    Returns:
        Of hits as (step, drum), and of steps on which anything is struck; 0 to 1.
    """
    ours, real = onsets(drums, "drums"), onsets(truth, "drums")
    return _f1(ours, real), _f1(np.any(ours, axis=-1), np.any(real, axis=-1))


def _f1(ours: np.ndarray, real: np.ndarray) -> float:
    total = int(ours.sum() + real.sum())
    return 2 * int((ours & real).sum()) / total if total else math.nan


def onsets(tokens: np.ndarray, part: str) -> np.ndarray:
    """Whether anything starts at each step of a part: (steps, 9) bool of drums, else (steps, 1)."""
    if part == "drums":
        return unpack_rolls(tokens[:, None], len(DRUM_CLASSES))
    return (tokens >= FIRST_NOTE)[:, None]


def notes_per_bar(tokens: np.ndarray, part: str) -> float:
    """Notes, or drum hits, a bar of the (steps,) classes of a part."""
    return float(onsets(tokens, part).sum() * STEPS_PER_BAR / len(tokens))


def groove_consistency(tokens: np.ndarray, part: str) -> float:
    """How alike the rhythms of neighbouring bars are: 1 less the mean share of a bar's steps (of
    drums, of its steps and drums) at which one bar has an onset and the next one has none, or the
    reverse.

    Args:
        tokens: (steps,) classes of a part, in whole bars.

    Returns:
        0 to 1; NaN of a single bar. (After Wu and Yang 2020, "The Jazz Transformer on the front
        line", who call it grooving pattern similarity.)
    """
    bars = onsets(tokens, part).reshape(len(tokens) // STEPS_PER_BAR, -1)
    return 1.0 - mean_of(bars[1:] != bars[:-1])


def pitch_histogram(*parts: np.ndarray) -> np.ndarray:
    """(12,) steps that each pitch class sounds in parts of (steps,) melody or bass classes."""
    histogram = np.zeros(12)
    for tokens in parts:
        for start, end, pitch in melody_notes(tokens):
            histogram[pitch % 12] += end - start
    return histogram


def estimate_key(histogram: np.ndarray) -> tuple[int, str] | None:
    """The key whose profile a pitch-class histogram (12,) correlates with best.

    Returns:
        Tonic, 0 for C, and "major" or "minor"; None of an even histogram, such as an empty one.
    """
    if np.ptp(histogram) == 0:
        return None
    profiles = {"major": np.array(_MAJOR_PROFILE), "minor": np.array(_MINOR_PROFILE)}
    scores = {
        (tonic, mode): float(np.corrcoef(np.roll(profile, tonic), histogram)[0, 1])
        for mode, profile in profiles.items()
        for tonic in range(12)
    }
    return max(scores, key=lambda key: scores[key])


def share_in_key(bass: np.ndarray, key: tuple[int, str] | None) -> float:
    """Share of the notes in (steps,) bass classes that lie on the scale of the key; of minor keys
    both sevenths count."""
    if key is None:
        return math.nan
    tonic, mode = key
    scale = MAJOR_SCALE if mode == "major" else _MINOR_SCALE
    return mean_of(np.isin((pitches_of(bass[bass >= FIRST_NOTE]) - tonic) % 12, scale))


def share_in_chords(bass: np.ndarray, chords: np.ndarray) -> float:
    """Share of the notes in (steps,) bass classes that start on a tone of their step's triad; notes
    where there is no chord do not count. Chords are (steps,) classes, as
    :func:`musicvae_torch.converters.melody.infer_chord_classes` gives them."""
    starts = np.flatnonzero((bass >= FIRST_NOTE) & (chords > 0))
    kinds, roots = np.divmod(chords[starts] - 1, len(ROOTS))
    degrees = (pitches_of(bass[starts]) - roots) % 12
    return mean_of((np.array(_TRIADS)[kinds] == degrees[:, None]).any(1))


def bootstrap_interval(values: np.ndarray, seed: int) -> tuple[float, float]:
    """The ends of a percentile bootstrap interval of a mean, NaN left out; NaN of no values.

    Args:
        values: (songs,); for a paired comparison, the differences.
        seed: of the resampling.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan
    picks = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    return percentile_interval(values[picks].mean(1))


def percentile_interval(means: np.ndarray) -> tuple[float, float]:
    """The ends of the interval that holds LEVEL of (resamples,) means."""
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)
