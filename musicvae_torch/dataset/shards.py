"""Shards: the finished pieces of a build, from which it continues after a stop.

A folder beside the data set holds ``plan.json``, which identifies the build, and a file for each
finished run of FILES_PER_SHARD MIDI files.
"""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from musicvae_torch.dataset.extraction import DIGEST_BYTES, ExtractedSong, Skipped
from musicvae_torch.dataset.fingerprints import Fingerprint
from musicvae_torch.errors import DatasetError
from musicvae_torch.io.files import replacing

FILES_PER_SHARD = 64  # few, so that little is lost or held in memory while one file takes long

Outcome = ExtractedSong | Skipped


@dataclass(frozen=True)
class Shard:
    """The songs of a run of files, in order of the files.

    Attributes:
        files: (songs,) numbers of the files with windows.
        digests: (songs, 16) uint8.
        counts: (songs,) windows.
        samples: uint32, the fingerprints' samples one after the other.
        sample_counts, sizes: (songs,) of the samples and of the whole materials.
        wholes: (songs,) uint64; of a song without a fingerprint, from its digest.
        tokens: uint8, each song's tokens, compressed, one after the other.
        token_bytes: (songs,).
        columns: (windows, ...) by name.
        skipped: number, reason and detail of each other file.
        phrases: uint64, those of all songs one after the other; empty unless asked for.
        phrase_counts: (songs,).
    """

    files: np.ndarray
    digests: np.ndarray
    counts: np.ndarray
    samples: np.ndarray
    sample_counts: np.ndarray
    sizes: np.ndarray
    wholes: np.ndarray
    tokens: np.ndarray
    token_bytes: np.ndarray
    columns: dict[str, np.ndarray]
    skipped: list[tuple[int, str, str]]
    phrases: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    phrase_counts: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))

    def song_phrases(self) -> list[np.ndarray]:
        """(songs,) the phrases of each."""
        return np.split(self.phrases, np.cumsum(self.phrase_counts))[:-1]


class ShardStore:
    """The shards of one build.

    Raises:
        DatasetError: the folder holds the shards of another build.
    """

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self.folder = folder
        if folder.is_dir() and any(folder.iterdir()):
            self._check(plan)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(folder / "plan.json") as path:
                path.write_text(json.dumps(plan, indent=2), encoding="utf-8")

    def _check(self, plan: dict[str, Any]) -> None:
        try:
            stored = json.loads((self.folder / "plan.json").read_text(encoding="utf-8"))
            changed = [name for name in plan if stored.get(name) != plan[name]]
        except (OSError, ValueError, AttributeError):
            changed = ["plan"]
        if changed:
            raise DatasetError(
                f"{self.folder}: a build that was stopped here had other {' and '.join(changed)}; "
                "delete this folder to start over, or give the same again to go on"
            )

    def path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    def write(self, number: int, outcomes: dict[int, Outcome]) -> None:
        """Store the result of each file, by its number."""
        ordered = sorted(outcomes.items())
        arrays = _arrays({n: o for n, o in ordered if isinstance(o, ExtractedSong)})
        skipped = [(n, o.reason, o.detail) for n, o in ordered if isinstance(o, Skipped)]
        text = json.dumps(skipped).encode()
        with replacing(self.path(number)) as path, path.open("wb") as file:
            np.savez(file, allow_pickle=False, skipped=np.frombuffer(text, np.uint8), **arrays)

    def read(self, number: int) -> Shard:
        """A shard that was written.

        Raises:
            DatasetError: its file is damaged.
        """
        try:
            with np.load(self.path(number), allow_pickle=False) as file:
                arrays = dict(file)
            skipped = [tuple(row) for row in json.loads(arrays.pop("skipped").tobytes())]
            columns = {
                name.removeprefix("column_"): arrays.pop(name)
                for name in list(arrays)
                if name.startswith("column_")
            }
            return Shard(**arrays, columns=columns, skipped=skipped)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise DatasetError(
                f"{self.path(number)}: damaged ({error}); delete it and give the command again"
            ) from None

    def remove(self) -> None:
        shutil.rmtree(self.folder)


def _arrays(songs: dict[int, ExtractedSong]) -> dict[str, np.ndarray]:
    found = list(songs.values())
    packed = [np.frombuffer(zlib.compress(song.tokens.tobytes(), 1), np.uint8) for song in found]
    prints = [song.print or _fingerprint_of_bytes(song) for song in found]
    phrases = [np.empty(0, np.uint64) if s.phrases is None else s.phrases for s in found]
    return {
        "files": np.array(list(songs), np.int32),
        "digests": np.array([song.digest for song in found], np.uint8).reshape(-1, DIGEST_BYTES),
        "counts": np.array([len(song.tokens) for song in found], np.int32),
        "samples": np.concatenate([np.empty(0, np.uint32), *(own.sample for own in prints)]),
        "sample_counts": np.array([len(own.sample) for own in prints], np.int32),
        "sizes": np.array([own.size for own in prints], np.int32),
        "wholes": np.array([own.whole for own in prints], np.uint64),
        "tokens": np.concatenate([np.empty(0, np.uint8), *packed]),
        "token_bytes": np.array([len(blob) for blob in packed], np.int64),
        "phrases": np.concatenate([np.empty(0, np.uint64), *phrases]),
        "phrase_counts": np.array([len(own) for own in phrases], np.int32),
        **_joined_columns(found),
    }


def _fingerprint_of_bytes(song: ExtractedSong) -> Fingerprint:
    return Fingerprint(np.empty(0, np.uint32), 0, int(song.digest[:8].view(np.uint64)[0]))


def _joined_columns(songs: list[ExtractedSong]) -> dict[str, np.ndarray]:
    if not songs:
        return {}
    joined = {}
    for name, first in songs[0].columns.items():
        columns = [song.columns[name] for song in songs]
        if first.ndim == 2:
            width = max(column.shape[1] for column in columns)
            columns = [widened(column, width) for column in columns]
        joined[f"column_{name}"] = np.concatenate(columns)
    return joined


def widened(column: np.ndarray, width: int) -> np.ndarray:
    """(n, w) → (n, width), filled with -1."""
    padding = ((0, 0), (0, width - column.shape[1]))
    return np.pad(column, padding, constant_values=-1)
