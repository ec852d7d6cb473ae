"""Files of notation: MusicXML, as text or compressed, and ABC, parsed by music21."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from musicvae_torch.errors import NotationError
from musicvae_torch.midi.notes import read_bytes
from musicvae_torch.notation.abc_voices import gather_voices, pitch_shifts
from musicvae_torch.notation.musicxml import PartHead, read_tree, reason, take_heads

COMPRESSED_SUFFIX = ".mxl"
MUSICXML_SUFFIXES = (".musicxml", COMPRESSED_SUFFIX, ".xml")
ABC_SUFFIX = ".abc"
LARGEST = 127  # number of a program
NOTATION_SUFFIXES = (*MUSICXML_SUFFIXES, ABC_SUFFIX)

_INSTALL = "pip install 'musicvae-torch[scores]'"


class Sheet(NamedTuple):
    """A file of notation, parsed.

    Attributes:
        stream: a ``music21.stream.Score``.
        heads: what the file says of its parts, by their names in `stream`; "": of all parts.
        remarks: on what of the file music21 does not read.
    """

    stream: Any
    heads: Mapping[str, PartHead]
    remarks: list[str]


def is_notation(path: str | Path) -> bool:
    """Whether a file's name ends as that of a MusicXML or an ABC file."""
    return Path(path).suffix.lower() in NOTATION_SUFFIXES


def is_musicxml(path: str | Path) -> bool:
    """Whether a file's name ends as that of a MusicXML file."""
    return Path(path).suffix.lower() in MUSICXML_SUFFIXES


def check_music21(path: str | Path, verb: str = "reading") -> None:
    """Raise a NotationError, which says how to install music21, if that is missing."""
    from importlib.util import find_spec

    try:
        found = find_spec("music21")
    except ValueError:  # it is there, but has no specification
        found = None
    if found is None:
        raise NotationError(f"{path}: {verb} it needs music21, which is not installed: {_INSTALL}")


def parse(path: str | Path) -> Sheet:
    """Parse a file with music21.

    Raises:
        NotationError: music21 is not installed; or the file is not readable as what its name says,
            holds several tunes, or is too large.
        MidiError: the file is missing or unreadable.
    """
    content = read_bytes(path)
    check_music21(path)
    if Path(path).suffix.lower() == ABC_SUFFIX:
        return _parse_abc(path, content)
    root = read_tree(path, content, compressed=Path(path).suffix.lower() == COMPRESSED_SUFFIX)
    heads = take_heads(root)

    def work() -> Any:
        from music21.musicxml.xmlToM21 import MusicXMLImporter

        importer = MusicXMLImporter()
        importer.xmlRootToScore(root, importer.stream)
        return importer.stream

    return Sheet(_guarded(path, "MusicXML", work), heads, [])


def _parse_abc(path: str | Path, content: bytes) -> Sheet:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if not re.search(r"^K:", text, re.MULTILINE):
        raise NotationError(f"{path}: not readable as ABC (it has no line that begins with K:)")
    tunes = len(re.findall(r"^X:", text, re.MULTILINE))
    if tunes > 1:
        raise NotationError(f"{path}: holds {tunes} tunes; save the one that you want by itself")

    if not re.search(r"^[LM]:", text, re.MULTILINE):
        text = re.sub(r"^K:", "L:1/8\nK:", text, count=1, flags=re.MULTILINE)  # ABC's default

    tune, voices = gather_voices(text)

    def work() -> Any:
        from music21 import converter

        # Without a version, music21 takes it for 1.3, in which accidentals hold for one note alone.
        # No other program does; since 2.0 they hold until the end of the bar.
        return converter.parseData(f"%abc-2.1\n{tune}", format="abc")

    stream = _guarded(path, "ABC", work)
    title = re.search(r"^T:\s*(.*?)\s*$", text, re.MULTILINE)
    common = tune.partition("\nV:")[0] if voices else text
    heads = {"": PartHead(title[1] if title else "", _program(common), is_drum=False)}
    for number, (part, voice) in enumerate(zip(stream.parts, voices, strict=False), start=1):
        part.id = str(number)
        program = _program("\n".join(voice.lines))
        own = heads[""] if program is None else heads[""]._replace(program=program)
        heads[part.id] = own._replace(name=voice.name or own.name)
    return Sheet(stream, heads, _lost_of_abc(text, stream))


def _program(lines: str) -> int | None:
    """The program in lines of ABC, from 0; None: they have none."""
    found = re.search(r"^%%MIDI\s+program\s+(?:\d+\s+)?(\d+)", lines, re.MULTILINE)
    return min(int(found[1]), LARGEST) if found else None


def _lost_of_abc(text: str, stream: Any) -> list[str]:
    """What music21 leaves out of an ABC file."""
    lost = []
    if re.search(r"^[wW]:", text, re.MULTILINE):
        lost.append("the words (w: lines) of ABC files are left out")
    if re.search(r"^P:\s*\S\S", text.partition("\nK:")[0], re.MULTILINE):
        lost.append("the order of its parts (P:) is not followed; they are played as written")
    lost += [
        f"{shift} of voice {voice} is not followed; its notes are read as written"
        for voice, shift in pitch_shifts(text)
    ]
    music = "\n".join(line for line in text.splitlines() if not re.match(r"[A-Za-z]:|%", line))
    named = len(re.findall(r'"(?:[A-G][^"]*|N\.?C\.?)"', music))
    read = len(stream.recurse().getElementsByClass("Harmony"))
    if read < named:
        lost.append(f"{named - read} of {named} chord symbols are unknown, and were left out")
    return lost


def _guarded(path: str | Path, kind: str, work: Callable[[], Any]) -> Any:
    """What music21 parses; all that it raises means that the file is not as it should be."""
    try:
        with quiet():
            return work()
    except Exception as error:
        raise NotationError(f"{path}: not readable as {kind} ({reason(error)})") from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress what music21 prints and warns about inside the block."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
