"""Real songs to evaluate on: windows of trios of a folder of MIDI files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from musicvae_torch.converters.base import Window
from musicvae_torch.converters.trio import TrioConverter, TrioRules
from musicvae_torch.errors import MidiError, NoSongsError
from musicvae_torch.midi.fast import load_song
from musicvae_torch.midi.quantize import Section, sections
from musicvae_torch.midi.vocabulary import MELODY_PROGRAMS, STEPS_PER_BAR
from surrogate.song.folders import midi_files


@dataclass(frozen=True)
class EvaluationWindows:
    """Windows of songs.

    Attributes:
        tokens: (windows, steps, 3) int64 classes of melody, bass and drums.
        velocities: (windows, steps, 3) int64, of the loudest note that starts at a step; 0 where
            none does.
        song: (windows,) index in `songs`, ascending.
        songs: paths relative to the folder.
        skipped: how many files gave no window, by the reason.
    """

    tokens: np.ndarray
    velocities: np.ndarray
    song: np.ndarray
    songs: list[str]
    skipped: dict[str, int]

    def __str__(self) -> str:
        text = f"{len(self.tokens)} windows of {len(self.songs)} songs"
        return f"{text}; files that gave none: {_listed(self.skipped)}" if self.skipped else text


def read_evaluation_windows(
    folder: str | Path,
    steps: int = 256,
    max_songs: int | None = None,
    max_windows: int | None = None,
    melody_programs: Collection[int] = MELODY_PROGRAMS,
    seed: int = 0,
    progress: bool = False,
) -> EvaluationWindows:
    """The distinct windows of the songs of a folder, which do not overlap within a combination
    of tracks.

    Args:
        folder: MIDI files at any depth; a file is a song.
        steps: length of a window.
        max_songs: stop after so many songs that have windows, in random order; None: all songs.
        max_windows: most windows a song, drawn at random; None: all.
        melody_programs: programs that may be a melody.
        seed: of both draws.
        progress: show a progress bar.

    Raises:
        NoSongsError: no file, or none with a window.
    """
    folder, paths = Path(folder), midi_files(folder)
    rng = np.random.default_rng(seed)
    if max_songs is not None:
        paths = [paths[index] for index in rng.permutation(len(paths))]
    converter = TrioConverter(TrioRules(steps // STEPS_PER_BAR, frozenset(melody_programs)), steps)
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    skipped: Counter[str] = Counter()
    for path in tqdm(paths, unit="file", disable=None if progress else True):
        if max_songs is not None and len(found) >= max_songs:
            break
        windows = _windows(path, converter)
        if isinstance(windows, str):
            skipped[windows] += 1
            continue
        tokens, velocities = windows
        if max_windows is not None and len(tokens) > max_windows:
            drawn = np.sort(rng.choice(len(tokens), max_windows, replace=False))
            tokens, velocities = tokens[drawn], velocities[drawn]
        found[path.relative_to(folder).as_posix()] = tokens, velocities
    if not found:
        raise NoSongsError(f"{folder}: no file has a window of {steps} steps ({_listed(skipped)})")
    songs = sorted(found)
    tokens, velocities = (np.concatenate([found[name][k] for name in songs]) for k in (0, 1))
    lengths = [len(found[name][0]) for name in songs]
    return EvaluationWindows(
        tokens,
        velocities,
        np.repeat(np.arange(len(songs)), lengths),
        songs,
        dict(skipped.most_common()),
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items())


def _windows(path: Path, converter: TrioConverter) -> tuple[np.ndarray, np.ndarray] | str:
    """Classes and velocities, (windows, steps, 3) each, of the distinct windows; or the reason why
    there are none."""
    try:
        song = load_song(path)
        windows = converter.to_tensors(song)
    except MidiError:
        return "unreadable"
    if not windows:
        return converter.why_none(song)
    distinct = list({window.tokens.tobytes(): window for window in windows}.values())
    of_song = sections(song)
    velocities = [_velocities(window, of_song) for window in distinct]
    return np.stack([window.tokens for window in distinct]).astype(np.int64), np.stack(velocities)


def _velocities(window: Window, of_song: Sequence[Section]) -> np.ndarray:
    """(steps, 3) velocity of the loudest note that starts at each step of each part."""
    section = next(one for one in reversed(of_song) if one.start <= window.start)
    loudest = np.zeros(window.tokens.shape, np.int64)
    steps = section.start_steps - window.bar * STEPS_PER_BAR
    inside = (steps >= 0) & (steps < len(loudest))
    for part, track in enumerate(window.instruments):
        own = inside & (section.notes["instrument"] == track)
        np.maximum.at(loudest[:, part], steps[own], section.notes["velocity"][own])
    return loudest
