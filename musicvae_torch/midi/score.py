"""A MIDI file as a score that can be written again: every message, counted in its own ticks.

:mod:`musicvae_torch.midi.notes` gives notes in seconds, for models. This module keeps all that a
file says (tempo and metre maps, markers, controllers, order of messages), to add to it.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil, gcd
from pathlib import Path

import numpy as np
import pretty_midi

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.channels import CHANNELS, DRUM_CHANNEL, Channels, read_channels
from musicvae_torch.midi.messages import (
    PROGRAM_CHANGE,
    SET_TEMPO,
    TIME_SIGNATURE,
    TRACK_NAME,
    Chunk,
    Message,
    MidiFile,
    is_sound_meta,
    read_file,
)
from musicvae_torch.midi.notes import read_bytes
from musicvae_torch.midi.players import Player, players_of
from musicvae_torch.midi.roles import kit_reason
from musicvae_torch.midi.text import decode_texts
from musicvae_torch.midi.tracks import TICK_NOTE, Track
from musicvae_torch.midi.vocabulary import STEPS_PER_QUARTER

DEFAULT_TEMPO = 500_000  # microseconds a quarter note: 120 a minute
COARSE = 96  # ticks a quarter below which a sixteenth that falls between ticks would be heard
FINE = 480  # ticks a quarter, fine enough for a drummer's timing


@dataclass(frozen=True, eq=False)
class Score:
    """A MIDI file, as read.

    Attributes:
        file: all of it.
        tracks: in order of chunk, then of first notes.
        tempos: (changes, 2) int64 of tick and microseconds a quarter, the first at tick 0.
        metres: (changes, 3) int64 of tick, numerator, denominator, the first at tick 0 (4/4 by
            default). Impossible ones do not count.
        end: tick of the last message of any chunk.
        channels: what the file says about its channels.
        name: of the file, for messages.
        remarks: what is odd about the file, and what of it was left out, a line each.
    """

    file: MidiFile
    tracks: tuple[Track, ...]
    tempos: np.ndarray
    metres: np.ndarray
    end: int
    channels: Channels
    name: str = "MIDI"
    remarks: tuple[str, ...] = ()
    _clock: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ticks, tempos = self.tempos.T
        passed = np.diff(ticks) * tempos[:-1] / 1e6 / self.resolution
        object.__setattr__(self, "_clock", np.concatenate([[0.0], np.cumsum(passed)]))

    @property
    def resolution(self) -> int:
        """Ticks a quarter note."""
        return self.file.resolution

    def seconds(self, ticks: np.ndarray | int) -> np.ndarray:
        """When ticks come, in seconds from the file's start; any shape."""
        at = np.asarray(ticks)
        change = np.maximum(np.searchsorted(self.tempos[:, 0], at, side="right") - 1, 0)
        since = at - self.tempos[change, 0]
        passed = since * self.tempos[change, 1] / 1e6 / self.resolution
        return np.asarray(self._clock[change] + passed)

    def ticks(self, seconds: np.ndarray | float) -> np.ndarray:
        """The nearest tick to each time in seconds, int64; any shape."""
        at = np.maximum(np.asarray(seconds, np.float64), 0.0)
        change = np.maximum(np.searchsorted(self._clock, at, side="right") - 1, 0)
        since = (at - self._clock[change]) * 1e6 * self.resolution / self.tempos[change, 1]
        return np.asarray(self.tempos[change, 0] + np.rint(since).astype(np.int64))

    @cached_property
    def texts(self) -> list[dict[int, str]]:
        """For each track chunk, the text of its meta events of types 1 to 15, by index."""
        return _texts(self.file)

    def to_bytes(self) -> bytes:
        """The file."""
        return self.file.to_bytes()

    def to_pretty_midi(self) -> pretty_midi.PrettyMIDI:
        """The score in pretty_midi's form, in seconds, without markers and text."""
        chunks = [_in_plain_channels(self, number) for number in range(len(self.file.tracks))]
        plain = self.file.with_tracks(chunks)
        return pretty_midi.PrettyMIDI(io.BytesIO(plain.plain_bytes()))


def read_score(midi: str | Path | pretty_midi.PrettyMIDI) -> Score:
    """Read a MIDI file, or one that pretty_midi would write, with remarks on what is odd (see
    :mod:`musicvae_torch.midi.messages`).

    Raises:
        MidiError: the file is missing, unreadable, no MIDI file, counts time in video frames, or
            holds several songs.
    """
    if isinstance(midi, pretty_midi.PrettyMIDI):
        return score_of(read_file(_written(midi)).file, "MIDI in memory")
    file, remarks = read_file(read_bytes(midi), str(midi))
    return replace(score_of(file, str(midi)), remarks=remarks)


def score_of(file: MidiFile, name: str = "MIDI", known: Sequence[Track] | None = None) -> Score:
    """The score of a file in memory.

    Args:
        file: all of it.
        name: for messages.
        known: its tracks, if they have been found already.

    Raises:
        MidiError: it counts time in video frames, or holds several songs.
    """
    if file.resolution <= 0:
        raise MidiError(f"{name}: counts time in video frames (SMPTE), not in beats")
    if file.format == 2 and len(file.tracks) > 1:
        raise MidiError(f"{name}: holds several songs (MIDI format 2); save them one by one")
    tempos, metres = _changes(file)
    channels = read_channels(file)
    tracks = _find_tracks(file, channels) if known is None else known
    return Score(
        file=file,
        tracks=tuple(replace(track, index=index) for index, track in enumerate(tracks)),
        tempos=np.array(sorted(tempos.items()), np.int64),
        metres=np.array([(tick, *metre) for tick, metre in sorted(metres.items())], np.int64),
        end=max((chunk.end for chunk in file.tracks), default=0),
        channels=channels,
        name=name,
    )


def _find_tracks(file: MidiFile, channels: Channels) -> list[Track]:
    """The players of all chunks."""
    found = []
    for index, (chunk, texts) in enumerate(zip(file.tracks, _texts(file), strict=True)):
        names = [text for at, text in texts.items() if chunk.messages[at].kind == TRACK_NAME]
        name = next(filter(None, names), "")
        found += [_track(name, index, player) for player in players_of(chunk, index, channels)]
    return found


def _changes(file: MidiFile) -> tuple[dict[int, int], dict[int, tuple[int, int]]]:
    """Tempos and metres by tick."""
    tempos: dict[int, int] = {0: DEFAULT_TEMPO}
    metres: dict[int, tuple[int, int]] = {0: (4, 4)}
    # The last of several changes at a tick counts: the first chunk's, as they belong there.
    for chunk in reversed(file.tracks):
        for message in chunk.messages:
            if message.kind == SET_TEMPO and is_sound_meta(message):
                tempos[message.tick] = int.from_bytes(message.data)
            elif message.kind == TIME_SIGNATURE and is_sound_meta(message):
                metres[message.tick] = (message.data[0], 1 << message.data[1])
    return tempos, metres


def divisible(score: Score, fine: bool = False) -> Score:
    """`score`; if its ticks are coarse, with so many a quarter that every sixteenth falls on one.
    (If they are not, sixteenths are rounded to them.)

    Args:
        score: of any resolution.
        fine: for notes between the sixteenths: ticks that are coarse become FINE or more a quarter.
    """
    factor = STEPS_PER_QUARTER // gcd(score.resolution, STEPS_PER_QUARTER)
    if fine:
        factor *= ceil(FINE / (factor * score.resolution))
    if factor == 1 or score.resolution >= COARSE:
        return score
    return replace(score_of(score.file.stretched(factor), score.name), remarks=score.remarks)


def _written(midi: pretty_midi.PrettyMIDI) -> bytes:
    """The file that pretty_midi makes, with the exact tempos of the file that it was read from.

    MIDI counts whole microseconds a quarter, and pretty_midi cuts off fractions: without a
    hundredth more, rounding errors might cost a whole one.
    """
    exact = copy.copy(midi)
    exact._tick_scales = [
        (tick, (round(scale * midi.resolution * 1e6) + 0.01) / 1e6 / midi.resolution)
        for tick, scale in midi._tick_scales
    ]
    buffer = io.BytesIO()
    exact.write(buffer)
    return buffer.getvalue()


def _in_plain_channels(score: Score, number: int) -> Chunk:
    """A chunk for readers that take channel 10 alone for drums, and programs from the same chunk
    alone: whatever differs is moved to such a channel, or gets a program there."""
    chunk = score.file.tracks[number]
    own = [track for track in score.tracks if track.chunk == number]
    used = {message.channel for message in chunk.messages if message.is_channel}
    said = {m.channel for m in chunk.messages if m.command == PROGRAM_CHANGE}
    free = [channel for channel in range(CHANNELS) if channel not in used | {DRUM_CHANNEL}]
    kinds = {(channel, track.is_drum) for track in own for channel in track.channels}
    moved: dict[int, int] = {}
    programs = []
    for track in own:
        for channel in track.channels:
            if (channel, not track.is_drum) in kinds:
                continue  # both in turn: that cannot be written so
            if track.is_drum:
                moved[channel] = DRUM_CHANNEL
            elif channel == DRUM_CHANNEL and free:
                moved[channel] = free[0]
            if track.program and channel not in said:
                at = PROGRAM_CHANGE | moved.get(channel, channel)
                programs.append(Message(0, at, bytes([track.program])))
                said.add(channel)
    if not programs and all(channel == other for channel, other in moved.items()):
        return chunk
    messages = (
        message._replace(status=message.command | moved.get(message.channel, message.channel))
        if message.is_channel
        else message
        for message in chunk.messages
    )
    return Chunk((*programs, *messages))


def _texts(file: MidiFile) -> list[dict[int, str]]:
    """See :attr:`Score.texts`."""
    positions = [
        (chunk, position, message.data)
        for chunk, own in enumerate(file.tracks)
        for position, message in enumerate(own.messages)
        if 1 <= message.kind <= 15
    ]
    texts = decode_texts([data for *_, data in positions])
    found: list[dict[int, str]] = [{} for _ in file.tracks]
    for (chunk, position, _), text in zip(positions, texts, strict=True):
        found[chunk][position] = text
    return found


def _track(name: str, chunk: int, player: Player) -> Track:
    columns = np.array(player.notes, np.int64)
    notes = np.zeros(len(columns), TICK_NOTE)
    notes["start"], notes["end"], notes["pitch"], notes["velocity"] = columns[:, :4].T
    order = np.argsort(notes, order=("start", "pitch", "end"), kind="stable")
    notes, channels, ons = notes[order], columns[order, 4], columns[order, 5]
    channel = int(channels.min())
    is_drum, why = player.is_drum, player.why
    if not is_drum and not why:
        why = kit_reason(name, channel, player.program, notes)
        is_drum = bool(why)
    return Track(
        0, name, chunk, channel, player.program, notes, is_drum, why, player.port,
        channels.astype(np.int8), ons, tuple(row[5] for row in player.instant),
    )  # fmt: skip
