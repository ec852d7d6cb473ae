"""Drums as lines of their own, from the kick up, as a drummer's staff has them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from musicvae_torch.midi.tracks import Track
from musicvae_torch.midi.vocabulary import DRUM_CLASSES

LANES = (
    "kick",
    "snare",
    "hi-hat",
    "open hat",
    "low tom",
    "mid tom",
    "high tom",
    "crash",
    "ride",
    "other",  # percussion that the models do not know
)
_LANE_OF = np.full(128, len(LANES) - 1)
for _lane, _pitches in enumerate(DRUM_CLASSES):
    _LANE_OF[list(_pitches)] = _lane


def lanes_of(pitches: np.ndarray) -> np.ndarray:
    """Indices in LANES of MIDI pitches; any shape."""
    lanes: np.ndarray = _LANE_OF[pitches]
    return lanes


def used_lanes(tracks: Iterable[Track]) -> list[int]:
    """The lanes that any of the drum tracks strikes, from the kick up."""
    struck = {int(lane) for track in tracks for lane in np.unique(lanes_of(track.notes["pitch"]))}
    return sorted(struck)
