"""Finished accompaniments: their bass and drums, and scores of them that need no truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from musicvae_torch.converters.melody import infer_chord_classes, melody_notes
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import TICK_NOTE
from musicvae_torch.midi.vocabulary import MAX_PITCH, MIN_PITCH, NO_EVENT, PARTS
from surrogate.arrangement.fill import StepNote, bar_steps, sounding_bars
from surrogate.evaluation import metrics
from surrogate.evaluation.columns import overlaps, structure, tonality
from surrogate.evaluation.distributions import note_features
from surrogate.evaluation.lead_sheets import LeadSheet, share_of_chord_tones, share_of_roots
from surrogate.evaluation.tables import Scores
from surrogate.song.context import SongContext, part_tokens
from surrogate.song.roles import roles_of

MADE = ("bass", "drums")
SAME_MELODY = 0.8  # share of notes in common, from which two tracks are one melody


@dataclass(frozen=True)
class BandParts:
    """The bass and the drums of a finished song.

    Attributes:
        tokens: part → (steps,) classes from the melody's first bar to its last; no entry for a part
            that no track of the file plays.
        notes: part → the same as notes of TICK_NOTE, in the song's ticks.
    """

    tokens: dict[str, np.ndarray]
    notes: dict[str, np.ndarray]

    @property
    def velocities(self) -> dict[str, np.ndarray]:
        """Part → (notes,)."""
        return {part: notes["velocity"].astype(np.int64) for part, notes in self.notes.items()}


def read_band(score: Score, song: SongContext) -> BandParts:
    """The band of a finished song whose melody is `song`; the two may count different ticks a
    quarter.

    A track that plays the melody is no bass, whatever its program. Notes that sound outside the
    melody's bars, or are nearest to a step after them, are left out. Of several bass notes on one
    step the highest counts; pitches that tokens do not have are moved by octaves.
    """
    ticks = song.grid.step_ticks
    first, end = song.first_step, song.first_step + len(song.tokens)
    finish = (ticks[end - 1] + ticks[end] + 1) // 2
    tokens, notes = {}, {}
    lead = song.tokens[:, PARTS.index("melody")]
    for part, tracks in _notes(score, song.score.resolution).items():
        others = [own for own in tracks if part != "bass" or not _plays(own, lead, song)]
        if not others:
            continue
        own = np.concatenate(others)
        if part == "bass":
            own["pitch"] = _within_range(own["pitch"])
        own = own[(own["end"] > ticks[first]) & (own["start"] < finish)]
        tokens[part] = part_tokens(part, own, song.grid, song.first_bar, song.bars)
        notes[part] = own
    return BandParts(tokens, notes)


def _within_range(pitches: np.ndarray) -> np.ndarray:
    """The same pitch classes in the octaves that tokens have."""
    up = np.maximum(-((pitches - MIN_PITCH) // 12), 0)
    down = np.maximum(-((MAX_PITCH - pitches) // 12), 0)
    return np.asarray(pitches + 12 * (up - down))


def _plays(notes: np.ndarray, lead: np.ndarray, song: SongContext) -> bool:
    """Whether a track's notes, in the song's ticks, are nearly those of the melody (steps,)."""
    wanted = {(start, pitch) for start, _, pitch in melody_notes(lead)}
    steps = song.grid.steps(notes["start"]) - song.first_step
    found = set(zip(steps.tolist(), notes["pitch"].tolist(), strict=True))
    return len(wanted & found) >= SAME_MELODY * len(wanted | found)


def _notes(score: Score, resolution: int) -> dict[str, list[np.ndarray]]:
    """Part → the notes of each track that plays it, of TICK_NOTE, in so many ticks a quarter; no
    entry where none does."""
    found: dict[str, list[np.ndarray]] = {}
    for track, role in zip(score.tracks, roles_of(score), strict=True):
        if role in MADE:
            own = track.notes.astype(TICK_NOTE)
            for name in ("start", "end"):
                own[name] = np.rint(own[name] * (resolution / score.resolution))
            found.setdefault(role, []).append(own)
    return found


def score_band(
    song: SongContext,
    band: BandParts,
    sheet: LeadSheet | None = None,
    real: BandParts | None = None,
) -> dict[str, float]:
    """All columns of one accompaniment, from the melody's first bar to its last; those of a part
    that it lacks are left out.

    Args:
        song: the song, whose melody is given.
        band: to score.
        sheet: the chords of the song, where they are known.
        real: another band, whose distributions to compare with.
    """
    silence = np.full(len(song.tokens), NO_EVENT, np.int64)
    parts = {"melody": song.tokens[:, PARTS.index("melody")]}
    parts |= {part: band.tokens.get(part, silence) for part in MADE}
    made = [part for part in MADE if part in band.tokens]
    scores: dict[str, float] = {}
    if "bass" in made:
        scores |= _harmony(parts, sheet)
        scores |= _density(song, "bass", parts["bass"], _within(song, band.notes["bass"]))
    if "drums" in made:
        steps = np.flatnonzero(parts["drums"]).tolist()
        hits: list[StepNote] = [(step, step + 1, 0) for step in steps]
        scores |= _density(song, "drums", parts["drums"], hits)
    held = structure(parts, made)
    if len(made) < len(MADE):
        held.pop("bass on kick beyond chance", None)
    scores |= held | tonality(parts, made)
    if real is not None:
        both = [part for part in made if part in real.tokens]
        features = {part: note_features(real.tokens[part], part) for part in both}
        scores |= overlaps(features, real.velocities, band.tokens, band.velocities)
    return scores


def _harmony(parts: Mapping[str, np.ndarray], sheet: LeadSheet | None) -> dict[str, float]:
    bass, melody = parts["bass"], parts["melody"]
    key = metrics.estimate_key(metrics.pitch_histogram(melody))
    scores = {
        "bass in key": metrics.share_in_key(bass, key),
        "bass in harmony": metrics.share_in_chords(bass, infer_chord_classes(melody)),
    }
    if sheet is not None:
        scores["chord tones"] = share_of_chord_tones(bass, sheet.tones)
        scores["roots on the downbeat"] = share_of_roots(bass, sheet.roots)
    return scores


def _density(
    song: SongContext, part: str, tokens: np.ndarray, notes: list[StepNote]
) -> dict[str, float]:
    """How much and how evenly a part plays, given its tokens and the same as notes."""
    sounding = sounding_bars(notes, bar_steps(song.bars))
    kind, events = ("bass", "notes") if part == "bass" else ("drum", "hits")
    return {
        f"{kind} {events} a bar": metrics.notes_per_bar(tokens, part),
        f"{kind} groove consistency": metrics.groove_consistency(tokens, part),
        f"bars with {part}": float(sounding[song.plays].mean()),
    }


def _within(song: SongContext, notes: np.ndarray) -> list[StepNote]:
    """Notes as steps from the song's first bar, cut to its bars; pitches do not count."""
    starts, ends = (
        np.clip(steps - song.first_step, 0, len(song.tokens)).tolist()
        for steps in song.grid.to_steps(notes)
    )
    return [(start, end, 0) for start, end in zip(starts, ends, strict=True) if start < end]


def stacked(scores: list[dict[str, float]]) -> Scores:
    """Files' scores as columns (files,); NaN where a file lacks one."""
    names = dict.fromkeys(name for one in scores for name in one)
    return {name: np.array([one.get(name, np.nan) for one in scores]) for name in names}
