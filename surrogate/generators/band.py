"""Missing parts from a band network, conditioned on the given parts and on what it has played.

Given parts, chords, densities and a style → the listener → the player, step by step → new parts

The style is a latent of the MusicVAE: what the surrogate predicts of the whole song, or another
song's; and for each candidate but the first a sample of that.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from musicvae_torch.chords.symbols import chord_class
from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.errors import ChordError, OptionError
from musicvae_torch.io.checkpoint import shipped_checkpoint, weights_sha256
from musicvae_torch.io.hub import local_folder
from musicvae_torch.latent.encoded_song import encode_song
from musicvae_torch.midi.vocabulary import BASS_PROGRAMS, NO_EVENT, PARTS, STEPS_PER_BAR
from surrogate.arrangement.arrange import kept_tracks
from surrogate.arrangement.drum_fills import fill_log_odds
from surrogate.arrangement.harmony import song_harmony
from surrogate.band.model import HIDDEN, Band, Controls, styles_of
from surrogate.band.sampling import Sampled, Sampling, sample
from surrogate.encoder.candidates import latent_offsets
from surrogate.encoder.latents import Latents
from surrogate.encoder.loading import DEFAULT_MUSICVAE
from surrogate.generators.protocol import Generated
from surrogate.generators.trio import TrioGenerator
from surrogate.options import BAND, NO_STYLE, AccompanyOptions
from surrogate.song.context import SongContext

DEFAULT_BAND = "trio_16bar_small_band"
# Added to those of notes and hits. Chosen on validation songs, as those with which bands are about
# as busy as real ones.
LOG_ODDS = {"bass": 0.4, "drums": -0.1}
DENSITY = 0.5  # log-odds, for each 1 of the option
UNLIKE = 1.0  # log-odds that a redone part loses of playing what it played before
STEPS = 8192  # played at a time, of all candidates and songs; each takes 16 kB of memory


class BandGenerator:
    """Plays; see :class:`surrogate.generators.protocol.PartGenerator`.

    Args:
        band: in evaluation mode.
        styles: finds latents of songs, of the MusicVAE on whose latents the band was trained; None:
            bands play without a style.
    """

    def __init__(self, band: Band, styles: TrioGenerator | None = None) -> None:
        self.band, self.styles = band, styles
        self._style_of: tuple[Hashable, Latents] | None = None  # of the last file, as it was

    @torch.no_grad()
    def generate(
        self, songs: Sequence[SongContext], options: AccompanyOptions
    ) -> Iterator[Generated]:
        """Candidates of each song. Songs of one length are played together."""
        options = options.by(BAND)
        found = self.latents(songs, options)
        sampled: dict[int, Sampled] = {}
        for group in _of_one_length(songs, options.candidates):
            latents = [found[index][1] for index in group]
            together = self._sample([songs[index] for index in group], latents, options)
            for row, index in enumerate(group):
                rows = slice(row * options.candidates, (row + 1) * options.candidates)
                sampled[index] = Sampled(*(values[rows].cpu() for values in together))
        for index, (starts, own) in enumerate(found):
            tokens, costs = sampled.pop(index)
            made = costs[..., [PARTS.index(part) for part in options.made]]
            nats = made.sum(-1).reshape(len(costs), -1, STEPS_PER_BAR).sum(-1)
            yield Generated(
                tokens.numpy(),
                -nats.numpy(),
                np.zeros(tokens.shape[1], bool),
                own.mean.cpu().numpy(),
                np.array(starts, np.int64),
            )

    def _sample(
        self, songs: Sequence[SongContext], latents: Sequence[Latents], options: AccompanyOptions
    ) -> Sampled:
        """Candidate after candidate of each song, all of one length."""
        device, count = self.band.player.start.device, options.candidates
        given = torch.from_numpy(np.stack([song.tokens for song in songs]))
        given[torch.from_numpy(np.stack([song.hidden for song in songs]))] = HIDDEN
        chords = torch.stack([self._chords(song, options) for song in songs])
        # A song without input for the surrogate has no style, which is zeros.
        styles = torch.cat([self._style(own, options) for own in latents])
        assert options.top_p is not None and options.guidance is not None
        density = tuple(LOG_ODDS.get(part, 0.0) + options.density * DENSITY for part in PARTS)
        return sample(
            self.band,
            given.repeat_interleave(count, 0).to(device),
            Controls(chords.repeat_interleave(count, 0).to(device), style=styles.to(device)),
            seed=_redo_seed(options.seed) if options.redo else options.seed,
            numbers=list(range(count)) * len(songs),
            sampling=Sampling(options.temperatures, options.top_p, options.guidance, density),
            log_odds=_log_odds(songs, options),
        )

    def latents(
        self, songs: Sequence[SongContext], options: AccompanyOptions
    ) -> list[tuple[list[int], Latents]]:
        """For each song, the bars at which windows begin, and the latents of these, which are its
        style; a song without a style has no windows.

        Raises:
            MidiError: the file for the style cannot be read, or has no windows of trios.
            OptionError: there is a file for the style, and the network knows no styles.
        """
        styles, other = self.styles, options.style
        if other not in (None, NO_STYLE):
            latents = self.style_of(other)
            return [([], latents)] * len(songs)
        surrogate = None if styles is None else styles.surrogate
        inputs = () if surrogate is None else surrogate.input_parts
        if styles is None or other == NO_STYLE or not set(options.given) <= set(inputs):
            nothing = torch.zeros(0, self.band.config.style_size)
            return [([], Latents(nothing, nothing))] * len(songs)
        bars = styles.segment_steps // STEPS_PER_BAR
        found = styles.latents(songs, options)
        return [([start * bars for start in starts], latents) for starts, latents in found]

    @torch.no_grad()
    def style_of(self, path: str) -> Latents:
        """The latents of another song's windows; errors are those of :meth:`latents`."""
        if self.styles is None:
            raise OptionError(
                f"style {path}: the band network was not trained on this MusicVAE's latents, so it "
                "knows no styles"
            )
        file = path, Path(path).stat().st_mtime_ns if Path(path).exists() else None
        if self._style_of is None or self._style_of[0] != file:
            lead = frozenset(range(128)) - BASS_PROGRAMS  # on whatever instrument
            found = encode_song(self.styles.musicvae, path, melody_programs=lead).posterior
            self._style_of = file, Latents(found.mean, found.stddev)
        return self._style_of[1]

    def _style(self, latents: Latents, options: AccompanyOptions) -> Tensor:
        """(candidates, 1, style_size): one style for the song, moved along attribute vectors; zeros
        where there is none."""
        if not len(latents.mean):
            return torch.zeros(options.candidates, 1, self.band.config.style_size)
        mean, stddev = (values.mean(0) for values in latents)
        if self.styles is not None and self.styles.attributes is not None and options.moves:
            mean = self.styles.attributes.move(mean[None], options.moves)[0]
        offsets = latent_offsets(options.seed, options.candidates, len(mean))
        return (mean + options.variety * torch.from_numpy(offsets).to(mean) * stddev)[:, None]

    def _chords(self, song: SongContext, options: AccompanyOptions) -> Tensor:
        """(steps,) classes of the song's chords."""
        harmony = song_harmony(song, kept_tracks(song.roles, options), options.chords)
        names = harmony.names_at(np.arange(len(song.tokens)))
        classes = {name: _class(name) for name in set(names.tolist())}
        return torch.tensor([classes[name] for name in names.tolist()])


def _of_one_length(songs: Sequence[SongContext], candidates: int) -> Iterator[list[int]]:
    """Indices of songs of one length, as many as are sampled at a time."""
    by_length: dict[int, list[int]] = {}
    for index, song in enumerate(songs):
        by_length.setdefault(len(song.tokens), []).append(index)
    for steps, indices in by_length.items():
        most = max(STEPS // (steps * candidates), 1)
        for first in range(0, len(indices), most):
            yield indices[first : first + most]


def _log_odds(songs: Sequence[SongContext], options: AccompanyOptions) -> dict[str, Tensor]:
    """By part, (songs * candidates, steps, depth), what fills, and bars that are to change, add to
    the log-odds of classes."""
    added: dict[str, np.ndarray] = {}
    for part in options.made if options.redo else ():
        column = PARTS.index(part)
        added[part] = np.stack([_unlike(song, column) for song in songs])
    if options.fills:
        fills = np.stack([fill_log_odds(song, options.fills) for song in songs])
        added["drums"] = added.get("drums", 0) + fills
    return {
        part: torch.from_numpy(values).repeat_interleave(options.candidates, 0)
        for part, values in added.items()
    }


def _unlike(song: SongContext, column: int) -> np.ndarray:
    """(steps, depth) float32: what makes the notes that a part had in bars that are redone less
    likely to come again."""
    odds = np.zeros((len(song.tokens), DEPTHS[column]), np.float32)
    own = song.tokens[:, column]
    again = song.hidden[:, column] & (own > NO_EVENT)
    odds[again, own[again]] = -UNLIKE
    return odds


def _redo_seed(seed: int) -> int:
    """Another seed, so that bars that are redone with the seed of the band do not come again."""
    return int(np.random.SeedSequence([seed % 2**64, 1]).generate_state(1, np.uint64)[0])


def _class(name: str) -> int:
    """The chord's class; HIDDEN for one whose triad the network does not know, such as Csus."""
    try:
        return chord_class(name)
    except ChordError:
        return HIDDEN


def load_band(
    folder: str | Path | None, musicvae: str | Path | None, device: torch.device
) -> tuple[Band, bool]:
    """Load a band network; None stands for the one that ships.

    Args:
        musicvae: folder of the MusicVAE whose latents are the styles; None: the one that ships.

    Returns:
        The network, and whether it was trained on styles of that MusicVAE.

    Raises:
        CheckpointError: a folder cannot be read.
    """
    home = local_folder(folder or shipped_checkpoint(DEFAULT_BAND))
    band = Band.from_pretrained(home, device)
    trio = local_folder(musicvae or shipped_checkpoint(DEFAULT_MUSICVAE))
    return band, styles_of(home).get("sha256") == weights_sha256(trio)
