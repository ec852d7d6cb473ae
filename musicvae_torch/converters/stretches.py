"""Stretches: what a part plays between silences, and the windows that slide over it.

Facts of Magenta 2.1.4's ``melody_pipelines`` and ``drum_pipelines``, and of its
``music_vae.data``.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from musicvae_torch.midi.vocabulary import STEPS_PER_BAR

GAP_STEPS = STEPS_PER_BAR  # of silence, after which a new stretch begins
MAX_STEPS = 100 * STEPS_PER_BAR  # of a stretch; the rest is left out


def stretches(start_steps: np.ndarray, end_steps: np.ndarray) -> list[slice]:
    """Split notes, in order of their starts, wherever GAP_STEPS or more follow the last end."""
    gaps = np.flatnonzero(start_steps[1:] - end_steps[:-1] >= GAP_STEPS) + 1
    edges = [0, *gaps.tolist(), len(start_steps)] if len(start_steps) else []
    return [slice(first, last) for first, last in pairwise(edges)]


def bar_line_before(step: int) -> int:
    """The last step at or before `step` that begins a bar."""
    return int(step) // STEPS_PER_BAR * STEPS_PER_BAR


def bar_line_after(step: int) -> int:
    """The first step at or after `step` that begins a bar."""
    return -(-int(step) // STEPS_PER_BAR) * STEPS_PER_BAR


def slide(tokens: np.ndarray, steps: int) -> np.ndarray:
    """(all steps, ...) → (windows, steps, ...): whole windows, a bar apart."""
    if len(tokens) < steps:
        return np.zeros((0, steps, *tokens.shape[1:]), tokens.dtype)
    windows = np.lib.stride_tricks.sliding_window_view(tokens, steps, axis=0)
    return np.moveaxis(windows[::STEPS_PER_BAR], -1, 1)
