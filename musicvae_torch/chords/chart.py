"""Chord charts: chords as a musician writes them, bar by bar, in lines of text.

::

    # Comments begin with a number sign.
    [Verse] C | Am | F G | % x2
    [Chorus] F | G7 | C / / Bb | C
    [Verse]

- ``|``, the end of a line and a heading end a bar; a double bar line ends one bar, too. The chords
  of a bar share it equally.
- ``/`` repeats the chord before it: in ``C / / G`` the C lasts three beats of four. ``%`` or an
  empty bar repeats the bar before.
- ``[Name]`` begins a section. A section without bars is the section of that name again.
- ``x2`` after a bar plays twice what stands between it and the last heading, or the last ``x``.
- Symbols are those of :mod:`musicvae_torch.chords.symbols` (``F#m7``, ``Bbmaj7/D``, ``N.C.`` for
  no chord) and some other usual spellings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeAlias, TypeVar

from musicvae_torch.chords.symbols import NO_CHORD, chord_tones
from musicvae_torch.errors import ChordError
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR

Result = TypeVar("Result")
Bar: TypeAlias = tuple[str, ...]  # chord symbols that share a bar equally

MOST_CHORDS = STEPS_PER_BAR  # in a bar
MOST_BARS = 4096  # of a chart, with its repeats
BARS_A_LINE = 4

# Other spellings, in the order in which they are replaced, and those that symbols.py knows.
_SPELLINGS = {
    "♯": "#", "♭": "b", "Maj": "maj", "7sus4": "7sus", "ø7": "m7b5", "ø": "m7b5", "°": "dim",
    "Δ7": "maj7", "△7": "maj7", "Δ": "maj7", "△": "maj7",
}  # fmt: skip
_COMMENT = "#"
_TOKEN = re.compile(r"(?P<heading>\[[^][]*\])|(?P<line>\|+)|(?P<word>[^\s|\[\]]+)|(?P<odd>[\[\]])")
_TIMES = re.compile(r"[xX×][0-9]{1,9}")


def read_chart(text: str) -> tuple[Bar, ...]:
    """The chords of each bar of a chart, with its sections and repeats written out; the syntax is
    that of :mod:`musicvae_torch.chords.chart`. Inverse of :func:`write_chart`.

    Raises:
        ChordError: the chart holds no chord, or something else than a chart; the message names the
            line, the bar of the line, what stands there and what was expected.
    """
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1)
             if not line.lstrip().startswith(_COMMENT)]  # fmt: skip
    if not any(line.replace("|", "").strip() for _, line in lines):
        raise ChordError('no chords; write bars apart by "|", as in: C | Am F | G7')
    reader = _Reader()
    for number, line in lines:
        reader.read(number, line)
    reader.end()
    return tuple(reader.bars)


def write_chart(bars: Sequence[Sequence[str]], a_line: int = BARS_A_LINE) -> str:
    """A chart that :func:`read_chart` reads as these bars.

    Args:
        bars: the chord symbols that share each bar; at least one bar, with at least one each.
        a_line: bars a line, whose bar lines stand below each other.
    """
    cells = [" ".join(_with_strokes(bar)) for bar in bars]
    widths = [max(map(len, cells[column::a_line]), default=0) for column in range(a_line)]
    lines = []
    for first in range(0, len(cells), a_line):
        row = zip(cells[first : first + a_line], widths, strict=False)
        lines.append("| " + " | ".join(cell.ljust(width) for cell, width in row) + " |")
    return "\n".join(lines) + "\n"


def read_text(text: str, parse: Callable[[str], Result]) -> Result:
    """`parse` of a text, or of the file that it names after an "@".

    Raises:
        ChordError: `parse` raises it, or the file cannot be read.
    """
    if not text.startswith("@"):
        return parse(text)
    path = Path(text[1:])
    try:
        return parse(path.read_text(encoding="utf-8-sig"))
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


class _Reader:
    """Reads a chart line by line.

    Attributes:
        bars: those that are played so far.
    """

    def __init__(self) -> None:
        self.bars: list[Bar] = []
        self._sections: dict[str, list[Bar]] = {}
        self._heading: tuple[str, str] | None = None  # of the section: as written, and where
        self._section = 0  # bars that are played before the section
        self._repeated = 0  # bars that are played before those that "x2" would repeat
        self._line, self._bar = 1, 1

    def read(self, number: int, line: str) -> None:
        """Read a line; `number` counts from 1."""
        self._line, self._bar = number, 1
        cell: list[str] = []
        before = ""
        for kind, token in _tokens(line):
            if kind == "odd":
                raise self._error(f"{token!r} is half a heading; wanted [NAME]")
            if before == "times" and kind in ("word", "times"):
                raise self._error(
                    f"{token!r} follows a repeat; wanted a bar line, a heading or the line's end"
                )
            if kind == "word":
                cell.append(token)
            elif cell or kind == before == "line":
                self._end_bar(cell)
                cell = []
            if kind == "heading":
                self._begin_section(token)
            elif kind == "times":
                self._play_again(token)
            before = kind
        if cell:
            self._end_bar(cell)

    def end(self) -> None:
        """End the last section."""
        if self._heading is None:
            return
        written, where = self._heading
        if len(self.bars) == self._section:
            known = self._sections.get(_name(written))
            if known is None:
                raise ChordError(
                    f"{where}: {written} has no bars; wanted some, or the name of a section before"
                )
            self.bars += known
        self._sections[_name(written)] = self.bars[self._section :]
        self._check_length()

    def _begin_section(self, heading: str) -> None:
        self.end()
        if not _name(heading):
            raise self._error(f"{heading!r} has no name; wanted one, as in [A]")
        self._heading = heading, f"line {self._line}, bar {self._bar}"
        self._section = self._repeated = len(self.bars)

    def _play_again(self, times: str) -> None:
        if self._heading is not None and len(self.bars) == self._section:
            self.end()  # "[A] x2", where A is a section before
        again = self.bars[self._repeated :]
        if not again:
            raise self._error(f"{times!r} has nothing to repeat; wanted bars before it")
        count = int(times[1:])
        if not 1 <= count <= MOST_BARS:
            raise self._error(f"{times!r} is no number of times; wanted x1 to x{MOST_BARS}")
        if len(self.bars) + len(again) * (count - 1) <= MOST_BARS:
            self.bars += again * (count - 1)
        else:
            raise self._error(f"{times!r} makes more than {MOST_BARS} bars; wanted fewer")
        self._repeated = len(self.bars)

    def _end_bar(self, cell: list[str]) -> None:
        """Add the bar of some words."""
        if cell in ([], ["%"]):
            if not self.bars:
                what = repr(cell[0]) if cell else "an empty bar"
                raise self._error(f"{what} repeats the bar before it, but is the first; wanted a "
                                  "chord")  # fmt: skip
            bar = self.bars[-1]
        else:
            bar = self._chords(cell)
        self.bars.append(bar)
        self._check_length()
        self._bar += 1

    def _chords(self, cell: list[str]) -> Bar:
        """The chords of a bar, with chords in place of each "/"."""
        if len(cell) > MOST_CHORDS:
            raise self._error(f"there are {len(cell)} chords; wanted {MOST_CHORDS} at most")
        names: list[str] = []
        for word in cell:
            if word == "/" and not names:
                raise self._error("'/' repeats the chord before it in its bar; wanted a chord")
            if word == "%":
                raise self._error("'%' repeats a whole bar; wanted it alone between bar lines")
            if set(word) <= {":"}:
                raise self._error(f"{word!r} is no chord symbol; wanted repeats as x2, after the "
                                  "last bar that is repeated")  # fmt: skip
            try:
                names.append(names[-1] if word == "/" else symbol(word))
            except ChordError as error:
                raise self._error(str(error)) from None
        return tuple(names)

    def _check_length(self) -> None:
        if len(self.bars) > MOST_BARS:
            raise self._error(f"the chart is longer than {MOST_BARS} bars; wanted fewer")

    def _error(self, what: str) -> ChordError:
        return ChordError(f"line {self._line}, bar {self._bar}: {what}")


def _tokens(line: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each token: heading, line, times, word, or odd."""
    for match in _TOKEN.finditer(line):
        kind = match.lastgroup or ""
        yield ("times" if kind == "word" and _TIMES.fullmatch(match[0]) else kind), match[0]


def _name(heading: str) -> str:
    """What makes two headings the same."""
    return " ".join(heading[1:-1].split()).casefold()


def _with_strokes(bar: Sequence[str]) -> list[str]:
    """The symbols of a bar, with a "/" for each that repeats the one before."""
    return [word for name, same in groupby(bar) for word in (name, *("/" for _ in list(same)[1:]))]
