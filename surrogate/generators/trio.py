"""Missing parts from a MusicVAE of trios: a latent is found for each window, and decoded.

Given parts → overlapping windows → surrogate, refinement or both → latents → one embedding a bar →
decoder → new parts
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from musicvae_torch.attribute_vectors import AttributeVectors
from musicvae_torch.midi.vocabulary import PARTS, STEPS_PER_BAR
from musicvae_torch.model.vae import MusicVAE
from surrogate.encoder.candidates import latent_offsets, uniform_noise
from surrogate.encoder.crossfade import crossfade, cut_window, window_starts
from surrogate.encoder.latents import Latents, find_latents
from surrogate.encoder.model import Surrogate
from surrogate.generators.protocol import Generated
from surrogate.options import BAND_DENSITY, AccompanyOptions
from surrogate.song.context import SongContext

BATCH = 64  # bands decoded at a time


@dataclass(frozen=True, eq=False)
class _Plan:
    """A song between its latents and its bands.

    Attributes:
        song: its given parts on the model's grid.
        starts: (windows,) segments at which they begin.
        mean: (windows, z_size), the likeliest latents.
        embeddings: (candidates, segments, size) for the decoder.
        likeliest: (1, segments, size), of the mean.
        covered: (segments,) bool, where a window has an embedding.
    """

    song: SongContext
    starts: list[int]
    mean: Tensor
    embeddings: Tensor
    likeliest: Tensor
    covered: np.ndarray


@dataclass(eq=False, repr=False)
class TrioGenerator:
    """Decodes latents; see :class:`surrogate.generators.protocol.PartGenerator`.

    Attributes:
        musicvae: of trios.
        surrogate: of it; None: there is none, and only the method "refine-only" will do.
        attributes: directions in its latent space; None: there are none.
    """

    musicvae: MusicVAE
    surrogate: Surrogate | None = None
    attributes: AttributeVectors | None = None

    @torch.no_grad()
    def generate(
        self, songs: Sequence[SongContext], options: AccompanyOptions
    ) -> Iterator[Generated]:
        """Candidates of each song."""
        found = self.latents(songs, options)
        plans = [self._plan(song, *own, options) for song, own in zip(songs, found, strict=True)]
        for plan, tokens in zip(plans, self._sample_all(plans, options), strict=True):
            starts = np.array(plan.starts) * self.segment_steps // STEPS_PER_BAR
            silent = np.repeat(~plan.covered, self.segment_steps)[: tokens.shape[1]]
            likelihood = self._log_likelihoods(plan, tokens, options)
            yield Generated(tokens, likelihood, silent, plan.mean.cpu().numpy(), starts)

    @torch.no_grad()
    def latents(
        self, songs: Sequence[SongContext], options: AccompanyOptions
    ) -> list[tuple[list[int], Latents]]:
        """Find the latents of all songs' windows together. For each song: the segments at which its
        windows begin, and the latents of these before they are moved along attribute vectors."""
        size = self.musicvae.config.max_seq_len
        starts = [self._window_starts(song) for song in songs]
        windows = [
            cut_window(song.tokens, start * self.segment_steps, size)
            for song, own in zip(songs, starts, strict=True)
            for start in own
        ]
        if not windows:
            return []
        found = find_latents(self.musicvae, self.surrogate, np.stack(windows), options)
        counts = [len(own) for own in starts]
        latents = map(Latents, *(torch.split(values, counts) for values in found))
        return list(zip(starts, latents, strict=True))

    def _window_starts(self, song: SongContext) -> list[int]:
        """Segments at which windows begin; those in which nothing is given are left out."""
        segments = self.musicvae.decoder.segments
        starts = window_starts(self._segments(song), segments, max(segments // 2, 1))
        plays = np.repeat(song.plays, STEPS_PER_BAR)
        size = self.segment_steps
        return [s for s in starts if plays[s * size : (s + segments) * size].any()]

    def _segments(self, song: SongContext) -> int:
        return -(-len(song.tokens) // self.segment_steps)

    @property
    def segment_steps(self) -> int:
        """Steps that have an embedding in common: a bar of a hierarchical decoder, a window of a
        flat one."""
        return self.musicvae.config.max_seq_len // self.musicvae.decoder.segments

    def _plan(
        self, song: SongContext, starts: list[int], latents: Latents, options: AccompanyOptions
    ) -> _Plan:
        mean, stddev = latents
        if self.attributes is not None:
            moves = dict(options.moves)
            if self.surrogate is not None and (shift := self.surrogate.config.density_shift):
                moves[BAND_DENSITY] = moves.get(BAND_DENSITY, 0.0) + shift
            mean = self.attributes.move(mean, moves)
        offsets = latent_offsets(options.seed, options.candidates, mean.shape[1])
        deviation = options.variety * torch.from_numpy(offsets).to(mean)[:, None] * stddev
        z = torch.cat([mean[None], mean + deviation])  # (1 + candidates, windows, z_size)
        embeddings = torch.unflatten(self.musicvae.embed(z.flatten(0, 1)), 0, z.shape[:2])
        faded = [crossfade(window, starts, self._segments(song)) for window in embeddings]
        rows = torch.stack([row for row, _ in faded])
        covered = faded[0][1].cpu().numpy()
        return _Plan(song, starts, mean, rows[1:], rows[:1], covered)

    def _sample_all(self, plans: Sequence[_Plan], options: AccompanyOptions) -> list[np.ndarray]:
        """Each song's tokens (candidates, steps, parts)."""
        made = [PARTS.index(part) for part in options.made]
        per_batch = max(BATCH // options.candidates, 1)
        # Songs are as long as the longest of their batch: what is past the end does not count.
        by_length = sorted(range(len(plans)), key=lambda index: plans[index].embeddings.shape[1])
        sampled: dict[int, np.ndarray] = {}
        for first in range(0, len(plans), per_batch):
            batch = by_length[first : first + per_batch]
            bands = self._sample([plans[index] for index in batch], options, made)
            for index, band in zip(batch, bands, strict=True):
                given = plans[index].song.tokens
                tokens = np.repeat(given[None], options.candidates, axis=0)
                tokens[..., made] = band[:, : tokens.shape[1]]
                sampled[index] = tokens
        return [sampled[index] for index in range(len(plans))]

    def _sample(
        self, plans: Sequence[_Plan], options: AccompanyOptions, made: list[int]
    ) -> np.ndarray:
        """(songs, candidates, steps of the longest song, made parts) classes."""
        longest = max(plan.embeddings.shape[1] for plan in plans)
        steps = longest * self.segment_steps
        lacking = [longest - plan.embeddings.shape[1] for plan in plans]
        padded = [
            pad(plan.embeddings, (0, 0, 0, n)) for plan, n in zip(plans, lacking, strict=True)
        ]
        embeddings = torch.cat(padded)
        noise = np.stack([uniform_noise(options.seed, n, steps) for n in range(options.candidates)])
        uniforms = torch.from_numpy(np.concatenate([noise] * len(plans))).to(embeddings.device)
        played = self.musicvae.sample_segments(embeddings, options.temperatures, uniforms, made)
        return played.cpu().numpy().reshape(len(plans), options.candidates, steps, len(made))

    def _log_likelihoods(
        self, plan: _Plan, tokens: np.ndarray, options: AccompanyOptions
    ) -> np.ndarray:
        """(candidates, bars) of the made parts, in nats, under the likeliest latents."""
        made = [PARTS.index(part) for part in options.made]
        length = plan.likeliest.shape[1] * self.segment_steps
        unplayed = length - tokens.shape[1]
        classes = np.pad(tokens, ((0, 0), (0, unplayed), (0, 0)), constant_values=-1)
        # One by one: a step's logits are many.
        losses = torch.cat(
            [
                self.musicvae.segments_nll(plan.likeliest, own[None], made)
                for own in torch.from_numpy(classes).to(plan.likeliest.device)
            ]
        )
        steps = -losses.sum(-1)[:, : tokens.shape[1]]
        nats: np.ndarray = steps.reshape(len(steps), -1, STEPS_PER_BAR).sum(-1).cpu().numpy()
        covered = np.repeat(plan.covered, self.segment_steps)[: tokens.shape[1] : STEPS_PER_BAR]
        nats[:, ~covered] = 0
        return nats
