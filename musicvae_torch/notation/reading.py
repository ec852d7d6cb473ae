"""MusicXML and ABC → a score, as if its MIDI file had been read.

Its notes are exactly those of the file, at sounding pitch, with all repeats written out. Chord
symbols are text events of a track chunk named :data:`CHORDS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

from musicvae_torch.errors import NotationError
from musicvae_torch.midi.channels import CHANNELS, DRUM_CHANNEL
from musicvae_torch.midi.messages import (
    END_OF_TRACK,
    KEY_SIGNATURE,
    MAX_SHARPS,
    NOTE_OFF,
    NOTE_ON,
    PORT,
    PROGRAM_CHANGE,
    SET_TEMPO,
    TEXT,
    TIME_SIGNATURE,
    TRACK_NAME,
    Chunk,
    Message,
    MidiFile,
    meta,
)
from musicvae_torch.midi.score import Score, score_of
from musicvae_torch.midi.tracks import CHORDS
from musicvae_torch.notation.chord_symbols import chord_name
from musicvae_torch.notation.files import Sheet, parse, quiet
from musicvae_torch.notation.flow import PlayedBar, bars_of_parts, metres, play_order, played_bars
from musicvae_torch.notation.musicxml import PartHead
from musicvae_torch.notation.parts import PlayedPart, played_part

LYRIC, MARKER = 0x05, 0x06
RESOLUTION = 480  # ticks a quarter note; more, where a note would not fall on one
MOST_RESOLUTION = 30_240  # has the divisors 2 to 10
CLICKS, THIRTY_SECONDS = 24, 8  # of a metre's message: MIDI clocks a click, 32nds a quarter
_PITCHED = [channel for channel in range(CHANNELS) if channel != DRUM_CHANNEL]
_SLOWEST = (1 << 24) - 1  # microseconds a quarter note


def read_notation(path: str | Path) -> Score:
    """Read a MusicXML file (.musicxml, .xml, compressed .mxl) or an ABC file.

    Returns:
        Its score, with remarks on what is not in it.

    Raises:
        NotationError: music21 is not installed; the file is not readable as what its name says,
            holds several tunes, or has no note.
        MidiError: the file is missing or unreadable.
    """
    sheet = parse(path)
    try:
        with quiet():
            file, remarks = _midi_file(sheet)
    except NotationError as error:
        raise NotationError(f"{path}: {error}") from None
    except RecursionError:
        raise NotationError(f"{path}: its repeats lead nowhere") from None
    return replace(score_of(file, str(path)), remarks=(*sheet.remarks, *remarks))


def _midi_file(sheet: Sheet) -> tuple[MidiFile, list[str]]:
    """The MIDI file of a score, and remarks."""
    score = sheet.stream.toSoundingPitch()
    parts = bars_of_parts(score)
    if not any(parts):
        raise NotationError("it has no notes")
    order, remarks = play_order(score, parts)
    played = played_bars(order, parts)
    heads = [_head(sheet, part) for part in score.parts]
    own = [played_part(head, bars, played) for head, bars in zip(heads, parts, strict=True)]
    if not any(part.notes for part in own):
        raise NotationError("it has no notes")
    resolution, is_exact = _resolution(own, played)
    if not is_exact:
        remarks.append("some notes lie between MIDI's ticks, and were moved to the nearest one")
    losses: Counter[str] = sum((part.losses for part in own), Counter())
    remarks += [f"left out or changed: {count} {what}" for what, count in losses.items()]
    chords, unlike = _chords(parts, played)
    remarks += [f"chord {theirs} is taken as {ours}" for theirs, ours in unlike.items()]
    conductor = _conductor(score, parts, played, resolution)
    chunks = [_chunk(conductor)]
    if chords:
        rows = [meta(_tick(at, resolution), TEXT, name.encode()) for at, name in chords]
        chunks.append(_chunk([meta(0, TRACK_NAME, CHORDS.encode()), *rows]))
    for number, part in enumerate(part for part in own if part.notes):
        chunks.append(_part_chunk(part, number, resolution))
    return MidiFile(1, resolution, tuple(chunks)), remarks


def _head(sheet: Sheet, part: Any) -> PartHead:
    """What the file says of a part; both staves of one for piano have the same."""
    name = str(part.id).partition("-Staff")[0]
    return sheet.heads.get(name) or sheet.heads.get("") or PartHead("", None, False)


def _resolution(parts: Iterable[PlayedPart], played: Iterable[PlayedBar]) -> tuple[int, bool]:
    """Ticks a quarter note so that every note falls on one, and whether there are so many."""
    times = {time for part in parts for note in part.notes for time in (note.start, note.end)}
    times |= {bar.start for bar in played}
    exact = lcm(RESOLUTION, *{time.denominator for time in times})
    return (exact, True) if exact <= MOST_RESOLUTION else (MOST_RESOLUTION, False)


def _tick(time: Fraction, resolution: int) -> int:
    return round(time * resolution)


def _chunk(messages: Iterable[Message]) -> Chunk:
    """Messages in order of time, and an end."""
    rows = sorted(messages, key=lambda message: message.tick)
    return Chunk((*rows, meta(rows[-1].tick if rows else 0, END_OF_TRACK)))


def _conductor(
    score: Any, parts: Sequence[Sequence[Any]], played: Sequence[PlayedBar], resolution: int
) -> list[Message]:
    """Title, metres, keys, tempos and rehearsal marks."""
    found: list[Message] = []
    title = score.metadata.bestTitle if score.metadata is not None else None
    if title:
        found.append(meta(0, TRACK_NAME, str(title).encode("utf-8", "replace")))
    first = max(parts, key=len)
    for at, above, below in metres(played, first):
        content = bytes([min(above, 255), below.bit_length() - 1, CLICKS, THIRTY_SECONDS])
        found.append(meta(_tick(at, resolution), TIME_SIGNATURE, content))
    found += _keys(first, played, resolution)
    tempos: dict[int, int] = {}
    for at, mark in _marks(parts, played, "TempoIndication"):
        quarters = getattr(mark, "getQuarterBPM", lambda: None)()
        if quarters:
            tempos.setdefault(_tick(at, resolution), max(1, min(_SLOWEST, round(60e6 / quarters))))
    found += [meta(tick, SET_TEMPO, tempo.to_bytes(3)) for tick, tempo in tempos.items()]
    for at, mark in _marks(parts, played, "RehearsalMark"):
        found.append(meta(_tick(at, resolution), MARKER, str(mark.content).encode()))
    return found


def _keys(bars: Sequence[Any], played: Iterable[PlayedBar], resolution: int) -> list[Message]:
    found: list[Message] = []
    for at, key in _marks([bars], played, "KeySignature"):
        sharps = key.sharps
        if sharps is not None and abs(sharps) <= MAX_SHARPS:
            content = bytes([sharps & 0xFF, getattr(key, "mode", None) == "minor"])
            message = meta(_tick(at, resolution), KEY_SIGNATURE, content)
            if not found or found[-1].data != content:
                found.append(message)
    return found


def _marks(
    parts: Sequence[Sequence[Any]], played: Iterable[PlayedBar], kind: str
) -> Iterable[tuple[Fraction, Any]]:
    """Elements of a class, with the quarters at which they come, as often as their bars are
    played; those of the first part first."""
    places = list(played)
    for bars in parts:
        own = [
            [
                (Fraction(element.getOffsetInHierarchy(bar)), element)
                for element in bar.recurse()
                if kind in element.classes
            ]
            for bar in bars
        ]
        for place in places:
            for at, element in own[place.index] if place.index < len(own) else ():
                yield place.start + at, element


def _chords(
    parts: Sequence[Sequence[Any]], played: Sequence[PlayedBar]
) -> tuple[list[tuple[Fraction, str]], dict[str, str]]:
    """The chord symbols of the part that has the most, and how those are called that have another
    meaning with us."""
    found: list[tuple[Fraction, str]] = []
    unlike: dict[str, str] = {}
    for bars in parts:
        own = []
        for at, chord in _marks([bars], played, "Harmony"):
            if not {"ChordSymbol", "NoChord"}.intersection(chord.classes):
                continue
            name, same = chord_name(chord)
            own.append((at, name))
            if not same:
                unlike[str(chord.figure)] = name
        if len(own) > len(found):
            found = own
    return found, unlike


def _part_chunk(part: PlayedPart, number: int, resolution: int) -> Chunk:
    """A part on a channel of its own; from the sixteenth part on, on further ports."""
    port, seat = divmod(number, len(_PITCHED))
    channel = DRUM_CHANNEL if part.is_drum else _PITCHED[seat]
    start = [meta(0, TRACK_NAME, part.name.encode("utf-8", "replace"))] if part.name else []
    if port:
        start.append(meta(0, PORT, bytes([port])))
    start.append(Message(0, PROGRAM_CHANGE | channel, bytes([0 if part.is_drum else part.program])))
    rows = [
        (_tick(at, resolution), 1, meta(_tick(at, resolution), LYRIC, word.encode()))
        for at, word in part.words
    ]
    for note in part.notes:
        begin, end = _tick(note.start, resolution), _tick(note.end, resolution)
        pitch = bytes([note.pitch, note.velocity])
        rows.append((begin, 2, Message(begin, NOTE_ON | channel, pitch)))
        rows.append((end, 0, Message(end, NOTE_OFF | channel, bytes([note.pitch, 0]))))
    rows.sort(key=lambda row: row[:2])
    return _chunk([*start, *(message for *_, message in rows)])
