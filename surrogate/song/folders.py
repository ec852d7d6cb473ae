"""Folders of songs."""

from __future__ import annotations

from pathlib import Path

from musicvae_torch.errors import NoSongsError
from musicvae_torch.midi.notes import is_midi, no_midi_in
from musicvae_torch.notation.files import is_notation

XML_SUFFIX = ".xml"  # of MusicXML, and of much else


def midi_files(folder: str | Path) -> list[Path]:
    """MIDI files of a folder at any depth, in order.

    Raises:
        NoSongsError: there are none, or no such folder.
    """
    return _files(folder, scores=False)


def song_files(folder: str | Path) -> list[Path]:
    """MIDI, MusicXML and ABC files of a folder at any depth, in order; those with names that end
    in .xml may be anything, and are none.

    Raises:
        NoSongsError: there are none, or no such folder.
    """
    return _files(folder, scores=True)


def _files(folder: str | Path, scores: bool) -> list[Path]:
    folder = Path(folder)
    if not folder.is_dir():
        raise NoSongsError(f"{folder}: no such folder")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if is_midi(path) or (scores and is_notation(path) and path.suffix.lower() != XML_SUFFIX)
    )
    if not paths:
        raise NoSongsError(no_midi_in(folder))
    return paths
