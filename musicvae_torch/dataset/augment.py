"""Variations of windows to train on, made of their tokens: transposed, or with fewer drums."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from musicvae_torch.chords.symbols import ROOTS
from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.converters import performance
from musicvae_torch.converters.groove import DRUMS, GROOVE_RULES
from musicvae_torch.converters.melody import MELODY_RULES
from musicvae_torch.converters.multitrack import MULTITRACK_RULES, MultitrackRules
from musicvae_torch.converters.trio import TRIO_RULES
from musicvae_torch.midi.vocabulary import FIRST_NOTE, MELODY_DEPTH

Transpose = Callable[[np.ndarray, int], np.ndarray]  # (steps, parts) tokens, semitones → tokens

DEFAULT_SHIFT = 5
CHORD_SHIFT = 3  # Magenta's, for windows with chords and for multitrack bars


def transposer(config: MusicVAEConfig) -> Transpose | None:
    """The function that shifts a config's windows; None for drums and grooves, which have no key.

    A config of three parts whose `base` is none of Magenta's counts as one of trios.
    """
    if config.base in TRIO_RULES or len(config.output_depths) == 3:
        return transpose
    if config.base in MELODY_RULES:
        return transpose_melody
    return transpose_bar if config.base in MULTITRACK_RULES else None


def has_drums_to_silence(config: MusicVAEConfig) -> bool:
    """Whether :func:`silence_drums` takes a config's windows."""
    return config.base in GROOVE_RULES


def silence_drums(tokens: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Grooves in which each drum of each window is silent with a probability: (windows, steps,
    columns) tokens of a ``GrooveConverter``. The other drums are as they were played."""
    windows, steps, _ = tokens.shape
    sounds = rng.random((windows, 1, 1, DRUMS)) >= probability
    return (tokens.reshape(windows, steps, -1, DRUMS) * sounds).reshape(tokens.shape)


def default_shift(config: MusicVAEConfig) -> int:
    """Most semitones, either way, of a random shift in training.

    Magenta's for two-bar melodies and multitrack bars. Magenta shifts neither trios nor 16-bar
    melodies, of which it has more songs than most people.
    """
    if transposer(config) is None:
        return 0
    multitrack = config.base in MULTITRACK_RULES
    return CHORD_SHIFT if multitrack or config.control_depth else DEFAULT_SHIFT


def transpose(tokens: np.ndarray, semitones: int) -> np.ndarray:
    """Shift melody and bass of (steps, 3) tokens; return them unshifted if a pitch would leave
    the modelled range."""
    return _transposed(tokens, 2, semitones, tokens[:, 2:])


def transpose_melody(tokens: np.ndarray, semitones: int) -> np.ndarray:
    """Shift (steps, 1) melodies or (steps, 2) melodies and chords; see :func:`transpose`."""
    return _transposed(tokens, 1, semitones, shift_chords(tokens[:, 1:], semitones))


def _transposed(tokens: np.ndarray, lines: int, semitones: int, rest: np.ndarray) -> np.ndarray:
    """The first `lines` columns shifted, beside the `rest`; or the tokens unchanged."""
    notes = tokens[:, :lines] >= FIRST_NOTE
    shifted = tokens[:, :lines].astype(np.int64) + semitones * notes
    if (shifted[notes] < FIRST_NOTE).any() or (shifted[notes] >= MELODY_DEPTH).any():
        return tokens
    return np.concatenate([shifted.astype(tokens.dtype), rest], axis=1)


def transpose_bar(tokens: np.ndarray, semitones: int) -> np.ndarray:
    """Shift the (steps, 1 or 2) tokens of a multitrack bar, all tracks but drums, and its chords;
    see :func:`transpose`. (Magenta drops the notes that would leave MIDI's range.)"""
    tracks = tokens[:, 0].reshape(MultitrackRules().max_tracks, -1).astype(np.int64)
    drums = (tracks == performance.PROGRAM + performance.DRUMS).any(1, keepdims=True)
    pitched = (tracks >= performance.NOTE_ON) & (tracks < performance.TIME_SHIFT) & ~drums
    pitches = tracks % performance.NOTE_OFF + semitones
    if ((pitches < 0) | (pitches >= performance.NOTE_OFF))[pitched].any():
        return tokens
    shifted = (tracks + semitones * pitched).reshape(-1, 1).astype(tokens.dtype)
    return np.concatenate([shifted, shift_chords(tokens[:, 1:], semitones)], axis=1)


def shift_chords(classes: np.ndarray, semitones: int) -> np.ndarray:
    """Shift chord classes: "no chord", and then twelve roots of each kind of chord."""
    roots, kinds = (classes - 1) % len(ROOTS), (classes - 1) // len(ROOTS)
    shifted = 1 + kinds * len(ROOTS) + (roots + semitones) % len(ROOTS)
    return np.where(classes > 0, shifted, classes).astype(classes.dtype)
