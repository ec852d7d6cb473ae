"""Songs of any length → latents, window by window, and back onto the song's timeline."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pretty_midi
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from musicvae_torch.analysis.diagnosis import NoWindowError, why_no_window
from musicvae_torch.analysis.timeline import (
    Placed,
    cover,
    drum_song,
    lay,
    pieces_of,
    place_windows,
    timeline_of,
)
from musicvae_torch.converters.base import Converter, Window
from musicvae_torch.converters.groove import GrooveConverter
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.dataset.tensors import encoder_arguments
from musicvae_torch.errors import MidiError, OptionError
from musicvae_torch.latent.space import BATCH
from musicvae_torch.midi.fast import load_song
from musicvae_torch.model.vae import MusicVAE


@dataclass(frozen=True, eq=False)
class EncodedSong:
    """Windows of a song, and what the encoder makes of them.

    Attributes:
        name: of the file.
        converter: that found the windows.
        placed: the windows and where they lie.
        posterior: (windows, z_size) means and standard deviations.
        timeline: the song itself.
        left_out: drum notes of no drum that a groove knows.
    """

    name: str
    converter: Converter
    placed: tuple[Placed, ...]
    posterior: Normal
    timeline: pretty_midi.PrettyMIDI
    left_out: int = 0

    @property
    def mean(self) -> Tensor:
        """(windows, z_size), the posterior's means."""
        return self.posterior.mean

    @property
    def tokens(self) -> np.ndarray:
        """(windows, steps, parts)"""
        return np.stack([one.window.tokens for one in self.placed])

    @property
    def kl(self) -> Tensor:
        """(windows,) divergence of the posterior from the prior, in nats."""
        prior = Normal(torch.zeros_like(self.mean), torch.ones_like(self.mean))
        return kl_divergence(self.posterior, prior).sum(-1)

    def draw(self, spread: float, seed: int) -> Tensor:
        """(windows, z_size) of the posterior, its standard deviations times `spread`; 0: its
        means."""
        if not spread >= 0:
            raise OptionError(f"spread must be 0 or more, not {spread}")
        noise = torch.randn(self.mean.shape, generator=torch.Generator().manual_seed(seed))
        return self.mean + spread * self.posterior.stddev * noise.to(self.mean)

    def lay(self, tokens: Sequence[np.ndarray]) -> pretty_midi.PrettyMIDI:
        """What was made of its windows, where these were, at the song's tempos and metres."""
        base = replace_tracks(self.timeline, [])
        return lay(self.converter, pieces_of(self.placed, tokens, self.timeline), base)


def replace_tracks(
    midi: pretty_midi.PrettyMIDI, tracks: Sequence[pretty_midi.Instrument]
) -> pretty_midi.PrettyMIDI:
    """A song with other tracks, and without its texts if they are none."""
    base = timeline_of(midi)
    base.instruments = list(tracks)
    if not tracks:
        base.lyrics, base.text_events = [], []
    return base


def song_converter(model: MusicVAE, melody_programs: Collection[int] | None = None) -> Converter:
    """The converter that finds all windows of a whole song, on any drum kit."""
    return get_converter(model.config, "infer", 0, melody_programs=melody_programs, complete=True)


def find_windows(
    converter: Converter,
    midi: str | Path | pretty_midi.PrettyMIDI,
    *,
    tracks: Collection[int] | None = None,
) -> tuple[list[Placed], int]:
    """All windows of a song, and how many drum notes a groove leaves out.

    Args:
        converter: of a model, such as :func:`song_converter` gives.
        midi: the song.
        tracks: take only windows of none but these tracks.

    Raises:
        MidiError: the file cannot be read.
        NoWindowError: there is no window; says why and what to do.
    """
    name = str(midi) if isinstance(midi, str | Path) else "the song"
    song, left_out = load_song(midi), 0
    if isinstance(converter, GrooveConverter):
        song, left_out = drum_song(song, converter)
    try:
        placed = place_windows(converter, song)
    except MidiError as error:
        raise MidiError(f"{name}: {error}") from None
    if not placed:
        raise NoWindowError(f"{name}: {why_no_window(converter, song)}")
    wanted = [one for one in placed if tracks is None or set(one.window.instruments) <= set(tracks)]
    if not wanted:
        found = sorted({one.window.instruments for one in placed})
        said = "; ".join(",".join(map(str, own)) for own in found[:8])
        raise NoWindowError(f"{name}: no window of those tracks; there are windows of: {said}")
    return wanted, left_out


def encode_song(
    model: MusicVAE,
    midi: str | Path | pretty_midi.PrettyMIDI,
    *,
    every_window: bool = False,
    tracks: Collection[int] | None = None,
    melody_programs: Collection[int] | None = None,
) -> EncodedSong:
    """Encode a song of any length, window by window.

    Args:
        model: any.
        midi: a file, or what was parsed of one.
        every_window: all windows, a bar apart; else those that cover the song once.
        tracks: take only windows of none but these tracks.
        melody_programs: as for :func:`get_converter`.

    Raises:
        MidiError: the file cannot be read.
        NoWindowError: there is no window; says why and what to do.
        ConfigError: melody programs are given, but the config has no melody.
    """
    converter = song_converter(model, melody_programs)
    found, left_out = find_windows(converter, midi, tracks=tracks)
    placed = tuple(found if every_window else cover(converter, found))
    name = str(midi) if isinstance(midi, str | Path) else "the song"
    return EncodedSong(
        name, converter, placed, encode_placed(model, placed), timeline_of(midi), left_out
    )


def encode_placed(model: MusicVAE, placed: Sequence[Placed]) -> Normal:
    """The posterior of windows, (windows, z_size)."""
    windows = [one.window for one in placed]
    return encode_tokens(model, np.stack([one.tokens for one in windows]), window_lengths(windows))


@torch.no_grad()
def encode_tokens(model: MusicVAE, tokens: np.ndarray, lengths: np.ndarray | None) -> Normal:
    """The posterior of windows.

    Args:
        model: any.
        tokens: (windows, steps, parts) of the config's converter.
        lengths: (windows, segments) steps that count, of multitrack bars; None: all.

    Returns:
        Means and standard deviations, (windows, z_size), on the model's device.
    """
    means, stddevs = [], []
    for first in range(0, len(tokens), BATCH):
        rows = slice(first, first + BATCH)
        own = None if lengths is None else lengths[rows]
        given = encoder_arguments(model.config, tokens[rows], own)
        inputs, counts, controls = (None if one is None else one.to(model.device) for one in given)
        assert inputs is not None
        posterior = model.encode(inputs, counts, controls)
        means.append(posterior.mean)
        stddevs.append(posterior.stddev)
    return Normal(torch.cat(means), torch.cat(stddevs))


def window_lengths(windows: Sequence[Window]) -> np.ndarray | None:
    """(windows, segments) steps that count, of multitrack bars; None: all."""
    lengths = [one.length for one in windows if not isinstance(one.length, int)]
    return np.stack(lengths) if lengths else None


def bars_said(converter: Converter, one: Placed) -> str:
    """The bars of a window that count, from 1."""
    first, last = one.bar + one.skip + 1, one.bar + converter.window_bars
    return str(first) if first == last else f"{first}-{last}"
