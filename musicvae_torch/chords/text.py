"""Chords as a musician types them: bar by bar, one line of text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from musicvae_torch.chords.symbols import NO_CHORD, chord_tones
from musicvae_torch.errors import ChordError
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR

Result = TypeVar("Result")

# Other spellings, in the order in which they are replaced, and those that symbols.py knows.
_SPELLINGS = {
    "♯": "#", "♭": "b", "Maj": "maj", "7sus4": "7sus", "ø7": "m7b5", "ø": "m7b5", "°": "dim",
    "Δ7": "maj7", "△7": "maj7", "Δ": "maj7", "△": "maj7",
}  # fmt: skip


def written_bars(text: str) -> list[list[str]]:
    """The chords of each bar of a text such as "C | Am F | % | G7 |".

    A bar's chords share it equally. "/" repeats the chord before it ("C / / G"), and "%" or an
    empty bar the bar before. A double bar line, or the end of a line, is a bar line. Symbols are
    those of ``musicvae_torch.chords.symbols`` ("F#m7", "Bbmaj7/D", "N.C." for none) and some other
    usual spellings.

    Raises:
        ChordError: an unknown symbol, no chord at all, or a "%" at the beginning.
    """
    cells = [cell.split() for line in text.splitlines() for cell in _cells(line)]
    if not any(cells):
        raise ChordError('no chords; write bars apart by "|", as in: C | Am F | G7')
    written: list[list[str]] = []
    for number, cell in enumerate(cells, start=1):
        if cell in ([], ["%"]):
            if not written:
                raise ChordError(f"bar {number} of the chords repeats a bar, but is the first")
            written.append(written[-1])
        else:
            written.append(_bar(cell))
    return written


def read_text(text: str, parse: Callable[[str], Result]) -> Result:
    """`parse` of a text, or of the file that it names after an "@".

    Raises:
        ChordError: `parse` raises it, or the file cannot be read.
    """
    if not text.startswith("@"):
        return parse(text)
    path = Path(text[1:])
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ChordError(f"{path}: chords cannot be read ({reason})") from None
    except ChordError as error:
        raise ChordError(f"{path}: {error}") from None


def symbol(name: str) -> str:
    """A chord symbol in the spelling of symbols.py; raises ChordError if it is unknown."""
    if name.upper() in ("NC", "N.C", "N.C."):
        return NO_CHORD
    spelled = name
    for theirs, ours in _SPELLINGS.items():
        spelled = spelled.replace(theirs, ours)
    try:
        chord_tones(spelled)
    except ChordError as error:
        raise ChordError(str(error).replace(repr(spelled), repr(name))) from None
    return spelled


def _cells(line: str) -> list[str]:
    """The bars of a line; bar lines at its ends make no bars of their own."""
    bars = line.strip().strip("|")
    return re.split(r"\|+", bars) if bars.strip() else []


def _bar(cell: list[str]) -> list[str]:
    """The symbols of a bar, with chords in place of each "/"."""
    if len(cell) > STEPS_PER_BAR:
        raise ChordError(f"a bar has {len(cell)} chords; at most {STEPS_PER_BAR} go")
    names: list[str] = []
    for name in cell:
        if name == "/" and not names:
            raise ChordError('a "/" repeats the chord before it; it cannot begin a bar')
        names.append(names[-1] if name == "/" else symbol(name))
    return names
