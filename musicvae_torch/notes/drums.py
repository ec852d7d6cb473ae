"""Drums: hits on steps ↔ one class a step, a bit for each of nine drum classes."""

from __future__ import annotations

import numpy as np

from musicvae_torch.notes.vocabulary import DRUM_CLASS_OF_PITCH, DRUM_CLASSES

_BIT_OF_PITCH = np.zeros(128, np.int16)
for _pitch, _index in DRUM_CLASS_OF_PITCH.items():
    _BIT_OF_PITCH[_pitch] = 1 << _index


def drum_tokens(start_steps: np.ndarray, pitches: np.ndarray, steps: int) -> np.ndarray:
    """Hits → classes: (steps,) int16, 0 (silence) to DRUM_DEPTH - 1.

    Args:
        start_steps, pitches: (hits,). Pitches in no drum class, or hits after the last step,
            are left out.
        steps: length of the result.
    """
    tokens = np.zeros(steps, np.int16)
    inside = (start_steps >= 0) & (start_steps < steps)
    np.bitwise_or.at(tokens, start_steps[inside], _BIT_OF_PITCH[pitches[inside]])
    return tokens


def drum_notes(tokens: np.ndarray) -> list[tuple[int, int, int]]:
    """Classes → hits as (start step, end step, pitch): each lasts one step, each class sounds
    as its first pitch."""
    return [
        (int(step), int(step) + 1, DRUM_CLASSES[index][0])
        for step in np.flatnonzero(tokens)
        for index in range(len(DRUM_CLASSES))
        if int(tokens[step]) >> index & 1
    ]
