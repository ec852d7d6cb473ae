"""A MIDI file as a score that can be written again: every message, counted in its own ticks.

Where :mod:`musicvae_torch.notes.midi` gives notes in seconds, to be learnt from, this keeps what
the file says (tempo and metre maps, markers, controllers, order of messages), to be added to.
"""

from __future__ import annotations

import copy
import io
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from math import gcd
from pathlib import Path

import mido
import numpy as np
import pretty_midi

from musicvae_torch.notes.midi import MidiError, has_endless_number
from musicvae_torch.notes.midi_events import BadKey, bad_keys
from musicvae_torch.notes.vocabulary import STEPS_PER_QUARTER

DRUM_CHANNEL = 9
SEQUENCER_SPECIFIC = 0x7F  # a meta event's type
DEFAULT_TEMPO = 500_000  # microseconds a quarter note: 120 a minute
MAX_DENOMINATOR = 128  # of a metre; a damaged file may have any power of two up to 2**255
MAX_RESOLUTION = 0x7FFF  # the file's header has 15 bits for it

TICK_NOTE = np.dtype(
    [("start", np.int64), ("end", np.int64), ("pitch", np.int16), ("velocity", np.int16)]
)


@dataclass(frozen=True, eq=False)
class Track:
    """The notes that one chunk (MTrk) of the file plays on one channel with one program.

    Attributes:
        index: position in ``Score.tracks``.
        name: of the chunk; may be empty.
        chunk: index in the file.
        channel: 0 to 15; drums are on 9.
        program: General MIDI's, from 0; 0 where the file names none.
        notes: of TICK_NOTE, by start, then pitch; at least one, each at least a tick long.
    """

    index: int
    name: str
    chunk: int
    channel: int
    program: int
    notes: np.ndarray

    @property
    def is_drum(self) -> bool:
        return self.channel == DRUM_CHANNEL

    def __str__(self) -> str:
        sound = "drums" if self.is_drum else pretty_midi.program_to_instrument_name(self.program)
        name = f" {self.name.strip()!r}" if self.name.strip() else ""
        return f"track {self.index}:{name} {sound}, {len(self.notes)} notes"


@dataclass(frozen=True, eq=False)
class Score:
    """A MIDI file, as read.

    Attributes:
        file: all of it; not to be changed.
        tracks: in order of chunk, then of first notes.
        tempos: (changes, 2) int64 of tick and microseconds a quarter, the first at tick 0.
        metres: (changes, 3) int64 of tick, numerator, denominator, the first at tick 0 (4/4, where
            the file does not say). Those without beats, or of beats too short to be any, do not
            count.
        end: tick of the last message of any chunk.
        name: of the file, for messages.
        remarks: what of the file was left out, a line each.
    """

    file: mido.MidiFile
    tracks: tuple[Track, ...]
    tempos: np.ndarray
    metres: np.ndarray
    end: int
    name: str = "MIDI"
    remarks: tuple[str, ...] = ()
    _clock: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ticks, tempos = self.tempos.T
        passed = np.diff(ticks) * tempos[:-1] / 1e6 / self.resolution
        object.__setattr__(self, "_clock", np.concatenate([[0.0], np.cumsum(passed)]))

    @property
    def resolution(self) -> int:
        """Ticks a quarter note."""
        return self.file.ticks_per_beat

    def seconds(self, ticks: np.ndarray | int) -> np.ndarray:
        """When ticks come, in seconds from the file's start; any shape."""
        at = np.asarray(ticks)
        change = np.maximum(np.searchsorted(self.tempos[:, 0], at, side="right") - 1, 0)
        since = at - self.tempos[change, 0]
        return self._clock[change] + since * self.tempos[change, 1] / 1e6 / self.resolution

    def to_bytes(self) -> bytes:
        """The file."""
        return midi_bytes(self.file)

    def to_pretty_midi(self) -> pretty_midi.PrettyMIDI:
        """The same as pretty_midi has it, in seconds, without markers and text."""
        return pretty_midi.PrettyMIDI(io.BytesIO(self.to_bytes()))


def read_score(midi: str | Path | pretty_midi.PrettyMIDI) -> Score:
    """Read a MIDI file, or one that pretty_midi would write.

    Key signatures that do not exist, which real files have and mido refuses, are left out with a
    remark. (:func:`musicvae_torch.notes.midi.read_midi` and ``read_song``, which give what Magenta
    would, refuse such files, as Magenta does.)

    Raises:
        MidiError: the file is missing, unreadable, no MIDI file, counts time in video frames, or
            holds several songs.
    """
    if isinstance(midi, pretty_midi.PrettyMIDI):
        return score_of(_parse(_written(midi), "MIDI in memory")[0], "MIDI in memory")
    try:
        content = Path(midi).read_bytes()
    except FileNotFoundError:
        raise MidiError(f"{midi}: no such file") from None
    except IsADirectoryError:
        raise MidiError(f"{midi}: is a folder, not a MIDI file") from None
    except OSError as error:
        raise MidiError(f"{midi}: cannot be read ({error.strerror})") from None
    file, remarks = _parse(content, str(midi))
    return replace(score_of(file, str(midi)), remarks=remarks)


def score_of(file: mido.MidiFile, name: str = "MIDI") -> Score:
    """What a file in memory says.

    Raises:
        MidiError: it counts time in video frames, or holds several songs.
    """
    if file.ticks_per_beat <= 0:
        raise MidiError(f"{name}: counts time in video frames (SMPTE), not in beats")
    if file.type == 2:
        raise MidiError(f"{name}: holds several songs (MIDI format 2); save them one by one")
    tempos: dict[int, int] = {0: DEFAULT_TEMPO}
    metres: dict[int, tuple[int, int]] = {0: (4, 4)}
    tracks: list[Track] = []
    end = 0
    # Of changes at the same tick the last counts: the first chunk's, where they belong.
    for index, chunk in reversed(list(enumerate(file.tracks))):
        tick = 0
        for message in chunk:
            tick += message.time
            if message.type == "set_tempo":
                tempos[tick] = max(message.tempo, 1)
            elif message.type == "time_signature" and _is_metre(message):
                metres[tick] = (message.numerator, message.denominator)
        end = max(end, tick)
        tracks = [*_tracks_of(chunk, index), *tracks]
    return Score(
        file=file,
        tracks=tuple(replace(track, index=index) for index, track in enumerate(tracks)),
        tempos=np.array(sorted(tempos.items()), np.int64),
        metres=np.array([(tick, *metre) for tick, metre in sorted(metres.items())], np.int64),
        end=end,
        name=name,
    )


def _is_metre(message: mido.MetaMessage) -> bool:
    return message.numerator > 0 and message.denominator <= MAX_DENOMINATOR


def divisible(score: Score) -> Score:
    """`score`, or the same with so many ticks a quarter that every sixteenth falls on one.

    Raises:
        MidiError: the file's header has no room for so many.
    """
    factor = STEPS_PER_QUARTER // gcd(score.resolution, STEPS_PER_QUARTER)
    if factor == 1:
        return score
    file = score.file
    if file.ticks_per_beat * factor > MAX_RESOLUTION:
        raise MidiError(f"{score.name}: {score.resolution} ticks a quarter have no sixteenth")
    finer = copy_header(file)
    finer.ticks_per_beat = file.ticks_per_beat * factor
    finer.tracks = [
        mido.MidiTrack(message.copy(time=message.time * factor) for message in chunk)
        for chunk in file.tracks
    ]
    return replace(score_of(finer, score.name), remarks=score.remarks)


def numbered_notes(chunk: mido.MidiTrack) -> Iterator[tuple[int, int, int, int]]:
    """Each note-on of a chunk as (index of the message, channel, program then in force, tick)."""
    programs: dict[int, int] = {}
    tick = 0
    for index, message in enumerate(chunk):
        tick += message.time
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type == "note_on" and message.velocity:
            yield index, message.channel, programs.get(message.channel, 0), tick


def copy_header(file: mido.MidiFile) -> mido.MidiFile:
    """A file without chunks of the same type, resolution and character set."""
    return mido.MidiFile(type=file.type, ticks_per_beat=file.ticks_per_beat, charset=file.charset)


def midi_bytes(file: mido.MidiFile) -> bytes:
    """What a MIDI file holds on disk."""
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def _written(midi: pretty_midi.PrettyMIDI) -> bytes:
    """The file that pretty_midi makes, with the very tempos of the file that it was read from.

    MIDI counts whole microseconds a quarter, and pretty_midi cuts off fractions: a hundredth of
    one more keeps rounding errors from taking a whole one away.
    """
    exact = copy.copy(midi)
    exact._tick_scales = [
        (tick, (round(scale * midi.resolution * 1e6) + 0.01) / 1e6 / midi.resolution)
        for tick, scale in midi._tick_scales
    ]
    buffer = io.BytesIO()
    exact.write(buffer)
    return buffer.getvalue()


def _parse(content: bytes, name: str) -> tuple[mido.MidiFile, tuple[str, ...]]:
    """The file, and remarks on it."""
    remarks: tuple[str, ...] = ()
    try:
        if has_endless_number(content):
            raise ValueError("a number of thousands of bytes")
        try:
            file = mido.MidiFile(file=io.BytesIO(content), charset="latin1")
        except MemoryError:
            raise
        except Exception:
            if not (bad := bad_keys(content)):
                raise
            file, remarks = _without_keys(content, bad), (_remark(bad),)
        if file.type not in (1, 2) and (file.type or len(file.tracks) != 1):
            file.type = 1  # what it is, whatever it says
        file.tracks = [_without_realtime(chunk) for chunk in file.tracks]
        return file, remarks
    except MemoryError:
        raise
    except Exception as error:
        # Parsers meet hostile bytes with errors of every kind, often without a text.
        reason = " ".join(str(error).split()) or "it ends in the middle of an event"
        raise MidiError(
            f"{name}: not readable as a MIDI file ({type(error).__name__}: {reason})"
        ) from None


def _without_keys(content: bytes, bad: list[BadKey]) -> mido.MidiFile:
    """The file without some of its key signatures, and with the time of all else."""
    disguised = bytearray(content)
    for key in bad:
        disguised[key.place] = SEQUENCER_SPECIFIC  # of which mido takes any content
    file = mido.MidiFile(file=io.BytesIO(disguised), charset="latin1")
    numbers = {(key.chunk, key.meta) for key in bad}
    for index, chunk in enumerate(file.tracks):
        metas = [message for message in chunk if message.is_meta]
        dropped = {id(meta) for number, meta in enumerate(metas) if (index, number) in numbers}
        file.tracks[index] = _without(chunk, partial(_is_one_of, dropped))
    return file


def _is_one_of(ids: set[int], message: mido.Message | mido.MetaMessage) -> bool:
    return id(message) in ids


def _remark(bad: list[BadKey]) -> str:
    places = ", ".join(str(chunk) for chunk in sorted({key.chunk for key in bad}))
    contents = ", ".join(sorted({key.content[:4].hex(" ") or "none" for key in bad})[:4])
    return f"left out of chunk (MTrk) {places}: key signatures that do not exist, bytes {contents}"


def _without_realtime(chunk: mido.MidiTrack) -> mido.MidiTrack:
    """The chunk without clock ticks and the like, which have no place in a file: mido reads them
    but writes none."""
    return _without(chunk, lambda message: message.is_realtime)


def _without(
    chunk: mido.MidiTrack, unwanted: Callable[[mido.Message | mido.MetaMessage], bool]
) -> mido.MidiTrack:
    """The chunk without some messages; those after them come when they came."""
    if not any(map(unwanted, chunk)):
        return chunk
    kept = mido.MidiTrack()
    waited = 0
    for message in chunk:
        waited += message.time
        if not unwanted(message):
            kept.append(message.copy(time=waited))
            waited = 0
    return kept


def _tracks_of(chunk: mido.MidiTrack, index: int) -> list[Track]:
    """The tracks of one chunk. A note-off ends all notes of its pitch that began before it, as in
    pretty_midi; a note that nothing ends is none."""
    name = ""
    notes: dict[tuple[int, int], list[tuple[int, int, int, int]]] = {}
    sounding: dict[tuple[int, int], list[tuple[int, int, tuple[int, int]]]] = defaultdict(list)
    ons = {number: (channel, program) for number, channel, program, _ in numbered_notes(chunk)}
    tick = 0
    for number, message in enumerate(chunk):
        tick += message.time
        if message.type == "track_name" and not name:
            name = message.name
        elif number in ons:
            notes.setdefault(ons[number], [])
            sounding[message.channel, message.note].append((tick, message.velocity, ons[number]))
        elif message.type in ("note_on", "note_off"):
            key = message.channel, message.note
            ended = [note for note in sounding[key] if note[0] < tick]
            for start, velocity, track in ended:
                notes[track].append((start, tick, message.note, velocity))
            # One that it would cut to nothing goes on only beside one that it does end.
            sounding[key] = [note for note in sounding[key] if ended and note[0] == tick]
    return [
        Track(0, name, index, channel, program, np.sort(np.array(own, TICK_NOTE), order=_ORDER))
        for (channel, program), own in notes.items()
        if own
    ]


_ORDER = ("start", "pitch", "end")
