"""Which messages of a song its accompanied version has, and which of them it should have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from measuring.raw_midi import Chunk, Event, RawFile

# Types of meta events that name a chunk, its port or its channel, or end it.
NAMES = {0x03, 0x04, 0x09, 0x20, 0x21, 0x2F}


@dataclass(frozen=True)
class Pair:
    """A chunk of the song, what became of it (None: nothing), and which of its events are there.

    `foreign` are events of the result's chunk that the song's has not, or has not in that order.
    """

    before: Chunk
    after: Chunk | None
    stays: list[bool]
    foreign: list[Event]

    @property
    def note_ons(self) -> Iterator[tuple[int, bool]]:
        """Channel of each note-on of the song's, and whether it stays."""
        rows = zip(self.before.events, self.stays, strict=True)
        return ((event.data[0] & 15, stays) for event, stays in rows if event.is_note_on)

    @cached_property
    def port(self) -> int:
        ports = (event.meta(0x21) for event in self.before.events)
        return next((content[0] for content in ports if content), 0)


def matched(song: RawFile, band: RawFile, factor: int) -> tuple[list[Pair], list[Chunk]]:
    """The chunks of a song with those of its result, in order, and those that are new.

    A chunk may be left out, and what is left of one may look like another: of all ways to pair
    them in order, the one counts in which most messages are there.
    """
    before, after = song.tracks, band.tracks
    rows = range(len(before), -1, -1)
    best: dict[tuple[int, int], tuple[int, Pair | None]] = {}

    def total(row: int, column: int) -> int:
        return best[row, column][0] if row < len(before) else 0

    for row in rows[1:]:
        for column in range(min(row, len(after)), -1, -1):
            own = before[row]
            left_out = total(row + 1, column), Pair(own, None, [False] * len(own.events), [])
            choices: list[tuple[int, Pair | None]] = [left_out]
            if column < len(after):
                stays, foreign = _kept(own, after[column], factor)
                pair = Pair(own, after[column], stays, foreign)
                gain = sum(stays) - 2 * len(foreign)
                choices.append((gain + total(row + 1, column + 1), pair))
            best[row, column] = max(choices, key=lambda choice: choice[0])
    pairs, column = [], 0
    for row in range(len(before)):
        chosen = best[row, column][1]
        assert chosen is not None
        pairs.append(chosen)
        column += chosen.after is not None
    return pairs, list(after[column:])


def _kept(before: Chunk, after: Chunk, factor: int) -> tuple[list[bool], list[Event]]:
    """Which events of a chunk another one has in this order, and those that it alone has."""
    places = defaultdict(list)
    for index, event in enumerate(before.events):
        places[event.tick * factor, event.data].append(index)
    stays, last = [False] * len(before.events), -1
    foreign: list[Event] = []
    for event in after.events:
        own = places[event.tick, event.data]
        found = next((place for place in own if place > last), None)
        if found is None:
            foreign.append(event)
        else:
            stays[found] = True
            last = found
    return stays, foreign


def _is_name(event: Event) -> bool:
    return event.data[0] == 0xFF and event.data[1] in NAMES


def lost(pairs: list[Pair]) -> Iterator[tuple[str, str]]:
    """Messages that are gone and belong to no deleted note, nor to a channel of deleted notes."""
    heard, deleted = (
        {
            (pair.port, channel)
            for pair in pairs
            for channel, stays in pair.note_ons
            if stays == there
        }
        for there in (True, False)
    )
    for number, pair in enumerate(pairs):
        for event in pair.foreign[:1]:
            yield "message moved", f"chunk {number}, tick {event.tick}: {event.data[:12].hex(' ')}"
        ends = _ends_deleted(pair)
        for index, (event, stays) in enumerate(zip(pair.before.events, pair.stays, strict=True)):
            of_part = (pair.port, event.channel) in deleted - heard
            name = pair.after is None and _is_name(event)
            if not (stays or event.is_note_on or of_part or name or index in ends):
                yield (
                    "message lost",
                    f"chunk {number}, tick {event.tick}: {event.data[:12].hex(' ')}",
                )


def _ends_deleted(pair: Pair) -> set[int]:
    """Indices of note-offs that end deleted notes and none that stays."""
    found: set[int] = set()
    struck: dict[tuple[int, bytes], list[bool]] = defaultdict(list)  # whether its notes stay
    ended: set[tuple[int, bytes]] = set()
    for index, (event, stays) in enumerate(zip(pair.before.events, pair.stays, strict=True)):
        key = event.data[0] & 15, event.data[1:2]
        if event.is_note_on:
            if key in ended:
                struck[key] = []
            struck[key].append(stays)
            ended.discard(key)
        elif event.is_note_off:
            # Another note-off, if there is one, ends the same.
            if struck[key] and not any(struck[key]):
                found.add(index)
            ended.add(key)
    return found
