"""Loudness by ITU-R BS.1770-4: the perceived level of a sound, K-weighted and gated."""

from __future__ import annotations

import math

import numpy as np

_OFFSET = -0.691  # dB, which the standard adds
_BLOCK, _HOP = 0.4, 0.1  # seconds
_SILENCE = -70.0  # LUFS: blocks below it never count
_BELOW = -10.0  # LU: nor do those so far below the mean of the others
# The two stages of the K filter, as the standard has them for its sample rate: (b, a).
_RATE = 48_000
_STAGES = (
    (
        (1.53512485958697, -2.69169618940638, 1.19839281085285),
        (1.0, -1.69065929318241, 0.73248077421585),
    ),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)


def loudness(samples: np.ndarray, sample_rate: int) -> float:
    """Integrated loudness.

    Args:
        samples: (samples, channels) float, full scale at 1; left and right weigh alike.
        sample_rate: in Hz.

    Returns:
        In LUFS; minus infinity where nothing sounds.
    """
    powers = (_k_weighted(samples, sample_rate) ** 2).sum(axis=1)
    block, hop = round(_BLOCK * sample_rate), round(_HOP * sample_rate)
    sums = np.concatenate([[0.0], np.cumsum(powers)])
    starts = np.arange(0, max(len(powers) - block, 0) + 1, hop)
    ends = np.minimum(starts + block, len(powers))
    means = (sums[ends] - sums[starts]) / np.maximum(ends - starts, 1)
    means = means[means > _power(_SILENCE)]
    if not len(means):
        return -math.inf
    return _level(means[means > _power(_level(means.mean()) + _BELOW)].mean())


def _k_weighted(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Samples through the K filter: by its response, so that any sample rate will do."""
    size = len(samples) + sample_rate  # the filter's own ringing does not come round to the start
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate)
    delay = np.exp(-2j * math.pi * frequencies / _RATE)
    response = np.ones(len(frequencies), complex)
    for b, a in _STAGES:
        response *= np.polyval(b[::-1], delay) / np.polyval(a[::-1], delay)
    spectrum = np.fft.rfft(samples, size, axis=0) * response[:, None]
    weighted: np.ndarray = np.fft.irfft(spectrum, size, axis=0)[: len(samples)]
    return weighted


def _level(power: float) -> float:
    return _OFFSET + 10 * math.log10(power)


def _power(level: float) -> float:
    return float(10 ** ((level - _OFFSET) / 10))
