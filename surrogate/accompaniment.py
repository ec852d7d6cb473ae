"""An accompaniment: the song that came, and its candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from html import escape
from pathlib import Path

import numpy as np
import pretty_midi

from musicvae_torch.io.files import replacing
from musicvae_torch.midi.notes import check_midi_out
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import Track
from surrogate.arrangement.arrange import Arrangement
from surrogate.arrangement.song_chart import SongChart
from surrogate.melody.choice import Melody
from surrogate.options import AccompanyOptions
from surrogate.render.view import View


@dataclass(frozen=True, eq=False)
class Candidate:
    """One band for a song.

    Attributes:
        number: of its random numbers; with the same seed and options, the same number is the same
            band.
        arrangement: the song's tracks that stay, and the new ones.
        tokens: (bars * 16, 3) int64 classes of melody, bass and drums as the decoder left them.
        log_likelihood: (bars,) of the new parts, in nats, under the latent that is likeliest.
        even: makes the same band without a drummer's feel; None: it has none.
    """

    number: int
    arrangement: Arrangement
    tokens: np.ndarray
    log_likelihood: np.ndarray
    even: Callable[[], Arrangement] | None = None

    @property
    def score(self) -> Score:
        """The song with this band."""
        return self.arrangement.score

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The new tracks."""
        return tuple(self.score.tracks[index] for index in self.arrangement.new)

    @property
    def nats_per_step(self) -> float:
        """Mean of the log-likelihood over all steps."""
        return float(self.log_likelihood.sum() / max(len(self.tokens), 1))

    @cached_property
    def midi(self) -> pretty_midi.PrettyMIDI:
        """The band as pretty_midi has it; :meth:`write` keeps more (markers, text, order)."""
        return self.score.to_pretty_midi()

    def write(self, path: str | Path) -> None:
        """Write the MIDI file, whole or not at all.

        Raises:
            OptionError: `path` ends in .rmi, as RIFF files do.
        """
        check_midi_out(path)
        with replacing(path) as temporary:
            temporary.write_bytes(self.score.to_bytes())


@dataclass(frozen=True, eq=False)
class Accompaniment:
    """A song with the bands made for it.

    Attributes:
        song: as it came.
        melody: which of its tracks are the melody; None: it has none, and none was given.
        roles: of each of its tracks: melody, bass, drums or other.
        kept: indices of the tracks of `song` that stayed whole.
        candidates: the one most like the others first.
        latents: (windows, z_size), the likeliest latent of each window.
        starts: (windows,) bar of the model in which each begins, from the first that is played.
        options: by which it was made.
        notes: what the user should know, a line each.
        chart: the song's chords, bar by bar; None: not known.
    """

    song: Score
    melody: Melody | None
    roles: tuple[str, ...]
    kept: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    latents: np.ndarray
    starts: np.ndarray
    options: AccompanyOptions
    notes: tuple[str, ...] = ()
    chart: SongChart | None = None

    @property
    def replaced(self) -> tuple[Track, ...]:
        """The tracks of the song that new parts replace."""
        made = self.options.made
        return tuple(
            track
            for track, role in zip(self.song.tracks, self.roles, strict=True)
            if role in made and track.index not in self.kept
        )

    def losses(self, candidate: Candidate | None = None) -> list[str]:
        """The tracks of the song that are not whole in a candidate (None: the first), a line each:
        how many of its notes are gone, and where the others stay."""
        band = (candidate or self.best).arrangement
        lines = []
        for track in self.song.tracks:
            stays = band.staying.get(track.index, np.zeros(len(track.notes), bool))
            if track.index in self.kept or stays.all():
                continue
            is_made = self.roles[track.index] in self.options.made
            line = f"{'replaced:' if is_made else 'left out:'} {track}"
            if stays.any():
                gone, where = int((~stays).sum()), ranges(band.stay_in[track.index])
                line += f": {gone} of {len(stays)} notes; the others stay, in bars {where}"
            lines.append(line)
        return lines

    @property
    def best(self) -> Candidate:
        """The first of the candidates."""
        return self.candidates[0]

    @property
    def score(self) -> Score:
        """The song with the first band."""
        return self.best.score

    @property
    def midi(self) -> pretty_midi.PrettyMIDI:
        """The song with the first band, as pretty_midi has it."""
        return self.best.midi

    def write(self, path: str | Path) -> None:
        """Write the first one's MIDI file, whole or not at all."""
        self.best.write(path)

    def view(self, candidate: Candidate | None = None, title: str = "") -> View:
        """A candidate (None: the first) to draw, to hear and to show."""
        return self._view((candidate or self.best).arrangement, title or self.song.name)

    def views(self) -> list[View]:
        """The song as it came, then every candidate, with and without feel."""
        only = len(self.candidates) == 1
        return [
            self.song_view(),
            *(
                self.both_views(band, "With the band" if only else f"Band {number}")
                for number, band in enumerate(self.candidates, start=1)
            ),
        ]

    def song_view(self) -> View:
        """The song as it came."""
        return View("As it came", self.song, self.roles, chords=self._marks)

    def both_views(self, candidate: Candidate, title: str) -> View:
        """A candidate, with its even version, if it has one."""
        view = self.view(candidate, title)
        if candidate.even is None:
            return view
        return replace(view, even=self._view(candidate.even(), f"{title}, even"))

    def _view(self, band: Arrangement, title: str) -> View:
        roles = [self.roles[index] for index in band.left]
        roles += [track.name for track in band.score.tracks[len(roles) :]]
        return View(title, band.score, tuple(roles), frozenset(band.new), chords=self._marks)

    @property
    def _marks(self) -> tuple[tuple[int, str], ...]:
        return () if self.chart is None else self.chart.marks

    def settings(self) -> dict[str, str]:
        """The options that are not the defaults, and the seed, in words by name."""
        usual = AccompanyOptions()
        if self.options.method is not None:
            usual = replace(usual.by(self.options.method), method=None)
        chosen = {"seed": str(self.options.seed)}
        for item in fields(self.options):
            value = getattr(self.options, item.name)
            if value != getattr(usual, item.name):
                chosen[item.name] = _words(value)
        if self.melody is not None and "melody" in self.options.given:
            chosen["melody"] = self.melody.how
        for number, band in enumerate(self.candidates, start=1):
            which = f" of band {number}" if len(self.candidates) > 1 else ""
            chosen[f"log-likelihood{which}"] = f"{band.nats_per_step:.2f} nats a step"
        return chosen

    def _repr_html_(self) -> str:
        """What a notebook shows: players and piano rolls, where their packages are installed."""
        try:
            from surrogate.render.page import notebook_html

            return notebook_html(self.views(), self.settings())
        except ModuleNotFoundError as error:
            new = "".join(f"<li>{escape(str(track))}</li>" for track in self.best.tracks)
            return f"<ul>{new}</ul><p>To see and hear it: pip install {escape(str(error.name))}</p>"


def ranges(numbers: np.ndarray) -> str:
    """Ascending numbers in words: "1-8, 17"."""
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number:g}" for name, number in value.items())
    if isinstance(value, tuple):
        return ", ".join("-".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in value)
    return str(value)
