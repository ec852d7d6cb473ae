"""Phrases, by which a tune is recognised in any arrangement.

A phrase is a run of intervals of the highest notes of a track, on the grid of sixteenths: repeated
notes count once, and neither key, tempo nor rhythm matters. A trio that was cut out of a song has
that song's phrases, and so has another arrangement with the same tune; the fingerprints of
:mod:`musicvae_torch.dataset.fingerprints`, shorter runs with their rhythm, find only copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from musicvae_torch.converters.base import Converter
from musicvae_torch.dataset.fingerprints import CLASS_OF_PITCH, begins, is_varied, mixed
from musicvae_torch.midi.notes import Song, to_song
from musicvae_torch.midi.quantize import DEFAULT_QPM
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR, STEPS_PER_QUARTER

VERSION = 1  # of this algorithm: other phrases make another data set
INTERVALS = 14
VARIED = 6  # a run of fewer different intervals is a figure that any song may have
DRUM_BEATS = 32
ENOUGH = 20  # of a song that has more phrases, only a share of so many is asked for
FEWEST = 2  # phrases in common that make a near-duplicate

_MULTIPLIERS = np.random.default_rng(1).integers(2**63, size=64, dtype=np.uint64) * 2 + 1


def song_phrases(song: Song, drums: bool) -> np.ndarray:
    """The phrases of all tracks of a song.

    Args:
        song: in seconds.
        drums: whether to read the drums, for a data set that has nothing else, or all other tracks.

    Returns:
        (n,) uint64 hashes, sorted, each once.
    """
    notes = song.notes[(song.notes["velocity"] > 0) & (song.notes["is_drum"] == drums)]
    steps = np.floor(_beats(song, notes["start"]) * STEPS_PER_QUARTER + 0.5).astype(np.int64)
    lines = np.zeros(len(notes), np.int64) if drums else notes["instrument"].astype(np.int64)
    return _phrases(np.stack([lines, steps, notes["pitch"]], 1), drums)


def window_phrases(
    tokens: np.ndarray,
    bars: Sequence[int],
    tracks: Sequence[tuple[int, ...]],
    converter: Converter,
    drums: bool,
) -> np.ndarray:
    """The phrases of a song of which only a data set's windows are known; see :func:`song_phrases`.

    Args:
        tokens: (windows, steps, parts), in the data set's order.
        bars, tracks: (windows,) the bar where each begins, and its tracks.
        converter: of their config.
        drums: as for :func:`song_phrases`.
    """
    rows = [np.empty((0, 3), np.int64)]
    lines: dict[tuple[object, ...], int] = {}
    last: dict[tuple[int, ...], int] = {}
    sections: dict[tuple[int, ...], int] = {}
    for window, bar, own in zip(tokens, bars, tracks, strict=True):
        # An earlier bar begins a further section.
        sections[own] = sections.get(own, 0) + (bar < last.get(own, bar))
        last[own] = bar
        notes = to_song(converter.from_tokens(window)).notes
        notes = notes[notes["is_drum"] == drums]
        steps = np.rint(notes["start"] * (DEFAULT_QPM / 60 * STEPS_PER_QUARTER)).astype(np.int64)
        programs = [0] * len(notes) if drums else notes["program"].tolist()
        keys = [(own, sections[own], program) for program in programs]
        numbers = np.array([lines.setdefault(key, len(lines)) for key in keys], np.int64)
        rows.append(np.stack([numbers, bar * STEPS_PER_BAR + steps, notes["pitch"]], 1))
    # Windows may overlap: a note that several have counts once.
    return _phrases(np.unique(np.concatenate(rows), axis=0), drums)


def _beats(song: Song, seconds: np.ndarray) -> np.ndarray:
    """Seconds → quarter notes from the song's beginning."""
    if not len(song.tempos):
        return seconds * (DEFAULT_QPM / 60)
    times, rates = song.tempos[:, 0], song.tempos[:, 1] / 60
    passed = np.concatenate([[0.0], np.cumsum(np.diff(times) * rates[:-1])])
    row = np.maximum(np.searchsorted(times, seconds, side="right") - 1, 0)
    beats: np.ndarray = passed[row] + (seconds - times[row]) * rates[row]
    return beats


def _phrases(notes: np.ndarray, drums: bool) -> np.ndarray:
    """(n, 3) line, step and pitch of notes → hashes."""
    return np.unique(_drum_runs(notes) if drums else _melodic_runs(notes))


def _melodic_runs(notes: np.ndarray) -> np.ndarray:
    line, step, pitch = notes[np.lexsort((-notes[:, 2], notes[:, 1], notes[:, 0]))].T
    highest = begins(line) | begins(step)
    line, pitch = line[highest], pitch[highest]
    moved = begins(line) | begins(pitch)
    line, pitch = line[moved], pitch[moved]
    return _runs(np.diff(pitch) + 128, line, INTERVALS)


def _drum_runs(notes: np.ndarray) -> np.ndarray:
    classes = CLASS_OF_PITCH[notes[:, 2]]
    notes, classes = notes[classes >= 0], classes[classes >= 0]
    order = np.lexsort((notes[:, 1], notes[:, 0]))
    (line, step, _), classes = notes[order].T, classes[order]
    first = np.flatnonzero(begins(line) | begins(step))
    if len(first) < 2:
        return np.empty(0, np.uint64)
    struck = np.bitwise_or.reduceat(1 << classes, first)
    line, step = line[first], step[first]
    # A beat of the drums is known by what is struck and by how long it is until the next.
    words = (struck[:-1] << 5) + np.clip(np.diff(step), 0, 31)
    return _runs(words, line, DRUM_BEATS)


def _runs(symbols: np.ndarray, line: np.ndarray, length: int) -> np.ndarray:
    """Hashes of varied runs of `length` symbols, each between an event and the next of its line."""
    if len(symbols) < length:
        return np.empty(0, np.uint64)
    runs = sliding_window_view(symbols.astype(np.uint64), length)[line[length:] == line[:-length]]
    hashes = runs[is_varied(runs, VARIED)] @ _MULTIPLIERS[:length]
    return mixed(hashes, _MULTIPLIERS[-1])


class Shared(NamedTuple):
    """The number of `phrases` that a song shares with song number `song`, `of` as many as the one
    with fewer phrases has."""

    song: int
    phrases: int
    of: int

    def __str__(self) -> str:
        return f"{self.phrases} of {self.of} phrases"


class PhraseIndex:
    """Songs by their phrases.

    Args:
        songs: (n,) hashes of each, as :func:`song_phrases` gives them.
    """

    def __init__(self, songs: Iterable[np.ndarray]) -> None:
        own = [np.empty(0, np.uint64), *songs]
        self._sizes = np.array([len(phrases) for phrases in own[1:]], np.int64)
        every = np.concatenate(own)
        order = np.argsort(every, kind="stable")
        self._songs = np.repeat(np.arange(len(self._sizes)), self._sizes)[order]
        self._phrases, self._first, self._counts = np.unique(
            every[order], return_index=True, return_counts=True
        )

    def near_duplicate(self, phrases: np.ndarray, share: float) -> Shared | None:
        """The song that a song is a near-duplicate of, if any; of several, the most alike.

        The two share at least `share` of the phrases of the one that has fewer, or of ENOUGH
        phrases if both have more.
        """
        rows = np.searchsorted(self._phrases, phrases)
        rows[rows == len(self._phrases)] = 0
        rows = rows[self._phrases[rows] == phrases] if len(self._phrases) else rows[:0]
        counts = self._counts[rows]
        rows = np.repeat(self._first[rows] + counts - np.cumsum(counts), counts)
        songs, shared = np.unique(self._songs[rows + np.arange(len(rows))], return_counts=True)
        asked = share * np.minimum(np.minimum(self._sizes[songs], len(phrases)), ENOUGH)
        alike = shared >= np.maximum(asked, FEWEST)
        if not alike.any():
            return None
        best = np.where(alike, shared, 0).argmax()
        song = int(songs[best])
        return Shared(song, int(shared[best]), int(min(self._sizes[song], len(phrases))))
