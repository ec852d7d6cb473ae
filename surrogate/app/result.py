"""A song's bands, as they were made and as they were changed, and their files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from musicvae_torch.errors import OptionError
from musicvae_torch.io.files import replacing
from surrogate.accompaniment import Accompaniment, Candidate
from surrogate.arrangement.song_chart import SongChart
from surrogate.options import BAND, COMPING
from surrogate.outputs import write_sheet
from surrogate.render.page import html_of, page_contents
from surrogate.render.page_data import Data, KnownSounds
from surrogate.render.view import View


@dataclass(frozen=True, eq=False)
class Take:
    """A band as it was made, or with some bars made anew; it does not change.

    Attributes:
        title: what it is called.
        band: title of the band of which it is a version.
        result: it is among the candidates of this one.
        candidate: the band itself.
    """

    title: str
    band: str
    result: Accompaniment
    candidate: Candidate

    @cached_property
    def view(self) -> View:
        """To be seen and heard."""
        return self.result.both_views(self.candidate, self.title)

    @property
    def chart(self) -> SongChart | None:
        """The chords by which it was made."""
        return self.result.chart

    @property
    def first_bar(self) -> int:
        """The number, in the band's own file, of the first bar of its chart."""
        return (0 if self.chart is None else self.chart.first) + self.result.options.intro

    @property
    def parts(self) -> tuple[str, ...]:
        """Those of which bars can be made anew: the new ones, since the song's own are to stay."""
        if self.result.options.method != BAND:
            return ()
        new = {self.view.roles[index] for index in self.view.new}
        return tuple(part for part in ("bass", "drums", COMPING) if part in new)


@dataclass(frozen=True, eq=False)
class Result:
    """A song with its bands, and their files, which are written when they are asked for. It does
    not change: what is made of it is another one, so that the one before can be had again.

    Attributes:
        result: the song with its bands as they were made, the one most like the others first.
        title: of the song; safe in a file's name.
        takes: the bands, and what was made of them.
        folder: for the files; there is nothing else in it.
        soundfont: for the sound.
        tries: how often bars were made anew, so that each time has another seed.
        known: the sound of what was heard before.
    """

    result: Accompaniment
    title: str
    takes: tuple[Take, ...]
    folder: Path
    soundfont: Path | None = None
    tries: int = 0
    known: KnownSounds = field(default_factory=KnownSounds)

    @property
    def choices(self) -> list[tuple[str, int]]:
        """The name and the number, from 1, of each band."""
        return [(take.title, number) for number, take in enumerate(self.takes, start=1)]

    def take(self, number: int) -> Take:
        """A band, counted from 1; raises OptionError if there is none of that number."""
        if not 1 <= number <= len(self.takes):
            raise OptionError("choose one of the bands first")
        return self.takes[number - 1]

    def contents(self, sound: bool) -> Data:
        """What the page shows, and with `sound` plays: the song and all bands."""
        views = [self.result.song_view(), *(take.view for take in self.takes)]
        return page_contents(views, self.settings(), self.title, self.soundfont, sound, self.known)

    def settings(self) -> dict[str, str]:
        """What made the bands, in words by name."""
        lines = self.result.settings()
        for take in self.takes:
            if take.result is not self.result:
                redo = take.result.options.redo
                lines[take.title] = f"{', '.join(redo)} anew, seed {take.result.options.seed}"
        return lines

    def save_page(self, contents: Data) -> Path:
        """Write the page to be downloaded."""
        path = self._place(html_of(contents).encode("utf-8"), f"{self.title}-bands.html")
        return path

    def midi(self, number: int) -> Path:
        """The MIDI file of a band, counted from 1."""
        take = self.take(number)
        return self._place(take.candidate.score.to_bytes(), f"{self._name(take)}.mid")

    def wav(self, number: int) -> Path:
        """The sound of a band, counted from 1."""
        from surrogate.render.audio import render, write_wav

        midi = self.midi(number)
        path = midi.with_suffix(".wav")
        if not path.exists():
            write_wav(path, render(self.take(number).view, self.soundfont))
        return path

    def score(self, number: int) -> tuple[Path, list[str]]:
        """A band, counted from 1, as MusicXML, and what the user should know of it, a line each."""
        take = self.take(number)
        path = self._folder(take) / f"{self._name(take)}.musicxml"
        place = take.result.candidates.index(take.candidate) + 1
        return path, write_sheet(take.result, path, f"{self.title}, {take.title}", place)

    def stems(self, number: int) -> Path:
        """Each track of a band, counted from 1, as a MIDI and a WAV file of its own, in one ZIP."""
        from surrogate.render.stems import write_stems

        take = self.take(number)
        folder = self._folder(take)
        path = folder / f"{self._name(take)}-stems.zip"
        if not path.exists():
            stems = write_stems(folder / "stems", self._name(take), take.view, self.soundfont)
            with replacing(path) as temporary, ZipFile(temporary, "w", ZIP_DEFLATED) as archive:
                for stem in stems:
                    archive.write(stem, stem.name)
        return path

    def remarks(self) -> list[str]:
        """What the user should know beside what the page shows, a line each."""
        lines = [*self.result.losses(), *self.result.notes]
        if self.result.options.redo:
            lines += self.result.best.arrangement.changes
        for take in self.takes:
            if take.result is not self.result:
                changes = take.candidate.arrangement.changes
                lines += [f"{take.title}: {line}" for line in (*changes, *take.result.notes)]
        return [line[:1].upper() + line[1:] for line in lines]

    def discard(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _name(self, take: Take) -> str:
        return f"{self.title}-{take.title.lower().replace(' ', '-')}"

    def _folder(self, take: Take) -> Path:
        """The folder for what is made of a band."""
        return self.midi(self.takes.index(take) + 1).parent

    def _place(self, content: bytes, name: str) -> Path:
        """Write a file, in a folder for what has just this content."""
        folder = self.folder / sha256(content).hexdigest()[:16]
        folder.mkdir(exist_ok=True)
        path = folder / name
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_bytes(content)
        return path
