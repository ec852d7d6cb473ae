"""Finished accompaniments beside ours of the same melodies, by metrics that need no truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from musicvae_torch.errors import MidiError, NoSongsError
from musicvae_torch.midi.notes import is_midi
from musicvae_torch.midi.score import Score, divisible, read_score
from surrogate.evaluation.finished import BandParts, read_band, score_band, stacked
from surrogate.evaluation.lead_sheets import LeadSheet, read_lead_sheet
from surrogate.evaluation.reports import Comparison
from surrogate.evaluation.tables import mean_where
from surrogate.options import AccompanyOptions
from surrogate.pipeline import Accompanist
from surrogate.song.context import SongContext, analyze
from surrogate.song.folders import midi_files
from surrogate.song.roles import roles_of

THEIRS, OURS = "theirs", "ours"
WITH_CHORDS = "accompany, chords given"
ALONE = "accompany, melody alone"
WITHOUT_HARMONY, IN_HARMONY = f"{ALONE}, harmony off", f"{ALONE}, harmony strong"
OUR_ROWS = (WITH_CHORDS, ALONE, WITHOUT_HARMONY, IN_HARMONY)
LEAD_SHEET = "lead_sheet"  # name, without its suffix, of the file that others accompany
# In names of files whose melody is the decoder's own, not the song's.
DECODED_MELODY = "unstitched"


def compare(
    accompanist: Accompanist,
    folder: str | Path,
    options: AccompanyOptions | None = None,
    seeds: int = 1,
    progress: bool = False,
) -> Comparison:
    """Accompany the melody of each song of a folder, and score ours beside theirs.

    Args:
        accompanist: makes ours.
        folder: MIDI files at any depth, each with a bass, drums, and a melody on the first other
            track. Or folders, one a song, with a lead sheet (LEAD_SHEET) and what others made of
            it, each file named by its system.
        options: of ours.
        seeds: bands of ours for each song, from the options' seed on; scores are their means.
        progress: show a progress bar.

    Raises:
        NoSongsError: no file, or none to compare with.
    """
    options = options or AccompanyOptions()
    skipped: list[str] = []
    songs = midi_files(folder)
    sheets: dict[Path, Path] = {}  # by the song's folder
    for path in songs:
        if path.stem == LEAD_SHEET:
            sheets.setdefault(path.parent, path)
    if sheets:
        beside = (path for path in songs if path.parent not in sheets)
        skipped += [f"{path}: no {LEAD_SHEET} lies beside it" for path in beside]
        songs = list(sheets.values())
    files: list[str] = []
    rows: dict[str, list[dict[str, float]]] = {}
    for path in tqdm(songs, unit="song", disable=None if progress else True):
        try:
            if sheets:
                scored = _score_lead_sheet(accompanist, path, options, seeds, skipped)
            else:
                scored = _score_finished(accompanist, path, options, seeds)
        except MidiError as error:
            skipped.append(str(error))
            continue
        for name in {**rows, **scored}:
            of_files = rows.setdefault(name, [{} for _ in files])
            of_files.append(scored.get(name, {}))
        files.append(path.parent.name if sheets else path.name)
    if not files:
        raise NoSongsError(f"{folder}: nothing to compare with: {'; '.join(skipped)}")
    ours = tuple(name for name in (OUR_ROWS if sheets else (OURS,)) if name in rows)
    order = [*sorted(name for name in rows if name not in ours), *ours]
    columns = {name: stacked(rows[name]) for name in order}
    decoded = np.array([not sheets and DECODED_MELODY in name.lower() for name in files])
    return Comparison(
        files, columns, ours, skipped, options.seed, seeds, decoded, by_file=not sheets
    )


def _score_finished(
    accompanist: Accompanist, path: Path, options: AccompanyOptions, seeds: int
) -> dict[str, dict[str, float]]:
    """Scores of a finished song, and of ours of its melody."""
    score = divisible(read_score(path))
    alone = replace(options, melody=melody_of(score), given=("melody",), keep="given")
    song = analyze(score, alone)
    theirs = read_band(score, song)
    return {
        THEIRS: score_band(song, theirs, real=theirs),
        OURS: _scores(accompanist, score, alone, seeds, song, real=theirs),
    }


def _score_lead_sheet(
    accompanist: Accompanist, path: Path, options: AccompanyOptions, seeds: int, skipped: list[str]
) -> dict[str, dict[str, float]]:
    """Scores of what others made of a lead sheet, and of ours: with its chords, without them, and
    with the harmony off, or, where that is the default, strong."""
    sheet = read_lead_sheet(path)
    options = accompanist.complete(options)
    alone = replace(options, melody=0, given=("melody",), keep="given")
    ours = {WITH_CHORDS: replace(alone, chords=sheet.chords), ALONE: alone}
    if options.harmony == "off":
        ours[IN_HARMONY] = replace(alone, harmony="strong")
    else:
        ours[WITHOUT_HARMONY] = replace(alone, harmony="off")
    scored = _theirs(path, sheet, skipped)
    for name, chosen in ours.items():
        scored[name] = _scores(accompanist, sheet.melody, chosen, seeds, sheet.song, sheet=sheet)
    return scored


def _theirs(path: Path, sheet: LeadSheet, skipped: list[str]) -> dict[str, dict[str, float]]:
    """Scores of the files beside a lead sheet, by their names."""
    scored: dict[str, dict[str, float]] = {}
    for other in sorted(path.parent.iterdir()):
        if other == path or not is_midi(other):
            continue
        if other.stem in (LEAD_SHEET, *OUR_ROWS) or other.stem in scored:
            skipped.append(f"{other}: its name is taken by another row; call it otherwise")
            continue
        try:
            band = read_band(divisible(read_score(other)), sheet.song)
        except MidiError as error:
            skipped.append(str(error))
            continue
        scored[other.stem] = score_band(sheet.song, band, sheet)
    return scored


def _scores(
    accompanist: Accompanist,
    score: Score,
    options: AccompanyOptions,
    seeds: int,
    song: SongContext,
    sheet: LeadSheet | None = None,
    real: BandParts | None = None,
) -> dict[str, float]:
    """Mean scores over bands of ours of several seeds."""
    scored = []
    for seed in range(options.seed, options.seed + seeds):
        ours = accompanist.accompany(score, replace(options, seed=seed)).score
        scored.append(score_band(song, read_band(ours, song), sheet, real))
    columns = stacked(scored)
    return {name: float(mean_where(values[:, None])[0]) for name, values in columns.items()}


def melody_of(score: Score) -> int:
    """Index of the first track that is neither bass nor drums.

    Raises:
        MidiError: there is none, or no bass or no drums beside it.
    """
    roles = roles_of(score)
    for part, role in (("melody", "other"), ("bass", "bass"), ("drums", "drums")):
        if role not in roles:
            raise MidiError(f"{score.name}: holds no {part}; wanted a melody with a bass and drums")
    return roles.index("other")
