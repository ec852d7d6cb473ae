"""Encoding songs of any length window by window, and rendering windows on the song's timeline."""

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
    PlacedWindow,
    drum_song,
    pieces_of,
    place_windows,
    render_pieces,
    tile,
    timeline_of,
)
from musicvae_torch.converters.base import Converter, Window
from musicvae_torch.converters.groove import GrooveConverter
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.errors import MidiError, OptionError
from musicvae_torch.midi.fast import load_song
from musicvae_torch.midi.notes import Song
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.encoding import encode_tokens


@dataclass(frozen=True, eq=False)
class EncodedSong:
    """Windows of a song and their posterior.

    Attributes:
        name: name of the file.
        converter: the converter that found the windows.
        placed: the windows and their places.
        posterior: (windows, z_size) means and standard deviations.
        timeline: the song itself.
        left_out: number of drum notes that are left out, because the groove has no such drum.
    """

    name: str
    converter: Converter
    placed: tuple[PlacedWindow, ...]
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
        """Draw from the posterior, its standard deviations times `spread`: (windows, z_size)."""
        if not spread >= 0:
            raise OptionError(f"spread must be 0 or more, not {spread}")
        noise = torch.randn(self.mean.shape, generator=torch.Generator().manual_seed(seed))
        return self.mean + spread * self.posterior.stddev * noise.to(self.mean)

    def render_pieces(self, tokens: Sequence[np.ndarray]) -> pretty_midi.PrettyMIDI:
        """Tokens for each of its windows → MIDI, at the windows' places, with the song's tempos and
        metres."""
        base = timeline_of(self.timeline)
        base.instruments, base.lyrics, base.text_events = [], [], []
        return render_pieces(self.converter, pieces_of(self.placed, tokens, self.timeline), base)


def song_converter(model: MusicVAE, melody_programs: Collection[int] | None = None) -> Converter:
    """The converter that finds all windows of a whole song, on any drum kit."""
    return get_converter(model.config, "infer", 0, melody_programs=melody_programs, complete=True)


def find_windows(
    converter: Converter,
    midi: str | Path | pretty_midi.PrettyMIDI,
    *,
    tracks: Collection[int] | None = None,
) -> tuple[list[PlacedWindow], int]:
    """All windows of a song, and the number of drum notes that a groove leaves out.

    Args:
        converter: of a model, such as :func:`song_converter` gives.
        midi: the song.
        tracks: take only windows of these tracks alone.

    Raises:
        MidiError: the file cannot be read.
        NoWindowError: there is no window; says why and what to do.
    """
    name, song, left_out = _name(midi), load_song(midi), 0
    if isinstance(converter, GrooveConverter):
        song, left_out = drum_song(song, converter)
    placed = windows_of(converter, song, name)
    wanted = [one for one in placed if tracks is None or set(one.window.instruments) <= set(tracks)]
    if not wanted:
        found = sorted({one.window.instruments for one in placed})
        listed = "; ".join(",".join(map(str, own)) for own in found[:8])
        raise NoWindowError(f"{name}: no window of those tracks; there are windows of: {listed}")
    return wanted, left_out


def _name(midi: str | Path | pretty_midi.PrettyMIDI) -> str:
    return str(midi) if isinstance(midi, str | Path) else "the song"


def windows_of(converter: Converter, song: Song, name: str) -> list[PlacedWindow]:
    """All windows of a song; `name` is for messages.

    Raises:
        MidiError, NoWindowError: as :func:`find_windows`.
    """
    try:
        placed = place_windows(converter, song)
    except MidiError as error:
        raise MidiError(f"{name}: {error}") from None
    if not placed:
        raise NoWindowError(f"{name}: {why_no_window(converter, song)}")
    return placed


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
        tracks: take only windows of these tracks alone.
        melody_programs: as for :func:`get_converter`.

    Raises:
        MidiError: the file cannot be read.
        NoWindowError: there is no window; says why and what to do.
        ConfigError: melody programs are given, but the config has no melody.
    """
    converter = song_converter(model, melody_programs)
    found, left_out = find_windows(converter, midi, tracks=tracks)
    placed = tuple(found if every_window else tile(converter, found))
    posterior = encode_placed(model, placed)
    return EncodedSong(_name(midi), converter, placed, posterior, timeline_of(midi), left_out)


def encode_placed(model: MusicVAE, placed: Sequence[PlacedWindow]) -> Normal:
    """The posterior of windows, (windows, z_size)."""
    windows = [one.window for one in placed]
    return encode_tokens(model, np.stack([one.tokens for one in windows]), window_lengths(windows))


def window_lengths(windows: Sequence[Window]) -> np.ndarray | None:
    """(windows, segments) steps that count, of multitrack bars; None: all."""
    lengths = [one.length for one in windows if not isinstance(one.length, int)]
    return np.stack(lengths) if lengths else None


def bar_range(converter: Converter, one: PlacedWindow) -> str:
    """The bars of a window that count, as in "1-16"; the song's first bar is 1."""
    first, last = one.bar + one.skip + 1, one.bar + converter.window_bars
    return str(first) if first == last else f"{first}-{last}"
