"""Which track of a song is its melody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pretty_midi

from musicvae_torch.notes.midi import MidiError
from musicvae_torch.notes.vocabulary import BASS_PROGRAMS, MAX_PITCH, MIN_PITCH

_NAMED = ("melody", "lead", "vocal", "voice", "sing", "solo", "theme")


@dataclass(frozen=True)
class TrackSummary:
    """A track as a candidate for the melody.

    Attributes:
        index: position in ``PrettyMIDI.instruments``.
        name, program, is_drum: as in the file.
        notes: how many it has.
        mean_pitch: mean of its MIDI pitches.
        melodic: share of notes that start alone, with no other of the track sounding.
        score: higher is likelier to be the melody; drums and empty tracks have none.
    """

    index: int
    name: str
    program: int
    is_drum: bool
    notes: int
    mean_pitch: float
    melodic: float
    score: float | None

    def __str__(self) -> str:
        instrument = (
            "drums" if self.is_drum else pretty_midi.program_to_instrument_name(self.program)
        )
        name = f" {self.name.strip()!r}" if self.name.strip() else ""
        return f"track {self.index}:{name} {instrument}, {self.notes} notes"


def summarize_tracks(midi: pretty_midi.PrettyMIDI) -> list[TrackSummary]:
    """Every track of `midi`, in the file's order."""
    longest = max((_sounding(track) for track in midi.instruments), default=0.0)
    return [_summarize(index, track, longest) for index, track in enumerate(midi.instruments)]


def choose_melody(midi: pretty_midi.PrettyMIDI, wanted: int | None = None) -> int:
    """Index of the melody's track: `wanted`, or the likeliest.

    Raises:
        MidiError: there is no such track, or none that could be a melody.
    """
    tracks = summarize_tracks(midi)
    able = [track for track in tracks if track.score is not None]
    listed = "; ".join(map(str, tracks)) or "no track has a note"
    if wanted is not None:
        if wanted not in [track.index for track in able]:
            raise MidiError(f"track {wanted} holds no melody; the tracks are: {listed}")
        return wanted
    if not able:
        raise MidiError(
            f"no melody: no track has a pitched note from {MIN_PITCH} to {MAX_PITCH} ({listed})"
        )
    return max(able, key=lambda track: (track.score, -track.index)).index


def _summarize(index: int, track: pretty_midi.Instrument, longest: float) -> TrackSummary:
    pitches = np.array([note.pitch for note in track.notes])
    singable = bool(((pitches >= MIN_PITCH) & (pitches <= MAX_PITCH)).any())
    melodic = _melodic_share(track)
    mean_pitch = float(pitches.mean()) if len(pitches) else 0.0
    score = None
    if singable and not track.is_drum:
        # Present throughout, one note at a time, in a singer's register, or so named.
        score = _sounding(track) / longest + melodic - abs(mean_pitch - 70) / 24
        score -= 2 * (track.program in BASS_PROGRAMS)
        score += 3 * any(word in track.name.lower() for word in _NAMED)
    return TrackSummary(
        index, track.name, track.program, track.is_drum, len(pitches), mean_pitch, melodic, score
    )


def _sounding(track: pretty_midi.Instrument) -> float:
    """Seconds in which at least one note of the track sounds."""
    total, until = 0.0, 0.0
    for note in sorted(track.notes, key=lambda note: note.start):
        total += max(0.0, note.end - max(note.start, until))
        until = max(until, note.end)
    return total


def _melodic_share(track: pretty_midi.Instrument) -> float:
    """Share of notes that start neither together with another nor well within another."""
    notes = sorted(track.notes, key=lambda note: note.start)
    if not notes:
        return 0.0
    alone, until = 0, -1.0
    for note, following in zip(notes, [*notes[1:], None], strict=True):
        overlap = until - note.start
        together = following is not None and following.start <= note.start
        alone += overlap <= (note.end - note.start) / 2 and not together
        until = max(until, note.end)
    return alone / len(notes)
