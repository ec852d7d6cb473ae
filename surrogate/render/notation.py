"""A song with its band as sheet music in MusicXML, which notation programs open.

music21, which must be installed, makes the notation; drums are then put on a percussion staff.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from musicvae_torch.errors import OptionError
from musicvae_torch.io.files import replacing
from musicvae_torch.midi.messages import KEY_SIGNATURE, MAX_SHARPS, is_sound_meta
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import Track
from musicvae_torch.midi.vocabulary import BASS_PROGRAMS
from musicvae_torch.notation.chord_symbols import notated
from musicvae_torch.notation.files import (
    COMPRESSED_SUFFIX,
    MUSICXML_SUFFIXES,
    check_music21,
    is_musicxml,
    quiet,
)
from surrogate.render.drum_staff import FEET, make_drum_part
from surrogate.render.note_values import pieces, quarter_of, spans
from surrogate.render.view import View
from surrogate.song.bars import Bars, bars_of

LEAST_CHANGE = 0.02  # of the tempo, as a share; smaller ones are not written
LOWEST_TREBLE = 55  # parts whose median pitch is lower are written in the bass clef

Chords = Sequence[tuple[int, str]]  # ticks at which chords begin, and their symbols
Span = tuple[Fraction, Fraction, int]  # start, end and pitch
_HEADER = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE score-partwise PUBLIC '
    b'"-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    b'"http://www.musicxml.org/dtds/partwise.dtd">\n'
)
_CONTAINER = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<container><rootfiles>'
    '<rootfile full-path="score.musicxml" '
    'media-type="application/vnd.recordare.musicxml+xml"/></rootfiles></container>\n'
)


def check_notation_out(path: str | Path) -> None:
    """Make sure that a score can be written to a file of that name.

    Raises:
        OptionError: it is no MusicXML file by its name.
        NotationError: music21 is not installed.
    """
    if not is_musicxml(path):
        raise OptionError(
            f"{path}: not the name of a MusicXML file; end it in {', '.join(MUSICXML_SUFFIXES)}"
        )
    check_music21(path, "writing")


def write_notation(path: str | Path, view: View, chords: Chords = (), title: str = "") -> list[str]:
    """Write a song as MusicXML.

    Every track is a staff, at sounding pitch: rhythms as they are, where notation has a sign for
    them, else moved to the nearest sixteenth or triplet; keys, metres and tempos of the song; chord
    symbols above the first staff.

    Args:
        path: .musicxml, .xml, or .mxl for a compressed file.
        view: the song.
        chords: its harmony.
        title: above the score.

    Returns:
        What the user should know, a line each.

    Raises:
        OptionError: the name is not that of a MusicXML file.
        NotationError: music21 is not installed.
        MidiError: the song has too many bars.
    """
    check_notation_out(path)
    content, remarks = notation_bytes(view, chords, title)
    if Path(path).suffix.lower() == COMPRESSED_SUFFIX:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in (("META-INF/container.xml", _CONTAINER), ("score.musicxml", content)):
                archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        content = buffer.getvalue()
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return remarks


def notation_bytes(view: View, chords: Chords = (), title: str = "") -> tuple[bytes, list[str]]:
    """What :func:`write_notation` writes without compression, and its remarks."""
    with quiet():
        sheet, remarks = _sheet(view, chords, title)
        from music21.musicxml.m21ToXml import ScoreExporter

        root = ScoreExporter(sheet, makeNotation=False).parse()
    _finish(root, view)
    ElementTree.indent(root)
    return _HEADER + ElementTree.tostring(root, encoding="utf-8") + b"\n", remarks


def _sheet(view: View, chords: Chords, title: str) -> tuple[Any, list[str]]:
    """A ``music21.stream.Score``, drums at the pitches of General MIDI, and remarks."""
    from music21 import metadata, stream

    score = view.score
    bars = bars_of(score)
    sheet = stream.Score()
    sheet.insert(0, metadata.Metadata(title=title or view.title))
    remarks = []
    for track in score.tracks:
        notes, moved = spans(track.notes, score.resolution)
        if moved:
            name = track.name.strip() or track.sound
            remarks.append(
                f"MusicXML: {moved} of {len(notes)} notes of {name!r} lie beside what notation can "
                "write, and are at the nearest sixteenth or triplet"
            )
        sheet.insert(0, _part(track, notes, score, bars))
    first = next(iter(sheet.parts), None)
    if first is not None:
        _add_signs(first, score, bars, chords)
    return sheet, remarks


def _clef(track: Track) -> str:
    """The name of a track's clef in music21."""
    if track.is_drum:
        return "PercussionClef"
    if float(np.median(track.notes["pitch"])) >= LOWEST_TREBLE:
        return "TrebleClef"
    # Players of the bass read an octave above what sounds; the 8 below the clef says so.
    return "Bass8vbClef" if track.program in BASS_PROGRAMS else "BassClef"


def _part(track: Track, notes: list[Span], score: Score, bars: Bars) -> Any:
    """A track as a part."""
    from music21 import clef, instrument, key, meter, stream

    part = stream.Part()
    part.partName = track.name.strip() or track.sound
    player = instrument.Instrument()
    player.midiProgram, player.midiChannel = track.program, track.channel
    player.partName = player.instrumentName = part.partName
    part.insert(0, player)
    if track.is_drum:
        layers = [[n for n in notes if n[2] not in FEET], [n for n in notes if n[2] in FEET]]
        layers = [_struck(layer) for layer in layers if layer]
    else:
        layers = _layers(notes)
    keys = [] if track.is_drum else _keys(score)
    metre, sharps = None, None
    for number, (start, end) in enumerate(pairwise(_lines(bars, score.resolution))):
        measure = stream.Measure(number=bars.first + number)
        if number == 0:
            measure.insert(0, getattr(clef, _clef(track))())
        own = _shown_metre(bars, number)
        if own != metre:
            metre = own
            measure.insert(0, meter.TimeSignature(f"{own[0]}/{own[1]}"))
        current = [value for tick, value in keys if tick <= bars.ticks[number]][-1:]
        if current and current[0] != sharps:
            (sharps,) = current
            measure.insert(0, key.KeySignature(sharps))
        _fill(measure, layers, start, end, sharps or 0)
        part.append(measure)
    if not track.is_drum:
        part.makeAccidentals(inPlace=True)
    for measure in part.getElementsByClass("Measure"):
        measure.makeBeams(inPlace=True)
    return part


def _lines(bars: Bars, resolution: int) -> list[Fraction]:
    return [quarter_of(tick, resolution)[0] for tick in bars.ticks.tolist()]


def _shown_metre(bars: Bars, number: int) -> tuple[int, int]:
    """The metre that is printed: of a pickup, that of the bar after it."""
    is_pickup = number == 0 and bars.first == 0 and len(bars) > 1
    above, below = bars.metres[number + is_pickup].tolist()
    return above, below


def _layers(notes: list[Span]) -> list[list[Span]]:
    """Notes in voices: those of a voice begin and end together, or do not overlap."""
    layers: list[list[Span]] = []
    for note in sorted(notes, key=lambda note: (note[0], -note[1], -note[2])):
        for layer in layers:
            if layer[-1][:2] == note[:2] or layer[-1][1] <= note[0]:
                layer.append(note)
                break
        else:
            layers.append([note])
    return layers or [[]]


def _struck(hits: list[Span]) -> list[Span]:
    """Drum hits that are as long as it takes to the next one, or to the next beat."""
    starts = sorted({start for start, *_ in hits})
    ends = {}
    for start, following in zip(starts, [*starts[1:], starts[-1] + 1], strict=True):
        ends[start] = min(following, Fraction(start // 1 + 1))
    return [(start, ends[start], pitch) for start, _, pitch in hits]


def _fill(
    measure: Any, layers: list[list[Span]], start: Fraction, end: Fraction, sharps: int
) -> None:
    """Put what sounds in a bar into it, each layer in a voice of its own if there are several."""
    from music21 import note, stream

    sounding = [[n for n in layer if n[0] < end and n[1] > start] for layer in layers]
    voices = [own for own in sounding if own]
    if not voices:
        whole = note.Rest()
        whole.duration.quarterLength = end - start
        whole.fullMeasure = True
        measure.insert(0, whole)
        return
    for number, own in enumerate(voices, start=1):
        home = measure if len(voices) == 1 else stream.Voice(id=str(number))
        for element, at in _elements(own, start, end, sharps, hide_rests=number > 1):
            if len(voices) > 1:
                element.stemDirection = "up" if number % 2 else "down"
            home.insert(at, element)
        if home is not measure:
            measure.insert(0, home)


def _elements(
    own: list[Span], start: Fraction, end: Fraction, sharps: int, hide_rests: bool
) -> Iterator[tuple[Any, Fraction]]:
    """The notes, chords and rests of one voice of a bar, and where each begins in it."""
    from music21 import chord, note, tie

    chords: dict[tuple[Fraction, Fraction], list[int]] = {}
    for begins, ends, pitch in own:
        chords.setdefault((begins, ends), []).append(pitch)
    now = Fraction(0)
    for (begins, ends), pitches in chords.items():
        first, last = max(begins, start) - start, min(ends, end) - start
        yield from _rests(now, first, hide_rests)
        parts = list(pieces(first, last))
        for number, (a, b) in enumerate(parts):
            unique = [_spelled(pitch, sharps) for pitch in sorted(set(pitches))]
            made = note.Note(unique[0]) if len(unique) == 1 else chord.Chord(unique)
            made.duration.quarterLength = b - a
            before, after = number > 0 or begins < start, number + 1 < len(parts) or ends > end
            if before or after:
                kind = "continue" if before and after else "stop" if before else "start"
                made.tie = tie.Tie(kind)
            yield made, a
        now = last
    yield from _rests(now, end - start, hide_rests)


def _spelled(pitch: int, sharps: int) -> str:
    """The name of a MIDI pitch in a key, as in "B-4": of all names the one that is near the key on
    the circle of fifths."""
    fifths = 7 * pitch % 12  # from C
    fifths += 12 * ((sharps + 8 - fifths) // 12)  # at most eight fifths above the key's tonic
    alter, letter = divmod(fifths + 1, 7)
    octave = (pitch - alter) // 12 - 1
    return f"{'FCGDAEB'[letter]}{'#' * alter or '-' * -alter}{octave}"


def _rests(start: Fraction, end: Fraction, hidden: bool) -> Iterator[tuple[Any, Fraction]]:
    from music21 import note

    for a, b in pieces(start, end) if start < end else ():
        rest = note.Rest()
        rest.duration.quarterLength = b - a
        rest.style.hideObjectOnPrint = hidden
        yield rest, a


def _keys(score: Score) -> list[tuple[int, int]]:
    """Key signatures of the song, as (tick, sharps); the likeliest one, if it has none."""
    found = {
        message.tick: int.from_bytes(message.data[:1], signed=True)
        for chunk in reversed(score.file.tracks)
        for message in chunk.messages
        if message.kind == KEY_SIGNATURE and is_sound_meta(message)
    }
    return sorted(found.items()) or [(0, _likeliest_key(score))]


def _likeliest_key(score: Score) -> int:
    """The sharps of the key whose scale holds most of what sounds; negative: flats."""
    heard = np.zeros(12)
    for track in score.tracks:
        if not track.is_drum:
            lasts = track.notes["end"] - track.notes["start"]
            np.add.at(heard, track.notes["pitch"] % 12, lasts)
    scale = (0, 2, 4, 5, 7, 9, 11)
    shares = {
        sharps: sum(heard[(7 * sharps + degree) % 12] for degree in scale)
        for sharps in sorted(range(-5, MAX_SHARPS), key=abs)
    }
    return max(shares, key=lambda sharps: float(shares[sharps]))


def _add_signs(part: Any, score: Score, bars: Bars, chords: Chords) -> None:
    """Put tempos and chord symbols above a part."""
    from music21 import tempo

    measures = list(part.getElementsByClass("Measure"))
    lines = _lines(bars, score.resolution)
    place = partial(_place, lines)
    for tick, quarters in _tempos(score):
        found = place(quarter_of(tick, score.resolution)[0])
        if found is not None:
            measures[found[0]].insert(found[1], tempo.MetronomeMark(number=quarters))
    for tick, name in chords:
        found = place(max(quarter_of(tick, score.resolution)[0], Fraction(0)))
        if found is not None:
            measures[found[0]].insert(found[1], notated(name))


def _place(lines: Sequence[Fraction], at: Fraction) -> tuple[int, Fraction] | None:
    """The index of the bar in which a time is, and the time from its beginning."""
    if at >= lines[-1]:
        return None
    index = max(n for n, line in enumerate(lines) if line <= at)
    return index, at - lines[index]


def _tempos(score: Score) -> Iterator[tuple[int, float]]:
    """Tempos in quarter notes a minute, but for small changes, as of a recording."""
    last = 0.0
    for tick, tempo in score.tempos.tolist():
        quarters = round(60e6 / tempo, 2)
        if abs(quarters - last) > LEAST_CHANGE * last:
            last = quarters
            yield tick, quarters


def _finish(root: ElementTree.Element, view: View) -> None:
    """Give ids that are the same each time, pickups that are not counted, and drums their staff."""
    for creator in root.findall("identification/creator"):
        root.find("identification").remove(creator)  # type: ignore[union-attr]
    for encoding in root.iter("encoding"):
        for date in encoding.findall("encoding-date"):
            encoding.remove(date)
    entries = root.findall("part-list/score-part")
    tracks: Iterable[Track] = view.score.tracks
    for track, entry, part in zip(tracks, entries, root.findall("part"), strict=True):
        name = f"P{track.index + 1}"
        entry.set("id", name)
        part.set("id", name)
        for element in (*entry.iter("score-instrument"), *entry.iter("midi-instrument")):
            element.set("id", f"{name}-I1")
        for abbreviation in entry.findall("part-abbreviation"):
            entry.remove(abbreviation)
        for measure in part.findall("measure"):
            if measure.get("number") == "0":
                measure.set("implicit", "yes")
        if track.is_drum:
            make_drum_part(entry, part)
