"""Windows in other keys, straight on their tokens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from musicvae_torch.chords.symbols import ROOTS
from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.converters import performance
from musicvae_torch.converters.melody import MELODY_RULES
from musicvae_torch.converters.multitrack import MULTITRACK_RULES, MultitrackRules
from musicvae_torch.converters.trio import TRIO_RULES
from musicvae_torch.midi.vocabulary import FIRST_NOTE, MELODY_DEPTH

Transpose = Callable[[np.ndarray, int], np.ndarray]  # (steps, parts) tokens, semitones → tokens

DEFAULT_SHIFT = 5
CHORD_SHIFT = 3  # Magenta's, for what has chords and for multitrack bars


def transposer(config: MusicVAEConfig) -> Transpose | None:
    """What shifts a config's windows; None where there is nothing to shift: drums and grooves.

    A config whose `base` is none of Magenta's is one of trios if it has three parts.
    """
    if config.base in TRIO_RULES or len(config.output_depths) == 3:
        return transpose
    if config.base in MELODY_RULES:
        return transpose_melody
    return transpose_bar if config.base in MULTITRACK_RULES else None


def default_shift(config: MusicVAEConfig) -> int:
    """Most semitones, either way, of a random shift in training.

    Magenta's for two-bar melodies and multitrack bars. It shifts neither trios nor 16-bar
    melodies, having more songs of them than most people have.
    """
    if transposer(config) is None:
        return 0
    multitrack = config.base in MULTITRACK_RULES
    return CHORD_SHIFT if multitrack or config.control_depth else DEFAULT_SHIFT


def transpose(tokens: np.ndarray, semitones: int) -> np.ndarray:
    """Shift melody and bass of (steps, 3) tokens, or give them back unshifted where a pitch
    would leave the modelled range."""
    notes = tokens[:, :2] >= FIRST_NOTE
    shifted = tokens[:, :2].astype(np.int64) + semitones * notes
    if (shifted[notes] < FIRST_NOTE).any() or (shifted[notes] >= MELODY_DEPTH).any():
        return tokens
    return np.concatenate([shifted.astype(tokens.dtype), tokens[:, 2:]], axis=1)


def transpose_melody(tokens: np.ndarray, semitones: int) -> np.ndarray:
    """As :func:`transpose`, of (steps, 1) melodies or (steps, 2) melodies and chords."""
    notes = tokens[:, 0] >= FIRST_NOTE
    shifted = tokens[:, 0].astype(np.int64) + semitones * notes
    if (shifted[notes] < FIRST_NOTE).any() or (shifted[notes] >= MELODY_DEPTH).any():
        return tokens
    chords = shift_chords(tokens[:, 1:], semitones)
    return np.concatenate([shifted[:, None].astype(tokens.dtype), chords], axis=1)


def transpose_bar(tokens: np.ndarray, semitones: int) -> np.ndarray:
    """As :func:`transpose`, of the (steps, 1 or 2) tokens of a multitrack bar: all tracks but
    drums, and the chords. (Magenta leaves out the notes that leave MIDI's range.)"""
    tracks = tokens[:, 0].reshape(MultitrackRules().max_tracks, -1).astype(np.int64)
    drums = (tracks == performance.PROGRAM + performance.DRUMS).any(1, keepdims=True)
    pitched = (tracks >= performance.NOTE_ON) & (tracks < performance.TIME_SHIFT) & ~drums
    pitches = tracks % performance.NOTE_OFF + semitones
    if ((pitches < 0) | (pitches >= performance.NOTE_OFF))[pitched].any():
        return tokens
    shifted = (tracks + semitones * pitched).reshape(-1, 1).astype(tokens.dtype)
    return np.concatenate([shifted, shift_chords(tokens[:, 1:], semitones)], axis=1)


def shift_chords(classes: np.ndarray, semitones: int) -> np.ndarray:
    """Chord classes (twelve roots of each kind after "no chord") on other roots."""
    roots, kinds = (classes - 1) % len(ROOTS), (classes - 1) // len(ROOTS)
    shifted = 1 + kinds * len(ROOTS) + (roots + semitones) % len(ROOTS)
    return np.where(classes > 0, shifted, classes).astype(classes.dtype)
