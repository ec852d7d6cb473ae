"""Data sets: a folder of MIDI files → an HDF5 file of trio windows, and windows → batches.

The file holds ``tokens`` (windows, 256, 3) uint16 classes, and for each window ``song`` (a row
of ``songs``, the files' paths), ``bar``, ``start`` in seconds and ``instruments`` (track of each
part). Its attributes say how it was made.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from tqdm import tqdm

from musicvae_torch.files import replacing
from musicvae_torch.notes.midi import MidiError, read_midi, to_song
from musicvae_torch.notes.trio import trio_windows
from musicvae_torch.notes.vocabulary import FIRST_NOTE, MELODY_DEPTH, MELODY_PROGRAMS
from musicvae_torch.notes.windows import Window

MIDI_SUFFIXES = {".mid", ".midi"}


class DatasetError(ValueError):
    """A data set that cannot be made or read; one line that names the file."""


@dataclass(frozen=True)
class Windows:
    """A data set in memory.

    Attributes:
        tokens: (windows, 256, 3) uint16 classes of melody, bass and drums.
        song: (windows,) row in `songs`.
        songs: path of each song, relative to the folder that was read.
    """

    tokens: np.ndarray
    song: np.ndarray
    songs: list[str]


def build_dataset(
    folder: str | Path,
    out: str | Path,
    *,
    hop_bars: int = 16,
    max_windows: int | None = None,
    melody_programs: Collection[int] = MELODY_PROGRAMS,
    workers: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Counter[str]:
    """Read every MIDI file under `folder` and write its distinct windows to `out`.

    Args:
        folder: searched for .mid and .midi files at any depth.
        out: the HDF5 file; replaced as a whole, at the end.
        hop_bars: bars from one window to the next.
        max_windows: most windows of one song, drawn at random; None: all.
        melody_programs: programs that may be a melody.
        workers: processes; None: one a core.
        seed: of the draw.
        progress: show a progress bar.

    Returns:
        How many files gave windows ("used"), how many windows there are ("windows"), and how
        many files were left out, by reason.

    Raises:
        DatasetError: the folder holds no MIDI file, or none of them a trio.
    """
    folder = Path(folder)
    paths = sorted(
        p for p in folder.rglob("*") if p.suffix.lower() in MIDI_SUFFIXES and p.is_file()
    )
    if not paths:
        raise DatasetError(f"{folder}: no .mid or .midi file at any depth")
    read = partial(
        _song_windows,
        hop_bars=hop_bars,
        max_windows=max_windows,
        melody_programs=frozenset(melody_programs),
        seed=seed,
    )
    counts: Counter[str] = Counter()
    kept: list[tuple[int, Window]] = []
    songs: list[str] = []
    with ProcessPoolExecutor(workers) as pool:
        results = pool.map(read, paths, chunksize=8)
        bar = tqdm(results, total=len(paths), unit="file", disable=None if progress else True)
        for path, found in zip(paths, bar, strict=True):
            if isinstance(found, str):
                counts[found] += 1
                continue
            counts["used"] += 1
            kept += [(len(songs), window) for window in found]
            songs.append(path.relative_to(folder).as_posix())
    counts["windows"] = len(kept)
    if not kept:
        raise DatasetError(f"{folder}: {len(paths)} MIDI files, but no window of a trio in any")
    made_with: dict[str, object] = {
        "hop_bars": hop_bars,
        "max_windows": max_windows,
        "seed": seed,
        "melody_programs": sorted(melody_programs),
    }
    with replacing(out) as path:
        _write(path, kept, songs, made_with)
    return counts


def _song_windows(
    path: Path,
    hop_bars: int,
    max_windows: int | None,
    melody_programs: frozenset[int],
    seed: int,
) -> list[Window] | str:
    """A song's distinct windows, or in a word why it has none."""
    try:
        song = to_song(read_midi(path))
    except MidiError:
        return "unreadable"
    distinct: dict[bytes, Window] = {}
    for window in trio_windows(song, hop_bars, melody_programs):
        distinct.setdefault(window.tokens.tobytes(), window)
    windows = list(distinct.values())
    if max_windows is not None and len(windows) > max_windows:
        windows = random.Random(f"{seed} {path.name}").sample(windows, max_windows)
    return windows or "no window of melody, bass and drums in 4/4"


def _write(
    path: Path, kept: list[tuple[int, Window]], songs: list[str], made_with: dict[str, object]
) -> None:
    windows = [window for _, window in kept]
    with h5py.File(path, "w") as file:
        file.attrs["made_with"] = json.dumps(made_with)
        file.create_dataset("songs", data=songs, dtype=h5py.string_dtype())
        file["song"] = np.array([song for song, _ in kept], np.int32)
        file["bar"] = np.array([window.bar for window in windows], np.int32)
        file["start"] = np.array([window.start for window in windows])
        file["instruments"] = np.array([window.instruments for window in windows], np.int16)
        tokens = np.stack([window.tokens for window in windows]).astype(np.uint16)
        file.create_dataset("tokens", data=tokens, compression="gzip", compression_opts=4)


def read_dataset(path: str | Path) -> Windows:
    """Load a data set that :func:`build_dataset` wrote.

    Raises:
        DatasetError: the file is missing or is no such data set.
    """
    try:
        with h5py.File(path, "r") as file:
            songs = [song.decode() for song in file["songs"][:]]
            windows = Windows(tokens=file["tokens"][:], song=file["song"][:], songs=songs)
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path}: not a data set of build-dataset ({error})") from None
    if windows.tokens.shape[1:] != (256, 3) or len(windows.song) != len(windows.tokens):
        raise DatasetError(f"{path}: tokens have shape {windows.tokens.shape}, wanted (n, 256, 3)")
    return windows


def transpose(tokens: np.ndarray, semitones: int) -> np.ndarray:
    """Shift melody and bass of (steps, 3) tokens, or give them back unshifted where a pitch
    would leave the modelled range."""
    notes = tokens[:, :2] >= FIRST_NOTE
    shifted = tokens[:, :2].astype(np.int64) + semitones * notes
    if (shifted[notes] < FIRST_NOTE).any() or (shifted[notes] >= MELODY_DEPTH).any():
        return tokens
    return np.concatenate([shifted.astype(tokens.dtype), tokens[:, 2:]], axis=1)


def training_batches(
    windows: Windows, batch_size: int, max_transpose: int, seed: int, start: int = 0
) -> Iterator[np.ndarray]:
    """Endless batches, each window drawn from a song drawn at random, so that long songs and
    songs with many tracks do not outweigh the others.

    Args:
        windows: the data set.
        batch_size: windows a batch.
        max_transpose: largest random shift either way, in semitones.
        seed: of the draws; batch number i depends on the seed and i alone.
        start: number of the first batch, so that a resumed training goes on where it stopped.

    Yields:
        (batch, 256, 3) int64 tokens.
    """
    order = np.argsort(windows.song, kind="stable")
    sizes = np.bincount(windows.song, minlength=len(windows.songs))
    firsts = np.cumsum(sizes) - sizes
    playable = np.flatnonzero(sizes)
    number = start
    while True:
        rng = np.random.default_rng([seed, number])
        songs = rng.choice(playable, batch_size)
        picks = order[firsts[songs] + rng.integers(sizes[songs])]
        shifts = rng.integers(-max_transpose, max_transpose + 1, batch_size)
        batch = [
            transpose(windows.tokens[pick], int(shift))
            for pick, shift in zip(picks, shifts, strict=True)
        ]
        yield np.stack(batch).astype(np.int64)
        number += 1
