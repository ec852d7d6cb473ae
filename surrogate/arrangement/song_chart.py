"""The chords of a song as a chart, bar by bar of the song's own.

A chart is text that a musician reads, edits and gives back as ``AccompanyOptions.chords``
(:mod:`musicvae_torch.chords.chart` has the syntax).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musicvae_torch.chords.chart import MOST_CHORDS, Bar, write_chart
from musicvae_torch.errors import OptionError
from musicvae_torch.midi.score import divisible
from musicvae_torch.midi.tracks import TICK_NOTE
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR
from surrogate.arrangement.arrange import kept_tracks
from surrogate.arrangement.harmony import Harmony, charted_bars, song_harmony
from surrogate.options import AccompanyOptions
from surrogate.song.context import SongContext, analyze
from surrogate.song.reading import Midi, read_song

_FROM = {
    "given": "as given",
    "file": "as the file has them",
    "notes": "inferred from the notes of the tracks that stay",
    "melody": "inferred from the melody",
}


@dataclass(frozen=True)
class SongChart:
    """The chords of a song.

    Attributes:
        bars: the chord symbols that share each bar equally, from the bar in which the given parts
            begin to that in which they end.
        first: the number of the first of these bars in the song; 0 for a pickup.
        source: where the chords come from: "given", "file" (its texts), "notes" (of all tracks that
            stay) or "melody".
        marks: (tick of the song's file, chord symbol) of each change of chord.
        remarks: what the user should know, a line each.
    """

    bars: tuple[Bar, ...]
    first: int
    source: str
    marks: tuple[tuple[int, str], ...] = ()
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The chart, which ``AccompanyOptions.chords`` takes, with comments."""
        last = self.first + len(self.bars) - 1
        comments = [f"bars {self.first} to {last}, {_FROM[self.source]}", *self.remarks]
        return "".join(f"# {line}\n" for line in comments) + write_chart(self.bars)

    def of_bars(self, first: int, last: int) -> str:
        """A chart of the bars of these numbers; those before the first bar that is known have its
        chords, and those after the last one have the last one's."""
        known = range(len(self.bars))
        places = (min(max(n - self.first, known[0]), known[-1]) for n in range(first, last + 1))
        return write_chart([self.bars[place] for place in places])

    def changed_bars(self, other: SongChart, first: int) -> list[int]:
        """The numbers of the bars in which another chart of the song has other chords.

        Args:
            first: the number of the charts' first bar.

        Raises:
            OptionError: there are none, or the other chart is longer or shorter.
        """
        if len(other.bars) != len(self.bars):
            raise OptionError(
                f"chords: the chart has {len(other.bars)} bars; wanted {len(self.bars)}, one for "
                "each that the song's has"
            )
        pairs = enumerate(zip(self.bars, other.bars, strict=True), start=first)
        changed = [bar for bar, (old, new) in pairs if old != new]
        if not changed:
            raise OptionError("chords: no bar has other chords than before")
        return changed


def read_song_chart(song: Midi, options: AccompanyOptions | None = None) -> SongChart:
    """The chords that an accompaniment of a song would have, without making it.

    Args:
        song: a path to a MIDI, MusicXML or ABC file, or MIDI in memory.
        options: those that say how the song is read, and ``chords``, count.

    Raises:
        MidiError: the file cannot be read, or lacks a given part.
        ChordError: the chords in the options cannot be read.
    """
    options = options or AccompanyOptions()
    context = analyze(divisible(read_song(song)), options)
    stay = kept_tracks(context.roles, options)
    return chart_of(context, song_harmony(context, stay, options.chords))


def chart_of(song: SongContext, harmony: Harmony) -> SongChart:
    """The chart of a song's harmony, which is counted in steps from the song's first bar."""
    first, stop = charted_bars(song)
    lines = song.song_bars.ticks
    bars = []
    for bar in range(first, stop):
        above, below = song.song_bars.metres[bar].tolist()
        # A bar may be cut short by a change of metre; its share of sixteenths is near enough.
        parts = max(round(STEPS_PER_BAR * above / below), 1)
        ticks = lines[bar] + (lines[bar + 1] - lines[bar]) * np.arange(parts) // parts
        names = harmony.names_at(song.grid.steps(ticks) - song.first_step)
        bars.append(_equal_parts(names))
    number = song.song_bars.first + first
    return SongChart(tuple(bars), number, harmony.source, _marks(song, harmony), harmony.remarks)


def _marks(song: SongContext, harmony: Harmony) -> tuple[tuple[int, str], ...]:
    """See :attr:`SongChart.marks`."""
    inside = harmony.starts < len(song.tokens)
    notes = np.zeros(int(inside.sum()), TICK_NOTE)
    notes["start"] = song.grid.step_ticks[song.first_step + harmony.starts[inside]]
    notes["end"] = notes["start"] + 1
    # Of several chords at one tick, in bars without all of the model's beats, the last one counts.
    ticks = song.timing.to_source(notes)["start"].tolist()
    return tuple(dict(zip(ticks, harmony.names, strict=False)).items())


def _equal_parts(names: np.ndarray) -> Bar:
    """The chord symbols of a bar's sixteenths, by as few equal parts as have one chord each, or by
    as many as a chart can have."""
    possible = [parts for parts in range(1, MOST_CHORDS + 1) if len(names) % parts == 0]
    for parts in possible:
        cells = names.reshape(parts, -1)
        if (cells == cells[:, :1]).all():
            break
    return tuple(cells[:, 0].tolist())
