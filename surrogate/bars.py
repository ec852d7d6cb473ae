"""The bars that a musician counts: the song's own, by its metres."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from musicvae_torch.notes.midi import MidiError
from musicvae_torch.notes.score import Score

MOST_BARS = 100_000


def bar_lines(score: Score, until: int) -> np.ndarray:
    """(bars + 1,) int64 ticks at which the song's bars begin, from 0 to beyond `until`.

    A change of metre begins a bar, wherever it is, as sequencers have it.

    Raises:
        MidiError: there are more than MOST_BARS of them.
    """
    lines: list[int] = []
    metres = [*score.metres.tolist(), None]
    for (start, above, below), following in pairwise(metres):
        length = max(round(score.resolution * 4 * above / below), 1)
        end = max(until, start + 1) if following is None else min(following[0], until)
        if (end - start) / length + len(lines) > MOST_BARS:
            raise MidiError(f"{score.name}: the song has more than {MOST_BARS} bars")
        own = list(range(start, end, length))
        lines += own
        if own and (following is None or following[0] >= until):
            lines.append(own[-1] + length)
            break
    return np.array(lines, np.int64)
