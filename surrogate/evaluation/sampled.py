"""Bands as `accompany` makes them, for windows of real songs: sampled, filled up and arranged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pretty_midi
from tqdm import tqdm

from musicvae_torch.converters.drums import drum_tokens
from musicvae_torch.converters.melody import melody_tokens
from musicvae_torch.converters.trio import part_notes
from musicvae_torch.errors import MidiError
from musicvae_torch.midi.quantize import DEFAULT_QPM
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.tracks import Track
from musicvae_torch.midi.vocabulary import BASS_PROGRAMS, PARTS, STEPS_PER_QUARTER
from surrogate.evaluation.windows import EvaluationWindows
from surrogate.options import AccompanyOptions
from surrogate.pipeline import Accompanist

PROGRAMS = (0, 33, 0)  # of melody, bass and drums
_STEP = 60 / DEFAULT_QPM / STEPS_PER_QUARTER  # seconds


def accompany_windows(
    accompanist: Accompanist,
    windows: EvaluationWindows,
    options: AccompanyOptions,
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Accompany the given parts of each window, as if it were a song of its own.

    Args:
        accompanist: that makes the bands.
        windows: the songs; the accompanist gets their given parts alone, with their velocities.
        options: of the bands; the first candidate counts.
        progress: show a progress bar.

    Returns:
        tokens: (windows, steps, 3) classes; the given parts as they were.
        velocities: (windows, steps, 3) of the loudest new note that starts at a step; else 0.
    """
    tokens, velocities = windows.tokens.copy(), np.zeros_like(windows.tokens)
    made = [PARTS.index(part) for part in options.made]
    tokens[..., made] = 0
    results = accompanist.accompany_batch(_songs(windows, options.given), options)
    shown = tqdm(
        results, total=len(tokens), unit="window", leave=False, disable=None if progress else True
    )
    for row, result in enumerate(shown):
        if isinstance(result, MidiError):
            continue  # a window in which the given parts rest: no band
        for track in result.best.tracks:
            _write(track, result.score, tokens[row], velocities[row])
    return tokens, velocities


def _songs(windows: EvaluationWindows, given: Sequence[str]) -> Iterator[pretty_midi.PrettyMIDI]:
    """Each window's given parts as MIDI."""
    for tokens, velocities in zip(windows.tokens, windows.velocities, strict=True):
        midi = pretty_midi.PrettyMIDI(initial_tempo=DEFAULT_QPM)
        for part, notes in enumerate(part_notes(tokens)):
            if PARTS[part] not in given:
                continue
            track = pretty_midi.Instrument(PROGRAMS[part], PARTS[part] == "drums", PARTS[part])
            track.notes = [
                pretty_midi.Note(
                    int(velocities[start, part]) or 80, pitch, start * _STEP, end * _STEP
                )
                for start, end, pitch in notes
            ]
            midi.instruments.append(track)
        yield midi


def _write(track: Track, score: Score, tokens: np.ndarray, velocities: np.ndarray) -> None:
    """Write a new track to (steps, 3) classes and velocities, up to their end."""
    part = 2 if track.is_drum else int(track.program in BASS_PROGRAMS)  # of PARTS
    starts, ends = (
        np.rint(track.notes[name] * STEPS_PER_QUARTER / score.resolution).astype(np.int64)
        for name in ("start", "end")
    )
    kept = starts < len(tokens)
    starts, ends, notes = starts[kept], ends[kept], track.notes[kept]
    if track.is_drum:
        tokens[:, part] = drum_tokens(starts, notes["pitch"], len(tokens))[:, 0]
    else:
        ends = np.maximum(ends, starts + 1)
        tokens[:, part] = melody_tokens(starts, ends, notes["pitch"], len(tokens))
    np.maximum.at(velocities[:, part], starts, notes["velocity"])
