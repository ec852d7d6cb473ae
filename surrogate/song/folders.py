"""Folders of songs."""

from __future__ import annotations

from pathlib import Path

from musicvae_torch.errors import NoSongsError
from musicvae_torch.midi.notes import is_midi, no_midi_in


def midi_files(folder: str | Path) -> list[Path]:
    """MIDI files of a folder at any depth, in order.

    Raises:
        NoSongsError: there are none, or no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NoSongsError(f"{folder}: no such folder")
    paths = sorted(path for path in folder.rglob("*") if is_midi(path))
    if not paths:
        raise NoSongsError(no_midi_in(folder))
    return paths
