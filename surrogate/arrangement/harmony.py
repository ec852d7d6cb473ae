"""Chords of a song on its steps: by hand, from text in the file, or inferred from its notes.

Steps are sixteen a bar, counted from the first bar.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from musicvae_torch.chords.inference import infer_chords
from musicvae_torch.chords.symbols import NO_CHORD, ChordTones, chord_tones
from musicvae_torch.chords.text import read_text, symbol, written_bars
from musicvae_torch.errors import ChordError
from musicvae_torch.midi.notes import NOTE_DTYPE
from musicvae_torch.midi.quantize import DEFAULT_QPM
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import TICK_NOTE
from musicvae_torch.midi.vocabulary import OUTPUT_VELOCITY, STEPS_PER_BAR, STEPS_PER_QUARTER

HALF_BAR = STEPS_PER_BAR // 2
_SECONDS_PER_STEP = 60 / DEFAULT_QPM / STEPS_PER_QUARTER
_METRES = {1: (2.0, 2.0), 2: (4.0, 4.0)}  # in which infer_chords finds so many chords a bar
_BARS_AT_A_TIME = 480  # infer_chords takes 1,000 half bars
_CHORD_TEXTS = (0x01, 0x05, 0x06, 0x07)  # text, lyrics, markers and cue points
_FEWEST_MARKS = 4
_MOST_OTHERS = 0.25  # of the texts beside chords: more, and the chords are words by chance


class HasSteps(Protocol):
    """Where a song's ticks lie on its steps."""

    def to_steps(self, notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Start and end steps of notes of TICK_NOTE."""
        ...


@dataclass(frozen=True, eq=False)
class Harmony:
    """Which chord is when.

    Attributes:
        starts: (chords,) int64 steps at which each begins, ascending; the first is 0.
        names: (chords,) chord symbols.
    """

    starts: np.ndarray
    names: tuple[str, ...]

    @cached_property
    def chords(self) -> tuple[ChordTones, ...]:
        """(chords,)"""
        return tuple(map(chord_tones, self.names))

    def index_at(self, steps: np.ndarray | int) -> np.ndarray:
        """Which chord is at each step, of any shape; the last one goes on for ever."""
        return np.maximum(np.searchsorted(self.starts, steps, side="right") - 1, 0)

    def names_at(self, steps: np.ndarray) -> np.ndarray:
        """Chord symbols of the shape of `steps`."""
        return np.array(self.names)[self.index_at(steps)]


def parse(text: str, bars: int) -> Harmony:
    """Chords by hand, as :func:`musicvae_torch.chords.text.written_bars` reads them; the list
    begins again until the song ends.

    Args:
        bars: of the song.

    Raises:
        ChordError: as there.
    """
    written = written_bars(text)
    starts, names = [], []
    for bar in range(bars):
        own = written[bar % len(written)]
        starts += [(bar * len(own) + i) * STEPS_PER_BAR // len(own) for i in range(len(own))]
        names += own
    return _harmony(starts, names)


def read(text: str, bars: int) -> Harmony:
    """:func:`parse` of a text, or, after an "@", of the file that it names.

    Raises:
        ChordError: as for :func:`parse`, or the file cannot be read.
    """
    return read_text(text, lambda own: parse(own, bars))


def from_markers(score: Score, grid: HasSteps) -> Harmony | None:
    """Chords that a file holds as texts, markers, lyrics or cue points.

    Those of one kind in one chunk count, where most of the texts there are chord symbols; of
    several the richest. Single letters alone may as well be names of sections, and are no chords.

    Returns:
        None, if there are too few.
    """
    groups: dict[tuple[int, int], list[tuple[int, str]]] = {}
    for index, texts in enumerate(score.texts):
        messages = score.file.tracks[index].messages
        for place, text in texts.items():
            tick, kind = messages[place].tick, messages[place].kind
            if kind in _CHORD_TEXTS and text.strip(" \t\r\n\0"):
                groups.setdefault((index, kind), []).append((tick, text.strip(" \t\r\n\0")))
    found = max(map(_marked, groups.values()), key=len, default=[])
    if not found:
        return None
    marks = np.zeros(len(found), TICK_NOTE)
    marks["start"] = [tick for tick, _ in found]
    marks["end"] = marks["start"] + 1
    starts, _ = grid.to_steps(marks)
    return _harmony(np.maximum(starts, 0).tolist(), [name for _, name in found])


def infer(
    start_steps: np.ndarray,
    end_steps: np.ndarray,
    pitches: np.ndarray,
    bars: int,
    a_bar: int = 2,
) -> Harmony:
    """The likeliest chords of the sounding notes.

    Args:
        start_steps, end_steps, pitches: (notes,) of the pitched tracks that are kept, in any
            order; drums are not to be among them. Notes before the first step do not count.
        bars: of the song; 480 are inferred at a time.
        a_bar: chords a bar, 2 or 1. One is calmer, and as true where only a melody sounds
            (docs/dynamics.md).

    Returns:
        Chords half a bar or a bar each; none before the first note.
    """
    if a_bar not in _METRES:
        raise ValueError(f"there are 1 or 2 chords a bar, not {a_bar}")
    long = STEPS_PER_BAR // a_bar
    names = np.full(a_bar * bars, NO_CHORD, object)
    for first in range(0, bars, _BARS_AT_A_TIME):
        step = first * STEPS_PER_BAR
        length = min(_BARS_AT_A_TIME, bars - first) * STEPS_PER_BAR
        inside = (end_steps > step) & (start_steps < step + length) & (start_steps >= 0)
        if not inside.any():
            continue
        starts = np.maximum(start_steps[inside] - step, 0)
        notes = np.zeros(len(starts), NOTE_DTYPE)
        notes["start"] = starts * _SECONDS_PER_STEP
        notes["end"] = (end_steps[inside] - step) * _SECONDS_PER_STEP
        notes["pitch"], notes["velocity"] = pitches[inside], OUTPUT_VELOCITY
        inferred = infer_chords(
            np.sort(notes), length * _SECONDS_PER_STEP, DEFAULT_QPM, _METRES[a_bar]
        )
        assert inferred is not None  # a common metre, and few enough chords
        own = inferred.at_steps(length, DEFAULT_QPM)[::long]
        own[: int(starts.min()) // long] = NO_CHORD
        names[first * a_bar : first * a_bar + len(own)] = own
    return _harmony((np.arange(len(names)) * long).tolist(), names.tolist())


def _marked(texts: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """(tick, symbol) of texts that are chords; none of texts among which they are too few."""
    found = []
    for tick, text in texts:
        try:
            found.append((tick, symbol(text)))
        except ChordError:
            continue
    enough = len(found) >= max(_FEWEST_MARKS, (1 - _MOST_OTHERS) * len(texts))
    return found if enough and any(len(name) > 1 for _, name in found) else []


def _harmony(starts: Iterable[int], names: Iterable[str]) -> Harmony:
    """Of chords in order; the last one that begins on a step counts, and repetitions are one."""
    last = dict(zip(starts, names, strict=True))
    if 0 not in last:
        last = {0: NO_CHORD, **last}
    steps, symbols = list(last), list(last.values())
    new = [i for i, name in enumerate(symbols) if i == 0 or name != symbols[i - 1]]
    return Harmony(np.array([steps[i] for i in new], np.int64), tuple(symbols[i] for i in new))
