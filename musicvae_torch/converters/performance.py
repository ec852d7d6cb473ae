"""Performances: what a track plays in one bar ↔ one class an event.

Facts of note-seq 0.0.5's ``performance_lib`` and ``PerformanceOneHotEncoding``, and of how
Magenta 2.1.4's ``music_vae.data_hierarchical`` uses them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass

import numpy as np

STEPS_PER_QUARTER = 24
STEPS_PER_BAR = 96  # of 4/4

# A track is a program, events in order of time, and END. A class is one of these plus a value.
NOTE_ON = 0  # pitch
NOTE_OFF = 128  # pitch
TIME_SHIFT = 256  # steps - 1
VELOCITY = 352  # bin, of the notes that follow
PROGRAM = 360  # program, or DRUMS
END = 489
DEPTH = 490

DRUMS = 128  # stands for the program of all drum kits
VELOCITY_BIN = 16  # velocities in a bin
DEFAULT_VELOCITY = 100  # until a bin is named

STEP_NOTE_DTYPE = np.dtype(
    [(name, np.int64) for name in ("track", "start", "end", "pitch", "velocity")]
)

# Steps of a bar, its end among them: a track's number and a step make one number.
_POSITIONS = STEPS_PER_BAR + 1


@dataclass(frozen=True)
class Events:
    """Events of many tracks, in order of track, then time.

    Attributes:
        classes: (events,) 0 to DEPTH - 1.
        tracks: (events,) index of each one's track.
        steps: (events,) 0 to STEPS_PER_BAR; a time shift's is its end.
    """

    classes: np.ndarray
    tracks: np.ndarray
    steps: np.ndarray


@dataclass(frozen=True)
class Performance:
    """What a track plays in one bar."""

    program: int  # 0 to 127; 0 for drums
    is_drum: bool
    notes: list[tuple[int, int, int, int]]  # (start step, end step, pitch, velocity), as they end


def encode_performances(programs: np.ndarray, notes: np.ndarray) -> Events:
    """Notes → events, of many tracks at once.

    Within a step notes end before others start, and lower ones start first.

    Args:
        programs: (tracks,) 0 to 127, or DRUMS.
        notes: of STEP_NOTE_DTYPE, in the order in which they were played; start 0 to
            STEPS_PER_BAR, end after the start. Those that start where the bar ends are left out.
    """
    notes = _first_in_first_out(notes[notes["start"] < STEPS_PER_BAR])
    bins = (notes["velocity"] - 1) // VELOCITY_BIN
    named = np.ones(len(notes), bool)
    named[1:] = (bins[1:] != bins[:-1]) | (notes["track"][1:] != notes["track"][:-1])
    note_ons = np.stack([VELOCITY + bins, NOTE_ON + notes["pitch"]], axis=1)
    note_ons = note_ons[np.stack([named, np.ones_like(named)], axis=1)]

    # A track left without notes is a drum kit to note-seq, as all of its notes are drums'.
    empty = np.bincount(notes["track"], minlength=len(programs)) == 0
    bar_starts = np.arange(len(programs)) * _POSITIONS
    bar_ends = bar_starts + STEPS_PER_BAR
    starts, ends = (notes["track"] * _POSITIONS + notes[edge] for edge in ("start", "end"))
    shift_ends, shifts = _time_shifts(np.concatenate([starts, ends, bar_ends]))

    # In the order of events within a step, which a stable sort by position keeps.
    classes, positions = zip(
        (PROGRAM + np.where(empty, DRUMS, programs), bar_starts),
        (TIME_SHIFT + shifts - 1, shift_ends),
        (NOTE_OFF + notes["pitch"], ends),
        (note_ons, np.repeat(starts, 1 + named)),
        (np.full(len(programs), END), bar_ends),
        strict=True,
    )
    order = np.argsort(np.concatenate(positions), kind="stable")
    tracks, steps = np.divmod(np.concatenate(positions)[order], _POSITIONS)
    return Events(np.concatenate(classes)[order], tracks, steps)


def _first_in_first_out(notes: np.ndarray) -> np.ndarray:
    """The notes as events can tell them, by track, start and pitch: when notes of one pitch
    overlap, the first to start is the first to end."""
    notes = notes.copy()
    voices = notes["track"] * 128 + notes["pitch"]
    by_start = np.argsort(voices, kind="stable")
    by_end = np.argsort(voices * _POSITIONS + notes["end"], kind="stable")
    notes["end"][by_start] = notes["end"][by_end]
    positions = notes["track"] * _POSITIONS + notes["start"]
    return notes[np.argsort(positions * 128 + notes["pitch"], kind="stable")]


def _time_shifts(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The positions at which time shifts end, and their lengths, so that all `positions` are
    reached."""
    positions = np.unique(positions)
    before = np.concatenate([[0], positions[:-1]])
    steps = positions - np.maximum(before, positions // _POSITIONS * _POSITIONS)
    return positions[steps > 0], steps[steps > 0]


def lasting_steps(classes: np.ndarray) -> np.ndarray:
    """The number of steps that each event takes: 0, except for time shifts."""
    is_shift = (classes >= TIME_SHIFT) & (classes < VELOCITY)
    return np.where(is_shift, classes - TIME_SHIFT + 1, 0)


def decode_performance(classes: np.ndarray) -> Performance:
    """Decode any sequence of classes to notes, as Magenta does, even if the sequence makes no
    sense.

    Everything after the first END or after the bar is left out; notes that still sound end with
    the bar. Note offs without their note ons, notes that end where they start, and programs after
    the first are ignored.

    Args:
        classes: (events,) 0 to DEPTH - 1.
    """
    program = None
    notes: list[tuple[int, int, int, int]] = []
    sounding: defaultdict[int, deque[tuple[int, int]]] = defaultdict(deque)
    step, velocity = 0, DEFAULT_VELOCITY
    for event in classes.tolist():
        if event == END:
            break
        if event >= PROGRAM:
            program = event - PROGRAM if program is None else program
        elif step >= STEPS_PER_BAR:
            continue  # a program may yet come
        elif event >= VELOCITY:
            velocity = 1 + (event - VELOCITY) * VELOCITY_BIN
        elif event >= TIME_SHIFT:
            step += event - TIME_SHIFT + 1
        elif event < NOTE_OFF:
            sounding[event].append((step, velocity))
        elif sounding[event - NOTE_OFF]:
            start, loudness = sounding[event - NOTE_OFF].popleft()
            notes.append((start, step, event - NOTE_OFF, loudness))
    notes += [
        (start, STEPS_PER_BAR, pitch, loudness)
        for pitch, held in sounding.items()
        for start, loudness in held
    ]
    sounding_notes = [note for note in notes if note[0] < note[1]]
    is_drum = program == DRUMS
    return Performance(0 if is_drum else program or 0, is_drum, sounding_notes)
