"""The notes of a chunk, by player: a channel with its program, or channels that belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from musicvae_torch.midi.channels import (
    ALL_NOTES_OFF,
    ALL_SOUND_OFF,
    CHANNELS,
    DRUM_CHANNEL,
    Channels,
    is_note_on,
)
from musicvae_torch.midi.messages import (
    CHANNEL_PRESSURE,
    CONTROL_CHANGE,
    NOTE_OFF,
    NOTE_ON,
    PITCH_BEND,
    Chunk,
    Message,
    value,
)

HIGHEST_PITCH = 127
STRINGS = 3  # channels, at least, of a guitar synthesizer that does not announce itself
MANY = 8  # channels beside channel 10, at least, of an MPE controller that does not announce itself
EACH = 0.9  # share of its notes, at least, that such a controller bends each by itself
TIMBRE = bytes([74])
TURNS = 1.3  # channels that sound at a time, on average, at most

# Start, end, pitch, velocity, channel, and position of the note-on message.
NoteRow = tuple[int, int, int, int, int, int]


class _On(NamedTuple):
    """A note that has begun."""

    tick: int
    velocity: int
    player: Player
    position: int  # of its message


Sounding = dict[tuple[int, int], list[_On]]  # the notes of each channel and pitch


@dataclass(eq=False)
class Player:
    """Notes that belong together.

    Attributes:
        port, program, is_drum, why: as of :class:`musicvae_torch.midi.tracks.Track`.
        notes: each at least a tick long.
        instant: those that begin and end at one tick, and do not sound.
    """

    port: int
    program: int
    is_drum: bool
    why: str
    notes: list[NoteRow] = field(default_factory=list)
    instant: list[NoteRow] = field(default_factory=list)

    def add(self, on: _On, end: int, channel: int, pitch: int) -> None:
        row = (on.tick, max(end, on.tick + 1), pitch, on.velocity, channel, on.position)
        # A drum that is struck and let go at once sounds all the same.
        (self.notes if self.is_drum or end > on.tick else self.instant).append(row)


def players_of(chunk: Chunk, index: int, channels: Channels) -> list[Player]:
    """The players of a chunk that have notes, in order of their first ones.

    A note-off ends all notes of its pitch that began before it, as in pretty_midi; so does a
    controller that ends all notes of a channel. A note without an end sounds until its pitch is
    struck again, or the chunk ends.
    """
    players: dict[Hashable, Player] = {}
    sounding: Sounding = defaultdict(list)
    for position, message in enumerate(chunk.messages):
        command = message.command
        if command > CONTROL_CHANGE or len(message.data) != 2:
            continue
        if command != CONTROL_CHANGE and message.data[0] > HIGHEST_PITCH:
            continue  # no pitch, and no sound
        number, amount = map(value, message.data)
        channel = message.channel
        if command == NOTE_ON and amount:
            player = _player(players, channels, index, position, message)
            sounding[channel, number].append(_On(message.tick, amount, player, position))
        elif command in (NOTE_ON, NOTE_OFF):
            _end(sounding, (channel, number), message.tick)
        elif command == CONTROL_CHANGE and (number == ALL_SOUND_OFF or number >= ALL_NOTES_OFF):
            for key in [key for key, own in sounding.items() if key[0] == channel and own]:
                _end(sounding, key, message.tick, instant=False)
    for (channel, pitch), left in sounding.items():
        nexts = [*(on.tick for on in left[1:]), chunk.end][: len(left)]
        for on, end in zip(left, nexts, strict=True):
            longest = on.tick + channels.quarter if on.player.is_drum else end
            on.player.add(on, min(end, longest), channel, pitch)
    for player in players.values():
        # Where most notes last no time, they are meant to sound.
        if len(player.instant) > len(player.notes):
            player.notes += player.instant
            player.instant = []
    sound = [player for player in players.values() if player.notes]
    return _with_strings(sound, channels, index, chunk)


def _player(
    players: dict[Hashable, Player], channels: Channels, index: int, position: int, on: Message
) -> Player:
    """The player of a note-on message."""
    key = channels.port(index, position), on.channel
    zone = next((z for z in channels.zones if z.port == key[0] and key[1] in z.channels), None)
    is_drum, why = channels.kit(key, index, position, on.tick)
    if zone is not None and key not in channels.kits:
        is_drum, why = False, zone.why
    asked = key
    if zone is not None and key not in channels.programs:
        asked = next(((zone.port, c) for c in sorted(zone.channels)
                      if (zone.port, c) in channels.programs), key)  # fmt: skip
    program = channels.program(asked, index, position, on.tick)
    who = (key[0], key[1] if zone is None or is_drum else zone, program, is_drum)
    if who not in players:
        players[who] = Player(key[0], program, is_drum, why)
    return players[who]


def _end(sounding: Sounding, key: tuple[int, int], tick: int, instant: bool = True) -> None:
    """End the notes of a channel and pitch."""
    ended = [on for on in sounding[key] if on.tick < tick]
    now = [on for on in sounding[key] if on.tick == tick]
    for on in ended:
        on.player.add(on, tick, *key)
    # A note that begins now goes on if another one ends; otherwise it lasts no time.
    if not ended and instant:
        for on in now:
            on.player.add(on, tick, *key)
        now = []
    sounding[key] = now


def _with_strings(
    players: list[Player], channels: Channels, index: int, chunk: Chunk
) -> list[Player]:
    """The players of a chunk, with the strings of a guitar synthesizer, or MPE channels that the
    file does not announce, joined into one: neighbouring channels with one program and one note at
    a time, which together play one line, or bend each note by itself."""
    groups: dict[tuple[int, int], list[Player]] = defaultdict(list)
    for player in players:
        if not player.is_drum and len({note[4] for note in player.notes}) == 1:
            groups[player.port, player.program].append(player)
    for (port, program), own in groups.items():
        group = own + _one_of_all(players, own, channels)
        strings = {player.notes[0][4] for player in group}
        strings |= {
            channel
            for (own, channel), said in channels.programs.items()
            if own == port and any(one[1] == index and one.value == program for one in said)
        }
        if len(group) < 2 or len(strings) < STRINGS:
            continue
        first, last = min(strings), max(strings)
        if last - first >= len(strings) or not all(map(_one_at_a_time, group)):
            continue
        if _together(group) > TURNS and not _bends_each(chunk, strings):
            continue
        one = group[0]
        one.why = f"one line on channels {first + 1} to {last + 1}"
        for other in group[1:]:
            one.notes += other.notes
            one.instant += other.instant
        players = [player for player in players if player not in group[1:]]
    return players


def _one_of_all(players: list[Player], group: list[Player], channels: Channels) -> list[Player]:
    """The player on channel 10, if that is one of many channels that take turns (MPE has no drum
    channel, and a master channel without notes): no message has made it a kit, it has no more notes
    than the others, and none above or below theirs."""
    others = {player.notes[0][4] for player in group}
    if not MANY <= len(others) < CHANNELS - 1 or not min(others) < DRUM_CHANNEL < max(others):
        return []
    pitches = [note[2] for player in group for note in player.notes]
    most = max(len(player.notes) for player in group) + 1
    return [
        player
        for player in players
        if player.is_drum
        and player.port == group[0].port
        and player.program in (0, group[0].program)
        and {note[4] for note in player.notes} == {DRUM_CHANNEL}
        and (player.port, DRUM_CHANNEL) not in channels.kits
        and len(player.notes) <= most
        and all(min(pitches) <= note[2] <= max(pitches) for note in player.notes)
    ]


def _bends_each(chunk: Chunk, channels: Collection[int]) -> bool:
    """Whether nearly every note on some channels has a bend, a pressure or a timbre (controller
    74) of its own, sent before it begins."""
    shaped: set[int] = set()
    own, notes = 0, 0
    for message in chunk.messages:
        if not message.is_channel or message.channel not in channels:
            continue
        if message.command in (CHANNEL_PRESSURE, PITCH_BEND) or (
            message.command == CONTROL_CHANGE and message.data[:1] == TIMBRE
        ):
            shaped.add(message.channel)
        elif is_note_on(message):
            notes += 1
            own += message.channel in shaped
            shaped.discard(message.channel)
    return own >= EACH * notes


def _one_at_a_time(player: Player) -> bool:
    rows = sorted(player.notes)
    overlap = sum(max(a[1] - b[0], 0) for a, b in pairwise(rows))
    return overlap <= 0.1 * sum(row[1] - row[0] for row in rows)


def _together(group: Sequence[Player]) -> float:
    """The number of players that sound at a time, on average while any does."""
    rows = sorted(row for player in group for row in player.notes)
    total = sum(row[1] - row[0] for row in rows)
    covered, until = 0, 0
    for row in rows:
        covered += max(row[1] - max(row[0], until), 0)
        until = max(until, row[1])
    return total / max(covered, 1)
