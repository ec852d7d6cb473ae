"""Which track of a song is its melody: the user's choice, or a guess that can be shown."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pretty_midi

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.roles import telling_names
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.track_query import listed
from musicvae_torch.midi.tracks import Track
from musicvae_torch.midi.vocabulary import MAX_PITCH, MIN_PITCH
from surrogate.melody.features import FEATURES, features, lines, notes_of, sounding
from surrogate.melody.monophony import reduce_to_melody
from surrogate.melody.track_query import find_tracks, instrument, refusal

# Scores of names, beside the features, for a track that plays throughout.
NAMED_MELODY = 8.0
NAMED_BACKING = -3.0
_MELODY_NAME = re.compile(
    r"\b(melod\w*|lead|vocals?|vox|voice|singer|solo(ist)?|theme|right ?hand|rh)\b|"
    r"\b(piano|hand)\W*right\b|\bright\W*(piano|hand)\b",
    re.IGNORECASE,
)
_BACKING_NAME = re.compile(
    r"\b(back(ing|up)?|harmon(y|ies)|chords?|echo(es|ed)?|delay|pads?|bass|drums?|second(ary)?|"
    r"counter\w*|rh?ythm|accomp\w*|choir|left ?hand|lh)\b|"
    r"\b(piano|hand)\W*left\b|\bleft\W*(piano|hand)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class TrackSummary:
    """A track as a candidate for the melody.

    Attributes:
        index: position in ``Score.tracks``.
        name, channels, program, is_drum: those of the score.
        notes: how many it has.
        low, high: its lowest and highest MIDI pitch.
        playing: share of the time between the song's first and last note in which it sounds.
        polyphony: how many of its notes sound on average while it sounds; 1 is one at a time.
        score: higher is likelier to be the melody; None for tracks that cannot be. Tracks that one
            player plays in turn (a program changes) share theirs.
        probability: that it is the melody, by the score; 0 where that is None.
        reasons: what speaks for it most, compared with the song's other lines.
    """

    index: int
    name: str
    channels: tuple[int, ...]
    program: int
    is_drum: bool
    notes: int
    low: int
    high: int
    playing: float
    polyphony: float
    score: float | None = None
    probability: float = 0.0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Melody:
    """A song's melody.

    Attributes:
        tracks: indices of ``Score.tracks`` that it is on.
        notes: of TICK_NOTE, by start, none lapping over another: notes of those tracks, with ends
            that may be sooner, MIN_PITCH to MAX_PITCH. The networks' input.
        how: a line for the user that says how it was found.
    """

    tracks: tuple[int, ...]
    notes: np.ndarray
    how: str


def summarize_tracks(score: Score) -> list[TrackSummary]:
    """Every track of a song, in the song's order, with a guess whether it is the melody."""
    parts = lines(score)
    values = features(score, parts)
    names = telling_names(score.tracks)
    gains = values * np.array([feature.weight for feature in FEATURES.values()])
    by_name = np.array([_by_name([names[track.index] for track in part]) for part in parts])
    named = by_name * values[:, list(FEATURES).index("present")]
    scores = gains.sum(axis=1) + named
    probabilities = np.exp(scores - scores.max(initial=-np.inf))
    probabilities /= max(probabilities.sum(), 1e-300)
    row_of = {track.index: row for row, part in enumerate(parts) for track in part}
    every = notes_of(score.tracks)
    length = every["end"].max(initial=0) - every["start"].min(initial=np.iinfo(np.int64).max)
    summaries = []
    for track in score.tracks:
        time, pitches = sounding(track.notes), track.notes["pitch"]
        summary = TrackSummary(
            index=track.index,
            name=track.name,
            channels=track.channels,
            program=track.program,
            is_drum=track.is_drum,
            notes=len(track.notes),
            low=int(pitches.min()),
            high=int(pitches.max()),
            playing=float(time / length),
            polyphony=float((track.notes["end"] - track.notes["start"]).sum() / time),
        )
        if track.index in row_of:
            row = row_of[track.index]
            chance, reasons = float(probabilities[row]), _reasons(row, gains, named)
            summary = replace(
                summary, score=float(scores[row]), probability=chance, reasons=reasons
            )
        summaries.append(summary)
    return summaries


def choose_melody(
    score: Score, wanted: str | int | Sequence[str | int] | None = None, but: Collection[int] = ()
) -> Melody:
    """The track that the user wants, or the likeliest, with those that belong to it, reduced to
    one note at a time.

    Args:
        score: the song.
        wanted: see :func:`surrogate.melody.track_query.find_tracks`; None: the likeliest.
        but: indices of tracks that play other parts.

    Raises:
        MidiError: nothing fits `wanted`, or too much, or it cannot be a melody; or no track can.
    """
    if wanted is not None:
        tracks, why = find_tracks(score, wanted), "as chosen"
    else:
        summaries = summarize_tracks(score)
        able = [s for s in summaries if s.score is not None and s.index not in but]
        if not able:
            raise MidiError(f"{score.name}: no melody: {_why_none(score, summaries, but)}")
        best = max(able, key=lambda summary: (summary.score, -summary.index))
        line = next(part for part in lines(score) if best.index in [track.index for track in part])
        tracks = [track for track in line if track.index not in but]
        why = f"likeliest: {', '.join(best.reasons)}" if best.reasons else "the likeliest"
        if len(tracks) == len(able):
            why = "the only one that can be a melody"
    reduction = reduce_to_melody(notes_of(tracks), score.seconds)
    indices = tuple(sorted(track.index for track in tracks))
    said = " and ".join(str(score.tracks[index]) for index in indices)
    how = f"{said} ({why})" + (f"; {reduction.how}" if reduction.how else "")
    return Melody(indices, reduction.notes, how)


def _why_none(score: Score, summaries: Sequence[TrackSummary], but: Collection[int]) -> str:
    """Why no track can be the melody, and what to do."""
    others = [score.tracks[s.index] for s in summaries if s.score is not None and s.index in but]
    if others:
        return (
            f"{listed(others)} would be the melody, but is chosen for another part; choose another "
            "track for that, or name the melody's (--melody)"
        )
    tracks = listed(score.tracks)
    why = f"no track has a pitched note from {MIN_PITCH} to {MAX_PITCH}"
    if tracks and all(track.is_drum for track in score.tracks):
        return f"{why} ({tracks}); --given drums makes a melody and a bass for drums"
    return f"{why} ({tracks or 'no track has a note'})"


def tracks_table(
    score: Score, choice: Melody | None = None, roles: Sequence[tuple[str, str]] = ()
) -> str:
    """The tracks as a table, the likeliest melody first, each with the part that it plays.

    Args:
        score: the song.
        choice: its melody.
        roles: the part that each track plays, and why.

    Returns:
        Lines without a newline at the end; the first is the header.
    """
    summaries = sorted(
        summarize_tracks(score),
        key=lambda track: (track.score is None, -(track.score or 0.0), track.index),
    )
    if not summaries:
        return "no track has a note"
    rows = [_HEADER]
    scores = dict.fromkeys(track.score for track in summaries if track.score is not None)
    ranks = {score: rank for rank, score in enumerate(scores, 1)}
    taken = choice.tracks if choice else ()
    for track in summaries:
        pitches = "-".join(map(pretty_midi.note_number_to_name, (track.low, track.high)))
        rows.append(
            (
                "-" if track.score is None else str(ranks[track.score]),
                str(track.index),
                _short(track.name),
                _channels_said(track.channels),
                instrument(track.program, track.is_drum),
                str(track.notes),
                "-" if track.is_drum else pitches,
                f"{track.playing:.0%}",
                f"{track.polyphony:.1f}",
                "-" if track.score is None else f"{track.score:.1f}",
                "-" if track.score is None else f"{track.probability:.0%}",
                _verdict(score.tracks[track.index], taken, roles),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in _LEFT_ALIGNED else cell.rjust(width)
            for cell, width, column in zip(row, widths, _HEADER, strict=True)
        ).rstrip()
        for row in rows
    )


_HEADER = (
    "rank", "track", "name", "channel", "instrument", "notes", "range", "plays", "voices", "score",
    "chance", "",
)  # fmt: skip
_LEFT_ALIGNED = ("name", "instrument", "range", "")


def _channels_said(channels: tuple[int, ...]) -> str:
    """Channels as musicians count them: "5", or "2-16"."""
    first, last = channels[0] + 1, channels[-1] + 1
    return str(first) if first == last else f"{first}-{last}"


def _verdict(track: Track, taken: Collection[int], roles: Sequence[tuple[str, str]]) -> str:
    """The part of a track and why, "bass (program 33)"; else why it cannot be the melody."""
    if track.index in taken:
        return "<- melody"
    part, why = roles[track.index] if roles else ("other", "")
    if part != "other":
        return f"{part} ({why})" if why else part
    return why or refusal(track)


def _short(name: str, width: int = 28) -> str:
    """A name that is safe to print: on one line, not too long."""
    name = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return name if len(name) <= width else f"{name[: width - 1]}…"


def _by_name(names: Sequence[str]) -> float:
    """The score of the names of a line's tracks."""
    melody = any(map(_MELODY_NAME.search, names))
    backing = any(map(_BACKING_NAME.search, names))
    if melody and backing:
        return 0.0
    return NAMED_MELODY * melody + NAMED_BACKING * backing


def _reasons(row: int, gains: np.ndarray, named: np.ndarray, most: int = 2) -> tuple[str, ...]:
    """The features by which a line is ahead of the average of the song's others, best first."""
    if len(gains) < 2:
        return ()
    columns = np.concatenate([named[:, None], gains], axis=1)
    ahead = columns[row] - np.delete(columns, row, axis=0).mean(axis=0)
    words = ["its name", *(feature.means for feature in FEATURES.values())]
    order = np.argsort(-ahead, kind="stable")[:most]
    return tuple(words[column] for column in order if ahead[column] > 0.2)
