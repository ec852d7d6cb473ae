"""Made-up songs of trios, small networks for them, and a generator that remembers its options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pretty_midi
import torch

from musicvae_torch.config import get_config
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR
from musicvae_torch.model.vae import MusicVAE
from surrogate import (
    AccompanyOptions,
    SurrogateConfig,
    SurrogateEncoder,
)
from surrogate.generators.protocol import Generated
from surrogate.song.context import SongContext

STEP = 0.125  # seconds, at 120 quarters a minute


def small_vae() -> MusicVAE:
    torch.manual_seed(0)
    sizes = {"enc_rnn_size": (6,), "dec_rnn_size": (8,), "z_size": 4}
    return MusicVAE(get_config("hier-trio_16bar", **sizes)).eval()


def small_surrogate() -> SurrogateEncoder:
    config = SurrogateConfig(z_size=4, rnn_size=(6,), level_lengths=(16, 16))
    return SurrogateEncoder(config).eval()


def song(seed: int, bars: int = 33) -> pretty_midi.PrettyMIDI:
    """A melody on every beat, a bass on every half, kicks and hats."""
    rng = np.random.default_rng(seed)
    midi = pretty_midi.PrettyMIDI(initial_tempo=120)
    melody, bass = pretty_midi.Instrument(0), pretty_midi.Instrument(33)
    drums = pretty_midi.Instrument(0, is_drum=True)
    for beat in range(bars * 4):
        start = beat * 4 * STEP
        pitch = int(rng.choice([60, 62, 64, 65, 67]))
        melody.notes.append(pretty_midi.Note(80, pitch, start, start + 4 * STEP))
        drums.notes.append(pretty_midi.Note(80, 36 if beat % 2 else 42, start, start + STEP))
        if beat % 2 == 0:
            bass.notes.append(pretty_midi.Note(80, 36 + seed, start, start + 8 * STEP))
    midi.instruments = [melody, bass, drums]
    return midi


class Recorder:
    """A generator that remembers what was asked, and plays one low C a bar and a kick on beats."""

    def __init__(self) -> None:
        self.asked: list[AccompanyOptions] = []

    def generate(
        self, songs: Sequence[SongContext], options: AccompanyOptions
    ) -> Iterator[Generated]:
        for known in songs:
            self.asked.append(options)
            tokens = known.tokens[None].copy()
            tokens[:, ::STEPS_PER_BAR, 1] = 36 - 21 + 2
            tokens[:, ::4, 2] = 1
            silent = np.zeros(len(known.tokens), bool)
            nats, nothing = np.zeros((1, known.bars)), np.zeros((0, 0))
            yield Generated(tokens, nats, silent, nothing, np.zeros(0, np.int64))
