"""A part of a score → its notes, dynamics and words, in the order in which they are played."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from musicvae_torch.midi.vocabulary import OUTPUT_VELOCITY
from musicvae_torch.notation.flow import PlayedBar
from musicvae_torch.notation.musicxml import PartHead

LARGEST = 127


@dataclass
class PlayedNote:
    """A note: when it begins and ends, in quarter notes, MIDI pitch and velocity."""

    start: Fraction
    end: Fraction
    pitch: int
    velocity: int


@dataclass
class PlayedPart:
    """A part, as it is played.

    Attributes:
        name: of the part.
        program: General MIDI's, from 0.
        is_drum: whether it has no pitch.
        notes: in order of their beginnings.
        words: (quarter, syllable) in order; a syllable in a word ends with a hyphen.
        losses: what was left out, counted.
    """

    name: str
    program: int
    is_drum: bool
    notes: list[PlayedNote] = field(default_factory=list)
    words: list[tuple[Fraction, str]] = field(default_factory=list)
    losses: Counter[str] = field(default_factory=Counter)


def played_part(head: PartHead, bars: Sequence[Any], played: Sequence[PlayedBar]) -> PlayedPart:
    """Play a part of a score at sounding pitch.

    Args:
        head: what the file says of it.
        bars: its bars, as they are written.
        played: the bars in the order in which they are played.
    """
    result = PlayedPart(head.name, head.program or 0, head.is_drum)
    tied: dict[int, PlayedNote] = {}
    velocity = OUTPUT_VELOCITY
    for bar in played:
        if bar.index >= len(bars):
            continue
        for at, element in _elements(bars[bar.index]):
            if "Dynamic" in element.classes:
                velocity = max(1, min(LARGEST, round(element.volumeScalar * LARGEST)))
                continue
            start = bar.start + at
            _add_words(result, element, start, bar.times)
            for note, pitch in _pitches(element, result):
                own = note.volume.velocity if note.volume.velocityIsRelative is False else None
                _add_note(result, tied, note, start, pitch, int(own or velocity))
    result.notes.sort(key=lambda note: (note.start, note.pitch))
    return result


def _elements(bar: Any) -> Iterator[tuple[Fraction, Any]]:
    """The notes, chords and dynamics of a bar, in order, dynamics first."""
    rows = []
    for element in bar.recurse():
        classes = element.classes
        if "Harmony" in classes or not {"NotRest", "Dynamic"}.intersection(classes):
            continue
        rows.append(
            (Fraction(element.getOffsetInHierarchy(bar)), "Dynamic" not in classes, element)
        )
    rows.sort(key=lambda row: row[:2])
    return ((at, element) for at, _, element in rows)


def _pitches(element: Any, result: PlayedPart) -> Iterator[tuple[Any, int]]:
    """The notes of a note or chord that sound, each with its MIDI pitch."""
    for note in getattr(element, "notes", None) or (element,):
        if element.duration.isGrace:
            result.losses["grace notes, which have no length of their own"] += 1
            continue
        exact = float(note.pitch.ps)
        if not 0 <= round(exact) <= LARGEST:
            result.losses["notes beyond MIDI's range"] += 1
            continue
        if exact % 1:
            result.losses["quarter tones, which were rounded to semitones"] += 1
        yield note, round(exact)


def _add_note(
    result: PlayedPart,
    tied: dict[int, PlayedNote],
    note: Any,
    start: Fraction,
    pitch: int,
    velocity: int,
) -> None:
    """Add a note, or make the one longer to which it is tied."""
    parent = note._chordAttached or note if hasattr(note, "_chordAttached") else note
    end = start + Fraction(parent.duration.quarterLength)
    tie = note.tie.type if note.tie is not None else ""
    before = tied.pop(pitch, None)
    if tie in ("stop", "continue") and before is not None and before.end == start:
        before.end = end
    else:
        before = PlayedNote(start, end, pitch, velocity)
        result.notes.append(before)
    if tie in ("start", "continue"):
        tied[pitch] = before


def _add_words(result: PlayedPart, element: Any, start: Fraction, times: int) -> None:
    """Add the syllable of the verse that is sung; of one verse, the same each time."""
    verses = [lyric for lyric in getattr(element, "lyrics", ()) if lyric.text]
    if not verses:
        return
    lyric = verses[min(times, len(verses) - 1)]
    inside = lyric.syllabic in ("begin", "middle")
    result.words.append((start, f"{lyric.text}-" if inside else f"{lyric.text} "))
