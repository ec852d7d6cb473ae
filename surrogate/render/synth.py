"""Notes of a score to samples: a SoundFont synthesizer fed with a MIDI file's own messages.

midirenderer's wheel has the synthesizer (RustySynth), and pretty_midi's has the default SoundFont,
so that no system library is needed.
"""

from __future__ import annotations

import io
import wave
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pretty_midi

from musicvae_torch.errors import MidiError, OptionError
from musicvae_torch.midi.channels import CHANNELS, DRUM_CHANNEL, RESET_CONTROLLERS
from musicvae_torch.midi.messages import (
    CONTROL_CHANGE,
    END_OF_TRACK,
    NOTE_OFF,
    NOTE_ON,
    PITCH_BEND,
    PROGRAM_CHANGE,
    Chunk,
    Message,
    MidiFile,
    control,
    meta,
    value,
)
from musicvae_torch.midi.notes import SUSTAIN
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.sustain import NEVER, pedal_changes, released
from musicvae_torch.midi.tracks import Track

SAMPLE_RATE = 48_000  # Hz, the synthesizer's
TAIL_SECONDS = 2.0  # after the last note; its second half fades out
MAX_MINUTES = 60  # longer songs are broken files

# Controllers, by MIDI's numbers.
BANKS = (0, 32)
EXPRESSION, EXPRESSION_FINE = 11, 43
PARAMETERS = (6, 38, 98, 99, 100, 101)  # a number chosen by the last four, set by the first two
LARGEST = 127
NO_BEND = 8192  # the middle of 14 bits
# The synthesizer writes 16 bits, and cuts what is louder. A part that it cut is played once more at
# a quarter of the loudness: expression counts 14 bits, and works as its square.
FULL, HALF = (1 << 14) - 1, 1 << 13
LOUDEST = 32_767
GAIN = 4.0  # of the synthesizer's samples, which leave room for dozens of notes
# A tick is a sample: at MIDI's usual tempo there are two quarter notes a second.
RESOLUTION = SAMPLE_RATE // 2
_MELODIC = [channel for channel in range(CHANNELS) if channel != DRUM_CHANNEL]

# What comes first of what happens at the same tick.
NOTE_ENDS, STATE_CHANGES, NOTE_STARTS = range(3)
# Tick, which of the above, seat (or channel), whether that is a drum kit, message.
Event = tuple[int, int, int, bool, Message]
Row = tuple[int, int, bool, Message]  # frame, channel, whether that is a drum kit, message


class Synthesizer:
    """A SoundFont, ready to play.

    Args:
        soundfont: .sf2; None: pretty_midi's.

    Raises:
        ModuleNotFoundError: midirenderer is not installed.
        OptionError: the SoundFont cannot be read.
    """

    def __init__(self, soundfont: str | Path | None = None) -> None:
        import midirenderer

        self._render = midirenderer.render_wave_from
        path = Path(soundfont or Path(pretty_midi.__file__).parent / "TimGM6mb.sf2")
        try:
            self._font = path.read_bytes()
        except OSError as error:
            raise OptionError(f"{path}: no SoundFont ({error.strerror})") from None
        try:
            self._play([], 1)
        except BaseException as error:  # what is wrong in Rust is no Exception
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            hint = "; save it without compression, as .sf2" if "SoundFont3" in str(error) else ""
            raise OptionError(f"{path}: not readable as a SoundFont (.sf2){hint}") from None

    def synthesize(self, score: Score, tracks: Sequence[Track]) -> np.ndarray:
        """Some tracks of a song, from its first tick to TAIL_SECONDS after their last note.

        The tempo map, programs, banks, controllers and pitch bends are those of the file. A channel
        that several chunks share takes what a chunk does not set itself from the others; where two
        set the same, each holds for its own notes alone. So the same notes sound the same, whatever
        else plays.

        Returns:
            (samples, 2) float32 at SAMPLE_RATE, left and right, which may go beyond -1 and 1.

        Raises:
            MidiError: they are longer than MAX_MINUTES.
        """
        last = max((int(track.notes["end"].max()) for track in tracks), default=0)
        seconds = float(score.seconds(last)) + TAIL_SECONDS if tracks else 0.0
        if seconds > MAX_MINUTES * 60:
            raise MidiError(f"{score.name}: more than {MAX_MINUTES} minutes of music")
        out = np.zeros((round(seconds * SAMPLE_RATE), 2), np.float32)
        for events in _passes(self._events(score, tracks)):
            ticks = np.array([event[0] for event in events], np.int64)
            frames = np.rint(score.seconds(ticks) * SAMPLE_RATE).astype(np.int64).tolist()
            rows = [(at, *event[2:]) for at, event in zip(frames, events, strict=True)]
            out += self._unclipped(rows, len(out))
        fading = out[len(out) - round(TAIL_SECONDS / 2 * SAMPLE_RATE) :]
        fading *= np.linspace(1, 0, len(fading), dtype=np.float32)[:, None]
        return out

    def _unclipped(self, rows: list[Row], frames: int) -> np.ndarray:
        """(frames, 2) float32, played at full loudness, or else as loud as 16 bits can hold."""
        samples = self._play(rows, frames)
        scale = 1.0
        if len(samples) and int(np.abs(samples.astype(np.int32)).max()) >= LOUDEST:
            samples = self._play(rows, frames, HALF)
            scale = (FULL / HALF) ** 2
        return samples.astype(np.float32) * np.float32(GAIN * scale / LOUDEST)

    def _play(self, rows: list[Row], frames: int, expression: int = FULL) -> np.ndarray:
        """(frames, 2) int16 of messages at frames.

        Args:
            rows: frame, channel and message, in order; the last channel of MIDI's ten is the kit.
            frames: of the result.
            expression: 14 bits of every channel's, of which the rows' own expression is a share.
        """
        channels = {channel for _, channel, _, _ in rows}
        start = [own for c in sorted(channels) for own in _expression(0, c, LARGEST, expression)]
        messages = [own for row in rows if row[0] < frames for own in _sent(row, expression)]
        chunk = Chunk((*start, *messages, meta(frames, END_OF_TRACK)))
        sound = self._render(self._font, MidiFile(0, RESOLUTION, (chunk,)).to_bytes())
        with wave.open(io.BytesIO(sound)) as file:
            data = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
        out = np.zeros((frames, 2), np.int16)
        out[: len(data)] = data[:frames]
        return out

    def _events(self, score: Score, tracks: Sequence[Track]) -> list[Event]:
        """What to play, on a seat for each channel of each chunk, of which there may be more than
        MIDI's sixteen: chunks need not fight for one."""
        changes = _state_changes(score)
        seats: dict[tuple[int, int, bool], int] = {}
        events: list[Event] = []
        for track in tracks:
            pedals = pedal_changes(score, track)
            channels = track.note_channels
            if len(channels) != len(track.notes):
                channels = np.full(len(track.notes), track.channel)
            for channel in np.unique(channels).tolist():
                key = track.chunk, channel, track.is_drum
                if key not in seats:
                    seat = seats[key] = len(seats)
                    events += [
                        (message.tick, STATE_CHANGES, seat, track.is_drum, message)
                        for message in _for_chunk(changes[track.port, channel], track.chunk)
                    ]
                notes = track.notes[channels == channel]
                ends = released(notes["end"], pedals[channel])
                events += _note_events(notes, ends, seats[key], track.is_drum)
        # Stable: of one kind at one tick, the file's order counts.
        return sorted(events, key=lambda event: event[:2])


def _passes(events: Sequence[Event]) -> list[list[Event]]:
    """Events in groups that MIDI's sixteen channels are enough for, on these channels."""
    seats = dict.fromkeys((seat, is_drum) for _, _, seat, is_drum, _ in events)
    places: dict[int, tuple[int, int]] = {}
    melodic = kits = 0
    for seat, is_drum in seats:
        if is_drum:
            places[seat] = kits, DRUM_CHANNEL
            kits += 1
        else:
            group, index = divmod(melodic, len(_MELODIC))
            places[seat] = group, _MELODIC[index]
            melodic += 1
    groups: dict[int, list[Event]] = defaultdict(list)
    for tick, kind, seat, is_drum, message in events:
        group, channel = places[seat]
        groups[group].append((tick, kind, channel, is_drum, message))
    return list(groups.values())


def _note_events(notes: np.ndarray, ends: np.ndarray, seat: int, is_drum: bool) -> list[Event]:
    events: list[Event] = []
    for (start, _, pitch, velocity), end in zip(notes.tolist(), ends.tolist(), strict=True):
        on = Message(start, NOTE_ON, bytes([pitch, velocity]))
        events.append((start, NOTE_STARTS, seat, is_drum, on))
        if end != NEVER:
            off = Message(end, NOTE_OFF, bytes([pitch, 0]))
            events.append((end, NOTE_ENDS, seat, is_drum, off))
    return events


Changes = list[tuple[int, Message]]  # chunk, message


def _state_changes(score: Score) -> dict[tuple[int, int], Changes]:
    """All messages but notes, in order of time, by port and channel."""
    changes: dict[tuple[int, int], Changes] = defaultdict(list)
    for index, chunk in enumerate(score.file.tracks):
        for number, message in enumerate(chunk.messages):
            if message.command in (CONTROL_CHANGE, PROGRAM_CHANGE, PITCH_BEND):
                port = score.channels.port(index, number)
                data = bytes(map(value, message.data))
                changes[port, message.channel].append((index, message._replace(data=data)))
    for messages in changes.values():
        messages.sort(key=lambda entry: entry[1].tick)
    return changes


def _for_chunk(changes: Changes, chunk: int) -> list[Message]:
    """The messages on a channel that hold for a chunk: its own, and those of all other chunks of
    kinds of which it has none."""
    own = {_kind(message) for index, message in changes if index == chunk}
    return [message for index, message in changes if index == chunk or _kind(message) not in own]


def _kind(message: Message) -> str:
    """What a message changes: those that only make sense together are of one kind."""
    if message.command != CONTROL_CHANGE:
        return f"message {message.command}"
    if message.data[0] in BANKS:
        return f"message {PROGRAM_CHANGE}"
    return "parameter" if message.data[0] in PARAMETERS else f"control {message.data[0]}"


def _sent(row: Row, expression: int) -> list[Message]:
    """What is sent to the synthesizer for a message of the song."""
    frame, channel, is_drum, message = row
    first, second = (*message.data, 0)[:2]
    if message.command != CONTROL_CHANGE:
        return [message._replace(tick=frame, status=message.command | channel)]
    if first == RESET_CONTROLLERS:
        # The standard's list leaves the volume as it is, and the pedal to us.
        middle = bytes([NO_BEND & LARGEST, NO_BEND >> 7])
        bend = Message(frame, PITCH_BEND | channel, middle)
        return [bend, *_expression(frame, channel, LARGEST, expression)]
    if first == EXPRESSION:
        return _expression(frame, channel, second, expression)
    if first in (EXPRESSION_FINE, SUSTAIN) or (first in BANKS and is_drum):
        return []  # notes are as long as the pedal holds them; a kit's bank is no SoundFont's
    return [control(frame, channel, first, second)]


def _expression(frame: int, channel: int, amount: int, full: int) -> list[Message]:
    """Expression as a share of the channel's, in 14 bits."""
    whole = round(full * amount / LARGEST)
    return [
        control(frame, channel, EXPRESSION, whole >> 7),
        control(frame, channel, EXPRESSION_FINE, whole & LARGEST),
    ]
