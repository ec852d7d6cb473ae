"""Comping: the song's chords as a part of their own, with the rhythm of the drums.

Guitar and piano strike with the kick and the snare: a strike with the snare is short, another lasts
until the next. Organ and pad hold each chord. Every chord is struck where it begins. The notes are
those of :mod:`surrogate.arrangement.voicing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musicvae_torch.converters.drums import class_of_pitch
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, STEPS_PER_BAR
from surrogate.arrangement.fill import StepNote
from surrogate.arrangement.harmony import Harmony
from surrogate.arrangement.voicing import voice_chords

PROGRAMS = {"guitar": 25, "piano": 0, "organ": 16, "pad": 89}  # General MIDI's, from 0
HELD = ("organ", "pad")
SOFTER = 16  # units of velocity below the bass
_KICK, _SNARE = 0, 1  # indices of drum classes
_APART = 3  # steps between two strikes, at least, unless a chord begins
_SHORT, _LONG = 2, STEPS_PER_BAR  # steps that a strike lasts: with the snare; others, at most
_LONGEST = 2 * STEPS_PER_BAR  # steps until a held chord is struck again


@dataclass(frozen=True)
class Strike:
    """A chord that is struck.

    Attributes:
        start, end: steps.
        pitches: MIDI pitches, ascending.
    """

    start: int
    end: int
    pitches: tuple[int, ...]


def comp(
    harmony: Harmony,
    hits: Sequence[StepNote],
    melody: Sequence[StepNote],
    live: np.ndarray,
    held: bool,
) -> list[Strike]:
    """The strikes of a comping part, in order; none sounds into the next.

    Args:
        harmony: of the song.
        hits: of the drums; none: chords are held.
        melody: notes of the song's melody.
        live: (steps,) bool, at which the part may sound.
        held: whether chords are held rather than struck with the drums.
    """
    steps = len(live)
    starts = harmony.starts[harmony.starts < steps].tolist()
    spans = list(zip(starts, [*starts[1:], steps], strict=True))
    names = harmony.names[: len(starts)]
    voicings = voice_chords(names, [_ceiling(melody, *span) for span in spans])
    accents = {} if held else _accents(hits)
    strikes = []
    for (start, end), pitches in zip(spans, voicings, strict=True):
        if not pitches:
            continue
        for begin, stop in _live_spans(live, start, end):
            own = _rhythm(begin, stop, accents)
            strikes += [Strike(first, last, pitches) for first, last in own]
    return strikes


def strike_notes(strikes: Sequence[Strike]) -> list[StepNote]:
    """The notes of strikes, each strike's lowest first."""
    return [(own.start, own.end, pitch) for own in strikes for pitch in own.pitches]


def _accents(hits: Sequence[StepNote]) -> dict[int, int]:
    """The steps with a kick or a snare, and which of them it is."""
    drums = class_of_pitch(DRUM_CLASSES)
    found: dict[int, int] = {}
    for start, _, pitch in hits:
        if drums[pitch] in (_KICK, _SNARE):
            found[start] = max(found.get(start, _KICK), int(drums[pitch]))
    return found


def _rhythm(start: int, end: int, accents: dict[int, int]) -> list[tuple[int, int]]:
    """When a chord that lasts from one step to another is struck, and until when."""
    begins = [start]
    # Without accents in a bar, the chord is held; struck again, if it would fade.
    for step in range(start + 1, end):
        far = step - begins[-1]
        if (step in accents and far >= _APART) or far == _LONGEST:
            begins.append(step)
    found = []
    for first, following in zip(begins, [*begins[1:], end], strict=True):
        longest = _LONGEST
        if accents:
            longest = _SHORT if accents.get(first) == _SNARE else _LONG
        found.append((first, min(following, first + longest)))
    return found


def _live_spans(live: np.ndarray, start: int, end: int) -> list[tuple[int, int]]:
    """The runs of live steps from one step to another."""
    padded = np.concatenate([[False], live[start:end], [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1]) + start
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _ceiling(melody: Sequence[StepNote], start: int, end: int) -> float:
    """The lowest pitch of the melody from one step to another; inf for none."""
    sounding = (pitch for begin, stop, pitch in melody if begin < end and stop > start)
    return min(sounding, default=np.inf)
