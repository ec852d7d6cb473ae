"""Which part each track of a song plays, and why: decided here, and asked by all.

The melody is :mod:`surrogate.melody`'s affair; drum kits are found where the score is read
(:mod:`musicvae_torch.midi.channels`), and basses by :mod:`musicvae_torch.midi.roles`. What the
user says comes first.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from musicvae_torch.converters.trio import PARTS
from musicvae_torch.midi.roles import bass_reasons
from musicvae_torch.midi.score import Score

ROLES = (*PARTS, "other")
CHOSEN = "as chosen"


def roles_of(
    score: Score,
    melody: Collection[int] = (),
    bass: Collection[int] | None = None,
    drums: Collection[int] | None = None,
) -> tuple[str, ...]:
    """One of ROLES for each track.

    Args:
        score: the song.
        melody: indices of the melody's tracks.
        bass, drums: indices of the tracks that play them; None: those that are found.
    """
    return tuple(role for role, _ in roles_and_reasons(score, melody, bass, drums))


def roles_and_reasons(
    score: Score,
    melody: Collection[int] = (),
    bass: Collection[int] | None = None,
    drums: Collection[int] | None = None,
) -> list[tuple[str, str]]:
    """The role of each track, and why it has that, in words; arguments as of :func:`roles_of`."""
    found_basses = bass_reasons(score.tracks, melody) if bass is None else {}
    basses = found_basses if bass is None else dict.fromkeys(bass, CHOSEN)
    if drums is None:
        kits = {track.index: track.why for track in score.tracks if track.is_drum}
    else:
        kits = dict.fromkeys(drums, CHOSEN)
    found = []
    for track in score.tracks:
        if track.index in melody:
            found.append(("melody", ""))
        elif track.index in kits:
            found.append(("drums", kits[track.index]))
        elif track.index in basses:
            found.append(("bass", basses[track.index]))
        else:
            found.append(("other", track.why))
    return found


def with_drums(score: Score, drums: Collection[int]) -> Score:
    """The score with some tracks taken for drum kits, whatever they were taken for."""
    tracks = [
        replace(track, is_drum=True, why=CHOSEN) if track.index in drums else track
        for track in score.tracks
    ]
    return replace(score, tracks=tuple(tracks))
