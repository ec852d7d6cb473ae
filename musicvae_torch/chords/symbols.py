"""Chords: names ↔ 49 classes of triads, chords by hand, and chords heard in notes.

Facts of note-seq 0.0.5's ``chord_symbols_lib``, ``chords_encoder_decoder``, ``chords_lib`` and
``chord_inference``. Magenta reads no chords from a MIDI file, so it infers those of every song.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from musicvae_torch.errors import ChordError
from musicvae_torch.midi.quantize import DEFAULT_QPM, to_steps
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR, STEPS_PER_QUARTER

NO_CHORD = "N.C."
ROOTS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
TRIADS = ("", "m", "aug", "dim")
CHORD_DEPTH = 1 + len(ROOTS) * len(TRIADS)  # 49: no chord, then all roots of each triad in turn


# Degrees of the scale in each kind of chord; degrees beyond the seventh keep their names.
_KINDS = {
    "|maj|M": "1 3 5",
    "m|min|-": "1 b3 5",
    "+|aug": "1 3 #5",
    "o|dim": "1 b3 b5",
    "7": "1 3 5 b7",
    "maj7|M7": "1 3 5 7",
    "m7|min7|-7": "1 b3 5 b7",
    "o7|dim7": "1 b3 b5 bb7",
    "+7|aug7": "1 3 #5 b7",
    "m7b5|-7b5|/o|/o7": "1 b3 b5 b7",
    "mmaj7|mM7|minmaj7|minM7|-maj7|-M7": "1 b3 5 7",
    "m(maj7)|m(M7)|min(maj7)|min(M7)|-(maj7)|-(M7)": "1 b3 5 7",
    "6": "1 3 5 6",
    "m6|min6|-6": "1 b3 5 6",
    "9": "1 3 5 b7 9",
    "maj9|M9": "1 3 5 7 9",
    "m9|min9|-9": "1 b3 5 b7 9",
    "+9|aug9": "1 3 #5 b7 9",
    "6/9": "1 3 5 6 9",
    "11": "1 3 5 b7 9 11",
    "maj11|M11": "1 3 5 7 9 11",
    "m11|min11|-11": "1 b3 5 b7 9 11",
    "13": "1 3 5 b7 9 11 13",
    "maj13|M13": "1 3 5 7 9 11 13",
    "m13|min13|-13": "1 b3 5 b7 9 11 13",
    "sus2": "1 2 5",
    "sus|sus4": "1 4 5",
    "sus7|7sus": "1 4 5 b7",
    "ped": "1",
    "5": "1 5",
}
_DEGREES_OF_KIND = {
    name: {
        int(degree.lstrip("#b")): degree.count("#") - degree.count("b") for degree in row.split()
    }
    for names, row in _KINDS.items()
    for name in names.split("|")
}
_QUALITIES = ((0, 0, 0), (0, -1, 0), (0, 0, 1), (0, -1, -1))  # of degrees 1, 3, 5; as in TRIADS
_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
_NATURALS = dict(zip("CDEFGAB", _MAJOR_SCALE, strict=True))
_ROOT = r"[A-G](?:#*|b*)(?![#b])"
_KIND = "|".join(map(re.escape, _DEGREES_OF_KIND))
_CHANGE = re.compile(r"(add[#b]?|no|#|b)([0-9]+)")  # of a degree, with or without brackets
_CHANGES = r"(?:\(?(?:add[#b]?|no|#|b)[0-9]+\)?)*"
_SYMBOL = re.compile(f"({_ROOT})({_KIND})({_CHANGES})(?:/({_ROOT}))?")


@cache
def chord_class(name: str) -> int:
    """A chord's triad: 0 for no chord ("N.C."), then 12 each of major, minor, augmented and
    diminished, from C upwards. Further notes and the bass of, say, "F#m7(b9)/A" do not count.

    Raises:
        ChordError: the name is no chord symbol, or the chord holds none of those triads.
    """
    if name == NO_CHORD:
        return 0
    root, degrees, _ = _parse(name)
    quality = tuple(degrees.get(degree) for degree in (1, 3, 5))
    if quality not in _QUALITIES:
        raise ChordError(f"{name!r} is no major, minor, augmented or diminished chord")
    return 1 + len(ROOTS) * _QUALITIES.index(quality) + root


@dataclass(frozen=True)
class ChordTones:
    """What a chord symbol says is played.

    Attributes:
        root: pitch class, 0 for C; None of "N.C.".
        pitches: pitch classes, those of further notes, such as ninths, and of the bass included.
        core: those of degrees up to the seventh, and of the bass: what a bass line may rest on.
        bass: pitch class that is named after a slash; None where none is.
    """

    root: int | None
    pitches: frozenset[int]
    core: frozenset[int]
    bass: int | None


@cache
def chord_tones(name: str) -> ChordTones:
    """The notes of any chord symbol, those without a triad (Csus4, C5) among them.

    Raises:
        ChordError: the name is no chord symbol.
    """
    if name == NO_CHORD:
        return ChordTones(None, frozenset(), frozenset(), None)
    root, degrees, bass = _parse(name)
    pitches = {
        degree: (root + _MAJOR_SCALE[(degree - 1) % 7] + shift) % 12
        for degree, shift in degrees.items()
    }
    low = set() if bass is None else {bass}
    core = {pitch for degree, pitch in pitches.items() if degree <= 7}
    return ChordTones(root, frozenset(low | set(pitches.values())), frozenset(low | core), bass)


def _parse(name: str) -> tuple[int, dict[int, int], int | None]:
    """Root, the shift of each degree of the major scale on it, and bass of a chord symbol."""
    match = _SYMBOL.fullmatch(name)
    if not match:
        raise ChordError(f"{name!r} is no chord symbol; write it as in C, F#m7, Bbmaj7/D or N.C.")
    root, kind, changes, bass = match.group(1, 2, 3, 4)
    degrees = dict(_DEGREES_OF_KIND[kind])
    for change, number in _CHANGE.findall(changes):
        _change_degree(degrees, change, int(number), name)
    return _pitch_class(root), degrees, _pitch_class(bass) if bass else None


def _pitch_class(root: str) -> int:
    return (_NATURALS[root[0]] + root.count("#") - root.count("b")) % 12


def _change_degree(degrees: dict[int, int], change: str, degree: int, name: str) -> None:
    shift = change.count("#") - change.count("b")
    if change.startswith("add"):
        if degree in degrees:
            raise ChordError(f"{name!r} adds degree {degree}, which it holds already")
        degrees[degree] = shift
    elif change == "no":
        if degree not in degrees:
            raise ChordError(f"{name!r} leaves out degree {degree}, which it does not hold")
        del degrees[degree]
    else:
        degrees[degree] = degrees.get(degree, 0) + shift


def chord_name(index: int) -> str:
    """The name that Magenta gives a class, such as "Ebdim"; inverse of :func:`chord_class`."""
    if not 0 <= index < CHORD_DEPTH:
        raise ChordError(f"chord class {index} is not in 0..{CHORD_DEPTH - 1}")
    return ROOTS[(index - 1) % 12] + TRIADS[(index - 1) // 12] if index else NO_CHORD


@dataclass(frozen=True)
class Progression:
    """Chords and when each begins.

    Attributes:
        times: (chords,) seconds, ascending.
        names: chord symbols.
    """

    times: np.ndarray
    names: tuple[str, ...]

    def at_steps(
        self, steps: int, qpm: float, steps_per_quarter: int = STEPS_PER_QUARTER
    ) -> np.ndarray:
        """(steps,) chord symbols; "N.C." before the first.

        Raises:
            ChordError: two different chords begin on the same step.
        """
        starts = to_steps(self.times, qpm, steps_per_quarter)
        for index in np.flatnonzero((starts[1:] == starts[:-1]) & (starts[1:] < steps)):
            one, other = self.names[index : index + 2]
            if one != other:
                raise ChordError(f"{one!r} and {other!r} begin on the same step")
        names = np.array([NO_CHORD, *self.names])
        return names[np.searchsorted(starts, np.arange(steps), side="right")]


def chord_classes(names: np.ndarray) -> np.ndarray:
    """Chord symbols → classes of the same shape, int16.

    Raises:
        ChordError: a name that :func:`chord_class` refuses.
    """
    distinct, places = np.unique(names, return_inverse=True)
    classes = np.array([chord_class(str(name)) for name in distinct], np.int16)
    return classes[places].reshape(names.shape)


def chord_controls(
    chords: Iterable[tuple[float, str]],
    steps: int,
    unit: str = "bars",
    qpm: float = DEFAULT_QPM,
    steps_per_bar: int = STEPS_PER_BAR,
) -> np.ndarray:
    """Chords by hand → (steps, 49) one-hot bool rows, as chord-conditioned models take them.

    Args:
        chords: when each begins and its name, such as [(0, "C"), (0.5, "Am7"), (1, "G")]; there
            is no chord before the first.
        steps: length of the result.
        unit: what the beginnings are counted in, from 0: "bars" or "seconds".
        qpm: quarter notes per minute, for seconds.
        steps_per_bar: for bars.

    Raises:
        ChordError: a name that :func:`chord_class` refuses, two chords on one step, or a
            beginning before 0.
        ValueError: unknown unit.
    """
    if unit not in ("bars", "seconds"):
        raise ValueError(f"unknown unit {unit!r}; choose one of: bars, seconds")
    ordered = sorted(chords, key=lambda chord: chord[0])
    if ordered and ordered[0][0] < 0:
        raise ChordError(f"{ordered[0][1]!r} begins before 0, at {ordered[0][0]:g} {unit}")
    seconds_per_unit = 60 / qpm / STEPS_PER_QUARTER * steps_per_bar if unit == "bars" else 1.0
    times = np.array([time for time, _ in ordered], float) * seconds_per_unit
    names = tuple(name for _, name in ordered)
    chord_classes(np.array(names, str))  # those after the last step may not be wrong either
    classes = chord_classes(Progression(times, names).at_steps(steps, qpm))
    return np.eye(CHORD_DEPTH, dtype=bool)[classes]


# Inference: a hidden Markov model over keys and chords, whose emissions are how well the pitch
# classes sounding in a frame fit a chord's.
_HEARD_KINDS = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "+": (0, 4, 8),
    "dim": (0, 3, 6),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "m7b5": (0, 3, 6, 10),
}
_HEARD_CHORDS = (NO_CHORD, *(root + kind for root in ROOTS for kind in _HEARD_KINDS))
_UNPITCHED_PROGRAMS = (*range(96, 104), *range(112, 128))
_FRAMES_PER_BAR: dict[tuple[float, float], int] = {
    (2, 2): 1,
    (2, 4): 1,
    (3, 4): 1,
    (4, 4): 2,
    (6, 8): 2,
}
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
        None where Magenta infers no chords: in uncommon metres, for nothing, and for more than
        1,000 frames.
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
    return Progression(changes * seconds, tuple(_HEARD_CHORDS[path[frame]] for frame in changes))


def _pitch_classes(notes: np.ndarray, frames: int, seconds: float) -> np.ndarray:
    """(frames, 12) of unit length: how long each pitch class sounds in a frame."""
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
    return np.divide(sums, norms, out=sums, where=norms > 0)


def _chord_members() -> np.ndarray:
    """(97, 12) bool: the pitch classes of each chord; none of "no chord"."""
    members = np.zeros((len(_HEARD_CHORDS), 12), bool)
    kinds = _HEARD_KINDS.values()
    rows = [(root, kind) for root in range(12) for kind in kinds]
    for index, (root, kind) in enumerate(rows, start=1):
        members[index, [(root + offset) % 12 for offset in kind]] = True
    return members


@cache
def _chords_by_pitch() -> np.ndarray:
    """(12, 97): chords as vectors of unit length."""
    members = _chord_members().astype(float)
    members[1:] /= np.linalg.norm(members[1:], axis=1)[:, None]
    return members.T


@cache
def _key_chord_logs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log probabilities of chords.

    Returns:
        In each key (12, 97); within a key, [key, to, from] (12, 97, 97); after a change of key,
        which forgets the chord before, (12, 97).
    """
    members = _chord_members()
    keys = np.zeros((12, 12), bool)
    for key in range(12):
        keys[key, [(key + offset) % 12 for offset in _MAJOR_SCALE]] = True
    inside = (members[None] & keys[:, None]).sum(-1)
    outside = (members[None] & ~keys[:, None]).sum(-1)
    chords = (1 - _OUT_OF_KEY) ** inside * _OUT_OF_KEY**outside
    chords /= chords.sum(axis=1, keepdims=True)
    # A changed chord shares out what would have gone to the old one.
    old = chords[:, None, :] / (len(_HEARD_CHORDS) - 1)
    within = (1 - _KEY_CHANGE) * (_CHORD_CHANGE * (chords[:, :, None] + old))
    same = np.arange(len(_HEARD_CHORDS))
    within[:, same, same] = (1 - _KEY_CHANGE) * (1 - _CHORD_CHANGE)
    return np.log(chords), np.log(within), np.log(_KEY_CHANGE / 11 * chords)


def _likeliest(emissions: np.ndarray) -> np.ndarray:
    """Viterbi's algorithm: (frames, 97) log likelihoods → (frames,) chords.

    A state is a key and a chord; of equal scores the first state's counts. Keys share most of
    their chords, so that ties are common and rounding decides many: sums are made as note-seq
    makes them.
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
    for frame in range(len(emissions) - 1, 0, -1):
        path.append(int(parents[frame, path[-1]]))
    return np.array(path[::-1]) % chords


def _best_change_of_key(
    scores: np.ndarray, after_change: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(states,) each: the best score of coming from another key, and the state before.

    Only states that are the best up to rounding need a look; which of those wins, rounding
    decides.
    """
    by_key = scores.reshape(after_change.shape)
    second, first = np.sort(by_key.max(1))[-2:]
    bar = np.full((len(by_key), 1), second)
    bar[by_key.max(1).argmax()] = first
    before = np.flatnonzero(by_key >= bar - _ROUNDING)
    moves = scores[before, None, None] + after_change
    moves[np.arange(len(before)), before // after_change.shape[1]] = -np.inf  # no change at all
    best = moves.argmax(0)
    return moves.max(0).ravel(), before[best.ravel()]
