"""Which part each track of a song plays."""

from __future__ import annotations

from collections.abc import Collection

from musicvae_torch.notes.score import Score, Track
from musicvae_torch.notes.trio import PARTS
from musicvae_torch.notes.vocabulary import BASS_PROGRAMS

ROLES = (*PARTS, "other")


def roles_of(score: Score, melody: Collection[int] = ()) -> tuple[str, ...]:
    """One of ROLES for each track: the melody, where it is said to be, else drums by the channel,
    the bass by programs 32 to 39, else another."""
    return tuple(
        "melody" if track.index in melody else _accompanying(track) for track in score.tracks
    )


def _accompanying(track: Track) -> str:
    if track.is_drum:
        return "drums"
    return "bass" if track.program in BASS_PROGRAMS else "other"
