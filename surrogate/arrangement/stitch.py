"""New parts beside the song's own tracks, in the song's own file.

Every message of the tracks that stay is written again as it was read: notes, velocities, bends,
controllers, tempos, metres, keys, markers, lyrics. New parts are chunks of their own at the end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

import mido
import numpy as np

from musicvae_torch.notes.midi import MidiError
from musicvae_torch.notes.score import (
    DRUM_CHANNEL,
    Score,
    copy_header,
    numbered_notes,
    score_of,
)

CHANNELS = range(16)
_MERELY_NAMES = {"track_name", "instrument_name", "midi_port", "channel_prefix", "device_name"}


class NewPart(NamedTuple):
    """A part to add; notes are of TICK_NOTE."""

    name: str
    program: int
    is_drum: bool
    notes: np.ndarray


def stitch(score: Score, kept: Collection[int], parts: Iterable[NewPart]) -> Score:
    """`score` with the tracks that are not kept left out, and new ones at the end.

    Args:
        score: stays as it is.
        kept: indices of tracks.
        parts: each becomes the last track of the result.

    Raises:
        MidiError: no MIDI channel is left for a new part.
    """
    file = copy_header(score.file)
    file.type = 1
    file.tracks = _kept_chunks(score, kept)
    taken = _channels(file.tracks)
    free = iter([channel for channel in CHANNELS if channel not in taken | {DRUM_CHANNEL}])
    for part in parts:
        channel = DRUM_CHANNEL if part.is_drum else next(free, None)
        if channel is None:
            raise MidiError(
                f"{score.name}: all 16 MIDI channels are taken; leave other tracks out "
                "(--keep given)"
            )
        # On a channel that sounds already, a program would change what its tracks play: a drum kit.
        file.tracks.append(_chunk(part, channel, new=channel not in taken))
    return score_of(file, score.name)


def _kept_chunks(score: Score, kept: Collection[int]) -> list[mido.MidiTrack]:
    """The chunks without the notes of tracks that are left out, and without any message to a
    channel that no kept track plays on; without those of which nothing but a name is left."""
    stays = {(t.chunk, t.channel, t.program): t.index in kept for t in score.tracks}
    heard = {track.channel for track in score.tracks if track.index in kept}
    silent = {track.channel for track in score.tracks} - heard
    chunks = []
    for number, chunk in enumerate(score.file.tracks):
        dropped = _dropped_notes(chunk, number, stays)
        remains = mido.MidiTrack()
        waited = 0
        for index, message in enumerate(chunk):
            waited += message.time
            unheard = not message.is_meta and getattr(message, "channel", None) in silent
            if index not in dropped and not unheard:
                remains.append(message.copy(time=waited))
                waited = 0
        untouched = len(remains) == len(chunk)
        if untouched or number == 0 or any(_says_something(message) for message in remains):
            chunks.append(remains)
    return chunks


def _dropped_notes(
    chunk: mido.MidiTrack, number: int, stays: dict[tuple[int, int, int], bool]
) -> set[int]:
    """Indices of the note-ons that are left out, and of note-offs that then end nothing."""
    ons = {
        index: stays.get((number, channel, program), True)
        for index, channel, program, _ in numbered_notes(chunk)
    }
    dropped: set[int] = set()
    sounding: dict[tuple[int, int], list[bool]] = {}
    for index, message in enumerate(chunk):
        if index in ons:
            sounding.setdefault((message.channel, message.note), []).append(ons[index])
            if not ons[index]:
                dropped.add(index)
        elif message.type in ("note_on", "note_off"):
            ended = sounding.pop((message.channel, message.note), [])
            if ended and not any(ended):
                dropped.add(index)
    return dropped


def _says_something(message: mido.Message | mido.MetaMessage) -> bool:
    return message.type != "end_of_track" and message.type not in _MERELY_NAMES


def _channels(chunks: list[mido.MidiTrack]) -> set[int]:
    """Those that any message is for."""
    return {
        message.channel
        for chunk in chunks
        for message in chunk
        if not message.is_meta and hasattr(message, "channel")
    }


def _chunk(part: NewPart, channel: int, new: bool) -> mido.MidiTrack:
    """A part as messages; at one tick, notes end before others begin. Only on a new channel it
    says its program."""
    events: list[tuple[int, bool, mido.Message]] = []
    for start, end, pitch, velocity in part.notes.tolist():
        note = {"channel": channel, "note": pitch}
        events.append((start, True, mido.Message("note_on", velocity=velocity, **note)))
        events.append((end, False, mido.Message("note_off", velocity=0, **note)))
    events.sort(key=lambda event: event[:2])
    chunk = mido.MidiTrack([mido.MetaMessage("track_name", name=part.name)])
    if new:
        chunk.append(mido.Message("program_change", channel=channel, program=part.program))
    tick = 0
    for at, _, message in events:
        chunk.append(message.copy(time=at - tick))
        tick = at
    chunk.append(mido.MetaMessage("end_of_track"))
    return chunk
