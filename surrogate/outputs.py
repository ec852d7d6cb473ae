"""A result as files: MIDI, picture, sound, web page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from musicvae_torch.errors import OptionError
from musicvae_torch.io.files import printable
from surrogate.accompaniment import Accompaniment
from surrogate.options import FORMATS

USUAL = ("mid", "png", "wav", "html")
_NEEDS = {"png": "matplotlib", "svg": "matplotlib", "wav": "tinysoundfont", "html": "tinysoundfont"}


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
) -> list[Path]:
    """Write a result into a folder: each band's MIDI, the best one's picture and sound, and a page
    with the song and all bands.

    Args:
        folder: is made, if it is not there.
        stem: of the files' names.
        formats: of FORMATS.
        soundfont: for the sound; None: the one of pretty_midi.

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
        else:
            from surrogate.render.page import write_page

            write_page(path, result.views(), result.settings(), title=title, soundfont=soundfont)
    return paths


def write_bands(result: Accompaniment, first: Path) -> list[Path]:
    """Write the MIDI of every band, the best one's to `first`; returns where."""
    paths = [band_path(first, number + 1) for number in range(len(result.candidates))]
    for path, candidate in zip(paths, result.candidates, strict=True):
        candidate.write(path)
    return paths
