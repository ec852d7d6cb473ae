"""Drum hits on the grid, played by a GrooVAE: how hard each is struck, and how early or late.

The models are those of Gillick et al., "Learning to Groove with Inverse Sequence Transformations"
(2019). Which hits there are stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from musicvae_torch.converters.drums import class_of_pitch
from musicvae_torch.converters.groove import DRUMS, MAX_VELOCITY
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, OUTPUT_VELOCITY
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.encoding import play_hits
from surrogate.arrangement.fill import StepNote
from surrogate.encoder.loading import check_groove_model


class Touch(NamedTuple):
    """How hits are played.

    Attributes:
        velocities: (hits,) int64, 1 to 127.
        offsets: (hits,) by how much of a step each comes after the grid (before it, if negative),
            -0.5 to 0.5.
    """

    velocities: np.ndarray
    offsets: np.ndarray


def humanize_drums(model: MusicVAE, hits: Sequence[StepNote]) -> Touch:
    """Velocities and timing of drum hits.

    The song is cut into windows as long as the model's (two bars, of Magenta's models), counted
    from the first bar; silence follows the last one's hits. A model of a "humanize" config encodes
    the hits of a window; one that has them as controls plays them in the style of its prior's
    mean. Both then go through the window with the hits as they are.

    Args:
        model: see :func:`surrogate.encoder.loading.check_groove_model`.
        hits: (start step, end step, pitch), steps from 0, in any order. Pitches of none of the
            nine drums (``vocabulary.DRUM_CLASSES``) are no input, and come at OUTPUT_VELOCITY,
            on the grid.

    Raises:
        CheckpointError: the model is of another kind.
        ValueError: a hit before step 0.
    """
    check_groove_model(model)
    starts, _, pitches = np.array(hits, np.int64).reshape(-1, 3).T
    if len(starts) and starts.min() < 0:
        raise ValueError(f"a hit begins at step {starts.min()}, before the first bar")
    size = model.config.max_seq_len
    drums = class_of_pitch(DRUM_CLASSES)[pitches]
    known = drums >= 0
    velocities = np.full(len(starts), OUTPUT_VELOCITY, np.int64)
    offsets = np.zeros(len(starts))
    # Windows without hits need no playing.
    windows, own = np.unique(starts[known] // size, return_inverse=True)
    rolls = np.zeros((len(windows), size, DRUMS), np.float32)
    indices = own, starts[known] % size, drums[known]
    rolls[indices] = 1
    if len(windows):
        _, loud, early = (
            part[indices].astype(np.float64) for part in np.split(play_hits(model, rolls), 3, -1)
        )
        velocities[known] = np.rint(loud * MAX_VELOCITY).clip(1, MAX_VELOCITY).astype(np.int64)
        offsets[known] = (-early / 2).clip(-0.5, 0.5)
    return Touch(velocities, offsets)
