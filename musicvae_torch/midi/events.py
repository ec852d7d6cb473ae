"""The bytes of a regular MIDI file → arrays of its events, fast.

Most of a file is runs of events of three bytes below 128 each: the end of a delta time and two
data bytes. NumPy and bytes methods find hundreds of those at a time, and a plain loop the others.
Files that break the standard are left to :mod:`musicvae_torch.midi.messages`.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from musicvae_torch.midi.messages import (
    ESCAPE,
    MAX_CONTENT,
    META,
    META_EVENTS,
    SET_TEMPO,
    SYSEX,
    TIME_SIGNATURE,
    TRACK,
    Message,
    is_sound_meta,
)
from musicvae_torch.midi.notes import MAX_TICK

_MAX_CONTINUED = 3  # bytes of a delta time before its last

# Data bytes that a status byte asks for.
_DATA_LENGTHS = bytes(128) + b"\2" * 64 + b"\1" * 32 + b"\2" * 16 + bytes(16)

# What may follow the end of a delta time: a status byte with one or two data bytes, or, under a
# running status, at least one or two data bytes.
_OTHER, _ONE, _TWO, _RUNNING_ONE, _RUNNING_TWO = range(5)
_THREE_BYTES = bytes([_TWO, _RUNNING_TWO])
_RUN = 256  # events of three bytes that are sought at a time
_MARKS = b"\1" * _RUN


class IrregularError(Exception):
    """Bytes that break the standard."""


@dataclass(frozen=True)
class Events:
    """The events of all tracks of a file, one track after another.

    Attributes:
        resolution: ticks a quarter note.
        ticks: (events,) int64, since the track's beginning.
        statuses: (events,) uint8; running statuses are written out.
        channels: (events,) int64, 16 x index of the track + channel.
        first, second: (events,) uint8 data bytes; arbitrary where an event has fewer.
        tempos, metres: as of :func:`_changes`.
    """

    resolution: int
    ticks: np.ndarray
    statuses: np.ndarray
    channels: np.ndarray
    first: np.ndarray
    second: np.ndarray
    tempos: list[tuple[int, int]]
    metres: list[tuple[int, int, int]]

    @cached_property
    def kinds(self) -> np.ndarray:
        """(events,) statuses without the channel."""
        return self.statuses & 0xF0


class _Special(NamedTuple):
    """A meta event or a sysex."""

    status: int
    kind: int  # of a meta event
    content: bytes
    end: int  # position of the byte after it


def read_events(content: bytes) -> Events:
    """The events of a MIDI file.

    Raises:
        IrregularError: the file breaks the standard.
    """
    try:
        return _read(content)
    except (IndexError, struct.error):  # it ends too early
        raise IrregularError from None


def _read(content: bytes) -> Events:
    resolution, spans = _chunks(content)
    starts, lasts, firsts, specials = _find(content, spans)
    data = np.frombuffer(content + bytes(3), np.uint8)
    deltas = _deltas(data, starts, lasts)
    tracks = np.repeat(np.arange(len(spans)), np.diff(firsts, append=len(deltas)))
    ticks = np.cumsum(deltas)
    ticks -= (ticks - deltas)[firsts][tracks]
    if ticks.max() >= MAX_TICK:
        raise IrregularError
    tempos, metres = _changes(specials, ticks, spans[0][1])
    statuses = data[lasts + 1]
    explicit = statuses > 0x7F
    of_channel = explicit & (statuses < SYSEX)
    running = np.maximum.accumulate(np.where(of_channel, np.arange(len(deltas)), 0))
    statuses = np.where(explicit, statuses, statuses[running])
    return Events(
        resolution=resolution,
        ticks=ticks,
        statuses=statuses,
        channels=tracks * 16 + (statuses & 0x0F),
        first=data[lasts + 1 + explicit],
        second=data[lasts + 2 + explicit],
        tempos=tempos,
        metres=metres,
    )


def _chunks(content: bytes) -> tuple[int, list[tuple[int, int]]]:
    """Ticks a quarter note, and where the events of each track begin and end."""
    name, size, _, tracks, resolution = struct.unpack_from(">4sLhhh", content)
    if name != b"MThd" or size < 6 or tracks <= 0 or resolution <= 0:
        raise IrregularError
    spans = []
    end = 8 + size
    for _ in range(tracks):
        name, size = struct.unpack_from(">4sL", content, end)
        start, end = end + 8, end + 8 + size
        if name != b"MTrk" or not size or end > len(content):
            raise IrregularError
        spans.append((start, end))
    if content.count(TRACK) != tracks:
        raise IrregularError  # a size may be wrong
    return resolution, spans


def _find(
    content: bytes, spans: list[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, _Special]]:
    """First and last byte of each delta time, the number of the first event of each track, and
    the meta events and sysexes by number."""
    lows, codes = _lows(content)
    marks = bytearray(len(codes))
    found: dict[int, _Special] = {}
    for start, end in spans:
        found |= _scan(content, lows.data, codes, marks, start, end)
    ends = np.flatnonzero(np.frombuffer(marks, np.uint8))
    lasts = lows[ends]
    specials = dict(zip(np.searchsorted(ends, list(found)).tolist(), found.values(), strict=True))
    starts = lows[ends - 1] + 1
    for number, special in specials.items():
        starts[number + 1 : number + 2] = special.end
    track_starts = [start for start, _ in spans]
    firsts = np.searchsorted(lasts, track_starts)
    starts[firsts] = track_starts
    return starts, lasts, firsts, specials


def _lows(content: bytes) -> tuple[np.ndarray, bytes]:
    """Places of the bytes below 128, and for each the code of an event whose delta time it ends."""
    low = np.frombuffer(content + b"\xff" * 3, np.uint8) < 0x80
    one, two, three = (low[i : i - 3 or None].view(np.uint8) for i in (1, 2, 3))
    lengths = np.frombuffer(content[1:].translate(_DATA_LENGTHS) + b"\0", np.uint8)
    explicit = two * np.where(lengths == 2, 2 * three, lengths)
    codes = np.where(one, _RUNNING_ONE + two, explicit)
    lows = np.flatnonzero(low)
    return lows, codes[lows].tobytes()


def _scan(
    content: bytes, lows: memoryview, codes: bytes, marks: bytearray, start: int, end: int
) -> dict[int, _Special]:
    """Mark the low bytes that end delta times in the track from `start` to `end`; its meta
    events and sysexes, by that low byte."""
    specials: dict[int, _Special] = {}
    low, last = bisect_left(lows, start), bisect_left(lows, end)
    length = 0  # data bytes that the running status asks for
    position = start  # after the latest special event
    while low < last:
        if length == 2:
            run = codes[low : min(low + 3 * _RUN, last) : 3]
            count = len(run) - len(run.lstrip(_THREE_BYTES))
            marks[low : low + 3 * count : 3] = _MARKS[:count]
            low += 3 * count
            if low >= last:
                break
        marks[low] = 1
        code = codes[low]
        if code in (_ONE, _TWO):
            length = code
            low += 1 + length
        elif code != _OTHER:
            if not 0 < length <= code - _TWO:
                raise IrregularError
            low += 1 + length
        else:
            special = specials[low] = _special(content, lows[low] + 1)
            position = special.end
            if position > end:
                raise IrregularError
            length = length if special.status == META else 0
            low = bisect_left(lows, position, low)
    if low != last or end not in (position, lows[last - 1] + 1):
        raise IrregularError
    return specials


def _special(content: bytes, position: int) -> _Special:
    """The meta event or sysex whose status byte is at `position`."""
    status, kind = content[position], content[position + 1]
    if status not in (SYSEX, ESCAPE, META):
        raise IrregularError
    position += 2 if status == META else 1
    length = content[position] & 0x7F
    while content[position] > 0x7F:
        position += 1
        length = length << 7 | content[position] & 0x7F
        if length > MAX_CONTENT:
            raise IrregularError
    start, end = position + 1, position + 1 + length
    return _Special(status, kind, content[start:end], end)


def _deltas(data: np.ndarray, starts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """Delta times, given the positions of their first and last bytes."""
    deltas: np.ndarray = data[lasts].astype(np.int64)
    continued = lasts - starts
    longest = continued.max()
    if longest > _MAX_CONTINUED:
        raise IrregularError
    for back in range(1, longest + 1):
        longer = np.flatnonzero(continued >= back)
        digits = data[lasts[longer] - back] & 0x7F
        deltas[longer] += digits.astype(np.int64) << 7 * back
    return deltas


def _changes(
    specials: dict[int, _Special], ticks: np.ndarray, first_end: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int, int]]]:
    """Changes on the first track, which ends at `first_end`: tick and microseconds a quarter note
    of each tempo; tick, numerator and denominator of each time signature."""
    tempos, metres = [], []
    for number, special in specials.items():
        first, content = special.end <= first_end, special.content
        if special.status != META:
            if not content.removeprefix(b"\xf0").removesuffix(b"\xf7").isascii():
                raise IrregularError
        elif special.kind in META_EVENTS:
            if not is_sound_meta(Message(0, META, content, special.kind)):
                raise IrregularError
            if first and special.kind == SET_TEMPO:
                tempos.append((int(ticks[number]), int.from_bytes(content)))
            elif first and special.kind == TIME_SIGNATURE:
                metres.append((int(ticks[number]), content[0], 1 << content[1]))
    return tempos, metres
