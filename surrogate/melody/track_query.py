"""The tracks of a part that a user names by track queries."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pretty_midi

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.track_query import fitting_tracks, listed
from musicvae_torch.midi.tracks import Track
from musicvae_torch.midi.vocabulary import MAX_PITCH, MIN_PITCH
from surrogate.melody.features import is_singable, lines

_LEFT = re.compile(r"\b(left|lh|l\.h\.)(?!\w)", re.IGNORECASE)
_RIGHT = re.compile(r"\b(right|rh|r\.h\.)(?!\w)", re.IGNORECASE)


def find_tracks(
    score: Score, wanted: str | int | Sequence[str | int], part: str = "melody"
) -> list[Track]:
    """The tracks that a query selects, or several queries together.

    Queries are those of :func:`musicvae_torch.midi.track_query.fitting_tracks`. Those for a
    program, a name or an instrument select a line: a track with those that the same player plays in
    turn. Where the left and the right hand of a piano are all that fits, the right hand is meant.

    Args:
        score: the song.
        wanted: one query, or several, whose tracks share the part.
        part: that they are to play; a melody has to be singable.

    Raises:
        MidiError: nothing fits, or several lines, or what does cannot be a melody.
    """
    queries = [wanted] if isinstance(wanted, str | int) else list(wanted)
    found = {track.index for query in queries for track in _find(score, str(query).strip(), part)}
    return [score.tracks[index] for index in sorted(found)]


def _find(score: Score, wanted: str, part: str) -> list[Track]:
    kind, found = fitting_tracks(score, wanted, part)
    if part == "melody":
        able = [track for track in found if is_singable(track)]
        if not able or (kind == "track" and len(able) < len(found)):
            unable = next(track for track in found if not is_singable(track))
            raise MidiError(
                f"{score.name}: {unable} holds no melody ({refusal(unable)}); the tracks are: "
                f"{listed(score.tracks)}"
            )
        found = able
    if kind in ("track", "channel") or part == "drums":
        return found
    return _one_line(score, found, wanted) if part == "melody" else found


def refusal(track: Track) -> str:
    """Why a track cannot be the melody; empty if it can."""
    if track.is_drum:
        return "drums"
    return "" if is_singable(track) else f"no note from {MIN_PITCH} to {MAX_PITCH}"


def instrument(program: int, is_drum: bool = False) -> str:
    """A program's name in General MIDI."""
    return "drums" if is_drum else str(pretty_midi.program_to_instrument_name(program))


def _one_line(score: Score, able: list[Track], text: str) -> list[Track]:
    wanted = {track.index for track in able}
    fitting = [part for part in lines(score) if wanted & {track.index for track in part}]
    if len(fitting) == 2:
        right, left = (
            [part for part in fitting if all(side.search(track.name) for track in part)]
            for side in (_RIGHT, _LEFT)
        )
        if len(right) == len(left) == 1:
            fitting = right
    if len(fitting) > 1:
        raise MidiError(
            f"{score.name}: {text!r} fits several tracks; choose one by its index: {listed(able)}"
        )
    return fitting[0]
