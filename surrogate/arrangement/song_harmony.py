"""A song's harmony: as the user says it, as its file says it, or as its notes suggest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musicvae_torch.midi.tracks import TICK_NOTE
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR
from surrogate.arrangement.harmony import Harmony, from_markers, infer, read
from surrogate.song.context import SongContext


def song_harmony(song: SongContext, kept: Sequence[int], chords: str | None = None) -> Harmony:
    """The harmony of a song, in steps from its first bar.

    Args:
        song: what was heard of it.
        kept: indices of the tracks from which it is to be inferred, where it must be.
        chords: by hand (see :func:`surrogate.arrangement.harmony.parse`), a bar of the
            song's own for each bar, from the one on in which the given parts begin.

    Raises:
        ChordError: `chords` are none.
    """
    if chords is not None:
        return _by_hand(song, chords)
    marked = from_markers(song.score, song.grid)
    if marked is not None:
        return _from(marked, song.first_step)
    tracks = [song.score.tracks[index] for index in kept]
    pitched = [track.notes for track in tracks if not track.is_drum]
    notes = np.concatenate([np.zeros(0, TICK_NOTE), *pitched])
    starts, ends = (steps - song.first_step for steps in song.grid.to_steps(notes))
    # A melody alone says little: a chord a bar is as true then, and calmer.
    a_bar = 2 if any(song.roles[track.index] == "other" for track in tracks) else 1
    return infer(starts, ends, notes["pitch"].astype(np.int64), song.bars, a_bar)


def _by_hand(song: SongContext, chords: str) -> Harmony:
    lines = song.song_bars.ticks
    first = int(np.searchsorted(lines, song.start, side="right")) - 1
    lines = lines[first:]
    written = read(chords, len(lines) - 1)
    bars, within = np.divmod(written.starts, STEPS_PER_BAR)
    ticks = lines[bars] + np.diff(lines)[bars] * within // STEPS_PER_BAR
    return _from(Harmony(song.grid.steps(ticks), written.names), song.first_step)


def _from(harmony: Harmony, step: int) -> Harmony:
    """The same, counted from a later step."""
    current = int(harmony.index_at(step))
    starts = np.maximum(harmony.starts[current:] - step, 0)
    return Harmony(starts, harmony.names[current:])
