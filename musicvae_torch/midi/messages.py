"""The bytes of a MIDI file ↔ its messages, whatever wrote it.

Real files break the standard in many ways, and players play them nevertheless. All that can be read
is read, with remarks on oddities; the rest stays as bytes. An unchanged chunk is written again byte
for byte. Facts of the Standard MIDI Files 1.0 specification (MIDI Manufacturers Association,
RP-001), of RIFF-RMID (RP-029), and of files found in the wild.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from musicvae_torch.errors import MidiError

NOTE_OFF, NOTE_ON, CONTROL_CHANGE, PROGRAM_CHANGE = 0x80, 0x90, 0xB0, 0xC0
CHANNEL_PRESSURE, PITCH_BEND = 0xD0, 0xE0
SYSEX, ESCAPE, META = 0xF0, 0xF7, 0xFF
TEXT, TRACK_NAME, INSTRUMENT_NAME, MARKER = 0x01, 0x03, 0x04, 0x06
CHANNEL_PREFIX, PORT, DEVICE_NAME, END_OF_TRACK = 0x20, 0x21, 0x09, 0x2F
SET_TEMPO, SMPTE_OFFSET, TIME_SIGNATURE, KEY_SIGNATURE = 0x51, 0x54, 0x58, 0x59

MAX_CONTENT = 1_000_000  # bytes of a meta event or sysex; a longer one is damage
MAX_NUMBER = 4  # bytes of a delta time or length
HEADER, TRACK = b"MThd", b"MTrk"
JUNK = 4096  # bytes in which a header may lie that does not come first

# Meta events that say something about the music, and the lengths that the standard gives them.
META_EVENTS: dict[int, tuple[str, tuple[int, ...]]] = {
    0x00: ("sequence number", (0, 2)), PORT: ("port", (1,)),
    CHANNEL_PREFIX: ("channel prefix", (1,)), END_OF_TRACK: ("end of track", (0,)),
    SET_TEMPO: ("tempo", (3,)), SMPTE_OFFSET: ("SMPTE offset", (5,)),
    TIME_SIGNATURE: ("time signature", (4,)), KEY_SIGNATURE: ("key signature", (2,)),
}  # fmt: skip
FRAME_RATES = 4  # that an SMPTE offset has bits for
MAX_POWER = 7  # of two: the shortest beat of a metre is a 128th
MAX_SHARPS = 7  # or flats, of a key signature

_END = b"\0\xff\x2f\0"  # an end of track, at once

# Data bytes of system messages, which have no place in a file but stand in some.
_SYSTEM_LENGTHS = {0xF1: 1, 0xF2: 2, 0xF3: 1}


class Message(NamedTuple):
    """An event of a chunk."""

    tick: int  # since the beginning of the file
    status: int  # byte; that of a channel message holds the channel
    data: bytes  # data bytes of a channel message, content of a meta event or a sysex
    kind: int = -1  # type of a meta event; -1 for all others

    @property
    def is_channel(self) -> bool:
        """Whether it is for one of the 16 channels."""
        return self.status < SYSEX

    @property
    def command(self) -> int:
        """The status without the channel."""
        return self.status & 0xF0 if self.is_channel else self.status

    @property
    def channel(self) -> int:
        """0 to 15, of a channel message."""
        return self.status & 0x0F


def value(byte: int) -> int:
    """A data byte as players take it: at most 127."""
    return min(byte, 0x7F)


def control(tick: int, channel: int, number: int, amount: int) -> Message:
    return Message(tick, CONTROL_CHANGE | channel, bytes([number, amount]))


def meta(tick: int, kind: int, content: bytes = b"") -> Message:
    return Message(tick, META, content, kind)


@dataclass(frozen=True)
class Chunk:
    """A track chunk (MTrk), or one of another kind.

    Attributes:
        messages: in order; a chunk of another kind has none.
        raw: the bytes that it was read from; None: its messages are to be encoded.
        rest: bytes at its end that cannot be understood.
        kind: of the chunk; empty for bytes after the last chunk that belong to none.
    """

    messages: tuple[Message, ...] = ()
    raw: bytes | None = None
    rest: bytes = b""
    kind: bytes = TRACK

    @property
    def end(self) -> int:
        """Tick of the last message."""
        return self.messages[-1].tick if self.messages else 0

    def to_bytes(self) -> bytes:
        """The chunk with its header, if it is a chunk."""
        if not self.kind:
            return self.raw or b""
        body = encoded(self.messages) + self.rest if self.raw is None else self.raw
        return self.kind + struct.pack(">L", len(body)) + body


@dataclass(frozen=True)
class MidiFile:
    """All that a MIDI file holds."""

    format: int  # 0, 1 or 2
    resolution: int  # ticks a quarter note; negative if time is counted in video frames
    chunks: tuple[Chunk, ...]  # of all kinds, in order
    extra: bytes = b""  # of the header, after those that the standard knows

    @property
    def tracks(self) -> tuple[Chunk, ...]:
        """The track chunks."""
        return tuple(chunk for chunk in self.chunks if chunk.kind == TRACK)

    def with_tracks(self, tracks: Sequence[Chunk | None], added: Iterable[Chunk] = ()) -> MidiFile:
        """The same file with other track chunks.

        Args:
            tracks: one for each of the present track chunks, to replace it; None: without it.
            added: to come after the last track chunk.
        """
        replacements = iter(tracks)
        chunks: list[Chunk] = []
        last = 0
        for chunk in self.chunks:
            own = next(replacements) if chunk.kind == TRACK else chunk
            if own is not None:
                chunks.append(own)
            if chunk.kind == TRACK:
                last = len(chunks)
        chunks[last:last] = added
        several = sum(chunk.kind == TRACK for chunk in chunks) > 1
        return replace(self, format=1 if several else self.format, chunks=tuple(chunks))

    def stretched(self, factor: int) -> MidiFile:
        """The same with `factor` times as many ticks a quarter."""
        tracks = []
        for chunk in self.tracks:
            messages = tuple(m._replace(tick=m.tick * factor) for m in chunk.messages)
            tracks.append(replace(chunk, messages=messages, raw=None))
        return replace(self.with_tracks(tracks), resolution=self.resolution * factor)

    def to_bytes(self) -> bytes:
        """The file, with unchanged chunks as they were read."""
        count = len(self.tracks)
        header = struct.pack(">HHh", self.format, count, self.resolution) + self.extra
        body = HEADER + struct.pack(">L", len(header)) + header
        return body + b"".join(chunk.to_bytes() for chunk in self.chunks)

    def plain_bytes(self) -> bytes:
        """The file for readers that take only what the standard allows: without chunks of other
        kinds, and without messages that are unknown or have no meaning. Time stays."""
        tracks = []
        for chunk in self.tracks:
            messages = tuple(filter(None, map(_plain, chunk.messages)))
            if not messages or messages[-1].kind != END_OF_TRACK:
                messages = (*messages, meta(chunk.end, END_OF_TRACK))
            tracks.append(Chunk(messages))
        return MidiFile(self.format, self.resolution, tuple(tracks)).to_bytes()


class ReadFile(NamedTuple):
    """A file, and remarks on what was odd about it, a line each."""

    file: MidiFile
    remarks: tuple[str, ...]


def read_file(content: bytes, name: str = "MIDI") -> ReadFile:
    """Read the bytes of a MIDI file, or of a RIFF file around it; `name` is for messages.

    Raises:
        MidiError: there is no MIDI header, or no track chunk.
    """
    remarks: list[str] = []
    content = _unwrapped(content, remarks)
    offset = content.find(HEADER, 0, JUNK)
    if offset < 0 or len(content) < offset + 14:
        raise MidiError(
            f"{name}: not readable as a MIDI file (it has no header, MThd); "
            "save it again from the program that made it"
        )
    if offset:
        remarks.append(f"left out {_count(offset, 'byte')} before the MIDI header")
    size, kind, announced, resolution = struct.unpack_from(">LHHh", content, offset + 4)
    end = offset + 8 + size
    if not 6 <= size <= JUNK or end > len(content):
        end = offset + 14
        remarks.append(f"its header says that it is {size} bytes long; read as one of 6")
    if resolution == 0:
        raise MidiError(f"{name}: has 0 ticks a quarter note; save it again with 480, say")
    chunks = tuple(_chunks(content, end, remarks))
    file = MidiFile(kind, resolution, chunks, content[offset + 14 : end])
    found = len(file.tracks)
    if not found:
        raise MidiError(f"{name}: not readable as a MIDI file (it has no track chunk, MTrk)")
    if found != announced:
        remarks.append(f"its header says {_count(announced, 'track chunk')}; it has {found}")
    if kind > 2 or (kind == 0 and found > 1):
        remarks.append(f"its header says format {kind}; written as format 1")
        file = replace(file, format=1)
    return ReadFile(file, (*remarks, *_odd_messages(file)))


def encoded(messages: Iterable[Message]) -> bytes:
    """The body of a track chunk, with running status."""
    out = bytearray()
    tick, running = 0, 0
    for message in messages:
        out += number(message.tick - tick)
        tick = message.tick
        if message.status != running or not message.data.isascii():
            out.append(message.status)
        running = message.status if message.is_channel else 0
        if message.status == META:
            out.append(message.kind)
        if message.status in (SYSEX, ESCAPE, META):
            out += number(len(message.data))
        out += message.data
    return bytes(out)


def number(amount: int) -> bytes:
    """A delta time or a length, in MIDI's bytes of seven bits."""
    digits = [amount & 0x7F]
    while amount := amount >> 7:
        digits.append(amount & 0x7F | 0x80)
    return bytes(reversed(digits))


def _unwrapped(content: bytes, remarks: list[str]) -> bytes:
    """The MIDI file in a RIFF file; other content stays as it is."""
    if content[:4] != b"RIFF" or content[8:12] != b"RMID":
        return content
    found, others, offset = content, [], 12
    while offset + 8 <= len(content):
        kind, size = struct.unpack_from("<4sL", content, offset)
        body = content[offset + 8 : offset + 8 + size]
        if kind == b"data" and found is content:
            found = body
        else:
            others.append(kind.decode("latin-1").strip())
        offset += 8 + size + size % 2
    left = f", without its chunks {', '.join(others)}" if others else ""
    remarks.append(f"a RIFF file (RMID); results are plain MIDI files{left}")
    return found


def _chunks(content: bytes, offset: int, remarks: list[str]) -> Iterable[Chunk]:
    """The chunks from an offset on."""
    index = 0
    while offset < len(content):
        kind = content[offset : offset + 4]
        if len(content) < offset + 8 or not _is_kind(kind):
            following = content.find(TRACK, offset + 1)
            if following < 0:
                yield Chunk(raw=content[offset:], kind=b"")
                return
            remarks.append(f"left out {_count(following - offset, 'byte')} between chunks")
            offset = following
            continue
        start = offset + 8
        end = start + int.from_bytes(content[offset + 4 : start])
        if kind != TRACK:
            if end > len(content):
                remarks.append(f"the chunk {kind.decode('latin-1')} is cut short")
            yield Chunk(raw=content[start:end], kind=kind)
            offset = end
            continue
        chunk, offset = _track(content, start, end, index, remarks)
        yield chunk
        index += 1


def _is_kind(kind: bytes) -> bool:
    return len(kind) == 4 and all(0x20 <= byte < 0x7F for byte in kind)


def _is_chunk(content: bytes, offset: int) -> bool:
    """Whether a chunk, or the end of the file, is at an offset."""
    if offset == len(content) or content[offset : offset + 4] == TRACK:
        return True
    if len(content) < offset + 8 or not _is_kind(content[offset : offset + 4]):
        return False
    return offset + 8 + int.from_bytes(content[offset + 4 : offset + 8]) <= len(content)


def _track(
    content: bytes, start: int, end: int, index: int, remarks: list[str]
) -> tuple[Chunk, int]:
    """A track chunk, and the offset after it. If its size is wrong, its end of track counts."""
    messages, offset, whole = _messages(content, start, min(end, len(content)))
    at_end = bool(messages) and messages[-1].kind == END_OF_TRACK
    if end < len(content) and not _is_chunk(content, end) and not (at_end and offset == end):
        # What follows is no chunk: perhaps the track goes on, to an end of track.
        longer, after, _ = _messages(content, start, len(content))
        if longer and longer[-1].kind == END_OF_TRACK and _is_chunk(content, after):
            messages, offset, at_end = longer, after, True
    if at_end and offset != end and _is_chunk(content, offset):
        remarks.append(
            f"track chunk {index} says that it is {_count(end - start, 'byte')} long; "
            f"it is {offset - start}"
        )
        return Chunk(tuple(messages), content[start:offset]), offset
    missing = end - len(content)
    end = min(end, len(content))
    closed = (*messages, meta(messages[-1].tick if messages else 0, END_OF_TRACK))
    within = offset < end and not whole and _ends_within(content, offset, end)
    if missing > 0 and not at_end:
        remarks.append(
            f"the file is cut short: track chunk {index} lacks {_count(missing, 'byte')} of "
            f"{end - start + missing}, and its music ends there"
        )
        if within or offset == end:
            return Chunk(closed), end
    if within:
        remarks.append(f"track chunk {index} ends in the middle of an event, which is left out")
        return Chunk(closed), end
    if offset < end:
        remarks.append(
            f"track chunk {index} has {_count(end - offset, 'byte')} at its end that cannot be "
            "understood; they are kept"
        )
    elif not messages or messages[-1].kind != END_OF_TRACK:
        remarks.append(f"track chunk {index} does not say where it ends; that is added")
        return Chunk(closed, content[start:end] + _END), end
    return Chunk(tuple(messages), content[start:end], content[offset:end]), end


def _ends_within(content: bytes, offset: int, end: int) -> bool:
    """Whether the bytes from `offset` on would be an event if more of them followed."""
    padded = content[offset:end] + bytes(JUNK)
    found, _, _ = _messages(padded, 0, len(padded), most=1, running=NOTE_ON)
    return bool(found)


def _messages(
    content: bytes, start: int, end: int, most: int = -1, running: int = 0
) -> tuple[list[Message], int, bool]:
    """The messages from one offset to another.

    Args:
        content: of the file.
        start, end: the offsets. Reading goes on after an end of track, unless a chunk follows.
        most: messages to read; -1: all.
        running: status of the channel message before.

    Returns:
        The messages, the offset after the last one, and whether that is `end` or an end of track.
    """
    found: list[Message] = []
    add = found.append
    offset, tick = start, 0
    try:
        while offset < end and len(found) != most:
            begin = offset
            byte = content[offset]
            offset += 1
            delta = byte & 0x7F
            while byte > 0x7F:
                byte = content[offset]
                offset += 1
                delta = delta << 7 | byte & 0x7F
                if offset - begin > MAX_NUMBER:
                    return found, begin, False
            status = content[offset]
            if status < 0x80:
                if not running:
                    return found, begin, False
                status = running
            else:
                offset += 1
            if status < SYSEX:
                running = status
                kind, size = -1, 1 if 0xC0 <= status < 0xE0 else 2
            else:
                kind, size, offset = _other_event(content, offset, status)
            message = Message(tick + delta, status, content[offset : offset + size], kind)
            offset += size
            if offset > end:
                return found, begin, False
            tick += delta
            add(message)
            if message.kind == END_OF_TRACK and (offset == end or _is_chunk(content, offset)):
                return found, offset, True
    except IndexError:
        return found, begin, False
    return found, offset, offset == end


def _other_event(content: bytes, offset: int, status: int) -> tuple[int, int, int]:
    """The type of an event without a channel, the size of its content, and where that begins."""
    if status not in (SYSEX, ESCAPE, META):
        return -1, _SYSTEM_LENGTHS.get(status, 0), offset
    kind = -1
    if status == META:
        kind = content[offset]
        offset += 1
    size = 0
    for _ in range(MAX_NUMBER):
        byte = content[offset]
        offset += 1
        size = size << 7 | byte & 0x7F
        if byte < 0x80:
            break
    if byte > 0x7F or size > MAX_CONTENT:
        raise IndexError  # as at the end of the file: this is damage
    return kind, size, offset


def is_known_meta(kind: int) -> bool:
    """Whether the standard, and with it mido, knows a type of meta event."""
    return kind <= 0x07 or kind in META_EVENTS or kind in (DEVICE_NAME, 0x7F)


def is_sound_meta(message: Message) -> bool:
    """Whether a meta event is as long as the standard says, and of a value that it knows."""
    data = message.data
    if message.kind in META_EVENTS and len(data) not in META_EVENTS[message.kind][1]:
        return False
    if message.kind == KEY_SIGNATURE:
        sharps = data[0] - 256 if data[0] > 0x7F else data[0]
        return abs(sharps) <= MAX_SHARPS and data[1] in (0, 1)
    if message.kind == SMPTE_OFFSET:
        return data[0] >> 5 < FRAME_RATES
    if message.kind == TIME_SIGNATURE:
        return data[0] > 0 and data[1] <= MAX_POWER
    return not (message.kind == SET_TEMPO and data == bytes(3))


def _odd_messages(file: MidiFile) -> list[str]:
    """Remarks on messages that players ignore, or take for others."""
    odd: dict[str, list[int]] = {}
    for index, chunk in enumerate(file.tracks):
        for message in chunk.messages:
            if (what := _oddity(message)) and index not in odd.setdefault(what, []):
                odd[what].append(index)
    return [
        f"kept as they are: {what} (in track chunks {', '.join(map(str, chunks))})"
        for what, chunks in odd.items()
    ]


def _oddity(message: Message) -> str:
    """What is odd about a message; empty if nothing is."""
    if message.is_channel:
        return "data bytes above 127, which sound as 127" if not message.data.isascii() else ""
    if message.status == META:
        if is_sound_meta(message):
            return ""
        content = message.data[:4].hex(" ") or "none"
        return f"{META_EVENTS[message.kind][0]} events of bytes {content}, which do not exist"
    return "" if message.status in (SYSEX, ESCAPE) else "system messages that have no place there"


def _plain(message: Message) -> Message | None:
    """A message as every reader takes it; None if it has no meaning."""
    if message.is_channel:
        return message._replace(data=bytes(map(value, message.data)))
    if message.status == META:
        return message if is_known_meta(message.kind) and is_sound_meta(message) else None
    if message.status == SYSEX and message.data.endswith(b"\xf7"):
        return message if message.data[:-1].isascii() else None
    return None


def _count(amount: int, what: str) -> str:
    return f"{amount} {what}" + "s" * (amount != 1)
