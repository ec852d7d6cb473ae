"""Feel: how a drummer would play the new drums, and how the bass goes along.

The velocities and the timing of drum hits come from a GrooVAE. It predicts the mean of how hits
were played, which varies less than drummers do, so each hit gets a random residual on top;
``feel.json`` has the residuals' sizes, learnt by ``benchmarks/feel.py``. The song's own timing
comes first: if its off-beats are late, the band's are, and the drummer deviates from there.
docs/dynamics.md has the details.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from musicvae_torch.analysis.swing import median_offsets
from musicvae_torch.converters.drums import class_of_pitch
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, KICK, STEPS_PER_QUARTER
from musicvae_torch.model.vae import MusicVAE
from surrogate.arrangement.dynamics import profile_shape
from surrogate.arrangement.fill import StepNote
from surrogate.arrangement.groove import humanize_drums

RESIDUALS_FILE = Path(__file__).with_name("feel.json")
KICK_TIMING, KICK_VELOCITY = 0.5, 0.3  # shares of the kick's deviations that the bass takes
MOST_OFFSET = 0.49  # of a step; half a step would be as near to the next one
_WIDEST = 2.0  # standard deviations at which a residual is cut off
_STREAM = 100  # of random numbers; the parts' velocities have others


class Played(NamedTuple):
    """How notes of a part are played.

    Attributes:
        shape: (notes,) velocities that say which notes are louder than others, for
            :func:`surrogate.arrangement.dynamics.part_velocities`.
        offsets: (notes,) by how much of a step each comes after the grid (before it, if negative),
            less than half a step.
    """

    shape: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class Residuals:
    """By how much drummers differ from what the network predicts.

    Attributes:
        velocity, timing: (9,) standard deviation of each drum's hits, in units of MIDI velocity and
            in steps.
        drift: share of the timing's variance that is of all drums together: the drummer is early or
            late for a while.
        drift_steps: after how many steps the drift's correlation with itself falls to 1 / e.
        velocity_share, timing_share: the share of the standard deviations that is played.
    """

    velocity: np.ndarray
    timing: np.ndarray
    drift: float
    drift_steps: float
    velocity_share: float
    timing_share: float


@cache
def residuals() -> Residuals:
    """What the package's file of residuals says."""
    stored = json.loads(RESIDUALS_FILE.read_text(encoding="utf-8"))
    for name in ("velocity", "timing"):
        stored[name] = np.array(stored[name])
    return Residuals(**stored)


def play_band(
    model: MusicVAE,
    parts: Mapping[str, Sequence[StepNote]],
    swing: np.ndarray,
    even: np.ndarray,
    feel: float,
    seed: int,
) -> dict[str, Played]:
    """How the new parts of a song are played.

    Args:
        model: a GrooVAE that plays hits.
        parts: notes (start step, end step, pitch) of each part, in any order.
        swing: (4,) of the song (:func:`song_swing`).
        even: (beats,) where it applies (:func:`even_beats`), counted from step 0 of the notes.
        feel: 0 to 2; 0: even velocities, and nothing but the swing.
        seed: of the residuals and of the profile's deviations.
    """
    hits = parts.get("drums", ())
    louder, later = np.zeros((2, len(hits)))
    if feel:
        louder, later = (feel * deviation for deviation in deviations(model, hits, seed))
    swings = {part: _swing_of(notes, swing, even) for part, notes in parts.items()}
    if hits:
        later = (swings["drums"] + later).clip(-MOST_OFFSET, MOST_OFFSET) - swings["drums"]
    played = {}
    for part, notes in parts.items():
        shape, offsets = louder, later
        if part != "drums":
            shape, offsets = min(feel, 1.0) * profile_shape(notes, part, seed), np.zeros(len(notes))
        if part == "bass":
            shape += KICK_VELOCITY * with_kick(notes, hits, louder)
            offsets += KICK_TIMING * with_kick(notes, hits, later)
        offsets = (swings[part] + offsets).clip(-MOST_OFFSET, MOST_OFFSET)
        played[part] = Played(shape, offsets)
    return played


def deviations(
    model: MusicVAE, hits: Sequence[StepNote], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """What a drummer adds to hits on the grid of even velocity: (hits,) each, in units of MIDI
    velocity and in steps.

    The network's velocities count from their mean, and its offsets from their mean at that position
    of the beat, because the level and the swing are the song's. Percussion outside the nine drums
    has no deviation.
    """
    starts, _, pitches = np.array(hits, np.int64).reshape(-1, 3).T
    touch = humanize_drums(model, hits)
    drums = class_of_pitch(DRUM_CLASSES)[pitches]
    known = drums >= 0
    louder, later = touch.velocities.astype(np.float64), touch.offsets.copy()
    louder[known] -= louder[known].mean() if known.any() else 0.0
    for position in range(STEPS_PER_QUARTER):
        there = known & (starts % STEPS_PER_QUARTER == position)
        later[there] -= later[there].mean() if there.any() else 0.0
    velocity, timing = draw_residuals(starts, drums, seed)
    return np.where(known, louder + velocity, 0.0), np.where(known, later + timing, 0.0)


def draw_residuals(
    starts: np.ndarray, drums: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Residuals of hits, (hits,) each, in units of MIDI velocity and in steps.

    Args:
        starts: (hits,) steps.
        drums: (hits,) indices of drums; any, for a drum without residuals.
        seed: of the draws.
    """
    sizes = residuals()
    rng = np.random.default_rng([seed, _STREAM])
    louder, later = rng.standard_normal((2, len(starts)))
    drift = _drift(starts, sizes.drift_steps, rng)
    later = np.sqrt(sizes.drift) * drift + np.sqrt(1 - sizes.drift) * later
    velocity = sizes.velocity_share * sizes.velocity[drums]
    timing = sizes.timing_share * sizes.timing[drums]
    return louder.clip(-_WIDEST, _WIDEST) * velocity, later.clip(-_WIDEST, _WIDEST) * timing


def _drift(starts: np.ndarray, lasting: float, rng: np.random.Generator) -> np.ndarray:
    """A standard normal process at (hits,) steps whose correlation with itself falls to 1 / e in
    `lasting` steps (that of Ornstein and Uhlenbeck)."""
    steps, own = np.unique(starts, return_inverse=True)
    kept = np.exp(-np.diff(steps, prepend=steps[:1]) / lasting)
    values = rng.standard_normal(len(steps))
    for index in range(1, len(steps)):
        fresh = np.sqrt(1 - kept[index] ** 2)
        values[index] = kept[index] * values[index - 1] + fresh * values[index]
    drift: np.ndarray = values[own]
    return drift


def with_kick(
    notes: Sequence[StepNote], hits: Sequence[StepNote], deviation: np.ndarray
) -> np.ndarray:
    """The deviation of the kick on the step on which each note begins, 0 if there is none:
    (notes,), of the (hits,) deviations of `hits`."""
    drum = class_of_pitch(DRUM_CLASSES)
    of_step = {
        start: value
        for (start, _, pitch), value in zip(hits, deviation.tolist(), strict=True)
        if drum[pitch] == KICK
    }
    return np.array([of_step.get(start, 0.0) for start, _, _ in notes])


def even_beats(step_ticks: np.ndarray) -> np.ndarray:
    """(beats,) bool: which beats have four steps of equal length. Beats of compound metres do not,
    and beats that the song's metre lacks last no time; a position in them is not swung.

    Args:
        step_ticks: (beats * 4 + 1,) ticks at which steps begin, and the last one ends.
    """
    lengths = np.diff(step_ticks).reshape(-1, STEPS_PER_QUARTER)
    # Steps of a resolution that four does not divide differ by a tick.
    return np.asarray((lengths.min(1) > 0) & (np.ptp(lengths, axis=1) <= 1))


def song_swing(step_ticks: np.ndarray, starts: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """By how much of a step the song's notes come after the grid (before it, if negative) at each
    of the four positions of a beat: (4,).

    See :func:`musicvae_torch.analysis.swing.median_offsets`. Beats of compound metres are left out.

    Args:
        step_ticks: as for :func:`even_beats`.
        starts: (notes,) ticks at which the song's own notes begin.
        steps: (notes,) the nearest step of each.
    """
    even = np.append(even_beats(step_ticks), False)
    chosen = even[steps // STEPS_PER_QUARTER]
    starts, first = np.unique(starts[chosen], return_index=True)  # a chord counts once
    steps = steps[chosen][first]
    offsets = (starts - step_ticks[steps]) / np.maximum(np.diff(step_ticks)[steps], 1)
    return median_offsets(offsets, steps)


def tick_shifts(step_ticks: np.ndarray, steps: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Offsets of notes in ticks, (notes,) int64, less than half of the step into which the note is
    moved; so notes on different steps cannot swap or coincide.

    Args:
        step_ticks: as for :func:`even_beats`.
        steps: (notes,) at which the notes begin, each of which lasts some time.
        offsets: (notes,) in steps, positive if late.
    """
    lengths = np.diff(step_ticks)
    lasting = np.flatnonzero(lengths)
    before = lasting[np.maximum(np.searchsorted(lasting, steps) - 1, 0)]
    room = np.where(offsets < 0, lengths[before], lengths[steps])
    most = np.maximum(room - 1, 0) // 2
    shifts: np.ndarray = np.rint(offsets * room).astype(np.int64).clip(-most, most)
    return shifts


def moved(notes: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Notes of one part moved by ticks, in order of their starts.

    Notes that did not overlap, of one pitch or of a part of one voice, still do not.

    Args:
        notes: of TICK_NOTE, in order of their starts.
        shifts: (notes,).
    """
    made = notes.copy()
    made["start"] += shifts
    made["end"] += shifts
    pitched = np.lexsort((notes["start"], notes["pitch"]))
    for order in (pitched, np.argsort(notes["start"], kind="stable")):
        here, there = order[:-1], order[1:]
        apart = notes["end"][here] <= notes["start"][there]
        apart &= notes["start"][here] < notes["start"][there]
        here, there = here[apart], there[apart]
        made["end"][here] = np.minimum(made["end"][here], made["start"][there])
    made["end"] = np.maximum(made["end"], made["start"] + 1)
    return np.sort(made, order=("start", "pitch"))


def _swing_of(notes: Sequence[StepNote], swing: np.ndarray, even: np.ndarray) -> np.ndarray:
    starts = np.array(notes, np.int64).reshape(-1, 3)[:, 0]
    beats = np.minimum(starts // STEPS_PER_QUARTER, len(even) - 1)
    return np.where(even[beats], swing[starts % STEPS_PER_QUARTER], 0.0)
