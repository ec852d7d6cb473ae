"""What can be measured of a window: how dense, how high, how syncopated, how much it swings.

All measures are of onsets on the grid of sixteenths, sixteen to a bar of 4/4, and of all windows
at once. Where there is nothing to measure, such as the register of a silent melody, a measure is
NaN.
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
# rhythmic interpretation of monophonic music": one less for every halving that it takes to get
# there from the bar line.
_WEIGHTS = np.array([0, -4, -3, -4, -2, -4, -3, -4, -1, -4, -3, -4, -2, -4, -3, -4])
_UNHEARD = -100  # weaker than any step
_DOUBT = 0.5  # from where on a groove's hit, 0 or 1 but for rounding, is one


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
        """Those that there are, in the order of trios."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is not None)

    def onsets(self, part: str) -> np.ndarray:
        """(windows, steps) bool: whether anything starts."""
        if part == "drums":
            return np.any(self.part(part), axis=-1)
        return self.part(part) >= FIRST_NOTE

    def part(self, name: str) -> np.ndarray:
        """What the part of that name holds.

        Raises:
            ValueError: there is no such part.
        """
        tokens = getattr(self, name)
        if tokens is None:
            raise ValueError(f"there is no part {name!r} here, only {', '.join(self.names)}")
        return tokens


def window_parts(config: MusicVAEConfig, tokens: np.ndarray) -> WindowParts:
    """The parts of a config's windows.

    Args:
        config: of melodies, drums, grooves or trios, on whole bars.
        tokens: (windows, steps, parts), as the config's converter has them.

    Raises:
        ConfigError: the config is of other windows.
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
        return WindowParts(drums=tokens[..., :DRUMS] > _DOUBT)
    raise ConfigError(
        f"config {config.name!r}: attributes are known of melodies, drums, grooves and trios"
    )


def onset_density(onsets: np.ndarray) -> np.ndarray:
    """Onsets a bar, 0 to 16.

    Args:
        onsets: (windows, steps) bool.

    Returns:
        (windows,)
    """
    return onsets.mean(-1) * STEPS_PER_BAR


def hit_density(rolls: np.ndarray) -> np.ndarray:
    """Drum hits a bar, two drums struck together being two: 0 to 16 times the drums.

    Args:
        rolls: (windows, steps, drums) bool.

    Returns:
        (windows,)
    """
    return rolls.sum(-1).mean(-1) * STEPS_PER_BAR


def register(tokens: np.ndarray) -> np.ndarray:
    """Mean MIDI pitch of the notes, 21 to 108, however long each is; NaN without notes.

    Args:
        tokens: (windows, steps) melody classes.

    Returns:
        (windows,)
    """
    notes = tokens >= FIRST_NOTE
    total = np.where(notes, tokens - FIRST_NOTE + MIN_PITCH, 0).sum(-1)
    return _share(total, notes.sum(-1))


def average_interval(tokens: np.ndarray) -> np.ndarray:
    """Mean distance in semitones, up or down, from note to note, rests or not: 0 to 87; NaN of
    fewer than two notes.

    Args:
        tokens: (windows, steps) melody classes.

    Returns:
        (windows,)
    """
    window, step = np.nonzero(tokens >= FIRST_NOTE)
    pitches = tokens[window, step].astype(np.int64)
    same = window[1:] == window[:-1]
    leaps = np.abs(np.diff(pitches))[same]
    total = np.bincount(window[1:][same], leaps, minlength=len(tokens))
    return _share(total, np.bincount(window[1:][same], minlength=len(tokens)))


def syncopation(onsets: np.ndarray) -> np.ndarray:
    """How much stronger than the notes' own steps those are over which they are held, or rest.

    After Longuet-Higgins and Lee (1984). A bar's first step weighs 0, its middle -1, the other
    beats -2, eighths -3, sixteenths -4. A note is syncopated if a step after it and before the
    next onset weighs more than its own; by how much is its syncopation, 0 otherwise. This is the
    mean over notes, 0 (all on the beat, or led on to one) to 4, where theirs is the sum, which
    grows with the number of notes. After the last note the window's own steps alone count.

    Args:
        onsets: (windows, steps) bool.

    Returns:
        (windows,); NaN without onsets.
    """
    windows, steps = onsets.shape
    weights = np.resize(_WEIGHTS, steps)
    excess = np.zeros((windows, steps))
    strongest = np.full(windows, _UNHEARD)  # of the steps from here to before the next onset
    for step in reversed(range(steps)):
        here = onsets[:, step]
        excess[:, step] = np.where(here, np.maximum(strongest - weights[step], 0), 0)
        strongest = np.where(here, _UNHEARD, np.maximum(strongest, weights[step]))
    return _share(excess.sum(-1), onsets.sum(-1))


def swing(*parts: np.ndarray) -> np.ndarray:
    """Share of the off-beat eighths that come a sixteenth late, 0 (straight) to 1.

    A beat of four sixteenths has an off-beat eighth if there is one onset in it beside that on
    the beat, if any, and this on the third or fourth sixteenth. On the third it is straight, on
    the fourth late. Beats with more onsets, such as runs of sixteenths, or with one on the second
    say nothing. Each part's beats are looked at for themselves and count alike.

    The grid is coarse. Swung eighths of 2:1 lie at 2.67 sixteenths and round to the fourth, as do
    all from 1.67:1 on; a lighter swing rounds to straight, the degree of swing is lost, and
    dotted eighths with sixteenths, as of a march, count as swing. Swung sixteenths cannot be
    recognised.

    Args:
        parts: (windows, steps) bool, onsets of each.

    Returns:
        (windows,); NaN where no beat has such an eighth.
    """
    straight, late = 0, 0
    for onsets in parts:
        beats = onsets.reshape(len(onsets), -1, STEPS_PER_QUARTER)
        second, third, fourth = beats[..., 1], beats[..., 2], beats[..., 3]
        straight = straight + (~second & third & ~fourth).sum(-1)
        late = late + (~second & ~third & fourth).sum(-1)
    return _share(np.asarray(late), np.asarray(straight + late))


def _share(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """total / count, NaN where there is nothing."""
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


@dataclass(frozen=True)
class Attribute:
    """Something to measure of windows.

    Attributes:
        unit: of its values.
        measure: of the parts of windows: (windows,) float64.
        parts: that it is measured of, all of which there must be; empty: of those there are.
        sole: whether it is worth having where there are no other parts than these.
        kin: attributes that it is made of, that are made of it, or that say nearly the same: it
            cannot change while those stay.
        made_of: attributes whose sum it is, so that it need not be held still where those are.
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
    """Onsets a bar of some parts together; of none: of all."""

    def measure(parts: WindowParts) -> np.ndarray:
        names = wanted or parts.names
        return np.sum([onset_density(parts.onsets(name)) for name in names], axis=0)

    return measure


def _swing_of_all(parts: WindowParts) -> np.ndarray:
    return swing(*(parts.onsets(part) for part in parts.names))


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
        "notes a bar",
        _notes_of("bass"),
        ("bass",),
        sole=False,
        kin=("density", "band_density"),
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
    "swing": Attribute("share", _swing_of_all),
}


def attribute_names(parts: tuple[str, ...] = PARTS) -> tuple[str, ...]:
    """Names of the attributes that windows with such parts have."""
    return tuple(name for name, one in ATTRIBUTES.items() if one.known_of(parts))


def measure(parts: WindowParts) -> dict[str, np.ndarray]:
    """Every attribute of every window: (windows,) float64 by name, NaN where undefined."""
    return {name: ATTRIBUTES[name].measure(parts) for name in attribute_names(parts.names)}
