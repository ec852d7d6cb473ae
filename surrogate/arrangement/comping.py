"""Comping: the song's chords as a part of their own, with the rhythm of the drums.

Guitar and piano strike with the kick and the snare: a strike with the snare is short, another lasts
until the next. Organ and pad hold each chord. Every chord is struck where it begins. The notes are
those of :mod:`surrogate.arrangement.voicing`. Bars that are made anew follow the chords and the
drums that the song then has; their voicings join those on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musicvae_torch.converters.drums import class_of_pitch
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, STEPS_PER_BAR
from surrogate.arrangement.fill import StepNote
from surrogate.arrangement.harmony import Harmony
from surrogate.arrangement.voicing import Joined, Voicing, voice_chords

PROGRAMS = {"guitar": 25, "piano": 0, "organ": 16, "pad": 89}  # General MIDI's, from 0
HELD = ("organ", "pad")
_HELD_FAMILIES = (2, 5, 6, 11)  # of eight programs each: organs, strings, ensembles, pads
SOFTER = 16  # units of velocity below the bass
_KICK, _SNARE = 0, 1  # indices of drum classes
_STREAM = 200  # of random numbers
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


def comp_again(
    harmony: Harmony,
    hits: Sequence[StepNote],
    melody: Sequence[StepNote],
    spans: Sequence[tuple[int, int]],
    held: bool,
    old: Sequence[StepNote],
    seed: int,
) -> list[Strike]:
    """The strikes of a comping part in bars that are made anew, in order; arguments as of
    :func:`comp`.

    Args:
        spans: first steps of these bars, and steps after their last ones.
        old: notes that the part had, there and elsewhere.
        seed: of the choice between voicings.
    """
    accents = {} if held else _accents(hits)
    voicings = _voicings(old)
    rng = np.random.default_rng([seed, _STREAM])
    strikes = []
    for begin, stop in spans:
        chords = _chords_in(harmony, begin, stop)
        before = next((voicings[step] for step in reversed(voicings) if step < begin), ())
        after = next((own for step, own in voicings.items() if step >= stop), ())
        had = [
            {own for step, own in voicings.items() if start <= step < end}
            for start, end, _ in chords
        ]
        ceilings = [_ceiling(melody, start, end) for start, end, _ in chords]
        joined = Joined(before, after, had, rng)
        chosen = voice_chords([name for *_, name in chords], ceilings, joined)
        for (start, end, _), pitches in zip(chords, chosen, strict=True):
            if pitches:
                strikes += [Strike(*own, pitches) for own in _rhythm(start, end, accents)]
    return strikes


def holds_chords(program: int) -> bool:
    """Whether an instrument holds chords rather than striking them with the drums.

    Args:
        program: General MIDI's, from 0.
    """
    return program // 8 in _HELD_FAMILIES


def strike_notes(strikes: Sequence[Strike]) -> list[StepNote]:
    """The notes of strikes, each strike's lowest first."""
    return [(own.start, own.end, pitch) for own in strikes for pitch in own.pitches]


def _chords_in(harmony: Harmony, begin: int, stop: int) -> list[tuple[int, int, str]]:
    """The chords from one step to another, as (first step, step after the last, symbol)."""
    changes = harmony.starts[(harmony.starts > begin) & (harmony.starts < stop)].tolist()
    starts = [begin, *changes]
    names = harmony.names_at(np.array(starts)).tolist()
    return list(zip(starts, [*changes, stop], names, strict=True))


def _voicings(notes: Sequence[StepNote]) -> dict[int, Voicing]:
    """The pitches that begin at each step, by step."""
    found: dict[int, set[int]] = {}
    for start, _, pitch in sorted(notes):
        found.setdefault(start, set()).add(pitch)
    return {step: tuple(sorted(pitches)) for step, pitches in found.items()}


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
