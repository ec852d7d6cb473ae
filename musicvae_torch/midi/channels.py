"""The channels of a MIDI file at each moment: the program that they play, whether they are drum
kits, and which of them belong to one player.

Program changes and other messages about a channel hold in all chunks. Sources: General MIDI 2
(RP-024, bank select), Roland's SC-55 and SC-88 manuals ("USE FOR RHYTHM PART"), Yamaha's XG
specification ("PART MODE"), MPE (RP-053), MIDI 1.0 (mode 4).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from musicvae_torch.midi.messages import (
    CONTROL_CHANGE,
    ESCAPE,
    META,
    NOTE_ON,
    PORT,
    PROGRAM_CHANGE,
    SYSEX,
    Message,
    MidiFile,
    value,
)

DRUM_CHANNEL = 9
CHANNELS = 16

BANK_SELECT, DATA_ENTRY, RESET_CONTROLLERS = 0, 6, 121
PARAMETER_LOW, PARAMETER_HIGH = 100, 101
ALL_SOUND_OFF, ALL_NOTES_OFF, MONO_MODE = 120, 123, 126
MPE_CONFIGURATION = (0, 6)  # registered parameter
LOWER_MASTER, UPPER_MASTER = 0, 15  # of MPE's two zones

GM2_DRUM_BANK, GM2_MELODIC_BANK = 120, 121
XG_DRUM_BANKS = (126, 127)

GM2_ON = b"\x7e\x7f\x09\x03"
GS_RESET = bytes.fromhex("41 10 42 12 40 00 7f 00 41")
XG_ON = bytes.fromhex("43 10 4c 00 00 7e 00")
_ROLAND_GS, _YAMAHA_XG = b"\x42\x12", b"\x4c"
_RHYTHM_PART, _PART_MODE = 0x15, 0x07

Key = tuple[int, int]  # port, channel


class _Said(NamedTuple):
    """What a message says of a channel; `position` is the message's in its chunk."""

    tick: int
    chunk: int
    position: int
    value: int
    why: str = ""


@dataclass(frozen=True)
class Zone:
    """Channels (0 to 15) of one player in a chunk, and why they belong together."""

    port: int
    channels: frozenset[int]
    why: str


@dataclass(eq=False)
class Channels:
    """What a file says about its channels.

    Attributes:
        programs: program changes of each port and channel, by tick.
        kits: whether a port's channel becomes a drum kit (1) or stops being one (0), by tick.
        zones: channels that messages bind together.
        ports: for each chunk, pairs of a position and the port of its messages from there on.
        standard: "GS", "XG" or "GM2", the last that was switched on; empty: none.
        last_reset: tick of the last message that sets all channels back.
        quarter: ticks of a quarter note.
    """

    quarter: int
    programs: dict[Key, list[_Said]] = field(default_factory=lambda: defaultdict(list))
    kits: dict[Key, list[_Said]] = field(default_factory=lambda: defaultdict(list))
    zones: list[Zone] = field(default_factory=list)
    ports: list[list[tuple[int, int]]] = field(default_factory=list)
    standard: str = ""
    last_reset: int = 0

    def port(self, chunk: int, position: int) -> int:
        """The port of a message: 0 if the file names none."""
        own = self.ports[chunk]
        found = bisect_right(own, (position, CHANNELS * 16)) - 1
        return own[found][1] if found >= 0 else (own[0][1] if own else 0)

    def program(self, key: Key, chunk: int, position: int, tick: int) -> int:
        """The program of a note: the last one set by its own chunk, else by any other. A note
        before all program changes has the first, if that comes within a quarter note; else 0."""
        said = self.programs.get(key)
        if not said:
            return 0
        own = [one for one in said if one.chunk == chunk and one.position < position]
        others = [one for one in said if one.chunk != chunk and one.tick <= tick]
        if latest := own or others:
            return latest[-1].value
        return said[0].value if said[0].tick <= tick + self.quarter else 0

    def kit(self, key: Key, chunk: int, position: int, tick: int) -> tuple[bool, str]:
        """Whether a note is a drum's, and the reason, in words."""
        said = self.kits.get(key)
        if not said:
            return (True, "channel 10") if key[1] == DRUM_CHANNEL else (False, "")
        before = [one for one in said if one.tick <= tick]
        one = before[-1] if before else said[0]
        return bool(one.value), one.why

    def kit_channels(self) -> set[Key]:
        """Ports and channels that messages make a drum kit at any time."""
        return {key for key, said in self.kits.items() if any(one.value for one in said)}

    def is_kit_throughout(self, key: Key) -> bool:
        """Whether a channel is a drum kit from beginning to end."""
        said = self.kits.get(key)
        return all(one.value for one in said) if said else key[1] == DRUM_CHANNEL


def read_channels(file: MidiFile) -> Channels:
    """Find what a file says about its channels."""
    found = Channels(max(file.resolution, 1))
    found.ports = [
        [
            (position, message.data[0])
            for position, message in enumerate(chunk.messages)
            if message.kind == PORT and message.data
        ]
        for chunk in file.tracks
    ]
    scan = _Scan(found)
    others_than_notes = [
        (message.tick, index, position, message)
        for index, chunk in enumerate(file.tracks)
        for position, message in enumerate(chunk.messages)
        if message.status >= 0xA0
    ]
    for _, index, position, message in sorted(others_than_notes, key=lambda row: row[:3]):
        scan.heed(index, position, message)
    return found


class _Scan:
    """Reads messages in the order of time."""

    def __init__(self, found: Channels) -> None:
        self.found = found
        self.banks: dict[Key, int] = {}
        self.parameters: dict[Key, list[int]] = defaultdict(lambda: [127, 127])
        self.packets: dict[int, bytes] = {}  # of each chunk, a sysex that goes on

    def heed(self, chunk: int, position: int, message: Message) -> None:
        if message.status == META:
            return
        port = self.found.port(chunk, position)
        if message.status in (SYSEX, ESCAPE):
            content = self._whole(chunk, message)
            self._sysex(port, _Said(message.tick, chunk, position, 0), content)
        elif message.command in (CONTROL_CHANGE, PROGRAM_CHANGE) and message.data:
            key = port, message.channel
            said = _Said(message.tick, chunk, position, value(message.data[0]))
            if message.command == PROGRAM_CHANGE:
                self._program(key, said)
            elif len(message.data) == 2:
                self._control(key, said, value(message.data[1]))

    def _whole(self, chunk: int, message: Message) -> bytes:
        """The content of a sysex so far: joined to the packets before it, and unwrapped if it is in
        an escape. It is empty for escapes of other content."""
        content = message.data
        if message.status == ESCAPE:
            begun = self.packets.pop(chunk, b"")
            if not begun and content[:1] != bytes([SYSEX]):
                return b""
            content = begun + content if begun else content[1:]
        self.packets.pop(chunk, None)
        if not content.endswith(b"\xf7"):
            self.packets[chunk] = content
        return content

    def _program(self, key: Key, said: _Said) -> None:
        self.found.programs[key].append(said)
        bank, standard = self.banks.get(key), self.found.standard
        kits = self.found.kits
        if bank == GM2_DRUM_BANK or (bank in XG_DRUM_BANKS and standard != "GS"):
            why = f"{'GM2' if bank == GM2_DRUM_BANK else 'XG'} drum bank {bank}"
            kits[key].append(said._replace(value=1, why=why))
            return
        # In the other standards a bank chooses among the kits of channel 10.
        is_melodic = bank == GM2_MELODIC_BANK or (bank is not None and standard == "XG")
        if is_melodic and (key[1] == DRUM_CHANNEL or key in kits):
            kits[key].append(said._replace(value=0, why=f"melodic bank {bank}"))

    def _control(self, key: Key, said: _Said, amount: int) -> None:
        number, chosen = said.value, self.parameters[key]
        if number == BANK_SELECT:
            self.banks[key] = amount
        elif number in (PARAMETER_HIGH, PARAMETER_LOW):
            chosen[number == PARAMETER_LOW] = amount
        elif number == DATA_ENTRY and amount and tuple(chosen) == MPE_CONFIGURATION:
            members = min(amount, 15)
            if key[1] == LOWER_MASTER:
                self._bind(key[0], range(members + 1), "MPE, lower zone")
            elif key[1] == UPPER_MASTER:
                self._bind(key[0], range(15 - members, 16), "MPE, upper zone")
        elif number == MONO_MODE and amount > 1:
            channels = range(key[1], min(key[1] + amount, CHANNELS))
            self._bind(key[0], channels, "mono mode, a channel a string")

    def _bind(self, port: int, channels: Iterable[int], why: str) -> None:
        self.found.zones.append(Zone(port, frozenset(channels), why))

    def _sysex(self, port: int, said: _Said, content: bytes) -> None:
        if content.startswith(GM2_ON):
            self.found.standard, self.found.last_reset = "GM2", said.tick
        elif len(content) >= 9 and content[0] == 0x41 and content[2:4] == _ROLAND_GS:
            high, middle, low, mode = content[4:8]
            if (high, middle, low) in ((0x40, 0x00, 0x7F), (0x00, 0x00, 0x7F)):
                self.found.standard, self.found.last_reset = "GS", said.tick
            elif high == 0x40 and middle & 0xF0 == 0x10 and low == _RHYTHM_PART:
                self.found.standard = self.found.standard or "GS"
                part = middle & 0x0F
                channel = 9 if part == 0 else part - 1 if part < 10 else part
                self._part(port, channel, said, mode, "GS")
        elif len(content) >= 7 and content[0] == 0x43 and content[2:3] == _YAMAHA_XG:
            high, middle, low, mode = content[3:7]
            if (high, middle, low) == (0, 0, 0x7E):
                self.found.standard, self.found.last_reset = "XG", said.tick
            elif high == 0x08 and low == _PART_MODE and middle < CHANNELS:
                self.found.standard = self.found.standard or "XG"
                self._part(port, middle, said, mode, "XG")

    def _part(self, port: int, channel: int, said: _Said, mode: int, standard: str) -> None:
        why = f"{standard} rhythm part" if mode else f"{standard} melodic part"
        self.found.kits[port, channel].append(said._replace(value=int(mode > 0), why=why))


def kit_messages(standard: str, channel: int, tick: int) -> list[Message]:
    """Messages that make a channel a drum kit; empty if the standard has none."""
    if standard == "GS":
        part = 0 if channel == 9 else channel + 1 if channel < 9 else channel
        body = bytes([0x40, 0x10 | part, _RHYTHM_PART, 1])
        check = -sum(body) & 0x7F
        return [Message(tick, SYSEX, b"\x41\x10\x42\x12" + body + bytes([check, 0xF7]))]
    bank = {"XG": XG_DRUM_BANKS[1], "GM2": GM2_DRUM_BANK}.get(standard)
    if bank is None:
        return []
    return [
        Message(tick, CONTROL_CHANGE | channel, bytes([BANK_SELECT, bank])),
        Message(tick, CONTROL_CHANGE | channel, bytes([32, 0])),
        Message(tick, PROGRAM_CHANGE | channel, b"\0"),
    ]


def is_note_on(message: Message) -> bool:
    """Whether a message begins a note."""
    return message.status & 0xF0 == NOTE_ON and len(message.data) == 2 and message.data[1] > 0
