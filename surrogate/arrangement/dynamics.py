"""Velocities of the new parts, which follow those of the song.

A new note's velocity is a sum: the level of its part in a song as loud as this one, how the song
swells and fades around the note, the accent of its position in the bar, and a small random
deviation. ``velocity_profile.json`` holds their sizes, which ``benchmarks/velocity_profile.py``
learnt from real songs; docs/dynamics.md measures the result. A channel's volume and expression
(controllers 7 and 11) are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from musicvae_torch.converters.drums import class_of_pitch
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, OUTPUT_VELOCITY, STEPS_PER_BAR
from surrogate.arrangement.fill import StepNote

PROFILE_FILE = Path(__file__).with_name("velocity_profile.json")
MAX_VELOCITY = 127
REFERENCE = 100.0  # the song's mean velocity at which the profile states each part's level
REACH = 3  # bars to each side at which notes no longer count for a bar's mean velocity
HALVINGS = 20  # of the range in which as_loud searches, by bisection
_WIDEST = 2.0  # spreads at which a random deviation is cut off


@dataclass(frozen=True)
class PartProfile:
    """Velocities of one part in real songs, in units of MIDI velocity.

    Attributes:
        level: mean velocity of the part in a song whose own notes average REFERENCE.
        slope: by how much it rises with each unit of that average.
        constant_level, constant_slope: the same, where all of the song's notes have one
            velocity, a setting rather than playing.
        most_above: the most by which the part's mean may exceed that of the song's own notes, so
            that the band does not drown a soft song; real parts exceed it in one song of ten.
        follow: share of the song's swelling and fading that the part follows.
        spread: standard deviation of notes at the same position of neighbouring bars.
        accents: (classes, 16) deviation from the part's level at each step of a bar; drums have
            nine classes, as in ``vocabulary.DRUM_CLASSES``, other parts one.
    """

    level: float
    slope: float
    constant_level: float
    constant_slope: float
    most_above: float
    follow: float
    spread: float
    accents: np.ndarray


@dataclass(frozen=True)
class VelocityContour:
    """Velocities of a song's own notes, bar by bar.

    Attributes:
        bars: (bars,) mean velocity of the notes around each.
        mean: of all notes.
        constant: whether all notes have the same velocity.
    """

    bars: np.ndarray
    mean: float
    constant: bool

    def at(self, steps: np.ndarray) -> np.ndarray:
        """Velocities at steps of any shape, interpolated between the middles of bars."""
        middles = (np.arange(len(self.bars)) + 0.5) * STEPS_PER_BAR
        velocities: np.ndarray = np.interp(np.asarray(steps) + 0.5, middles, self.bars)
        return velocities


def velocity_contour(start_steps: np.ndarray, velocities: np.ndarray, bars: int) -> VelocityContour:
    """Smooth the velocities of a song, bar by bar.

    A bar's notes count for itself and, with weights that fall to 0 REACH bars away, for its
    neighbours. Bars without notes near them are interpolated between those that have some.

    Args:
        start_steps, velocities: (notes,) of the song's own notes, such as the melody's; notes
            before the first bar or after the last count for that bar. Without notes, the contour is
            OUTPUT_VELOCITY throughout.
        bars: at least 1.
    """
    if not len(velocities):
        return VelocityContour(np.full(bars, float(OUTPUT_VELOCITY)), float(OUTPUT_VELOCITY), True)
    own = np.clip(np.asarray(start_steps) // STEPS_PER_BAR, 0, bars - 1)
    counts = np.bincount(own, minlength=bars)
    means = np.bincount(own, velocities, bars) / np.maximum(counts, 1)
    weights = np.bartlett(2 * REACH + 1)[1:-1]
    # In full, then cut: with "same", fewer bars than weights would give as many as weights.
    sums, shares = (
        np.convolve(row, weights)[REACH - 1 : REACH - 1 + bars]
        for row in (means, (counts > 0).astype(float))
    )
    near = np.flatnonzero(shares > 0)
    levels = np.interp(np.arange(bars), near, sums[near] / shares[near])
    return VelocityContour(levels, float(np.mean(velocities)), bool(np.ptp(velocities) == 0))


def part_velocities(
    notes: Sequence[StepNote],
    part: str,
    contour: VelocityContour,
    dynamics: float = 1.0,
    seed: int = 0,
    touch: np.ndarray | None = None,
) -> np.ndarray:
    """Velocities of a new part's notes.

    Args:
        notes: (start step, end step, pitch), steps counted from the first bar of `contour`.
        part: "melody", "bass" or "drums".
        contour: of the song's own notes.
        dynamics: 0 to 2. 0: all notes at OUTPUT_VELOCITY; 1: as in real songs. The part's level is
            the song's from 1 on; swells, accents and deviations grow in proportion.
        seed: of the deviations.
        touch: (notes,) velocities that say which notes are louder than others, in place of the
            profile's accents and deviations; only their differences from each other count, as the
            part is as loud as even notes would be (:func:`as_loud`). Such as
            :func:`surrogate.arrangement.feel.play_band` gives.

    Returns:
        (notes,) int64, 1 to 127.
    """
    if not notes:
        return np.zeros(0, np.int64)
    profile = part_profiles()[part]
    starts = np.array([start for start, _, _ in notes], np.int64)
    level = OUTPUT_VELOCITY + min(dynamics, 1.0) * (part_level(profile, contour) - OUTPUT_VELOCITY)
    even = level + dynamics * swell(profile, contour, starts)
    if touch is None:
        velocities = even + dynamics * profile_shape(notes, part, seed)
    else:
        velocities = as_loud(even + dynamics * touch, even)
    rounded: np.ndarray = np.rint(velocities).clip(1, MAX_VELOCITY)
    return rounded.astype(np.int64)


def as_loud(velocities: np.ndarray, even: np.ndarray) -> np.ndarray:
    """Velocities plus a constant, so that the notes have as much energy as with others: (notes,)
    from 1 to MAX_VELOCITY.

    The more velocities differ, the louder they are than equal ones of the same mean, because
    synthesizers' amplitudes are roughly as the square of the velocity (Dannenberg, "The
    Interpretation of MIDI Velocity", 2006), and energies as the square of the amplitude.

    Args:
        velocities, even: (notes,) of the same notes.
    """
    wanted = np.mean(even.clip(1, MAX_VELOCITY) ** 4)
    low, high = 1 - np.max(velocities), MAX_VELOCITY - np.min(velocities)  # all at one end
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        energy = np.mean((velocities + middle).clip(1, MAX_VELOCITY) ** 4)
        low, high = (middle, high) if energy < wanted else (low, middle)
    shifted: np.ndarray = (velocities + low).clip(1, MAX_VELOCITY)
    return shifted


def profile_shape(notes: Sequence[StepNote], part: str, seed: int = 0) -> np.ndarray:
    """Accents and random deviations of a part's notes, (notes,) in units of MIDI velocity;
    arguments are those of :func:`part_velocities`."""
    profiles = part_profiles()
    profile = profiles[part]
    starts, _, pitches = np.array(notes, np.int64).reshape(-1, 3).T
    # Each part draws from a stream of its own, so that none changes with another.
    rng = np.random.default_rng([seed, list(profiles).index(part)])
    hand = rng.standard_normal(len(notes)).clip(-_WIDEST, _WIDEST) * profile.spread
    return accents(profile, starts, pitches) + hand


def part_level(profile: PartProfile, contour: VelocityContour) -> float:
    """Mean velocity of a part in a song as loud as this one."""
    above = contour.mean - REFERENCE
    level = profile.level + profile.slope * above
    if contour.constant:
        level = profile.constant_level + profile.constant_slope * above
    return min(level, contour.mean + profile.most_above)


def swell(profile: PartProfile, contour: VelocityContour, steps: np.ndarray) -> np.ndarray:
    """What the song's swelling and fading adds at (notes,) steps."""
    return profile.follow * (contour.at(steps) - contour.mean)


def accents(profile: PartProfile, steps: np.ndarray, pitches: np.ndarray) -> np.ndarray:
    """What the position in the bar (and the drum) adds to notes, (notes,) each; 0 for percussion
    outside the nine drum classes."""
    positions = np.asarray(steps) % STEPS_PER_BAR
    drums = np.zeros_like(pitches)
    if len(profile.accents) > 1:
        drums = class_of_pitch(DRUM_CLASSES)[pitches]
    return np.where(drums >= 0, profile.accents[drums, positions], 0.0)


@cache
def part_profiles() -> dict[str, PartProfile]:
    """The profile of each part, from the package's file."""
    stored = json.loads(PROFILE_FILE.read_text(encoding="utf-8"))
    return {
        part: PartProfile(**{**values, "accents": np.array(values["accents"])})
        for part, values in stored["parts"].items()
    }
