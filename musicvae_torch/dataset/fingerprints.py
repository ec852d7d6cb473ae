"""Near-duplicates: the same song again, in another key, at another tempo, or cut shorter.

A song's material is a set of hashes of short runs of its lines: of intervals, and of how each
note's distance compares with the one before, which depend neither on key nor on tempo. Only a
sample is kept of each set, chosen by the hashes themselves, so that copies share their samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from musicvae_torch.converters.drums import class_of_pitch
from musicvae_torch.midi.vocabulary import DRUM_CLASSES

RUN = 8  # intervals
DRUM_RUN = 16  # beats
VARIED = 4  # a run of fewer different symbols is a figure that any song may have
SAMPLED = 32  # one hash of so many is kept ...
LEAST = 8  # ... but of a song no fewer than these
FEWEST = 4  # hashes in common that make a copy, unless all are
MOST_SONGS = 16  # what more songs have in common is an idiom, and no sign of a copy

CLASS_OF_PITCH = class_of_pitch(DRUM_CLASSES)
_MULTIPLIERS = np.random.default_rng(0).integers(2**63, size=64, dtype=np.uint64) * 2 + 1


@dataclass(frozen=True)
class Fingerprint:
    """Hashes by which a song is recognised.

    Attributes:
        sample: (n,) uint32 hashes, sorted.
        size: hashes of the whole material.
        whole: 64 bits that depend on all of it.
    """

    sample: np.ndarray
    size: int
    whole: int


def fingerprint(notes: np.ndarray, instruments: set[int]) -> Fingerprint | None:
    """The fingerprint of some tracks' melodic lines, or, if there are none, of their drums.

    Args:
        notes: of ``midi.notes.NOTE_DTYPE``.
        instruments: tracks that count.

    Returns:
        None if the lines are too short for a fingerprint.
    """
    notes = notes[np.isin(notes["instrument"], list(instruments)) & (notes["velocity"] > 0)]
    hashes = _melodic_runs(notes[~notes["is_drum"]])
    if not len(hashes):
        hashes = _drum_runs(notes[notes["is_drum"]])
    if not len(hashes):
        return None
    hashes = np.unique(hashes)
    sampled = np.count_nonzero(hashes < 2**32 // SAMPLED)
    whole = mixed(hashes.astype(np.uint64) * _MULTIPLIERS[0], _MULTIPLIERS[-1])
    return Fingerprint(hashes[: max(sampled, LEAST)], len(hashes), int(whole.sum(dtype=np.uint64)))


def _melodic_runs(notes: np.ndarray) -> np.ndarray:
    """Hashes of all runs of the highest notes of each track."""
    notes = notes[np.lexsort((-notes["pitch"], notes["start"], notes["instrument"]))]
    notes = notes[begins(notes["start"]) | begins(notes["instrument"])]
    intervals = np.diff(notes["pitch"].astype(np.int64))[1:] + 128
    return _runs(intervals, notes["start"], notes["instrument"], RUN)


def _drum_runs(notes: np.ndarray) -> np.ndarray:
    """Hashes of all runs of what all tracks together strike."""
    notes = notes[np.argsort(notes["start"], kind="stable")]
    classes = CLASS_OF_PITCH[notes["pitch"]]
    notes, classes = notes[classes >= 0], classes[classes >= 0]
    beginnings = np.flatnonzero(begins(notes["start"]))
    if len(beginnings) < DRUM_RUN:
        return np.empty(0, np.uint32)
    struck = np.bitwise_or.reduceat(1 << classes, beginnings)
    starts = notes["start"][beginnings]
    return _runs(struck[2:], starts, np.zeros(len(starts), np.int64), DRUM_RUN)


def begins(values: np.ndarray) -> np.ndarray:
    """(n,) bool: where a value differs from the one before."""
    begins = np.ones(len(values), bool)
    begins[1:] = values[1:] != values[:-1]
    return begins


def _runs(symbols: np.ndarray, starts: np.ndarray, lines: np.ndarray, length: int) -> np.ndarray:
    """Hashes of runs of `length` symbols.

    Args:
        symbols: (n - 2,) below 1024, of the third event and those after it.
        starts, lines: (n,) when each event is, and of which line.
    """
    if len(starts) < length + 2:
        return np.empty(0, np.uint32)
    distances = np.diff(starts)
    # Two bits: nearer, as far, or farther than the one before.
    rhythm = 1 + (distances[1:] > 1.4 * distances[:-1]) - (distances[1:] < distances[:-1] / 1.4)
    words = (symbols * 4 + rhythm).astype(np.uint64)
    runs = sliding_window_view(words, length)[lines[length + 1 :] == lines[: -length - 1]]
    hashes: np.ndarray = runs[is_varied(runs, VARIED)] @ _MULTIPLIERS[:length]
    return (mixed(hashes, _MULTIPLIERS[-1]) >> np.uint64(32)).astype(np.uint32)


def mixed(values: np.ndarray, multiplier: np.uint64) -> np.ndarray:
    """Hashes of uint64 values, every bit of which depends on all bits of the value."""
    for shift in (33, 29, 32):
        values = (values ^ (values >> np.uint64(shift))) * multiplier
    return values


def is_varied(runs: np.ndarray, least: int) -> np.ndarray:
    """(n,) bool: whether runs (n, length) hold at least so many different symbols."""
    changes = np.count_nonzero(np.diff(np.sort(runs, axis=1), axis=1), axis=1)
    varied: np.ndarray = 1 + changes >= least
    return varied


def find_copies(
    samples: np.ndarray, ends: np.ndarray, sizes: np.ndarray, wholes: np.ndarray, share: float
) -> np.ndarray:
    """Find which songs are near-duplicates of which others.

    Songs are taken in order of size, the largest first. A song is a copy of an earlier one, itself
    no copy, if that one's sample holds at least `share` of its own and no fewer than FEWEST hashes.
    Hashes that MOST_SONGS originals have are not counted.

    Args:
        samples: uint32 hashes of all songs, one song's after the other's.
        ends: (songs,) where each song's end.
        sizes, wholes: (songs,) as in :class:`Fingerprint`.
        share: from above 0 to 1.

    Returns:
        (songs,) for each the song that it is a copy of, or itself.
    """
    order = np.lexsort((np.arange(len(sizes)), -sizes))
    original = np.arange(len(sizes))
    # Exact copies first, which are many and quickly found.
    _, first, group = np.unique(wholes[order], return_index=True, return_inverse=True)
    original[order] = order[first[group]]
    index = _Index(samples)
    for song in order[original[order] == order].tolist():
        own = slice(ends[song - 1] if song else 0, ends[song])
        best = index.most_alike(own, share)
        if best is None:
            index.add(own, song)
        else:
            original[song] = best
    originals: np.ndarray = original[original]
    return originals


class _Index:
    """Songs by their hashes, in a few flat arrays, because there may be millions of hashes."""

    def __init__(self, samples: np.ndarray) -> None:
        order = np.argsort(samples)
        is_first = begins(samples[order])
        self._bucket = np.empty(len(samples), np.int32)
        self._bucket[order] = np.cumsum(is_first, dtype=np.int32) - 1
        self._first = np.flatnonzero(is_first).astype(np.int32)
        self._filled = np.zeros(len(self._first), np.int32)
        self._songs = np.empty(len(samples), np.int32)

    def most_alike(self, own: slice, share: float) -> int | None:
        buckets = self._bucket[own]
        buckets = buckets[self._filled[buckets] < MOST_SONGS]
        filled = self._filled[buckets]
        if not filled.any():
            return None
        rows = np.repeat(self._first[buckets] + filled - np.cumsum(filled), filled)
        songs, counts = np.unique(self._songs[rows + np.arange(len(rows))], return_counts=True)
        best = counts.argmax()
        return int(songs[best]) if counts[best] >= max(share * len(buckets), FEWEST) else None

    def add(self, own: slice, song: int) -> None:
        buckets = self._bucket[own]
        buckets = buckets[self._filled[buckets] < MOST_SONGS]
        self._songs[self._first[buckets] + self._filled[buckets]] = song
        self._filled[buckets] += 1
