"""Voicings: which notes of a chord sound, chosen so that the voices move little.

A voicing has the chord's tones once each, within about an octave around middle C. Of all sequences
of voicings that a progression can have, the one with the least total cost is taken (dynamic
programming): the semitones that the voices move, the distance from middle C, and how far the
voicing reaches up into the melody.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise, product

import numpy as np

from musicvae_torch.chords.symbols import chord_tones

Voicing = tuple[int, ...]  # MIDI pitches, ascending

LOWEST, HIGHEST = 50, 74  # D3 to D5
CENTRE = 60
WIDEST = 14  # semitones from the lowest note to the highest
MOST_NOTES = 4
_OFF_CENTRE = 0.5  # cost of a semitone between the mean pitch and CENTRE
_IN_MELODY = 3.0  # cost of a semitone by which the top is above the melody's lowest note less one
_CLUSTER = 2.0  # cost of two neighbours a semitone apart
_AGAIN = 40.0  # cost of a voicing that is to be replaced: more than to another inversion and back
_CHANCE = 4.0  # greatest cost that is drawn for a voicing, so that others come each time
# Intervals above the root by importance: thirds, sevenths, other tones, the root, the fifth.
_IMPORTANCE = ({3, 4}, {10, 11}, {1, 2, 5, 6, 8, 9}, {0}, {7})


@dataclass(frozen=True)
class Joined:
    """What chords that are voiced anew are to join, and to differ from.

    Attributes:
        before, after: the voicings on both sides; () for none.
        old: of each chord, the voicings that it had.
        rng: by which voicings that are as good are chosen.
    """

    before: Voicing
    after: Voicing
    old: Sequence[Collection[Voicing]]
    rng: np.random.Generator


def voice_chords(
    names: Sequence[str], ceilings: Sequence[float], joined: Joined | None = None
) -> list[Voicing]:
    """A voicing of each chord.

    Args:
        names: chord symbols; "N.C." has no notes.
        ceilings: the melody's lowest pitch while each chord lasts; inf where it rests.
        joined: what the chords join, if they are voiced anew; None: nothing.
    """
    voiced: list[Voicing] = [()] * len(names)
    chosen = [index for index, name in enumerate(names) if possible_voicings(name)]
    if not chosen:
        return voiced
    options = [possible_voicings(names[index]) for index in chosen]
    own = [
        np.array([_cost(voicing, ceilings[index]) for voicing in possible])
        for index, possible in zip(chosen, options, strict=True)
    ]
    if joined is not None:
        for i, index in enumerate(chosen):
            again = np.array([voicing in joined.old[index] for voicing in options[i]])
            own[i] += _AGAIN * again + _CHANCE * joined.rng.random(len(again))
        own[0] += [distance(joined.before, voicing) for voicing in options[0]]
        own[-1] += [distance(voicing, joined.after) for voicing in options[-1]]
    costs, parents = own[0], []
    for i in range(1, len(chosen)):
        ways = costs[:, None] + _moves(names[chosen[i - 1]], names[chosen[i]])
        parents.append(ways.argmin(0))
        costs = ways.min(0) + own[i]
    best = int(costs.argmin())
    for i in range(len(chosen) - 1, -1, -1):
        voiced[chosen[i]] = options[i][best]
        if i:
            best = int(parents[i - 1][best])
    return voiced


def distance(before: Voicing, after: Voicing) -> int:
    """Semitones that the voices move from one voicing to another, in all: each voice to the voice
    of the same rank or, if one voicing has more voices, so that the total is least; its further
    voices come from the nearest note."""
    if len(before) > len(after):
        before, after = after, before
    if not before:
        return 0
    ways = []
    for kept in combinations(range(len(after)), len(before)):
        total = sum(abs(after[at] - pitch) for at, pitch in zip(kept, before, strict=True))
        further = (after[at] for at in range(len(after)) if at not in kept)
        ways.append(total + sum(min(abs(new - pitch) for pitch in before) for new in further))
    return min(ways)


@cache
def possible_voicings(name: str) -> tuple[Voicing, ...]:
    """All voicings of a chord symbol; none of "N.C."."""
    tones = voiced_tones(name)
    octaves = [range(LOWEST + (tone - LOWEST) % 12, HIGHEST + 1, 12) for tone in tones]
    found = {tuple(sorted(pitches)) for pitches in product(*octaves)}
    return tuple(sorted(own for own in found if own and own[-1] - own[0] <= WIDEST))


@cache
def voiced_tones(name: str) -> tuple[int, ...]:
    """The pitch classes of a chord symbol that sound: the most important, MOST_NOTES at most."""
    chord = chord_tones(name)
    if chord.root is None:
        return ()
    root = chord.root

    def importance(tone: int) -> tuple[int, int]:
        interval = (tone - root) % 12
        rank = next(i for i, intervals in enumerate(_IMPORTANCE) if interval in intervals)
        return rank, interval

    return tuple(sorted(chord.pitches, key=importance)[:MOST_NOTES])


@cache
def _moves(before: str, after: str) -> np.ndarray:
    """:func:`distance` of each voicing of a chord to each of the next."""
    pairs = [[distance(a, b) for b in possible_voicings(after)] for a in possible_voicings(before)]
    return np.array(pairs, float)


def _cost(voicing: Voicing, ceiling: float) -> float:
    off_centre = abs(float(np.mean(voicing)) - CENTRE)
    clusters = sum(after - before == 1 for before, after in pairwise(voicing))
    into_melody = max(voicing[-1] - (ceiling - 1), 0)
    return _OFF_CENTRE * off_centre + _CLUSTER * clusters + _IN_MELODY * into_melody
