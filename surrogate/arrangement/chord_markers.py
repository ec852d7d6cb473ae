"""A song's chords as markers in its file, where other programs show them.

They are meta events of the type "marker" (FF 06), which the standard MIDI file format has for names
of points in time, and which sequencers show along their timelines. They are in a chunk of their
own, named "chords", so that no chunk of the song changes and its own markers stay apart.
"""

from __future__ import annotations

from typing import NamedTuple

from musicvae_torch.midi.score import Score
from musicvae_torch.midi.stitch import add_markers
from surrogate.arrangement.harmony import CHORD_TRACK, chord_texts
from surrogate.arrangement.song_chart import SongChart


class Marked(NamedTuple):
    """A score with its chords as markers, and what the user should know of it, a line each."""

    score: Score
    remarks: tuple[str, ...]


def mark_chords(score: Score, chart: SongChart) -> Marked:
    """Write chords into a song's file.

    A file that has the chords already stays as it is. If it has others, and the chart was given,
    the chart's take their place.

    Args:
        score: a song, in the ticks of the chart's marks.
        chart: its chords.
    """
    old = chord_texts(score)
    if old is None:
        return Marked(add_markers(score, CHORD_TRACK, chart.marks), ())
    if chart.source != "given":
        return Marked(score, ("the file has its chords as text already, so none were written",))
    count = len(old.positions)
    symbols = "1 chord symbol" if count == 1 else f"{count} chord symbols"
    remark = f"{symbols} of the file gave way to the chords that were given"
    without = old.chunk, frozenset(old.positions)
    return Marked(add_markers(score, CHORD_TRACK, chart.marks, without), (remark,))
