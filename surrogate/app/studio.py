"""What the app does, without its looks: a song and settings in, bands out, and changes of them."""

from __future__ import annotations

import re
import tempfile
import threading
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from musicvae_torch.chords.chart import Bar, read_chart
from musicvae_torch.errors import ChordError, MidiError, OptionError
from musicvae_torch.midi.notes import MIDI_SUFFIXES
from musicvae_torch.midi.score import Score
from musicvae_torch.notation.files import ABC_SUFFIX, MUSICXML_SUFFIXES, NOTATION_SUFFIXES
from surrogate.accompaniment import Accompaniment
from surrogate.app.result import Result, Take
from surrogate.melody.choice import TrackSummary, summarize_tracks
from surrogate.melody.track_query import instrument, refusal
from surrogate.options import (
    BAND,
    METHODS,
    OF_BAND,
    AccompanyOptions,
    read_bars,
    read_beat,
)
from surrogate.pipeline import CHORDAL, Accompanist
from surrogate.song import reading

LONGEST_NAME = 60  # characters of a file's name, without its ending


@dataclass(eq=False, repr=False)
class Studio:
    """The networks that make bands for all who use the app.

    Attributes:
        accompanist: the networks.
        folder: of the results' files, each result's in a folder of its own.
        soundfont: .sf2 for the sound; None: pretty_midi's.
        sounds: whether the package that makes sound is installed.
    """

    accompanist: Accompanist
    folder: Path
    soundfont: Path | None = None

    def __post_init__(self) -> None:
        self.sounds = find_spec("midirenderer") is not None
        self._busy = threading.Lock()

    @property
    def directions(self) -> tuple[str, ...]:
        """Those of density and swing that the networks can change: a band network changes density,
        and attribute vectors the directions that they have."""
        vectors = self.accompanist.attributes
        known = set() if vectors is None else set(vectors.names)
        usual = self.accompanist.complete(AccompanyOptions())
        moved = {"density": replace(usual, density=1.0), "swing": replace(usual, swing=1.0)}
        return tuple(name for name, options in moved.items() if known.issuperset(options.moves))

    @property
    def methods(self) -> tuple[str, ...]:
        """Those of METHODS that there are networks for."""
        first = () if self.accompanist.band is None else METHODS[:1]
        return (*first, *METHODS[3 if self.accompanist.surrogate is None else 1 :])

    def make(self, song: Score, options: AccompanyOptions) -> Result:
        """Make bands; one song at a time.

        Raises:
            MidiError: the song lacks a given part, or is too long.
            OptionError: an option does not go with the networks or the song.
        """
        with self._busy:
            try:
                result = self.accompanist.accompany(song, options)
            except MidiError as error:
                if options.style is None:
                    raise
                name = plain_name(options.style)
                raise MidiError(str(error).replace(options.style, name)) from None
        folder = Path(tempfile.mkdtemp(prefix="bands-", dir=self.folder))
        takes = tuple(
            Take(f"Band {number}", f"Band {number}", result, band)
            for number, band in enumerate(result.candidates, start=1)
        )
        return Result(result, Path(song.name).stem, takes, folder, self.soundfont)

    def redo(self, bands: Result, number: int, bars: Sequence[str], **changes: Any) -> Result:
        """Make bars of a band anew, as a further version of that band.

        Args:
            bands: with the band.
            number: of the band, from 1.
            bars: parts and their bars, such as "bass:9-10".
            changes: other options than the band's own.

        Raises:
            MidiError: the band lacks a part or a bar.
            OptionError: an option does not go with the networks.
        """
        return self._further(bands, number, partial(self.accompanist.redo, bars=bars), **changes)

    def change_chords(self, bands: Result, number: int, cells: Sequence[str]) -> Result:
        """Make bass and comping anew in the bars that get other chords, as a further version of a
        band.

        Args:
            bands: with the band.
            number: of the band, from 1.
            cells: the chords of each bar of the band's chart, as in "Am F".

        Raises:
            OptionError: they cannot be read, or are those that the band has, or neither part of the
                band is new.
        """
        take = bands.take(number)
        if take.chart is None or len(cells) != len(take.chart.bars):
            raise OptionError("Chords: wanted one cell for each bar of the chart")
        new = [read_cell(cell, take.chart.first + n) for n, cell in enumerate(cells)]
        chart = replace(take.chart, bars=tuple(new))
        parts = tuple(part for part in CHORDAL if part in take.parts)
        if not parts:
            raise OptionError("Chords: neither the bass nor a part of chords is new in this band")
        change = partial(self.accompanist.change_chords, chart=chart, parts=parts)
        return self._further(bands, number, change)

    def _further(
        self, bands: Result, number: int, change: Callable[..., Accompaniment], **changes: Any
    ) -> Result:
        """The bands with one more, which is what a change makes of one of them.

        Args:
            change: a method of the accompanist, with its arguments beside the band.
            changes: other options than the band's own.
        """
        before = bands.take(number)
        seed = (bands.result.options.seed + bands.tries + 1) % 2**63
        options = {"seed": seed, "candidates": 1} | changes
        with self._busy:
            result = change(before.result, candidate=before.candidate, **options)
        versions = [take.band for take in bands.takes].count(before.band)
        take = Take(f"{before.band}.{versions + 1}", before.band, result, result.best)
        last = max(n for n, own in enumerate(bands.takes) if own.band == before.band)
        takes = (*bands.takes[: last + 1], take, *bands.takes[last + 1 :])
        return replace(bands, takes=takes, tries=bands.tries + 1)


def read_cell(cell: str, bar: int) -> Bar:
    """The chord symbols of one bar, as typed.

    Raises:
        OptionError: they cannot be read; the message names the bar.
    """
    try:
        (chords,) = read_chart(str(cell))
    except ChordError as error:
        line = str(error).removeprefix("line 1, bar 1: ")
        raise OptionError(f"Chords: bar {bar}: {line}") from None
    except ValueError:
        raise OptionError(
            f"Chords: bar {bar}: wanted the chords of one bar, such as Am F, not {cell!r}"
        ) from None
    return chords


def plain_name(path: str | Path) -> str:
    """A file's name that is safe to show and to name files after: one short line, without
    characters that mean something to a path or a shell."""
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", str(path))[-1])
    stem, dot, ending = name.rpartition(".") if "." in name else (name, "", "")
    stem = re.sub(r"[^\w ,'()&+.-]+", "_", stem).strip(" .-")[:LONGEST_NAME].rstrip(" .")
    ending = re.sub(r"\W+", "", ending)[:8]
    return (stem or "song") + (dot + ending if ending else "")


def read_song(path: str | Path) -> Score:
    """Read a file that a user has sent.

    Returns:
        Its score, by a name that is safe to show and to name files after.

    Raises:
        MidiError: it is no MIDI, MusicXML or ABC file, or has no notes.
    """
    name = plain_name(path)
    try:
        score = reading.read_song(path)
    except MidiError as error:
        if Path(name).suffix.lower() not in (*MIDI_SUFFIXES, *NOTATION_SUFFIXES):
            kinds = f"MIDI ({MIDI_SUFFIXES[0]}), MusicXML ({', '.join(MUSICXML_SUFFIXES)}) or ABC"
            raise MidiError(f"{name}: wanted a song as {kinds} ({ABC_SUFFIX})") from None
        raise MidiError(str(error).replace(str(path), name)) from None
    if not score.tracks:
        raise MidiError(f"{name}: no track has a note")
    return replace(score, name=name)


def melody_choices(song: Score) -> list[tuple[str, int]]:
    """The tracks that can be the melody, as (words, index), the likeliest first."""
    able = [(track.score, track) for track in summarize_tracks(song) if track.score is not None]
    able.sort(key=lambda ranked: (-ranked[0], ranked[1].index))
    if len(able) == 1:
        return [(_words(able[0][1]), able[0][1].index)]
    return [(f"{_words(track)} · {track.probability:.0%}", track.index) for _, track in able]


def other_tracks(song: Score) -> list[str]:
    """The tracks that cannot be the melody, each with the reason."""
    return [
        f"{_words(track)} ({refusal(song.tracks[track.index])})"
        for track in summarize_tracks(song)
        if track.score is None
    ]


def options_of(settings: Mapping[str, Any]) -> AccompanyOptions:
    """The options for the settings of a form.

    Args:
        settings: fields of AccompanyOptions, by name; `skip` and `fills` are text such as
            "1-4,17". None and empty text stand for the defaults. What only a band network
            understands is left out with other methods.

    Raises:
        OptionError: one is out of range, or not to be understood.
    """
    chosen = {name: value for name, value in settings.items() if value not in (None, "")}
    if chosen.get("method", BAND) != BAND:
        chosen = {name: value for name, value in chosen.items() if name not in OF_BAND}
    for name in ("seed", "candidates", "intro", "outro"):
        if name in chosen:
            try:
                chosen[name] = int(chosen[name])
            except (TypeError, ValueError, OverflowError):
                raise OptionError(f"{name}: wanted a whole number, not {chosen[name]!r}") from None
    if "beat" in chosen:
        chosen["beat"] = read_beat(str(chosen["beat"]))
    for name in ("skip", "fills"):
        if name in chosen:
            try:
                chosen[name] = read_bars(chosen[name])
            except OptionError as error:
                raise OptionError(f"{name.capitalize()}: {error}") from None
    # The command reads chords from a file so called; who uses the app may not be who runs it.
    if str(chosen.get("chords", "")).strip().startswith("@"):
        raise OptionError('Chords: write them out, as in "C | Am F | G7"')
    return AccompanyOptions(**chosen)


def _words(track: TrackSummary) -> str:
    name = "".join(c if c.isprintable() else " " for c in track.name)
    name = " ".join(name.split())[:LONGEST_NAME]
    sound = instrument(track.program, track.is_drum)
    called = f"{name}, {sound}" if name and name.lower() != sound.lower() else sound
    notes = "1 note" if track.notes == 1 else f"{track.notes} notes"
    return f"{track.index}: {called}, {notes}"
