"""Measures of windows: how dense, how high, how syncopated they are, how much they swing.

All are of onsets on the grid of sixteenths, sixteen to a bar of 4/4, and give (windows,) numbers
for many windows: NaN if there is nothing to measure, as of the register of a silent melody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import numpy as np

from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.converters.drums import DRUM_RULES, unpack_rolls
from musicvae_torch.converters.groove import DRUMS, GROOVE_RULES
from musicvae_torch.converters.melody import MELODY_RULES
from musicvae_torch.converters.trio import TRIO_RULES
from musicvae_torch.errors import ConfigError
from musicvae_torch.midi.vocabulary import (
    DRUM_CLASSES,
    FIRST_NOTE,
    MIN_PITCH,
    PARTS,
    STEPS_PER_BAR,
    STEPS_PER_QUARTER,
)

# Metrical weight of each sixteenth of a bar of 4/4, after Longuet-Higgins and Lee 1984, "The
# rhythmic interpretation of monophonic music": minus the number of times that the bar must be
# halved to get there.
_WEIGHTS = np.array([0, -4, -3, -4, -2, -4, -3, -4, -1, -4, -3, -4, -2, -4, -3, -4])
_WEAKEST = -100  # weaker than any step
_HIT = 0.5  # a groove's hits, 0 or 1 up to rounding, are above it


@dataclass(frozen=True)
class WindowParts:
    """The parts of windows; None: a config has no such part.

    Attributes:
        melody, bass: (windows, steps) melody classes; -1, a row of zeros, is no event.
        drums: (windows, steps, drums) bool, what is struck.
    """

    melody: np.ndarray | None = None
    bass: np.ndarray | None = None
    drums: np.ndarray | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the present parts, in the order of trios."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is not None)

    def onsets(self, part: str) -> np.ndarray:
        """(windows, steps) bool: whether anything starts."""
        tokens = self.part(part)
        return np.asarray(tokens.any(-1) if part == "drums" else tokens >= FIRST_NOTE)

    def part(self, name: str) -> np.ndarray:
        """The part of that name; raises ValueError if it is not present."""
        tokens: np.ndarray | None = getattr(self, name)
        if tokens is None:
            raise ValueError(f"there is no part {name!r} here, only {', '.join(self.names)}")
        return tokens


def window_parts(config: MusicVAEConfig, tokens: np.ndarray) -> WindowParts:
    """The parts of a config's windows, given their tokens (windows, steps, parts).

    Raises:
        ConfigError: the config's windows are not melodies, drums, grooves or trios of whole bars.
    """
    base = config.base
    if config.max_seq_len % STEPS_PER_BAR:
        raise ConfigError(f"config {config.name!r}: attributes are measured of whole bars")
    if base in TRIO_RULES:
        drums = unpack_rolls(tokens[..., 2:], len(DRUM_CLASSES))
        return WindowParts(tokens[..., 0], tokens[..., 1], drums)
    if base in MELODY_RULES:
        return WindowParts(melody=tokens[..., 0])
    if base in DRUM_RULES:
        return WindowParts(drums=unpack_rolls(tokens, len(DRUM_RULES[base].classes)))
    if base in GROOVE_RULES:
        return WindowParts(drums=tokens[..., :DRUMS] > _HIT)
    raise ConfigError(
        f"config {config.name!r}: attributes are known of melodies, drums, grooves and trios"
    )


def onset_density(onsets: np.ndarray) -> np.ndarray:
    """Onsets a bar, 0 to 16, of onsets (windows, steps) bool."""
    return np.asarray(onsets.mean(-1) * STEPS_PER_BAR)


def hit_density(rolls: np.ndarray) -> np.ndarray:
    """Drum hits a bar, 0 to 16 times the drums, of hits (windows, steps, drums) bool."""
    return np.asarray(rolls.sum(-1).mean(-1) * STEPS_PER_BAR)


def register(tokens: np.ndarray) -> np.ndarray:
    """Mean MIDI pitch of the notes, long or short, 21 to 108, of melody classes (windows, steps);
    NaN without notes."""
    notes = tokens >= FIRST_NOTE
    total = np.where(notes, tokens - FIRST_NOTE + MIN_PITCH, 0).sum(-1)
    return _share(total, notes.sum(-1))


def average_interval(tokens: np.ndarray) -> np.ndarray:
    """Mean distance in semitones, up or down, from note to note, with or without rests between, 0
    to 87, of melody classes (windows, steps); NaN for fewer than two notes."""
    window, step = np.nonzero(tokens >= FIRST_NOTE)
    pitches = tokens[window, step].astype(np.int64)
    same = window[1:] == window[:-1]
    leaps = np.abs(np.diff(pitches))[same]
    total = np.bincount(window[1:][same], leaps, minlength=len(tokens))
    return _share(total, np.bincount(window[1:][same], minlength=len(tokens)))


def syncopation(onsets: np.ndarray) -> np.ndarray:
    """Mean syncopation of the notes, 0 (all on the beat, or followed by one on it) to 4, of onsets
    (windows, steps) bool; NaN without onsets.

    After Longuet-Higgins and Lee (1984). A bar's first step weighs 0, its middle -1, the other
    beats -2, eighths -3, sixteenths -4. The syncopation of a note is by how much the heaviest step
    after it, before the next onset or the window's end, is heavier than its own; 0 if it is not.
    Theirs is the sum, which grows with the number of notes.
    """
    windows, steps = onsets.shape
    weights = np.resize(_WEIGHTS, steps)
    excess = np.zeros((windows, steps))
    strongest = np.full(windows, _WEAKEST)  # of the steps from here to before the next onset
    for step in reversed(range(steps)):
        here = onsets[:, step]
        excess[:, step] = np.where(here, np.maximum(strongest - weights[step], 0), 0)
        strongest = np.where(here, _WEAKEST, np.maximum(strongest, weights[step]))
    return _share(excess.sum(-1), onsets.sum(-1))


def swing(*parts: np.ndarray) -> np.ndarray:
    """Share of the off-beat eighths that come a sixteenth late, 0 (straight) to 1, of the onsets
    (windows, steps) bool of each part; NaN if no beat has such an eighth.

    A beat of four sixteenths has an off-beat eighth if there is one onset after the beat itself,
    on the third sixteenth (straight) or on the fourth (late). Beats with more onsets, such as runs
    of sixteenths, or with one on the second do not count. All parts' beats count alike.

    The grid is coarse. Swung eighths of 2:1 lie at 2.67 sixteenths and round to the fourth, as do
    all from 1.67:1 on; a lighter swing rounds to straight. Dotted eighths with sixteenths, as in a
    march, count as swing, and swung sixteenths cannot be recognised.
    """
    beats = np.concatenate([own.reshape(len(own), -1, STEPS_PER_QUARTER) for own in parts], axis=1)
    _, second, third, fourth = np.moveaxis(beats, -1, 0)
    late = (~second & ~third & fourth).sum(-1)
    return _share(late, late + (~second & third & ~fourth).sum(-1))


def _share(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """total / count; NaN if the count is 0."""
    shares = np.full(len(count), np.nan)
    np.divide(total, count, out=shares, where=count > 0)
    return shares


@dataclass(frozen=True)
class Attribute:
    """A measure of windows.

    Attributes:
        unit: of its values.
        measure: gives its values, (windows,) float64, for the parts of windows.
        parts: that it needs; empty: it is measured of those that are present.
        sole: whether it is worth having for windows without other parts.
        kin: attributes that cannot stay the same while it changes: it is a sum of theirs, they are
            of its, or they measure nearly the same.
        made_of: attributes whose sum it is, so that holding these still holds it still, too.
    """

    unit: str
    measure: Callable[[WindowParts], np.ndarray]
    parts: tuple[str, ...] = ()
    sole: bool = True
    kin: tuple[str, ...] = ()
    made_of: tuple[str, ...] = ()

    def known_of(self, parts: tuple[str, ...]) -> bool:
        """Whether windows with such parts have it."""
        return set(self.parts) <= set(parts) and (self.sole or set(self.parts) != set(parts))


def _notes_of(*wanted: str) -> Callable[[WindowParts], np.ndarray]:
    """Onsets a bar of some parts together, or of all."""

    def measure(parts: WindowParts) -> np.ndarray:
        names = wanted or parts.names
        return np.asarray(sum(onset_density(parts.onsets(name)) for name in names))

    return measure


_BAND = ("bass_density", "drum_steps")

ATTRIBUTES: Mapping[str, Attribute] = {
    "density": Attribute(
        "onsets a bar",
        _notes_of(),
        kin=("melody_density", "band_density", "drum_density", *_BAND),
        made_of=("melody_density", *_BAND),
    ),
    "melody_density": Attribute(
        "notes a bar", _notes_of("melody"), ("melody",), sole=False, kin=("density",)
    ),
    "band_density": Attribute(
        "onsets a bar",
        _notes_of("bass", "drums"),
        ("bass", "drums"),
        sole=False,
        kin=("density", "drum_density", *_BAND),
        made_of=_BAND,
    ),
    "bass_density": Attribute(
        "notes a bar", _notes_of("bass"), ("bass",), sole=False, kin=("density", "band_density")
    ),
    "drum_density": Attribute(
        "hits a bar",
        lambda parts: hit_density(parts.part("drums")),
        ("drums",),
        kin=("density", "band_density", "drum_steps"),
    ),
    "drum_steps": Attribute(
        "onsets a bar",
        _notes_of("drums"),
        ("drums",),
        sole=False,
        kin=("density", "band_density", "drum_density"),
    ),
    "register": Attribute("MIDI pitch", lambda parts: register(parts.part("melody")), ("melody",)),
    "bass_register": Attribute("MIDI pitch", lambda parts: register(parts.part("bass")), ("bass",)),
    "interval": Attribute(
        "semitones", lambda parts: average_interval(parts.part("melody")), ("melody",)
    ),
    "syncopation": Attribute(
        "levels a note", lambda parts: syncopation(parts.onsets("melody")), ("melody",)
    ),
    "swing": Attribute("share", lambda parts: swing(*map(parts.onsets, parts.names))),
}


def attribute_names(parts: tuple[str, ...] = PARTS) -> tuple[str, ...]:
    """Names of the attributes that windows with such parts have."""
    return tuple(name for name, one in ATTRIBUTES.items() if one.known_of(parts))


def measure(parts: WindowParts) -> dict[str, np.ndarray]:
    """Every attribute of every window: (windows,) float64 by name, NaN where undefined."""
    return {name: ATTRIBUTES[name].measure(parts) for name in attribute_names(parts.names)}
