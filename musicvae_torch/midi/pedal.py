"""When the notes of a score fall silent: the sustain pedal, in ticks.

:mod:`musicvae_torch.midi.sustain` does as Magenta does, in seconds; this is what players do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from musicvae_torch.midi.channels import RESET_CONTROLLERS, SUSTAIN
from musicvae_torch.midi.messages import CONTROL_CHANGE
from musicvae_torch.midi.score import Score, Track

PEDAL_DOWN = 64  # and above
NEVER = np.iinfo(np.int64).max  # a tick


class Change(NamedTuple):
    """Of a pedal: from a tick on it is down or up."""

    tick: int
    down: bool


def pedal_changes(score: Score, track: Track) -> dict[int, list[Change]]:
    """What is done to the pedal of each of a track's channels, in whatever chunk."""
    found: dict[int, list[Change]] = {channel: [] for channel in track.channels}
    for index, chunk in enumerate(score.file.tracks):
        for place, message in enumerate(chunk.messages):
            if message.command != CONTROL_CHANGE or message.channel not in found:
                continue
            number, amount = message.data
            if number not in (SUSTAIN, RESET_CONTROLLERS):
                continue
            if score.channels.port(index, place) == track.port:
                down = number == SUSTAIN and amount >= PEDAL_DOWN
                found[message.channel].append(Change(message.tick, down))
    return {channel: sorted(changes, key=lambda c: c.tick) for channel, changes in found.items()}


def released(ends: np.ndarray, changes: Iterable[Change]) -> np.ndarray:
    """When notes fall silent whose keys are let go at `ends`: ticks (notes,), or NEVER."""
    changes = list(changes)
    if not changes:
        return ends
    ticks = np.array([change.tick for change in changes])
    is_down = np.array([False, *(change.down for change in changes)])
    lifts = np.append(ticks[~is_down[1:]], NEVER)
    held = is_down[np.searchsorted(ticks, ends, side="right")]
    return np.where(held, lifts[np.searchsorted(lifts, ends, side="right")], ends)


def sounding_ends(score: Score, track: Track) -> np.ndarray:
    """When each of a track's notes falls silent, (notes,) ticks: as its key is let go or, if the
    pedal is down, as that is lifted or its pitch is struck again; NEVER, if neither happens."""
    notes = track.notes
    if track.is_drum:
        return notes["end"]
    channels = track.note_channels
    ends = notes["end"].copy()
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
