"""Bars of some parts that are to be made anew, in a song that has them: what stays, and what the
networks are given of it.

A note belongs to the bar in which it begins (one that begins half a sixteenth before a bar line, to
the bar after it). So a note that begins before the bars that are redone, and sounds into them,
stays as long as it is, and the new notes of its part begin after it. A note that begins in those
bars goes, and so does its sound beyond them; a new one may sound as long there, but no longer.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import TICK_NOTE, Track
from musicvae_torch.midi.vocabulary import (
    FIRST_NOTE,
    NO_EVENT,
    PARTS,
    STEPS_PER_BAR,
    STEPS_PER_QUARTER,
)
from surrogate.melody.choice import Melody, choose_melody
from surrogate.options import COMPING, AccompanyOptions
from surrogate.song.bars import Bars, bars_of, begun_in, covered, snapped
from surrogate.song.context import (
    SongContext,
    given_notes,
    known_pitches,
    legato,
    let_ring,
    tokens_of,
)
from surrogate.song.course import NO_OUTRO
from surrogate.song.grid import Grid
from surrogate.song.retiming import on_beats
from surrogate.song.roles import find_comping, find_parts, roles_of


def analyze_redo(score: Score, options: AccompanyOptions) -> SongContext:
    """A song as the networks' input, of which everything is given but the bars to be redone. Parts
    that the song lacks are hidden; what is generated of them comes to nothing.

    Args:
        score: in ticks that sixteenths fall on, or nearly so.
        options: how to read the song; of them redo, melody, bass, drums, chords_track, beat and
            pickup count.

    Raises:
        MidiError: the song lacks a part or a bar that is to be redone, or is too long.
    """
    source, melody, chosen = find_parts(score, replace(options, given=("bass", "drums")))
    timing = on_beats(source, options.beat)
    score = timing.score
    if melody is not None and timing.beats is not None:
        melody = choose_melody(score, melody.tracks)
    own = () if melody is None else melody.tracks
    others = {i for i, role in enumerate(roles_of(score, own, **chosen)) if role in PARTS}
    roles = roles_of(score, own, **chosen, chords=find_comping(score, options, others))
    bars = bars_of(score, round(options.pickup * score.resolution))
    _check(score, roles, bars, options)
    tidy = partial(snapped, lines=bars.ticks, resolution=score.resolution)
    last = max(int(bars.ticks[-1]), score.end)
    sounding = {p: tidy(given_notes(p, score, roles, last)) for p in PARTS if p in roles}
    if "drums" in sounding:
        let_ring(sounding["drums"], bars.ticks, score.resolution // STEPS_PER_QUARTER)
    spans = {part: spans_of(bars, ranges) for part, ranges in options.redone.items()}
    everything = np.concatenate([*sounding.values(), *map(_as_notes, spans.values())])
    grid = Grid(score, int(everything["end"].max()), options.pickup)
    firsts, lasts = grid.to_bars(everything)
    first, count = int(firsts.min()), int(lasts.max() - firsts.min())
    voices = dict(sounding)
    if melody is not None and "melody" in voices:
        voices["melody"] = tidy(legato(melody.notes, voices["melody"]))
    tokens = tokens_of(voices, grid, first, count)
    # The style is that of the bars in which the melody plays, as it is for a new band.
    leading = sounding.get("melody", everything)
    begins, ends = grid.to_bars(leading)
    plays = covered(begins - first, ends - first, count)
    steps = {part: grid.steps(spans[part]) - first * STEPS_PER_BAR for part in options.made}
    hidden = _hidden(tokens, steps)
    hidden[:, [PARTS.index(part) for part in PARTS if part not in roles]] = True
    # Written chords count from the melody; those of its first bars are in what comes before.
    written = options.chords is not None and "melody" in sounding
    begin = int(sounding["melody"]["start"].min()) if written else 0
    added = int(bars.ticks[bars.index_at(np.array(begin))]), NO_OUTRO
    return SongContext(
        score, melody, roles, grid, first, tokens, plays, known_pitches(sounding), everything, bars,
        timing, hidden, added,
    )  # fmt: skip


def spans_of(bars: Bars, ranges: tuple[tuple[int, int], ...]) -> np.ndarray:
    """(spans, 2) ticks at which stretches of chosen bars begin and end; neighbours are joined."""
    chosen = np.concatenate([[False], bars.chosen(ranges), [False]])
    return bars.ticks[np.flatnonzero(chosen[1:] != chosen[:-1])].reshape(-1, 2)


def to_be_redone(
    track: Track, part: str, melody: Melody | None, bars: Bars, spans: np.ndarray, resolution: int
) -> np.ndarray:
    """(notes,) bool: which notes of a part's track begin in the bars to be redone. Of a melody's
    track those that are no notes of the melody, such as a left hand, are not among them.

    Args:
        spans: of :func:`spans_of`.
        resolution: ticks a quarter note.
    """
    begun = bars.ticks[begun_in(track.notes, bars, resolution)]
    inside = np.any([(begun >= start) & (begun < end) for start, end in spans], axis=0)
    if part == "melody" and melody is not None:
        own = set(zip(melody.notes["start"].tolist(), melody.notes["pitch"].tolist(), strict=True))
        inside &= [
            (start, pitch) in own
            for start, pitch in zip(
                track.notes["start"].tolist(), track.notes["pitch"].tolist(), strict=True
            )
        ]
    return np.asarray(inside)


def _check(score: Score, roles: tuple[str, ...], bars: Bars, options: AccompanyOptions) -> None:
    for part, ranges in options.redone.items():
        if part not in roles:
            raise MidiError(f"{score.name}: redo {part}: {_missing(part)}")
        if missing := bars.missing(ranges):
            raise MidiError(f"{score.name}: redo {part}: wanted {missing}")


def _missing(part: str) -> str:
    """What to do about a part that a song lacks."""
    if part == COMPING:
        return (
            "no track is named chords; --list-tracks shows what there is, --chords-track TRACK "
            "says which it is, and --add chords makes one"
        )
    kind = "drums" if part == "drums" else f"a {part}"
    return (
        f"no track plays {kind}; --list-tracks shows what there is, and --{part} TRACK says which "
        "it is"
    )


def _as_notes(spans: np.ndarray) -> np.ndarray:
    notes = np.zeros(len(spans), TICK_NOTE)
    notes["start"], notes["end"] = spans.T
    return notes


def _hidden(tokens: np.ndarray, spans: dict[str, np.ndarray]) -> np.ndarray:
    """(steps, 3) bool: what is to be generated: the steps to be redone, but for those at which a
    note from before them sounds.

    Args:
        tokens: (steps, 3) classes of the song.
        spans: by part, (spans, 2) first steps, and steps after the last ones.
    """
    hidden = np.zeros(tokens.shape, bool)
    for part, own in spans.items():
        column = PARTS.index(part)
        events = np.flatnonzero(tokens[:, column] != NO_EVENT)
        for start, end in own.tolist():
            before, after = events[events < start], events[events >= start]
            held = part != "drums" and len(before) > 0
            held = held and tokens[before[-1], column] >= FIRST_NOTE
            begin = int(min(after[0], end) if len(after) else end) if held else start
            hidden[begin:end, column] = True
    return hidden
