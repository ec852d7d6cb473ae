"""The songs of a listening test: what several systems made of each, as equally loud excerpts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from musicvae_torch.errors import MidiError, NoSongsError
from musicvae_torch.io.files import printable
from musicvae_torch.midi.score import Score, read_score
from surrogate.evaluation.listening.loudness import loudness
from surrogate.melody.features import notes_of
from surrogate.render.audio import peak
from surrogate.render.synth import SAMPLE_RATE, Synthesizer
from surrogate.song.bars import bars_of
from surrogate.song.folders import midi_files

LOUDNESS = -20.0  # LUFS, of all sounds; those of a song whose peaks have no room are softer
HEADROOM = 0.95  # highest sample, which leaves room for what compression adds
FADE = 1.0  # seconds in which the last notes die away; none begins in them
MELODY = -1  # in place of a system's index

Clips = dict[int, np.ndarray]  # index of a system, or MELODY → (samples, 2) float32


@dataclass(frozen=True)
class Excerpt:
    """The part of a song that is heard.

    Attributes:
        seconds: its length, from the first note of any of the song's files; above FADE.
        bars: in place of seconds, the first and the last bar, counted from 1.
    """

    seconds: float = 30.0
    bars: tuple[int, int] | None = None

    def bounds(self, scores: Sequence[Score]) -> list[tuple[int, int]]:
        """The ticks at which it begins, and at which its last notes begin to fade, in each file of
        a song.

        Raises:
            MidiError: a song ends before its first bar.
        """
        if self.bars is not None:
            return [_bar_ticks(score, *self.bars) for score in scores]
        begin = min(float(score.seconds(notes_of(score.tracks)["start"].min())) for score in scores)
        end = begin + self.seconds - FADE
        return [(int(score.ticks(begin)), int(score.ticks(end))) for score in scores]


@dataclass
class Songs:
    """The songs that all systems have.

    Attributes:
        paths: by a song's name the files of the systems, in their order, and then that of the
            melody, if there is one.
        left_out: a line for each other song, which says why it is not among them.
    """

    paths: dict[str, list[Path]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def find_songs(systems: Mapping[str, Path], melody: Path | None = None) -> Songs:
    """Files of the same name, but for its ending, in the folders of all systems, at any depth.

    Args:
        systems: folders by name.
        melody: folder of the melodies alone.

    Raises:
        OptionError: a folder is missing, without MIDI files, or has two of one name; or there is no
            song that all have.
    """
    folders = [*systems.values(), *([melody] if melody else [])]
    found = [_by_name(folder) for folder in folders]
    songs = Songs()
    for name in sorted(set().union(*found[: len(systems)])):
        missing = [str(home) for home, own in zip(folders, found, strict=True) if name not in own]
        if missing:
            songs.left_out.append(f"{printable(name)}: not in {', '.join(missing)}")
        else:
            songs.paths[name] = [own[name] for own in found]
    if not songs.paths:
        raise NoSongsError(
            f"{', '.join(map(str, folders))}: no song in all of them; files of one song "
            "have the same name in each folder"
        )
    return songs


def render_excerpts(
    songs: Songs, excerpt: Excerpt, synthesizer: Synthesizer, systems: int
) -> Iterator[tuple[str, Clips]]:
    """Each song's name, and its sounds: equally long, and equally loud.

    A song of which a file cannot be read or has nothing to be heard goes to ``songs.left_out``.

    Args:
        systems: how many there are; a file after theirs is the melody.
    """
    for name, paths in songs.paths.items():
        try:
            sounds = _equally_loud(paths, excerpt, synthesizer)
        except MidiError as error:
            songs.left_out.append(str(error))
            continue
        owners = [*range(systems), MELODY]
        yield printable(name), dict(zip(owners, sounds, strict=False))


def _by_name(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in midi_files(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise NoSongsError(f"{path}: {found[name]} has the same name; leave one of them out")
        found[name] = path
    return found


def _equally_loud(
    paths: Sequence[Path], excerpt: Excerpt, synthesizer: Synthesizer
) -> list[np.ndarray]:
    scores = [read_score(path) for path in paths]
    for path, score in zip(paths, scores, strict=True):
        if not score.tracks:
            raise MidiError(f"{path}: no notes")
    sounds = [
        _cut(score, begin, end, synthesizer)
        for score, (begin, end) in zip(scores, excerpt.bounds(scores), strict=True)
    ]
    longest = max(map(len, sounds))
    levels = [loudness(sound, SAMPLE_RATE) for sound in sounds]
    for path, level in zip(paths, levels, strict=True):
        if not np.isfinite(level):
            raise MidiError(f"{path}: nothing is heard in the excerpt")
    gains = [10 ** ((LOUDNESS - level) / 20) for level in levels]
    highest = max(gain * peak(sound) for gain, sound in zip(gains, sounds, strict=True))
    common = min(HEADROOM / highest, 1.0)
    return [
        np.pad(sound * np.float32(gain * common), ((0, longest - len(sound)), (0, 0)))
        for gain, sound in zip(gains, sounds, strict=True)
    ]


def _cut(score: Score, begin: int, end: int, synthesizer: Synthesizer) -> np.ndarray:
    """A score between two ticks, and FADE seconds in which what sounds then fades out."""
    tracks = []
    for track in score.tracks:
        heard = track.notes["start"] < end
        if heard.any():
            channels = track.note_channels
            own = channels[heard] if len(channels) == len(heard) else channels
            tracks.append(replace(track, notes=track.notes[heard], note_channels=own))
    samples = synthesizer.synthesize(score, tracks)
    first, last = (round(float(score.seconds(tick)) * SAMPLE_RATE) for tick in (begin, end))
    fade = round(FADE * SAMPLE_RATE)
    samples = samples[first : last + fade]
    ending = samples[last - first :]
    ending *= np.linspace(1, 0, fade, dtype=np.float32)[: len(ending), None]
    return samples


def _bar_ticks(score: Score, first: int, last: int) -> tuple[int, int]:
    bars = bars_of(score)
    count = len(bars) - (1 - bars.first)
    if first > count:
        raise MidiError(f"{score.name}: has {count} bars, none of {first}-{last}")
    lines = bars.ticks
    begin, end = first - bars.first, min(last + 1 - bars.first, len(lines) - 1)
    return int(lines[begin]), int(lines[end])
