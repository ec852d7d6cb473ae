"""Notes that sound together → the chord symbol that names them."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from musicvae_torch.chords.symbols import NO_CHORD, ROOTS, chord_tones

# Kinds of chords that are told apart, in order of preference where notes fit several: A C E G is
# Am7 rather than C6. Those in one entry are preferred by their lowest note alone.
_PREFERENCES = (
    ("",),
    ("m",),
    ("7",),
    ("m7",),
    ("maj7",),
    ("dim",),
    ("aug",),
    ("m7b5",),
    ("dim7",),
    ("sus", "sus2"),
    ("6",),
    ("m6",),
    ("mmaj7",),
    ("7sus",),
    ("+7",),
    ("9",),
    ("m9",),
    ("maj9",),
    ("5",),
)


def name_chord(pitches: Collection[int]) -> str:
    """The symbol of the chord whose tones are most like some MIDI pitches, however they are voiced.

    Returns:
        A symbol that ``chords.chord_tones`` knows, without a bass after a slash; "N.C." of no
        pitches. Likeness is the Jaccard similarity of pitch classes; of the chords that are alike
        most, the plainer kind counts, then the one whose root is the lowest pitch.
    """
    if not pitches:
        return NO_CHORD
    return _name(frozenset(pitch % 12 for pitch in pitches), min(pitches) % 12)


@cache
def _name(classes: frozenset[int], lowest: int) -> str:
    def rank(entry: tuple[int, str]) -> tuple[float, int, int]:
        preference, name = entry
        tones = chord_tones(name)
        likeness = len(classes & tones.pitches) / len(classes | tones.pitches)
        assert tones.root is not None
        return -likeness, preference, (tones.root - lowest) % 12

    names = [
        (preference, root + kind)
        for preference, kinds in enumerate(_PREFERENCES)
        for kind in kinds
        for root in ROOTS
    ]
    return min(names, key=rank)[1]
