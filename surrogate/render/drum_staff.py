"""Drums on a percussion staff: where each stands, its note head, and its part in MusicXML.

Places and heads are those usual for drum kits (N. Weinberg, Guide to Standardized Drumset Notation,
1998).
"""

from __future__ import annotations

from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement

import pretty_midi

FEET = frozenset({35, 36, 44})  # that a foot plays: stems down
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


class Place(NamedTuple):
    """Where a drum stands, as if in the treble clef, and its note head in MusicXML."""

    step: str
    octave: int
    head: str = "normal"


_PLACES = {
    35: Place("F", 4), 36: Place("F", 4), 37: Place("C", 5, "x"), 38: Place("C", 5),
    39: Place("C", 5, "x"), 40: Place("C", 5), 41: Place("A", 4), 42: Place("G", 5, "x"),
    43: Place("A", 4), 44: Place("D", 4, "x"), 45: Place("B", 4), 46: Place("G", 5, "circle-x"),
    47: Place("D", 5), 48: Place("E", 5), 49: Place("A", 5, "x"), 50: Place("F", 5),
    51: Place("F", 5, "x"), 52: Place("A", 5, "circle-x"), 53: Place("F", 5, "diamond"),
    54: Place("B", 5, "triangle"), 55: Place("B", 5, "x"), 56: Place("E", 5, "triangle"),
    57: Place("A", 5, "x"), 59: Place("F", 5, "x"),
}  # fmt: skip
_OTHER = Place("B", 5, "diamond")


def place_of(pitch: int) -> Place:
    """Where the drum of a General MIDI pitch stands."""
    return _PLACES.get(pitch, _OTHER)


def make_drum_part(entry: Element, part: Element) -> None:
    """Make a part of MusicXML, whose notes have the pitches of General MIDI's drums, one of notes
    without pitch on a percussion staff.

    Args:
        entry: of the part, in the list of parts.
        part: its measures.
    """
    played: set[int] = set()
    for note in part.iter("note"):
        pitch = note.find("pitch")
        if pitch is None:
            continue
        number = _number(pitch)
        played.add(number)
        place = place_of(number)
        pitch.tag = "unpitched"
        for child in list(pitch):
            pitch.remove(child)
        SubElement(pitch, "display-step").text = place.step
        SubElement(pitch, "display-octave").text = str(place.octave)
        for accidental in note.findall("accidental"):
            note.remove(accidental)
        own = Element("instrument", {"id": _instrument(entry, number)})
        before = [child.tag for child in note].index("duration")
        after = [at for at, child in enumerate(note) if child.tag == "tie"]
        note.insert(max([before, *after]) + 1, own)
        if place.head != "normal":
            head = Element("notehead")
            head.text = place.head
            last = max(at for at, child in enumerate(note) if child.tag in _BEFORE_HEAD)
            note.insert(last + 1, head)
    for child in list(entry):
        if child.tag in ("score-instrument", "midi-instrument"):
            entry.remove(child)
    for number in sorted(played):
        own = SubElement(entry, "score-instrument", {"id": _instrument(entry, number)})
        SubElement(own, "instrument-name").text = drum_name(number)
    for number in sorted(played):
        own = SubElement(entry, "midi-instrument", {"id": _instrument(entry, number)})
        SubElement(own, "midi-channel").text = "10"
        SubElement(own, "midi-unpitched").text = str(number + 1)  # MusicXML counts from 1


# The elements of a note that come before its head, by MusicXML's order.
_BEFORE_HEAD = ("duration", "tie", "instrument", "voice", "type", "dot", "accidental",
                "time-modification", "stem")  # fmt: skip


def drum_name(pitch: int) -> str:
    """What General MIDI calls a drum."""
    return str(pretty_midi.note_number_to_drum_name(pitch)) or f"Percussion {pitch}"


def _instrument(entry: Element, pitch: int) -> str:
    return f"{entry.get('id')}-I{pitch}"


def _number(pitch: Element) -> int:
    alter = round(float(pitch.findtext("alter") or 0))
    octave = int(pitch.findtext("octave") or 0)
    return 12 * (octave + 1) + _SEMITONES[pitch.findtext("step") or "C"] + alter
