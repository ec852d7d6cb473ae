"""What the pipeline asks of a model: the missing parts of songs, as tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from surrogate.options import AccompanyOptions
from surrogate.song.context import SongContext


@dataclass(frozen=True, eq=False)
class Generated:
    """Candidates of one song's missing parts.

    Attributes:
        tokens: (candidates, steps, 3) int64 classes of melody, bass and drums, the given parts as
            they are in the song.
        log_likelihood: (candidates, bars) of the missing parts, in nats, as the model judges them
            for this song.
        silent: (steps,) bool, where the model has nothing to go by, so that the missing parts rest.
        latents: (windows, z_size), the likeliest latent of each window; of a model that has none,
            (0, 0).
        starts: (windows,) bar of the song's first 16-bar window, and so on.
    """

    tokens: np.ndarray
    log_likelihood: np.ndarray
    silent: np.ndarray
    latents: np.ndarray
    starts: np.ndarray


class PartGenerator(Protocol):
    """A model that makes missing parts. To accompany with another one, write this method."""

    def generate(
        self, songs: Sequence[SongContext], options: AccompanyOptions
    ) -> Iterator[Generated]:
        """The parts that are not given, of each song in order.

        The same options give the same tokens, candidate by candidate, whatever other songs or how
        many candidates there are.

        Args:
            songs: with their given parts as tokens.
            options: seed, candidates, given parts and what else the model understands.
        """
        ...
