"""Monophonic parts: notes on steps ↔ one class a step.

Facts of note-seq 0.0.5's ``melodies_lib``: the highest of the notes that start together
sounds, a new note ends the one before, and a note that ends in silence leaves a "note off".
"""

from __future__ import annotations

import numpy as np

from musicvae_torch.notes.vocabulary import (
    FIRST_NOTE,
    MAX_PITCH,
    MIN_PITCH,
    NO_EVENT,
    NOTE_OFF,
)


def melody_tokens(
    start_steps: np.ndarray, end_steps: np.ndarray, pitches: np.ndarray, steps: int
) -> np.ndarray:
    """Notes → classes.

    Args:
        start_steps, end_steps, pitches: (notes,) in any order. Notes outside the modelled
            pitch range, or that start after the last step, are left out.
        steps: length of the result.

    Returns:
        (steps,) int16 classes, 0 to MELODY_DEPTH - 1.
    """
    tokens = np.full(steps, NO_EVENT, np.int16)
    modelled = (pitches >= MIN_PITCH) & (pitches <= MAX_PITCH)
    modelled &= (start_steps >= 0) & (start_steps < steps)
    starts, ends, pitches = start_steps[modelled], end_steps[modelled], pitches[modelled]
    order = np.lexsort((-pitches.astype(np.int64), starts))
    starts, ends, pitches = starts[order], ends[order], pitches[order]
    highest = np.r_[True, starts[1:] != starts[:-1]][: len(starts)]
    starts, ends, pitches = starts[highest], ends[highest], pitches[highest]
    next_starts = np.r_[starts[1:], steps][: len(starts)]
    silent_after = ends < next_starts
    tokens[ends[silent_after]] = NOTE_OFF
    tokens[starts] = pitches - MIN_PITCH + FIRST_NOTE
    return tokens


def melody_notes(tokens: np.ndarray) -> list[tuple[int, int, int]]:
    """Classes → notes as (start step, end step, pitch), in order; inverse of :func:`melody_tokens`.

    A note still sounding at the end stops there.
    """
    notes: list[tuple[int, int, int]] = []
    sounding: tuple[int, int] | None = None
    for step in np.flatnonzero(tokens):
        if sounding:
            notes.append((sounding[0], int(step), sounding[1]))
        token = int(tokens[step])
        sounding = (int(step), token - FIRST_NOTE + MIN_PITCH) if token >= FIRST_NOTE else None
    if sounding:
        notes.append((sounding[0], len(tokens), sounding[1]))
    return notes
