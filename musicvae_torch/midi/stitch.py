"""New parts beside a song's own tracks, or new notes in them, in its own file.

Every message of the tracks that stay is written again as it was read: notes, velocities, bends,
controllers, tempos, metres, keys, markers, lyrics. New parts are chunks of their own at the end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from musicvae_torch.midi.channels import CHANNELS, DRUM_CHANNEL, Key, is_note_on, kit_messages
from musicvae_torch.midi.messages import (
    CHANNEL_PREFIX,
    DEVICE_NAME,
    END_OF_TRACK,
    INSTRUMENT_NAME,
    MARKER,
    NOTE_OFF,
    NOTE_ON,
    PORT,
    PROGRAM_CHANGE,
    TRACK_NAME,
    Chunk,
    Message,
    control,
    meta,
)
from musicvae_torch.midi.score import Score, score_of
from musicvae_torch.midi.tracks import Track

_PITCHED_CHANNELS = [channel for channel in range(CHANNELS) if channel != DRUM_CHANNEL]
_MERELY_NAMES = {TRACK_NAME, INSTRUMENT_NAME, PORT, CHANNEL_PREFIX, DEVICE_NAME, END_OF_TRACK}
# Controllers, bank, volume and pan among them, that reset a channel which the file set up.
_FRESH = ((0, 0), (32, 0), (7, 100), (10, 64), (11, 127), (64, 0))

Stays = Mapping[int, np.ndarray]  # by index of a track, which of its notes stay: (notes,) bool


class NewPart(NamedTuple):
    """A part to add; notes are of TICK_NOTE."""

    name: str
    program: int
    is_drum: bool
    notes: np.ndarray


class Seat(NamedTuple):
    """The port and channel of a new part, and the messages that come before its notes."""

    port: int
    channel: int
    setup: tuple[Message, ...]


class Stitched(NamedTuple):
    """A song's new file, and what the user should know of it, a line each."""

    score: Score
    remarks: tuple[str, ...]


def stitch(
    score: Score,
    kept: Collection[int],
    parts: Iterable[NewPart],
    partly: Stays | None = None,
) -> Stitched:
    """A copy of `score` with some tracks left out, and with new ones at the end.

    Args:
        score: all of it.
        kept: indices of tracks that stay.
        parts: in order of the new tracks.
        partly: tracks that are neither kept nor left out, and which of their notes stay.
    """
    stays = {track.index: np.full(len(track.notes), track.index in kept) for track in score.tracks}
    stays |= {index: mask for index, mask in (partly or {}).items() if index not in kept}
    silent = _silent_channels(score, stays)
    chunks, tracks = _kept_chunks(score, stays, silent)
    seats = _Seats(score, stays, silent)
    new: list[Chunk] = []
    remarks: list[str] = []
    for part in parts:
        seat = seats.take(part)
        if seat.port != seats.port:
            remarks.append(seats.remark(part, seat))
        chunk, track = _chunk(part, seat, sum(own is not None for own in chunks) + len(new))
        new.append(chunk)
        tracks += [track] * (len(part.notes) > 0)
    file = score.file.with_tracks(chunks, new)
    return Stitched(score_of(file, score.name, known=tracks), tuple(remarks))


def exchange_notes(
    score: Score, staying: Stays, new: Mapping[int, np.ndarray], later: bool = False
) -> Score:
    """A copy of `score` with other notes in some of its tracks. All other messages stay as they
    are, at their ticks and in their order.

    Args:
        score: all of it.
        staying: tracks that lose notes, and which of them stay.
        new: by index of a track, its new notes, of TICK_NOTE, in any order; they are on its first
            channel.
        later: whether a chunk may end later than it did, with the last of its new notes; if not,
            new notes end with the chunk, or a tick after they begin.
    """
    stays = {track.index: np.ones(len(track.notes), bool) for track in score.tracks}
    stays |= staying
    chunks = []
    for number, chunk in enumerate(score.file.tracks):
        own = [track for track in score.tracks if track.chunk == number]
        added = [track for track in own if len(new.get(track.index, ()))]
        dropped = _dropped_notes(chunk, own, stays)
        if not dropped and not added:
            chunks.append(chunk)
            continue
        messages = [m for position, m in enumerate(chunk.messages) if position not in dropped]
        for track in added:
            messages = _merged(messages, new[track.index], track.channel, later)
        chunks.append(replace(chunk, messages=tuple(messages), raw=None))
    file = score.file.with_tracks(chunks)
    return replace(score_of(file, score.name), remarks=score.remarks)


def add_markers(
    score: Score,
    name: str,
    markers: Iterable[tuple[int, str]],
    without: tuple[int, Collection[int]] | None = None,
) -> Score:
    """A copy of `score` with markers in a chunk of their own at the end.

    Args:
        score: all of it.
        name: of the new chunk.
        markers: ticks, ascending, and texts.
        without: a chunk, and positions of its messages that are left out, none of them a note; if
            no more than its name is left of it, it is left out, too.
    """
    chunks: list[Chunk | None] = list(score.file.tracks)
    tracks = list(score.tracks)
    if without is not None:
        number, positions = without
        chunk = score.file.tracks[number]
        staying = tuple(m for at, m in enumerate(chunk.messages) if at not in positions)
        empty = number > 0 and all(message.kind in _MERELY_NAMES for message in staying)
        chunks[number] = None if empty else replace(chunk, messages=staying, raw=None)
        gone = np.array(sorted(positions), np.int64)
        for track in score.tracks:
            if track.chunk == number:
                ons = track.ons - np.searchsorted(gone, track.ons)
                silent = tuple(at - int(np.searchsorted(gone, at)) for at in track.silent)
                tracks[track.index] = replace(track, ons=ons, silent=silent)
            elif empty and track.chunk > number:
                tracks[track.index] = replace(track, chunk=track.chunk - 1)
    body = [meta(0, TRACK_NAME, name.encode())]
    body += [meta(tick, MARKER, text.encode()) for tick, text in markers]
    new = Chunk((*body, meta(body[-1].tick, END_OF_TRACK)))
    file = score.file.with_tracks(chunks, [new])
    return replace(score_of(file, score.name, known=tracks), remarks=score.remarks)


def _merged(messages: list[Message], notes: np.ndarray, channel: int, later: bool) -> list[Message]:
    """The messages of a chunk with new notes among them. The chunk ends when it did, or with the
    last of the notes that begin after that or, if it may end `later`, that end after that."""
    ended = bool(messages) and messages[-1].kind == END_OF_TRACK
    end = messages[-1].tick if messages else 0
    notes = notes.copy()
    if not later:
        notes["end"] = np.maximum(np.minimum(notes["end"], end), notes["start"] + 1)
    merged = _with_notes(messages[:-1] if ended else messages, notes, channel)
    last = max(end, merged[-1].tick if merged else 0)
    return [*merged, meta(last, END_OF_TRACK)]


def _with_notes(messages: Iterable[Message], notes: np.ndarray, channel: int) -> list[Message]:
    """Messages and notes by tick; at one tick, notes end before the messages, among which another
    note of their pitch may begin, and begin after them."""
    rows = [(message.tick, 1, message) for message in messages]
    for start, end, pitch, velocity in notes.tolist():
        rows.append((start, 2, Message(start, NOTE_ON | channel, bytes([pitch, velocity]))))
        rows.append((end, 0, Message(end, NOTE_OFF | channel, bytes([pitch, 0]))))
    rows.sort(key=lambda row: row[:2])
    return [message for *_, message in rows]


def _kept_chunks(
    score: Score, stays: Stays, silent: set[Key]
) -> tuple[list[Chunk | None], list[Track]]:
    """The chunks without notes that are left out and without messages to silent channels, None for
    those with nothing but a name left; and the tracks that are left."""
    chunks: list[Chunk | None] = []
    tracks: list[Track] = []
    left = 0
    for number, chunk in enumerate(score.file.tracks):
        own = [track for track in score.tracks if track.chunk == number]
        dropped = _dropped_notes(chunk, own, stays)
        dropped |= {
            position
            for position, message in enumerate(chunk.messages)
            if message.is_channel
            and (score.channels.port(number, position), message.channel) in silent
        }
        positions = [at for at in range(len(chunk.messages)) if at not in dropped]
        remains = chunk
        if dropped:
            messages = tuple(chunk.messages[at] for at in positions)
            if number and all(message.kind in _MERELY_NAMES for message in messages):
                chunks.append(None)
                continue
            remains = replace(chunk, messages=messages, raw=None)
        chunks.append(remains)
        moved = {position: index for index, position in enumerate(positions)}
        tracks += [_left(track, stays[track.index], left, moved) for track in own
                   if stays[track.index].any()]  # fmt: skip
        left += 1
    return chunks, tracks


def _left(track: Track, stays: np.ndarray, chunk: int, moved: Mapping[int, int]) -> Track:
    """The notes of a track that stay, in a chunk whose messages have moved."""
    return replace(
        track,
        chunk=chunk,
        notes=track.notes[stays],
        note_channels=track.note_channels[stays],
        ons=np.array([moved[position] for position in track.ons[stays].tolist()], np.int64),
        silent=tuple(moved[position] for position in track.silent if position in moved),
    )


def _silent_channels(score: Score, stays: Stays) -> set[Key]:
    """Ports and channels whose notes are all left out."""
    sounding, every = set(), set()
    for track in score.tracks:
        every |= {(track.port, channel) for channel in track.channels}
        left = track.note_channels[stays[track.index]]
        sounding |= {(track.port, channel) for channel in np.unique(left).tolist()}
    return every - sounding


def _dropped_notes(chunk: Chunk, tracks: Iterable[Track], stays: Stays) -> set[int]:
    """Positions of the note-ons that are left out, and of note-offs that then end nothing."""
    dropped: set[int] = set()
    for track in tracks:
        mask = stays[track.index]
        dropped |= set(track.ons[~mask].tolist())
        if not mask.any():
            dropped |= set(track.silent)
    sounding: dict[tuple[int, int], list[bool]] = {}
    for position, message in enumerate(chunk.messages):
        if message.command not in (NOTE_ON, NOTE_OFF) or len(message.data) != 2:
            continue
        key = message.channel, message.data[0]
        if is_note_on(message):
            sounding.setdefault(key, []).append(position not in dropped)
        else:
            ended = sounding.pop(key, [])
            if ended and not any(ended):
                dropped.add(position)
    return dropped


class _Seats:
    """Channels for new parts: first those that nothing in the song uses."""

    def __init__(self, score: Score, stays: Stays, silent: set[Key]) -> None:
        self.channels = score.channels
        self.port = min((track.port for track in score.tracks), default=0)
        commands = {
            (score.channels.port(number, position), message.channel, message.command)
            for number, chunk in enumerate(score.file.tracks)
            for position, message in enumerate(chunk.messages)
            if message.is_channel
        }
        self.named = {(port, channel) for port, channel, _ in commands} - silent
        self.noted = {(port, channel) for port, channel, kind in commands if kind == NOTE_ON}
        self.noted -= silent
        for zone in score.channels.zones:
            members = {(zone.port, channel) for channel in zone.channels}
            if members & self.noted:
                self.noted |= members
        self.kits = score.channels.kit_channels()
        self.pitched = {
            (track.port, channel)
            for track in score.tracks
            if not track.is_drum and stays[track.index].any()
            for channel in track.channels
        }

    def remark(self, part: NewPart, seat: Seat) -> str:
        """What the user should know of a part that found no channel on the song's own port."""
        mpe = [f" ({zone.why})" for zone in self.channels.zones if zone.why.startswith("MPE")]
        taken = f"all 16 MIDI channels are taken{''.join(mpe[:1])}"
        if part.is_drum and self._free() is not None:
            taken = "channel 10 is taken by other notes"
        return (
            f"{taken}, so new {part.name} went to channel {seat.channel + 1} of a second MIDI "
            "port; players that know one port only will mix the two up"
        )

    def take(self, part: NewPart) -> Seat:
        """A seat for a part, which no other part gets."""
        seat = self._drum_seat(part) if part.is_drum else self._pitched_seat(part)
        self.named.add((seat.port, seat.channel))
        self.noted.add((seat.port, seat.channel))
        return seat

    def _free(self) -> tuple[int, bool] | None:
        """A channel of the song's port that nothing sounds on, and whether it is set up."""
        # Some players mix up the ports: best are channels that no port uses.
        on_any_port = {(self.port, channel) for _, channel in self.named}
        for taken, is_set_up in ((on_any_port, False), (self.named, False), (self.noted, True)):
            for channel in _PITCHED_CHANNELS:
                if (self.port, channel) not in taken | self.kits:
                    return channel, is_set_up
        return None

    def _pitched_seat(self, part: NewPart) -> Seat:
        found = self._free()
        if found is None:
            port, channel = self._further(_PITCHED_CHANNELS)
            return Seat(port, channel, (_program(part, channel),))
        channel, is_set_up = found
        tick = _first(part) if is_set_up else 0
        fresh = [control(tick, channel, *pair) for pair in _FRESH] if is_set_up else []
        return Seat(self.port, channel, (*fresh, _program(part, channel, tick)))

    def _drum_seat(self, part: NewPart) -> Seat:
        own = self.port, DRUM_CHANNEL
        kits = sorted(key for key in self.kits if key[0] == self.port)
        in_zone = any(own[0] == z.port and own[1] in z.channels for z in self.channels.zones)
        is_taken = own in self.pitched or (in_zone and own in self.noted)
        for key in ([] if is_taken else [own]) + kits:
            if self.channels.is_kit_throughout(key):
                # On a kit in use, a program would change the sound of its tracks.
                is_new = key == own and key not in self.named and own not in self.channels.kits
                return Seat(*key, (_program(part, key[1]),) if is_new else ())
        found = self._free()
        if found is not None:
            tick = min(self.channels.last_reset, _first(part))
            if messages := kit_messages(self.channels.standard, found[0], tick):
                return Seat(self.port, found[0], tuple(messages))
        seat = self._further([DRUM_CHANNEL])
        return Seat(*seat, (_program(part, DRUM_CHANNEL),))

    def _further(self, able: Sequence[int]) -> Key:
        """The first of some channels that nothing sounds on, on a port after the song's."""
        ports = range(self.port + 1, self.port + 1 + len(self.noted) + 1)
        keys = [(port, channel) for port in ports for channel in able]
        return next(key for key in keys if key not in self.noted)


def _first(part: NewPart) -> int:
    return int(part.notes["start"].min()) if len(part.notes) else 0


def _program(part: NewPart, channel: int, tick: int = 0) -> Message:
    return Message(tick, PROGRAM_CHANGE | channel, bytes([part.program]))


def _chunk(part: NewPart, seat: Seat, number: int) -> tuple[Chunk, Track]:
    """A part as messages, and as the track that they are."""
    channel = seat.channel
    notes = np.sort(part.notes, order=("start", "pitch", "end"), kind="stable")
    body = [meta(0, TRACK_NAME, part.name.encode())]
    if seat.port:
        body.append(meta(0, PORT, bytes([seat.port])))
    body += _with_notes(seat.setup, notes, channel)
    messages = (*body, meta(body[-1].tick, END_OF_TRACK))
    ons = [position for position, message in enumerate(messages) if is_note_on(message)]
    track = Track(
        index=0,
        name=part.name,
        chunk=number,
        channel=channel,
        program=part.program,
        notes=notes,
        is_drum=part.is_drum,
        port=seat.port,
        note_channels=np.full(len(ons), channel, np.int8),
        ons=np.array(ons, np.int64),
    )
    return Chunk(messages), track
