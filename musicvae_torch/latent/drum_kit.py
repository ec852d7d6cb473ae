"""The drum kit of a song, in a GrooVAE's windows, and the way back into the song's file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from math import ceil
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pretty_midi

from musicvae_torch.analysis.swing import median_offsets
from musicvae_torch.analysis.timeline import PlacedWindow, pieces_of, render_pieces, tile
from musicvae_torch.converters.drums import class_of_pitch
from musicvae_torch.converters.groove import DRUMS, MAX_VELOCITY, GrooveConverter
from musicvae_torch.errors import MidiError
from musicvae_torch.latent.encoded_song import song_converter, windows_of
from musicvae_torch.midi.notes import NOTE_DTYPE, Song
from musicvae_torch.midi.score import FINE, Score, read_score, score_of
from musicvae_torch.midi.track_query import fitting_tracks, listed
from musicvae_torch.midi.tracks import TICK_NOTE, Track
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, STEPS_PER_BAR, STEPS_PER_QUARTER
from musicvae_torch.model.vae import MusicVAE

Midi: TypeAlias = str | Path | pretty_midi.PrettyMIDI | Score

_TAPPED = DRUM_CLASSES[1][0]  # the snare, which all kits have
_FARTHEST = 0.49  # of a step, from the grid; farther would be nearer to another step


@dataclass(frozen=True, eq=False)
class DrumKit:
    """The hits of a song, window by window.

    Attributes:
        score: the song.
        tracks: those with the hits; all are drum kits, unless they are what was tapped.
        converter: that found the windows.
        placed: the windows and their places.
        known: pitches that the model knows.
        left_out: the number of hits of other pitches.
    """

    score: Score
    tracks: tuple[Track, ...]
    converter: GrooveConverter
    placed: tuple[PlacedWindow, ...]
    known: frozenset[int]
    left_out: int

    @cached_property
    def tokens(self) -> np.ndarray:
        """(windows, steps, parts)"""
        return np.stack([one.window.tokens for one in self.placed])

    def among(self, wanted: np.ndarray) -> DrumKit:
        """The kit with some of its windows alone.

        Args:
            wanted: (windows,) bool

        Raises:
            MidiError: there are none.
        """
        if not wanted.any():
            raise MidiError(
                f"{self.score.name}: its drums are closed hi-hats alone, and hi-hats are added to "
                "other drums; name tracks that have some with --drums"
            )
        placed = tuple(one for one, own in zip(self.placed, wanted, strict=True) if own)
        return replace(self, placed=placed)

    def cells_of(self, track: Track) -> Cells:
        """Where the notes of a track are in the windows."""
        starts = self.score.seconds(track.notes["start"])
        drums = class_of_pitch(self.converter.drum_classes)[track.notes["pitch"]]
        window, step = np.full(len(starts), -1), np.zeros(len(starts), np.int64)
        for number, one in enumerate(self.placed):
            seconds = one.seconds_per_bar / STEPS_PER_BAR
            # A hit belongs to the nearest step, which may be the next window's first.
            nearest = np.floor((starts - one.window.start) / seconds + 0.5).astype(np.int64)
            inside = (nearest >= one.skip * STEPS_PER_BAR) & (nearest < self.converter.steps)
            window[inside], step[inside] = number, nearest[inside]
        is_known = np.isin(track.notes["pitch"], list(self.known))
        return Cells(np.where(is_known, window, -1), step, drums)

    def step_seconds(self) -> np.ndarray:
        """(windows,) how long a step is."""
        return np.array([one.seconds_per_bar for one in self.placed]) / STEPS_PER_BAR

    def starts(self) -> np.ndarray:
        """(windows,) when each begins, in seconds."""
        return np.array([one.window.start for one in self.placed])

    def rendered(self, rows: np.ndarray) -> np.ndarray:
        """Rows of the windows, (windows, steps, 27), as notes of TICK_NOTE."""
        midi = render_pieces(self.converter, pieces_of(self.placed, list(rows), None))
        hits = [note for track in midi.instruments for note in track.notes]
        notes = np.zeros(len(hits), TICK_NOTE)
        notes["start"] = self.score.ticks(np.array([note.start for note in hits]))
        notes["end"] = self.score.ticks(np.array([note.end for note in hits]))
        np.maximum(notes["end"], notes["start"] + 1, out=notes["end"])
        notes["pitch"] = [note.pitch for note in hits]
        notes["velocity"] = [max(note.velocity, 1) for note in hits]
        return notes


class Cells(NamedTuple):
    """Where notes are in a kit's windows.

    Attributes:
        window: (notes,) number of the window; -1: in none, or of a pitch that is not known.
        step: (notes,) step of the window.
        drum: (notes,) index of the drum; -1: none.
    """

    window: np.ndarray
    step: np.ndarray
    drum: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """(notes,) bool: whether each is in a window."""
        return self.window >= 0


def read_kit(
    model: MusicVAE, midi: Midi, drums: Sequence[str | int] | None, taps: bool = False
) -> DrumKit:
    """Read the hits of a song's drums.

    Args:
        model: a GrooVAE.
        midi: the song.
        drums: track queries for its drums; None: its drum kits.
        taps: whether what counts is when something is hit, whatever it is; without drums, a
            song's only track is then taken.

    Raises:
        MidiError: the file cannot be read, or has no drums.
        NoWindowError: the drums have no window; says why.
    """
    score = midi if isinstance(midi, Score) else read_score(midi)
    if score.resolution < FINE:
        file = score.file.stretched(ceil(FINE / score.resolution))
        score = score_of(file, score.name)
    tracks = _drum_tracks(score, drums, taps)
    converter = song_converter(model)
    assert isinstance(converter, GrooveConverter)
    song = _song(score, tracks)
    if taps:
        song.notes["pitch"] = _TAPPED
    is_known = class_of_pitch(converter.drum_classes)[song.notes["pitch"]] >= 0
    song = replace(song, notes=song.notes[is_known])
    placed = tile(converter, windows_of(converter, song, score.name))
    known = frozenset(range(128) if taps else chain(*converter.drum_classes))
    return DrumKit(score, tracks, converter, tuple(placed), known, int((~is_known).sum()))


def played_notes(kit: DrumKit, rows: np.ndarray) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The notes of a kit's tracks with the velocities and offsets of rows.

    Pitches and lengths stay, except that a note ends where its pitch is struck again. Of several
    notes of a drum at a step, such as those of a roll, the loudest is played so, and the others
    move and swell with it. What all hits of a sixteenth of the beat have in common, such as swing,
    stays: offsets count from there.

    Args:
        kit: the song's.
        rows: (windows, steps, 27)

    Returns:
        By index of a track: (notes,) bool, which of its notes stay, and the others as they are
        played, of TICK_NOTE.
    """
    swing = _swing(kit)
    played = {}
    for track in kit.tracks:
        cells = kit.cells_of(track)
        is_hit = np.zeros(len(track.notes), bool)
        at = cells.window[cells.inside], cells.step[cells.inside], cells.drum[cells.inside]
        is_hit[cells.inside] = kit.tokens[at] > 0
        own = Cells(*(part[is_hit] for part in cells))
        played[track.index] = ~is_hit, _played(kit, track.notes[is_hit], own, rows, swing)
    return played


def _played(
    kit: DrumKit, notes: np.ndarray, cells: Cells, rows: np.ndarray, swing: np.ndarray
) -> np.ndarray:
    """Notes of a track that are all hits of the windows, as they are played."""
    window, step, drum = cells
    velocities, early = rows[window, step, drum + DRUMS], rows[window, step, drum + 2 * DRUMS]
    late = (-early.astype(np.float64) / 2).clip(-_FARTHEST, _FARTHEST)
    late += swing[step % STEPS_PER_QUARTER]
    seconds = kit.step_seconds()[window]
    starts = kit.starts()[window] + (step + late) * seconds
    # The others of a cell keep their distance from the loudest, and their share of its velocity.
    order = np.lexsort((-notes["velocity"], drum, step, window))
    keys = np.stack([window, step, drum])[:, order]
    is_first = np.concatenate([[True], (np.diff(keys) != 0).any(0)])[: len(order)]
    loudest = order[np.flatnonzero(is_first)[np.cumsum(is_first) - 1]] if len(order) else order
    first = np.empty(len(notes), np.int64)
    first[order] = loudest
    starts += kit.score.seconds(notes["start"]) - kit.score.seconds(notes["start"][first])
    share = notes["velocity"] / np.maximum(notes["velocity"][first], 1)
    played = notes.copy()
    played["velocity"] = np.rint(velocities * share * MAX_VELOCITY).clip(1, MAX_VELOCITY)
    played["start"] = kit.score.ticks(np.maximum(starts, 0.0))
    played["end"] = played["start"] + np.maximum(notes["end"] - notes["start"], 1)
    return _cut(played)


def _cut(notes: np.ndarray) -> np.ndarray:
    """Notes that end where their pitch is struck again, at the latest."""
    order = np.lexsort((notes["start"], notes["pitch"]))
    notes = notes[order]
    again = notes["pitch"][1:] == notes["pitch"][:-1]
    ends = notes["end"][:-1]
    ends[again] = np.minimum(ends, notes["start"][1:])[again]
    np.maximum(notes["end"], notes["start"] + 1, out=notes["end"])
    return notes


def _swing(kit: DrumKit) -> np.ndarray:
    """(4,), of :func:`musicvae_torch.analysis.swing.median_offsets`, of the song's hits."""
    window, step, drum = np.nonzero(kit.tokens[..., :DRUMS])
    return median_offsets(-kit.tokens[window, step, drum + 2 * DRUMS] / 2, step)


def _drum_tracks(score: Score, drums: Sequence[str | int] | None, taps: bool) -> tuple[Track, ...]:
    """The tracks whose hits the model reads."""
    if drums is not None:
        found = [track for query in drums for track in fitting_tracks(score, query, "drums")[1]]
        # What was tapped may be on any instrument; what else the user takes for drums are drums.
        return tuple(
            track if taps else replace(track, is_drum=True)
            for track in {track.index: track for track in found}.values()
        )
    kits = tuple(track for track in score.tracks if track.is_drum)
    if not kits and taps and len(score.tracks) == 1:
        return score.tracks
    if not kits:
        raise MidiError(
            f"{score.name}: no drums: nothing is on channel 10 or set, named or played as a drum "
            f"kit; --drums TRACK says which track it is (the tracks are: "
            f"{listed(score.tracks) or 'none'})"
        )
    return kits


def _song(score: Score, tracks: Collection[Track]) -> Song:
    """Tracks of a score as drums, in seconds."""
    rows = np.concatenate([np.zeros(0, TICK_NOTE), *(track.notes for track in tracks)])
    notes = np.zeros(len(rows), NOTE_DTYPE)
    notes["start"], notes["end"] = score.seconds(rows["start"]), score.seconds(rows["end"])
    notes["pitch"], notes["velocity"], notes["is_drum"] = rows["pitch"], rows["velocity"], True
    tempos = np.stack([score.seconds(score.tempos[:, 0]), 6e7 / score.tempos[:, 1]], axis=1)
    metres = score.metres.astype(np.float64)
    metres[:, 0] = score.seconds(score.metres[:, 0])
    return Song(notes, tempos, metres, float(notes["end"].max(initial=0.0)))
