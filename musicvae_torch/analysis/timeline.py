"""Windows on a song's timeline: where they lie, which of them cover the song, and how what was made
of them is written there."""

from __future__ import annotations

import copy
import io
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import mido
import numpy as np
import pretty_midi

from musicvae_torch.converters.base import Converter, Window
from musicvae_torch.converters.drums import class_of_pitch
from musicvae_torch.converters.groove import GrooveConverter
from musicvae_torch.converters.melody import MelodyConverter
from musicvae_torch.converters.trio import TrioConverter
from musicvae_torch.errors import MidiError
from musicvae_torch.io.files import replacing
from musicvae_torch.midi.notes import MAX_TICK, Song, check_midi_out, read_midi
from musicvae_torch.midi.quantize import DEFAULT_QPM, Section, common_time_sections, sections
from musicvae_torch.midi.score import read_score

_BEATS_PER_BAR = 4
_FINEST = 480  # ticks a quarter, fine enough for a groove's timing
_ROUNDING = 1e-3  # of a bar


@dataclass(frozen=True, eq=False)
class PlacedWindow:
    """A window and where it lies in a song.

    Attributes:
        window: as its converter found it.
        section: number of the section (of one tempo and metre) that it lies in.
        bar: its first, counted from 0 at the song's beginning.
        qpm: quarter notes per minute there.
        skip: bars at its beginning that another window covers.
    """

    window: Window
    section: int
    bar: int
    qpm: float
    skip: int = 0

    @property
    def seconds_per_bar(self) -> float:
        return 60.0 / self.qpm * _BEATS_PER_BAR


def first_bars(song: Song) -> dict[float, int]:
    """The number of the first bar of each section of a song, by the seconds at which it begins. A
    bar that a change cuts short counts as one."""
    bars: dict[float, int] = {}
    number = 0
    for section in sections(song):
        bars[section.start] = number
        number += section_bars(section)
    return bars


def section_bars(section: Section) -> int:
    """How many bars of its own metre a section has, the last one cut or not."""
    beats = (section.end - section.start) * section.qpm / 60
    numerator, denominator = section.metre
    per_bar = 4 * numerator / denominator if numerator and denominator else _BEATS_PER_BAR
    return max(ceil(beats / per_bar - _ROUNDING), 1)


def place_windows(converter: Converter, song: Song) -> list[PlacedWindow]:
    """All windows of a song, in order of section, then track, then bar. If a song's tempo or metre
    changes, a groove's windows lie in the sections between.

    Raises:
        MidiError: as :meth:`Converter.to_tensors`.
    """
    bars = first_bars(song)
    return [
        PlacedWindow(one, number, bars.get(section.start, 0) + one.bar, section.qpm)
        for number, (section, windows) in enumerate(_by_section(converter, song))
        for one in windows
    ]


def _by_section(converter: Converter, song: Song) -> Iterator[tuple[Section, list[Window]]]:
    found = converter.sections(song)
    if found or not isinstance(converter, GrooveConverter):
        for section in found:
            yield section, converter.section_windows(section, song.pedals)
        return
    for section in common_time_sections(song):
        notes = section.notes.copy()
        notes["end"], notes["start"] = section.end_times, section.start_times
        tempos, metres = np.array([[0.0, section.qpm]]), np.array([[0.0, *section.metre]])
        part = Song(notes, tempos, metres, section.end - section.start)
        windows = [window for found in converter.song_windows(part) for window in found]
        yield section, [replace(one, start=one.start + section.start) for one in windows]


def tile(converter: Converter, placed: Sequence[PlacedWindow]) -> list[PlacedWindow]:
    """Windows that cover a song, each part of it once.

    Each window begins where the one before ends, except at the end of a stretch, where one that
    begins earlier covers what is left. Each track of melodies is covered by windows of its own.
    Each section of trios is covered by the combination of tracks with most windows.
    """
    voices: dict[tuple[int, tuple[int, ...]], list[PlacedWindow]] = {}
    for one in placed:
        apart = isinstance(converter, MelodyConverter | TrioConverter)
        key = (one.section, one.window.instruments if apart else ())
        voices.setdefault(key, []).append(one)
    if isinstance(converter, TrioConverter):
        best: dict[int, list[PlacedWindow]] = {}
        for (section, _), own in voices.items():
            best[section] = max(best.get(section, []), own, key=len)
        voices = {(section, ()): own for section, own in best.items()}
    covering = [one for own in voices.values() for one in _tile_voice(own, converter.window_bars)]
    return sorted(covering, key=lambda one: (one.section, one.bar + one.skip))


def _tile_voice(placed: Sequence[PlacedWindow], bars: int) -> Iterator[PlacedWindow]:
    by_bar = {one.bar: one for one in placed}
    covered = min(by_bar)
    while True:
        if covered in by_bar:
            yield by_bar[covered]
        elif before := [bar for bar in by_bar if covered - bars < bar < covered]:
            last = max(before)
            yield replace(by_bar[last], skip=covered - last)
            covered = last
        elif after := [bar for bar in by_bar if bar > covered]:
            covered = min(after)
            continue
        else:
            return
        covered += bars


@dataclass(frozen=True, eq=False)
class Piece:
    """Tokens to be written somewhere.

    Attributes:
        tokens: (steps, parts) as the converter has them.
        start: when they begin, in seconds.
        qpm: quarter notes per minute.
        begin: notes before it are left out, in seconds.
        sounds: name and program of each part; empty: the converter's own.
        voice: pieces of different voices are on different tracks, even if they sound alike.
    """

    tokens: np.ndarray
    start: float
    qpm: float = DEFAULT_QPM
    begin: float = 0.0
    sounds: tuple[tuple[str, int], ...] = ()
    voice: tuple[int, ...] = ()


def pieces_of(
    placed: Sequence[PlacedWindow],
    tokens: Sequence[np.ndarray],
    midi: pretty_midi.PrettyMIDI | None,
) -> list[Piece]:
    """Tokens that were made of windows, in these windows' places. If `midi` is given, parts that
    come from one track are on its instrument."""
    pieces = []
    for one, rows in zip(placed, tokens, strict=True):
        window = one.window
        begin = window.start + one.skip * one.seconds_per_bar
        sounds: tuple[tuple[str, int], ...] = ()
        if midi and isinstance(window.converter, MelodyConverter | TrioConverter):
            tracks = [midi.instruments[index] for index in window.instruments]
            sounds = tuple((track.name, track.program) for track in tracks)
        voice = window.instruments if isinstance(window.converter, MelodyConverter) else ()
        pieces.append(Piece(rows, window.start, one.qpm, begin, sounds, voice))
    return pieces


def in_a_row(
    converter: Converter, tokens: Sequence[np.ndarray], qpm: float = DEFAULT_QPM
) -> list[Piece]:
    """Pieces one after another, at the tempo nearest to `qpm` that a file can hold."""
    # At any other, seconds and the file's ticks would be one tick apart after some hundred bars.
    qpm = 60e6 / round(60e6 / qpm)
    pieces, bar = [], 0
    for rows in tokens:
        start = bar * _BEATS_PER_BAR * 60.0 / qpm
        pieces.append(Piece(rows, start, qpm, start))
        bar += _bars_of(converter, rows)
    return pieces


def _bars_of(converter: Converter, tokens: np.ndarray) -> int:
    return ceil(converter.window_bars * len(tokens) / converter.steps)


def render_pieces(
    converter: Converter, pieces: Sequence[Piece], base: pretty_midi.PrettyMIDI | None = None
) -> pretty_midi.PrettyMIDI:
    """Pieces → MIDI that ends, in files by :func:`write_midi` too, on the bar line where the last
    piece does. Notes are cut there.

    Args:
        converter: that reads their tokens.
        pieces: in order of time.
        base: gets their tracks, in addition to its own; None: a new one, at the tempo of the first
            piece. If it has no tracks, its tempos, metres and keys end there, too.
    """
    qpm = pieces[0].qpm if pieces else DEFAULT_QPM
    midi = pretty_midi.PrettyMIDI(resolution=_FINEST, initial_tempo=qpm) if base is None else base
    bar = _BEATS_PER_BAR * midi.resolution
    ends = [
        midi.time_to_tick(piece.start) + _bars_of(converter, piece.tokens) * bar for piece in pieces
    ]
    last = int(max(ends, default=0))
    end = midi.tick_to_time(last)
    if not midi.instruments:
        _end_map(midi, last)
    tracks: dict[Hashable, pretty_midi.Instrument] = {}
    for piece in pieces:
        played = converter.from_tokens(piece.tokens, piece.qpm)
        earliest = piece.begin - 30 / piece.qpm / 4  # half a step: a groove may be early
        counts: dict[tuple[str, int, bool], int] = {}
        for index, part in enumerate(played.instruments):
            name, program = piece.sounds[index] if piece.sounds else (part.name, part.program)
            program = 0 if part.is_drum else program
            sound = (name or part.name, program, part.is_drum)
            # A bar may have two tracks of one sound.
            counts[sound] = counts.get(sound, -1) + 1
            key = (sound, counts[sound], piece.voice)
            if key not in tracks:
                tracks[key] = pretty_midi.Instrument(program, part.is_drum, sound[0])
                midi.instruments.append(tracks[key])
            tracks[key].notes += [
                note
                for note in _moved(part.notes, piece.start, earliest, end)
                if midi.time_to_tick(note.start) < last
            ]
        for text in played.text_events:
            if earliest <= (time := text.time + piece.start) < end:
                midi.text_events.append(pretty_midi.Text(text.text, time))
    midi.end_of_file = end
    return midi


def _moved(
    notes: Sequence[pretty_midi.Note], by: float, earliest: float, end: float
) -> Iterator[pretty_midi.Note]:
    for note in notes:
        # Times before 0, of an early first hit, have no place in a file.
        start, stop = max(note.start + by, 0.0), min(note.end + by, end)
        if note.start + by >= earliest:
            yield pretty_midi.Note(note.velocity, note.pitch, start, stop)


def _end_map(midi: pretty_midi.PrettyMIDI, tick: int) -> None:
    """Leave out tempos, metres and keys from a tick on, except those at tick 0."""
    for changes in (midi.time_signature_changes, midi.key_signature_changes):
        changes[:] = [one for one in changes if midi.time_to_tick(one.time) < max(tick, 1)]
    first, *others = midi._tick_scales
    midi._tick_scales = [first, *(change for change in others if change[0] < tick)]
    midi._update_tick_to_time(tick)


def timeline_of(midi: str | Path | pretty_midi.PrettyMIDI) -> pretty_midi.PrettyMIDI:
    """A song with its tempos, metres, keys and tracks, on ticks fine enough for a groove's timing.

    Raises:
        MidiError: the file is missing, unreadable, or no MIDI file.
    """
    parsed = midi if isinstance(midi, pretty_midi.PrettyMIDI) else read_midi(midi)
    base = copy.deepcopy(parsed)
    factor = ceil(_FINEST / base.resolution)
    if factor > 1:
        last = len(base._PrettyMIDI__tick_to_time) - 1
        if last * factor >= MAX_TICK:
            name = "the song" if midi is parsed else midi
            raise MidiError(f"{name}: too long, at {last // base.resolution} quarter notes")
        base.resolution *= factor
        base._tick_scales = [(tick * factor, scale / factor) for tick, scale in base._tick_scales]
        base._update_tick_to_time(last * factor)
    return base


def write_midi(midi: pretty_midi.PrettyMIDI, path: str | Path) -> None:
    """Write a MIDI file, whole or not at all, with the exact tempos of the file that it was read
    from.

    MIDI from :func:`render_pieces` ends on a bar line, which DAWs take for the clip's length; other
    MIDI a tick after the last event of each chunk, as by pretty_midi.

    Raises:
        OptionError: `path` ends in .rmi, as RIFF files do.
    """
    check_midi_out(path)
    content = read_score(midi).to_bytes()
    if hasattr(midi, "end_of_file"):
        content = _ended(content, midi.time_to_tick(midi.end_of_file))
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _ended(content: bytes, tick: int) -> bytes:
    """A file whose chunks end at a tick, if they have nothing later."""
    file = mido.MidiFile(file=io.BytesIO(content), charset="latin1")
    for chunk in file.tracks:
        events = [message for message in chunk if message.type != "end_of_track"]
        left = tick - sum(message.time for message in events)
        if left >= 0:
            chunk[:] = [*events, mido.MetaMessage("end_of_track", time=left)]
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def drum_song(song: Song, converter: GrooveConverter) -> tuple[Song, int]:
    """The drum notes of a song that a groove converter knows, and the number of those that it does
    not know. A song without drum tracks stays whole: a file of drums alone may have them on any
    channel."""
    notes = song.notes
    if not notes["is_drum"].any():
        return song, 0
    drums = notes[notes["is_drum"]]
    known = class_of_pitch(converter.drum_classes)[drums["pitch"]] >= 0
    return replace(song, notes=drums[known]), int((~known).sum())
