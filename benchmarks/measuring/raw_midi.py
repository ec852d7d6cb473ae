"""Standard MIDI files read from their bytes alone, so that what other readers do can be checked.

It knows of no library and of no other module of this project. Chunks of wrong sizes, headers of
wrong counts and files in a RIFF wrapper are read; of what no player would understand comes a
ValueError.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil

TRACK = b"MTrk"
END_OF_TRACK = b"\xff\x2f"
# Data bytes of system messages that are neither sysex nor meta.
SYSTEM_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
ALL_SOUND_OFF, RESET_CONTROLLERS, ALL_NOTES_OFF = 120, 121, 123


@dataclass(frozen=True)
class Event:
    """A message at its tick.

    Attributes:
        tick: since the start of the file.
        data: the message with its status byte, whether or not the file repeats it. Of a meta event
            FF, the type and the content; of a sysex F0 or F7 and the content: both without the
            length, which the content has already.
    """

    tick: int
    data: bytes

    @property
    def channel(self) -> int | None:
        """0 to 15; None: the message is for no channel."""
        return self.data[0] & 0x0F if self.data[0] < 0xF0 else None

    @property
    def is_note_on(self) -> bool:
        return self.data[0] >> 4 == 9 and self.data[2] > 0

    @property
    def is_note_off(self) -> bool:
        return self.data[0] >> 4 == 8 or (self.data[0] >> 4 == 9 and self.data[2] == 0)

    def meta(self, kind: int) -> bytes | None:
        """The content of a meta event of that type; None: it is no such event."""
        return self.data[2:] if self.data[:2] == bytes([0xFF, kind]) else None


@dataclass(frozen=True)
class Chunk:
    """A chunk of the file: `kind` is MTrk or another; only an MTrk has events. `size` is what the
    file says of its content."""

    kind: bytes
    content: bytes
    size: int
    events: tuple[Event, ...] = ()

    @property
    def name(self) -> bytes:
        """Of the first track name event; empty if there is none."""
        return next((name for e in self.events if (name := e.meta(3)) is not None), b"")

    @property
    def end(self) -> int:
        """Tick of the last message."""
        return self.events[-1].tick if self.events else 0


@dataclass(frozen=True)
class RawFile:
    """A MIDI file: what its header says, and all of its chunks in order."""

    format: int
    count: int
    division: int
    chunks: tuple[Chunk, ...]

    @property
    def tracks(self) -> tuple[Chunk, ...]:
        """The MTrk chunks."""
        return tuple(chunk for chunk in self.chunks if chunk.kind == TRACK)


def parse(content: bytes) -> RawFile:
    """Read a file.

    Raises:
        ValueError: it is no MIDI file, or an event is cut off.
    """
    if content[:4] == b"RIFF":
        content = content[content.index(b"MThd") :]
    if content[:4] != b"MThd":
        raise ValueError("no MThd")
    (size,) = struct.unpack(">L", content[4:8])
    kind, count, division = struct.unpack(">HHH", content[8:14])
    at, chunks = 8 + size, []
    while at + 8 <= len(content) and content[at : at + 4].isalnum():  # not bytes behind the last
        name = content[at : at + 4]
        (size,) = struct.unpack(">L", content[at + 4 : at + 8])
        start, after = at + 8, at + 8 + size
        if name == TRACK and not _is_boundary(content, after):
            after = _end_of_track(content, start)
        body = content[start:after]
        chunks.append(Chunk(name, body, size, tuple(_events(body)) if name == TRACK else ()))
        at = after
    return RawFile(kind, count, division, tuple(chunks))


def _is_boundary(content: bytes, at: int) -> bool:
    """Whether a chunk begins at a place, or the file ends there."""
    return at == len(content) or (at < len(content) - 8 and content[at : at + 4].isalnum())


def _end_of_track(content: bytes, at: int) -> int:
    """The place after a track's end, where its size does not say it."""
    found = content.find(END_OF_TRACK + b"\0", at)
    return len(content) if found < 0 else found + 3


def _events(body: bytes) -> Iterator[Event]:
    at, tick, status = 0, 0, 0
    while at < len(body):
        delta, at = number(body, at)
        tick += delta
        if at >= len(body):
            raise ValueError("a delta time without an event")
        if body[at] >= 0x80:
            first, at = body[at], at + 1
        else:
            first = status
        if first == 0xFF:
            head, at = body[at - 1 : at + 1], at + 1
            size, at = number(body, at)
        elif first in (0xF0, 0xF7):
            head = bytes([first])
            size, at = number(body, at)
        elif first >= 0xF0:
            head, size = bytes([first]), SYSTEM_BYTES.get(first, 0)
        elif first >= 0x80:
            status = first
            head, size = bytes([first]), 1 if first >> 4 in (0xC, 0xD) else 2
        else:
            raise ValueError("data without a status")
        if at + size > len(body):
            raise ValueError("an event is cut off")
        yield Event(tick, head + body[at : at + size])
        at += size


def number(body: bytes, at: int) -> tuple[int, int]:
    """A number of variable length at a place, and the place after it."""
    value = 0
    while True:
        if at >= len(body):
            raise ValueError("a number is cut off")
        byte, at = body[at], at + 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at


@dataclass(frozen=True)
class Note:
    """A note as its keys say; `index` is its note-on's among the events of its chunk.

    A note that nothing ends lasts to the end of its chunk.
    """

    start: int
    end: int
    channel: int
    pitch: int
    velocity: int
    index: int


def notes(chunk: Chunk) -> list[Note]:
    """The notes of a chunk by their note-ons. A note-off ends every note of its key."""
    found: list[Note] = []
    sounding: dict[tuple[int, int], list[int]] = {}

    def close(key: tuple[int, int], tick: int) -> None:
        for index in sounding.pop(key, []):
            on = chunk.events[index]
            found.append(Note(on.tick, tick, *key, on.data[2], index))

    for index, event in enumerate(chunk.events):
        if event.is_note_on:
            sounding.setdefault((event.data[0] & 15, event.data[1]), []).append(index)
        elif event.is_note_off:
            close((event.data[0] & 15, event.data[1]), event.tick)
        elif event.data[0] >> 4 == 0xB and event.data[1] in (
            ALL_SOUND_OFF,
            *range(ALL_NOTES_OFF, 128),
        ):
            for key in [key for key in sounding if key[0] == event.channel]:
                close(key, event.tick)
    for key in list(sounding):
        close(key, chunk.end)
    return sorted(found, key=lambda note: note.index)


class Pedals:
    """Where the sustain pedals (controller 64) of a file are down, in all chunks together."""

    def __init__(self, file: RawFile) -> None:
        self.end = max((chunk.end for chunk in file.tracks), default=0)
        moves: dict[int, list[tuple[int, bool]]] = {}
        for chunk in file.tracks:
            for event in chunk.events:
                data = event.data
                if data[0] >> 4 == 0xB and data[1] in (64, RESET_CONTROLLERS):
                    is_down = data[1] == 64 and data[2] >= 64
                    moves.setdefault(data[0] & 15, []).append((event.tick, is_down))
        # Those alone that change something: down and up take turns.
        self.moves = {
            channel: [
                move for last, move in pairwise([(-1, False), *sorted(own)]) if move[1] != last[1]
            ]
            for channel, own in moves.items()
        }

    def silent(self, tick: int, channel: int) -> int:
        """The tick at which a note falls silent whose key is released at a tick: then, or, if the
        pedal is down, when it is lifted, or at the end of the file."""
        moves = self.moves.get(channel, [])
        place = bisect_right(moves, (tick, True))
        if not place or not moves[place - 1][1]:
            return tick
        return moves[place][0] if place < len(moves) else self.end


def bar_lines(file: RawFile, until: int) -> list[Fraction]:
    """Ticks at which the song's bars begin, from 0 to the first at or after `until`. A metre
    begins a bar where it stands; at one tick the first chunk's counts, and of that the last."""
    changes: dict[int, Fraction] = {0: Fraction(4 * file.division)}
    for chunk in reversed(file.tracks):
        for event in chunk.events:
            rows = event.meta(0x58)
            if rows is not None and len(rows) >= 4 and rows[0] > 0 and rows[1] <= 7:
                length = Fraction(4 * file.division * rows[0], 2 ** rows[1])
                changes[event.tick] = max(length, Fraction(1))
    lines: list[Fraction] = []
    starts = sorted(tick for tick in changes if tick < max(until, 1))
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        stop = max(until, 1) if following is None else following
        bars = ceil((stop - start) / changes[start])
        lines += [start + bar * changes[start] for bar in range(bars)]
        if following is None:
            lines.append(start + bars * changes[start])
    return lines


def drum_channels(file: RawFile) -> set[int]:
    """Channels that General MIDI, or a message of GS, XG or GM2, makes drums at any time.

    Only what the standards say for sure: a bank of drums counts where a program change follows,
    and bank 127 does not where the file speaks to a GS synthesizer.
    """
    drums: set[int] = set()
    melodic: set[int] = set()
    banks = dict.fromkeys(range(16), 0)
    events = sorted((e for chunk in file.tracks for e in chunk.events), key=lambda e: e.tick)
    is_gs = any(event.data.startswith(b"\xf0\x41") for event in events)
    for event in events:
        data = event.data
        part = _part_mode(data)
        if part is not None:
            channel, is_drum = part
            (drums if is_drum else melodic).add(channel)
        elif data[0] >> 4 == 0xB and data[1] == 0:
            banks[data[0] & 15] = data[2]
        elif data[0] >> 4 == 0xC and banks[data[0] & 15] in ((120,) if is_gs else (120, 126, 127)):
            drums.add(data[0] & 15)
    return drums | ({9} - melodic)


def _part_mode(data: bytes) -> tuple[int, bool] | None:
    """The channel of a part that a sysex of GS or XG makes a rhythm part, or a melodic one."""
    if data[:2] == b"\xf0\x41" and data[3:6] == b"\x42\x12\x40" and data[7:8] == b"\x15":
        block = data[6] & 0x0F
        channel = 9 if block == 0 else block - 1 if block < 10 else block
        return channel, data[8] > 0
    if data[:2] == b"\xf0\x43" and data[3:5] == b"\x4c\x08" and data[6:7] == b"\x07":
        return data[5] & 15, data[7] > 0
    return None
