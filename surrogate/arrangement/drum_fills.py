"""Drum fills where they are asked for: toms in the second half of a bar, then a crash.

Two things make a fill. The kick and a crash on the first beat of the next bar are given to the
network beforehand, so that the drums lead there; and in the second half of the bar, sets of drums
with toms have higher log-odds, and those that take more than one hand lower ones. The network
chooses which drums are struck, and when. docs/redo.md measures how often a fill comes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.vocabulary import CRASH, DRUM_CLASSES, DRUM_DEPTH, KICK, PARTS, SNARE, TOMS
from surrogate.options import AccompanyOptions
from surrogate.song.context import SongContext

# Log-odds that a set of drums gains: with a tom, with a snare alone, and for each hand beyond the
# first that it takes (all drums but the kick take one).
TOM_LOG_ODDS, SNARE_LOG_ODDS, HAND_LOG_ODDS = 7.0, 3.0, -3.0
# Log-odds of toms on two steps before the end of the bar, so that sparse drums have a fill, too.
SURE_LOG_ODDS, SURE_STEPS = 14.0, (-4, -2)
CRASH_TOKEN = 1 << KICK | 1 << CRASH
_DRUMS = PARTS.index("drums")


def fill_log_odds(song: SongContext, fills: tuple[tuple[int, int], ...]) -> np.ndarray:
    """(steps, 512) float32: what fills add to the log-odds of each set of drums.

    Args:
        song: its context.
        fills: ranges of its bars; each bar ends in a fill.
    """
    added = np.zeros((len(song.tokens), DRUM_DEPTH), np.float32)
    lines = song.song_bars.ticks
    for bar in np.flatnonzero(song.song_bars.chosen(fills)).tolist():
        middle = (lines[bar] + lines[bar + 1] + 1) // 2
        first, last = _steps(song, np.array([middle, lines[bar + 1]]))
        added[first:last] = _log_odds(TOM_LOG_ODDS)
        for step in SURE_STEPS:
            if last + step >= first:
                added[last + step] = _log_odds(SURE_LOG_ODDS)
    return added


def _log_odds(tom: float) -> np.ndarray:
    """(512,) float32: what a fill adds to each set of drums; sets with a tom gain `tom`."""
    struck = np.arange(DRUM_DEPTH)[:, None] >> np.arange(len(DRUM_CLASSES)) & 1
    hands = struck.sum(1) - struck[:, KICK]
    odds = np.maximum(hands - 1, 0) * HAND_LOG_ODDS
    toms = struck[:, TOMS].any(1)
    odds = odds + tom * toms
    odds += SNARE_LOG_ODDS * (struck[:, SNARE].astype(bool) & (hands == 1))
    return np.asarray(odds, np.float32)


def with_crashes(song: SongContext, options: AccompanyOptions) -> SongContext:
    """The song with a kick and a crash given on the first beat after each fill, where the drums of
    that beat are to be generated.

    Raises:
        MidiError: the song lacks a bar that is to end in a fill, or a fill is wanted in a bar whose
            drums stay.
    """
    if not options.fills:
        return song
    name, bars = song.score.name, song.song_bars
    if missing := bars.missing(options.fills):
        raise MidiError(f"{name}: fill: wanted {missing}")
    tokens, hidden = song.tokens.copy(), song.hidden.copy()
    for bar in np.flatnonzero(bars.chosen(options.fills)).tolist():
        first, following = _steps(song, bars.ticks[bar : bar + 2])
        if not song.hidden[first:following, _DRUMS].any():
            number = bar + bars.first
            where = (
                "the drums of that bar stay; redo them as well"
                if options.redo
                else ("the band does not play there")
            )
            raise MidiError(f"{name}: fill: wanted bar {number}, but {where}")
        if following < len(tokens) and hidden[following, _DRUMS] and song.live[following]:
            tokens[following, _DRUMS] = CRASH_TOKEN
            hidden[following, _DRUMS] = False
    return replace(song, tokens=tokens, hidden=hidden)


def _steps(song: SongContext, ticks: np.ndarray) -> list[int]:
    """The steps of the tokens nearest to ticks; ticks outside the tokens give the nearest end."""
    ticks = np.minimum(ticks, song.grid.step_ticks[-1])
    steps = song.grid.steps(ticks) - song.first_step
    return [min(max(step, 0), len(song.tokens)) for step in steps.tolist()]
