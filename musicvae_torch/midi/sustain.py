"""The sustain pedal: notes ring on until it is let go.

:func:`sustained_notes` is for models: it sustains notes in seconds, as note-seq 0.0.5's
``sequences_lib.apply_sustain_control_changes`` does. :func:`sounding_ends` is for scores: it gives
in ticks what players do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from math import inf, nan
from typing import NamedTuple

import numpy as np

from musicvae_torch.midi.channels import RESET_CONTROLLERS
from musicvae_torch.midi.messages import CONTROL_CHANGE
from musicvae_torch.midi.notes import SUSTAIN
from musicvae_torch.midi.quantize import Section
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import Track

NEVER = np.iinfo(np.int64).max  # a tick
_PRESS, _RELEASE, _NOTE_ON, _NOTE_OFF = range(4)  # in the order of events at one time


def sustained_notes(section: Section, pedals: np.ndarray) -> tuple[np.ndarray, float]:
    """The notes of a section as its pedals make them sound; drums have none.

    A note that is over while the pedal is down lasts until the pedal is let go or its pitch is
    struck again, which ends every note of the pitch while the pedal is down.

    Args:
        pedals: the whole song's, of PEDAL_DTYPE.

    Returns:
        Notes of NOTE_DTYPE and the section's end, in seconds from the section's start. A pedal
        that is never let go holds its notes until the last pedal change or pitched note; there
        the section ends, even if drums go on.
    """
    notes = section.notes.copy()
    notes["start"], notes["end"] = section.start_times, section.end_times
    end = float(notes["end"].max(initial=0.0))
    changes = _changes(section, pedals)
    if not any(kind == _PRESS for own in changes.values() for _, kind in own):
        return notes, end
    pitched = ~notes["is_drum"]
    last = max(time for own in changes.values() for time, _ in own)
    last = max(last, float(notes["end"][pitched].max(initial=0.0)))
    for track, own_changes in changes.items():
        own = pitched & (notes["instrument"] == track)
        notes["end"][own] = _note_ends(notes[own], own_changes)
    notes = notes[~np.isnan(notes["end"])]
    longest = float(notes["end"].max(initial=0.0))
    np.minimum(notes["end"], last, out=notes["end"], where=np.isinf(notes["end"]))
    return notes, last if longest == inf else max(end, longest)


def _changes(section: Section, pedals: np.ndarray) -> dict[int, list[tuple[float, int]]]:
    """The state of each track's pedal when the section starts, and its changes, in seconds from the
    section's start."""
    changes: dict[int, list[tuple[float, int]]] = {}
    pedals = pedals[np.argsort(pedals["time"], kind="stable")]
    for time, track, down in pedals[pedals["time"] < section.end].tolist():
        kind = _PRESS if down else _RELEASE
        if time <= section.start:
            changes[track] = [(0.0, kind)]
        else:
            changes.setdefault(track, []).append((time - section.start, kind))
    return changes


def _note_ends(notes: np.ndarray, changes: list[tuple[float, int]]) -> list[float]:
    """When each of a track's notes ends: infinity if the pedal is never let go, NaN if the note
    gives way to another that starts at the same time."""
    ends: list[float] = notes["end"].tolist()
    starts, pitches = notes["start"].tolist(), notes["pitch"].tolist()
    events = [(time, kind, -1) for time, kind in changes]
    events += [(time, _NOTE_ON, note) for note, time in enumerate(starts)]
    events += [(time, _NOTE_OFF, note) for note, time in enumerate(ends)]
    down = False
    sounding: defaultdict[int, set[int]] = defaultdict(set)  # by pitch
    for time, kind, note in sorted(events):
        if kind == _NOTE_ON:
            same_pitch = sounding[pitches[note]]
            if down:
                for other in same_pitch:
                    ends[other] = time if starts[other] < time else nan
                same_pitch.clear()
            same_pitch.add(note)
        elif kind == _NOTE_OFF:
            if not down:
                sounding[pitches[note]].discard(note)
        elif kind == _PRESS:
            down = True
        else:
            down = False
            for same_pitch in sounding.values():
                over = {other for other in same_pitch if ends[other] < time}
                same_pitch.difference_update(over)
                for other in over:
                    ends[other] = time
    for held in sounding.values():
        for note in held:
            ends[note] = inf
    return ends


class Change(NamedTuple):
    """A pedal's change: from a tick on it is down or up."""

    tick: int
    down: bool


def pedal_changes(score: Score, track: Track) -> dict[int, list[Change]]:
    """The changes of the pedal of each of a track's channels, by tick, in whatever chunk."""
    found: dict[int, list[Change]] = {channel: [] for channel in track.channels}
    for index, chunk in enumerate(score.file.tracks):
        for position, message in enumerate(chunk.messages):
            if message.command != CONTROL_CHANGE or message.channel not in found:
                continue
            number, amount = message.data
            if number not in (SUSTAIN, RESET_CONTROLLERS):
                continue
            if score.channels.port(index, position) == track.port:
                down = number == SUSTAIN and amount >= SUSTAIN
                found[message.channel].append(Change(message.tick, down))
    return {channel: sorted(changes, key=lambda c: c.tick) for channel, changes in found.items()}


def released(ends: np.ndarray, changes: Iterable[Change]) -> np.ndarray:
    """When notes whose keys are let go at `ends` fall silent: ticks (notes,), or NEVER."""
    changes = list(changes)
    if not changes:
        return ends
    ticks = np.array([change.tick for change in changes])
    is_down = np.array([False, *(change.down for change in changes)])
    lifts = np.append(ticks[~is_down[1:]], NEVER)
    held = is_down[np.searchsorted(ticks, ends, side="right")]
    return np.where(held, lifts[np.searchsorted(lifts, ends, side="right")], ends)


def sounding_ends(score: Score, track: Track) -> np.ndarray:
    """When each of a track's notes falls silent, (notes,) ticks: when its key is let go or, if the
    pedal is down then, when that is lifted or its pitch is struck again; NEVER if neither comes."""
    notes = track.notes
    channels = track.note_channels
    ends: np.ndarray = notes["end"].copy()
    if track.is_drum:
        return ends
    for channel, changes in pedal_changes(score, track).items():
        if any(change.down for change in changes):
            own = channels == channel if len(channels) else np.ones(len(notes), bool)
            ends[own] = released(ends[own], changes)
    held = ends > notes["end"]
    if held.any():
        again = _next_of_pitch(notes)
        ends[held] = np.minimum(ends, np.maximum(again, notes["end"]))[held]
    return ends


def _next_of_pitch(notes: np.ndarray) -> np.ndarray:
    """When each note's pitch is struck again; NEVER, if it is not."""
    again = np.full(len(notes), NEVER)
    order = np.lexsort((notes["start"], notes["pitch"]))
    same = np.diff(notes["pitch"][order]) == 0
    again[order[:-1][same]] = notes["start"][order[1:]][same]
    return again
