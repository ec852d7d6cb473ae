"""A song as it is shown: which track plays which part, which tracks are new, and where drums are.

Drums have lines of their own, from the kick up, as on a drummer's staff.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from musicvae_torch.converters.drums import class_of_pitch
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import Track
from musicvae_torch.midi.vocabulary import DRUM_CLASSES
from surrogate.song.roles import roles_of

COLOURS = {
    "melody": "#d62728",
    "bass": "#1f77b4",
    "drums": "#8c564b",
    "chords": "#2e8b6f",
    "other": "#b4b4b8",
}

LANES = (
    "kick",
    "snare",
    "hi-hat",
    "open hat",
    "low tom",
    "mid tom",
    "high tom",
    "crash",
    "ride",
    "other",  # percussion that the models do not know
)


@dataclass(frozen=True, eq=False)
class View:
    """A song with what a listener wants to know of its tracks.

    Attributes:
        title: what it is called beside others: "Input", "Result 1".
        score: the song.
        roles: of ROLES, one a track of `score`.
        new: indices of the tracks that were made for the song; the others were given.
        even: the same without a drummer's feel, to compare with; None: it has none.
        chords: (tick, chord symbol) of each change of chord, if they are to be shown.
    """

    title: str
    score: Score
    roles: tuple[str, ...]
    new: frozenset[int] = frozenset()
    even: View | None = None
    chords: tuple[tuple[int, str], ...] = ()

    def tracks_of(self, role: str) -> list[Track]:
        """The tracks that play a part."""
        return [self.score.tracks[index] for index in self.indices_of(role)]

    def indices_of(self, role: str) -> tuple[int, ...]:
        """The indices of the tracks that play a part."""
        return tuple(index for index, own in enumerate(self.roles) if own == role)


def view_of(
    score: Score, melody: Collection[int] = (), new: Iterable[int] = (), title: str = ""
) -> View:
    """A view of a score of which only the melody's tracks are known.

    Args:
        melody: indices of its tracks, whatever they are played on.
        new: indices of the tracks that were made.
        title: of the view; the default is the score's name.
    """
    return View(title or score.name, score, roles_of(score, melody), frozenset(new))


def lanes_of(pitches: np.ndarray) -> np.ndarray:
    """Indices in LANES of MIDI pitches; any shape."""
    classes = class_of_pitch(DRUM_CLASSES)[pitches]
    return np.where(classes < 0, len(LANES) - 1, classes)


def used_lanes(tracks: Iterable[Track]) -> list[int]:
    """The lanes that any of the drum tracks strikes, from the kick up."""
    struck = {int(lane) for track in tracks for lane in np.unique(lanes_of(track.notes["pitch"]))}
    return sorted(struck)
