"""How a band holds together: kick and bass, fills, new bars and bars that return.

All functions take the classes of parts (steps,) as ``musicvae_torch.midi.vocabulary`` has them, in
whole bars of sixteen steps, and give NaN where there is nothing to measure.
"""

from __future__ import annotations

import math

import numpy as np

from musicvae_torch.midi.vocabulary import FIRST_NOTE, KICK, NO_EVENT, STEPS_PER_BAR, TOMS
from surrogate.evaluation.metrics import mean_of, onsets

BLOCK = 16  # bars among which distinct ones are counted
FAR = 4  # bars from one to another that may return it


def bass_on_kick(bass: np.ndarray, drums: np.ndarray) -> tuple[float, float]:
    """How often the bass starts a note together with the kick drum.

    Returns:
        The share of the bass's onsets with a kick at the same step, and the share that chance
        would give: that of each bar's bass with the kicks of all other bars, as any two bars of a
        song agree in part by its metre. Both are NaN if the bass or the drums never play, or there
        is but one bar.
    """
    starts = (bass >= FIRST_NOTE).reshape(-1, STEPS_PER_BAR).astype(np.int64)
    hits = onsets(drums, "drums")
    kicks = hits[:, KICK].reshape(-1, STEPS_PER_BAR).astype(np.int64)
    count, bars = int(starts.sum()), len(starts)
    if not count or not hits.any() or bars < 2:
        return math.nan, math.nan
    together = starts @ kicks.T  # (bars of the bass, bars of the drums)
    own = int(np.trace(together))
    return own / count, (int(together.sum()) - own) / (count * (bars - 1))


def bars_with_toms(drums: np.ndarray) -> np.ndarray:
    """(bars,) bool, whether a tom is struck, which of nine drums tells a fill best."""
    toms = onsets(drums, "drums")[:, TOMS]
    return np.asarray(toms.reshape(-1, STEPS_PER_BAR * len(TOMS)).any(1))


def share_at_phrase_end(fills: np.ndarray, phrase: int) -> float:
    """Share of the bars with a fill that end a phrase.

    Args:
        fills: (bars,) bool; the first bar begins a phrase.
        phrase: bars of one. Fills that fall anywhere give 1 / phrase.
    """
    return mean_of(np.flatnonzero(fills) % phrase == phrase - 1)


def distinct_bars(tokens: np.ndarray) -> float:
    """How many different bars a part plays in sixteen, as a share of them: 1 / 16 to 1, the mean
    over the whole blocks of sixteen bars. Of fewer bars than sixteen, the share of those.
    """
    bars = tokens.reshape(-1, STEPS_PER_BAR)
    if not len(bars):
        return math.nan
    blocks = np.split(bars, range(BLOCK, len(bars), BLOCK))
    whole = [block for block in blocks if len(block) == BLOCK] or blocks
    return float(np.mean([len(np.unique(block, axis=0)) / len(block) for block in whole]))


def repeats(tokens: np.ndarray, part: str, melody: np.ndarray) -> tuple[float, float]:
    """Whether a bar whose melody returns is accompanied alike.

    Two bars are as alike as the Jaccard similarity of what starts in them: pairs of a step and a
    pitch, or of a step and the set of drums that are struck together. Pairs of bars in which
    nothing starts are left out.

    Args:
        part: whose `tokens` these are, bass or drums.

    Returns:
        The mean over the pairs of bars at least four bars apart in which the melody plays and is
        the same, and the mean over all pairs of bars.
    """
    alike, union = _shared(tokens, part)
    tunes = melody.reshape(-1, STEPS_PER_BAR)
    _, tune = np.unique(tunes, axis=0, return_inverse=True)
    first, later = np.triu_indices(len(tunes), 1)
    plays = np.any(tunes >= FIRST_NOTE, axis=1)
    returns = (later - first >= FAR) & (tune[first] == tune[later]) & plays[first]
    alike, union = alike[first, later], union[first, later]
    return _mean(alike, union, returns), _mean(alike, union, np.ones_like(returns))


def _shared(tokens: np.ndarray, part: str) -> tuple[np.ndarray, np.ndarray]:
    """(bars, bars) events that two bars share, and events in either."""
    starts = tokens > NO_EVENT if part == "drums" else tokens >= FIRST_NOTE
    kinds, kind = np.unique(tokens, return_inverse=True)
    rows = np.zeros((len(tokens), len(kinds)), np.float32)
    rows[starts, kind.reshape(-1)[starts]] = 1
    bars = rows.reshape(-1, STEPS_PER_BAR * len(kinds))
    alike, sizes = bars @ bars.T, bars.sum(1)
    return alike, sizes[:, None] + sizes - alike


def _mean(alike: np.ndarray, union: np.ndarray, pairs: np.ndarray) -> float:
    """Mean Jaccard similarity of some pairs of bars."""
    kept = pairs & (union > 0)
    return mean_of(alike[kept] / union[kept])
