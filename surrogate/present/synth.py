"""Notes of a score to samples: tinysoundfont fed with a MIDI file's own messages.

The default SoundFont comes with pretty_midi, so that no system library is needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mido
import numpy as np
import pretty_midi

from musicvae_torch.notes.midi import MidiError
from musicvae_torch.notes.score import DRUM_CHANNEL, Score, Track

if TYPE_CHECKING:
    import tinysoundfont

SAMPLE_RATE = 44_100
TAIL_SECONDS = 2.0  # after the last note; its second half fades out
MAX_MINUTES = 60  # longer songs are broken files

# Controllers, by MIDI's numbers.
BANKS = (0, 32)
VOLUME, EXPRESSION, SUSTAIN, RESET = 7, 11, 64, 121
PARAMETERS = (6, 38, 98, 99, 100, 101)  # a number chosen by the last four, set by the first two
DEFAULT_VOLUME = 100
LARGEST = 127
PEDAL_DOWN = 64  # and above
NEVER = np.iinfo(np.int64).max  # a tick
NO_BEND = 8192  # the middle of 14 bits

# What comes first of what happens at the same tick.
NOTE_ENDS, STATE_CHANGES, NOTE_STARTS = range(3)
# Tick, which of the above, channel of the synthesizer, message.
Event = tuple[int, int, int, mido.Message]


def default_soundfont() -> Path:
    """The SoundFont that comes with pretty_midi."""
    return Path(pretty_midi.__file__).parent / "TimGM6mb.sf2"


class Band:
    """A SoundFont, ready to play.

    Args:
        soundfont: .sf2 or .sf3; None: pretty_midi's.
        sample_rate: in Hz.

    Raises:
        ModuleNotFoundError: tinysoundfont is not installed.
        ValueError: the SoundFont cannot be read.
    """

    def __init__(self, soundfont: str | Path | None = None, sample_rate: int = SAMPLE_RATE) -> None:
        self.sample_rate = sample_rate
        path = default_soundfont() if soundfont is None else Path(soundfont)
        try:
            self._font = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path}: no SoundFont ({error.strerror})") from None
        try:
            self._tune_up()
        except RuntimeError:
            raise ValueError(f"{path}: not readable as a SoundFont (.sf2, .sf3)") from None

    def play(self, score: Score, tracks: Sequence[Track]) -> np.ndarray:
        """Some tracks of a song, from its first tick to TAIL_SECONDS after their last note.

        The tempo map, programs, banks, controllers and pitch bends are those of the file. What a
        chunk leaves unsaid on a channel, others say for it; where two say different things, each
        is heard in its own notes alone. So the same notes sound the same, whatever plays besides.

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
        synth, events = self._seat(score, tracks)
        ticks = np.array([event[0] for event in events], np.int64)
        frames = np.rint(score.seconds(ticks) * self.sample_rate).astype(np.int64)
        done = 0
        for frame, (_, _, channel, message) in zip(frames.tolist(), events, strict=True):
            if frame >= len(out):
                break
            _fill(synth, out[done:frame])
            done = frame
            _send(synth, channel, message)
        _fill(synth, out[done:])
        fading = out[len(out) - round(TAIL_SECONDS / 2 * self.sample_rate) :]
        fading *= np.linspace(1, 0, len(fading), dtype=np.float32)[:, None]
        return out

    def _tune_up(self) -> tinysoundfont.Synth:
        """A synthesizer in which nothing sounds yet."""
        import tinysoundfont

        synth = tinysoundfont.Synth(samplerate=self.sample_rate)
        synth.sfload(self._font)
        return synth

    def _seat(self, score: Score, tracks: Sequence[Track]) -> tuple[Any, list[Event]]:
        """A synthesizer with a channel for each channel of each chunk, and what to play on them.

        It takes more than MIDI's sixteen, so chunks need not fight for one.
        """
        synth = self._tune_up()
        said = _state_changes(score.file)
        seats: dict[tuple[int, int], int] = {}
        events: list[Event] = []
        pedals: list[Pedal] = []  # of each seat
        for track in tracks:
            key = track.chunk, track.channel
            if key not in seats:
                seat = seats[key] = len(seats)
                heard = _heard(said[track.channel], track.chunk)
                pedals.append(_pedal(heard))
                synth.program_select(seat, 0, 0, 0, track.channel == DRUM_CHANNEL)
                synth.control_change(seat, VOLUME, DEFAULT_VOLUME)
                events += [(tick, STATE_CHANGES, seat, message) for tick, message in heard]
            seat = seats[key]
            ends = _released(track.notes["end"], pedals[seat])
            for note, end in zip(track.notes.tolist(), ends.tolist(), strict=True):
                start, _, pitch, velocity = note
                on = mido.Message("note_on", channel=track.channel, note=pitch, velocity=velocity)
                off = mido.Message("note_off", channel=track.channel, note=pitch)
                events.append((start, NOTE_STARTS, seat, on))
                if end != NEVER:
                    events.append((end, NOTE_ENDS, seat, off))
        # Stable: of one kind at one tick, the file's order counts.
        return synth, sorted(events, key=lambda event: event[:2])


Said = list[tuple[int, int, mido.Message]]  # tick, chunk, message
Pedal = list[tuple[int, bool]]  # from which tick on it is up or down


def _state_changes(file: mido.MidiFile) -> dict[int, Said]:
    """Of each channel, all messages but notes, in the order of time."""
    said: dict[int, Said] = defaultdict(list)
    for index, chunk in enumerate(file.tracks):
        tick = 0
        for message in chunk:
            tick += message.time
            if message.type in ("control_change", "program_change", "pitchwheel"):
                said[message.channel].append((tick, index, message))
    for messages in said.values():
        messages.sort(key=lambda entry: entry[0])
    return said


def _heard(said: Said, chunk: int) -> list[tuple[int, mido.Message]]:
    """What of the messages on a channel holds for a chunk: its own, and of each kind of which it
    has none, all."""
    own = {_kind(message) for _, index, message in said if index == chunk}
    return [
        (tick, message)
        for tick, index, message in said
        if index == chunk or _kind(message) not in own
    ]


def _pedal(heard: list[tuple[int, mido.Message]]) -> Pedal:
    """When the sustain pedal goes down and up, of which the synthesizer knows nothing."""
    return [
        (tick, message.control == SUSTAIN and message.value >= PEDAL_DOWN)
        for tick, message in heard
        if message.type == "control_change" and message.control in (SUSTAIN, RESET)
    ]


def _released(ends: np.ndarray, pedal: Pedal) -> np.ndarray:
    """When notes fall silent whose keys are let go at `ends`: ticks (notes,), or NEVER."""
    if not pedal:
        return ends
    ticks = np.array([tick for tick, _ in pedal])
    is_down = np.array([False, *(down for _, down in pedal)])
    lifts = np.append(ticks[~is_down[1:]], NEVER)
    held = is_down[np.searchsorted(ticks, ends, side="right")]
    return np.where(held, lifts[np.searchsorted(lifts, ends, side="right")], ends)


def _kind(message: mido.Message) -> str:
    """What a message changes: those that only make sense together are of one kind."""
    if message.type != "control_change":
        return str(message.type)
    if message.control in BANKS:
        return "program_change"
    return "parameter" if message.control in PARAMETERS else f"control {message.control}"


def _fill(synth: tinysoundfont.Synth, out: np.ndarray) -> None:
    """Let a synthesizer play on for as long as the buffer (samples, 2) is."""
    if len(out):
        synth.generate_simple(len(out), out.data.cast("B"))


def _send(synth: tinysoundfont.Synth, channel: int, message: mido.Message) -> None:
    """Do what a message says, on a channel of the synthesizer's own."""
    if message.type == "note_on":
        synth.noteon(channel, message.note, message.velocity)
    elif message.type == "note_off":
        synth.noteoff(channel, message.note)
    elif message.type == "pitchwheel":
        synth.pitchbend(channel, message.pitch + NO_BEND)
    elif message.type == "program_change":
        # A SoundFont that lacks it goes on with what it has.
        with suppress(RuntimeError):
            synth.program_change(channel, message.program, message.channel == DRUM_CHANNEL)
    elif message.control == RESET:
        # The standard's list leaves the volume as it is; the synthesizer's own does not.
        synth.pitchbend(channel, NO_BEND)
        synth.control_change(channel, EXPRESSION, LARGEST)
    else:
        synth.control_change(channel, message.control, message.value)
