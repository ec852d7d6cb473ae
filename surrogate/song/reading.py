"""Songs that can be accompanied: MIDI files, and MusicXML and ABC, which become MIDI in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import pretty_midi

from musicvae_torch.midi.score import Score, read_score
from musicvae_torch.notation.files import is_notation

Midi: TypeAlias = str | Path | pretty_midi.PrettyMIDI | Score


def read_song(song: Midi) -> Score:
    """The score of a song.

    Args:
        song: a path to a MIDI, MusicXML or ABC file, or MIDI in memory (which stays as it is).

    Raises:
        MidiError: the file is missing, or not readable as what its name says; of MusicXML and ABC,
            the subclass NotationError, also if music21 is not installed.
    """
    if isinstance(song, Score):
        return song
    if isinstance(song, str | Path) and is_notation(song):
        from musicvae_torch.notation.reading import read_notation

        return read_notation(song)
    return read_score(song)
