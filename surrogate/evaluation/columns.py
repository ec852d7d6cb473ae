"""The columns of evaluate-accompaniment that notes have: each a number for one band of one song.

What they mean is in docs/evaluation.md.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np

from musicvae_torch.converters.melody import infer_chord_classes
from musicvae_torch.midi.vocabulary import PARTS
from surrogate.evaluation import distributions, metrics
from surrogate.evaluation.distributions import note_features, overlapping_area
from surrogate.evaluation.structure import (
    bars_with_toms,
    bass_on_kick,
    distinct_bars,
    repeats,
    share_at_phrase_end,
)

Tokens = Mapping[str, np.ndarray]  # part → (steps,) classes
Velocities = Mapping[str, np.ndarray]  # part → (notes,) velocities, 1 to 127

HARMONY = ("chord tones", "roots on the downbeat", "bass in key", "bass in harmony")
DENSITY = (
    "bass notes a bar",
    "drum hits a bar",
    "bass groove consistency",
    "drum groove consistency",
    "bars with bass",
    "bars with drums",
)
STRUCTURE = (
    "bass on kick beyond chance",
    "bars with toms",
    "tom bars that end 4",
    "tom bars that end 8",
    "distinct drum bars in 16",
    "bass repeats",
    "bass repeats beyond any bars",
    "drums repeats",
    "drums repeats beyond any bars",
)
DISTRIBUTIONS = (
    *(f"bass {name} overlap" for name in ("pitch", "duration", "onset interval", "velocity")),
    *(f"drums {name} overlap" for name in ("pitch", "onset interval", "velocity")),
    "bass pitch-class entropy",
    "bass scale consistency",
    "pitch-class entropy",
    "scale consistency",
)


def velocities_by_part(velocities: np.ndarray, parts: Collection[str]) -> dict[str, np.ndarray]:
    """Part → (notes,) the velocities above 0 of (steps, 3)."""
    columns = dict(zip(PARTS, velocities.T, strict=True))
    return {part: columns[part][columns[part] > 0] for part in parts}


class Truth:
    """The real parts of a window, and what others are compared with.

    Args:
        tokens: (steps, 3) classes.
        hidden: the parts that are to be compared.
        velocities: of the hidden parts; None: unknown.
    """

    def __init__(
        self, tokens: np.ndarray, hidden: Collection[str], velocities: Velocities | None = None
    ) -> None:
        self.parts = dict(zip(PARTS, tokens.T, strict=True))
        self.hidden = [part for part in PARTS if part in hidden]
        self.velocities = velocities or {}
        pitched = self.parts["melody"], self.parts["bass"]
        self.key = metrics.estimate_key(metrics.pitch_histogram(*pitched))
        self.chords = infer_chord_classes(*pitched)
        own = {part: self.parts[part] for part in self.hidden}
        self.density = {part: metrics.notes_per_bar(own[part], part) for part in own}
        self.groove = {part: metrics.groove_consistency(own[part], part) for part in own}
        self.features = {part: note_features(own[part], part) for part in own}

    def compare(self, tokens: np.ndarray, velocities: Velocities | None = None) -> dict[str, float]:
        """All columns of generated (steps, 3) classes, beside the real parts that were given."""
        made = dict(zip(PARTS, tokens.T, strict=True))
        parts = self.parts | {part: made[part] for part in self.hidden}
        return (
            self._agreement(parts)
            | structure(parts, self.hidden)
            | overlaps(self.features, self.velocities, parts, velocities or {})
            | tonality(parts, self.hidden)
        )

    def _agreement(self, parts: Tokens) -> dict[str, float]:
        hidden = self.hidden
        real = self.parts
        scores = {f"{part} right": metrics.accuracy(parts[part], real[part]) for part in hidden}
        if "drums" in hidden:
            hits, steps = metrics.onset_f1(parts["drums"], real["drums"])
            scores |= {"drum hits F1": hits, "drum steps F1": steps}
        if "bass" in hidden:
            scores["bass in key"] = metrics.share_in_key(parts["bass"], self.key)
            scores["bass in harmony"] = metrics.share_in_chords(parts["bass"], self.chords)
        for part in hidden:
            error = metrics.notes_per_bar(parts[part], part) - self.density[part]
            scores[f"{part} density error"] = abs(error)
        for part in hidden:
            error = metrics.groove_consistency(parts[part], part) - self.groove[part]
            scores[f"{part} groove error"] = abs(error)
        return scores


def structure(parts: Tokens, made: Collection[str]) -> dict[str, float]:
    """How a band holds together: the columns STRUCTURE, as far as they are of generated parts.

    Args:
        parts: the melody, the bass and the drums.
        made: which of them were generated.
    """
    drums = parts["drums"]
    scores: dict[str, float] = {}
    if "bass" in made or "drums" in made:
        together, chance = bass_on_kick(parts["bass"], drums)
        scores["bass on kick beyond chance"] = together - chance
    if "drums" in made:
        fills, plays = bars_with_toms(drums), bool(drums.any())
        scores["bars with toms"] = float(fills.mean()) if plays else math.nan
        for phrase in (4, 8):
            scores[f"tom bars that end {phrase}"] = share_at_phrase_end(fills, phrase)
        scores["distinct drum bars in 16"] = distinct_bars(drums) if plays else math.nan
    for part in ("bass", "drums"):
        if part in made:
            same, every = repeats(parts[part], part, parts["melody"])
            scores[f"{part} repeats"] = same
            scores[f"{part} repeats beyond any bars"] = same - every
    return scores


def overlaps(
    real: Mapping[str, Mapping[str, np.ndarray]],
    real_velocities: Velocities,
    parts: Tokens,
    velocities: Velocities,
) -> dict[str, float]:
    """Overlapping areas with the real distributions.

    Args:
        real: part → its :func:`note_features`, of the parts to compare.
        real_velocities: of the same parts; those that are missing have no such column.
        parts: what to compare with them.
        velocities: of these.
    """
    scores = {}
    for part, own in real.items():
        features = note_features(parts[part], part)
        for name, values in own.items():
            scores[f"{part} {name} overlap"] = overlapping_area(values, features[name])
        if part in real_velocities and part in velocities:
            bins = (distributions.velocity_bins(of[part]) for of in (real_velocities, velocities))
            scores[f"{part} velocity overlap"] = overlapping_area(*bins)
    return scores


def tonality(parts: Tokens, made: Collection[str]) -> dict[str, float]:
    """Pitch-class entropy and scale consistency of the bass, if it was generated, and of melody and
    bass together."""
    melody, bass = (note_features(parts[part], part)["pitch"] for part in ("melody", "bass"))
    judged = {"": np.concatenate([melody, bass])}
    if "bass" in made:
        judged = {"bass ": bass} | judged
    scores = {}
    for prefix, pitches in judged.items():
        scores[f"{prefix}pitch-class entropy"] = distributions.pitch_class_entropy(pitches)
        scores[f"{prefix}scale consistency"] = distributions.scale_consistency(pitches)
    return scores
