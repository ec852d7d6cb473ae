"""Monophonic parts: notes on steps ↔ one class a step; windows of melodies, with chords or
without.

Facts of note-seq 0.0.5's ``melodies_lib``: the highest of the notes that start together
sounds, a new note ends the one before, and a note that ends in silence leaves a "note off".
And of Magenta 2.1.4's ``music_vae.data.OneHotMelodyConverter``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pretty_midi

from musicvae_torch.chords.inference import infer_chords
from musicvae_torch.chords.symbols import CHORD_DEPTH, chord_classes, chord_name
from musicvae_torch.converters.base import Converter, Window, from_one_hot, one_hot
from musicvae_torch.converters.stretches import (
    MAX_STEPS,
    bar_line_after,
    bar_line_before,
    slide,
    stretches,
)
from musicvae_torch.midi.notes import NOTE_DTYPE, StepTrack, tracks_to_midi
from musicvae_torch.midi.quantize import DEFAULT_METRE, DEFAULT_QPM, Section, to_steps
from musicvae_torch.midi.vocabulary import (
    FIRST_NOTE,
    MAX_PITCH,
    MELODY_DEPTH,
    MELODY_PROGRAMS,
    MIN_PITCH,
    NO_EVENT,
    NOTE_OFF,
    OUTPUT_VELOCITY,
    STEPS_PER_BAR,
    STEPS_PER_QUARTER,
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
    sounding = highest_notes(starts, pitches)
    starts, ends, pitches = starts[sounding], ends[sounding], pitches[sounding]
    silent_after = ends < steps
    silent_after[:-1] &= ends[:-1] < starts[1:]
    tokens[ends[silent_after]] = NOTE_OFF
    tokens[starts] = pitches - MIN_PITCH + FIRST_NOTE
    return tokens


def highest_notes(start_steps: np.ndarray, pitches: np.ndarray) -> np.ndarray:
    """Indices, in order, of the highest note on each step that has any."""
    order = np.argsort(start_steps * 128 - pitches, kind="stable")
    starts = start_steps[order]
    highest = np.ones(len(starts), bool)
    highest[1:] = starts[1:] != starts[:-1]
    return np.asarray(order[highest])


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


def infer_chord_classes(*parts: np.ndarray) -> np.ndarray:
    """(steps,) chord classes (``chords.symbols.chord_class``) of melodies or basses, each (steps,)
    classes: a chord for each half of a bar, 0 for none."""
    steps = len(parts[0])
    seconds = 60 / DEFAULT_QPM / STEPS_PER_QUARTER
    rows = [
        (start * seconds, end * seconds, pitch, OUTPUT_VELOCITY, 0, False, part)
        for part, tokens in enumerate(parts)
        for start, end, pitch in melody_notes(tokens)
    ]
    notes = np.array(sorted(rows), NOTE_DTYPE)
    progression = infer_chords(notes, steps * seconds, DEFAULT_QPM, DEFAULT_METRE)
    if progression is None or not rows:
        return np.zeros(steps, np.int64)
    return chord_classes(progression.at_steps(steps, DEFAULT_QPM)).astype(np.int64)


@dataclass(frozen=True)
class MelodyRules:
    """What a melody config asks of a window.

    Attributes:
        melody_programs: programs that may be a melody; None: all.
        transpose_range: see :class:`Converter`.
        chords: whether windows carry chords.
    """

    melody_programs: frozenset[int] | None = None
    transpose_range: int = 0
    chords: bool = False


MELODY_RULES = {
    "cat-mel_2bar_small": MelodyRules(MELODY_PROGRAMS, transpose_range=5),
    "cat-mel_2bar_big": MelodyRules(MELODY_PROGRAMS, transpose_range=5),
    "cat-mel_2bar_med_chords": MelodyRules(transpose_range=3, chords=True),
    "flat-mel_16bar": MelodyRules(),
    "hierdec-mel_16bar": MelodyRules(),
    "hier-mel_16bar": MelodyRules(),
}


class MelodyConverter(Converter):
    """Melodies; tokens are (steps, 1) melody classes, or with chords (steps, 2) classes of
    melody and chord."""

    rules: MelodyRules

    def missing_parts(self, section: Section) -> list[str]:
        melodic = self._melodic(section.notes) & ~section.notes["is_drum"]
        return [] if melodic.any() else ["melody"]

    def stretches(self, section: Section) -> list[tuple[int, int, int]]:
        """Track, first bar and number of bars of each stretch without a bar of silence."""
        return [
            (track, first // STEPS_PER_BAR, len(tokens) // STEPS_PER_BAR)
            for track, first, tokens in self._stretches(section)
        ]

    def _stretches(self, section: Section) -> Iterator[tuple[int, int, np.ndarray]]:
        """The track, the first step and the tokens of each stretch."""
        melodic, instruments = self._melodic(section.notes), section.notes["instrument"]
        for track in np.unique(instruments[melodic]).tolist():
            for first, tokens in _track_stretches(section, melodic & (instruments == track)):
                yield track, first, tokens

    def has_chords(self, section: Section) -> bool:
        """Whether chords, if the config wants them, can be inferred for a section."""
        melodic = self._melodic(section.notes)
        return not self.rules.chords or _section_chords(section, melodic) is not None

    def _melodic(self, notes: np.ndarray) -> np.ndarray:
        """(notes,) bool: of the modelled pitches and of programs that may be a melody."""
        melodic = (notes["pitch"] >= MIN_PITCH) & (notes["pitch"] <= MAX_PITCH)
        if self.rules.melody_programs is not None:
            melodic &= np.isin(notes["program"], list(self.rules.melody_programs))
        return melodic

    def section_windows(self, section: Section, pedals: np.ndarray) -> list[Window]:
        """The distinct windows of a section of 4/4, from all its tracks.

        A bar of silence ends a stretch; windows lie within one, a bar apart.
        """
        melodic = self._melodic(section.notes)
        chords = _section_chords(section, melodic) if self.rules.chords and melodic.any() else None
        if self.rules.chords and chords is None:
            return []
        found: dict[bytes, Window] = {}
        for track, first, tokens in self._stretches(section):
            windows = _without_leading_offs(slide(tokens[:, None], self.steps))
            # Windows are the same if their chord symbols are, and not only these chords' classes.
            keys = windows
            if chords is not None:
                names, classes = (
                    slide(row[first : first + len(tokens), None], self.steps) for row in chords
                )
                keys = np.concatenate([windows, names], axis=-1)
                windows = np.concatenate([windows, classes], axis=-1)
            for index, window in enumerate(windows):
                bar = first // STEPS_PER_BAR + index
                key_suffix = f" {track} {bar}" if self.complete else ""
                if (key := keys[index].tobytes() + key_suffix.encode()) not in found:
                    found[key] = self.window(window.copy(), section, bar, [track])
        return list(found.values())

    def outputs(self, tokens: np.ndarray) -> np.ndarray:
        return one_hot(tokens[..., :1], [MELODY_DEPTH])

    def controls(self, tokens: np.ndarray) -> np.ndarray:
        if not self.rules.chords:
            return super().controls(tokens)
        return one_hot(tokens[..., 1:], [CHORD_DEPTH])

    def to_tokens(self, outputs: np.ndarray, controls: np.ndarray | None = None) -> np.ndarray:
        tokens = from_one_hot(outputs, [MELODY_DEPTH])
        if not self.rules.chords or controls is None:
            return tokens
        return np.concatenate([tokens, from_one_hot(controls, [CHORD_DEPTH])], axis=-1)

    def from_tokens(self, tokens: np.ndarray, qpm: float = DEFAULT_QPM) -> pretty_midi.PrettyMIDI:
        """Chords, where there are any, become text events of the file."""
        midi = tracks_to_midi([StepTrack("melody", melody_notes(tokens[:, 0]))], qpm)
        if tokens.shape[1] > 1:
            midi.text_events = chord_texts(tokens[:, 1], qpm)
        return midi


def _section_chords(section: Section, melodic: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The chord at each step that a melody may reach, as a number for each symbol and as a class;
    None if no chords can be inferred."""
    notes = section.notes.copy()
    notes["start"], notes["end"] = section.start_times, section.end_times
    end = float(notes["end"].max(initial=0.0))
    progression = infer_chords(notes[melodic], end, section.qpm, section.metre)
    if progression is None:
        return None
    last = section.end_steps[melodic].max(initial=0)
    steps = max(int(to_steps(np.array(end), section.qpm)), int(last))
    names = progression.at_steps(steps, section.qpm)
    # The last chord goes on to the end of the bar.
    names = np.pad(names, (0, bar_line_after(steps) - steps), mode="edge")
    _, numbers = np.unique(names, return_inverse=True)
    return numbers.astype(np.int16), chord_classes(names)


def _track_stretches(section: Section, own: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The first step and the tokens of each of a track's stretches."""
    notes = section.notes[own]
    starts, ends, pitches = section.start_steps[own], section.end_steps[own], notes["pitch"]
    all_starts = np.sort(starts)
    played = np.flatnonzero(~notes["is_drum"] & (notes["velocity"] > 0))
    played = played[highest_notes(starts[played], pitches[played])]
    starts, ends, pitches = starts[played], ends[played], pitches[played]
    end = 0
    for stretch in stretches(starts, ends):
        # The first note marks the beginning, even if it is not played.
        first = bar_line_before(all_starts[np.searchsorted(all_starts, end)])
        end = bar_line_after(ends[stretch.stop - 1])
        tokens = melody_tokens(
            starts[stretch] - first, ends[stretch] - first, pitches[stretch], end - first
        )[:MAX_STEPS]
        if (tokens >= FIRST_NOTE).any():
            yield first, tokens


def _without_leading_offs(windows: np.ndarray) -> np.ndarray:
    """Windows (windows, steps, 1) without the ends of notes that began before them."""
    begun = np.maximum.accumulate(windows >= FIRST_NOTE, axis=1)
    return np.where(begun, windows, windows.dtype.type(NO_EVENT))


def chord_texts(classes: np.ndarray, qpm: float) -> list[pretty_midi.Text]:
    """(steps,) chord classes → a text event for each new chord, by the name of its class.
    (Magenta's own converter of cat-mel_2bar_med_chords calls diminished chords "N.C.".)"""
    changes = np.flatnonzero(np.r_[True, classes[1:] != classes[:-1]][: len(classes)])
    seconds = 60 / qpm / STEPS_PER_QUARTER
    return [pretty_midi.Text(chord_name(int(classes[step])), step * seconds) for step in changes]
