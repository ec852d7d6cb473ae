"""Several bands for one song: what makes them differ, and in which order to offer them."""

from __future__ import annotations

import numpy as np

from musicvae_torch.midi.vocabulary import PARTS

LIKENESS_SHARE = 0.5  # of likeness to all others beside diversity, in the ranking


def uniform_noise(seed: int, candidate: int, steps: int) -> np.ndarray:
    """(steps, parts) float32 of [0, 1): the quantile at which each token of a candidate is drawn.

    The same for any device, any number of candidates, and for the beginning of a longer song.
    """
    generator = np.random.default_rng([seed % 2**64, candidate])
    return generator.random((steps, len(PARTS)), np.float32)


def latent_offsets(seed: int, candidates: int, size: int) -> np.ndarray:
    """(candidates, size) float32: how each candidate's latents deviate, alike in all windows. Zeros
    for the first, standard normal for others."""
    offsets = np.zeros((candidates, size), np.float32)
    for candidate in range(1, candidates):
        generator = np.random.default_rng([seed % 2**64, candidate, 1])
        offsets[candidate] = generator.standard_normal(size, np.float32)
    return offsets


def rank(tokens: np.ndarray) -> list[int]:
    """Candidates in the order in which to offer them.

    The first is the one that differs least from all others on the average, and of two the one with
    the lower index. As candidates are samples of what the model expects, it is the one for which
    the least difference from the real part is to be expected. (Minimum Bayes risk, Kumar and Byrne
    2004; for samples, Eikema and Aziz 2022.) The next is always the one with the highest mean of
    its likeness to the others, scaled from 0 for the least to 1, and its :func:`difference` from
    the most similar of those before it. (Maximal marginal relevance, Carbonell and Goldstein 1998.)

    Args:
        tokens: (candidates, steps, parts) classes; those of given parts are all the same.
    """
    apart = np.stack([difference(tokens, own) for own in tokens])
    unlike = apart.mean(1)
    spread = float(np.ptp(unlike))
    merit = (unlike.max() - unlike) / spread if spread else np.zeros(len(unlike))
    order = [int(np.argmax(merit))]
    nearest = apart[order[0]]
    while len(order) < len(tokens):
        scores = LIKENESS_SHARE * merit + (1 - LIKENESS_SHARE) * nearest
        scores[order] = -np.inf
        order.append(int(np.argmax(scores)))
        nearest = np.minimum(nearest, apart[order[-1]])
    return order


def difference(tokens: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(candidates,) share, from 0 to 1, of events that differ between (candidates, steps, parts)
    and `other` (steps, parts): an event is a step at which either begins or ends a note."""
    events = (tokens != 0) | (other != 0)
    differ = (tokens != other).sum((1, 2))
    return np.asarray(differ / np.maximum(events.sum((1, 2)), 1))
