"""Trios: windows of melody, bass and drums ↔ tokens, one-hot rows and MIDI.

Tokens are the compact form: (steps, 3) class indices of melody, bass and drums. Facts of
Magenta 2.1.4's ``music_vae.data.TrioConverter``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pretty_midi

from musicvae_torch.converters.base import Converter, Window, from_one_hot, one_hot
from musicvae_torch.converters.drums import drum_notes, drum_tokens
from musicvae_torch.converters.melody import melody_notes, melody_tokens
from musicvae_torch.midi.notes import StepTrack, tracks_to_midi
from musicvae_torch.midi.quantize import DEFAULT_QPM, Section
from musicvae_torch.midi.vocabulary import (
    BASS_PROGRAMS,
    DRUM_DEPTH,
    ELECTRIC_BASS,
    MELODY_DEPTH,
    MELODY_PROGRAMS,
    PARTS,
    STEPS_PER_BAR,
)

DEPTHS = (MELODY_DEPTH, MELODY_DEPTH, DRUM_DEPTH)
WINDOW_BARS = 16
GAP_BARS = 2  # bars of silence that still count as playing, on either side of a played bar
MAX_BARS = 1024
MAX_INSTRUMENT = 127


@dataclass(frozen=True)
class TrioRules:
    """What a trio config asks of a window: bars from one window to the next, and the programs that
    may be a melody."""

    hop_bars: int = 1
    melody_programs: frozenset[int] = MELODY_PROGRAMS


TRIO_RULES = {
    name: TrioRules() for name in ("flat-trio_16bar", "hierdec-trio_16bar", "hier-trio_16bar")
}


class TrioConverter(Converter):
    """Trios; tokens are (steps, 3) classes of melody, bass and drums."""

    rules: TrioRules

    def missing_parts(self, section: Section) -> list[str]:
        tracks = _tracks_by_part(section, self.rules.melody_programs)
        return [part for part, members in zip(PARTS, tracks, strict=True) if not members]

    def playing(self, section: Section) -> list[dict[int, np.ndarray]]:
        """The tracks of each part, and (bars,) bool for each track: whether the bar is at most
        GAP_BARS away from one in which it sounds."""
        return [
            {track: _bridge_gaps(_played_bars(section, track)) for track in members}
            for members in _tracks_by_part(section, self.rules.melody_programs)
        ]

    def section_windows(self, section: Section, pedals: np.ndarray) -> list[Window]:
        """Every window of 4/4 in which a melody, a bass and a drum track all play, in order of
        tracks (all combinations of the three), then bar."""
        bars = _section_bars(section)
        playing = self.playing(section) if bars >= self.window_bars else []
        if not playing or not all(playing):
            return []
        tokens = {
            track: _track_tokens(section, track, part, bars * STEPS_PER_BAR)
            for part, tracks in enumerate(playing)
            for track in tracks
        }
        windows = []
        for trio in product(*([track for track in own if tokens[track].any()] for own in playing)):
            coverage = np.stack([own[track] for own, track in zip(playing, trio, strict=True)])
            together = np.all(coverage, axis=0)
            # At its ends one part is enough, so that a section encodes alike, cut or whole.
            together[:GAP_BARS] = coverage[:, :GAP_BARS].any()
            together[-GAP_BARS:] = coverage[:, -GAP_BARS:].any()
            counts = np.convolve(together, np.ones(self.window_bars, int), "valid")
            whole = np.flatnonzero(counts[:: self.rules.hop_bars] == self.window_bars)
            rows = np.stack([tokens[track] for track in trio], axis=1)
            for bar in (whole * self.rules.hop_bars).tolist():
                own = rows[bar * STEPS_PER_BAR :][: self.steps]
                windows.append(self.window(own.copy(), section, bar, trio))
        return windows

    def outputs(self, tokens: np.ndarray) -> np.ndarray:
        return one_hot(tokens, DEPTHS)

    def to_tokens(self, outputs: np.ndarray, controls: np.ndarray | None = None) -> np.ndarray:
        return from_one_hot(outputs, DEPTHS)

    def from_tokens(self, tokens: np.ndarray, qpm: float = DEFAULT_QPM) -> pretty_midi.PrettyMIDI:
        programs = (0, ELECTRIC_BASS, 0)
        parts = zip(PARTS, part_notes(tokens), programs, strict=True)
        tracks = [StepTrack(*part, is_drum=part[0] == "drums") for part in parts]
        return tracks_to_midi(tracks, qpm)


def _tracks_by_part(section: Section, melody_programs: frozenset[int]) -> list[list[int]]:
    """Track indices of melodies, basses and drums; a track of two kinds is left out."""
    notes = section.notes
    sounds = notes["instrument"].astype(np.int64) * 256 + notes["program"] * 2 + notes["is_drum"]
    kinds: dict[int, set[int | None]] = {}
    for sound in np.unique(sounds).tolist():
        track, program, is_drum = sound // 256, sound % 256 // 2, sound % 2
        pitched = 1 if program in BASS_PROGRAMS else 0 if program in melody_programs else None
        kinds.setdefault(track, set()).add(2 if is_drum else pitched)
    parts: list[list[int]] = [[], [], []]
    for track, (part, *others) in kinds.items():
        if track <= MAX_INSTRUMENT and part is not None and not others:
            parts[part].append(track)
    return parts


def _track_tokens(section: Section, track: int, part: int, steps: int) -> np.ndarray:
    """(steps,) classes of a track's notes."""
    notes = section.notes
    own = np.flatnonzero((notes["instrument"] == track) & (notes["velocity"] > 0))
    starts, ends = section.start_steps[own], section.end_steps[own]
    pitches = section.notes["pitch"][own]
    if part == 2:
        return drum_tokens(starts, pitches, steps)[:, 0]
    return melody_tokens(starts, ends, pitches, steps)


def _section_bars(section: Section) -> int:
    return min(-(-section.steps // STEPS_PER_BAR), MAX_BARS)


def _played_bars(section: Section, track: int) -> np.ndarray:
    """(bars,) bool: where a track sounds."""
    own, bars = section.notes["instrument"] == track, _section_bars(section)
    first = np.minimum(section.start_steps[own] // STEPS_PER_BAR, bars)
    last = np.minimum(-(-section.end_steps[own] // STEPS_PER_BAR), bars)
    changes = np.bincount(first, minlength=bars + 1) - np.bincount(last, minlength=bars + 1)
    return np.cumsum(changes)[:bars] > 0


def _bridge_gaps(played: np.ndarray) -> np.ndarray:
    """(bars,) bool, with the bars within GAP_BARS of a played one as played."""
    bridged = played.copy()
    for shift in range(1, GAP_BARS + 1):
        bridged[shift:] |= played[:-shift]
        bridged[:-shift] |= played[shift:]
    return bridged


def part_notes(tokens: np.ndarray) -> list[list[tuple[int, int, int]]]:
    """(steps, 3) classes → for each part its notes as (start step, end step, pitch)."""
    return [melody_notes(tokens[:, 0]), melody_notes(tokens[:, 1]), drum_notes(tokens[:, 2:])]
