"""One track of a song as a MIDI file of its own, for programs that record and mix.

Every such file of a song begins at its first tick, ends at the same one, and has its whole map of
tempos and metres, so that the files lie one under the other wherever they are put.
"""

from __future__ import annotations

from musicvae_torch.midi.channels import is_note_on
from musicvae_torch.midi.messages import (
    END_OF_TRACK,
    KEY_SIGNATURE,
    NOTE_OFF,
    NOTE_ON,
    PROGRAM_CHANGE,
    SET_TEMPO,
    SMPTE_OFFSET,
    SYSEX,
    TIME_SIGNATURE,
    Chunk,
    Message,
    MidiFile,
    meta,
)
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import Track

MARKER, CUE_POINT = 0x06, 0x07
_OF_ALL = {SET_TEMPO, TIME_SIGNATURE, KEY_SIGNATURE, SMPTE_OFFSET, MARKER, CUE_POINT}


def stem_file(score: Score, track: Track, end: int) -> MidiFile:
    """A track with its controllers, names and words, and the song's tempos, metres, keys and
    markers.

    Args:
        score: the song.
        track: of it.
        end: tick at which the file ends, the last of the song at least.
    """
    conductor = [
        message
        for chunk in score.file.tracks
        for message in chunk.messages
        if message.kind in _OF_ALL or message.status == SYSEX
    ]
    conductor.sort(key=lambda message: message.tick)
    chunk = score.file.tracks[track.chunk]
    own = _own_messages(chunk, track)
    said = {m.channel for m in own if m.command == PROGRAM_CHANGE}
    channels = [channel for channel in track.channels if channel not in said]
    programs = [Message(0, PROGRAM_CHANGE | c, bytes([track.program])) for c in channels]
    chunks = (_ended(conductor, end), _ended([*programs, *own], end))
    return MidiFile(1, score.resolution, chunks)


def _own_messages(chunk: Chunk, track: Track) -> list[Message]:
    """The messages of a chunk that are a track's: not those of the whole song, and not other
    tracks' notes."""
    ons = {*track.ons.tolist(), *track.silent}
    sounding: dict[tuple[int, int], int] = {}
    found = []
    for position, message in enumerate(chunk.messages):
        if message.kind in _OF_ALL or message.kind == END_OF_TRACK or message.status == SYSEX:
            continue
        if message.is_channel and message.channel not in track.channels:
            continue
        if message.command in (NOTE_ON, NOTE_OFF) and len(message.data) == 2:
            key = message.channel, message.data[0]
            if is_note_on(message):
                if position not in ons:
                    continue
                sounding[key] = position
            elif key not in sounding:
                continue  # ends a note of another track
        found.append(message)
    return found


def _ended(messages: list[Message], end: int) -> Chunk:
    last = max(end, messages[-1].tick if messages else 0)
    return Chunk((*messages, meta(last, END_OF_TRACK)))
