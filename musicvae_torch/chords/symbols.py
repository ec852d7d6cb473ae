"""Chord symbols: their notes, and the 49 classes of triads that models take.

Facts of note-seq 0.0.5's ``chord_symbols_lib``, ``chords_encoder_decoder`` and ``chords_lib``.
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
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
_NATURALS = dict(zip("CDEFGAB", MAJOR_SCALE, strict=True))
_ROOT = r"[A-G](?:#*|b*)(?![#b])"
_KIND = "|".join(map(re.escape, _DEGREES_OF_KIND))
_CHANGE = re.compile(r"(add[#b]?|no|#|b)([0-9]+)")  # of a degree, with or without brackets
_CHANGES = r"(?:\(?(?:add[#b]?|no|#|b)[0-9]+\)?)*"
_SYMBOL = re.compile(f"({_ROOT})({_KIND})({_CHANGES})(?:/({_ROOT}))?")


@cache
def chord_class(name: str) -> int:
    """The class of a chord's triad: 0 for no chord ("N.C."), then 12 each of major, minor,
    augmented and diminished, from C up. Further notes, or a bass as in "F#m7(b9)/A", do not count.

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
    """The notes of a chord symbol.

    Attributes:
        root: pitch class, 0 for C; None for "N.C.".
        pitches: all pitch classes, with those of further notes, such as ninths, and of the bass.
        core: those of degrees up to the seventh, and of the bass: what a bass line may rest on.
        bass: pitch class that is named after a slash; None without one.
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
        degree: (root + MAJOR_SCALE[(degree - 1) % 7] + shift) % 12
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
        degree = int(number)
        if change.startswith("add") and degree in degrees:
            raise ChordError(f"{name!r} adds degree {degree}, which it holds already")
        if change == "no" and degree not in degrees:
            raise ChordError(f"{name!r} leaves out degree {degree}, which it does not hold")
        shifted = degrees.pop(degree, 0) + change.count("#") - change.count("b")
        if change != "no":
            degrees[degree] = shifted
    return _pitch_class(root), degrees, _pitch_class(bass) if bass else None


def _pitch_class(root: str) -> int:
    return (_NATURALS[root[0]] + root.count("#") - root.count("b")) % 12


def chord_name(index: int) -> str:
    """The name that Magenta gives a class, such as "Ebdim"; inverse of :func:`chord_class`."""
    if not 0 <= index < CHORD_DEPTH:
        raise ChordError(f"chord class {index} is not in 0..{CHORD_DEPTH - 1}")
    return ROOTS[(index - 1) % 12] + TRIADS[(index - 1) // 12] if index else NO_CHORD


@dataclass(frozen=True)
class Progression:
    """Chord symbols, and when each begins: (chords,) seconds, ascending."""

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
    """Chord symbols → classes of the same shape, int16; raises as :func:`chord_class`."""
    distinct, inverse = np.unique(names, return_inverse=True)
    classes = np.array([chord_class(str(name)) for name in distinct], np.int16)
    return classes[inverse].reshape(names.shape)


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
    return np.asarray(np.eye(CHORD_DEPTH, dtype=bool)[classes])
