"""Chord symbols of scores ↔ the symbols of :mod:`musicvae_torch.chords`."""

from __future__ import annotations

import re
from typing import Any

from musicvae_torch.chords.chart import symbol
from musicvae_torch.chords.inference import name_chord
from musicvae_torch.chords.symbols import NO_CHORD, ROOTS
from musicvae_torch.errors import ChordError

# MusicXML's kinds of chords, of which music21 knows the names, in our spelling.
_KINDS = {
    "major": "", "minor": "m", "augmented": "+", "diminished": "dim", "dominant": "7",
    "dominant-seventh": "7", "major-seventh": "maj7", "minor-seventh": "m7",
    "diminished-seventh": "dim7", "augmented-seventh": "+7", "half-diminished": "m7b5",
    "half-diminished-seventh": "m7b5", "major-minor": "mmaj7", "minor-major-seventh": "mmaj7",
    "major-sixth": "6", "minor-sixth": "m6", "dominant-ninth": "9", "major-ninth": "maj9",
    "minor-ninth": "m9", "augmented-dominant-ninth": "+9", "dominant-11th": "11",
    "major-11th": "maj11", "minor-11th": "m11", "dominant-13th": "13", "major-13th": "maj13",
    "minor-13th": "m13", "suspended-second": "sus2", "suspended-fourth": "sus",
    "suspended-fourth-seventh": "7sus", "pedal": "ped", "power": "5",
}  # fmt: skip

# Our kinds, by their names in MusicXML; of several names of one kind, the first above.
_NAMES = {kind: name for name, kind in reversed(_KINDS.items())} | {
    "maj": "major",
    "aug": "augmented",
}
_ROOT = r"[A-G](?:#+|b*)"
_WRITTEN = re.compile(rf"({_ROOT})(.*?)(?:/({_ROOT}))?")
_DEGREE = re.compile(r"\(?(add|no|)([#b]?)([0-9]+)\)?")


def chord_name(chord: Any) -> tuple[str, bool]:
    """The symbol of a ``music21.harmony.ChordSymbol``, and whether it says the same: one that we
    do not know is named after its notes."""
    if "NoChord" in chord.classes or chord.chordKind == "none":
        return NO_CHORD, True
    root, bass = chord.root(), chord.bass()
    if root is None:
        return NO_CHORD, False
    name = _spelled(root)
    slash = "" if bass is None or bass.pitchClass == root.pitchClass else f"/{_spelled(bass)}"
    if chord.chordKind in _KINDS:
        changes = "".join(map(_change, chord.getChordStepModifications()))
        try:
            return symbol(f"{name}{_KINDS[chord.chordKind]}{changes}{slash}"), True
        except ChordError:
            pass
    for length in range(len(chord.chordKindStr or ""), 0, -1):  # such as "7" of "7alt"
        try:
            return symbol(f"{name}{chord.chordKindStr[:length]}{slash}"), False
        except ChordError:
            continue
    if len(chord.pitches) < 2:
        return f"{name}{slash}", False
    return name_chord([int(pitch.ps) for pitch in chord.pitches]), False


def _spelled(pitch: Any) -> str:
    """A root or bass, as in "Bb"; one with two accidentals by its simpler name."""
    name = pitch.name.replace("-", "b")
    return name if len(name) <= 2 else ROOTS[int(pitch.pitchClass)]


def _change(change: Any) -> str:
    """A degree that is added, altered or left out, as in "add9", "b5" or "no3"."""
    shift = 0 if change.interval is None else round(change.interval.semitones)
    if change.modType == "subtract":
        return f"no{change.degree}"
    # A degree with an accidental needs no "add": C7b9.
    accidental = "#" * shift if shift > 0 else "b" * -shift
    return f"{accidental or 'add'}{change.degree}"


def notated(name: str) -> Any:
    """A chord symbol of ours as music21 writes it into MusicXML; inverse of :func:`chord_name`."""
    from music21 import harmony

    match = _WRITTEN.fullmatch(name)
    if name == NO_CHORD or match is None:
        return harmony.NoChord()
    root, kind, bass = match.groups()
    # The longest kind that the rest begins with; what follows are changes of degrees.
    known = max((own for own in _NAMES if kind.startswith(own)), key=len)
    chord: Any = harmony.ChordSymbol(
        root=root.replace("b", "-"),
        kind=_NAMES[known],
        bass=None if bass is None else bass.replace("b", "-"),
    )
    for word, accidental, degree in _DEGREE.findall(kind[len(known) :]):
        change = {"add": "add", "no": "subtract", "": "alter"}[word]
        if not word and int(degree) > 7:
            change = "add"
        shift = {"#": 1, "b": -1, "": 0}[accidental]
        chord.addChordStepModification(
            harmony.ChordStepModification(change, int(degree), shift), updatePitches=False
        )
    chord.chordKindStr = known
    return chord
