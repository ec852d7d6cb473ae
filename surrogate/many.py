"""A folder of songs: all that can be accompanied, and a summary of the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from musicvae_torch.notes.midi import MidiError
from surrogate.deliver import deliver
from surrogate.options import AccompanyOptions
from surrogate.pipeline import Accompanist
from surrogate.songs import midi_files


@dataclass
class Summary:
    """What became of a folder of songs.

    Attributes:
        made: songs that were accompanied.
        left: songs whose results were there already.
        failed: for each other song, one line that names it and says why.
    """

    made: list[Path] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"left out: {line}" for line in self.failed]
        counts = [f"{len(self.made)} accompanied"]
        if self.left:
            counts.append(f"{len(self.left)} there already")
        if self.failed:
            counts.append(f"{len(self.failed)} left out")
        return "\n".join([*lines, ", ".join(counts)])


def accompany_folder(
    accompanist: Accompanist,
    folder: Path,
    out: Path,
    options: AccompanyOptions,
    formats: Sequence[str] = ("mid",),
    soundfont: Path | None = None,
    resume: bool = False,
) -> Summary:
    """Accompany every MIDI file of a folder, at any depth, into the same places of another.

    A file that cannot be accompanied is left out. Ctrl-C ends it after the files that are written
    already; with `resume` the next call goes on from there.

    Args:
        accompanist: makes the bands.
        folder, out: of the songs, and for the results.
        options: for all songs.
        formats, soundfont: see :func:`surrogate.deliver.deliver`.
        resume: leave out songs that have a file of the first format already.

    Raises:
        NoSongsError: there is no MIDI file.
    """
    summary = Summary()
    songs = []
    for path in midi_files(folder):
        place = out / path.relative_to(folder).parent
        if resume and (place / f"{path.stem}.{formats[0]}").exists():
            summary.left.append(path)
        else:
            songs.append((path, place))
    results = accompanist.accompany_many((path for path, _ in songs), options)
    for (path, place), result in _watched(zip(songs, results, strict=True), len(songs)):
        if isinstance(result, MidiError):
            summary.failed.append(str(result))
            continue
        try:
            deliver(result, place, path.stem, formats, soundfont)
        except MidiError as error:  # too long to be heard
            summary.failed.append(str(error))
        else:
            summary.made.append(path)
    return summary


def _watched(results: Iterator, total: int) -> Iterator:
    yield from tqdm(results, total=total, unit="song", disable=None)
