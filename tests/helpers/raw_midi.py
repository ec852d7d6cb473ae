"""MIDI files written byte by byte, as odd as need be, and read by a reader of their own.

Events are pairs of a tick and the bytes of a message; a chunk's are sorted by tick, those of one
tick stay in the order given.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise

from measuring.raw_midi import Chunk, Event, Note, RawFile, drum_channels, notes, parse

__all__ = ["Chunk", "Event", "Note", "RawFile", "drum_channels", "notes", "parse"]

QUARTER = 480
BAR = 4 * QUARTER
SIXTEENTH = QUARTER // 4

Timed = tuple[int, bytes]

GS_RESET = b"\x41\x10\x42\x12\x40\x00\x7f\x00\x41\xf7"
XG_ON = b"\x43\x10\x4c\x00\x00\x7e\x00\xf7"
GM2_ON = b"\x7e\x7f\x09\x03\xf7"


def number(value: int) -> bytes:
    """A number of variable length."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.insert(0, value & 0x7F | 0x80)
    return bytes(out)


def meta(kind: int, content: bytes = b"") -> bytes:
    """A meta event of a type."""
    return bytes([0xFF, kind]) + number(len(content)) + content


def named(name: str | bytes, encoding: str = "utf-8") -> bytes:
    """A track name."""
    return meta(3, name.encode(encoding) if isinstance(name, str) else name)


def tempo(quarters_a_minute: float) -> bytes:
    return meta(0x51, round(6e7 / quarters_a_minute).to_bytes(3, "big"))


def metre(above: int, below: int) -> bytes:
    return meta(0x58, bytes([above, below.bit_length() - 1, 24, 8]))


def port(number: int) -> bytes:
    """The MIDI port of the messages that follow in the chunk."""
    return meta(0x21, bytes([number]))


def sysex(content: bytes, status: int = 0xF0) -> bytes:
    """A sysex of content (with F7 at its end, if it has one), or with F7 a packet or an escape."""
    return bytes([status]) + number(len(content)) + content


def gs_part_mode(channel: int, mode: int, device: int = 0x10) -> bytes:
    """Roland GS: make a channel (0 to 15) a rhythm part (1, 2) or a melodic one (0)."""
    block = 0 if channel == 9 else channel + 1 if channel < 9 else channel
    body = bytes([0x40, 0x10 | block, 0x15, mode])
    check = -sum(body) % 128
    return sysex(bytes([0x41, device, 0x42, 0x12, *body, check, 0xF7]))


def xg_part_mode(channel: int, mode: int) -> bytes:
    """Yamaha XG: make a channel (0 to 15) a drum part (1 and more) or a normal one (0)."""
    return sysex(bytes([0x43, 0x10, 0x4C, 0x08, channel, 0x07, mode, 0xF7]))


def on(channel: int, pitch: int, velocity: int = 96) -> bytes:
    return bytes([0x90 | channel, pitch, velocity])


def off(channel: int, pitch: int) -> bytes:
    return bytes([0x80 | channel, pitch, 0])


def control(channel: int, number: int, value: int) -> bytes:
    return bytes([0xB0 | channel, number, value])


def program(channel: int, number: int) -> bytes:
    return bytes([0xC0 | channel, number])


def bank(channel: int, msb: int, number: int) -> list[Timed]:
    """Bank select and the program change that it takes effect with, at tick 0."""
    return [
        (0, control(channel, 0, msb)),
        (0, control(channel, 32, 0)),
        (0, program(channel, number)),
    ]


def mpe(zone: int, members: int) -> list[Timed]:
    """The MPE configuration message of the lower zone (0) or the upper one (15), at tick 0."""
    return [(0, control(zone, *row)) for row in ((101, 0), (100, 6), (6, members))]


def chunk(
    events: Iterable[Timed],
    end: int | None = None,
    *,
    end_of_track: bool = True,
    size: int | None = None,
    kind: bytes = b"MTrk",
    after: bytes = b"",
) -> bytes:
    """A chunk of events.

    Args:
        events: in any order.
        end: tick of its end-of-track; None: that of the last event.
        end_of_track: whether there is one.
        size: what its header says; None: the truth.
        kind: its four letters.
        after: bytes of the chunk behind its end-of-track.
    """
    rows = sorted(events, key=lambda event: event[0])
    ticks = [0, *(tick for tick, _ in rows)]
    body = b"".join(
        number(tick - last) + data
        for (last, tick), (_, data) in zip(pairwise(ticks), rows, strict=True)
    )
    if end_of_track:
        body += number(max((ticks[-1] if end is None else end) - ticks[-1], 0)) + meta(0x2F)
    body += after
    return kind + struct.pack(">L", len(body) if size is None else size) + body


def smf(
    *chunks: bytes,
    resolution: int = QUARTER,
    format: int = 1,
    count: int | None = None,
    header: bytes = b"",
) -> bytes:
    """A file of chunks.

    Args:
        chunks: of any kind.
        resolution: ticks a quarter note; above 32767 it says video frames.
        format: what the header says.
        count: of tracks, as the header says; None: the truth.
        header: bytes behind the usual six of the header.
    """
    tracks = sum(one[:4] == b"MTrk" for one in chunks)
    fields = struct.pack(">HHH", format, tracks if count is None else count, resolution)
    size = struct.pack(">L", len(fields) + len(header))
    return b"MThd" + size + fields + header + b"".join(chunks)


def riff(
    content: bytes,
    *,
    before: bytes = b"",
    after: bytes = b"",
    padded: bool = True,
    size: int | None = None,
) -> bytes:
    """A RIFF-RMID file around a MIDI file.

    Args:
        content: the MIDI file.
        before, after: other RIFF chunks.
        padded: whether a data chunk of odd size has a byte of padding, as it should.
        size: of all, as the file says; None: the truth.
    """
    body = b"RMID" + before + riff_chunk(b"data", content, padded) + after
    return b"RIFF" + struct.pack("<L", len(body) if size is None else size) + body


def riff_chunk(kind: bytes, content: bytes, padded: bool = True) -> bytes:
    pad = b"\0" if padded and len(content) % 2 else b""
    return kind + struct.pack("<L", len(content)) + content + pad


def note(channel: int, start: int, end: int, pitch: int, velocity: int = 96) -> list[Timed]:
    """A note-on and its note-off."""
    return [(start, on(channel, pitch, velocity)), (end, off(channel, pitch))]


def line(rows: Iterable[tuple[int, int, int]], channel: int = 0, velocity: int = 96) -> list[Timed]:
    """Notes of (start, end, pitch)."""
    return [event for row in rows for event in note(channel, *row, velocity)]


# What songs are made of: eight bars of a tune, of a bass and of drums. (start, end, pitch)

_TUNE = ((0, 67), (1, 69), (1.5, 71), (2, 72), (3, 74), (4, 76), (5.5, 74), (6, 72), (7, 71))


def tune(bars: int = 8, first: int = 0, up: int = 0) -> list[tuple[int, int, int]]:
    """A melody of nine notes in two bars, from a bar (from 0) on; `bars` is even."""
    rows: list[tuple[int, int, int]] = []
    for pair in range(bars // 2):
        ends = [*(at for at, _ in _TUNE[1:]), 8]
        for (start, pitch), end in zip(_TUNE, ends, strict=True):
            at = first * BAR + pair * 2 * BAR
            moved = pitch + up + (0, 2, -2, 0)[pair % 4]
            rows.append((at + round(start * QUARTER), at + round(end * QUARTER) - 30, moved))
    return rows


def bass_line(bars: int = 8, first: int = 0) -> list[tuple[int, int, int]]:
    """A root note or its fifth on every quarter."""
    return [
        (at, at + 400, root + (7 if beat == 2 else 0))
        for bar in range(first, first + bars)
        for root in ((36, 41, 43, 36)[bar % 4],)
        for beat in range(4)
        for at in (bar * BAR + beat * QUARTER,)
    ]


def beat(bars: int = 8, first: int = 0, length: int = 60) -> list[tuple[int, int, int]]:
    """Kick, snare and hi-hat: twelve hits a bar."""
    return [
        (at, at + length, pitch)
        for bar in range(first, first + bars)
        for eighth in range(8)
        for at in (bar * BAR + eighth * QUARTER // 2,)
        for pitch in ((42, 36) if eighth % 4 == 0 else (42, 38) if eighth % 4 == 2 else (42,))
    ]


def chords(bars: int = 8, first: int = 0) -> list[tuple[int, int, int]]:
    """Three notes a bar."""
    return [
        (bar * BAR, (bar + 1) * BAR - 20, (48, 53, 55, 48)[bar % 4] + step)
        for bar in range(first, first + bars)
        for step in (0, 4, 7)
    ]


def conductor(*events: Timed, end: int = 0) -> bytes:
    """The chunk of tempo and metre, and of other events."""
    return chunk([(0, tempo(100)), (0, metre(4, 4)), *events], end)


def part(
    name: str | bytes,
    channel: int,
    rows: Sequence[tuple[int, int, int]],
    number: int | None = None,
    events: Iterable[Timed] = (),
) -> bytes:
    """A chunk of one part: a name, a program if it says one, other events and the notes."""
    head: list[Timed] = [(0, named(name))] if name else []
    head += [] if number is None else [(0, program(channel, number))]
    return chunk([*head, *events, *line(rows, channel)])
