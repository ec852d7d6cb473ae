"""Encoding a song and decoding it again, with scores of what comes back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pretty_midi
import torch
from torch import Tensor

from musicvae_torch.io.markdown import markdown_table
from musicvae_torch.latent.encoded_song import EncodedSong, bar_range, encode_song, window_lengths
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.encoding import BATCH_SIZE, decode_tokens, model_batches
from musicvae_torch.windows.scores import row_counts
from musicvae_torch.windows.tensors import window_controls


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A song that was encoded and decoded again.

    Attributes:
        song: the encoded song.
        z: (windows, z_size) that were decoded.
        tokens: (windows, steps, parts) that came back.
        parts: names of the parts that are compared.
        nats: (windows,) negative log-likelihood of the song's own notes, given z.
        right: (windows, parts) share of the steps that came back as they were; of grooves, of the
            drums and steps that are rightly struck or not.
    """

    song: EncodedSong
    z: Tensor
    tokens: np.ndarray
    parts: tuple[str, ...]
    nats: np.ndarray
    right: np.ndarray

    @property
    def midi(self) -> pretty_midi.PrettyMIDI:
        """The decoded windows on the song's timeline."""
        return self.song.render_pieces(list(self.tokens))

    def __str__(self) -> str:
        """A Markdown table, a row for each window and one for their mean."""
        bits = self.song.kl.cpu().numpy() / np.log(2)
        steps = np.array([np.sum(one.window.length) for one in self.song.placed])
        columns = np.column_stack([bits, self.nats / steps, self.right])
        rows = [
            [bar_range(self.song.converter, one), ",".join(map(str, one.window.instruments))]
            for one in self.song.placed
        ]
        body = [
            [*words, f"{row[0]:.1f}", *(f"{value:.3f}" for value in row[1:])]
            for words, row in zip([*rows, ["mean", ""]], [*columns, columns.mean(0)], strict=True)
        ]
        return markdown_table(["bars", "tracks", "KL, bits", "nats a step", *self.parts], body)


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
        model: a MusicVAE of any config.
        midi: a file, a parsed file, or an encoded song.
        temperature: temperature of decoding; 0 takes the likeliest tokens.
        spread: 0 decodes the posterior's mean, 1 a sample of the posterior.
        seed: seed of the random draws.
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
    nats, shares = _scores(model, song, z, tokens)
    return Reconstruction(song, z, tokens, tuple(shares), nats, np.stack(list(shares.values()), 1))


@torch.no_grad()
def _scores(
    model: MusicVAE, song: EncodedSong, z: Tensor, tokens: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(windows,) reconstruction loss, and (windows,) accuracy of each part."""
    lengths = window_lengths([one.window for one in song.placed])
    batches = model_batches(model.config, song.tokens, lengths)
    decoded = model_batches(model.config, tokens)
    nats: list[Tensor] = []
    shares: defaultdict[str, list[Tensor]] = defaultdict(list)
    for own, batch, found in zip(torch.split(z, BATCH_SIZE), batches, decoded, strict=True):
        _, targets, counts, controls, *_ = batch.on(model.device)
        logits = model.teacher_force(own, targets, controls)
        nats.append(model.reconstruction_loss(logits, targets, counts))
        for name, (right, steps) in row_counts(model.config, found.targets, batch).items():
            kind, _, part = name.partition("_")
            if kind == "accuracy":
                shares[part].append((right / steps.clamp(min=1)).cpu())
    accuracies = {part: torch.cat(own).numpy() for part, own in shares.items()}
    return torch.cat(nats).cpu().numpy(), accuracies
