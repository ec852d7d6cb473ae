"""What needs no network to add drums to what is given: the baselines of groove_hits.py.

Each learns from performances and then plays to the windows of others, of which it reads what the
config's encoder reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from measuring.groove_baselines import DrumAndStep
from musicvae_torch.converters.groove import DRUMS
from musicvae_torch.evaluation.grooves import Performances
from musicvae_torch.midi.vocabulary import (
    CLOSED_HI_HAT,
    OPEN_HI_HAT,
    STEPS_PER_BAR,
    STEPS_PER_QUARTER,
)

SMOOTHING = 1.0  # hits and rests that are added to those that are counted


class Player(Protocol):
    """Adds drums."""

    def play(self, inputs: np.ndarray) -> np.ndarray:
        """(windows, steps, 27) rows that the encoder reads → (windows, steps, 27) rows."""


class Eighths:
    """Closed hi-hats on all eighths, on the grid, with the mean velocity."""

    def __init__(self, train: Performances) -> None:
        hats = train.hits[..., CLOSED_HI_HAT]
        self.velocity = train.tokens[..., CLOSED_HI_HAT + DRUMS][hats].mean()

    def play(self, inputs: np.ndarray) -> np.ndarray:
        rows = np.zeros_like(inputs)
        eighths = slice(None, None, STEPS_PER_QUARTER // 2)
        rows[:, eighths, CLOSED_HI_HAT] = 1
        rows[:, eighths, CLOSED_HI_HAT + DRUMS] = self.velocity
        return rows


class Rates:
    """The hits that are likelier than not at the step of the bar, where something is given and
    where nothing is, with the mean velocity and timing of drum and step.

    Args:
        train: what to learn from.
        inputs: what the encoder reads of it.
        drums: indices of the drums that are played.
        as_tapped: whether hits have the timing of what is given at their step.
    """

    def __init__(
        self, train: Performances, inputs: np.ndarray, drums: Sequence[int], as_tapped: bool
    ) -> None:
        self.drums, self.as_tapped = list(drums), as_tapped
        self.touch = DrumAndStep(train)
        given = _is_given(inputs)
        hits = train.hits.reshape(-1, STEPS_PER_BAR, DRUMS)
        given = given.reshape(-1, STEPS_PER_BAR)
        self.rates = np.zeros((2, STEPS_PER_BAR, DRUMS))
        for kind in (0, 1):
            count = (given == kind).sum(0)[:, None]
            both = (hits & (given == kind)[..., None]).sum(0)
            self.rates[kind] = (both + SMOOTHING) / (count + 2 * SMOOTHING)

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """(windows, steps, 9) of hits."""
        steps = np.arange(inputs.shape[1]) % STEPS_PER_BAR
        return np.asarray(self.rates[_is_given(inputs).astype(int), steps])

    def play(self, inputs: np.ndarray) -> np.ndarray:
        hits = np.zeros((*inputs.shape[:-1], DRUMS), bool)
        hits[..., self.drums] = self.probabilities(inputs)[..., self.drums] > 0.5
        rows = self.touch.play(hits)
        return as_tapped(rows, inputs) if self.as_tapped else rows


class Neighbours:
    """What most of the `count` training windows play of which the encoder reads the most similar
    hits, with their mean velocity and timing.

    Args:
        train, inputs, drums, as_tapped: as of :class:`Rates`, whose hits are played at steps where
            something was tapped and they have none.
        count: of neighbours.
    """

    def __init__(
        self,
        train: Performances,
        inputs: np.ndarray,
        drums: Sequence[int],
        as_tapped: bool,
        count: int,
    ) -> None:
        self.train, self.drums, self.as_tapped, self.count = train, list(drums), as_tapped, count
        self.elsewhere = Rates(train, inputs, drums, as_tapped)
        self.columns = _hits(inputs).reshape(len(inputs), -1).astype(np.float32)

    def play(self, inputs: np.ndarray) -> np.ndarray:
        rows = np.zeros_like(inputs)
        sums = self.columns.sum(1)
        for window, own in enumerate(_hits(inputs)):
            differing = sums - 2 * self.columns @ own.reshape(-1).astype(np.float32)
            nearest = np.argsort(differing, kind="stable")[: self.count]
            theirs = self.train.hits[nearest]
            counts = theirs.sum(0)
            hits = np.zeros(counts.shape, bool)
            hits[:, self.drums] = counts[:, self.drums] > self.count / 2
            parts = [hits.astype(np.float32)]
            for part in (1, 2):
                values = self.train.tokens[nearest][..., part * DRUMS : (part + 1) * DRUMS]
                parts.append(hits * (values * theirs).sum(0) / np.maximum(counts, 1))
            rows[window] = np.concatenate(parts, axis=-1)
        if not self.as_tapped:
            return rows
        silent = ~(rows[..., :DRUMS] > 0).any(-1)
        rows[silent] = self.elsewhere.play(inputs)[silent]
        return as_tapped(rows, inputs)


def as_tapped(rows: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Rows whose hits are where something was tapped, with its timing."""
    tapped = _is_given(inputs)[..., None]
    rows = rows * tapped
    early = inputs[..., [OPEN_HI_HAT + 2 * DRUMS]]
    rows[..., 2 * DRUMS :] = (rows[..., :DRUMS] > 0) * early
    return rows


def _hits(inputs: np.ndarray) -> np.ndarray:
    return inputs[..., :DRUMS] > 0


def _is_given(inputs: np.ndarray) -> np.ndarray:
    """(windows, steps) bool: whether the encoder reads a hit."""
    return np.asarray(_hits(inputs).any(-1))
