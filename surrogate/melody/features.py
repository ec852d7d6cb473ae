"""Features that tell how much a part of a song resembles a melody, with their weights.

A line is a track, or several that one player plays in turn (a channel whose program changes). Each
line gets FEATURES; their weighted sum is its score, and the softmax of the scores over a song's
lines is the probability that each is the melody. The weights were fitted so (``docs/melody.md``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from musicvae_torch.converters.melody import highest_notes
from musicvae_torch.midi.roles import bass_reasons, telling_names
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import TICK_NOTE, Track
from musicvae_torch.midi.vocabulary import MAX_PITCH, MIN_PITCH

MAX_CELLS = 4096  # of time, in which lines are compared
FAMILY = 8  # programs of one kind in General MIDI: pianos, basses, reeds
SAME_TIME = 0.04  # seconds; notes this close begin together


@dataclass(frozen=True)
class Feature:
    """A property of a line that tells melodies from other lines.

    Attributes:
        weight: what a value of 1 adds to the score.
        means: words for a user, why a line was chosen.
    """

    weight: float
    means: str


FEATURES: dict[str, Feature] = {
    "present": Feature(1.4, "plays throughout"),
    "alone": Feature(2.0, "one note at a time"),
    "register": Feature(1.2, "a singer's register"),
    "top": Feature(1.1, "the highest part"),
    "loud": Feature(0.6, "loud"),
    "steps": Feature(1.5, "moves by step"),
    "leaps": Feature(-0.7, "few leaps"),
    "rhythm": Feature(0.7, "varied rhythm"),
    "pace": Feature(0.8, "a singer's pace"),
    "early": Feature(0.8, "its place in the file"),
    "solo": Feature(0.9, "a solo instrument"),
    "bass": Feature(-1.2, "no bass"),
}

# Voices, brass, reeds, pipes, synthesizer leads, and the violin, harmonica and fiddle.
_SOLO = frozenset([*range(52, 55), *range(56, 61), *range(64, 88), 22, 40, 110])


def within_range(pitches: np.ndarray) -> np.ndarray:
    """Which MIDI pitches the networks know, bool: MIN_PITCH to MAX_PITCH."""
    return (pitches >= MIN_PITCH) & (pitches <= MAX_PITCH)


def is_singable(track: Track) -> bool:
    """Whether any of its notes could be input of the networks as a melody."""
    return not track.is_drum and bool(within_range(track.notes["pitch"]).any())


def notes_of(tracks: Iterable[Track]) -> np.ndarray:
    """The notes of tracks, of TICK_NOTE, one track after another."""
    return np.concatenate([np.zeros(0, TICK_NOTE), *(track.notes for track in tracks)])


def lines(score: Score) -> list[list[Track]]:
    """The singable tracks, grouped by the players that they belong to.

    The tracks of one player take turns. They are on one channel of one chunk, or on chunks of the
    same name (other than a title that most chunks have), with one channel or instruments of one
    family.
    """
    names = telling_names(score.tracks)
    found: list[list[Track]] = []
    for track in filter(is_singable, score.tracks):
        for line in found:
            if all(_same_player(track, own, names) and _take_turns(track, own) for own in line):
                line.append(track)
                break
        else:
            found.append([track])
    return found


def _same_player(one: Track, other: Track, names: dict[int, str]) -> bool:
    if one.chunk == other.chunk:
        return one.channels == other.channels
    if not names[one.index] or names[one.index] != names[other.index]:
        return False
    return one.channel == other.channel or one.program // FAMILY == other.program // FAMILY


def _take_turns(one: Track, other: Track) -> bool:
    """Whether the two hardly ever sound together."""
    alone = [sounding(track.notes) for track in (one, other)]
    together = sum(alone) - sounding(np.concatenate([one.notes, other.notes]))
    return together <= 0.02 * min(alone)


def sounding(notes: np.ndarray) -> int:
    """Ticks in which at least one of the notes (of TICK_NOTE) sounds."""
    order = np.argsort(notes["start"], kind="stable")
    starts, ends = notes["start"][order], notes["end"][order]
    free = starts.copy()
    free[1:] = np.maximum(starts[1:], np.maximum.accumulate(ends)[:-1])
    return int(np.maximum(ends - free, 0).sum())


def alone_share(starts: np.ndarray, ends: np.ndarray) -> float:
    """Share of notes that begin neither together with another nor well within another.

    Args:
        starts, ends: (notes,) in seconds, by start; at least one.
    """
    close = (np.diff(starts) <= SAME_TIME) & (ends[:-1] - starts[1:] > 0)
    within = np.maximum.accumulate(ends)[:-1] - starts[1:] > (ends - starts)[1:] / 2
    return float(1 - (np.append(False, close | within) | np.append(close, False)).mean())


def features(score: Score, parts: list[list[Track]]) -> np.ndarray:
    """(lines, len(FEATURES)) float64, in that order, of the lines of a song."""
    every = [np.sort(notes_of(part), order=("start", "pitch", "end")) for part in parts]
    tops = _tops(score, every)
    highest = tops.max(axis=0, initial=0)
    cells = (tops > 0).sum(axis=1)
    velocity = np.array([notes["velocity"].mean() for notes in every])
    basses = bass_reasons(score.tracks)
    rows = []
    for row, (part, notes) in enumerate(zip(parts, every, strict=True)):
        own = tops[row] > 0
        quarters = cells[row] * _cell(score) / score.resolution
        others = np.delete(velocity, row) if len(parts) > 1 else velocity
        values = {
            "present": cells[row] / cells.max(),
            "register": -min(abs(float(notes["pitch"].mean()) - 70) / 12, 3.0),
            "top": float((tops[row] == highest)[own].mean()),
            # Units of 20 of MIDI's velocities above the mean of the others.
            "loud": float(np.clip((velocity[row] - others.mean()) / 20, -2, 2)),
            "early": -float(np.log2(1 + row)),
            "solo": _share(part, [track.program in _SOLO for track in part]),
            "bass": _share(part, [track.index in basses for track in part]),
            **_motion(score, notes, quarters),
        }
        rows.append([values[name] for name in FEATURES])
    return np.array(rows, float).reshape(len(rows), len(FEATURES))


def _motion(score: Score, notes: np.ndarray, quarters: float) -> dict[str, float]:
    """Features of how the notes of a line follow each other; of notes that begin together the
    highest counts. `quarters` is for how many quarter notes the line sounds."""
    starts, ends = score.seconds(notes["start"]), score.seconds(notes["end"])
    moments = np.append(0, np.cumsum(np.diff(starts) > SAME_TIME))
    upper = highest_notes(moments, notes["pitch"])
    leaps = np.abs(np.diff(notes["pitch"][upper].astype(int)))
    waits = np.diff(notes["start"][upper]) / score.resolution
    count = max(len(leaps), 1)
    return {
        "alone": alone_share(starts, ends),
        "steps": float(((leaps > 0) & (leaps <= 2)).sum() / count),
        "leaps": float((leaps >= 12).sum() / count),
        "rhythm": _entropy(np.rint(4 * waits).clip(0, 16)),  # in sixteenths, a bar at most
        # Doublings away from three notes in two quarters.
        "pace": -min(abs(float(np.log2(len(upper) / quarters / 1.5))), 3.0),
    }


def _share(part: list[Track], belongs: list[bool]) -> float:
    """Share of the notes that are on tracks which belong to something."""
    return float(np.average(belongs, weights=[len(track.notes) for track in part]))


def _cell(score: Score) -> int:
    """Ticks of a cell: a sixteenth, or longer in a long song."""
    return max(score.resolution // 4, -(-score.end // MAX_CELLS), 1)


def _tops(score: Score, every: list[np.ndarray]) -> np.ndarray:
    """(lines, cells) highest pitch that a line sounds in each cell of time, plus one; 0: none."""
    cell = _cell(score)
    tops = np.zeros((len(every), score.end // cell + 1), np.int16)
    for row, notes in zip(tops, every, strict=True):
        rising = np.argsort(notes["pitch"], kind="stable")
        first = (notes["start"] // cell)[rising].tolist()
        last = np.maximum(-(-notes["end"] // cell), notes["start"] // cell + 1)[rising].tolist()
        for start, end, pitch in zip(first, last, notes["pitch"][rising].tolist(), strict=True):
            row[start:end] = pitch + 1
    return tops


def _entropy(values: np.ndarray) -> float:
    """Entropy, in bits, of how often each value occurs."""
    if not len(values):
        return 0.0
    shares = np.unique(values, return_counts=True)[1] / len(values)
    return float(-(shares * np.log2(shares)).sum())
