"""The shards of a build → one data set, without near-duplicates, with songs to validate on."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import h5py
import numpy as np
from tqdm import tqdm

from musicvae_torch.dataset.fingerprints import find_copies
from musicvae_torch.dataset.folders import SongFiles
from musicvae_torch.dataset.format import DatasetWriter
from musicvae_torch.dataset.held_out import HeldOut
from musicvae_torch.dataset.options import BuildOptions
from musicvae_torch.dataset.phrases import PhraseIndex
from musicvae_torch.dataset.report import SkippedFile
from musicvae_torch.dataset.shards import FILES_PER_SHARD, Shard, ShardStore, widened
from musicvae_torch.dataset.splits import VALIDATION

_SONG_ARRAYS = ("files", "digests", "counts", "samples", "sample_counts", "sizes", "wholes")
NEAR_HELD_OUT = "near-duplicate of held-out "
NEAR_VALIDATION = "near-duplicate of a validation song"


class Merge:
    """All shards of a build, without their windows until these are written.

    Args:
        store: the shards.
        files: that they are of.
        options: of their windows, and which songs to keep.
        compare: whether the shards hold phrases, by which no song to train on may be a
            near-duplicate of one to validate on.
        held_out: songs of other splits, whose near-duplicates are left out.

    Attributes:
        windows, songs: how many are kept.
        validation: (songs,) bool, or None without a split.
        skipped: what was left out.
    """

    def __init__(
        self,
        store: ShardStore,
        files: SongFiles,
        options: BuildOptions,
        compare: bool,
        held_out: HeldOut | None,
    ) -> None:
        self._store = store
        self._names = files.names
        self._options = options
        self._converter = options.windows.converter()
        self._shards = range(-(-len(files.names) // FILES_PER_SHARD))
        self.skipped: list[SkippedFile] = []
        self._widths: dict[str, int] = {}
        every = self._gather()
        self._files = every["files"]
        self._kept = np.ones(len(self._files), bool)
        if held_out is not None:
            self._leave_out(self._held_out(held_out))
        splits = np.array(files.splits)[self._files]
        self._split = splits != ""
        self._leave_out_copies(every, np.array(files.folders)[self._files])
        self.validation = None
        if options.validation or (splits == VALIDATION).any():
            drawn = (digest_shares(every["digests"]) < options.validation)[self._originals]
            aside = np.where(self._split, splits == VALIDATION, drawn)
            if compare:
                self._leave_out(self._near_those(aside))
            self.validation = aside[self._kept]
        self.songs = int(self._kept.sum())
        self.windows = int(every["counts"][self._kept].sum())
        self._digests = every["digests"][self._kept]

    def _gather(self) -> dict[str, np.ndarray]:
        """What decides which songs are kept, of all shards."""
        gathered: dict[str, list[np.ndarray]] = {}
        for shard in self._read():
            for name in _SONG_ARRAYS:
                gathered.setdefault(name, []).append(getattr(shard, name))
            for number, why, detail in shard.skipped:
                self.skipped.append(SkippedFile(self._names[number], why, detail))
            for name, column in shard.columns.items():
                if column.ndim == 2:
                    self._widths[name] = max(self._widths.get(name, 0), column.shape[1])
        return {name: np.concatenate(arrays) for name, arrays in gathered.items()}

    def _read(self) -> Iterator[Shard]:
        for number in self._shards:
            yield self._store.read(number)

    def _leave_out(self, songs: Iterable[tuple[int, str, str]]) -> None:
        """Leave songs out, each with the reason and its detail."""
        for song, why, detail in songs:
            self._kept[song] = False
            self.skipped.append(SkippedFile(self._names[self._files[song]], why, detail))

    def _held_out(self, held_out: HeldOut) -> Iterator[tuple[int, str, str]]:
        """Near-duplicates of songs of other splits."""
        song = 0
        for shard in self._read():
            for digest, phrases in zip(shard.digests, shard.song_phrases(), strict=True):
                found = held_out.find(digest.tobytes(), phrases, self._options.duplicate_share)
                if found is not None:
                    yield song, f"{NEAR_HELD_OUT}{found[0]}", f"of {found[1]}"
                song += 1

    def _leave_out_copies(self, every: dict[str, np.ndarray], folders: np.ndarray) -> None:
        """Find which of the songs left are copies of others, and leave them out; if duplicates are
        to be kept, leave out only those that are the same file in another folder. Songs with a
        split of their own are compared with none: whoever made the split has seen to that."""
        drawn = self._kept & ~self._split
        left = np.flatnonzero(drawn)
        chosen = np.repeat(drawn, every["sample_counts"])
        originals = find_copies(
            every["samples"][chosen],
            np.cumsum(every["sample_counts"][left]),
            every["sizes"][left],
            every["wholes"][left],
            self._options.duplicate_share,
        )
        self._originals = np.arange(len(self._files))
        self._originals[left] = left[originals]
        of = self._originals
        if self._options.keep_duplicates:
            _, first, group = np.unique(
                every["digests"], axis=0, return_index=True, return_inverse=True
            )
            of = first[group.reshape(-1)]
            of = np.where(folders[of] != folders, of, np.arange(len(of)))
        self._leave_out(
            (song, "duplicate", f"of {self._names[self._files[of[song]]]}")
            for song in np.flatnonzero(self._kept & (of != np.arange(len(of)))).tolist()
        )

    def _near_those(self, aside: np.ndarray) -> Iterator[tuple[int, str, str]]:
        """Other songs that are near-duplicates of those set aside."""
        rows = np.flatnonzero(self._kept & aside)
        others = self._kept & ~aside & ~self._split
        index = PhraseIndex(self._phrases(self._kept & aside))
        songs = np.flatnonzero(others).tolist()
        for song, phrases in zip(songs, self._phrases(others), strict=True):
            found = index.near_duplicate(phrases, self._options.duplicate_share)
            if found is not None:
                name = self._names[self._files[rows[found.song]]]
                yield song, NEAR_VALIDATION, f"of {name} ({found})"

    def _phrases(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        """The phrases of the songs that are wanted, (songs,) bool."""
        first = 0
        for shard in self._read():
            own = wanted[first : first + len(shard.files)]
            first += len(own)
            yield from (of for of, use in zip(shard.song_phrases(), own, strict=True) if use)

    def write(self, file: h5py.File, attributes: dict[str, str], record: dict[str, Any]) -> None:
        """Fill an empty file.

        Args:
            attributes: to be added to the file's own.
            record: to be added to the options, which say how the data set was made.
        """
        options, windows = self._options, self._options.windows
        names = ("validation", "duplicate_share", "keep_duplicates")
        used = windows.to_dict() | {name: getattr(options, name) for name in names} | record
        made = {"config": json.dumps(windows.config.to_dict()), "options": json.dumps(used)}
        writer = DatasetWriter(file, self.windows, attributes | made)
        row, first, shards = 0, 0, len(self._shards)
        hidden = None if options.progress else True
        for shard in tqdm(self._read(), "writing", shards, disable=hidden):
            kept = self._kept[first : first + len(shard.files)]
            first += len(kept)
            if kept.any():
                writer.add(**self._shard_columns(shard, kept, row))
                row += int(kept.sum())
        songs = [self._names[number] for number in self._files[self._kept].tolist()]
        writer.add_songs(songs, self._digests, self.validation)

    def _shard_columns(self, shard: Shard, kept: np.ndarray, row: int) -> dict[str, np.ndarray]:
        of_kept = np.repeat(kept, shard.counts)
        columns = {name: column[of_kept] for name, column in shard.columns.items()}
        for name, width in self._widths.items():
            columns[name] = widened(columns[name], width)
        rows = row + np.arange(kept.sum(), dtype=np.int32)
        song = np.repeat(rows, shard.counts[kept])
        return {"tokens": self._tokens(shard, kept), "song": song.astype(np.int32), **columns}

    def _tokens(self, shard: Shard, kept: np.ndarray) -> np.ndarray:
        ends = np.cumsum(shard.token_bytes)
        packed = zip(np.split(shard.tokens, ends[:-1]), kept, strict=True)
        raw = b"".join(zlib.decompress(blob.tobytes()) for blob, keep in packed if keep)
        tokens: np.ndarray = np.frombuffer(raw, self._converter.token_dtype)
        return tokens.reshape(int(shard.counts[kept].sum()), self._converter.steps, -1)


def digest_shares(digests: np.ndarray) -> np.ndarray:
    """(n, 16) uint8 hashes → (n,) numbers from 0 to 1, by which a split is decided."""
    firsts = np.ascontiguousarray(digests[:, :8]).view(np.uint64)[:, 0]
    return firsts / 2.0**64
