"""The course of a song with a new band: the bars that the band plays before and after it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from musicvae_torch.midi.score import Score
from musicvae_torch.midi.shift import delayed
from musicvae_torch.midi.tracks import TICK_NOTE
from surrogate.options import AccompanyOptions
from surrogate.song.bars import Bars, bar_length, bars_of

NO_OUTRO = 2**62  # a tick that no song has


class Course(NamedTuple):
    """The bars in which a band plays beside the given parts.

    Attributes:
        bars: the song's own bars, with those of an outro; those of an intro are numbered back from
            0, so that the song's own first bar is still number 1.
        stretches: of TICK_NOTE, each as a note: an intro, an outro, and the rest of the last bar.
        added: ticks at which the intro ends and the outro begins; 0 and NO_OUTRO without them.
    """

    bars: Bars
    stretches: np.ndarray
    added: tuple[int, int]


def with_intro(score: Score, options: AccompanyOptions) -> tuple[Score, float]:
    """The song with bars for an intro before it, of its first metre, and the pickup, in quarter
    notes, that it has then. A pickup sounds at the end of the last of those bars.

    Raises:
        MidiError: the song has too many bars.
    """
    if not options.intro:
        return score, options.pickup
    bars = bars_of(score, round(options.pickup * score.resolution))
    full = min(1 - bars.first, len(bars) - 1)  # index of the first full bar
    above, below = bars.metres[full].tolist()
    length = bar_length(above, below, score.resolution)
    lead = int(bars.ticks[1]) if bars.first == 0 else 0
    own_metre = lead > 0 and not options.pickup
    shift = round(options.intro * length) - lead
    return delayed(score, shift, metre_from=lead if own_metre else 0), 0.0


def course_of(
    given: np.ndarray, old: np.ndarray, bars: Bars, options: AccompanyOptions, resolution: int
) -> Course:
    """The course of a song, whose ticks already have room for an intro.

    Args:
        given: the notes in whose bars the band plays anyway, of TICK_NOTE.
        old: those of the song's own bass and drums.
        bars: of the song.
        options: intro, ending and outro count.
        resolution: ticks a quarter note.
    """
    start, end = int(given["start"].min()), int(given["end"].max())
    last = int(np.searchsorted(bars.ticks, end, side="left"))
    if last + options.outro > len(bars):
        bars = bars.with_more(last + options.outro - len(bars), resolution)
    bars = replace(bars, first=bars.first - options.intro)
    intro_ends, outro_begins = int(bars.ticks[options.intro]), int(bars.ticks[last])
    rows = []
    if options.intro:
        # In an intro of the song's own, its bass and drums stay.
        own = old["start"][old["start"] < start]
        rows.append((0, int(bars.ticks[options.intro]) if len(own) else start))
    if options.ending or options.outro:
        rows.append((end - 1, int(bars.ticks[last + options.outro])))
    stretches = np.zeros(len(rows), TICK_NOTE)
    for row, (begin, until) in enumerate(rows):
        stretches[row]["start"], stretches[row]["end"] = begin, until
    added = (intro_ends if options.intro else 0, outro_begins if options.outro else NO_OUTRO)
    return Course(bars, stretches, added)
