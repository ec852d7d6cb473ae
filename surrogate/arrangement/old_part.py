"""A part of which bars are made anew, as it was: what goes, what stays, where the new notes may be.

A note that begins before these bars and sounds into them stays as long as it is, and a new one may
sound beyond them as long as the old one did. Chords are different, since within the bars they may
be others: what sounds in the bars goes, and is put back before and after them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from musicvae_torch.midi.tracks import TICK_NOTE, Track
from surrogate.options import COMPING
from surrogate.song.bars import Bars, begun_in, snapped
from surrogate.song.context import SongContext
from surrogate.song.redo import spans_of, to_be_redone

LEAST_LEFT = 1  # quarters of a chord after the bars, below which it is not struck again


class OldPart(NamedTuple):
    """A part as it was.

    Attributes:
        tracks: that play it.
        gone: by the track's index, (notes,) bool, the notes that are taken out.
        pieces: by the track's index, what is put back of chords that sounded over the bar lines of
            the bars, of TICK_NOTE; none of other parts.
        replaced: the notes that begin in the bars, in ticks of the file.
        stays: what is left of the part, of TICK_NOTE, by start.
        spans: (spans, 2) ticks between which it is redone.
        ends: (spans,) ticks at which the new notes of each must have ended.
        into: the track that gets the new notes: the one with the most notes in those bars or, if
            there are none, in all.
    """

    tracks: tuple[Track, ...]
    gone: dict[int, np.ndarray]
    pieces: dict[int, np.ndarray]
    replaced: np.ndarray
    stays: np.ndarray
    spans: np.ndarray
    ends: np.ndarray
    into: Track


def old_part(song: SongContext, part: str, ranges: tuple[tuple[int, int], ...]) -> OldPart:
    """A part of a song as it was.

    Args:
        song: with the part.
        part: of :data:`surrogate.options.REDOABLE`.
        ranges: the bars that are redone, as first and last numbers.
    """
    bars, resolution = song.song_bars, song.score.resolution
    spans = spans_of(bars, ranges)
    of_part = zip(song.score.tracks, song.roles, strict=True)
    tracks = tuple(track for track, role in of_part if role == part)
    inside = {
        track.index: to_be_redone(track, part, song.melody, bars, spans, resolution)
        for track in tracks
    }
    into = max(tracks, key=lambda own: (inside[own.index].sum(), len(own.notes), -own.index))
    source = song.timing.source.tracks
    replaced = np.concatenate([source[index].notes[mask] for index, mask in inside.items()])
    gone, pieces, ends = inside, {}, spans[:, 1]
    if part == COMPING:
        where = bars, spans, resolution
        gone = {track.index: sounding_in(track.notes, *where) for track in tracks}
        pieces = {t.index: outside_of(t.notes[gone[t.index]], *where) for t in tracks}
    else:
        removed = np.concatenate([track.notes[gone[track.index]] for track in tracks])
        ends = _last_ends(removed, bars, spans, resolution)
    whole = [track.notes[~gone[track.index]] for track in tracks]
    stays = np.sort(np.concatenate([*whole, *pieces.values()]), order=("start", "pitch"))
    return OldPart(tracks, gone, pieces, replaced, stays, spans, ends, into)


def sounding_in(notes: np.ndarray, bars: Bars, spans: np.ndarray, resolution: int) -> np.ndarray:
    """(notes,) bool: which notes of TICK_NOTE sound in the bars to be redone.

    Args:
        spans: (spans, 2) ticks between which these are.
        resolution: ticks a quarter note.
    """
    tidy = snapped(notes, bars.ticks, resolution)
    inside = [(tidy["start"] < end) & (tidy["end"] > start) for start, end in spans.tolist()]
    return np.asarray(np.any(inside, axis=0))


def outside_of(notes: np.ndarray, bars: Bars, spans: np.ndarray, resolution: int) -> np.ndarray:
    """What is left, outside of the bars to be redone, of notes that sound in them, as notes of
    TICK_NOTE; arguments as of :func:`sounding_in`."""
    left = []
    for note, tidy in zip(notes, snapped(notes, bars.ticks, resolution), strict=True):
        start = int(note["start"])
        for begin, stop in spans.tolist():
            if tidy["end"] <= begin or tidy["start"] >= stop:
                continue
            if tidy["start"] < begin:
                left.append((start, begin, note["pitch"], note["velocity"]))
            start = stop
        if tidy["end"] - start >= LEAST_LEFT * resolution:
            left.append((start, int(note["end"]), note["pitch"], note["velocity"]))
    return np.sort(np.array(left, TICK_NOTE), order=("start", "pitch"))


def _last_ends(removed: np.ndarray, bars: Bars, spans: np.ndarray, resolution: int) -> np.ndarray:
    """(spans,) ticks at which the last of the removed notes that begin in each span ends, or the
    span itself."""
    begun = bars.ticks[begun_in(removed, bars, resolution)]
    ends = [
        max(end, removed["end"][(begun >= start) & (begun < end)].max(initial=0))
        for start, end in spans.tolist()
    ]
    return np.array(ends, np.int64)
