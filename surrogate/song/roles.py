"""Which part each track of a song plays, and why.

What the user says comes first. Else :mod:`surrogate.melody` finds the melody,
:mod:`musicvae_torch.midi.roles` basses, and drum kits are found where the score is read
(:mod:`musicvae_torch.midi.channels`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.roles import bass_reasons
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.vocabulary import PARTS
from surrogate.melody.choice import Melody, choose_melody
from surrogate.melody.track_query import find_tracks
from surrogate.options import COMPING, NOBODY, AccompanyOptions

ROLES = (*PARTS, COMPING, "other")  # a part of chords is always one that was made
CHOSEN = "as chosen"


def roles_of(
    score: Score,
    melody: Collection[int] = (),
    bass: Collection[int] | None = None,
    drums: Collection[int] | None = None,
    chords: Collection[int] | None = None,
) -> tuple[str, ...]:
    """One of ROLES for each track; arguments as of :func:`roles_and_reasons`."""
    return tuple(role for role, _ in roles_and_reasons(score, melody, bass, drums, chords))


def roles_and_reasons(
    score: Score,
    melody: Collection[int] = (),
    bass: Collection[int] | None = None,
    drums: Collection[int] | None = None,
    chords: Collection[int] | None = None,
) -> list[tuple[str, str]]:
    """The role of each track, one of ROLES, and the reason for it in words.

    Args:
        score: the song.
        melody: indices of the melody's tracks.
        bass, drums: indices of the tracks that play them; None: those that are found.
        chords: indices of the tracks of a comping part; None: there is none.
    """
    found = {track.index: ("other", track.why) for track in score.tracks}
    basses = bass_reasons(score.tracks, melody) if bass is None else dict.fromkeys(bass, CHOSEN)
    kits = {track.index: track.why for track in score.tracks if track.is_drum}
    if drums is not None:
        kits = dict.fromkeys(drums, CHOSEN)
    found |= {index: ("bass", why) for index, why in basses.items()}
    found |= {index: ("drums", why) for index, why in kits.items()}
    found |= dict.fromkeys(chords or (), (COMPING, CHOSEN))
    found |= dict.fromkeys(melody, ("melody", ""))
    return [found[track.index] for track in score.tracks]


def with_drums(score: Score, drums: Collection[int]) -> Score:
    """The score with the tracks of these indices as drum kits, whatever they were."""
    tracks = [
        replace(track, is_drum=True, why=CHOSEN) if track.index in drums else track
        for track in score.tracks
    ]
    return replace(score, tracks=tuple(tracks))


def find_parts(
    score: Score, options: AccompanyOptions, required: bool = True
) -> tuple[Score, Melody | None, dict[str, tuple[int, ...] | None]]:
    """The song with the chosen drum kits, its melody, and the tracks that were chosen for its bass
    and drums, as :func:`roles_of` takes them.

    Args:
        required: whether a missing melody is an error, if the melody is given.

    Raises:
        MidiError: a chosen track is not there, or is to play two parts.
    """
    chosen = {part: _chosen(score, part, options) for part in ("bass", "drums")}
    if chosen["drums"]:
        score = with_drums(score, chosen["drums"])
    melody = _find_melody(score, options, chosen, required)
    tracks = () if melody is None else melody.tracks
    everyone = [*tracks, *(chosen["bass"] or ()), *(chosen["drums"] or ())]
    twice = next((track for track in everyone if everyone.count(track) > 1), None)
    if twice is not None:
        raise MidiError(f"{score.name}: {score.tracks[twice]} is to play two parts; choose one")
    return score, melody, chosen


def find_comping(
    score: Score, options: AccompanyOptions, others: Collection[int] = ()
) -> tuple[int, ...]:
    """Indices of the tracks that play the chords: those that the user names, or the last pitched
    one that has the name which :mod:`surrogate.arrangement.arrange` gives such a part.

    Args:
        others: indices of tracks that play other parts.

    Raises:
        MidiError: a track that the user names is not there, or plays another part.
    """
    wanted = options.chords_track
    if wanted == NOBODY:
        return ()
    if wanted is None:
        named = [t.index for t in score.tracks if t.name.strip().casefold() == COMPING]
        able = [i for i in named if not score.tracks[i].is_drum and i not in others]
        return tuple(able[-1:])
    found = tuple(track.index for track in find_tracks(score, wanted, COMPING))
    twice = next((index for index in found if index in others), None)
    if twice is not None:
        raise MidiError(f"{score.name}: {score.tracks[twice]} is to play two parts; choose one")
    return found


def _chosen(score: Score, part: str, options: AccompanyOptions) -> tuple[int, ...] | None:
    """Indices of the tracks that the user wants for a part; None: any that are found."""
    wanted = getattr(options, part)
    if wanted in (None, NOBODY):
        return None if wanted is None else ()
    return tuple(track.index for track in find_tracks(score, wanted, part))


def _find_melody(
    score: Score,
    options: AccompanyOptions,
    chosen: Mapping[str, tuple[int, ...] | None],
    required: bool,
) -> Melody | None:
    """The melody; None if the user wants none, or there is none and none is needed."""
    if options.melody is not None:
        return None if options.melody == NOBODY else choose_melody(score, options.melody)
    needed = "melody" in options.given and required
    try:
        melody = choose_melody(score, but={i for own in chosen.values() for i in own or ()})
    except MidiError:
        if needed:
            raise
        return None
    if needed:
        return melody
    roles = roles_of(score, (), chosen["bass"], chosen["drums"])
    # In a file without a melody a given bass is the likeliest one, but it is no melody.
    return None if any(roles[track] in options.given for track in melody.tracks) else melody
