"""Notes of a score to samples: tinysoundfont fed with a MIDI file's own messages.

The default SoundFont comes with pretty_midi, so that no system library is needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pretty_midi

from musicvae_torch.errors import MidiError, OptionError
from musicvae_torch.midi.channels import RESET_CONTROLLERS
from musicvae_torch.midi.messages import (
    CONTROL_CHANGE,
    NOTE_OFF,
    NOTE_ON,
    PITCH_BEND,
    PROGRAM_CHANGE,
    Message,
    value,
)
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.sustain import NEVER, pedal_changes, released
from musicvae_torch.midi.tracks import Track

if TYPE_CHECKING:
    import tinysoundfont

SAMPLE_RATE = 44_100
TAIL_SECONDS = 2.0  # after the last note; its second half fades out
MAX_MINUTES = 60  # longer songs are broken files

# Controllers, by MIDI's numbers.
BANKS = (0, 32)
VOLUME, EXPRESSION = 7, 11
PARAMETERS = (6, 38, 98, 99, 100, 101)  # a number chosen by the last four, set by the first two
DEFAULT_VOLUME = 100
LARGEST = 127
NO_BEND = 8192  # the middle of 14 bits

# What comes first of what happens at the same tick.
NOTE_ENDS, STATE_CHANGES, NOTE_STARTS = range(3)
# Tick, which of the above, channel of the synthesizer, whether that is a drum kit, message.
Event = tuple[int, int, int, bool, Message]


class Synthesizer:
    """A SoundFont, ready to play.

    Args:
        soundfont: .sf2 or .sf3; None: pretty_midi's.
        sample_rate: in Hz.

    Raises:
        ModuleNotFoundError: tinysoundfont is not installed.
        OptionError: the SoundFont cannot be read.
    """

    def __init__(self, soundfont: str | Path | None = None, sample_rate: int = SAMPLE_RATE) -> None:
        self.sample_rate = sample_rate
        path = Path(soundfont or Path(pretty_midi.__file__).parent / "TimGM6mb.sf2")
        try:
            self._font = path.read_bytes()
        except OSError as error:
            raise OptionError(f"{path}: no SoundFont ({error.strerror})") from None
        try:
            self._create()
        except RuntimeError:
            raise OptionError(f"{path}: not readable as a SoundFont (.sf2, .sf3)") from None

    def synthesize(self, score: Score, tracks: Sequence[Track]) -> np.ndarray:
        """Some tracks of a song, from its first tick to TAIL_SECONDS after their last note.

        The tempo map, programs, banks, controllers and pitch bends are those of the file. A channel
        that several chunks share takes what a chunk does not set itself from the others; where two
        set the same, each holds for its own notes alone. So the same notes sound the same, whatever
        else plays.

        Returns:
            (samples, 2) float32, left and right, which may go beyond -1 and 1.

        Raises:
            MidiError: they are longer than MAX_MINUTES.
        """
        last = max((int(track.notes["end"].max()) for track in tracks), default=0)
        seconds = float(score.seconds(last)) + TAIL_SECONDS if tracks else 0.0
        if seconds > MAX_MINUTES * 60:
            raise MidiError(f"{score.name}: more than {MAX_MINUTES} minutes of music")
        out = np.zeros((round(seconds * self.sample_rate), 2), np.float32)
        synth, events = self._events(score, tracks)
        ticks = np.array([event[0] for event in events], np.int64)
        frames = np.rint(score.seconds(ticks) * self.sample_rate).astype(np.int64)
        done = 0
        for frame, (_, _, channel, is_drum, message) in zip(frames.tolist(), events, strict=True):
            if frame >= len(out):
                break
            _fill(synth, out[done:frame])
            done = frame
            _send(synth, channel, is_drum, message)
        _fill(synth, out[done:])
        fading = out[len(out) - round(TAIL_SECONDS / 2 * self.sample_rate) :]
        fading *= np.linspace(1, 0, len(fading), dtype=np.float32)[:, None]
        return out

    def _create(self) -> tinysoundfont.Synth:
        """A synthesizer in which nothing sounds yet."""
        import tinysoundfont

        synth = tinysoundfont.Synth(samplerate=self.sample_rate)
        synth.sfload(self._font)
        return synth

    def _events(self, score: Score, tracks: Sequence[Track]) -> tuple[Any, list[Event]]:
        """A synthesizer with a channel for each channel of each chunk, and what to play on them.

        It takes more than MIDI's sixteen, so chunks need not fight for one.
        """
        synth = self._create()
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
                    synth.program_select(seat, 0, 0, 0, track.is_drum)
                    synth.control_change(seat, VOLUME, DEFAULT_VOLUME)
                    events += [
                        (message.tick, STATE_CHANGES, seat, track.is_drum, message)
                        for message in _for_chunk(changes[track.port, channel], track.chunk)
                    ]
                notes = track.notes[channels == channel]
                ends = released(notes["end"], pedals[channel])
                events += _note_events(notes, ends, seats[key], track.is_drum)
        # Stable: of one kind at one tick, the file's order counts.
        return synth, sorted(events, key=lambda event: event[:2])


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


def _fill(synth: tinysoundfont.Synth, out: np.ndarray) -> None:
    """Let a synthesizer play on for as long as the buffer (samples, 2) is."""
    if len(out):
        synth.generate_simple(len(out), out.data.cast("B"))


def _send(synth: tinysoundfont.Synth, channel: int, is_drum: bool, message: Message) -> None:
    """Send a message to a channel of the synthesizer."""
    first, second = (*message.data, 0)[:2]
    if message.command == NOTE_ON:
        synth.noteon(channel, first, second)
    elif message.command == NOTE_OFF:
        synth.noteoff(channel, first)
    elif message.command == PITCH_BEND:
        synth.pitchbend(channel, first | second << 7)
    elif message.command == PROGRAM_CHANGE:
        # A SoundFont that lacks it goes on with what it has.
        with suppress(RuntimeError):
            synth.program_change(channel, first, is_drum)
    elif first == RESET_CONTROLLERS:
        # The standard's list leaves the volume as it is; the synthesizer's own does not.
        synth.pitchbend(channel, NO_BEND)
        synth.control_change(channel, EXPRESSION, LARGEST)
    elif first not in BANKS or not is_drum:
        # A bank that makes a kit is none of the SoundFont's.
        synth.control_change(channel, first, second)
