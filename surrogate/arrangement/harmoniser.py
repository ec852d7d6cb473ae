"""Chords for a melody alone: a conditional random field over half bars, learnt from songs.

For each half bar and each possible root, a small network reads which pitch classes the melody
plays, counted from that root: in the half bar beat by beat, in its neighbours, in the bars around
it and in the whole song. It gives a score to each kind of triad on that root. Scores of chord
changes, which depend on the kinds, on the interval between the roots and on whether there is a bar
line, are added. Each half bar gets the triad with the greatest marginal probability (forward and
backward sums), with which the most half bars are right on average; the likeliest sequence as a
whole changes its chords less often than songs do. As roots are treated alike, a transposed melody
has transposed chords.

``harmoniser.safetensors`` holds the weights. ``benchmarks/harmoniser.py`` trains and measures them:
the chords to be learnt are those that note-seq's hidden Markov model infers from all parts of a
song, and only the melody is heard. docs/harmony.md has the figures. Conditional random fields are
by Lafferty, McCallum and Pereira (ICML 2001).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from musicvae_torch.chords.symbols import NO_CHORD, ROOTS, TRIADS
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR, STEPS_PER_QUARTER

WEIGHTS_FILE = Path(__file__).with_name("harmoniser.safetensors")
FRAME = STEPS_PER_BAR // 2  # steps that share a chord
TONES = len(ROOTS)
STATES = len(TRIADS) * TONES  # a kind and a root: the chord classes but "no chord"
HISTOGRAMS = 9  # of pitch classes, for each frame
FLAGS = 7
_NEAR = 8  # frames to each side in the histogram of the bars around
_ROTATED = (np.arange(TONES)[:, None] + np.arange(TONES)) % TONES  # [root, interval above it]


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of the network, and scores of changes of chord.

    Attributes:
        layers: weight (out, in) and bias (out,) of each, with rectifiers between them; the last one
            has a score for each of TRIADS.
        changes: (2, triads, triads, 12) scores of a change at a bar line, or within a bar; of the
            kinds before and after, and of the semitones that the root goes up.
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    changes: np.ndarray


@cache
def weights() -> Weights:
    """The weights in the package."""
    stored = load_file(WEIGHTS_FILE)
    count = (len(stored) - 1) // 2
    layers = tuple((stored[f"{i}.weight"], stored[f"{i}.bias"]) for i in range(count))
    return Weights(layers, stored["changes"])


def harmonise(
    start_steps: np.ndarray,
    end_steps: np.ndarray,
    pitches: np.ndarray,
    bars: int,
    learnt: Weights | None = None,
) -> list[str]:
    """Find the likeliest triads of a melody.

    Args:
        start_steps, end_steps, pitches: (notes,) of the melody.
        bars: of the song, at least 1.
        learnt: weights; None: the package's.

    Returns:
        A chord symbol for each half bar; "N.C." before that in which the first note sounds.
    """
    sounding = sounding_classes(start_steps, end_steps, pitches, bars)
    heard = np.flatnonzero(sounding.any(1))
    frames = len(sounding) // FRAME
    if not len(heard):
        return [NO_CHORD] * frames
    first = int(heard[0]) // FRAME
    states = likeliest(*features(sounding), learnt or weights())
    names = [ROOTS[state % TONES] + TRIADS[state // TONES] for state in states.tolist()]
    return [NO_CHORD] * first + names[first:]


def sounding_classes(
    start_steps: np.ndarray, end_steps: np.ndarray, pitches: np.ndarray, bars: int
) -> np.ndarray:
    """(bars * 16, 12) of 0 and 1: the pitch classes that sound at each step."""
    steps = bars * STEPS_PER_BAR
    changes = np.zeros((steps + 1, TONES))
    np.add.at(changes, (np.clip(start_steps, 0, steps), pitches % TONES), 1)
    np.add.at(changes, (np.clip(end_steps, 0, steps), pitches % TONES), -1)
    sounding: np.ndarray = np.minimum(np.cumsum(changes, 0)[:-1], 1)
    return sounding


def features(sounding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the inputs of the network.

    Args:
        sounding: of :func:`sounding_classes`.

    Returns:
        (frames, 9, 12) float32 histograms of pitch classes: of both beats, of the first step, of
        the two frames before and the two after, of the bars around, of the song. And (frames, 7)
        flags: whether the frame begins within a bar; its bar's place in a pair and in a phrase of
        four; whether it, or all around it, is silent; whether it is in the song's first bar, or in
        the last.
    """
    cells = sounding.reshape(-1, FRAME, TONES)
    beats = cells.reshape(len(cells), 2, STEPS_PER_QUARTER, TONES).mean(2)
    whole = cells.mean(1)
    padded = np.pad(whole, ((2, 2), (0, 0)))
    weight = np.bartlett(2 * _NEAR + 3)[1:-1]
    near = np.stack([np.convolve(row, weight)[_NEAR:-_NEAR] for row in whole.T], 1)
    near /= np.maximum(near.sum(1, keepdims=True), 1e-6)
    song = np.broadcast_to(whole.sum(0) / max(whole.sum(), 1e-6), whole.shape)
    neighbours = (padded[:-4], padded[1:-3], padded[3:-1], padded[4:])
    histograms = np.stack([beats[:, 0], beats[:, 1], cells[:, 0], *neighbours, near, song], 1)
    frame = np.arange(len(whole))
    flags = np.stack(
        [
            frame % 2,
            frame // 2 % 2,
            frame // 4 % 2,
            whole.sum(1) == 0,
            frame < 2,
            frame >= len(whole) - 2,
            near.sum(1) == 0,
        ],
        1,
    )
    return histograms.astype(np.float32), flags.astype(np.float32)


def likeliest(histograms: np.ndarray, flags: np.ndarray, learnt: Weights) -> np.ndarray:
    """(frames,) int64 states, the kind's index in TRIADS times 12 plus the root; arguments are of
    :func:`features`."""
    scores = _chord_scores(histograms, flags, learnt).astype(np.float64)
    changes = _change_scores(learnt)[flags[:, 0].astype(int)]  # into each frame
    before, after = [scores[0]], [np.zeros(STATES)]
    for change, own in zip(changes[1:], scores[1:], strict=True):
        before.append(_log_sum(before[-1][:, None] + change, 0) + own)
    for change, own in zip(changes[:0:-1], scores[:0:-1], strict=True):
        after.append(_log_sum(change + own + after[-1], 1))
    best: np.ndarray = (np.array(before) + np.array(after[::-1])).argmax(1)
    return best


def _log_sum(values: np.ndarray, axis: int) -> np.ndarray:
    """The logarithm of the sum of exponentials."""
    most = values.max(axis, keepdims=True)
    total: np.ndarray = np.log(np.exp(values - most).sum(axis)) + most.squeeze(axis)
    return total


def _chord_scores(histograms: np.ndarray, flags: np.ndarray, learnt: Weights) -> np.ndarray:
    """(frames, STATES) scores of the chords."""
    rotated = np.moveaxis(histograms[:, :, _ROTATED], 2, 1)  # (frames, roots, histograms, 12)
    repeated = np.broadcast_to(flags[:, None], (len(flags), TONES, FLAGS))
    values = np.concatenate([rotated.reshape(len(flags), TONES, -1), repeated], 2)
    for index, (weight, bias) in enumerate(learnt.layers):
        values = (np.maximum(values, 0) if index else values) @ weight.T + bias
    return np.asarray(values.transpose(0, 2, 1).reshape(len(flags), STATES))


def _change_scores(learnt: Weights) -> np.ndarray:
    """(2, STATES, STATES) scores of changes, at a bar line or within a bar, from one state to
    another."""
    roots = np.arange(TONES)
    up = (roots[None] - roots[:, None]) % TONES
    scores = learnt.changes[:, :, :, up].transpose(0, 1, 3, 2, 4)
    return np.asarray(scores.reshape(2, STATES, STATES), np.float64)
