"""Finished accompaniments beside ours of the same melodies, on what needs no truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from musicvae_torch.notes.midi import MidiError
from musicvae_torch.notes.score import TICK_NOTE, Score, divisible, read_score
from musicvae_torch.notes.trio import PARTS
from surrogate.arrangement.fill import StepNote, bar_lines, sounding_bars
from surrogate.band.controls import chords_of
from surrogate.evaluation.metrics import (
    estimate_key,
    groove_consistency,
    notes_per_bar,
    pitch_histogram,
    share_in_chords,
    share_in_key,
)
from surrogate.evaluation.songs import NoSongsError, midi_files
from surrogate.evaluation.tables import Estimate, Scores, markdown, scores_table
from surrogate.pipeline import Accompanist, AccompanyOptions
from surrogate.song.hearing import Hearing, hear, part_tokens
from surrogate.song.roles import roles_of

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
            score = divisible(read_score(path))
            alone = replace(options, melody=melody_of(score), given=("melody",), keep="given")
            ours = accompanist.accompany(score, alone)
        except MidiError as error:
            skipped.append(str(error))
            continue
        song = hear(score, alone)
        for name, band in ((THEIRS, score), (OURS, ours.score)):
            scores[name].append(score_band(song, *band_of(band)))
        files.append(path.name)
    if not files:
        raise NoSongsError(f"{folder}: nothing to compare with: {'; '.join(skipped)}")
    rows = {
        name: {column: np.array([row[column] for row in scored]) for column in COLUMNS}
        for name, scored in scores.items()
    }
    decoded = np.array([DECODED_MELODY in name.lower() for name in files])
    return Comparison(files, decoded, rows, skipped, options.seed)


def melody_of(score: Score) -> int:
    """Index of the first track that is neither bass nor drums.

    Raises:
        MidiError: there is none, or no bass or no drums beside it.
    """
    roles = roles_of(score, ())
    for part, role in (("melody", "other"), ("bass", "bass"), ("drums", "drums")):
        if role not in roles:
            raise MidiError(f"{score.name}: holds no {part}; wanted a melody with a bass and drums")
    return roles.index("other")


def score_band(song: Hearing, bass: np.ndarray, drums: np.ndarray) -> dict[str, float]:
    """The columns of one accompaniment, from the melody's first bar to its last.

    Args:
        song: of which the melody is given.
        bass, drums: notes of TICK_NOTE, all in the song's ticks.
    """
    first, bars = song.first_bar, song.bars
    lead = song.tokens[:, PARTS.index("melody")]
    low, beat = (
        part_tokens(part, notes, song.grid, first, bars)
        for part, notes in (("bass", bass), ("drums", drums))
    )
    hits = np.flatnonzero(beat).tolist()
    with_drums = sounding_bars([(step, step + 1, 0) for step in hits], bar_lines(bars))
    with_bass = sounding_bars(_within(song, bass), bar_lines(bars))
    values = (
        share_in_key(low, estimate_key(pitch_histogram(lead))),
        share_in_chords(low, chords_of(lead)),
        notes_per_bar(low, "bass"),
        notes_per_bar(beat, "drums"),
        groove_consistency(low, "bass"),
        groove_consistency(beat, "drums"),
        float(with_bass[song.plays].mean()),
        float(with_drums[song.plays].mean()),
    )
    return dict(zip(COLUMNS, values, strict=True))


def band_of(score: Score) -> tuple[np.ndarray, np.ndarray]:
    """The notes of all bass tracks, and of all drum tracks, of TICK_NOTE."""
    tracks = list(zip(score.tracks, roles_of(score, ()), strict=True))
    bass, drums = (
        np.concatenate([np.zeros(0, TICK_NOTE), *(t.notes for t, role in tracks if role == part)])
        for part in ("bass", "drums")
    )
    return bass, drums


def _within(song: Hearing, notes: np.ndarray) -> list[StepNote]:
    """Notes as steps from the song's first bar, cut to its bars; pitches do not count."""
    starts, ends = (
        np.clip(steps - song.first_step, 0, len(song.tokens)).tolist()
        for steps in song.grid.to_steps(notes)
    )
    return [(start, end, 0) for start, end in zip(starts, ends, strict=True) if start < end]
