"""Finished accompaniments beside ours of the same melodies, on what needs no truth."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
from tqdm import tqdm

from musicvae_torch.notes.drums import drum_tokens
from musicvae_torch.notes.melody import melody_tokens
from musicvae_torch.notes.midi import MidiError, read_midi
from musicvae_torch.notes.vocabulary import BASS_PROGRAMS, STEPS_PER_BAR
from surrogate.fill import sounding_bars
from surrogate.grid import StepGrid, refined
from surrogate.metrics import (
    chords_of,
    estimate_key,
    groove_consistency,
    notes_per_bar,
    pitch_histogram,
    share_in_chords,
    share_in_key,
)
from surrogate.pipeline import Accompanist, AccompanyOptions
from surrogate.songs import NoSongsError, midi_files
from surrogate.tables import Estimate, Scores, markdown, scores_table

THEIRS, OURS = "theirs", "ours"
# In names of files whose melody is the decoder's own, not the song's.
DECODED_MELODY = "unstitched"
COLUMNS = (
    "bass in key",
    "bass in harmony",
    "bass notes a bar",
    "drum hits a bar",
    "bass groove consistency",
    "drum groove consistency",
    "bars with bass",
    "bars with drums",
)


@dataclass(frozen=True)
class Comparison:
    """Scores of finished accompaniments and of ours.

    Attributes:
        files: names of those that were compared.
        decoded: (files,) bool, where the melody is not the song's own; means leave them out.
        rows: THEIRS and OURS, each column (files,).
        skipped: a line for each file that was left out.
        seed: of ours and of the bootstrap.
    """

    files: list[str]
    decoded: np.ndarray
    rows: dict[str, Scores]
    skipped: list[str]
    seed: int

    def __str__(self) -> str:
        """Markdown: means over files, differences, and a line for each file."""
        kept = self._kept()
        differences = {
            "ours less theirs": {name: kept[OURS][name] - kept[THEIRS][name] for name in COLUMNS}
        }
        marked = int(self.decoded.sum())
        text = f"Files: {len(self.files) - marked}; means over them, with 95 % bootstrap intervals."
        if marked:
            text += f" Left out of the means, marked *, for a decoded melody: {marked}."
        blocks = [text, scores_table(kept | differences, COLUMNS, self.seed), self._by_file()]
        return "\n\n".join([*blocks, *(f"Left out: {line}" for line in self.skipped)])

    def _kept(self) -> dict[str, Scores]:
        return {
            name: {column: values[~self.decoded] for column, values in scores.items()}
            for name, scores in self.rows.items()
        }

    def _by_file(self) -> str:
        """Each file's scores, theirs / ours."""
        body = []
        for index, name in enumerate(self.files):
            pairs = [[self.rows[row][column][index] for row in self.rows] for column in COLUMNS]
            cells = [f"{theirs:.2f} / {ours:.2f}" for theirs, ours in pairs]
            body.append([name + " *" * bool(self.decoded[index]), *cells])
        return markdown([f"{column} ({THEIRS} / {OURS})" for column in COLUMNS], body)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain JSON data; NaN becomes null."""
        kept = self._kept()
        rows = {
            name: {
                column: Estimate.of(kept[name][column], self.seed).as_json()
                | {"of_files": [None if np.isnan(value) else value for value in values.tolist()]}
                for column, values in scores.items()
            }
            for name, scores in self.rows.items()
        }
        return {
            "files": self.files,
            "decoded_melody": self.decoded.tolist(),
            "seed": self.seed,
            "rows": rows,
            "skipped": self.skipped,
        }


def compare(
    accompanist: Accompanist,
    folder: str | Path,
    options: AccompanyOptions | None = None,
    progress: bool = False,
) -> Comparison:
    """Strip each file of a folder to its melody, accompany that, and score both.

    Args:
        accompanist: makes ours.
        folder: MIDI files at any depth, each with a bass (programs 32-39), drums, and a melody on
            the first other track.
        options: of ours.
        progress: show a progress bar.

    Raises:
        NoSongsError: no file, or none with a melody, a bass and drums.
    """
    options = options or AccompanyOptions()
    files: list[str] = []
    skipped: list[str] = []
    scores: dict[str, list[dict[str, float]]] = {THEIRS: [], OURS: []}
    for path in tqdm(midi_files(folder), unit="file", disable=None if progress else True):
        try:
            midi = refined(read_midi(path, gather_tempos=True))
            melody = melody_of(midi, path)
            ours = accompanist.accompany(melody, options).midi
        except MidiError as error:
            skipped.append(str(error))
            continue
        lead = melody.instruments[0].notes
        for name, band in ((THEIRS, midi), (OURS, ours)):
            scores[name].append(score_band(midi, lead, *band_of(band)))
        files.append(path.name)
    if not files:
        raise NoSongsError(f"{folder}: nothing to compare with: {'; '.join(skipped)}")
    rows = {
        name: {column: np.array([row[column] for row in scored]) for column in COLUMNS}
        for name, scored in scores.items()
    }
    decoded = np.array([DECODED_MELODY in name.lower() for name in files])
    return Comparison(files, decoded, rows, skipped, options.seed)


def band_of(
    midi: pretty_midi.PrettyMIDI,
) -> tuple[list[pretty_midi.Note], list[pretty_midi.Note]]:
    """The notes of all bass tracks, and of all drum tracks."""
    drums = [track for track in midi.instruments if track.is_drum]
    basses = [t for t in midi.instruments if not t.is_drum and t.program in BASS_PROGRAMS]
    bass_notes, drum_notes = (
        [note for track in tracks for note in track.notes] for tracks in (basses, drums)
    )
    return bass_notes, drum_notes


def melody_of(midi: pretty_midi.PrettyMIDI, path: Path) -> pretty_midi.PrettyMIDI:
    """`midi` with its first track that is neither bass nor drums, and no other.

    Raises:
        MidiError: there is none with notes, or no bass or no drums beside it.
    """
    leads = [
        track
        for track in midi.instruments
        if track.notes and not track.is_drum and track.program not in BASS_PROGRAMS
    ]
    bass, drums = band_of(midi)
    for part, found in (("melody", leads), ("bass", bass), ("drums", drums)):
        if not found:
            raise MidiError(f"{path}: holds no {part}; wanted a melody with a bass and drums")
    alone = copy.deepcopy(midi)
    alone.instruments = [copy.deepcopy(leads[0])]
    return alone


def score_band(
    midi: pretty_midi.PrettyMIDI,
    melody: Sequence[pretty_midi.Note],
    bass: Sequence[pretty_midi.Note],
    drums: Sequence[pretty_midi.Note],
) -> dict[str, float]:
    """The columns of one accompaniment, from the melody's first bar to its last.

    Args:
        midi: whose beats the notes are on.
        melody, bass, drums: notes of each part.
    """
    grid = StepGrid(midi, min(note.start for note in melody))
    firsts, lasts = grid.to_bars(list(melody))
    first, bars = int(firsts.min()), int(lasts.max() - firsts.min())
    steps = bars * STEPS_PER_BAR
    tokens = {}
    for part, notes in (("melody", melody), ("bass", bass), ("drums", drums)):
        starts, ends = grid.to_steps(list(notes))
        starts, ends = starts - first * STEPS_PER_BAR, ends - first * STEPS_PER_BAR
        pitches = np.array([note.pitch for note in notes], np.int64)
        if part == "drums":
            tokens[part] = drum_tokens(starts, pitches, steps)[:, 0]
        else:
            tokens[part] = melody_tokens(starts, ends, pitches, steps)
    plays = np.zeros(bars, bool)  # where the melody does
    for start, end in zip(firsts - first, lasts - first, strict=True):
        plays[start:end] = True
    lead, low, beat = (tokens[part] for part in ("melody", "bass", "drums"))
    hits = np.flatnonzero(beat).tolist()
    with_drums = sounding_bars([(step, step + 1, 0) for step in hits], bars)
    with_bass = sounding_bars(_within(grid, bass, first, bars), bars)
    values = (
        share_in_key(low, estimate_key(pitch_histogram(lead))),
        share_in_chords(low, chords_of(lead)),
        notes_per_bar(low, "bass"),
        notes_per_bar(beat, "drums"),
        groove_consistency(low, "bass"),
        groove_consistency(beat, "drums"),
        float(with_bass[plays].mean()),
        float(with_drums[plays].mean()),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _within(
    grid: StepGrid, notes: Sequence[pretty_midi.Note], first: int, bars: int
) -> list[tuple[int, int, int]]:
    """Notes as (start step, end step, pitch) counted from bar `first`, cut to so many bars."""
    starts, ends = (
        np.clip(steps - first * STEPS_PER_BAR, 0, bars * STEPS_PER_BAR).tolist()
        for steps in grid.to_steps(list(notes))
    )
    return [(start, end, 0) for start, end in zip(starts, ends, strict=True) if start < end]
