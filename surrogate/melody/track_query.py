"""Track queries: how a user names the tracks of a part, and which tracks those are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import attrgetter

import pretty_midi

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import Track
from musicvae_torch.midi.vocabulary import MAX_PITCH, MIN_PITCH
from surrogate.melody.features import is_singable, lines

_FORMS = (
    "2 (a track's number), 0,3 (several), channel:5 (1 to 16), program:73 (0 to 127), name:TEXT, "
    "instrument:TEXT, or TEXT of either"
)

_LEFT = re.compile(r"\b(left|lh|l\.h\.)(?!\w)", re.IGNORECASE)
_RIGHT = re.compile(r"\b(right|rh|r\.h\.)(?!\w)", re.IGNORECASE)


def find_tracks(
    score: Score, wanted: str | int | Sequence[str | int], part: str = "melody"
) -> list[Track]:
    """The tracks that a query selects, or several queries together.

    - an index, or digits, or ``track:2``, or several, ``0,3``: those tracks of ``score.tracks``;
    - ``channel:5``: all that sounds on a channel, counted from 1 as musicians do;
    - ``program:73``: the line of that General MIDI program, counted from 0;
    - ``name:TEXT``: the line whose track is called so, else called so but for capitals, else
      whose name holds the text, capitals or not;
    - ``instrument:TEXT``: the line whose General MIDI instrument is called so, else holds the text;
    - other text: as a name if any track's fits, else as an instrument.

    A line is a track with those that the same player plays in turn. Where the left and the right
    hand of a piano are all that fits, the right hand is meant.

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


def _find(score: Score, text: str, part: str) -> list[Track]:
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
    every = f"the tracks are: {listed(score.tracks) or 'none'}"
    if not found:
        raise MidiError(f"{score.name}: no track fits {text!r}; {every}")
    if part == "melody":
        able = [track for track in found if is_singable(track)]
        if not able or (kind == "track" and len(able) < len(found)):
            unable = next(track for track in found if not is_singable(track))
            raise MidiError(f"{score.name}: {unable} holds no melody ({refusal(unable)}); {every}")
        found = able
    if kind in ("track", "channel") or part == "drums":
        return found
    return _one_line(score, found, text) if part == "melody" else found


def refusal(track: Track) -> str:
    """Why a track cannot be the melody; empty if it can."""
    if track.is_drum:
        return "drums"
    return "" if is_singable(track) else f"no note from {MIN_PITCH} to {MAX_PITCH}"


def instrument(program: int, is_drum: bool = False) -> str:
    """A program's name in General MIDI."""
    return "drums" if is_drum else str(pretty_midi.program_to_instrument_name(program))


def listed(tracks: Iterable[Track]) -> str:
    return "; ".join(map(str, tracks))


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
            f"{score.name}: {text!r} fits several tracks, say which by its number: {listed(able)}"
        )
    return fitting[0]


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
