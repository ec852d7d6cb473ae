"""From what the decoder played to parts in the song's file: silences, ends, velocities, harmony."""

from __future__ import annotations

import numpy as np

from musicvae_torch.notes.score import TICK_NOTE, Score
from musicvae_torch.notes.trio import PARTS
from musicvae_torch.notes.vocabulary import ELECTRIC_BASS, OUTPUT_VELOCITY
from surrogate.bars import bar_lines
from surrogate.fill import PLAIN_DRUMS, StepNote, fill_silent_bars, let_go, plain_bass
from surrogate.hearing import Hearing
from surrogate.options import AccompanyOptions
from surrogate.stitch import NewPart, stitch

PROGRAMS = {"melody": 0, "bass": ELECTRIC_BASS, "drums": 0}


def kept_tracks(song: Hearing, options: AccompanyOptions) -> tuple[int, ...]:
    """Indices of the tracks of a song that stay in it."""
    kept = []
    for index, role in enumerate(song.roles):
        replaced = role in options.made
        if (
            options.keep == "all"
            or role in options.given
            or (options.keep == "others" and not replaced)
        ):
            kept.append(index)
    return tuple(kept)


def arrange(
    song: Hearing,
    played: list[list[StepNote]],
    kept: tuple[int, ...],
    options: AccompanyOptions,
    number: int,
) -> tuple[Score, tuple[int, ...]]:
    """A song's new file.

    Args:
        song: what was heard.
        played: each part's notes, in steps from the song's first bar.
        kept: indices of the tracks that stay.
        options: what the user chose.
        number: of the candidate, for what is left to chance.

    Returns:
        The file, and the indices of its new tracks.

    Raises:
        MidiError: no MIDI channel is left.
    """
    parts = dict(zip(PARTS, played, strict=True))
    new = []
    for part in options.made:
        notes = let_go(parts[part])
        if options.fill and part != "melody":
            plain = PLAIN_DRUMS if part == "drums" else plain_bass(song.pitches)
            notes = fill_silent_bars(notes, song.plays, plain)
        new.append(NewPart(part, PROGRAMS[part], part == "drums", _on_ticks(song, notes, options)))
    score = stitch(song.score, kept, new)
    first = len(score.tracks) - sum(len(part.notes) > 0 for part in new)
    return score, tuple(range(first, len(score.tracks)))


def _on_ticks(song: Hearing, notes: list[StepNote], options: AccompanyOptions) -> np.ndarray:
    """Notes in steps → notes of TICK_NOTE, none before the given parts begin nor after they end,
    and none in bars to be skipped."""
    ticks = song.grid.step_ticks
    steps = np.array(notes, np.int64).reshape(-1, 3)
    placed = np.zeros(len(steps), TICK_NOTE)
    last = len(ticks) - 1
    placed["start"] = ticks[np.minimum(steps[:, 0] + song.first_step, last)]
    placed["end"] = np.minimum(ticks[np.minimum(steps[:, 1] + song.first_step, last)], song.end)
    placed["pitch"] = steps[:, 2]
    placed["velocity"] = OUTPUT_VELOCITY
    lines = bar_lines(song.score, song.end)
    for first, final in options.skip:
        begins, ends = lines[min(first, len(lines)) - 1], lines[min(final, len(lines) - 1)]
        cut = (placed["start"] < begins) & (placed["end"] > begins)
        placed["end"][cut] = begins
        placed = placed[(placed["start"] < begins) | (placed["start"] >= ends)]
    return placed[placed["start"] < placed["end"]]
