"""Track queries: how a user names tracks of a song, and which tracks those are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from operator import attrgetter

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import Track

_FORMS = (
    "2 (a track's number), 0,3 (several), channel:5 (1 to 16), program:73 (0 to 127), name:TEXT, "
    "instrument:TEXT, or TEXT of either"
)


def fitting_tracks(score: Score, wanted: str | int, part: str) -> tuple[str, list[Track]]:
    """The tracks that fit a query, in order of their indices.

    - an index, or digits, or ``track:2``, or several, ``0,3``: those tracks of ``score.tracks``;
    - ``channel:5``: all that sounds on a channel, counted from 1 as musicians do;
    - ``program:73``: those of that General MIDI program, counted from 0;
    - ``name:TEXT``: those that are called so, else called so but for capitals, else whose name
      holds the text, capitals or not;
    - ``instrument:TEXT``: those whose General MIDI instrument is called so, else holds the text;
    - other text: as a name if any track's fits, else as an instrument.

    Args:
        score: the song.
        wanted: the query.
        part: that they are to play, for messages.

    Returns:
        The kind of the query ("track", "channel", "program", "name", "instrument"; empty for other
        text), and at least one track.

    Raises:
        MidiError: nothing fits, or the query says nothing.
    """
    text = str(wanted).strip()
    kind, colon, rest = text.partition(":")
    kind, value = kind.strip().lower(), rest.strip()
    if not text or (colon and kind in _KINDS and not value):
        raise MidiError(f"{score.name}: {text!r} names no {part}; say {_FORMS}")
    if re.fullmatch(r"-?\d+(\s*,\s*\d+)*", text):
        kind, value = "track", text
    elif not colon or kind not in _KINDS:
        kind, value = "", text
    kinds = [kind] if kind else ["name", "instrument"]
    found = next(filter(None, (_KINDS[each](score, value) for each in kinds)), [])
    if not found:
        raise MidiError(
            f"{score.name}: no track fits {text!r}; the tracks are: "
            f"{listed(score.tracks) or 'none'}"
        )
    return kind, sorted(found, key=attrgetter("index"))


def listed(tracks: Iterable[Track]) -> str:
    """Tracks in words, for messages."""
    return "; ".join(map(str, tracks))


def _number(score: Score, value: str, low: int, high: int, what: str) -> int:
    if not re.fullmatch(r"\d{1,3}", value) or not low <= int(value) <= high:
        raise MidiError(f"{score.name}: {value!r} is no {what}: they go from {low} to {high}")
    return int(value)


def _by_index(score: Score, value: str) -> list[Track]:
    tracks = {str(track.index): track for track in score.tracks}
    numbers = [number.strip().lstrip("0") or "0" for number in value.split(",")]
    return [tracks[number] for number in numbers] if tracks.keys() >= set(numbers) else []


def _by_channel(score: Score, value: str) -> list[Track]:
    channel = _number(score, value, 1, 16, "channel") - 1
    return [track for track in score.tracks if channel in track.channels]


def _by_program(score: Score, value: str) -> list[Track]:
    program = _number(score, value, 0, 127, "program")
    return [t for t in score.tracks if t.program == program and not t.is_drum]


def _called(score: Score, text: str, name: Callable[[Track], str]) -> list[Track]:
    """The tracks whose names fit best: wholly, but for capitals, or in part."""
    text = text.strip()
    names = [(track, name(track).strip(" \t\r\n\0")) for track in score.tracks]
    return (
        [track for track, own in names if own == text]
        or [track for track, own in names if own.casefold() == text.casefold()]
        or [track for track, own in names if text.casefold() in own.casefold()]
    )


_KINDS: dict[str, Callable[[Score, str], list[Track]]] = {
    "track": _by_index,
    "channel": _by_channel,
    "program": _by_program,
    "name": partial(_called, name=attrgetter("name")),
    "instrument": partial(_called, name=attrgetter("sound")),
}
