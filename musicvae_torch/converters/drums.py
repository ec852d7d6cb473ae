"""Drums: hits on steps ↔ tokens, rolls, one-hot rows and MIDI.

A roll says which classes of drums are struck at a step; a token is a roll's bits, at most 15 to
a number. With nine classes that is one number, Magenta's one-hot class. Facts of Magenta 2.1.4's
``music_vae.data.DrumsConverter`` and note-seq 0.0.5's ``drums_lib``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pretty_midi

from musicvae_torch.converters.base import Converter, Window, from_one_hot, one_hot
from musicvae_torch.converters.stretches import (
    MAX_STEPS,
    bar_line_after,
    bar_line_before,
    slide,
    stretches,
)
from musicvae_torch.midi.notes import StepTrack, tracks_to_midi
from musicvae_torch.midi.quantize import DEFAULT_QPM, Section
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, FULL_DRUM_CLASSES, STEPS_PER_BAR

_BITS = 1 << np.arange(15)

Classes = tuple[tuple[int, ...], ...]


def drum_tokens(
    start_steps: np.ndarray, pitches: np.ndarray, steps: int, classes: Classes = DRUM_CLASSES
) -> np.ndarray:
    """Hits → (steps, words) int16 tokens.

    Args:
        start_steps, pitches: (hits,). Those of no class or after the last step are left out.
        steps: length of the result.
        classes: pitches of each.
    """
    struck = class_of_pitch(classes)[pitches]
    inside = (start_steps >= 0) & (start_steps < steps) & (struck >= 0)
    words, bits = np.divmod(struck[inside], len(_BITS))
    tokens = np.zeros((steps, -(-len(classes) // len(_BITS))), np.int16)
    np.bitwise_or.at(tokens, (start_steps[inside], words), _BITS[bits].astype(np.int16))
    return tokens


@cache
def class_of_pitch(classes: Classes) -> np.ndarray:
    """(128,) index of the class that holds each pitch; -1 for none. Not to be written to."""
    table = np.full(128, -1)
    for index, pitches in enumerate(classes):
        table[list(pitches)] = index
    return table


def pack_rolls(rolls: np.ndarray) -> np.ndarray:
    """(..., classes) bool → (..., words) int16, the first class in the lowest bit."""
    padding = [(0, 0)] * (rolls.ndim - 1) + [(0, -rolls.shape[-1] % len(_BITS))]
    words = np.pad(rolls, padding).reshape(*rolls.shape[:-1], -1, len(_BITS))
    return np.asarray(words @ _BITS, np.int16)


def unpack_rolls(tokens: np.ndarray, classes: int) -> np.ndarray:
    """(..., words) → (..., classes) bool; inverse of :func:`pack_rolls`."""
    bits: np.ndarray = (tokens[..., None].astype(np.int64) & _BITS) != 0
    return bits.reshape(*tokens.shape[:-1], -1)[..., :classes]


def drum_notes(tokens: np.ndarray, classes: Classes = DRUM_CLASSES) -> list[tuple[int, int, int]]:
    """(steps, words) tokens → hits as (start step, end step, pitch): each lasts one step, each
    class sounds as its first pitch."""
    struck = np.argwhere(unpack_rolls(tokens, len(classes)))
    return [(step, step + 1, classes[index][0]) for step, index in struck.tolist()]


@dataclass(frozen=True)
class DrumRules:
    """What a drum config asks of a window: pitches of each class of drums, and whether the decoder
    gives rolls or one-hot rows."""

    classes: Classes = DRUM_CLASSES
    roll_output: bool = False


DRUM_RULES = {
    "cat-drums_2bar_small": DrumRules(),
    "cat-drums_2bar_big": DrumRules(),
    "nade-drums_2bar_reduced": DrumRules(roll_output=True),
    "nade-drums_2bar_full": DrumRules(FULL_DRUM_CLASSES, roll_output=True),
}


class DrumsConverter(Converter):
    """Drums; tokens are (steps, words)."""

    rules: DrumRules

    def missing_parts(self, section: Section) -> list[str]:
        return [] if self._hits(section.notes).any() else ["drums"]

    def stretches(self, section: Section) -> list[tuple[int, int]]:
        """First bar and number of bars of each stretch of hits without a bar of silence."""
        found = self._stretches(section)
        return [(first // STEPS_PER_BAR, len(tokens) // STEPS_PER_BAR) for first, tokens in found]

    def _hits(self, notes: np.ndarray) -> np.ndarray:
        """(notes,) bool: of drums that the config knows."""
        is_known = class_of_pitch(self.rules.classes)[notes["pitch"]] >= 0
        return np.asarray(is_known & notes["is_drum"] & (notes["velocity"] > 0))

    def _stretches(self, section: Section) -> Iterator[tuple[int, np.ndarray]]:
        """The first step and the tokens of each stretch."""
        hits = self._hits(section.notes)
        order = np.argsort(section.start_steps[hits], kind="stable")
        starts, pitches = section.start_steps[hits][order], section.notes["pitch"][hits][order]
        for stretch in stretches(starts, starts + 1):
            first = bar_line_before(starts[stretch.start])
            steps = bar_line_after(starts[stretch.stop - 1] + 1) - first
            own = starts[stretch] - first, pitches[stretch]
            yield first, drum_tokens(*own, steps, self.rules.classes)

    def section_windows(self, section: Section, pedals: np.ndarray) -> list[Window]:
        """The distinct windows of a section of 4/4, all drum tracks taken together.

        A bar without hits ends a stretch; windows lie within one, a bar apart.
        """
        tracks = np.unique(section.notes["instrument"][self._hits(section.notes)]).tolist()
        found: dict[bytes, Window] = {}
        for first, tokens in self._stretches(section):
            windows = slide(tokens[:MAX_STEPS], self.steps)
            for bar, window in enumerate(windows, first // STEPS_PER_BAR):
                key_suffix = f" {bar}" if self.complete else ""
                if (key := window.tobytes() + key_suffix.encode()) not in found:
                    found[key] = self.window(window.copy(), section, bar, tracks)
        return list(found.values())

    def inputs(self, tokens: np.ndarray) -> np.ndarray:
        """Rolls, and a last column that is set where nothing is struck."""
        rolls = unpack_rolls(tokens, len(self.rules.classes))
        return np.concatenate([rolls, ~rolls.any(-1, keepdims=True)], axis=-1)

    def outputs(self, tokens: np.ndarray) -> np.ndarray:
        """Rolls or one-hot rows."""
        classes = len(self.rules.classes)
        if self.rules.roll_output:
            return unpack_rolls(tokens, classes)
        return one_hot(tokens, [2**classes])

    def to_tokens(self, outputs: np.ndarray, controls: np.ndarray | None = None) -> np.ndarray:
        if self.rules.roll_output:
            return pack_rolls(outputs != 0)
        return from_one_hot(outputs, [2 ** len(self.rules.classes)])

    def from_tokens(self, tokens: np.ndarray, qpm: float = DEFAULT_QPM) -> pretty_midi.PrettyMIDI:
        hits = drum_notes(tokens, self.rules.classes)
        return tracks_to_midi([StepTrack("drums", hits, is_drum=True)], qpm)
