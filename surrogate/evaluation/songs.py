"""Real songs to evaluate on: windows of trios of a folder of MIDI files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from musicvae_torch.notes.fast_midi import load_song
from musicvae_torch.notes.midi import MidiError, is_midi, no_midi_in
from musicvae_torch.notes.trio import TrioConverter, TrioRules
from musicvae_torch.notes.vocabulary import MELODY_PROGRAMS, STEPS_PER_BAR


class NoSongsError(ValueError):
    """A folder that gives nothing to evaluate on; the message names it and says why."""


@dataclass(frozen=True)
class SongWindows:
    """Windows of songs.

    Attributes:
        tokens: (windows, steps, 3) int64 classes of melody, bass and drums.
        song: (windows,) index in `songs`, ascending.
        songs: paths relative to the folder.
        skipped: how many files gave no window, by why.
    """

    tokens: np.ndarray
    song: np.ndarray
    songs: list[str]
    skipped: dict[str, int]

    def __str__(self) -> str:
        text = f"{len(self.tokens)} windows of {len(self.songs)} songs"
        if not self.skipped:
            return text
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.skipped.items())
        return f"{text}; files that gave none: {reasons}"


def midi_files(folder: str | Path) -> list[Path]:
    """MIDI files of a folder at any depth, in order.

    Raises:
        NoSongsError: there are none, or no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NoSongsError(f"{folder}: no such folder")
    paths = sorted(path for path in folder.rglob("*") if is_midi(path))
    if not paths:
        raise NoSongsError(no_midi_in(folder))
    return paths


def read_windows(
    folder: str | Path,
    steps: int = 256,
    max_songs: int | None = None,
    max_windows: int | None = None,
    melody_programs: Collection[int] = MELODY_PROGRAMS,
    seed: int = 0,
    progress: bool = False,
) -> SongWindows:
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
    found: dict[str, np.ndarray] = {}
    skipped: Counter[str] = Counter()
    for path in tqdm(paths, unit="file", disable=None if progress else True):
        if max_songs is not None and len(found) >= max_songs:
            break
        windows = _windows(path, converter)
        if isinstance(windows, str):
            skipped[windows] += 1
            continue
        if max_windows is not None and len(windows) > max_windows:
            windows = windows[np.sort(rng.choice(len(windows), max_windows, replace=False))]
        found[path.relative_to(folder).as_posix()] = windows
    if not found:
        reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
        raise NoSongsError(f"{folder}: no file has a window of {steps} steps ({reasons})")
    songs = sorted(found)
    lengths = [len(found[name]) for name in songs]
    return SongWindows(
        np.concatenate([found[name] for name in songs]),
        np.repeat(np.arange(len(songs)), lengths),
        songs,
        dict(skipped.most_common()),
    )


def _windows(path: Path, converter: TrioConverter) -> np.ndarray | str:
    """(windows, steps, 3), or why there are none."""
    try:
        song = load_song(path)
        tokens = [window.tokens for window in converter.to_tensors(song)]
    except MidiError:
        return "unreadable"
    if not tokens:
        return converter.why_none(song)
    distinct = {window.tobytes(): window for window in tokens}
    return np.stack(list(distinct.values())).astype(np.int64)
