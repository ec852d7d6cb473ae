#!/usr/bin/env python3
"""Make the example melodies: every tunes/NAME.txt becomes NAME.mid.

The notation is explained in README.md, next to this file.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import mido

HERE = Path(__file__).resolve().parent
TICKS_PER_BEAT = 480
BEATS_PER_BAR = 4
BAR_TICKS = TICKS_PER_BEAT * BEATS_PER_BAR

REQUIRED = ("title", "origin", "rights", "tempo", "key", "program")
OPTIONAL = ("pickup", "form")

SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"": 0, "#": 1, "b": -1}
TOKEN = re.compile(r"(?:([A-G])([#b]?)([0-9])|r)/(1|2|4|8|16)(\.?)(~?)")
SECTION = re.compile(r"\[(\w+)\]")
FORM_PART = re.compile(r"(\w+)([+-]\d+)?")


class TuneError(Exception):
    """A tune that cannot be read; the message names the tune and the place."""


@dataclass(frozen=True)
class Token:
    pitch: int | None  # None is a rest
    ticks: int
    tied: bool


@dataclass(frozen=True)
class Bar:
    where: str
    tokens: tuple[Token, ...]

    @property
    def ticks(self) -> int:
        return sum(token.ticks for token in self.tokens)


@dataclass(frozen=True)
class Note:
    start: int
    ticks: int
    pitch: int


@dataclass(frozen=True)
class Tune:
    name: str
    title: str
    tempo: float
    key: str
    program: int
    bars: tuple[Bar, ...]
    notes: tuple[Note, ...]


def read_tune(path: Path) -> Tune:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TuneError(f"{path.stem}: cannot read {path}: {error}") from error
    return parse_tune(path.stem, text)


def parse_tune(name: str, text: str) -> Tune:
    headers, sections = split_text(name, text)
    for field in REQUIRED:
        if not headers.get(field):
            raise TuneError(f"{name}: header '{field}' is missing")
    key = headers["key"]
    try:
        mido.MetaMessage("key_signature", key=key)
    except ValueError as error:
        raise TuneError(f"{name}: key '{key}' is not a key such as C, F#m or Bb") from error

    pickup = 0
    if "pickup" in headers:
        pickup = round(TICKS_PER_BEAT * number(name, headers, "pickup", 0.25, 3.75))
    bars = tuple(play_form(name, headers.get("form", " ".join(sections)), sections))
    if not bars:
        raise TuneError(f"{name}: there are no bars; they stand under a [section]")
    check_lengths(bars, pickup)
    return Tune(
        name=name,
        title=headers["title"],
        tempo=number(name, headers, "tempo", 20, 400),
        key=key,
        program=int(number(name, headers, "program", 0, 127)),
        bars=bars,
        # Silence in front of a pickup keeps every bar line on a multiple of four beats.
        notes=tuple(join_ties(bars, BAR_TICKS - pickup if pickup else 0)),
    )


def split_text(name: str, text: str) -> tuple[dict[str, str], dict[str, list[Bar]]]:
    headers: dict[str, str] = {}
    sections: dict[str, list[Bar]] = {}
    bars: list[Bar] | None = None
    place = ""
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if heading := SECTION.fullmatch(line):
            place = f"{name}: section {heading[1]}"
            if heading[1] in sections:
                raise TuneError(f"{place} is there twice")
            bars = sections[heading[1]] = []
        elif bars is None:
            add_header(name, line, headers)
        else:
            for part in line.strip("|").split("|"):
                bars.append(parse_bar(part, f"{place}, bar {len(bars) + 1}"))
    return headers, sections


def add_header(name: str, line: str, headers: dict[str, str]) -> None:
    field, colon, value = (part.strip() for part in line.partition(":"))
    if not colon or field not in REQUIRED + OPTIONAL:
        raise TuneError(f"{name}: unknown header '{field}' before the first [section]")
    if field in headers:
        raise TuneError(f"{name}: header '{field}' is there twice")
    headers[field] = value


def number(name: str, headers: dict[str, str], field: str, low: float, high: float) -> float:
    """The number a header starts with; words may follow it ("73 Flute")."""
    word = headers[field].partition(" ")[0]
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise TuneError(f"{name}: {field} '{word}' is not a number from {low} to {high}")
    return value


def parse_bar(text: str, where: str) -> Bar:
    return Bar(where, tuple(parse_token(word, where) for word in text.split()))


def parse_token(word: str, where: str) -> Token:
    match = TOKEN.fullmatch(word)
    if not match:
        raise TuneError(f"{where}: '{word}' is not a note such as F#4/8 or a rest such as r/4")
    letter, accidental, octave, value, dot, tie = match.groups()
    ticks = BAR_TICKS // int(value)
    if dot:
        ticks += ticks // 2
    if letter is None:
        if tie:
            raise TuneError(f"{where}: '{word}' ties a rest")
        return Token(None, ticks, False)
    pitch = 12 * (int(octave) + 1) + SEMITONES[letter] + ACCIDENTALS[accidental]
    return Token(pitch, ticks, bool(tie))


def play_form(name: str, form: str, sections: dict[str, list[Bar]]) -> Iterator[Bar]:
    """The bars in the order in which they are played, each section moved as the form says."""
    for part in form.split():
        match = FORM_PART.fullmatch(part)
        if not match or match[1] not in sections:
            raise TuneError(f"{name}: form has '{part}', which is no section of the tune")
        shift = int(match[2] or 0)
        for bar in sections[match[1]]:
            yield replace(bar, tokens=tuple(moved(token, shift, bar) for token in bar.tokens))


def moved(token: Token, shift: int, bar: Bar) -> Token:
    if token.pitch is None:
        return token
    pitch = token.pitch + shift
    if not 0 <= pitch <= 127:
        raise TuneError(f"{bar.where}: a note is outside the range of MIDI")
    return replace(token, pitch=pitch)


def check_lengths(bars: tuple[Bar, ...], pickup: int) -> None:
    for index, bar in enumerate(bars):
        wanted = pickup if pickup and index == 0 else BAR_TICKS
        if bar.ticks != wanted:
            raise TuneError(
                f"{bar.where}: {bar.ticks / TICKS_PER_BEAT:g} beats "
                f"instead of {wanted / TICKS_PER_BEAT:g}"
            )


def join_ties(bars: tuple[Bar, ...], start: int) -> Iterator[Note]:
    held: Note | None = None
    for bar in bars:
        for token in bar.tokens:
            if held and token.pitch != held.pitch:
                raise TuneError(f"{bar.where}: a tie must lead to the same note")
            if token.pitch is not None:
                note = held or Note(start, 0, token.pitch)
                note = replace(note, ticks=note.ticks + token.ticks)
                held = note if token.tied else None
                if not held:
                    yield note
            start += token.ticks
    if held:
        raise TuneError(f"{bars[-1].where}: the last note is tied to nothing")


def velocity(start: int) -> int:
    return {0: 100, 2 * TICKS_PER_BEAT: 92}.get(start % BAR_TICKS, 84)


def midi_bytes(tune: Tune) -> bytes:
    """A type 1 file: a track for tempo and signatures, a track for the melody."""
    # MIDI has no agreed encoding for names; Latin-1 is what mido and pretty_midi read.
    title = tune.title.encode("latin-1", "replace").decode("latin-1")
    conductor = mido.MidiTrack(
        [
            mido.MetaMessage("track_name", name=title),
            mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tune.tempo)),
            mido.MetaMessage("time_signature", numerator=BEATS_PER_BAR, denominator=4),
            mido.MetaMessage("key_signature", key=tune.key),
        ]
    )
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    file.tracks += [conductor, melody_track(tune, title)]
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def melody_track(tune: Tune, title: str) -> mido.MidiTrack:
    track = mido.MidiTrack(
        [
            mido.MetaMessage("track_name", name=title),
            mido.Message("program_change", program=tune.program),
        ]
    )
    now = 0
    for note in tune.notes:
        on = {"note": note.pitch, "velocity": velocity(note.start), "time": note.start - now}
        track.append(mido.Message("note_on", **on))
        track.append(mido.Message("note_off", note=note.pitch, velocity=0, time=note.ticks))
        now = note.start + note.ticks
    track.append(mido.MetaMessage("end_of_track", time=len(tune.bars) * BAR_TICKS - now))
    return track


def write_file(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def chosen_paths(names: list[str]) -> list[Path]:
    known = {path.stem: path for path in sorted((HERE / "tunes").glob("*.txt"))}
    for name in names:
        if name not in known and not name.endswith(".txt"):
            raise TuneError(f"{name}: no such tune; there are {', '.join(known)}")
    return [known.get(name, Path(name)) for name in names] or list(known.values())


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the example melodies as MIDI files.")
    parser.add_argument(
        "tunes",
        nargs="*",
        metavar="TUNE",
        help="a tune of examples/tunes (korobeiniki) or a text file of your own (song.txt); "
        "without any, all of examples/tunes",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE,
        metavar="FOLDER",
        help="where to write (default: examples, next to this script)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        tunes = [read_tune(path) for path in chosen_paths(options.tunes)]
        options.out.mkdir(parents=True, exist_ok=True)
        for tune in tunes:
            path = options.out / f"{tune.name}.mid"
            write_file(path, midi_bytes(tune))
            print(f"{path}: {len(tune.bars)} bars, {len(tune.notes)} notes, {tune.tempo:g} bpm")
    except (TuneError, OSError) as error:
        print(f"make_tunes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
