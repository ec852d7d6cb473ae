"""Chords as controls of conditioned models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from musicvae_torch.chords.symbols import CHORD_DEPTH, chord_class, chord_controls
from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.converters.multitrack import MULTITRACK_RULES
from musicvae_torch.errors import ChordError, ConfigError
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR


def takes_chords(config: MusicVAEConfig) -> bool:
    """Whether a model of this config is conditioned on chords."""
    return config.control_depth == CHORD_DEPTH


def chords_of_window(config: MusicVAEConfig, chords: Sequence[Sequence[str]], steps: int) -> Tensor:
    """Chords as a model's controls.

    Args:
        config: of a model that is conditioned on chords.
        chords: of each bar; repeated until the music ends.
        steps: of the window, in sixteenths; not used for bars of several tracks.

    Returns:
        (steps, 49) of a melody; of bars of several tracks (bars, 512, 49), a window for each.

    Raises:
        ConfigError: the model is not conditioned on chords.
        ChordError: a chord has no triad, or a bar that takes one chord has several.
    """
    if not takes_chords(config):
        raise ConfigError(
            f"the model {config.name!r} is not conditioned on chords; those whose config "
            "ends in _chords are"
        )
    if config.base in MULTITRACK_RULES:
        return torch.stack([_of_bar(config, bar) for bar in chords])
    bars = -(-steps // STEPS_PER_BAR)
    timed = [
        (bar + beat / len(own), name)
        for bar in range(bars)
        for own in [chords[bar % len(chords)]]
        for beat, name in enumerate(own)
    ]
    return torch.from_numpy(chord_controls(timed, steps).astype(np.float32))


def _of_bar(config: MusicVAEConfig, names: Sequence[str]) -> Tensor:
    """(512, 49): the chord at every event, and "no chord" at the program that begins each track."""
    if len(set(names)) > 1:
        raise ChordError(f"{' '.join(names)!r}: the model {config.name!r} takes one chord a bar")
    rules = MULTITRACK_RULES[config.base]
    rows = torch.zeros(config.max_seq_len, CHORD_DEPTH)
    rows[:, chord_class(names[0])] = 1
    rows[:: rules.max_events] = 0
    rows[:: rules.max_events, 0] = 1
    return rows
