"""What comes back of a song that goes through the latent space."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pretty_midi
import torch
from torch import Tensor

from musicvae_torch.converters.groove import DRUMS
from musicvae_torch.converters.trio import PARTS, TrioConverter
from musicvae_torch.dataset.tensors import target_tensor, window_controls
from musicvae_torch.latent.songs import EncodedSong, bars_said, encode_song, window_lengths
from musicvae_torch.latent.space import BATCH, decode_tokens
from musicvae_torch.model.vae import MusicVAE


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A song that went through the latent space.

    Attributes:
        song: what was encoded.
        z: (windows, z_size) that were decoded.
        tokens: (windows, steps, parts) that came back.
        parts: names of what is compared.
        nats: (windows,) negative log-likelihood of the song's own notes, given z.
        right: (windows, parts) share of the steps that came back as they were; of grooves, of the
            hits alone.
    """

    song: EncodedSong
    z: Tensor
    tokens: np.ndarray
    parts: tuple[str, ...]
    nats: np.ndarray
    right: np.ndarray

    @property
    def midi(self) -> pretty_midi.PrettyMIDI:
        """What came back, on the song's timeline."""
        return self.song.lay(list(self.tokens))

    def __str__(self) -> str:
        """A Markdown table, a row for each window and one for their mean."""
        heads = ["bars", "tracks", "KL, bits", "nats a step", *self.parts]
        lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
        bits = self.song.kl.cpu().numpy() / np.log(2)
        steps = np.array([np.sum(one.window.length) for one in self.song.placed])
        columns = np.column_stack([bits, self.nats / steps, self.right])
        for one, row in zip(self.song.placed, columns, strict=True):
            tracks = ",".join(map(str, one.window.instruments))
            lines.append(_table_row([bars_said(self.song.converter, one), tracks], row))
        lines.append(_table_row(["mean", ""], columns.mean(0)))
        return "\n".join(lines)


def _table_row(words: Sequence[str], row: np.ndarray) -> str:
    numbers = [f"{row[0]:.1f}", f"{row[1]:.3f}", *(f"{value:.3f}" for value in row[2:])]
    return f"| {' | '.join([*words, *numbers])} |"


def reconstruct(
    model: MusicVAE,
    midi: str | Path | pretty_midi.PrettyMIDI | EncodedSong,
    *,
    temperature: float = 0.0,
    spread: float = 0.0,
    seed: int = 0,
    tracks: Collection[int] | None = None,
    melody_programs: Collection[int] | None = None,
) -> Reconstruction:
    """Encode a song of any length window by window, and decode it again.

    Args:
        model: any.
        midi: a file, what was parsed of one, or an encoded song.
        temperature: of decoding; 0: the likeliest.
        spread: 0 decodes the posterior's mean, 1 a sample of the posterior.
        seed: of what is drawn.
        tracks, melody_programs: as for :func:`encode_song`.

    Raises:
        MidiError, NoWindowError, ConfigError: as :func:`encode_song`.
        OptionError: temperature or spread out of range.
    """
    song = midi
    if not isinstance(song, EncodedSong):
        song = encode_song(model, song, tracks=tracks, melody_programs=melody_programs)
    z = song.draw(spread, seed)
    controls = window_controls(model.config, song.tokens)
    tokens = decode_tokens(model, z, temperature=temperature, controls=controls, seed=seed)
    parts, right = _share_right(model, song, tokens)
    return Reconstruction(song, z, tokens, parts, _nats(model, song, z, controls), right)


@torch.no_grad()
def _nats(model: MusicVAE, song: EncodedSong, z: Tensor, controls: Tensor | None) -> np.ndarray:
    nats = []
    for first in range(0, len(z), BATCH):
        rows = slice(first, first + BATCH)
        windows = [one.window for one in song.placed[rows]]
        targets = target_tensor(model.config, song.tokens[rows]).to(model.device)
        lengths = window_lengths(windows)
        counts = None if lengths is None else torch.from_numpy(lengths.astype(np.int64))
        logits = model.teacher_force(z[rows], targets, None if controls is None else controls[rows])
        nats.append(model.reconstruction_loss(logits, targets, counts).cpu().numpy())
    return np.concatenate(nats)


def _share_right(
    model: MusicVAE, song: EncodedSong, tokens: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of parts, and (windows, parts) share of steps that are as in the song."""
    own = song.tokens
    if model.config.output == "groove":
        same = ((own[..., :DRUMS] > 0.5) == (tokens[..., :DRUMS] > 0.5)).all(-1, keepdims=True)
        return ("hits",), same.mean(1)
    if isinstance(song.converter, TrioConverter):
        return PARTS, (own == tokens).mean(1)
    if model.config.output == "nade":
        return ("drums",), (own == tokens).all(-1, keepdims=True).mean(1)
    # Chords are given; events after a track's end do not count.
    same, counts = own[..., :1] == tokens[..., :1], own[..., :1] >= 0
    return ("events",), (same & counts).sum(1) / np.maximum(counts.sum(1), 1)
