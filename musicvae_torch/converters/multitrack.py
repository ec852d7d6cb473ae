"""Multitrack bars: what up to eight tracks play in one bar ↔ tokens and MIDI.

Tokens are (8 tracks * 64 events, 1 or 2): classes of events (``performance.py``) and, where
chords condition the model, of the chord at each event; -1 after each track's END. Facts of
Magenta 2.1.4's ``music_vae.data_hierarchical.MultiInstrumentPerformanceConverter``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pretty_midi

from musicvae_torch.chords.inference import infer_chords
from musicvae_torch.chords.symbols import CHORD_DEPTH
from musicvae_torch.converters.bar_chords import BarChords, chord_texts
from musicvae_torch.converters.base import Converter, Window, one_hot
from musicvae_torch.converters.performance import (
    DEPTH,
    DRUMS,
    END,
    STEP_NOTE_DTYPE,
    STEPS_PER_BAR,
    STEPS_PER_QUARTER,
    Events,
    decode_performance,
    encode_performances,
)
from musicvae_torch.errors import ConfigError
from musicvae_torch.midi.notes import Song
from musicvae_torch.midi.quantize import DEFAULT_QPM, Section, common_time_sections, to_steps
from musicvae_torch.midi.sustain import sustained_notes


@dataclass(frozen=True)
class MultitrackRules:
    """What a multitrack config asks of a bar.

    Attributes:
        chords: whether chords condition the model.
        min_tracks, max_tracks: tracks in which a note starts.
        max_events: of each track, its program and END included.
        min_events: of all tracks together, without those two.
        transpose_range: see :class:`Converter`.
    """

    chords: bool = False
    min_tracks: int = 2
    max_tracks: int = 8
    max_events: int = 64
    min_events: int = 8
    transpose_range: int = 3


MULTITRACK_RULES = {
    "hier-multiperf_vel_1bar_med": MultitrackRules(),
    "hier-multiperf_vel_1bar_big": MultitrackRules(),
    "hier-multiperf_vel_1bar_med_chords": MultitrackRules(chords=True),
    "hier-multiperf_vel_1bar_big_chords": MultitrackRules(chords=True),
}


@dataclass(frozen=True)
class _Bars:
    """What plays in the bars of a section: in each the tracks in which a note starts.

    Attributes:
        lines: (bars + 1,) seconds from the section's start.
        ends: (bars,) step on which a bar's last note ends; 0 without notes.
        track_bars, programs, instruments: (tracks,) which bar a track is of, its program or
            DRUMS, and its index in the song; tracks are in order of these.
        notes: of STEP_NOTE_DTYPE, on steps from the start of the bar.
    """

    lines: np.ndarray
    ends: np.ndarray
    track_bars: np.ndarray
    programs: np.ndarray
    instruments: np.ndarray
    notes: np.ndarray


class MultitrackConverter(Converter):
    """Bars of several tracks; tokens are (512, 1), or (512, 2) with chords."""

    rules: MultitrackRules

    def __init__(
        self, rules: MultitrackRules, steps: int, mode: str = "eval", seed: int | None = None
    ) -> None:
        super().__init__(rules, steps, mode, seed)
        if steps != rules.max_tracks * rules.max_events:
            raise ConfigError(
                f"a multitrack bar is {rules.max_tracks} tracks of {rules.max_events} events: "
                f"max_seq_len must be {rules.max_tracks * rules.max_events}, not {steps}"
            )

    @property
    def window_bars(self) -> int:
        return 1

    def sections(self, song: Song) -> list[Section]:
        return common_time_sections(song, STEPS_PER_QUARTER)

    def section_windows(self, section: Section, pedals: np.ndarray) -> list[Window]:
        """All bars of 4/4 that the rules admit, alike or not.

        A note held over a bar line ends there. Tracks with the same program come in the song's
        order; in Magenta, in CPython's order of a set.
        """
        notes, end = sustained_notes(section, pedals)
        bars = _cut(notes, end, section.qpm)
        events = encode_performances(bars.programs, bars.notes)
        faulty = np.any(list(self._faults(bars, events).values()), axis=0)
        admitted = np.flatnonzero((np.bincount(bars.track_bars) > 0) & ~faulty)
        columns = [events.classes]
        if not len(admitted):
            return []
        if self.rules.chords:
            progression = infer_chords(notes, end, section.qpm, section.metre, STEPS_PER_QUARTER)
            if progression is None:
                return []
            chords = BarChords.of(progression, bars.lines, bars.ends, section.qpm)
            columns.append(chords.at_events(events, bars.track_bars[events.tracks]))
            admitted = np.setdiff1d(admitted, chords.clashing_bars())
        tokens, lengths = self._pack(admitted, bars, events, np.stack(columns, axis=1))
        first, last = np.searchsorted(bars.track_bars, [admitted, admitted + 1])
        return [
            Window(
                tokens[index],
                lengths[index],
                section.start + float(bars.lines[bar]),
                bar,
                tuple(bars.instruments[first[index] : last[index]].tolist()),
                self,
            )
            for index, bar in enumerate(admitted.tolist())
        ]

    def faults(self, section: Section, pedals: np.ndarray) -> dict[str, np.ndarray]:
        """Reasons why bars with notes are not admitted, and for which bars of a section they hold:
        (bars,) bool."""
        bars = _cut(*sustained_notes(section, pedals), section.qpm)
        return self._faults(bars, encode_performances(bars.programs, bars.notes))

    def _faults(self, bars: _Bars, events: Events) -> dict[str, np.ndarray]:
        rules = self.rules
        lengths = np.bincount(events.tracks)
        tracks = np.bincount(bars.track_bars)
        sounding = tracks > 0
        long_tracks = np.bincount(bars.track_bars, lengths > rules.max_events)
        bar_events = np.bincount(bars.track_bars, lengths - 2)
        return {
            f"fewer than {rules.min_tracks} tracks": sounding & (tracks < rules.min_tracks),
            f"more than {rules.max_tracks} tracks": tracks > rules.max_tracks,
            f"a track of more than {rules.max_events} events": long_tracks > 0,
            f"fewer than {rules.min_events} events": sounding & (bar_events < rules.min_events),
        }

    def _pack(
        self, admitted: np.ndarray, bars: _Bars, events: Events, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tokens (windows, steps, parts), with the rows of `columns` of each event in their places,
        and lengths (windows, tracks). A track that does not play is END alone."""
        segments = len(admitted) * self.rules.max_tracks
        tokens = np.full((segments, self.rules.max_events, columns.shape[1]), -1, np.int16)
        tokens[:, 0] = (END, 0)[: columns.shape[1]]
        lengths = np.ones(segments, np.int32)
        slot = np.arange(len(bars.track_bars)) - np.searchsorted(bars.track_bars, bars.track_bars)
        segment = np.searchsorted(admitted, bars.track_bars) * self.rules.max_tracks + slot
        event_index = np.arange(len(events.tracks)) - np.searchsorted(events.tracks, events.tracks)
        wanted = np.isin(bars.track_bars, admitted)
        taken = wanted[events.tracks]
        tokens[segment[events.tracks[taken]], event_index[taken]] = columns[taken]
        lengths[segment[wanted]] = np.bincount(events.tracks)[wanted]
        tokens = tokens.reshape(len(admitted), self.steps, columns.shape[1])
        return tokens, lengths.reshape(len(admitted), self.rules.max_tracks)

    def outputs(self, tokens: np.ndarray) -> np.ndarray:
        return one_hot(tokens[..., :1], (DEPTH,))

    def controls(self, tokens: np.ndarray) -> np.ndarray:
        return one_hot(tokens[..., 1:], (CHORD_DEPTH,) * self.rules.chords)

    def to_tokens(self, outputs: np.ndarray, controls: np.ndarray | None = None) -> np.ndarray:
        classes = _classes(outputs)
        if not self.rules.chords:
            return classes[..., None]
        chords = np.full_like(classes, -1) if controls is None else _classes(controls)
        return np.stack([classes, chords], axis=-1)

    def from_tokens(self, tokens: np.ndarray, qpm: float = DEFAULT_QPM) -> pretty_midi.PrettyMIDI:
        """A track for each that plays; chords, if there are any, become text events."""
        seconds = 60.0 / (STEPS_PER_QUARTER * qpm)
        midi = pretty_midi.PrettyMIDI(initial_tempo=qpm)
        # Magenta takes a row of zeros for class 0.
        parts = np.maximum(tokens, 0).reshape(self.rules.max_tracks, self.rules.max_events, -1)
        for played in map(decode_performance, parts[..., 0]):
            if played.notes:
                name = pretty_midi.program_to_instrument_name(played.program)
                name = "Drums" if played.is_drum else name
                track = pretty_midi.Instrument(played.program, played.is_drum, name)
                track.notes = [
                    pretty_midi.Note(velocity, pitch, start * seconds, end * seconds)
                    for start, end, pitch, velocity in played.notes
                ]
                midi.instruments.append(track)
        if (tokens[:, 1:] >= 0).any():
            midi.text_events = chord_texts(parts[..., 0], parts[..., 1], seconds)
        return midi


def _cut(notes: np.ndarray, end: float, qpm: float) -> _Bars:
    """Cut a section's notes of NOTE_DTYPE at the bar lines, the last of which is its end."""
    # As Magenta computes them: the last bit decides on which side of a line a note starts.
    bar = 60.0 * (STEPS_PER_BAR / STEPS_PER_QUARTER) / qpm
    lines = np.concatenate([[0.0], np.arange(bar, end, bar)])
    lines = np.append(lines, end) if end > lines[-1] else lines
    bars = np.searchsorted(lines, notes["start"], side="right") - 1
    notes, bars = notes[bars < len(lines) - 1], bars[bars < len(lines) - 1]
    programs = np.where(notes["is_drum"], DRUMS, notes["program"])
    instruments = notes["instrument"].astype(np.int64)
    sizes = (len(lines), DRUMS + 1, int(instruments.max(initial=0)) + 1)
    keys = np.ravel_multi_index((bars, programs, instruments), sizes)
    tracks, track_of_note = np.unique(keys, return_inverse=True)

    on_steps = np.empty(len(notes), STEP_NOTE_DTYPE)
    end_times = np.minimum(notes["end"], lines[bars + 1])
    starts, ends = (
        to_steps(times - lines[bars], qpm, STEPS_PER_QUARTER)
        for times in (notes["start"], end_times)
    )
    on_steps["track"] = track_of_note
    on_steps["start"] = starts
    on_steps["end"] = np.maximum(ends, starts + 1)
    on_steps["pitch"], on_steps["velocity"] = notes["pitch"], notes["velocity"]
    bar_ends = np.zeros(len(lines) - 1, np.int64)
    np.maximum.at(bar_ends, bars, on_steps["end"])
    track_bars, track_programs, track_instruments = np.unravel_index(tracks, sizes)
    return _Bars(lines, bar_ends, track_bars, track_programs, track_instruments, on_steps)


def _classes(rows: np.ndarray) -> np.ndarray:
    """(..., depth) one-hot rows → (...) int16 classes, -1 of a row of zeros."""
    return np.where(rows.any(-1), rows.argmax(-1), -1).astype(np.int16)
