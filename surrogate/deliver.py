"""A result as files: MIDI, picture, sound, web page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from surrogate.arguments import FORMATS
from surrogate.result import Accompaniment

USUAL = ("mid", "png", "wav", "html")
_NEEDS = {"png": "matplotlib", "svg": "matplotlib", "wav": "tinysoundfont", "html": "tinysoundfont"}


def check_formats(wanted: Sequence[str] | None, soundfont: Path | None = None) -> tuple[str, ...]:
    """The formats to write, in the order of FORMATS; None: the usual ones, as far as the packages
    that they need are installed.

    Raises:
        ModuleNotFoundError: a package is missing that a wanted format needs.
        ValueError: the SoundFont cannot be read.
    """
    from importlib.util import find_spec

    able = {name for name in FORMATS if find_spec(_NEEDS.get(name, "mido")) is not None}
    names = set(wanted) if wanted is not None else set(USUAL) & able
    for name in sorted(names - able):
        raise ModuleNotFoundError(f"no {_NEEDS[name]}", name=_NEEDS[name])
    if soundfont is not None and names & {"wav", "html"}:
        from surrogate.present.synth import Band

        Band(soundfont)
    return tuple(name for name in FORMATS if name in names)


def deliver(
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
    paths = []
    best = result.view(title=stem)
    for name in formats:
        path = folder / f"{stem}.{name}"
        paths.append(path)
        if name == "mid":
            result.write(path)
            for number, candidate in enumerate(result.candidates[1:], start=2):
                paths.append(folder / f"{stem}_{number}.mid")
                candidate.write(paths[-1])
        elif name in ("png", "svg"):
            from surrogate.present.piano_roll import draw_view

            draw_view(best, path)
        elif name == "wav":
            from surrogate.present.audio import render, write_wav

            write_wav(path, render(best, soundfont))
        else:
            from surrogate.present.page import write_page

            write_page(path, result.views(), result.settings(), title=stem, soundfont=soundfont)
    return paths
