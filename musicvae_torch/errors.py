"""Errors that a user can correct: one base class, and a subclass for each kind.

Each message is one line that names the file or the option, says what was expected and how to mend
it. Commands print that line and end with exit status 2; any other exception is a mistake in this
project, and shows a traceback. All kinds but OutputError are ValueErrors, too.
"""

from __future__ import annotations


class MusicVAEError(Exception):
    """An error that a user can correct."""


class OptionError(MusicVAEError, ValueError):
    """An option, or an argument of a function, that is out of range, or does not go with others."""


class OutputError(MusicVAEError, OSError):
    """A result that cannot be written, or would replace something else."""


class ConfigError(MusicVAEError, ValueError):
    """A config that names an unknown model or sizes that do not fit together."""


class CheckpointError(MusicVAEError, ValueError):
    """A checkpoint that cannot be read, or is not what was asked for."""


class DownloadError(CheckpointError):
    """A checkpoint that could not be downloaded."""


class MidiError(MusicVAEError, ValueError):
    """A MIDI file that cannot be used."""


class NotationError(MidiError):
    """A MusicXML or ABC file that cannot be used."""


class NoSongsError(MusicVAEError, ValueError):
    """A folder that holds no song to work on."""


class ChordError(MusicVAEError, ValueError):
    """A chord that cannot be read."""


class DatasetError(MusicVAEError, ValueError):
    """A data set that cannot be made or read."""


class VotesError(MusicVAEError, ValueError):
    """A file of a listening test's votes that cannot be read."""
