"""Chords of a song: as the user writes them, as text in its file has them, or inferred from its
notes.

Steps are sixteen a bar, counted from the first bar.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from musicvae_torch.chords.inference import infer_chords
from musicvae_torch.chords.symbols import NO_CHORD, ChordTones, chord_tones
from musicvae_torch.chords.text import read_text, symbol, written_bars
from musicvae_torch.errors import ChordError
from musicvae_torch.midi.messages import TEXT, TRACK_NAME
from musicvae_torch.midi.notes import NOTE_DTYPE
from musicvae_torch.midi.quantize import DEFAULT_QPM
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import CHORDS, TICK_NOTE
from musicvae_torch.midi.vocabulary import OUTPUT_VELOCITY, STEPS_PER_BAR, STEPS_PER_QUARTER
from surrogate.song.context import SongContext
from surrogate.song.grid import Grid

HALF_BAR = STEPS_PER_BAR // 2
_SECONDS_PER_STEP = 60 / DEFAULT_QPM / STEPS_PER_QUARTER
_METRES = {1: (2.0, 2.0), 2: (4.0, 4.0)}  # in which infer_chords finds so many chords a bar
_BARS_AT_A_TIME = 480  # infer_chords takes 1,000 half bars
_CHORD_TEXTS = (TEXT, 0x05, 0x06, 0x07)  # text, lyrics, markers and cue points
_FEWEST_MARKS = 4
_MOST_OTHERS = 0.25  # share of texts that are no chords; if more are not, none is one


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
        """The index of the chord at each step, of any shape; the last chord has no end."""
        found: np.ndarray = np.maximum(np.searchsorted(self.starts, steps, side="right") - 1, 0)
        return found

    def names_at(self, steps: np.ndarray) -> np.ndarray:
        """Chord symbols of the shape of `steps`."""
        names: np.ndarray = np.array(self.names)[self.index_at(steps)]
        return names


def song_harmony(song: SongContext, kept: Sequence[int], chords: str | None = None) -> Harmony:
    """The harmony of a song, in steps from its first bar.

    Args:
        song: its context.
        kept: indices of the tracks to infer chords from, where none are written.
        chords: as :func:`parse` reads them, one bar of them for each bar of the song, from the bar
            in which the given parts begin; None: those of the file.

    Raises:
        ChordError: `chords` cannot be read.
    """
    if chords is not None:
        return _as_written(song, chords)
    marked = from_markers(song.score, song.grid)
    if marked is not None:
        return _counted_from(song.first_step, marked)
    tracks = [song.score.tracks[index] for index in kept]
    pitched = [track.notes for track in tracks if not track.is_drum]
    notes = np.concatenate([np.zeros(0, TICK_NOTE), *pitched])
    starts, ends = (steps - song.first_step for steps in song.grid.to_steps(notes))
    # A melody alone says little: a chord a bar is as true then, and calmer.
    a_bar = 2 if any(song.roles[track.index] == "other" for track in tracks) else 1
    return infer(starts, ends, notes["pitch"].astype(np.int64), song.bars, a_bar)


def _as_written(song: SongContext, chords: str) -> Harmony:
    lines = song.song_bars.ticks
    first = int(np.searchsorted(lines, song.start, side="right")) - 1
    lines = lines[first:]
    written = parse(chords, len(lines) - 1)
    bars, within = np.divmod(written.starts, STEPS_PER_BAR)
    ticks = lines[bars] + np.diff(lines)[bars] * within // STEPS_PER_BAR
    return _counted_from(song.first_step, Harmony(song.grid.steps(ticks), written.names))


def _counted_from(step: int, harmony: Harmony) -> Harmony:
    """The same, counted from a later step."""
    current = int(harmony.index_at(step))
    starts = np.maximum(harmony.starts[current:] - step, 0)
    return Harmony(starts, harmony.names[current:])


def parse(text: str, bars: int) -> Harmony:
    """Chords as :func:`musicvae_torch.chords.text.written_bars` reads them, from the text or, after
    an "@", from the file that it names; they are repeated until the song ends.

    Args:
        bars: of the song.

    Raises:
        ChordError: they are malformed, or the file cannot be read.
    """
    written = read_text(text, written_bars)
    starts, names = [], []
    for bar in range(bars):
        own = written[bar % len(written)]
        starts += [(bar * len(own) + i) * STEPS_PER_BAR // len(own) for i in range(len(own))]
        names += own
    return _harmony(starts, names)


def from_markers(score: Score, grid: Grid) -> Harmony | None:
    """Chords that a file holds as texts, markers, lyrics or cue points; None: too few.

    The texts of one kind in one chunk are chords if most of them are chord symbols, and not all of
    these single letters, which may be names of sections. Of several such groups the largest counts.
    Texts of a chunk named "Chords", as scores in MusicXML have it, are chords without any doubt.
    """
    written = _written_chords(score)
    if written:
        return _at_ticks(written, grid)
    groups: dict[tuple[int, int], list[tuple[int, str]]] = {}
    for index, texts in enumerate(score.texts):
        messages = score.file.tracks[index].messages
        for number, text in texts.items():
            tick, kind = messages[number].tick, messages[number].kind
            if kind in _CHORD_TEXTS and text.strip(" \t\r\n\0"):
                groups.setdefault((index, kind), []).append((tick, text.strip(" \t\r\n\0")))
    found = max(map(_marked, groups.values()), key=len, default=[])
    return _at_ticks(found, grid) if found else None


def _written_chords(score: Score) -> list[tuple[int, str]]:
    """(tick, symbol) of the chord symbols in chunks that are named after them."""
    found = []
    for chunk, texts in zip(score.file.tracks, score.texts, strict=True):
        kinds = {chunk.messages[number].kind: text for number, text in texts.items()}
        if kinds.get(TRACK_NAME) != CHORDS:
            continue
        for number, text in texts.items():
            if chunk.messages[number].kind == TEXT:
                with suppress(ChordError):
                    found.append((chunk.messages[number].tick, symbol(text)))
    return found


def _at_ticks(chords: Sequence[tuple[int, str]], grid: Grid) -> Harmony:
    """Chords that begin at ticks of the score."""
    marks = np.zeros(len(chords), TICK_NOTE)
    marks["start"] = [tick for tick, _ in chords]
    marks["end"] = marks["start"] + 1
    starts, _ = grid.to_steps(marks)
    return _harmony(starts.tolist(), [name for _, name in chords])


def infer(
    start_steps: np.ndarray, end_steps: np.ndarray, pitches: np.ndarray, bars: int, a_bar: int = 2
) -> Harmony:
    """The likeliest chords of the sounding notes.

    Args:
        start_steps, end_steps, pitches: (notes,) of pitched tracks, in any order. Notes before the
            first step do not count.
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
    """(tick, symbol) of the texts that are chords; none, if these are too few."""
    found = []
    for tick, text in texts:
        try:
            found.append((tick, symbol(text)))
        except ChordError:
            continue
    enough = len(found) >= max(_FEWEST_MARKS, (1 - _MOST_OTHERS) * len(texts))
    return found if enough and any(len(name) > 1 for _, name in found) else []


def _harmony(starts: Iterable[int], names: Iterable[str]) -> Harmony:
    """Chords in order: of several on one step the last one counts, and repetitions are joined."""
    last = dict(zip(starts, names, strict=True))
    if 0 not in last:
        last = {0: NO_CHORD, **last}
    steps, symbols = list(last), list(last.values())
    new = [i for i, name in enumerate(symbols) if i == 0 or name != symbols[i - 1]]
    return Harmony(np.array([steps[i] for i in new], np.int64), tuple(symbols[i] for i in new))
