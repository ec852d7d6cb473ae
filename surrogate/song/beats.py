"""Beats on which notes lie, where they do not follow those of their file.

Beats are tracked by dynamic programming (Ellis, "Beat Tracking by Dynamic Programming", JNMR 36,
2007) with the period as a part of the state, as in bar pointer models (Krebs et al., ISMIR 2015),
so that tempo may drift; what is scored is not an onset's strength but its likelihood at its phase
within a beat. Why own code: pretty_midi estimates one tempo from inter-onset intervals and follows
no drift (it is measured beside this in docs/accompaniment.md), and the trackers for MIDI that do,
such as PM2S, are neural networks with weights of their own.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from musicvae_torch.errors import MidiError
from surrogate.song.beat_fit import EXCERPT, MOST_TEMPOS, phase_coherence

SPREAD = 0.025  # standard deviation of onsets about their positions within a beat, seconds
APART = 0.035  # seconds within which onsets are a chord
FRAMES = 100  # a second
SHORTEST, LONGEST = 0.3, 1.5  # seconds a beat: 200 to 40 a minute
USUAL, OCTAVES = 115.0, 0.7  # tempo prior, log-Gaussian: quarter notes a minute, and its width
PRIOR = 2.0  # nats a second that a tempo loses which is one width away
DRIFT = 0.015  # standard deviation of the logarithm of one beat's period over the last one's
EARLY = 1 / 8  # beats by which the first note may be before the first beat
LONGEST_SONG = 7200.0  # seconds
PERIODS = np.arange(round(SHORTEST * FRAMES), round(LONGEST * FRAMES) + 1)  # frames a beat

# Shares of onsets at phases of a beat, of real songs' beats in two and in three (and swung).
ANYWHERE = 0.1
IN_TWO = ((0, 0.4), (1 / 2, 0.25), (1 / 4, 0.08), (3 / 4, 0.08))
IN_THREE = ((0, 0.5), (1 / 3, 0.12), (2 / 3, 0.28))
THREES = 0.2  # of beats
ACCENTS = ((0, 1.0), (1 / 4, -0.5), (3 / 4, -0.5), (1 / 3, -0.5), (2 / 3, -0.5))

# General MIDI's drums
KICKS, SNARES, CRASHES = (35, 36), (37, 38, 39, 40), (49, 52, 55, 57)


def onset_weights(
    durations: np.ndarray,
    velocities: np.ndarray,
    pitches: np.ndarray | None = None,
    drums: np.ndarray | None = None,
) -> np.ndarray:
    """How much each note speaks for a beat where it begins: long and loud notes do, and drums other
    than hi-hats and toms. (A logistic regression on 200 validation songs found nothing in pitch or
    the size of chords.)

    Args:
        durations: (notes,) seconds.
        velocities: (notes,) 0 to 127.
        pitches: (notes,) MIDI; needed for drums alone.
        drums: (notes,) bool; None: none.

    Returns:
        (notes,) positive.
    """
    lasting = np.clip(np.asarray(durations, float), 0.05, 2.0)
    if drums is not None and pitches is not None:
        strong = np.isin(pitches, (*KICKS, *SNARES, *CRASHES))
        lasting = np.where(drums, np.where(strong, 1.2, 0.12), lasting)
    return np.asarray(lasting**0.65 * np.exp(np.asarray(velocities, float) / 90))


def bar_weights(
    durations: np.ndarray, pitches: np.ndarray, drums: np.ndarray | None = None
) -> np.ndarray:
    """How much each note speaks for a bar's first beat: long and low notes, kicks and crashes do;
    snares speak against it.

    Args:
        durations: (notes,) seconds.
        pitches: (notes,) MIDI.
        drums: (notes,) bool; None: none.

    Returns:
        (notes,) of either sign.
    """
    low = np.exp2((60 - np.asarray(pitches, float)) / 24)
    weights = np.asarray(np.clip(np.asarray(durations, float), 0.05, 2.0) * low)
    if drums is None:
        return weights
    kicks, snares, crashes = (np.isin(pitches, drum) * 1.0 for drum in (KICKS, SNARES, CRASHES))
    return np.where(drums, kicks - snares + 2 * crashes, weights)


def beats_at(
    onsets: np.ndarray, tempo: float, until: float, weights: np.ndarray | None = None
) -> np.ndarray:
    """Beats of a constant tempo that notes lie on.

    The tempo is changed by up to 1 % where that makes notes lie on it clearly better.

    Args:
        onsets: (n,) seconds, in any order; at least one.
        tempo: quarter notes a minute.
        until: seconds; the last beat is later.
        weights: (n,) positive, as of :func:`onset_weights`; None: all alike.

    Returns:
        (beats,) seconds, ascending. The first note is on the first beat or after it, or up to an
        eighth of a beat before it; the first beat may be before 0.

    Raises:
        MidiError: there are no onsets, the tempo is no positive number, or there are more than
            two hours.
    """
    if not 0 < tempo < np.inf:
        raise MidiError(f"the tempo must be a positive number, not {tempo}")
    times, accents = _accented(onsets, weights, until)
    period = _refined(times, 60 / tempo)
    offsets = np.arange(0, period, min(0.005, period / 16))
    phases = ((times - offsets[:, None]) / period) % 1
    two, three, gains = _densities(phases, period)
    likelihoods = np.maximum(two.sum(axis=-1), three.sum(axis=-1)) + (gains * accents).sum(axis=-1)
    offset = float(offsets[likelihoods.argmax()])
    first = offset + np.floor((times[0] - offset) / period + EARLY) * period
    count = int(np.ceil(max(until - first, 0) / period + 1e-9)) + 1
    return np.asarray(first + period * np.arange(count))


def track_beats(
    onsets: np.ndarray, weights: np.ndarray | None = None, until: float | None = None
) -> tuple[np.ndarray, float]:
    """Beats that notes lie on, at a tempo that may drift.

    Args:
        onsets: (n,) seconds, in any order; at least two, at different times.
        weights: (n,) positive, as of :func:`onset_weights`; None: all alike.
        until: seconds; the last beat is later. None: the last onset.

    Returns:
        (beats,) seconds, ascending, the first as in :func:`beats_at`; and their mean tempo, beats
        a minute.

    Raises:
        MidiError: there are fewer onsets, or more than two hours.
    """
    times, accents = _accented(onsets, weights, until)
    if len(times) < 2:
        raise MidiError("beats cannot be found from fewer than two onsets")
    start = times[0] - LONGEST / 2
    found = _smooth(_most_likely(times - start, accents) + start)
    tempo = 60 * (len(found) - 1) / (found[-1] - found[0])
    last = float(times[-1]) if until is None else until
    return _extended(found, float(times[0]), last), float(tempo)


def downbeat(onsets: np.ndarray, weights: np.ndarray, beats: np.ndarray) -> int:
    """Which of the first four beats is most likely to begin a bar of four.

    Args:
        onsets: (n,) seconds.
        weights: (n,), as of :func:`bar_weights`.
        beats: (beats,) seconds, ascending; at least two.

    Returns:
        0 to 3: the one on which notes weigh most; of equals the first from the first note's on.
    """
    if not len(onsets):
        return 0
    positions = np.interp(onsets, beats, np.arange(len(beats)))
    nearest = np.round(positions).astype(int)
    on_beat = np.abs(positions - nearest) <= EARLY
    sums = np.bincount(nearest[on_beat] % 4, np.asarray(weights, float)[on_beat], minlength=4)
    first = int(nearest[np.argmin(onsets)]) % 4
    order = [(first + step) % 4 for step in range(4)]
    best = sums.max()
    return next(beat for beat in order if sums[beat] >= best - 1e-9 * abs(best))


def _refined(times: np.ndarray, period: float) -> float:
    """A period of beats, or one within 1 % of it on which notes lie clearly better."""
    since = times[: 5 * EXCERPT] - times[0]
    count = 2 * int(np.clip(0.02 * since[-1] / period / 0.05, 10, MOST_TEMPOS // 10)) + 1
    ratios = np.linspace(0.99, 1.01, count)  # the middle one is 1
    fits = phase_coherence(since / period, ratios)
    better = fits.max() > max(fits[count // 2] + 0.1, 0.4)
    return float(period / ratios[fits.argmax()]) if better else period


def _accented(
    onsets: np.ndarray, weights: np.ndarray | None, until: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Times of chords, in order, and how much each is accented: the logarithm of the sum of its
    notes' weights, standardised. The first one's is raised, as songs tend to begin on a beat."""
    onsets = np.asarray(onsets, float)
    if not len(onsets):
        raise MidiError("there are no onsets")
    weights = np.ones(len(onsets)) if weights is None else np.asarray(weights, float)
    order = np.argsort(onsets, kind="stable")
    onsets, weights = onsets[order], weights[order]
    chord = np.cumsum(np.append(False, np.diff(onsets) > APART))
    sums = np.bincount(chord, weights)
    times = np.bincount(chord, weights * onsets) / sums
    if not max(times[-1] if until is None else until, times[-1]) - times[0] < LONGEST_SONG:
        raise MidiError("more than two hours: too long for beats to be found")
    levels = np.log(sums)
    accents = np.clip((levels - levels.mean()) / max(levels.std(), 0.1), -2, 2)
    accents[0] += 1
    return times, accents


def _densities(phases: np.ndarray, period: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The log densities of onsets at phases of a beat (0 to 1), for beats in two and in three, 0
    being an even density; and what an accent adds there."""

    def near(phase: float) -> np.ndarray:
        """Height of a bell curve of SPREAD seconds."""
        seconds = ((phases - phase + 0.5) % 1 - 0.5) * period
        return np.exp(-0.5 * (seconds / SPREAD) ** 2)

    def log_density(shares: tuple[tuple[float, float], ...]) -> np.ndarray:
        height = period / (SPREAD * np.sqrt(2 * np.pi))
        total = ANYWHERE + sum(share for _, share in shares)
        density = ANYWHERE + sum(share * height * near(phase) for phase, share in shares)
        return np.asarray(np.log(density / total))

    gains = np.zeros_like(phases) + sum(gain * near(phase) for phase, gain in ACCENTS)
    return log_density(IN_TWO), log_density(IN_THREE), gains


def _beat_scores(times: np.ndarray, accents: np.ndarray, frames: int) -> np.ndarray:
    """(frames, periods) log likelihood of the onsets within one beat that ends at a frame and has
    lasted a period; -inf where it would begin before the first frame."""
    at = np.round(times * FRAMES).astype(int)
    counts = np.bincount(at, minlength=frames).astype(float)
    strengths = np.bincount(at, accents, minlength=frames)
    scores = np.full((frames, len(PERIODS)), -np.inf, np.float32)
    for column, length in enumerate(PERIODS.tolist()):
        two, three, gains = _densities(np.arange(length) / length, length / FRAMES)
        in_two = np.convolve(counts, two[::-1], "valid") + np.log(1 - THREES)
        in_three = np.convolve(counts, three[::-1], "valid") + np.log(THREES)
        accented = np.convolve(strengths, gains[::-1], "valid")
        octaves = np.log2(60 * FRAMES / length / USUAL) / OCTAVES
        prior = -0.5 * PRIOR * octaves**2 * length / FRAMES
        # The last of these beats would end after the last frame.
        scores[length:, column] = (np.logaddexp(in_two, in_three) + accented + prior)[:-1]
    return scores


@cache
def _tempo_changes() -> tuple[np.ndarray, np.ndarray]:
    """The periods that may precede each period: (n, m) indices, and log probabilities."""
    logs = np.log(PERIODS)
    changes = -0.5 * ((logs[:, None] - logs) / DRIFT) ** 2
    changes -= np.log(np.exp(changes).sum(axis=0))
    reach = int((np.abs(logs[:, None] - logs) < 3.5 * DRIFT).sum(axis=1).max()) // 2 + 1
    before = np.arange(len(logs))[:, None] + np.arange(-reach, reach + 1)
    there = (before >= 0) & (before < len(logs))
    before = before.clip(0, len(logs) - 1)
    return before, np.where(there, np.take_along_axis(changes, before, axis=1), -np.inf)


def _most_likely(times: np.ndarray, accents: np.ndarray) -> np.ndarray:
    """(beats,) seconds of the likeliest beats: dynamic programming over frames and periods. The
    first of the times (n,) is half of the longest beat after the first frame."""
    columns = np.arange(len(PERIODS))
    before, changes = _tempo_changes()
    last = round(float(times[-1]) * FRAMES)
    frames = last + int(PERIODS[-1]) + 2
    scores = _beat_scores(times, accents, frames)
    # Best scores of beats up to one at a frame: after a beat of a period, and before one.
    ended = np.zeros((frames, len(PERIODS)), np.float32)
    ended[PERIODS[-1] + 1 :] = -np.inf  # the first beat is no later
    begun = np.full_like(ended, -np.inf)
    came_from = np.empty(ended.shape, np.int16)
    goes_back = np.zeros(ended.shape, bool)
    for frame in range(frames):
        starts = frame - PERIODS
        reached = begun[np.maximum(starts, 0), columns] + scores[frame]
        goes_back[frame] = (starts >= 0) & (reached > ended[frame])
        ended[frame] = np.where(goes_back[frame], reached, ended[frame])
        options = ended[frame][before] + changes
        choice = options.argmax(axis=1)
        begun[frame] = options[columns, choice]
        came_from[frame] = before[columns, choice]
    # The last beat is the first one after the last onset.
    finals = np.arange(last + 1, frames)
    ends = np.where(finals[:, None] - PERIODS <= last, ended[finals], -np.inf)
    index, column = np.unravel_index(int(ends.argmax()), ends.shape)
    path = [int(finals[index])]
    while goes_back[path[-1], column]:
        path.append(path[-1] - int(PERIODS[column]))
        column = came_from[path[-1], column]
    return np.array(path[::-1]) / FRAMES


def _smooth(beats: np.ndarray) -> np.ndarray:
    """Beats, each moved to the mean of five, so that they are not on whole frames. A steady tempo
    stays what it is."""
    if len(beats) < 5:
        return beats
    means = np.convolve(beats, np.full(5, 0.2), "valid")
    head = means[0] - (means[1] - means[0]) * np.array([2, 1]) if len(means) > 1 else beats[:2]
    tail = means[-1] + (means[-1] - means[-2]) * np.array([1, 2]) if len(means) > 1 else beats[-2:]
    return np.concatenate([head, means, tail])


def _extended(beats: np.ndarray, first: float, until: float) -> np.ndarray:
    """Beats from the last one that is not clearly after the first onset to the first one after
    `until`. Missing ones are added, as far apart as their neighbours."""
    lead, trail = np.diff(beats[:5]).mean(), np.diff(beats[-5:]).mean()
    more = np.ceil(max(beats[0] - EARLY * lead - first, 0) / lead)
    beats = np.concatenate([beats[0] - lead * np.arange(more, 0, -1), beats])
    more = np.floor(max(until - beats[-1], -1) / trail) + 1
    beats = np.concatenate([beats, beats[-1] + trail * np.arange(1, more + 1)])
    begin = np.searchsorted(beats, first + EARLY * lead, side="right") - 1
    end = np.searchsorted(beats, until, side="right") + 1
    return np.asarray(beats[max(begin, 0) : end])
