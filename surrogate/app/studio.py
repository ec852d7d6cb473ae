"""What the app does, without its looks: a song and settings in, bands and their files out."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from musicvae_torch.errors import MidiError, OptionError
from musicvae_torch.io.files import replacing
from musicvae_torch.midi.score import Score
from surrogate.accompaniment import Accompaniment
from surrogate.melody.choice import TrackSummary, summarize_tracks
from surrogate.melody.track_query import instrument, refusal
from surrogate.options import BAND, METHODS, OF_BAND, AccompanyOptions, read_bars, read_beat
from surrogate.pipeline import Accompanist
from surrogate.render.page import page_html
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
        return Result(result, Path(song.name).stem, folder, self.soundfont)


@dataclass(frozen=True, eq=False)
class Result:
    """A result, and its files, which are written when they are asked for.

    Attributes:
        result: the song with its bands, the best first.
        title: of the song; safe in a file's name.
        folder: for the files; there is nothing else in it.
        soundfont: for the sound.
    """

    result: Accompaniment
    title: str
    folder: Path
    soundfont: Path | None = None

    @property
    def choices(self) -> list[tuple[str, int]]:
        """The name and the number, from 1, of each band."""
        return [(f"Band {number}", number) for number in range(1, len(self.result.candidates) + 1)]

    def page(self, sound: bool) -> str:
        """The HTML page that shows, and with `sound` plays, the song and all bands."""
        result = self.result
        return page_html(result.views(), result.settings(), self.title, self.soundfont, sound)

    def save_page(self, page: str) -> Path:
        """Write that page to be downloaded."""
        path = self.folder / f"{self.title}-bands.html"
        with replacing(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
        return path

    def midi(self, number: int) -> Path:
        """The MIDI file of a band, counted from 1."""
        path = self.folder / f"{self.title}-band-{number}.mid"
        if not path.exists():
            self.result.candidates[number - 1].write(path)
        return path

    def wav(self, number: int) -> Path:
        """The sound of a band, counted from 1."""
        from surrogate.render.audio import render, write_wav

        path = self.folder / f"{self.title}-band-{number}.wav"
        if not path.exists():
            band = self.result.candidates[number - 1]
            write_wav(path, render(self.result.view(band), self.soundfont))
        return path

    def remarks(self) -> list[str]:
        """What the user should know beside what the page shows, a line each."""
        lines = [*self.result.losses(), *self.result.notes]
        return [line[:1].upper() + line[1:] for line in lines]

    def discard(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.folder, ignore_errors=True)


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
        settings: fields of AccompanyOptions, by name; `skip` is text such as "1-4,17". None and
            empty text stand for the defaults. What only a band network understands is left out with
            other methods.

    Raises:
        OptionError: one is out of range, or not to be understood.
    """
    chosen = {name: value for name, value in settings.items() if value not in (None, "")}
    if chosen.get("method", BAND) != BAND:
        chosen = {name: value for name, value in chosen.items() if name not in OF_BAND}
    for name in ("seed", "candidates"):
        if name in chosen:
            chosen[name] = int(chosen[name])
    if "beat" in chosen:
        chosen["beat"] = read_beat(str(chosen["beat"]))
    if "skip" in chosen:
        try:
            chosen["skip"] = read_bars(chosen["skip"])
        except OptionError as error:
            raise OptionError(f"Skip: {error}") from None
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
