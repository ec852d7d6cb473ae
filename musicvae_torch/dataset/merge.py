"""The parts of a build → the data set: what are near-duplicates, who validates, one file."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator

import h5py
import numpy as np
from tqdm import tqdm

from musicvae_torch.dataset.fingerprints import find_copies
from musicvae_torch.dataset.format import DatasetWriter
from musicvae_torch.dataset.parts import PART_FILES, Part, PartStore, widened
from musicvae_torch.dataset.report import SkippedFile
from musicvae_torch.dataset.songs import WindowOptions

_SONG_ARRAYS = ("files", "digests", "counts", "samples", "sample_counts", "sizes", "wholes")


class Merge:
    """All parts of a build, without their windows until these are written.

    Attributes:
        windows, songs: how many are kept.
        validation: (songs,) bool, or None without a split.
    """

    def __init__(
        self,
        store: PartStore,
        names: list[str],
        options: WindowOptions,
        *,
        validation: float,
        duplicate_share: float,
        keep_duplicates: bool,
    ) -> None:
        self._store = store
        self._names = names
        self._record = {
            "validation": validation,
            "duplicate_share": duplicate_share,
            "keep_duplicates": keep_duplicates,
        }
        self._options = options
        self._converter = options.converter()
        self._parts = range(-(-len(names) // PART_FILES))
        gathered: dict[str, list[np.ndarray]] = {}
        self._skipped: list[tuple[int, str, str]] = []
        self._widths: dict[str, int] = {}
        for part in self._read():
            for name in _SONG_ARRAYS:
                gathered.setdefault(name, []).append(getattr(part, name))
            self._skipped += part.skipped
            for name, column in part.columns.items():
                if column.ndim == 2:
                    self._widths[name] = max(self._widths.get(name, 0), column.shape[1])
        every = {name: np.concatenate(arrays) for name, arrays in gathered.items()}
        self._files = every["files"]
        self._originals = find_copies(
            every["samples"],
            np.cumsum(every["sample_counts"]),
            every["sizes"],
            every["wholes"],
            duplicate_share,
        )
        self._kept = keep_duplicates | (self._originals == np.arange(len(self._files)))
        self.songs = int(self._kept.sum())
        self.windows = int(every["counts"][self._kept].sum())
        self._digests = every["digests"][self._kept]
        self.validation = None
        if validation:
            aside = digest_shares(every["digests"]) < validation
            self.validation = aside[self._originals][self._kept]

    def _read(self) -> Iterator[Part]:
        for number in self._parts:
            yield self._store.read(number)

    def skipped(self) -> list[SkippedFile]:
        """What was left out."""
        found = [SkippedFile(self._names[n], why, detail) for n, why, detail in self._skipped]
        copies = np.flatnonzero(~self._kept)
        found += [
            SkippedFile(self._names[song], "duplicate", f"of {self._names[original]}")
            for song, original in zip(
                self._files[copies], self._files[self._originals[copies]], strict=True
            )
        ]
        return found

    def write(self, file: h5py.File, attributes: dict[str, str], progress: bool) -> None:
        """Fill an empty file; `attributes` are added to those that say how it was made."""
        options = self._options
        made = {
            "config": json.dumps(options.config.to_dict()),
            "options": json.dumps(options.to_dict() | self._record),
        }
        writer = DatasetWriter(file, self.windows, attributes | made)
        row, first = 0, 0
        parts = tqdm(self._read(), "writing", len(self._parts), disable=None if progress else True)
        for part in parts:
            kept = self._kept[first : first + len(part.files)]
            first += len(kept)
            if kept.any():
                writer.add(**self._part_columns(part, kept, row))
                row += int(kept.sum())
        names = [self._names[number] for number in self._files[self._kept]]
        writer.add_songs(names, self._digests, self.validation)

    def _part_columns(self, part: Part, kept: np.ndarray, row: int) -> dict[str, np.ndarray]:
        of_kept = np.repeat(kept, part.counts)
        columns = {name: column[of_kept] for name, column in part.columns.items()}
        for name, width in self._widths.items():
            columns[name] = widened(columns[name], width)
        rows = row + np.arange(kept.sum(), dtype=np.int32)
        song = np.repeat(rows, part.counts[kept])
        return {"tokens": self._tokens(part, kept), "song": song.astype(np.int32), **columns}

    def _tokens(self, part: Part, kept: np.ndarray) -> np.ndarray:
        ends = np.cumsum(part.token_bytes)
        packed = np.split(part.tokens, ends[:-1])
        raw = [
            zlib.decompress(blob.tobytes()) for blob, keep in zip(packed, kept, strict=True) if keep
        ]
        tokens: np.ndarray = np.frombuffer(b"".join(raw), self._converter.token_dtype)
        return tokens.reshape(int(part.counts[kept].sum()), self._converter.steps, -1)


def digest_shares(digests: np.ndarray) -> np.ndarray:
    """(n, 16) uint8 hashes → (n,) numbers from 0 to 1, by which a split is decided."""
    firsts = np.ascontiguousarray(digests[:, :8]).view(np.uint64)[:, 0]
    return firsts / 2.0**64
