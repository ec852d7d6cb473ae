"""The networks, windows and options of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal

from musicvae_torch.attribute_vectors import AttributeVectors
from musicvae_torch.errors import OptionError
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.encoding import encode_tokens
from surrogate.band.model import Band
from surrogate.encoder.model import Surrogate
from surrogate.encoder.refine import RefineOptions, part_indices
from surrogate.evaluation.columns import Truth, velocities_by_part
from surrogate.evaluation.tables import Scores, per_song
from surrogate.evaluation.windows import EvaluationWindows

BATCH = 128


@dataclass(frozen=True)
class Networks:
    """The networks to compare; rows of those that are None are left out.

    Attributes:
        musicvae: of trios.
        surrogate: of it.
        baseline: another surrogate of it, as that of accompany-music-vae.
        without_latent: the same MusicVAE, trained on until its latent said nothing.
        attributes: directions of the latent, for the bands of `accompany`.
        band: a band network.
        styled: whether the band network was trained on latents of the MusicVAE.
    """

    musicvae: MusicVAE
    surrogate: Surrogate | None = None
    baseline: Surrogate | None = None
    without_latent: MusicVAE | None = None
    attributes: AttributeVectors | None = None
    band: Band | None = None
    styled: bool = True


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of an evaluation.

    Attributes:
        given: the parts that are given; the others are hidden.
        seed: of the prior's sample, of other songs' latents and of the bootstrap, and the first
            one of `accompany`.
        seeds: how many bands `accompany` makes for each window.
        refine: how to refine.
        progress: show a progress bar.
    """

    given: tuple[str, ...] = ("melody",)
    seed: int = 0
    seeds: int = 3
    refine: RefineOptions = field(default_factory=RefineOptions)
    progress: bool = False

    def __post_init__(self) -> None:
        if len(part_indices(self.given)) == len(PARTS):
            raise OptionError(f"{', '.join(self.given)} are given: nothing is left to generate")

    @property
    def hidden(self) -> tuple[str, ...]:
        return tuple(part for part in PARTS if part not in self.given)


@dataclass(frozen=True, eq=False)
class Task:
    """An evaluation in progress, with what its rows share.

    Attributes:
        notes: on what is left out; rows add to them.
    """

    networks: Networks
    windows: EvaluationWindows
    options: EvaluateOptions
    notes: list[str] = field(default_factory=list)

    @cached_property
    def tokens(self) -> Tensor:
        """(windows, steps, 3) classes, where the MusicVAE is."""
        return torch.from_numpy(self.windows.tokens).to(self.networks.musicvae.device)

    @cached_property
    def posterior(self) -> Normal:
        """The posteriors of the windows, by the MusicVAE's encoder."""
        return encode_tokens(self.networks.musicvae, self.windows.tokens)

    @cached_property
    def truth(self) -> list[Truth]:
        """The real parts of each window."""
        hidden, windows = self.options.hidden, self.windows
        return [
            Truth(tokens, hidden, velocities_by_part(velocities, hidden))
            for tokens, velocities in zip(windows.tokens, windows.velocities, strict=True)
        ]

    @property
    def has_one_song(self) -> bool:
        """Whether all windows are of one song."""
        return bool(self.windows.song[0] == self.windows.song[-1])

    def mean_of_other_songs(self) -> Tensor:
        """(windows, z_size) the posterior's mean of a random window of another song."""
        mean = self.posterior.mean
        others = other_songs(self.windows.song, self.options.seed)
        return mean[torch.from_numpy(others).to(mean.device)]

    def by_song(self, scores: Scores) -> Scores:
        """Scores (windows,) as means (songs,)."""
        song, songs = self.windows.song, len(self.windows.songs)
        return {name: per_song(values, song, songs) for name, values in scores.items()}


def other_songs(song: np.ndarray, seed: int) -> np.ndarray:
    """The index of a random window of another song, for each window (windows,) of ascending songs,
    of which there are at least two."""
    rng = np.random.default_rng(seed)
    firsts, ends = np.searchsorted(song, song), np.searchsorted(song, song, side="right")
    # Counted from the end of the window's own song on, around.
    shifts = rng.integers(0, len(song) - (ends - firsts))
    return (ends + shifts) % len(song)
