"""What needs no network to play drum hits: the baselines that a GrooVAE has to beat.

Of the kind that Gillick et al. (2019, section 5) compare with. Each learns from performances and
then gives velocities (0 to 1) and offsets (-1 to 1) for the hits of others.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from musicvae_torch.converters.groove import DRUMS
from musicvae_torch.evaluation.grooves import Performances
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR

PRIOR_HITS = 5  # of the mean velocity (or the median), beside the hits of a drum at a step


class Baseline(Protocol):
    """Plays hits."""

    def play(self, hits: np.ndarray) -> np.ndarray:
        """(windows, steps, 9) bool hits → (windows, steps, 27) tokens."""


class Quantised:
    """On the grid, every hit with the mean velocity."""

    def __init__(self, train: Performances) -> None:
        self.velocity = _velocities(train.tokens)[train.hits].mean()

    def play(self, hits: np.ndarray) -> np.ndarray:
        return _tokens(hits, np.full(hits.shape, self.velocity), np.zeros(hits.shape))


class DrumAndStep:
    """A normal distribution of velocity and offset for each drum and step of the bar.

    Args:
        train: what to learn from.
        seed: of the draws; None: the means are played.
    """

    def __init__(self, train: Performances, seed: int | None = None) -> None:
        self.seed = seed
        hits = train.hits.reshape(-1, STEPS_PER_BAR, DRUMS)
        counts = hits.sum(0)
        self.means, self.deviations = [], []
        for part in (_velocities(train.tokens), _offsets(train.tokens)):
            values = part.reshape(hits.shape)
            prior = values[hits].mean()
            mean = ((values * hits).sum(0) + PRIOR_HITS * prior) / (counts + PRIOR_HITS)
            square = (((values - mean) ** 2) * hits).sum(0) / np.maximum(counts, 1)
            self.means.append(mean)
            self.deviations.append(np.sqrt(square))

    def play(self, hits: np.ndarray) -> np.ndarray:
        steps = np.arange(hits.shape[1]) % STEPS_PER_BAR
        played = [np.broadcast_to(mean[steps], hits.shape) for mean in self.means]
        if self.seed is not None:
            rng = np.random.default_rng(self.seed)
            played = [
                mean + deviation[steps] * rng.standard_normal(hits.shape)
                for mean, deviation in zip(played, self.deviations, strict=True)
            ]
        return _tokens(hits, *played)


class MedianOfDrumAndStep:
    """The median velocity and offset of each drum and step of the bar: what has the least absolute
    error."""

    def __init__(self, train: Performances) -> None:
        hits = train.hits.reshape(-1, STEPS_PER_BAR, DRUMS)
        self.medians = []
        for part in (_velocities(train.tokens), _offsets(train.tokens)):
            values = part.reshape(hits.shape)
            medians = np.full(hits.shape[1:], np.median(values[hits]))
            prior = [medians[0, 0]] * PRIOR_HITS
            for cell in np.ndindex(medians.shape):
                own = values[:, *cell][hits[:, *cell]]
                medians[cell] = np.median([*own, *prior])
            self.medians.append(medians)

    def play(self, hits: np.ndarray) -> np.ndarray:
        steps = np.arange(hits.shape[1]) % STEPS_PER_BAR
        return _tokens(hits, *(np.broadcast_to(own[steps], hits.shape) for own in self.medians))


class NearestNeighbours:
    """The means (or medians) of the `count` training windows whose hits differ least, where they
    have the hit, and of its drum and step elsewhere."""

    def __init__(self, train: Performances, count: int, median: bool = False) -> None:
        self.train, self.count = train, count
        self.elsewhere = MedianOfDrumAndStep(train) if median else DrumAndStep(train)
        self.typical = np.nanmedian if median else np.nanmean

    def play(self, hits: np.ndarray) -> np.ndarray:
        played = self.elsewhere.play(hits)
        known = self.train.hits
        columns = known.reshape(len(known), -1).astype(np.float32)
        for window, own in enumerate(hits):
            row = own.reshape(-1).astype(np.float32)
            differing = columns.sum(1) - 2 * columns @ row
            nearest = np.argsort(differing, kind="stable")[: self.count]
            theirs = known[nearest]
            there = own & theirs.any(0)
            for part, values in ((1, _velocities), (2, _offsets)):
                struck = np.where(theirs, values(self.train.tokens[nearest]), np.nan)
                columns_of = slice(part * DRUMS, (part + 1) * DRUMS)
                played[window, :, columns_of][there] = self.typical(struck[:, there], axis=0)
        return played


def _tokens(hits: np.ndarray, velocities: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    parts = [hits, np.clip(velocities, 0, 1) * hits, np.clip(offsets, -1, 1) * hits]
    return np.concatenate([part.astype(np.float32) for part in parts], axis=-1)


def _velocities(tokens: np.ndarray) -> np.ndarray:
    return tokens[..., DRUMS : 2 * DRUMS]


def _offsets(tokens: np.ndarray) -> np.ndarray:
    return tokens[..., 2 * DRUMS :]
