"""A result as files: MIDI, picture, sound, web page, sheet music, stems."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from musicvae_torch.errors import OptionError
from musicvae_torch.io.files import printable
from surrogate.accompaniment import Accompaniment
from surrogate.options import FORMATS

USUAL = ("mid", "png", "wav", "html")
_NEEDS = {
    "png": "matplotlib", "svg": "matplotlib", "wav": "midirenderer", "html": "midirenderer",
    "musicxml": "music21",
}  # fmt: skip


def check_formats(wanted: Sequence[str] | None, soundfont: Path | None = None) -> tuple[str, ...]:
    """The formats to write, in the order of FORMATS; None: the usual ones, as far as the packages
    that they need are installed.

    Raises:
        ModuleNotFoundError: a package is missing that a wanted format needs.
        OptionError: the SoundFont cannot be read.
    """
    from importlib.util import find_spec

    able = {name for name in FORMATS if find_spec(_NEEDS.get(name, "mido")) is not None}
    names = set(wanted) if wanted is not None else set(USUAL) & able
    for name in sorted(names - able):
        raise ModuleNotFoundError(f"no {_NEEDS[name]}", name=_NEEDS[name])
    if soundfont is not None and names & {"wav", "html"}:
        from surrogate.render.synth import Synthesizer

        Synthesizer(soundfont)
    return tuple(name for name in FORMATS if name in names)


def band_path(first: Path, number: int) -> Path:
    """Where the MIDI of a band goes, counted from 1, if the first one's goes to `first`."""
    return first if number == 1 else first.with_name(f"{first.stem}_{number}{first.suffix}")


def free_output(song: Path, bands: int, folder: bool = False) -> Path:
    """A place beside a song where nothing is yet: ``tune.band.mid``, else ``tune.band-2.mid``, and
    so on.

    Args:
        song: a file.
        bands: how many MIDI files there will be.
        folder: the name of a folder, without an ending.
    """
    for number in count(1):
        stem = f"{song.stem}.band{f'-{number}' if number > 1 else ''}"
        if folder:
            taken = [song.with_name(stem)]
        else:
            first = song.with_name(f"{stem}.mid")
            taken = [band_path(first, n + 1) for n in range(bands)] + [first.with_suffix(".html")]
        if not any(path.exists() or path.is_symlink() for path in taken):
            return taken[0]
    raise AssertionError("count has no end")


def refuse_overwrite(song: Path, first: Path, bands: int) -> None:
    """Raise OptionError if a band's MIDI would be written over the song itself."""
    for number in range(1, bands + 1):
        path = band_path(first, number)
        if path.exists() and path.samefile(song):
            raise OptionError(f"{path}: is the song itself; name another place for the result")


def write_outputs(
    result: Accompaniment,
    folder: Path,
    stem: str,
    formats: Sequence[str] = USUAL,
    soundfont: Path | None = None,
    stems: bool = False,
    remarks: list[str] | None = None,
) -> list[Path]:
    """Write a result into a folder: each band's MIDI; the first one's picture, sound, score and
    stems; and a page with the song and all bands.

    Args:
        folder: is made, if it is not there.
        stem: of the files' names.
        formats: of FORMATS.
        soundfont: for the sound; None: the one of pretty_midi.
        stems: also write a MIDI and a WAV file of each track; see :mod:`surrogate.render.stems`.
        remarks: what the user should know is added to it, a line each.

    Returns:
        The files that were written.
    """
    paths: list[Path] = []
    title = printable(stem)
    best = result.view(title=title)
    for name in formats:
        path = folder / f"{stem}.{name}"
        if name == "mid":
            paths += write_bands(result, path)
            continue
        paths.append(path)
        if name in ("png", "svg"):
            from surrogate.render.piano_roll import draw_view

            draw_view(best, path)
        elif name == "wav":
            from surrogate.render.audio import render, write_wav

            write_wav(path, render(best, soundfont))
        elif name == "musicxml":
            own = write_sheet(result, path, title)
            if remarks is not None:
                remarks += own
        else:
            from surrogate.render.page import write_page

            write_page(path, result.views(), result.settings(), title=title, soundfont=soundfont)
    if stems:
        from surrogate.render.stems import write_stems

        paths += write_stems(folder, stem, best, soundfont)
    return paths


def free_page(beside: Path) -> Path:
    """A name for a page beside a file, after which it is called, that nothing has yet."""
    for number in count(1):
        page = beside.with_name(f"{beside.stem}{f'-{number}' if number > 1 else ''}.html")
        if not page.exists() and not page.is_symlink():
            return page
    raise AssertionError("count has no end")


def write_sheets(result: Accompaniment, first: Path, title: str, remarks: list[str]) -> list[Path]:
    """Write every band as MusicXML, the first one's to `first`; remarks are added to `remarks`.
    Returns where."""
    paths = [band_path(first, number + 1) for number in range(len(result.candidates))]
    for number, path in enumerate(paths, start=1):
        remarks += write_sheet(result, path, title, number)
    return paths


def write_sheet(result: Accompaniment, path: Path, title: str, number: int = 1) -> list[str]:
    """Write a band with its song as MusicXML, on the grid, with the chords that the band was made
    for.

    Args:
        result: the song and its bands.
        path: .musicxml, .xml or .mxl.
        title: of the score.
        number: of the band, from 1.

    Returns:
        What the user should know, a line each.
    """
    from surrogate.render.notation import write_notation

    view = result.both_views(result.candidates[number - 1], title)
    view = view.even or view  # a drummer's deviations are no rhythm to be written
    return write_notation(path, view, list(view.chords), title)


def write_bands(result: Accompaniment, first: Path) -> list[Path]:
    """Write the MIDI of every band, the first one's to `first`; returns where."""
    paths = [band_path(first, number + 1) for number in range(len(result.candidates))]
    for path, candidate in zip(paths, result.candidates, strict=True):
        candidate.write(path)
    return paths
