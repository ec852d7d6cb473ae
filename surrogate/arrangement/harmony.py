"""The chords of a song, which the user writes, its file holds as text, or its notes suggest.

Steps are sixteen a bar, counted from the first bar.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from musicvae_torch.chords.chart import Bar, read_chart, read_text, symbol
from musicvae_torch.chords.inference import infer_chords
from musicvae_torch.chords.symbols import NO_CHORD, ChordTones, chord_tones
from musicvae_torch.errors import ChordError
from musicvae_torch.midi.messages import TEXT, TRACK_NAME
from musicvae_torch.midi.notes import NOTE_DTYPE
from musicvae_torch.midi.quantize import DEFAULT_QPM
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import TICK_NOTE
from musicvae_torch.midi.vocabulary import OUTPUT_VELOCITY, STEPS_PER_BAR, STEPS_PER_QUARTER
from surrogate.arrangement.harmoniser import harmonise
from surrogate.options import COMPING
from surrogate.song.context import SongContext
from surrogate.song.grid import Grid

SOURCES = ("given", "file", "notes", "melody")
HALF_BAR = STEPS_PER_BAR // 2
_SECONDS_PER_STEP = 60 / DEFAULT_QPM / STEPS_PER_QUARTER
_METRES = {1: (2.0, 2.0), 2: (4.0, 4.0)}  # by chords a bar, the metre in which they are inferred
_BARS_AT_A_TIME = 480  # as infer_chords takes at most 1,000 half bars
_CHORD_TEXTS = (TEXT, 0x05, 0x06, 0x07)  # text, lyrics, markers and cue points
CHORD_TRACK = "chords"  # name of a chunk in which even few or short texts are chords
_FEWEST_MARKS = 4
_MOST_OTHERS = 0.25  # the largest share of other texts in a group that holds chords


@dataclass(frozen=True, eq=False)
class Harmony:
    """Chords and the steps at which they begin.

    Attributes:
        starts: (chords,) int64 steps, ascending; the first is 0.
        names: (chords,) chord symbols.
        source: where the chords come from, one of SOURCES.
        remarks: what the user should know, a line each.
    """

    starts: np.ndarray
    names: tuple[str, ...]
    source: str = "notes"
    remarks: tuple[str, ...] = ()

    @cached_property
    def chords(self) -> tuple[ChordTones, ...]:
        """(chords,) the tones of each chord."""
        return tuple(map(chord_tones, self.names))

    def index_at(self, steps: np.ndarray | int) -> np.ndarray:
        """The index of the chord at steps of any shape; the last chord has no end."""
        found: np.ndarray = np.maximum(np.searchsorted(self.starts, steps, side="right") - 1, 0)
        return found

    def names_at(self, steps: np.ndarray) -> np.ndarray:
        """Chord symbols of the shape of `steps`."""
        names: np.ndarray = np.array(self.names)[self.index_at(steps)]
        return names


def song_harmony(song: SongContext, kept: Sequence[int], chords: str | None = None) -> Harmony:
    """Find the harmony of a song, in steps from its first bar.

    Args:
        song: its context.
        kept: indices of the tracks from which chords are inferred if none are written.
        chords: as :func:`parse` reads them, one bar of them for each bar of the song, from the bar
            in which the given parts begin; None: those of the file.

    Raises:
        ChordError: `chords` cannot be read.
    """
    known = _KNOWN.setdefault(song, {})
    key = tuple(kept), chords
    if key not in known:
        known[key] = _with_added_bars(_find_harmony(song, kept, chords), song)
    return known[key]


# The band network, the arrangement and the page need the same harmony.
_KNOWN: WeakKeyDictionary[SongContext, dict[tuple[tuple[int, ...], str | None], Harmony]] = (
    WeakKeyDictionary()
)


def _find_harmony(song: SongContext, kept: Sequence[int], chords: str | None) -> Harmony:
    if chords is not None:
        return _as_written(song, read_text(chords, read_chart))
    marked = from_markers(song.score, song.grid)
    if marked is not None:
        return _counted_from(song.first_step, marked)
    tracks = [song.score.tracks[index] for index in kept]
    pitched = [track for track in tracks if not track.is_drum]
    notes = np.concatenate([np.zeros(0, TICK_NOTE), *(track.notes for track in pitched)])
    starts, ends = (steps - song.first_step for steps in song.grid.to_steps(notes))
    pitches = notes["pitch"].astype(np.int64)
    if all(song.roles[track.index] == "melody" for track in pitched):
        return infer_from_melody(starts, ends, pitches, song.bars)
    # A bass beside the melody says little: a chord a bar is as true then, and calmer.
    chordal = any(song.roles[track.index] in (COMPING, "other") for track in pitched)
    a_bar = 2 if chordal else 1
    return infer(starts, ends, pitches, song.bars, a_bar)


def _with_added_bars(harmony: Harmony, song: SongContext) -> Harmony:
    """The harmony with the chords of the song's first bars in its intro and those of its last bars
    in its outro; they are repeated if the intro or outro is longer than the song."""
    begin, end = song.added_steps
    steps = len(song.tokens)
    if not begin and end == steps:
        return harmony
    places = np.arange(steps)
    own = end - begin
    places[:begin] = begin + np.arange(begin) % own
    places[end:] = end - 1 - np.arange(steps - end)[::-1] % own
    spread = _harmony(range(steps), harmony.names_at(places).tolist())
    return replace(spread, source=harmony.source, remarks=harmony.remarks)


def charted_bars(song: SongContext) -> tuple[int, int]:
    """The song's bars to which a chart has a bar each: the index of the bar in which the given
    parts begin, and of the bar after that in which they end."""
    lines = song.song_bars.ticks
    start = max(song.start, song.added[0])
    first = int(np.searchsorted(lines, start, side="right")) - 1
    stop = int(np.searchsorted(lines, min(song.end, song.added[1]), side="left"))
    return first, min(max(stop, first + 1), len(lines) - 1)


def _as_written(song: SongContext, chart: Sequence[Bar]) -> Harmony:
    """A chart, repeated until the song ends, from the bar in which the given parts begin."""
    first, stop = charted_bars(song)
    lines = song.song_bars.ticks[first:]
    ticks: list[int] = []
    names: list[str] = []
    for bar, (line, next_line) in enumerate(pairwise(lines.tolist())):
        own = chart[bar % len(chart)]
        ticks += [line + (next_line - line) * i // len(own) for i in range(len(own))]
        names += own
    starts = song.grid.steps(np.array(ticks, np.int64))
    harmony = _counted_from(song.first_step, _harmony(starts.tolist(), names))
    remarks = _length_remarks(len(chart), stop - first, song.song_bars.first + first)
    return replace(harmony, source="given", remarks=remarks)


def _length_remarks(chart: int, bars: int, first: int) -> tuple[str, ...]:
    """A remark on a chart that is not as long as the song.

    Args:
        chart: number of its bars.
        bars: number of the song's bars that it is for.
        first: number of the first of these.
    """
    where = f"the song's bars {first} to {first + bars - 1}"
    if chart > bars:
        left = f"its last {chart - bars} are" if chart - bars > 1 else "its last one is"
        return (f"the chart has {_bars(chart)} for {where}; {left} not played",)
    if chart < bars:
        return (f"the chart has {_bars(chart)}, which are repeated over {where}",)
    return ()


def _bars(count: int) -> str:
    return f"{count} bar{'s' * (count != 1)}"


def _counted_from(step: int, harmony: Harmony) -> Harmony:
    """The harmony from a step on, counted from there."""
    current = int(harmony.index_at(step))
    starts = np.maximum(harmony.starts[current:] - step, 0)
    return replace(harmony, starts=starts, names=harmony.names[current:])


def parse(text: str, bars: int) -> Harmony:
    """Read chords as :func:`musicvae_torch.chords.chart.read_chart` does, from the text or, after
    an "@", from the file that it names. They are repeated until the song ends.

    Args:
        bars: of the song, in 4/4.

    Raises:
        ChordError: they are malformed, or the file cannot be read.
    """
    chart = read_text(text, read_chart)
    starts: list[int] = []
    names: list[str] = []
    for bar in range(bars):
        own = chart[bar % len(chart)]
        starts += [(bar * len(own) + i) * STEPS_PER_BAR // len(own) for i in range(len(own))]
        names += own
    return replace(_harmony(starts, names), source="given")


class ChordTexts(NamedTuple):
    """Texts of a file that are chord symbols.

    Attributes:
        chunk: the chunk that they are in.
        positions: (texts,) of their messages, ascending.
        ticks: (texts,) int64.
        names: (texts,) chord symbols.
    """

    chunk: int
    positions: tuple[int, ...]
    ticks: np.ndarray
    names: tuple[str, ...]


def chord_texts(score: Score) -> ChordTexts | None:
    """Find the chords that a file holds as texts, markers, lyrics or cue points; None: too few.

    The texts of one kind in one chunk are chords if most of them are chord symbols, and not all of
    these single letters, which may be names of sections; in a chunk named CHORD_TRACK, all chord
    symbols are. Of several such groups the largest counts.
    """
    groups: dict[tuple[int, int], list[tuple[int, str]]] = {}
    named: set[int] = set()
    for chunk, texts in enumerate(score.texts):
        messages = score.file.tracks[chunk].messages
        for position, text in texts.items():
            kind, plain = messages[position].kind, text.strip(" \t\r\n\0")
            if kind == TRACK_NAME and plain.casefold() == CHORD_TRACK:
                named.add(chunk)
            if kind in _CHORD_TEXTS and plain:
                groups.setdefault((chunk, kind), []).append((position, plain))
    found = [(chunk, _marked(texts, chunk in named)) for (chunk, _), texts in groups.items()]
    chunk, marks = max(found, key=lambda own: len(own[1]), default=(0, []))
    if not marks:
        return None
    positions, names = zip(*marks, strict=True)
    messages = score.file.tracks[chunk].messages
    ticks = np.array([messages[position].tick for position in positions], np.int64)
    return ChordTexts(chunk, positions, ticks, names)


def from_markers(score: Score, grid: Grid) -> Harmony | None:
    """The chords of :func:`chord_texts`; None: there are none."""
    found = chord_texts(score)
    if found is None:
        return None
    marks = np.zeros(len(found.ticks), TICK_NOTE)
    marks["start"], marks["end"] = found.ticks, found.ticks + 1
    starts, _ = grid.to_steps(marks)
    return replace(_harmony(starts.tolist(), found.names), source="file")


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


def infer_from_melody(
    start_steps: np.ndarray, end_steps: np.ndarray, pitches: np.ndarray, bars: int
) -> Harmony:
    """The likeliest chords of a melody alone, of the harmoniser; arguments as of :func:`infer`."""
    names = harmonise(start_steps, end_steps, pitches, bars)
    starts = (np.arange(len(names)) * HALF_BAR).tolist()
    return replace(_harmony(starts, names), source="melody")


def _marked(texts: Sequence[tuple[int, str]], named: bool) -> list[tuple[int, str]]:
    """(position, symbol) of the texts that are chords; none, if these are too few and the chunk is
    not named after them."""
    found = []
    for position, text in texts:
        try:
            found.append((position, symbol(text)))
        except ChordError:
            continue
    enough = len(found) >= max(_FEWEST_MARKS, (1 - _MOST_OTHERS) * len(texts))
    are_chords = named or (enough and any(len(name) > 1 for _, name in found))
    return found if are_chords else []


def _harmony(starts: Iterable[int], names: Iterable[str]) -> Harmony:
    """Chords in order: of several on one step the last one counts, and repetitions are joined."""
    last = dict(zip(starts, names, strict=True))
    if 0 not in last:
        last = {0: NO_CHORD, **last}
    steps, symbols = list(last), list(last.values())
    new = [i for i, name in enumerate(symbols) if i == 0 or name != symbols[i - 1]]
    return Harmony(np.array([steps[i] for i in new], np.int64), tuple(symbols[i] for i in new))
