"""MusicXML as a tree of XML elements, prepared for music21.

music21 guesses instruments and their transpositions from the names of parts, and forgets which drum
a note without pitch strikes. So what a file says of both is taken from the tree before.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from musicvae_torch.errors import NotationError

MAX_BYTES = 64_000_000  # of a file's text; an orchestral score has a tenth of that
DRUM_CHANNEL = "10"

_CONTAINER = "META-INF/container.xml"
_ROOTS = ("score-partwise", "score-timewise")
_STEPS = (("C", 0), ("C", 1), ("D", 0), ("D", 1), ("E", 0), ("F", 0), ("F", 1), ("G", 0), ("G", 1),
          ("A", 0), ("A", 1), ("B", 0))  # fmt: skip
# What stands where on a drummer's staff, for notes that name no drum: General MIDI's pitches.
_ON_STAFF = {
    "D4": 44, "F4": 36, "A4": 43, "C5": 38, "D5": 47, "E5": 48, "F5": 51, "G5": 42, "A5": 49,
}  # fmt: skip
_SNARE = 38


class PartHead(NamedTuple):
    """What a file says of a part.

    Attributes:
        name: as it is printed.
        program: General MIDI's, from 0; None: not said.
        is_drum: whether its notes are drums.
    """

    name: str
    program: int | None
    is_drum: bool


def read_tree(path: str | Path, content: bytes, compressed: bool) -> ElementTree.Element:
    """The root of a MusicXML file, which holds parts of measures.

    Args:
        path: for messages.
        content: of the file.
        compressed: whether it is to be an archive.

    Raises:
        NotationError: it is not readable as MusicXML, or too large.
    """
    if content[:4] == b"PK\x03\x04":
        content = _unpacked(path, content)
    elif compressed:
        raise NotationError(f"{path}: not readable as compressed MusicXML (it is no zip archive)")
    elif len(content) > MAX_BYTES:
        raise NotationError(f"{path}: larger than {MAX_BYTES // 1_000_000} MB")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise NotationError(f"{path}: not readable as MusicXML ({reason(error)})") from None
    if _tag(root) not in _ROOTS:
        raise NotationError(
            f"{path}: not readable as MusicXML (its root is <{_tag(root)}>; expected <{_ROOTS[0]}>)"
        )
    return _partwise(root) if _tag(root) == _ROOTS[1] else root


def take_heads(root: ElementTree.Element) -> dict[str, PartHead]:
    """What the file says of its parts, taken from the tree, by the new ids that they get there; in
    drum parts, notes get the MIDI pitch of their drum."""
    heads = {}
    parts = {part.get("id", ""): part for part in root.findall("part")}
    for number, entry in enumerate(root.findall("part-list/score-part")):
        part = parts.get(entry.get("id", ""))
        if part is None:
            continue
        new = f"part-{number}"
        heads[new] = _head(entry, part)
        for element in (entry, part):
            element.set("id", new)
        for child in list(entry):
            entry.remove(child)
        ElementTree.SubElement(entry, "part-name").text = new
    return heads


def _head(entry: ElementTree.Element, part: ElementTree.Element) -> PartHead:
    """What an entry of the list of parts says of its part."""
    players = list(entry.iter("midi-instrument"))
    drums = {own.get("id", ""): _number(own, "midi-unpitched") for own in players}
    programs = (_number(own, "midi-program") for own in players)
    channels = {(own.text or "").strip() for own in entry.iter("midi-channel")}
    unpitched = [note for note in part.iter("note") if note.find("unpitched") is not None]
    for note in unpitched:
        _give_pitch(note, drums)
    return PartHead(
        " ".join((entry.findtext("part-name") or "").split()),
        next((program for program in programs if program is not None), None),
        bool(unpitched) or channels == {DRUM_CHANNEL},
    )


def _number(element: ElementTree.Element, tag: str) -> int | None:
    """A number from 1 to 128 as MIDI counts it, from 0; None if there is none."""
    text = (element.findtext(tag) or "").strip()
    return int(text) - 1 if text.isdecimal() and 1 <= int(text) <= 128 else None


def _give_pitch(note: ElementTree.Element, drums: dict[str, int | None]) -> None:
    """Make a note without pitch one at the pitch that its drum has in General MIDI."""
    unpitched, played = note.find("unpitched"), note.find("instrument")
    assert unpitched is not None
    pitch = None if played is None else drums.get(played.get("id", ""))
    if pitch is None and len(drums) == 1:
        pitch = next(iter(drums.values()))
    if pitch is None:
        place = f"{unpitched.findtext('display-step')}{unpitched.findtext('display-octave')}"
        pitch = _ON_STAFF.get(place, _SNARE)
    step, alter = _STEPS[pitch % 12]
    unpitched.tag = "pitch"
    for child in list(unpitched):
        unpitched.remove(child)
    for tag, value in (("step", step), ("alter", alter), ("octave", pitch // 12 - 1)):
        ElementTree.SubElement(unpitched, tag).text = str(value)


def _unpacked(path: str | Path, content: bytes) -> bytes:
    """The MusicXML in an archive: the file that its table of contents names first."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            if _CONTAINER in names:
                contents = ElementTree.fromstring(_read(path, archive, _CONTAINER))
                found = [e.get("full-path") for e in contents.iter() if _tag(e) == "rootfile"]
                name = next((one for one in found if one in names), None)
            else:
                able = [one for one in names if one.lower().endswith((".musicxml", ".xml"))]
                name = next(iter(able), None)
            if name is None:
                raise NotationError(f"{path}: the archive holds no MusicXML")
            return _read(path, archive, name)
    except NotationError:
        raise
    except Exception as error:  # zipfile raises errors of many kinds
        raise NotationError(
            f"{path}: not readable as compressed MusicXML ({reason(error)})"
        ) from None


def _read(path: str | Path, archive: zipfile.ZipFile, name: str) -> bytes:
    """A file of an archive, without unpacking more than MAX_BYTES."""
    with archive.open(name) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise NotationError(f"{path}: larger than {MAX_BYTES // 1_000_000} MB when it is unpacked")
    return content


def _tag(element: ElementTree.Element) -> str:
    """The name of an element, without its namespace."""
    return element.tag.rpartition("}")[2]


def _partwise(root: ElementTree.Element) -> ElementTree.Element:
    """A tree of measures of parts as a tree of parts of measures, which music21 takes."""
    other = ElementTree.Element(_ROOTS[0], root.attrib)
    parts: dict[str, ElementTree.Element] = {}
    for child in root:
        if child.tag != "measure":
            other.append(child)
            continue
        for own in child.findall("part"):
            name = own.get("id", "")
            if name not in parts:
                parts[name] = ElementTree.SubElement(other, "part", own.attrib)
            measure = ElementTree.SubElement(parts[name], "measure", child.attrib)
            measure.extend(list(own))
    return other


def reason(error: Exception) -> str:
    """The text of an error, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
