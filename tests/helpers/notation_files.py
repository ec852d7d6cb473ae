"""MusicXML and ABC written by hand: the example tunes as notation programs have them, and short
scores with one feature each. Nothing here uses music21, whose reading is what is tested."""

from __future__ import annotations

import io
import zipfile
from fractions import Fraction
from typing import Any
from xml.sax.saxutils import escape

from paths import EXAMPLES, load_script

make_tunes = load_script(EXAMPLES / "make_tunes.py")
SHARPS = {"C": 0, "G": 1, "D": 2, "F": -1, "Am": 0, "Bm": 2, "Dm": -1, "Gm": -2}
TYPES = {1: "16th", 2: "eighth", 4: "quarter", 8: "half", 16: "whole"}  # sixteenths
LETTERS = (("C", 0), ("C", 1), ("D", 0), ("E", -1), ("E", 0), ("F", 0), ("F", 1), ("G", 0),
           ("G", 1), ("A", 0), ("B", -1), ("B", 0))  # fmt: skip
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE score-partwise PUBLIC '
    '"-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">\n'
)
SIXTEENTH = make_tunes.TICKS_PER_BEAT // 4
Notes = list[tuple[Any, Any, int]]  # start, end in quarter notes; MIDI pitch


def tunes() -> dict[str, Any]:
    """The example tunes, by name, and one more that only the tests have."""
    found = {
        path.stem: make_tunes.read_tune(path) for path in sorted((EXAMPLES / "tunes").glob("*.txt"))
    }
    found["merrily"] = make_tunes.parse_tune("merrily", MERRILY)
    return found


MERRILY = """title: Merrily We Roll Along
origin: American nursery song, 19th century
rights: public domain: traditional
tempo: 116
key: C
program: 73 Flute

[A]
E5/4. D5/8 C5/4 D5/4 | E5/4 E5/4 E5/2 | D5/4 D5/4 D5/2 | E5/4 G5/4 G5/2
E5/4. D5/8 C5/4 D5/4 | E5/4 E5/4 E5/4. E5/8 | D5/4 D5/4 E5/4 D5/4 | C5/1
"""


def sung(tune: Any) -> Notes:
    """The notes of a tune from its first bar, pickup or not, on."""
    beat = make_tunes.TICKS_PER_BEAT
    # make_tunes puts silence before a pickup, to fill its bar; notation has none.
    silence = make_tunes.BAR_TICKS - tune.bars[0].ticks
    return [
        (
            Fraction(note.start - silence, beat),
            Fraction(note.start - silence + note.ticks, beat),
            note.pitch,
        )
        for note in tune.notes
    ]


def musicxml_of(tune: Any) -> str:
    """A tune as MusicXML of one part."""
    measures, held = [], False
    for number, bar in enumerate(tune.bars):
        pickup = bar.ticks < make_tunes.BAR_TICKS
        inside = ""
        if number == 0:
            inside += attributes(SHARPS[tune.key], "minor" if tune.key.endswith("m") else "major")
            inside += (
                '<direction placement="above"><direction-type><metronome><beat-unit>quarter'
                f"</beat-unit><per-minute>{tune.tempo:g}</per-minute></metronome></direction-type>"
                f'<sound tempo="{tune.tempo:g}"/></direction>'
            )
        for token in bar.tokens:
            inside += note(token.pitch, token.ticks // SIXTEENTH, start=token.tied, stop=held)
            held = token.tied
        start = 0 if tune.bars[0].ticks < make_tunes.BAR_TICKS else 1
        implicit = ' implicit="yes"' if pickup else ""
        measures.append(f'<measure number="{number + start}"{implicit}>{inside}</measure>')
    return score(part(tune.title, measures, tune.program))


def part(name: str, measures: list[str], program: int = 0, id: str = "P1") -> tuple[str, str]:
    """An entry of the list of parts, and the part."""
    entry = (
        f'<score-part id="{id}"><part-name>{escape(name)}</part-name>'
        f'<score-instrument id="{id}-I1"><instrument-name>{escape(name)}</instrument-name>'
        f'</score-instrument><midi-instrument id="{id}-I1"><midi-channel>1</midi-channel>'
        f"<midi-program>{program + 1}</midi-program></midi-instrument></score-part>"
    )
    return entry, f'<part id="{id}">{"".join(measures)}</part>'


def score(*parts: tuple[str, str]) -> str:
    """A whole file."""
    entries, bodies = zip(*parts, strict=True)
    return (
        f'{HEAD}<score-partwise version="4.0"><part-list>{"".join(entries)}</part-list>'
        f"{''.join(bodies)}</score-partwise>"
    )


def attributes(
    fifths: int = 0,
    mode: str = "major",
    beats: int = 4,
    unit: int = 4,
    divisions: int = 4,
    more: str = "",
) -> str:
    return (
        f"<attributes><divisions>{divisions}</divisions><key><fifths>{fifths}</fifths>"
        f"<mode>{mode}</mode></key><time><beats>{beats}</beats><beat-type>{unit}</beat-type></time>"
        f"<clef><sign>G</sign><line>2</line></clef>{more}</attributes>"
    )


def note(
    pitch: int | None, sixteenths: int, start: bool = False, stop: bool = False, more: str = ""
) -> str:
    """A note or rest; `more` comes at its end."""
    if pitch is None:
        what = "<rest/>"
    else:
        letter, alter = LETTERS[pitch % 12]
        what = (
            f"<pitch><step>{letter}</step><alter>{alter}</alter>"
            f"<octave>{pitch // 12 - 1}</octave></pitch>"
        )
    dots = "<dot/>" if sixteenths not in TYPES else ""
    kind = TYPES.get(sixteenths, TYPES.get(sixteenths * 2 // 3, "quarter"))
    tie = '<tie type="stop"/>' * stop + '<tie type="start"/>' * start
    return (
        f"<note>{what}<duration>{sixteenths}</duration>{tie}<voice>1</voice>"
        f"<type>{kind}</type>{dots}{more}</note>"
    )


def compressed(musicxml: str) -> bytes:
    """An .mxl archive, as notation programs write it."""
    buffer = io.BytesIO()
    container = (
        '<?xml version="1.0"?><container><rootfiles><rootfile full-path="score.musicxml" '
        'media-type="application/vnd.recordare.musicxml+xml"/></rootfiles></container>'
    )
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("score.musicxml", musicxml)
    return buffer.getvalue()


def abc_of(tune: Any) -> str:
    """A tune as ABC, each accidental written at its note."""
    lines = [
        "X:1", f"T:{tune.title}", "M:4/4", "L:1/16", f"Q:1/4={tune.tempo:g}", "K:C",
        f"%%MIDI program {tune.program}",
    ]  # fmt: skip
    music = []
    for bar in tune.bars:
        words = []
        for token in bar.tokens:
            length = token.ticks // SIXTEENTH
            words.append(f"{_abc_pitch(token.pitch)}{length}{'-' * token.tied}")
        music.append(" ".join(words))
    return "\n".join([*lines, *(f"{bar} |" for bar in music)]) + "\n"


def _abc_pitch(pitch: int | None) -> str:
    if pitch is None:
        return "z"
    letter, alter = LETTERS[pitch % 12]
    octave = pitch // 12 - 1
    mark = {0: "=", 1: "^", -1: "_"}[alter]
    if octave >= 5:
        return mark + letter.lower() + "'" * (octave - 5)
    return mark + letter + "," * (4 - octave)
