"""Songs of other splits, whose near-duplicates a data set to train on must not hold."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, starmap
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from musicvae_torch.converters.registry import get_converter, has_drums_alone
from musicvae_torch.dataset.extraction import file_digest, same_windows
from musicvae_torch.dataset.folders import file_state, find_songs
from musicvae_torch.dataset.format import dataset_config, open_dataset
from musicvae_torch.dataset.options import WindowOptions
from musicvae_torch.dataset.phrases import FEWEST, PhraseIndex, song_phrases, window_phrases
from musicvae_torch.errors import DatasetError, MidiError
from musicvae_torch.io.workers import Failure, map_in_processes
from musicvae_torch.midi.fast import read_song
from musicvae_torch.midi.notes import is_midi


class HeldOutSong(NamedTuple):
    """Hashes by which a song of another split is recognised.

    Attributes:
        name: its path in the folder that was read.
        digest: hash of the file's bytes.
        phrases: as :func:`song_phrases` gives them.
    """

    name: str
    digest: bytes
    phrases: np.ndarray


@dataclass(frozen=True)
class HeldOutSplit:
    """The result of comparing songs with another split.

    Attributes:
        label: its name.
        songs: how many it has.
        unread: how many of those cannot be read.
        plain: how many have too few phrases to be recognised by anything but their bytes.
        near_duplicates: songs of the folders that are left out because of one of these.
    """

    label: str
    songs: int
    unread: int
    plain: int
    near_duplicates: int = 0


class HeldOut:
    """All songs of other splits.

    Args:
        splits: by label, the songs and how many more could not be read.

    Attributes:
        splits: how each was compared.
    """

    def __init__(self, splits: dict[str, tuple[list[HeldOutSong], int]]) -> None:
        self.splits = []
        self._songs = []
        for label, (songs, unread) in splits.items():
            plain = sum(len(song.phrases) < FEWEST for song in songs)
            self.splits.append(HeldOutSplit(label, len(songs) + unread, unread, plain))
            self._songs += [(label, song) for song in songs]
        self._digests = {song.digest: row for row, (_, song) in enumerate(self._songs)}
        self._index = PhraseIndex(song.phrases for _, song in self._songs)

    def find(self, digest: bytes, phrases: np.ndarray, share: float) -> tuple[str, str] | None:
        """The held-out song that a song is a near-duplicate of, if there is one.

        Args:
            digest, phrases: of the song.
            share: as for :meth:`PhraseIndex.near_duplicate`.

        Returns:
            The label of its split, and its name with what they have in common.
        """
        if (row := self._digests.get(digest)) is not None:
            return self._songs[row][0], f"{self._songs[row][1].name} (the same file)"
        found = self._index.near_duplicate(phrases, share)
        if found is None:
            return None
        label, song = self._songs[found.song]
        return label, f"{song.name} ({found})"


def held_out_key(path: Path, label: str) -> list[str]:
    """A key that changes with the content of a folder or data set that is held out.

    Raises:
        DatasetError: it is missing, a folder without a MIDI file, or no data set.
    """
    if path.is_dir():
        return [label, find_songs([path], [""]).hash()]
    if not path.exists():
        raise DatasetError(
            f"{path}: no such folder or data set; hold out a folder of MIDI files, or a file of "
            "build-dataset"
        )
    if is_midi(path):
        raise DatasetError(f"{path}: is one MIDI file; hold out the folder that it is in")
    with open_dataset(path) as file:
        return [label, str(file.attrs.get("build", file_state(path)))]


def read_held_out(
    paths: Sequence[Path], labels: Sequence[str], options: WindowOptions, guard: dict[str, Any]
) -> HeldOut:
    """Read the songs of other splits.

    Args:
        paths: folders of MIDI files and data sets.
        labels: (paths,) their names.
        options: of the data set to train on.
        guard: limits of the processes that read files, as arguments of :func:`map_in_processes`.

    Raises:
        DatasetError: one is missing, or of windows of another kind.
    """
    splits = {}
    for path, label in zip(paths, labels, strict=True):
        if path.is_dir():
            splits[label] = _read_folder(path, has_drums_alone(options.converter()), guard)
        else:
            splits[label] = _read_dataset(path, options), 0
    return HeldOut(splits)


def _read_folder(folder: Path, drums: bool, guard: dict[str, Any]) -> tuple[list[HeldOutSong], int]:
    files = find_songs([folder], [""])
    tasks = list(zip(files.names, files.paths, strict=True))
    songs = [
        answer
        for _, answer in map_in_processes(partial(_read_file, drums=drums), iter(tasks), **guard)
        if answer is not None and not isinstance(answer, Failure)
    ]
    if not songs:
        raise DatasetError(
            f"{folder}: none of its {len(tasks)} MIDI files can be read, so nothing of it can be "
            "held out"
        )
    return sorted(songs, key=lambda song: song.name), len(tasks) - len(songs)


def _read_file(task: tuple[str, Path], drums: bool) -> HeldOutSong | None:
    name, path = task
    try:
        if not path.is_file():  # a pipe, say, which would never end
            return None
        digest = file_digest(path)
        return HeldOutSong(name, digest, song_phrases(read_song(path), drums))
    except (OSError, MidiError):
        return None


def _read_dataset(path: Path, options: WindowOptions) -> list[HeldOutSong]:
    with open_dataset(path) as file:
        stored = dataset_config(file)
        if not same_windows(options.config, stored):
            raise DatasetError(
                f"{path}: holds windows of {stored.name}, which cannot be compared with those of "
                f"{options.config.name}; hold out a data set of that config, or the folder of MIDI "
                "files that this one was made of"
            )
        names = [os.fsdecode(song) for song in file["songs"][:]]
        digests = [row.tobytes() for row in file["digest"][:]]
        converter, drums = get_converter(stored), has_drums_alone(get_converter(stored))
        return [
            HeldOutSong(name, digest, window_phrases(*windows, converter, drums))
            for name, digest, windows in zip(names, digests, _song_windows(file), strict=True)
        ]


def _song_windows(
    file: h5py.File,
) -> Iterator[tuple[np.ndarray, list[int], list[tuple[int, ...]]]]:
    """Each song's windows, with the bar where each begins and its tracks."""
    song = file["song"][:]
    bars, tracks = np.zeros(len(song), np.int64), np.arange(len(song))[:, None]
    if {"bar", "instruments"} <= set(file):  # imported windows do not say where they lie
        bars, tracks = file["bar"][:], file["instruments"][:]
    if "transposition" in file:  # a copy in another key has lines of its own
        tracks = np.concatenate([tracks, file["transposition"][:][:, None]], axis=1)
    bounds = np.searchsorted(song, np.arange(len(file["songs"]) + 1)).tolist()
    for own in starmap(slice, pairwise(bounds)):
        yield file["tokens"][own], bars[own].tolist(), [tuple(row) for row in tracks[own].tolist()]
