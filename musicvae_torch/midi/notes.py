"""MIDI files ↔ songs: notes with tempos and metres, times in seconds."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import mido
import numpy as np
import pretty_midi

from musicvae_torch.errors import MidiError, OptionError
from musicvae_torch.midi.messages import META, MidiFile, is_known_meta, read_file
from musicvae_torch.midi.vocabulary import OUTPUT_VELOCITY, STEPS_PER_QUARTER

NOTE_DTYPE = np.dtype(
    [
        ("start", np.float64),
        ("end", np.float64),
        ("pitch", np.int16),
        ("velocity", np.int16),
        ("program", np.int16),
        ("is_drum", np.bool_),
        ("instrument", np.int32),
    ]
)

PEDAL_DTYPE = np.dtype([("time", np.float64), ("instrument", np.int32), ("down", np.bool_)])

RIFF_SUFFIX = ".rmi"
# Endings that one may give to MIDI results by mistake.
OTHER_SUFFIXES = {
    ".abc", ".aif", ".aiff", ".flac", ".htm", ".html", ".json", ".m4a", ".mp3", ".ogg", ".pdf",
    ".png", ".svg", ".txt", ".wav", ".yaml", ".yml",
}  # fmt: skip
MIDI_SUFFIXES = (".mid", ".midi", ".kar", RIFF_SUFFIX, ".smf")  # .kar has lyrics, too

SUSTAIN = 64  # number of the sustain pedal's controller, and the least value of one that is down

# Ticks that a file may last. pretty_midi keeps the time of each, in 32 bytes while it reads, and
# takes 10 million, which at the finest resolutions is two minutes of music; note_seq lets it take
# a thousand times as many, which no memory has room for.
MAX_TICK = 30_000_000
pretty_midi.pretty_midi.MAX_TICK = max(pretty_midi.pretty_midi.MAX_TICK, MAX_TICK)

_HIGH_BYTES = bytes(128) + b"\xff" * 128


def is_midi(path: str | Path) -> bool:
    """Whether a file's name ends as that of a MIDI file."""
    return Path(path).suffix.lower() in MIDI_SUFFIXES


def check_midi_out(path: str | Path) -> None:
    """Raise an OptionError if a name is that of a RIFF file, which is never written, or, unless it
    is a folder's, of a file of sound, a picture or text."""
    if Path(path).suffix.lower() == RIFF_SUFFIX:
        raise OptionError(f"{path}: is a RIFF file; name a .mid")
    if Path(path).suffix.lower() in OTHER_SUFFIXES and not Path(path).is_dir():
        raise OptionError(f"{path}: the result is a MIDI file; name a .mid")


def no_midi_in(folder: str | Path) -> str:
    """The message that a folder has no MIDI files."""
    return f"{folder}: no MIDI file ({', '.join(MIDI_SUFFIXES)}) at any depth"


@dataclass(frozen=True)
class Song:
    """The music of a MIDI file, in seconds.

    Attributes:
        notes: of NOTE_DTYPE, grouped by instrument; instrument is the track's index.
        tempos: (changes, 2) of time in seconds and quarter notes per minute.
        time_signatures: (changes, 3) of time in seconds, numerator, denominator.
        end: when the last note ends, in seconds.
        pedals: of PEDAL_DTYPE, changes of the instruments' sustain pedals.
    """

    notes: np.ndarray
    tempos: np.ndarray
    time_signatures: np.ndarray
    end: float
    pedals: np.ndarray = field(default_factory=lambda: np.empty(0, PEDAL_DTYPE))


def read_midi(path: str | Path) -> pretty_midi.PrettyMIDI:
    """Parse a MIDI file, as Magenta does: by mido and pretty_midi.

    Files that Magenta refuses are read as players play them (see
    :mod:`musicvae_torch.midi.messages`), and meta events of unknown types take their time, which
    mido 1.3 drops.

    Raises:
        MidiError: the file is missing, unreadable, no MIDI file, or lasts MAX_TICK or longer.
    """
    content = read_bytes(path)
    file, remarks = read_file(content, str(path))
    if file.resolution <= 0:
        raise MidiError(f"{path}: counts time in video frames (SMPTE), not in beats")
    last = max(chunk.end for chunk in file.tracks)
    if last >= MAX_TICK:
        raise MidiError(
            f"{path}: not readable as a MIDI file (it lasts {last} ticks; {MAX_TICK} are too many)"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of changes on other tracks
            if remarks and not _has_unknown_metas(file):
                with suppress(Exception):
                    return pretty_midi.PrettyMIDI(mido_object=_as_mido(content))
            return pretty_midi.PrettyMIDI(io.BytesIO(file.plain_bytes()))
    except MemoryError:
        raise
    except Exception as error:
        # pretty_midi raises errors of every kind, often without a text.
        reason = " ".join(str(error).split()) or "no reason given"
        raise MidiError(
            f"{path}: not readable as a MIDI file ({type(error).__name__}: {reason})"
        ) from None


def _as_mido(content: bytes) -> mido.MidiFile:
    """The file as mido reads it; any error if mido refuses it, or would need minutes for it."""
    if b"\xff" * 4096 in content.translate(_HIGH_BYTES):
        raise ValueError("a number of thousands of bytes")
    return mido.MidiFile(file=io.BytesIO(content), charset="latin1")


def _has_unknown_metas(file: MidiFile) -> bool:
    return any(
        message.status == META and not is_known_meta(message.kind)
        for chunk in file.tracks
        for message in chunk.messages
    )


def read_bytes(path: str | Path) -> bytes:
    """The content of a file; raises MidiError if it is missing, a folder, or unreadable."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise MidiError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise MidiError(f"{path}: is a folder, not a MIDI file") from None
    except OSError as error:
        raise MidiError(f"{path}: cannot be read ({error.strerror})") from None


def to_song(midi: pretty_midi.PrettyMIDI) -> Song:
    """The notes, tempos and metres of `midi`, as Magenta's ``midi_io`` takes them."""
    rows = [
        (note.start, note.end, note.pitch, note.velocity, track.program, track.is_drum, index)
        for index, track in enumerate(midi.instruments)
        for note in track.notes
    ]
    notes = np.array(rows, dtype=NOTE_DTYPE)
    pedals = [
        (change.time, index, change.value >= SUSTAIN)
        for index, track in enumerate(midi.instruments)
        for change in track.control_changes
        if change.number == SUSTAIN
    ]
    times, tempos = midi.get_tempo_changes()
    signatures = [
        (change.time, change.numerator, change.denominator)
        for change in midi.time_signature_changes
    ]
    return Song(
        notes=notes,
        tempos=np.stack([times, tempos], axis=1),
        time_signatures=np.array(signatures, dtype=np.float64).reshape(-1, 3),
        end=float(notes["end"].max()) if len(notes) else 0.0,
        pedals=np.array(pedals, dtype=PEDAL_DTYPE),
    )


def transpose_song(song: Song, semitones: int) -> Song:
    """Shift all notes but those of drums; what leaves MIDI's 0..127 is dropped, as by note-seq's
    ``transpose_note_sequence``, and the song ends with the last of the others."""
    notes = song.notes.copy()
    notes["pitch"] += np.where(notes["is_drum"], 0, semitones).astype(np.int16)
    notes = notes[notes["is_drum"] | ((notes["pitch"] >= 0) & (notes["pitch"] <= 127))]
    return replace(song, notes=notes, end=float(notes["end"].max(initial=0.0)))


class StepTrack(NamedTuple):
    """A track whose notes are (start step, end step, pitch)."""

    name: str
    notes: Iterable[tuple[int, int, int]]
    program: int = 0
    is_drum: bool = False


def tracks_to_midi(tracks: Iterable[StepTrack], qpm: float) -> pretty_midi.PrettyMIDI:
    """MIDI of some tracks, all notes as loud as Magenta writes them."""
    midi = pretty_midi.PrettyMIDI(initial_tempo=qpm)
    seconds = 60.0 / qpm / STEPS_PER_QUARTER
    for track in tracks:
        instrument = pretty_midi.Instrument(track.program, track.is_drum, track.name)
        instrument.notes = [
            pretty_midi.Note(OUTPUT_VELOCITY, pitch, start * seconds, end * seconds)
            for start, end, pitch in track.notes
        ]
        midi.instruments.append(instrument)
    return midi
