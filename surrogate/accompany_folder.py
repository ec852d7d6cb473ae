"""A folder of songs: all that can be accompanied, and a summary of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from musicvae_torch.errors import MidiError, NoSongsError, OptionError
from surrogate.options import AccompanyOptions
from surrogate.outputs import band_path, write_outputs
from surrogate.pipeline import Accompanist
from surrogate.song.folders import song_files


@dataclass
class Summary:
    """What became of a folder of songs.

    Attributes:
        made: songs that were accompanied.
        left: songs whose results were there already.
        failed: for each other song, one line that names it and says why.
        stopped: whether Ctrl-C came before the end.
    """

    made: list[Path] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    stopped: bool = False

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
    stems: bool = False,
) -> Summary:
    """Accompany every MIDI, MusicXML and ABC file of a folder, at any depth, into the same places
    of another.

    A file that cannot be accompanied is left out. Ctrl-C ends it with the files that are written;
    with `resume` the next call goes on from there.

    Songs whose results would have one name (``tune.mid`` and ``tune.midi``, or ``tune_2.mid`` and
    the second band of ``tune.mid``) have their suffix in it. Results that are in `folder` are no
    songs.

    Args:
        accompanist: makes the bands.
        folder, out: of the songs, and for the results.
        options: for all songs.
        formats, soundfont, stems: see :func:`surrogate.outputs.write_outputs`.
        resume: leave out songs that have a file of every format already.

    Raises:
        NoSongsError: there is no MIDI file.
        OptionError: `out` is the folder itself, whose songs the results would replace.
    """
    if out.exists() and out.samefile(folder):
        raise OptionError(f"{out}: is the folder of the songs itself; name another for the results")
    results = out.resolve()
    found = [path for path in song_files(folder) if results not in path.resolve().parents]
    if not found:
        raise NoSongsError(f"{folder}: no MIDI file but those in {out}, where the results go")
    summary = Summary()
    songs = []
    for path, stem in _stems(found, options.candidates):
        home = out / path.relative_to(folder).parent
        if resume and all((home / f"{stem}.{ending}").exists() for ending in formats):
            summary.left.append(path)
        else:
            songs.append((path, home, stem))
    made = accompanist.accompany_batch((path for path, *_ in songs), options)
    watched = tqdm(zip(songs, made, strict=True), total=len(songs), unit="song", disable=None)
    try:
        for (path, home, stem), result in watched:
            try:
                if isinstance(result, MidiError):
                    raise result
                write_outputs(result, home, stem, formats, soundfont, stems)
            except MidiError as error:
                summary.failed.append(str(error))
            else:
                summary.made.append(path)
    except KeyboardInterrupt:
        summary.stopped = True
    return summary


def _stems(songs: Iterable[Path], bands: int) -> Iterator[tuple[Path, str]]:
    """Each song with the name of its results, without a suffix; no two have one in common."""
    taken: set[Path] = set()
    for path in songs:
        # Some file systems do not tell capitals from small letters.
        stem = path.stem
        for stem in (path.stem, path.name):
            first = path.with_name(f"{stem}.mid")
            own = {Path(str(band_path(first, n + 1)).casefold()) for n in range(bands)}
            if own.isdisjoint(taken):
                break
        taken |= own
        yield path, stem
