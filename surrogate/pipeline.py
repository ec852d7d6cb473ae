"""The accompaniment pipeline: given parts in, the same parts with the missing ones out.

MIDI → score → given parts on the song's own beats → overlapping windows → surrogate, refinement
     or both → latents → one embedding a bar → decoder → new parts → the song's own file
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pretty_midi
import torch
from torch import Tensor

from musicvae_torch.attributes import AttributeVectors
from musicvae_torch.devices import pick_device
from musicvae_torch.model import MusicVAE
from musicvae_torch.notes.midi import MidiError
from musicvae_torch.notes.score import Score, divisible, read_score
from musicvae_torch.notes.trio import PARTS, part_notes
from musicvae_torch.notes.vocabulary import NO_EVENT, NOTE_OFF, STEPS_PER_BAR
from musicvae_torch.products import FLOAT32
from surrogate.arrangement.arrange import Arranger
from surrogate.arrangement.harmony import read
from surrogate.networks.candidates import chance, rank, style
from surrogate.networks.latents import Latents, check_method, find_latents
from surrogate.networks.model import Surrogate
from surrogate.networks.pair import check_pair, check_trio, load_attributes, load_groove, load_pair
from surrogate.networks.windows import crossfade, cut_window, window_starts
from surrogate.options import BAND_DENSITY, METHODS, AccompanyOptions
from surrogate.result import Accompaniment, Candidate
from surrogate.song.hearing import Hearing, hear, notes_on

BATCH = 64  # bands decoded at a time
SONGS = 16  # read before anything is decoded, where there are many

Midi: TypeAlias = str | Path | pretty_midi.PrettyMIDI | Score


@dataclass(frozen=True, eq=False)
class _Plan:
    """A song between its latents and its bands.

    Attributes:
        hearing: what was heard of it.
        starts: (windows,) segments at which they begin.
        mean: (windows, z_size), the likeliest latents.
        embeddings: (candidates, segments, size) for the decoder.
        likeliest: (1, segments, size), of the mean.
        covered: (segments,) bool, where a window has an embedding.
    """

    hearing: Hearing
    starts: list[int]
    mean: Tensor
    embeddings: Tensor
    likeliest: Tensor
    covered: np.ndarray


class Accompanist:
    """A MusicVAE with its surrogate encoder, to be used on any number of songs.

    Args:
        musicvae: of trios.
        surrogate: of it; None: there is none, and only the method "refine-only" will do.
        attributes: directions in its latent space, for the option of that name.
        groove: a GrooVAE that plays the drums' hits; None: they are played by a profile.

    Raises:
        CheckpointError: the two do not belong together, or the MusicVAE plays no trios.
    """

    def __init__(
        self,
        musicvae: MusicVAE,
        surrogate: Surrogate | None = None,
        attributes: AttributeVectors | None = None,
        groove: MusicVAE | None = None,
    ) -> None:
        check_trio(musicvae)
        if surrogate is not None:
            check_pair(musicvae, surrogate)
        self.musicvae = musicvae
        self.surrogate = surrogate
        self.attributes = attributes
        self.groove = groove

    @classmethod
    def from_pretrained(
        cls,
        musicvae: str | Path | None = None,
        surrogate: str | Path | None = None,
        device: str = "auto",
        method: str = METHODS[0],
        groove: str | Path | None = None,
        dtype: str = FLOAT32,
    ) -> Accompanist:
        """Load checkpoint folders; None stands for the pair that ships with the package. Attribute
        vectors are loaded too, if they are beside the MusicVAE.

        Args:
            musicvae, surrogate: of the pair.
            device: "auto" is CUDA where there is one.
            method: with "refine-only" no surrogate is loaded.
            groove: of a GrooVAE; None: none.
            dtype: precision of the pair's products; see :meth:`MusicVAE.multiply_in`.

        Raises:
            CheckpointError: a folder cannot be read, or the two do not belong together.
            ValueError: there is no such device or method, or no such precision there.
        """
        AccompanyOptions(method=method)
        place = pick_device(device)
        pair = load_pair(musicvae, surrogate, place, alone=method == "refine-only", dtype=dtype)
        drummer = None if groove is None else load_groove(groove, place)
        return cls(*pair, load_attributes(musicvae), drummer)

    def accompany(self, midi: Midi, options: AccompanyOptions | None = None) -> Accompaniment:
        """Make the missing parts of a song.

        Args:
            midi: a path, or MIDI in memory (which stays as it is).
            options: see :class:`AccompanyOptions`.

        Raises:
            MidiError: the file cannot be read, lacks a given part, or is too long.
            ValueError: an option does not go with this model or this song.
        """
        (result,) = self.accompany_many([midi], options)
        if isinstance(result, MidiError):
            raise result
        return result

    def accompany_many(
        self, songs: Iterable[Midi], options: AccompanyOptions | None = None
    ) -> Iterator[Accompaniment | MidiError]:
        """Make the missing parts of many songs, several at a time.

        Args:
            songs: as for :meth:`accompany`.
            options: for all of them.

        Yields:
            For each song, in order, what became of it, or why nothing did.

        Raises:
            ValueError: an option does not go with this model.
        """
        options = options or AccompanyOptions()
        check_method(self.surrogate, options)
        if options.moves and self.attributes is None:
            raise ValueError(
                f"{', '.join(options.moves)}: there are no attribute vectors beside this MusicVAE; "
                "learn them with learn-attributes"
            )
        if options.chords is not None:
            read(options.chords, bars=1)  # whether they are any, before the work
        batch: list[Hearing | MidiError] = []
        for song in songs:
            try:
                score = song if isinstance(song, Score) else read_score(song)
                batch.append(hear(divisible(score), options))
            except MidiError as error:
                batch.append(error)
            if len(batch) == SONGS:
                yield from self._play(batch, options)
                batch = []
        yield from self._play(batch, options)

    @torch.no_grad()
    def _play(
        self, songs: Sequence[Hearing | MidiError], options: AccompanyOptions
    ) -> Iterator[Accompaniment | MidiError]:
        heard = [song for song in songs if isinstance(song, Hearing)]
        played = iter(self._bands(self._plans(heard, options), options))
        for song in songs:
            if isinstance(song, MidiError):
                yield song
                continue
            plan, tokens = next(played)
            try:
                yield self._result(plan, tokens, options)
            except MidiError as error:
                yield error

    def _plans(self, songs: Sequence[Hearing], options: AccompanyOptions) -> list[_Plan]:
        """The latents of all windows of some songs, found together, and what becomes of them."""
        size = self.musicvae.config.max_seq_len
        starts = [self._window_starts(song) for song in songs]
        windows = [
            cut_window(song.tokens, start * self._segment_steps, size)
            for song, own in zip(songs, starts, strict=True)
            for start in own
        ]
        if not windows:
            return []
        found = find_latents(self.musicvae, self.surrogate, np.stack(windows), options)
        counts = [len(own) for own in starts]
        latents = map(Latents, *(values.split(counts) for values in found))
        return [self._plan(*song, options) for song in zip(songs, starts, latents, strict=True)]

    def _window_starts(self, song: Hearing) -> list[int]:
        """Segments at which windows begin; those in which nothing is given are left out."""
        segments = self.musicvae.decoder.segments
        starts = window_starts(self._segments(song), segments, max(segments // 2, 1))
        plays = np.repeat(song.plays, STEPS_PER_BAR)
        size = self._segment_steps
        return [s for s in starts if plays[s * size : (s + segments) * size].any()]

    def _segments(self, song: Hearing) -> int:
        return -(-len(song.tokens) // self._segment_steps)

    @property
    def _segment_steps(self) -> int:
        """Steps that have an embedding in common: a bar of a hierarchical decoder, a window of a
        flat one."""
        return self.musicvae.config.max_seq_len // self.musicvae.decoder.segments

    def _plan(
        self,
        song: Hearing,
        starts: list[int],
        latents: Latents,
        options: AccompanyOptions,
    ) -> _Plan:
        mean, stddev = latents
        if self.attributes is not None:
            mean = self.attributes.move(mean, self._moves(options))
        styles = np.stack(
            [style(options.seed, n, mean.shape[1]) for n in range(options.candidates)]
        )
        deviation = options.variety * torch.from_numpy(styles).to(mean)[:, None] * stddev
        z = torch.cat([mean[None], mean + deviation])  # (1 + candidates, windows, z_size)
        embeddings = self.musicvae.embed(z.flatten(0, 1)).unflatten(0, z.shape[:2])
        faded = [crossfade(window, starts, self._segments(song)) for window in embeddings]
        rows = torch.stack([row for row, _ in faded])
        covered = faded[0][1].cpu().numpy()
        return _Plan(song, starts, mean, rows[1:], rows[:1], covered)

    def _moves(self, options: AccompanyOptions) -> dict[str, float]:
        """How far to move latents along attribute vectors."""
        moves = dict(options.moves)
        if self.surrogate is not None and self.surrogate.config.lift:
            moves[BAND_DENSITY] = moves.get(BAND_DENSITY, 0.0) + self.surrogate.config.lift
        return moves

    def _bands(
        self, plans: Sequence[_Plan], options: AccompanyOptions
    ) -> Iterator[tuple[_Plan, np.ndarray]]:
        """Each song with the tokens (candidates, steps, parts) that are played for it."""
        made = [PARTS.index(part) for part in options.made]
        per_batch = max(BATCH // options.candidates, 1)
        # Songs are as long as the longest of their batch: what is past the end does not count.
        by_length = sorted(range(len(plans)), key=lambda index: plans[index].embeddings.shape[1])
        played: dict[int, np.ndarray] = {}
        for first in range(0, len(plans), per_batch):
            batch = by_length[first : first + per_batch]
            bands = self._perform([plans[index] for index in batch], options, made)
            for index, band in zip(batch, bands, strict=True):
                heard = plans[index].hearing.tokens
                tokens = np.repeat(heard[None], options.candidates, axis=0)
                tokens[..., made] = band[:, : tokens.shape[1]]
                played[index] = tokens
        for index, plan in enumerate(plans):
            yield plan, played.pop(index)

    def _perform(
        self, plans: Sequence[_Plan], options: AccompanyOptions, made: list[int]
    ) -> np.ndarray:
        """(songs, candidates, steps of the longest song, made parts) classes."""
        longest = max(plan.embeddings.shape[1] for plan in plans)
        steps = longest * self._segment_steps
        embeddings = torch.cat([_lengthen(plan.embeddings, longest) for plan in plans])
        places = np.stack([chance(options.seed, n, steps) for n in range(options.candidates)])
        every = torch.from_numpy(np.concatenate([places] * len(plans))).to(embeddings.device)
        played = self.musicvae.perform(embeddings, options.temperatures, every, made)
        return played.cpu().numpy().reshape(len(plans), options.candidates, steps, len(made))

    def _result(self, plan: _Plan, tokens: np.ndarray, options: AccompanyOptions) -> Accompaniment:
        song = plan.hearing
        likelihoods = self._log_likelihoods(plan, tokens, options)
        order = rank(likelihoods.sum(-1), tokens)
        _silence(tokens, np.repeat(~plan.covered, self._segment_steps)[: tokens.shape[1]], options)
        arranger = Arranger.of(song, options, self.groove)
        candidates = []
        remarks: dict[str, None] = {}
        for number in order:
            band = arranger.arrange(part_notes(tokens[number]), number)
            candidates.append(
                Candidate(
                    number,
                    band.score,
                    band.new,
                    tokens[number],
                    likelihoods[number],
                    band.left,
                    band.staying,
                    band.stay_in,
                )
            )
            remarks |= dict.fromkeys(band.remarks)
        starts = np.array(plan.starts) * self._segment_steps // STEPS_PER_BAR
        return Accompaniment(
            song.timing.source,
            song.melody,
            song.roles,
            arranger.kept,
            tuple(candidates),
            plan.mean.cpu().numpy(),
            starts,
            options,
            (*notes_on(song, options.skip), *remarks),
        )

    def _log_likelihoods(
        self, plan: _Plan, tokens: np.ndarray, options: AccompanyOptions
    ) -> np.ndarray:
        """(candidates, bars) of the made parts, in nats, under the likeliest latents."""
        made = [PARTS.index(part) for part in options.made]
        length = plan.likeliest.shape[1] * self._segment_steps
        unplayed = length - tokens.shape[1]
        classes = np.pad(tokens, ((0, 0), (0, unplayed), (0, 0)), constant_values=-1)
        # One by one: a step's logits are many.
        losses = torch.cat(
            [
                self.musicvae.performance_losses(plan.likeliest, own[None], made)
                for own in torch.from_numpy(classes).to(plan.likeliest.device)
            ]
        )
        nats = -losses.sum(-1)[:, : tokens.shape[1]].unflatten(1, (-1, STEPS_PER_BAR)).sum(-1)
        heard = np.repeat(plan.covered, self._segment_steps)[: tokens.shape[1]]
        return nats.cpu().numpy() * heard[::STEPS_PER_BAR]


def accompany(
    midi: Midi,
    *,
    musicvae: str | Path | None = None,
    surrogate: str | Path | None = None,
    device: str = "auto",
    dtype: str = FLOAT32,
    **options: Any,
) -> pretty_midi.PrettyMIDI:
    """Give a melody a band, in one call.

    Args:
        midi: a path, or MIDI in memory (which stays as it is).
        musicvae, surrogate: checkpoint folders; None: the pair that ships with the package.
        device: of the networks; "auto" is CUDA where there is one.
        dtype: precision of their products: "float32", "bfloat16" or "int8".
        options: the fields of :class:`AccompanyOptions`, such as seed=3 or melody="Flute".

    Returns:
        The song with its new parts. (``Accompanist.accompany`` gives more, and a file that keeps
        markers and text, for which pretty_midi has no place.)

    Raises:
        MidiError: the file cannot be read, lacks a given part, or is too long.
        CheckpointError: a checkpoint cannot be read, or the two do not belong together.
        ValueError, TypeError: an option is out of range, or unknown.
    """
    chosen = AccompanyOptions(**options)
    pair = Accompanist.from_pretrained(musicvae, surrogate, device, chosen.method, dtype=dtype)
    return pair.accompany(midi, chosen).midi


def _silence(tokens: np.ndarray, silent: np.ndarray, options: AccompanyOptions) -> None:
    """Let the made parts of tokens (candidates, steps, parts) rest at silent steps (steps,)."""
    begins = silent & ~np.append(False, silent[:-1])
    for part in options.made:
        tokens[:, silent, PARTS.index(part)] = NO_EVENT
        if part != "drums":
            tokens[:, begins, PARTS.index(part)] = NOTE_OFF


def _lengthen(embeddings: Tensor, length: int) -> Tensor:
    """(candidates, segments, size) → (candidates, length, size), with zeros at the end."""
    return torch.nn.functional.pad(embeddings, (0, 0, 0, length - embeddings.shape[1]))
