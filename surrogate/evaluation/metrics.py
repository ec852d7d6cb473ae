"""How good an accompaniment is: small functions of tokens and notes, and bootstrap intervals.

Tokens of a part are classes as the networks know them (see ``musicvae_torch.midi.vocabulary``):
of melody and bass 0 holds or rests, 1 ends a note, 2 + i starts one; of drums the sum of 2**class
over what is struck. A share that there is nothing to take of is NaN.
"""

from __future__ import annotations

import numpy as np

from musicvae_torch.chords.symbols import ROOTS
from musicvae_torch.converters.drums import unpack_rolls
from musicvae_torch.converters.melody import melody_notes
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, FIRST_NOTE, MIN_PITCH, STEPS_PER_BAR

# How well each degree of the chromatic scale fitted a key, as listeners rated it, from the tonic
# upwards: Krumhansl and Kessler 1982, "Tracing the dynamic changes in perceived tonal
# organization in a spatial representation of musical keys".
_MAJOR_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
_MINOR_SCALE = (0, 2, 3, 5, 7, 8, 10, 11)  # natural, and the leading note
_TRIADS = ((0, 4, 7), (0, 3, 7), (0, 4, 8), (0, 3, 6))  # in the order of chords.TRIADS


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
    ours, real = (unpack_rolls(part[:, None], len(DRUM_CLASSES)) for part in (drums, truth))
    return _f1(ours, real), _f1(np.any(ours, axis=-1), np.any(real, axis=-1))


def _f1(ours: np.ndarray, real: np.ndarray) -> float:
    total = int(ours.sum() + real.sum())
    return 2 * int((ours & real).sum()) / total if total else float("nan")


def onsets(tokens: np.ndarray, part: str) -> np.ndarray:
    """What starts at each step of a part, bool: (steps, 9) of drums, (steps, 1) of others."""
    if part == "drums":
        return unpack_rolls(tokens[:, None], len(DRUM_CLASSES))
    return (tokens >= FIRST_NOTE)[:, None]


def notes_per_bar(tokens: np.ndarray, part: str) -> float:
    """Notes, or drum hits, a bar of the (steps,) classes of a part."""
    return float(onsets(tokens, part).sum() * STEPS_PER_BAR / len(tokens))


def groove_consistency(tokens: np.ndarray, part: str) -> float:
    """How alike neighbouring bars' rhythms are: 1 less the mean share of places, a step (of
    drums: and a drum) each, at which one bar has an onset and the next has none, or the reverse.

    Args:
        tokens: (steps,) classes of a part, in whole bars.

    Returns:
        0 to 1; NaN of a single bar. (After Wu and Yang 2020, "The Jazz Transformer on the front
        line", who call it grooving pattern similarity.)
    """
    bars = onsets(tokens, part).reshape(len(tokens) // STEPS_PER_BAR, -1)
    if len(bars) < 2:
        return float("nan")
    return 1.0 - float((bars[1:] != bars[:-1]).mean())


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
    pitches = bass[bass >= FIRST_NOTE] - FIRST_NOTE + MIN_PITCH
    if key is None or not len(pitches):
        return float("nan")
    tonic, mode = key
    scale = _MAJOR_SCALE if mode == "major" else _MINOR_SCALE
    return float(np.isin((pitches - tonic) % 12, scale).mean())


def share_in_chords(bass: np.ndarray, chords: np.ndarray) -> float:
    """Share of the notes in (steps,) bass classes that start on a tone of their step's triad; notes
    where there is no chord do not count. Chords are (steps,) classes, as
    :func:`musicvae_torch.converters.melody.infer_chord_classes` gives them."""
    starts = np.flatnonzero((bass >= FIRST_NOTE) & (chords > 0))
    if not len(starts):
        return float("nan")
    pitches = bass[starts] - FIRST_NOTE + MIN_PITCH
    kinds, roots = np.divmod(chords[starts] - 1, len(ROOTS))
    tones = np.array(_TRIADS)[kinds]
    return float((tones == ((pitches - roots) % 12)[:, None]).any(1).mean())


def bootstrap_interval(
    values: np.ndarray, seed: int, resamples: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean, NaN left out.

    Args:
        values: (songs,); for a paired comparison, the differences.
        seed: of the resampling.
        resamples: how many.
        level: share of the resampled means that lie within.

    Returns:
        Its ends; NaN where there are no values.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    picks = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    tail = 50 * (1 - level)
    low, high = np.percentile(values[picks].mean(1), [tail, 100 - tail])
    return float(low), float(high)
