"""The voices of an ABC tune, each as one block of lines.

Voices may take turns line by line, as ``V:1`` or as ``[V:1]`` before their notes, and have names or
numbers. music21 reads a new part at each turn, and sees neither the second form nor names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_COMMENT = re.compile(r"(?<!\\)%.*")
_TURN = re.compile(r'"[^"]*"|[ \t]*\[(V:[^\]]*)\]')  # quoted text first, to be passed over
_KEY = re.compile(r"^K:.*$", re.MULTILINE)
_VOICE = re.compile(r"^V:[ \t]*(\S+)(.*)$")
_NAME = re.compile(r'\b(?:name|nm)[ \t]*=[ \t]*(?:"([^"]*)"|(\S+))')

_SHIFT = re.compile(
    r"(?<!\S)(?:(?:octave|transpose)[ \t]*=[ \t]*[-+]?0*[1-9]\d*"
    r'|(?:clef[ \t]*=[ \t]*)?"?(?:treble|alto|tenor|bass)\d?[-+^_]8"?)(?!\S)'
)


class Voice(NamedTuple):
    """A voice of a tune.

    Attributes:
        name: as the tune has it; "" without one.
        lines: its music, with the fields and comments among it.
    """

    name: str
    lines: tuple[str, ...]


def gather_voices(text: str) -> tuple[str, tuple[Voice, ...]]:
    """Put the lines of each voice together.

    Args:
        text: an ABC tune with a line that begins with K:.

    Returns:
        The tune, and its voices, which music21 reads as its parts in this order; the tune as it is,
        and none, unless several voices have notes.
    """
    key = _KEY.search(text)
    end = key.end() if key else 0
    head: list[str] = []  # of no voice; blank lines, which would end the tune, are left out
    names: dict[str, str] = {}
    lines: dict[str, list[str]] = {}
    for line in filter(str.strip, text[:end].splitlines()):
        if not _voice(line, names):
            head.append(line)
    own = head
    for line in filter(str.strip, _lines(text[end:])):
        if voice := _voice(line, names):
            own = lines.setdefault(voice, [])
        elif own is head and _is_music(line):
            own = lines.setdefault("", [line])
        else:
            own.append(line)
    voices = {voice: own for voice, own in lines.items() if any(map(_is_music, own))}
    if len(voices) < 2:
        return text, ()
    blocks = [[f"V:{number}", *own] for number, own in enumerate(voices.values(), start=1)]
    tune = "\n".join([*head, *(line for block in blocks for line in block), ""])
    return tune, tuple(Voice(names.get(name, ""), tuple(own)) for name, own in voices.items())


def pitch_shifts(text: str) -> list[tuple[str, str]]:
    """The attributes that shift the pitch of a voice, which music21 does not follow.

    Returns:
        Voices and their attributes, as they are written, such as ("2", "octave=-1"); each once.
    """
    announced = filter(None, map(_VOICE.match, _lines(text)))
    return list(
        dict.fromkeys(
            (voice[1], shift)
            for voice in announced
            for shift in _SHIFT.findall(_COMMENT.sub("", voice[2]))
        )
    )


def _lines(text: str) -> Iterator[str]:
    """The lines of `text`, with each turn within a line of music as a line of its own."""
    for line in text.splitlines():
        if _is_music(line):
            music = _COMMENT.sub("", line)
            yield from _TURN.sub(lambda t: f"\n{t[1]}\n" if t[1] else t[0], music).splitlines()
        else:
            yield line


def _voice(line: str, names: dict[str, str]) -> str:
    """The voice that a line announces, whose name is added to `names`; "" if it announces none."""
    voice = _VOICE.match(line)
    if voice is None:
        return ""
    if name := _NAME.search(voice[2]):
        names[voice[1]] = name[1] or name[2] or ""
    return voice[1]


def _is_music(line: str) -> bool:
    """Whether a line is no field and no comment."""
    return re.match(r"\s*([A-Za-z+]:|%)", line) is None
