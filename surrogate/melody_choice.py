"""Which track of a song is its melody."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import pretty_midi

from musicvae_torch.notes.midi import MidiError
from musicvae_torch.notes.vocabulary import BASS_PROGRAMS, MAX_PITCH, MIN_PITCH

_MELODY_NAME = re.compile(r"\b(melod\w*|lead|vocals?|voice|singer|solo|theme)\b", re.IGNORECASE)
_SOUND_EFFECTS = range(112, 128)


@dataclass(frozen=True)
class TrackSummary:
    """A track as a candidate for the melody.

    Attributes:
        index: position in ``PrettyMIDI.instruments``.
        name, program, is_drum: as in the file.
        notes: how many it has.
        mean_pitch: mean of its MIDI pitches.
        melodic: share of notes that start alone, with no other of the track sounding.
        score: higher is likelier to be the melody; drums and tracks without a note in the
            modelled range have none.
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
    """Every track of `midi`, in the file's order.

    Raises:
        MidiError: a note begins before the song does, or its times are no numbers.
    """
    for index, track in enumerate(midi.instruments):
        for note in track.notes:
            if not (0 <= note.start < math.inf and 0 <= note.end < math.inf):
                raise MidiError(f"track {index} has a note from {note.start} s to {note.end} s")
    longest = max((_sounding(track) for track in midi.instruments), default=0.0)
    return [_summarize(index, track, longest) for index, track in enumerate(midi.instruments)]


def choose_melody(midi: pretty_midi.PrettyMIDI, wanted: int | None = None) -> tuple[int, ...]:
    """Indices of the melody's tracks: `wanted`, or the likeliest, and those that belong to it.

    A MIDI track whose program changes appears as several in ``PrettyMIDI.instruments``: tracks
    of one name belong together if they take turns.

    Raises:
        MidiError: there is no such track, or none that could be a melody.
    """
    tracks = summarize_tracks(midi)
    able = [track for track in tracks if track.score is not None]
    listed = "; ".join(map(str, tracks)) or "no track has a note"
    if wanted is not None and wanted not in [track.index for track in able]:
        raise MidiError(f"track {wanted} holds no melody; the tracks are: {listed}")
    if not able:
        raise MidiError(
            f"no melody: no track has a pitched note from {MIN_PITCH} to {MAX_PITCH} ({listed})"
        )
    if wanted is None:
        wanted = max(able, key=lambda track: (track.score, -track.index)).index
    line = {wanted}
    for track in able:
        if track.name == tracks[wanted].name and all(
            _take_turns(midi.instruments[track.index], midi.instruments[other])
            for other in line - {track.index}
        ):
            line.add(track.index)
    return tuple(sorted(line))


def _summarize(index: int, track: pretty_midi.Instrument, longest: float) -> TrackSummary:
    pitches = np.array([note.pitch for note in track.notes])
    melodic = _melodic_share(track)
    mean_pitch = float(pitches.mean()) if len(pitches) else 0.0
    score = None
    sounding = _sounding(track)
    singable = bool(((pitches >= MIN_PITCH) & (pitches <= MAX_PITCH)).any())
    if singable and sounding and not track.is_drum:
        present = sounding / longest
        # Present throughout, one note at a time, in a singer's register, or so named.
        score = present + melodic - abs(mean_pitch - 70) / 24
        score -= 2 * (track.program in BASS_PROGRAMS or track.program in _SOUND_EFFECTS)
        score += 3 * present * bool(_MELODY_NAME.search(track.name))
    return TrackSummary(
        index, track.name, track.program, track.is_drum, len(pitches), mean_pitch, melodic, score
    )


def _by_start(track: pretty_midi.Instrument) -> list[pretty_midi.Note]:
    return sorted(track.notes, key=lambda note: note.start)


def _sounding(track: pretty_midi.Instrument) -> float:
    """Seconds in which at least one note of the track sounds."""
    total, until = 0.0, 0.0
    for note in _by_start(track):
        total += max(0.0, note.end - max(note.start, until))
        until = max(until, note.end)
    return total


def _take_turns(one: pretty_midi.Instrument, other: pretty_midi.Instrument) -> bool:
    """Whether the two hardly ever sound together."""
    both = pretty_midi.Instrument(0)
    both.notes = [*one.notes, *other.notes]
    together = _sounding(one) + _sounding(other) - _sounding(both)
    return together <= 0.02 * min(_sounding(one), _sounding(other))


def _melodic_share(track: pretty_midi.Instrument) -> float:
    """Share of notes that start neither together with another nor well within another."""
    notes = _by_start(track)
    if not notes:
        return 0.0
    alone, until = 0, -1.0
    for note, following in zip(notes, [*notes[1:], None], strict=True):
        overlap = until - note.start
        together = following is not None and following.start <= note.start
        alone += overlap <= (note.end - note.start) / 2 and not together
        until = max(until, note.end)
    return alone / len(notes)
