"""How the notes of a part are distributed, by the definitions that the field cites.

- Overlapping area: Yang and Lerch 2020, "On the evaluation of generative models in music", compare
  two distributions by the area that they share. Here, as in PopMAG (Ren et al. 2020), they are of
  the pitches, durations, onset intervals and velocities of a part; all of these are whole numbers,
  so that histograms take the place of their kernel density estimates.
- Pitch-class entropy and scale consistency: MusPy (Dong et al. 2020), ``muspy.metrics``.
"""

from __future__ import annotations

import math

import numpy as np

from musicvae_torch.chords.symbols import MAJOR_SCALE
from musicvae_torch.converters.melody import melody_notes
from musicvae_torch.midi.vocabulary import NO_EVENT
from surrogate.evaluation.metrics import onsets

VELOCITIES_PER_BIN = 4  # 32 bins, as in PopMAG
_SCALES = (MAJOR_SCALE, (0, 2, 3, 5, 7, 8, 10))  # major and natural minor


def overlapping_area(one: np.ndarray, other: np.ndarray) -> float:
    """Area that the normalised histograms of two sets of whole numbers share: 0 to 1, and NaN if
    either is empty."""
    if not len(one) or not len(other):
        return math.nan
    lowest = min(one.min(), other.min())
    size = int(max(one.max(), other.max()) - lowest) + 1
    shares = (np.bincount(values - lowest, minlength=size) / len(values) for values in (one, other))
    return float(np.minimum(*shares).sum())


def note_features(tokens: np.ndarray, part: str) -> dict[str, np.ndarray]:
    """The features of a part whose distributions are compared.

    Args:
        tokens: (steps,) classes of a part.
        part: melody, bass or drums.

    Returns:
        "pitch": (notes,) MIDI pitches; of drums the number of the drum, 0 to 8. "duration":
        (notes,) steps; drums have none. "onset interval": (onsets - 1,) steps from one step on
        which anything starts to the next.
    """
    if part == "drums":
        _, pitches = np.nonzero(onsets(tokens, part))
        return {"pitch": pitches, "onset interval": np.diff(np.flatnonzero(tokens != NO_EVENT))}
    notes = np.array(melody_notes(tokens), np.int64).reshape(-1, 3)
    starts, ends, pitches = notes.T
    return {"pitch": pitches, "duration": ends - starts, "onset interval": np.diff(starts)}


def velocity_bins(velocities: np.ndarray) -> np.ndarray:
    """The bins of four in which (notes,) velocities from 1 to 127 are compared."""
    return velocities.astype(np.int64) // VELOCITIES_PER_BIN


def pitch_class_entropy(pitches: np.ndarray) -> float:
    """Entropy, in bits, of the pitch classes of (notes,) MIDI pitches: 0 if all are the same,
    log2(12) if all twelve are as frequent. As ``muspy.pitch_class_entropy``."""
    if not len(pitches):
        return math.nan
    shares = np.bincount(pitches % 12, minlength=12) / len(pitches)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())


def scale_consistency(pitches: np.ndarray) -> float:
    """Largest share of (notes,) MIDI pitches that lie on one major or natural minor scale. As
    ``muspy.scale_consistency``."""
    if not len(pitches):
        return math.nan
    counts = np.bincount(pitches % 12, minlength=12)
    best = max(
        int(counts[(np.array(scale) + tonic) % 12].sum())
        for scale in _SCALES
        for tonic in range(12)
    )
    return best / len(pitches)
