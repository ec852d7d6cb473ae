"""Velocities and timing of drum hits on the grid, by a GrooVAE.

The models are those of Gillick et al., "Learning to Groove with Inverse Sequence Transformations"
(2019). No hit is added or left out.
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
    """Velocities and timing of hits.

    Attributes:
        velocities: (hits,) int64, 1 to 127.
        offsets: (hits,) by how much of a step each comes after the grid (before it, if negative),
            -0.5 to 0.5.
    """

    velocities: np.ndarray
    offsets: np.ndarray


def humanize_drums(model: MusicVAE, hits: Sequence[StepNote]) -> Touch:
    """Find velocities and timing of drum hits.

    The song is cut into windows as long as the model's (two bars, of Magenta's models), counted
    from the first bar; the last window ends with silence. A model of a "humanize" config encodes
    the hits of a window; one that has hits as controls plays in the style of its prior's mean. Both
    then decode the window with its hits given.

    Args:
        model: see :func:`surrogate.encoder.loading.check_groove_model`.
        hits: (start step, end step, pitch), steps from 0, in any order. Hits of other percussion
            than the nine drums (``vocabulary.DRUM_CLASSES``) are ignored by the model, and get
            OUTPUT_VELOCITY, on the grid.

    Raises:
        CheckpointError: the model is of another kind.
        ValueError: a hit begins before step 0.
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
    # Windows without hits are not decoded.
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
