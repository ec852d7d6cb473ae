"""Scores written by hand, a few notes long."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import mido
import numpy as np

from musicvae_torch.midi import score as scores
from musicvae_torch.midi.messages import read_file
from musicvae_torch.midi.score import Score

QUARTER = 480

# (start, end, pitch) in quarter notes, which at the tempo of no tempo are half a second.
Notes = Sequence[tuple[float, float, int]]


def midi_bytes(file: mido.MidiFile) -> bytes:
    """What mido writes of a file."""
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def score_of(file: mido.MidiFile | bytes, name: str = "MIDI") -> Score:
    """The score of a file, as if it had been read from the bytes that mido makes of it."""
    content = file if isinstance(file, bytes) else midi_bytes(file)
    read, remarks = read_file(content, name)
    return replace(scores.score_of(read, name), remarks=remarks)


def chunk(
    notes: Notes, program: int = 0, channel: int = 0, name: str = "", velocity: int = 80
) -> mido.MidiTrack:
    """A chunk of one track."""
    events = [(0, 0, mido.Message("program_change", channel=channel, program=program))]
    for start, end, pitch in notes:
        for time, kind, own in ((start, "note_on", velocity), (end, "note_off", 0)):
            message = mido.Message(kind, channel=channel, note=pitch, velocity=own)
            events.append((round(time * QUARTER), int(kind == "note_on") + 1, message))
    # Of events at one time, offs come first.
    events.sort(key=lambda event: event[:2])
    written = mido.MidiTrack([mido.MetaMessage("track_name", name=name, time=0)])
    now = 0
    for time, _, message in events:
        written.append(message.copy(time=time - now))
        now = time
    return written


def score(*chunks: mido.MidiTrack) -> Score:
    """A song of chunks."""
    file = mido.MidiFile(type=1, ticks_per_beat=QUARTER, charset="utf-8")
    file.tracks = list(chunks)
    return score_of(file, "song.mid")


def in_quarters(notes: np.ndarray) -> list[tuple[float, float, int]]:
    """Of TICK_NOTE → (start, end, pitch) in quarter notes."""
    return [(n["start"] / QUARTER, n["end"] / QUARTER, int(n["pitch"])) for n in notes]
