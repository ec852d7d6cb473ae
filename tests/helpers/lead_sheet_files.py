"""MIDI files of lead sheets."""

from __future__ import annotations

import io
from pathlib import Path

import mido

Notes = list[tuple[float, float, int]]  # start, end, both in quarters, and pitch


MELODY: Notes = [(beat, beat + 1, 60 + 2 * (beat % 3)) for beat in range(16)]


C_MAJOR, A_MINOR, G_SEVENTH = (48, 52, 55), (48, 52, 57), (47, 50, 53, 55)


# C for a bar, then C and Am, then G7, of which a beat is silent, then C.
CHORDS: Notes = [
    (start, end, pitch)
    for start, end, chord in [
        (0, 4, C_MAJOR),
        (4, 6, C_MAJOR),
        (6, 8, A_MINOR),
        (8, 11, G_SEVENTH),
        (12, 16, C_MAJOR),
    ]
    for pitch in chord
]


def write(path: Path, *tracks: tuple[int, Notes], drums: bool = False, quarter: int = 48) -> None:
    """MIDI tracks of programs and notes; the last one's are of a drum kit, if so said."""
    file = mido.MidiFile(ticks_per_beat=quarter)
    for index, (program, notes) in enumerate(tracks):
        channel = 9 if drums and index == len(tracks) - 1 else index
        events = [(0, mido.Message("program_change", channel=channel, program=program))]
        for start, end, pitch in notes:
            for time, kind in ((start, "note_on"), (end, "note_off")):
                message = mido.Message(kind, channel=channel, note=pitch, velocity=70)
                events.append((round(time * quarter), message))
        events.sort(key=lambda event: (event[0], event[1].type == "note_on"))
        chunk, now = mido.MidiTrack(), 0
        for time, message in events:
            chunk.append(message.copy(time=time - now))
            now = time
        file.tracks.append(chunk)
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    file.save(file=buffer)
    path.write_bytes(buffer.getvalue())
