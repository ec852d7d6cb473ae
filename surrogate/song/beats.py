"""Whether notes follow their file's beats, and where their beats are if they do not.

Recordings and transcriptions count time at a nominal 120 quarter notes a minute, whatever was
played. Everything here works on onsets alone, with numpy.

Beats are tracked by dynamic programming (Ellis, "Beat Tracking by Dynamic Programming", JNMR 36,
2007) with the period as a part of the state, as in bar pointer models (Krebs et al., ISMIR 2015),
so that tempo may drift; what is scored is not an onset's strength but its likelihood at its place
within a beat. Why own code: pretty_midi estimates one tempo from inter-onset intervals and follows
no drift (it is measured beside this in docs/accompaniment.md), and the trackers for MIDI that do,
such as PM2S, are neural networks with weights of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from musicvae_torch.errors import MidiError

SIXTEENTHS = 4  # a quarter note

# follows_the_beats
CHORD = 1 / 16  # quarter notes within which onsets are one
SUBDIVISIONS = np.array([1, 2, 3, 4, 6])  # of a quarter note, on which notes of most songs lie
FAST = (8, 12)  # those that count only where notes are as fast
LAG = 1 / 16  # quarter notes by which all notes may be late, or early
LEAST_ONSETS = 12
LEAST_FIT = 0.25
OTHER_FIT, GAIN = 0.75, 0.25
EXCERPT = 200  # onsets that other tempos are tried on
MOST_TEMPOS = 8000

# Beats in seconds.
SPREAD = 0.025  # standard deviation of onsets about their places within a beat, seconds
APART = 0.035  # seconds within which onsets are a chord
FRAMES = 100  # a second
SHORTEST, LONGEST = 0.3, 1.5  # seconds a beat: 200 to 40 a minute
USUAL, OCTAVES = 115.0, 0.7  # tempo prior, log-Gaussian: quarter notes a minute, and its width
PRIOR = 2.0  # nats a second by which a tempo is less likely that is its width away
DRIFT = 0.015  # standard deviation of the logarithm of one beat's period over the last one's
EARLY = 1 / 8  # beats by which the first note may be before the first beat
LONGEST_SONG = 7200.0  # seconds

# Shares of onsets at places within a beat, of real songs' beats in two and in three (and swung).
ANYWHERE = 0.1
IN_TWO = ((0, 0.4), (1 / 2, 0.25), (1 / 4, 0.08), (3 / 4, 0.08))
IN_THREE = ((0, 0.5), (1 / 3, 0.12), (2 / 3, 0.28))
THREES = 0.2  # of beats
ACCENTS = ((0, 1.0), (1 / 4, -0.5), (3 / 4, -0.5), (1 / 3, -0.5), (2 / 3, -0.5))

# General MIDI's drums
KICKS, SNARES, CRASHES = (35, 36), (37, 38, 39, 40), (49, 52, 55, 57)


class BeatFit(NamedTuple):
    """How notes lie on beats.

    Attributes:
        follows: whether they follow them, or are too few to tell.
        fit: the mean cosine of onsets' phases over the subdivision that they fit best: 1, all are
            on it; 0, chance.
        distance: see :func:`grid_distance`.
        onsets: how many there are, chords counted once.
    """

    follows: bool
    fit: float
    distance: float
    onsets: int


def grid_distance(onsets: np.ndarray) -> float:
    """Mean distance of onsets to the nearest sixteenth, in sixteenths: .25 is chance, triplets
    have .17, swing .1 and more.

    Args:
        onsets: (n,) in quarter notes of the file's own; 0.0 for none.
    """
    if not len(onsets):
        return 0.0
    sixteenths = np.asarray(onsets, float) * SIXTEENTHS
    return float(np.abs(sixteenths - np.round(sixteenths)).mean())


def follows_the_beats(onsets: np.ndarray) -> BeatFit:
    """Whether onsets lie where the beats of their file are.

    Onsets that do gather at some subdivision of the quarter note, in two or three; those that do
    not are spread evenly over all. The fit has a standard deviation of 1/sqrt(2n) by chance, and n
    onsets do not follow if theirs is less than a quarter and one of those. Regular notes at
    another tempo, if few, may do better by chance: they do not follow either, if they fit that
    tempo clearly better. Fewer than 12 tell nothing.

    Give it the onsets of all tracks: a solo may be free over a band that is not. Measured by
    `benchmarks/free_time.py`, see docs/accompaniment.md. Tempos in simple ratios to the file's, as
    90 or 60 to 120, cannot be told from it by this.

    Args:
        onsets: (n,) in quarter notes of the file's own, of all notes, in any order.
    """
    distinct = _distinct(onsets, CHORD)
    count = len(distinct)
    fit, distance = _fit(distinct), grid_distance(distinct)
    if count < LEAST_ONSETS:
        return BeatFit(True, fit, distance, count)
    follows = fit >= LEAST_FIT + (2 * count) ** -0.5 and not (
        fit < OTHER_FIT and _fits_another_tempo(distinct[:EXCERPT])
    )
    return BeatFit(follows, fit, distance, count)


def onset_weights(
    durations: np.ndarray,
    velocities: np.ndarray,
    pitches: np.ndarray | None = None,
    drums: np.ndarray | None = None,
) -> np.ndarray:
    """How much speaks for a beat at a note: long and loud ones, and drums but hi-hats and toms.
    (A logistic regression on 200 validation songs found nothing in pitch or the size of chords.)

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
    return lasting**0.65 * np.exp(np.asarray(velocities, float) / 90)


def bar_weights(
    durations: np.ndarray, pitches: np.ndarray, drums: np.ndarray | None = None
) -> np.ndarray:
    """How much speaks for a bar's first beat at a note: long and low ones, kicks and crashes.
    Snares speak against it.

    Args:
        durations: (notes,) seconds.
        pitches: (notes,) MIDI.
        drums: (notes,) bool; None: none.

    Returns:
        (notes,) of either sign.
    """
    low = np.exp2((60 - np.asarray(pitches, float)) / 24)
    weights = np.clip(np.asarray(durations, float), 0.05, 2.0) * low
    if drums is None:
        return weights
    speaks = (
        np.isin(pitches, KICKS) * 1.0 - np.isin(pitches, SNARES) + 2 * np.isin(pitches, CRASHES)
    )
    return np.where(drums, speaks, weights)


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
    times, accents = _accented(onsets, weights)
    _check_length(times, until)
    period = _refined(times, 60 / tempo)
    phases = np.arange(0, period, min(0.005, period / 16))
    places = ((times - phases[:, None]) / period) % 1
    offset = float(phases[_likelihood(places, accents, period).argmax()])
    first = offset + np.floor((times[0] - offset) / period + EARLY) * period
    return first + period * np.arange(np.ceil(max(until - first, 0) / period + 1e-9) + 1)


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
    times, accents = _accented(onsets, weights)
    if len(times) < 2:
        raise MidiError("beats cannot be found from fewer than two onsets")
    until = float(times[-1]) if until is None else until
    _check_length(times, until)
    start = times[0] - LONGEST / 2
    found = _smooth(_most_likely(times - start, accents) + start)
    tempo = 60 * (len(found) - 1) / (found[-1] - found[0])
    return _extended(found, float(times[0]), until), float(tempo)


def downbeat(onsets: np.ndarray, weights: np.ndarray, beats: np.ndarray) -> int:
    """Which of the first four beats is most likely to begin a bar of four.

    Args:
        onsets: (n,) seconds.
        weights: (n,), as of :func:`bar_weights`.
        beats: (beats,) seconds, ascending; at least two.

    Returns:
        0 to 3: the place at which notes on the beat weigh most; among equals the one that comes
        first from the first note's beat on.
    """
    if not len(onsets):
        return 0
    places = np.interp(onsets, beats, np.arange(len(beats)))
    nearest = np.round(places).astype(int)
    on_beat = np.abs(places - nearest) <= EARLY
    sums = np.bincount(nearest[on_beat] % 4, np.asarray(weights, float)[on_beat], minlength=4)
    first = int(nearest[np.argmin(onsets)]) % 4
    order = [(first + step) % 4 for step in range(4)]
    best = sums.max()
    return next(place for place in order if sums[place] >= best - 1e-9 * abs(best))


def _distinct(onsets: np.ndarray, apart: float) -> np.ndarray:
    """Onsets in order, without those that follow another within `apart`."""
    times = np.unique(np.asarray(onsets, float))
    return times[np.append(True, np.diff(times) > apart)] if len(times) else times


def _fit(onsets: np.ndarray) -> float:
    """See :class:`BeatFit`."""
    if not len(onsets):
        return 0.0
    gaps = np.diff(onsets)
    fast = [k for k in FAST if len(gaps) and (gaps < 1.25 / k).mean() > 0.25]
    subdivisions = np.append(SUBDIVISIONS, fast)
    means = np.exp(2j * np.pi * subdivisions[:, None] * onsets).mean(axis=1)
    beyond = np.maximum(np.abs(np.angle(means)) - 2 * np.pi * subdivisions * LAG, 0)
    return float((np.abs(means) * np.cos(beyond)).max())


def _fits_another_tempo(onsets: np.ndarray) -> bool:
    """Whether onsets gather clearly better at the beats of a tempo from half to double the file's.
    (Which one, this does not tell: beats of four thirds of a tempo gather on its triplets.)"""
    since = onsets - onsets[0]
    count = int(np.clip(np.log(4) * since[-1] / 0.05, 1, MOST_TEMPOS))
    ratios = np.exp(np.linspace(-np.log(2), np.log(2), count))
    best = _gathering(since, ratios).max()
    own = max(_fit(onsets), _gathering(since, np.ones(1))[0])  # however late its beats are
    return bool(best > OTHER_FIT and best - own > GAIN)


def _gathering(onsets: np.ndarray, tempos: np.ndarray) -> np.ndarray:
    """(tempos,) how much onsets gather at a beat's best subdivision, wherever; 1: all are on it."""
    turns = np.exp(2j * np.pi * tempos[:, None] * onsets)
    powers = turns.copy()
    best = np.abs(powers.mean(axis=1))
    for _ in range(SIXTEENTHS - 1):
        powers *= turns
        best = np.maximum(best, np.abs(powers.mean(axis=1)))
    return best


def _refined(times: np.ndarray, period: float) -> float:
    """A period of beats, or one within 1 % of it on which notes lie clearly better."""
    since = times[: 5 * EXCERPT] - times[0]
    count = 2 * int(np.clip(0.02 * since[-1] / period / 0.05, 10, MOST_TEMPOS // 10)) + 1
    ratios = np.linspace(0.99, 1.01, count)  # the middle one is 1
    fits = _gathering(since / period, ratios)
    better = fits.max() > max(fits[count // 2] + 0.1, 0.4)
    return float(period / ratios[fits.argmax()]) if better else period


def _accented(onsets: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Times of chords, in order, and how much each is accented beside the others: the logarithm of
    its notes' weights, standardised. The first one's is raised: songs like to begin on a beat."""
    onsets = np.asarray(onsets, float)
    if not len(onsets):
        raise MidiError("there are no onsets")
    weights = np.ones(len(onsets)) if weights is None else np.asarray(weights, float)
    order = np.argsort(onsets, kind="stable")
    onsets, weights = onsets[order], weights[order]
    chord = np.cumsum(np.append(False, np.diff(onsets) > APART))
    sums = np.bincount(chord, weights)
    times = np.bincount(chord, weights * onsets) / sums
    levels = np.log(sums)
    accents = np.clip((levels - levels.mean()) / max(levels.std(), 0.1), -2, 2)
    accents[0] += 1
    return times, accents


def _check_length(times: np.ndarray, until: float) -> None:
    if not max(until, times[-1]) - times[0] < LONGEST_SONG:
        raise MidiError("more than two hours: too long for beats to be found")


def _densities(places: np.ndarray, period: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At places within a beat, 0 to 1: the log density of onsets in two and in three, where an even
    one has 0; and what an accent adds there."""

    def near(place: float) -> np.ndarray:
        """Height of a bell curve of SPREAD seconds."""
        seconds = ((places - place + 0.5) % 1 - 0.5) * period
        return np.exp(-0.5 * (seconds / SPREAD) ** 2)

    def log_density(shares: tuple[tuple[float, float], ...]) -> np.ndarray:
        height = period / (SPREAD * np.sqrt(2 * np.pi))
        total = ANYWHERE + sum(share for _, share in shares)
        return np.log(
            (ANYWHERE + sum(share * height * near(place) for place, share in shares)) / total
        )

    gains = np.zeros_like(places) + sum(gain * near(place) for place, gain in ACCENTS)
    return log_density(IN_TWO), log_density(IN_THREE), gains


def _likelihood(places: np.ndarray, accents: np.ndarray, period: float) -> np.ndarray:
    """Log likelihood of onsets at places within a beat; the last axis is theirs."""
    two, three, gains = _densities(places, period)
    return np.maximum(two.sum(axis=-1), three.sum(axis=-1)) + (gains * accents).sum(axis=-1)


@cache
def _periods() -> np.ndarray:
    """(n,) frames that a beat may last."""
    return np.arange(round(SHORTEST * FRAMES), round(LONGEST * FRAMES) + 1)


def _beat_scores(times: np.ndarray, accents: np.ndarray, frames: int) -> np.ndarray:
    """(frames, periods) log likelihood of the onsets within one beat that ends at a frame and has
    lasted a period; -inf where it would begin before the first frame."""
    at = np.round(times * FRAMES).astype(int)
    counts = np.bincount(at, minlength=frames).astype(float)
    strengths = np.bincount(at, accents, minlength=frames)
    scores = np.full((frames, len(_periods())), -np.inf, np.float32)
    for column, length in enumerate(_periods().tolist()):
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
    """For each period those that may come before it: (n, m) indices, and log probabilities."""
    logs = np.log(_periods())
    changes = -0.5 * ((logs[:, None] - logs) / DRIFT) ** 2
    changes -= np.log(np.exp(changes).sum(axis=0))
    reach = int((np.abs(logs[:, None] - logs) < 3.5 * DRIFT).sum(axis=1).max()) // 2 + 1
    before = np.arange(len(logs))[:, None] + np.arange(-reach, reach + 1)
    there = (before >= 0) & (before < len(logs))
    before = before.clip(0, len(logs) - 1)
    return before, np.where(there, np.take_along_axis(changes, before, axis=1), -np.inf)


def _most_likely(times: np.ndarray, accents: np.ndarray) -> np.ndarray:
    """(beats,) seconds of the likeliest beats: dynamic programming over frames and periods.

    Args:
        times: (n,) seconds, the first of them half of the longest beat after the first frame.
        accents: (n,)
    """
    lengths, columns = _periods(), np.arange(len(_periods()))
    before, changes = _tempo_changes()
    last = round(float(times[-1]) * FRAMES)
    frames = last + int(lengths[-1]) + 2
    scores = _beat_scores(times, accents, frames)
    # Best scores of beats up to one at a frame: after a beat of a period, and before one.
    ended = np.zeros((frames, len(lengths)), np.float32)
    ended[lengths[-1] + 1 :] = -np.inf  # the first beat is no later
    begun = np.empty_like(ended)
    came_from = np.empty(ended.shape, np.int16)
    goes_back = np.zeros(ended.shape, bool)
    for frame in range(frames):
        starts = frame - lengths
        reached = begun[np.maximum(starts, 0), columns] + scores[frame]
        goes_back[frame] = (starts >= 0) & (reached > ended[frame])
        ended[frame] = np.where(goes_back[frame], reached, ended[frame])
        options = ended[frame][before] + changes
        choice = options.argmax(axis=1)
        begun[frame] = options[columns, choice]
        came_from[frame] = before[columns, choice]
    # The last beat is the first one after the last onset.
    finals = np.arange(last + 1, frames)
    ends = np.where(finals[:, None] - lengths <= last, ended[finals], -np.inf)
    index, column = np.unravel_index(int(ends.argmax()), ends.shape)
    path = _backwards(int(finals[index]), int(column), goes_back, came_from)
    return np.array([*path][::-1]) / FRAMES


def _backwards(
    frame: int, column: int, goes_back: np.ndarray, came_from: np.ndarray
) -> Iterator[int]:
    """Frames of beats from the last one to the first."""
    yield frame
    while goes_back[frame, column]:
        frame -= int(_periods()[column])
        column = int(came_from[frame, column])
        yield frame


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
    """Beats from the last one that the first onset is not clearly before to the first one after
    `until`; those that are not there are as far apart as their neighbours."""
    lead, trail = np.diff(beats[:5]).mean(), np.diff(beats[-5:]).mean()
    more = np.ceil(max(beats[0] - EARLY * lead - first, 0) / lead)
    beats = np.concatenate([beats[0] - lead * np.arange(more, 0, -1), beats])
    more = np.floor(max(until - beats[-1], -1) / trail) + 1
    beats = np.concatenate([beats, beats[-1] + trail * np.arange(1, more + 1)])
    begin = np.searchsorted(beats, first + EARLY * lead, side="right") - 1
    end = np.searchsorted(beats, until, side="right") + 1
    return beats[max(begin, 0) : end]
