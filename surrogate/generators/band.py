"""Missing parts from a band network, which hears all that is given and what it has played.

Given parts, chords, densities and a style → the listener → the player, step by step → new parts

The style is a latent of the MusicVAE: what the surrogate predicts of the whole song, and for each
candidate but the first a sample of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from musicvae_torch.notes.chords import ChordError, chord_class
from musicvae_torch.notes.trio import PARTS
from musicvae_torch.notes.vocabulary import STEPS_PER_BAR
from musicvae_torch.products import FLOAT32
from surrogate.arrangement.arrange import kept_tracks
from surrogate.arrangement.harmony import from_markers
from surrogate.arrangement.song_harmony import song_harmony
from surrogate.band.model import HIDDEN, Band, Controls
from surrogate.band.sampling import Sampling, play
from surrogate.generators.protocol import Generated
from surrogate.generators.trio import TrioGenerator
from surrogate.networks.candidates import style
from surrogate.networks.latents import Latents
from surrogate.options import AccompanyOptions
from surrogate.song.hearing import Hearing


class BandGenerator:
    """Plays; see :class:`surrogate.generators.protocol.PartGenerator`.

    Args:
        band: in evaluation mode.
        styles: finds latents of songs; None: bands play without a style.
        sampling: how tokens are drawn.
        dtype: precision of products, "float32" or "bfloat16".
    """

    def __init__(
        self,
        band: Band,
        styles: TrioGenerator | None = None,
        sampling: Sampling | None = None,
        dtype: str = FLOAT32,
    ) -> None:
        self.band, self.styles, self.dtype = band, styles, dtype
        self.sampling = sampling or Sampling()

    @torch.no_grad()
    def generate(self, songs: Sequence[Hearing], options: AccompanyOptions) -> Iterator[Generated]:
        """Candidates of each song."""
        found = [None] * len(songs) if self.styles is None else self.styles.latents(songs, options)
        for song, known in zip(songs, found, strict=True):
            starts, latents = known or ([], None)
            device = self.band.player.start.device
            given = torch.from_numpy(song.tokens.copy()).to(device)
            made = [PARTS.index(part) for part in options.made]
            given[:, made] = HIDDEN
            controls = Controls(
                chords=self._chords(song, options),
                style=None if latents is None else self._style(latents, options),
            )
            played = play(
                self.band,
                given,
                controls,
                candidates=options.candidates,
                seed=options.seed,
                sampling=self.sampling,
                dtype=self.dtype,
            )
            nats = played.nats.sum(-1).unflatten(1, (-1, STEPS_PER_BAR)).sum(-1)
            mean = np.zeros((0, 0)) if latents is None else latents.mean.cpu().numpy()
            yield Generated(
                played.tokens.cpu().numpy(),
                -nats.cpu().numpy(),
                np.zeros(len(song.tokens), bool),
                mean,
                np.array(starts, np.int64),
            )

    def _style(self, latents: Latents, options: AccompanyOptions) -> Tensor:
        """(candidates, 1, style_size): one style for the song, moved along attribute vectors."""
        mean, stddev = (values.mean(0) for values in latents)
        if self.styles is not None and self.styles.attributes is not None and options.moves:
            mean = self.styles.attributes.move(mean[None], options.moves)[0]
        noise = np.stack([style(options.seed, n, len(mean)) for n in range(options.candidates)])
        return (mean + options.variety * torch.from_numpy(noise).to(mean) * stddev)[:, None]

    def _chords(self, song: Hearing, options: AccompanyOptions) -> Tensor | None:
        """(1, steps) chord classes: those that the user or the file says, or that other tracks
        than the given parts suggest; None where nothing but a melody would."""
        kept = kept_tracks(song.roles, options)
        others = any(song.roles[index] not in options.given for index in kept)
        said = options.chords is not None or from_markers(song.score, song.grid) is not None
        if not said and not others and "bass" in options.made:
            return None
        harmony = song_harmony(song, kept, options.chords)
        names = harmony.names_at(np.arange(len(song.tokens)))
        classes = {name: _class(name) for name in set(names.tolist())}
        return torch.tensor([[classes[name] for name in names.tolist()]])


def _class(name: str) -> int:
    """The chord's class; HIDDEN for one whose triad the network does not know, such as Csus."""
    try:
        return chord_class(name)
    except ChordError:
        return HIDDEN
