"""Chords of notes: the likeliest ones of a song, and the name of a single one.

:func:`infer_chords` is note-seq 0.0.5's ``chord_inference``: a hidden Markov model over keys and
chords, whose emissions are how well the pitch classes of a frame fit those of a chord. Magenta
reads no chords from MIDI files, and so it infers those of every song.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

import numpy as np

from musicvae_torch.chords.symbols import MAJOR_SCALE, NO_CHORD, ROOTS, Progression, chord_tones
from musicvae_torch.midi.vocabulary import STEPS_PER_QUARTER

_KINDS = ("", "m", "+", "dim", "7", "maj7", "m7", "m7b5")
_CHORDS = (NO_CHORD, *(root + kind for root in ROOTS for kind in _KINDS))  # 97
_UNPITCHED_PROGRAMS = (*range(96, 104), *range(112, 128))
_FRAMES_PER_BAR = {(2.0, 2.0): 1, (2.0, 4.0): 1, (3.0, 4.0): 1, (4.0, 4.0): 2, (6.0, 8.0): 2}
_MAX_FRAMES = 1000
_KEY_CHANGE, _CHORD_CHANGE, _OUT_OF_KEY = 0.001, 0.5, 0.01
_CONCENTRATION = 100.0
_ROUNDING = 1e-6  # far more than the rounding errors of a score


def infer_chords(
    notes: np.ndarray,
    end: float,
    qpm: float,
    metre: tuple[float, float],
    steps_per_quarter: int = STEPS_PER_QUARTER,
) -> Progression | None:
    """The likeliest chords of a section, half a bar or a bar each.

    Args:
        notes: of NOTE_DTYPE, in order, times in seconds from the section's start. Drums and
            programs without pitch do not count.
        end: seconds that the section lasts.
        qpm, metre: of the section.
        steps_per_quarter: of the grid that frames begin on.

    Returns:
        None where Magenta infers no chords: in uncommon metres, and for none or more than 1,000
        frames.
    """
    if metre not in _FRAMES_PER_BAR:
        return None
    steps_per_frame = steps_per_quarter * 4 * metre[0] / metre[1] / _FRAMES_PER_BAR[metre]
    if steps_per_frame % 1:
        return None
    seconds = steps_per_frame / (steps_per_quarter * qpm / 60.0)
    frames = int(np.ceil(end / seconds))
    if not 0 < frames <= _MAX_FRAMES:
        return None
    path = _likeliest(
        _CONCENTRATION * (_pitch_classes(notes, frames, seconds) @ _chords_by_pitch())
    )
    changes = np.flatnonzero(np.r_[True, path[1:] != path[:-1]])
    return Progression(changes * seconds, tuple(_CHORDS[path[frame]] for frame in changes))


def _pitch_classes(notes: np.ndarray, frames: int, seconds: float) -> np.ndarray:
    """(frames, 12): how long each pitch class sounds in a frame, as a vector of unit length."""
    notes = notes[~notes["is_drum"] & ~np.isin(notes["program"], _UNPITCHED_PROGRAMS)]
    borders = seconds * np.arange(1, frames)
    first = np.searchsorted(borders, notes["start"], side="right")
    last = np.maximum(np.searchsorted(borders, notes["end"], side="left"), first)
    # One row for each frame that a note is in.
    counts = last - first + 1
    note = np.repeat(np.arange(len(notes)), counts)
    frame = np.arange(len(note)) - np.repeat(np.cumsum(counts) - counts, counts) + first[note]
    begins = np.where(frame == first[note], notes["start"][note], np.r_[0.0, borders][frame])
    ends = np.where(frame == last[note], notes["end"][note], np.r_[borders, 0.0][frame])
    sums = np.zeros((frames, 12))
    np.add.at(sums, (frame, notes["pitch"][note] % 12), ends - begins)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    np.divide(sums, norms, out=sums, where=norms > 0)
    return sums


def _chord_members() -> np.ndarray:
    """(97, 12) bool: the pitch classes of each chord."""
    tones = [chord_tones(name).pitches for name in _CHORDS]
    return np.array([[pitch in own for pitch in range(12)] for own in tones])


@cache
def _chords_by_pitch() -> np.ndarray:
    """(12, 97): chords as vectors of unit length."""
    members = _chord_members().astype(float)
    members[1:] /= np.linalg.norm(members[1:], axis=1)[:, None]
    return members.T


@cache
def _key_chord_logs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log probabilities of chords: in each key (12, 97); within a key, [key, to, from] (12, 97,
    97); after a change of key, which forgets the chord before, (12, 97)."""
    members = _chord_members()
    scale = np.isin(np.arange(12), MAJOR_SCALE)
    keys = np.stack([np.roll(scale, key) for key in range(12)])
    inside = (members[None] & keys[:, None]).sum(-1)
    outside = (members[None] & ~keys[:, None]).sum(-1)
    chords = (1 - _OUT_OF_KEY) ** inside * _OUT_OF_KEY**outside
    chords /= chords.sum(axis=1, keepdims=True)
    # When the chord changes, the old chord's probability is shared out among the others.
    old = chords[:, None, :] / (len(_CHORDS) - 1)
    within = (1 - _KEY_CHANGE) * (_CHORD_CHANGE * (chords[:, :, None] + old))
    same = np.arange(len(_CHORDS))
    within[:, same, same] = (1 - _KEY_CHANGE) * (1 - _CHORD_CHANGE)
    return np.log(chords), np.log(within), np.log(_KEY_CHANGE / 11 * chords)


def _likeliest(emissions: np.ndarray) -> np.ndarray:
    """Viterbi's algorithm: (frames, 97) log likelihoods → (frames,) chords.

    A state is a key and a chord; of equal scores that of the first state counts. Keys share most of
    their chords, so that ties are common and rounding decides many: sums are made in note-seq's
    order.
    """
    in_key, within, after_change = _key_chord_logs()
    keys, chords = in_key.shape
    states = np.arange(keys * chords)
    first_of_key = states // chords * chords
    scores = (-np.log(keys) + in_key + emissions[0]).ravel()
    parents = np.zeros((len(emissions), len(states)), np.int32)
    stays = np.empty((len(states), chords))
    for frame in range(1, len(emissions)):
        np.add(within, scores.reshape(keys, 1, chords), out=stays.reshape(within.shape))
        best = stays.argmax(1)
        kept = stays[states, best]
        best += first_of_key
        moved, movers = _best_change_of_key(scores, after_change)
        change = (moved > kept) | ((moved == kept) & (movers < best))
        parents[frame] = np.where(change, movers, best)
        scores = np.maximum(moved, kept) + np.tile(emissions[frame], keys)
    path = [int(scores.argmax())]
    for before in parents[:0:-1]:
        path.append(int(before[path[-1]]))
    return np.asarray(np.array(path[::-1]) % chords)


def _best_change_of_key(
    scores: np.ndarray, after_change: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(states,) each: the best score of coming from another key, and the state before. It is one of
    the states that are the best up to rounding, which decides among them."""
    by_key = scores.reshape(after_change.shape)
    second, first = np.sort(by_key.max(1))[-2:]
    bar = np.full((len(by_key), 1), second)
    bar[by_key.max(1).argmax()] = first
    before = np.flatnonzero(by_key >= bar - _ROUNDING)
    moves = scores[before, None, None] + after_change
    moves[np.arange(len(before)), before // after_change.shape[1]] = -np.inf  # no change at all
    best = moves.argmax(0)
    return moves.max(0).ravel(), before[best.ravel()]


# Kinds of chords, in order of preference if notes fit several: A C E G is Am7 rather than C6. Only
# their lowest note decides between sus and sus2.
_PREFERENCES = (
    ("",), ("m",), ("7",), ("m7",), ("maj7",), ("dim",), ("aug",), ("m7b5",), ("dim7",),
    ("sus", "sus2"), ("6",), ("m6",), ("mmaj7",), ("7sus",), ("+7",), ("9",), ("m9",), ("maj9",),
    ("5",),
)  # fmt: skip


def name_chord(pitches: Collection[int]) -> str:
    """The symbol of the chord whose tones are most like some MIDI pitches, in any octave.

    Returns:
        A symbol that ``chords.chord_tones`` knows, without a bass after a slash; "N.C." for no
        pitches. Likeness is the Jaccard similarity of pitch classes; of equally likely chords the
        plainer kind counts, then the one whose root is nearest above the lowest pitch.
    """
    if not pitches:
        return NO_CHORD
    return _name(frozenset(pitch % 12 for pitch in pitches), min(pitches) % 12)


@cache
def _name(classes: frozenset[int], lowest: int) -> str:
    def rank(entry: tuple[int, str]) -> tuple[float, int, int]:
        preference, name = entry
        tones = chord_tones(name)
        likeness = len(classes & tones.pitches) / len(classes | tones.pitches)
        assert tones.root is not None
        return -likeness, preference, (tones.root - lowest) % 12

    names = [
        (preference, root + kind)
        for preference, kinds in enumerate(_PREFERENCES)
        for kind in kinds
        for root in ROOTS
    ]
    return min(names, key=rank)[1]
