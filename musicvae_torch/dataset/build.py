"""Folders of MIDI files → a data set.

Many processes read the files; their windows are stored in shards, from which the data set is put
together in order of the files' paths. So it depends neither on the number of processes nor on
whether the build was stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
from tqdm import tqdm

from musicvae_torch import __version__
from musicvae_torch.dataset.extraction import Skipped, extract_file
from musicvae_torch.dataset.folders import SongFiles, check_apart, distinct_labels, find_songs
from musicvae_torch.dataset.format import FORMAT_VERSION, open_dataset
from musicvae_torch.dataset.held_out import HeldOut, HeldOutSplit, held_out_key, read_held_out
from musicvae_torch.dataset.merge import NEAR_HELD_OUT, Merge
from musicvae_torch.dataset.options import BuildOptions, WindowOptions
from musicvae_torch.dataset.phrases import VERSION as phrases_version
from musicvae_torch.dataset.report import SkippedFile, report_path, summary, write_report
from musicvae_torch.dataset.shards import FILES_PER_SHARD, Outcome, ShardStore
from musicvae_torch.errors import DatasetError, OptionError
from musicvae_torch.io.workers import Failure, map_in_processes

WORKER_MEMORY = 2 * 2**30


@dataclass(frozen=True)
class BuildResult:
    """What became of the folders.

    Attributes:
        windows: how many the data set has.
        songs: songs that they are of.
        validation: how many of those are set aside.
        skipped: files that were left out.
        report: where they are listed; None if the data set was there already.
        held_out: how many were left out for each split that was held out; empty if the data set
            was there already.
    """

    windows: int
    songs: int
    validation: int
    skipped: list[SkippedFile] = field(default_factory=list)
    report: Path | None = None
    held_out: list[HeldOutSplit] = field(default_factory=list)


def build_dataset(
    folders: str | Path | Sequence[str | Path], out: str | Path, options: BuildOptions
) -> BuildResult:
    """Read every MIDI file under some folders and write its distinct windows to `out`.

    Finished work is kept in the folder `out` with ".parts" added, from which the same call goes on
    after a stop; that folder is removed in the end. A report beside `out` lists what was left out.

    Args:
        folders: one or several, searched for MIDI files (of MIDI_SUFFIXES) at any depth; links to
            folders are not followed. Of several, a song is called by the folder's name too, as in
            "archive//jazz/song.mid", and the same file in two of them counts once.
        out: the HDF5 file; replaced as a whole, at the end; left alone if the same build made it.
        options: of the windows and of the build.

    Raises:
        DatasetError: a folder holds no MIDI file, or no file a window; a folder lies in another or
            is named twice; a held-out split is missing or of another config; or a stopped build of
            other options or files is in the way.
    """
    given = [folders] if isinstance(folders, str | Path) else folders
    sources = Sources.find([Path(folder) for folder in given], options)
    out = Path(out)
    if out.resolve() in [path.resolve() for path in sources.held_out]:
        raise DatasetError(f"{out}: is held out, and cannot be written; choose another name")
    plan = _plan(sources, options.windows)
    key = _build_key(plan, sources, options)
    parts = out.with_name(f"{out.name}.parts")
    if (built := _already_built(out, key)) is not None:
        with suppress(DatasetError):  # of another build, which has nothing to do with this one
            ShardStore(parts, plan).remove()
        return built
    held_out = sources.read_held_out(options)
    store = ShardStore(parts, plan)
    _read_files(sources, store, options)
    merge = Merge(store, sources.files, options, sources.compared, held_out)
    skipped = sorted(merge.skipped + sources.files.left_out)
    if not merge.windows:
        store.remove()
        raise DatasetError(
            f"{sources}: {len(sources.files.names)} MIDI files, but no window of "
            f"{options.windows.config.name} in any "
            f"({', '.join(f'{count} {reason}' for reason, count in summary(skipped))})"
        )
    # In the shards' folder, so that nothing else is left behind if this is interrupted.
    with h5py.File(store.folder / "merged.h5", "w") as file:
        merge.write(file, {"library_version": __version__, "build": key}, sources.record())
    write_report(report_path(out), skipped)
    (store.folder / "merged.h5").replace(out)
    store.remove()
    validation = 0 if merge.validation is None else int(merge.validation.sum())
    left_out = Counter(file.reason for file in skipped)
    splits = [
        replace(split, near_duplicates=left_out[f"{NEAR_HELD_OUT}{split.label}"])
        for split in (held_out.splits if held_out else [])
    ]
    return BuildResult(merge.windows, merge.songs, validation, skipped, report_path(out), splits)


@dataclass(frozen=True)
class Sources:
    """What a data set is made of.

    Attributes:
        folders: that are read.
        labels: (folders,) their names.
        held_out: folders and data sets of other splits.
        held_out_labels: (held_out,) their names.
        files: of the folders.
        compared: whether songs are compared by their phrases, to keep splits apart.
    """

    folders: list[Path]
    labels: list[str]
    held_out: list[Path]
    held_out_labels: list[str]
    files: SongFiles
    compared: bool

    @classmethod
    def find(cls, folders: list[Path], options: BuildOptions) -> Sources:
        held_out = [Path(path) for path in options.held_out]
        if not folders:
            raise OptionError("no folder of MIDI files was named")
        check_apart(folders, held_out)
        labels = distinct_labels([*folders, *held_out])
        own, others = labels[: len(folders)], labels[len(folders) :]
        # The names of a single folder's songs need no more.
        files = find_songs(folders, own if len(folders) > 1 else [""], options.split)
        compared = bool(held_out) or options.validation > 0
        return cls(folders, own, held_out, others, files, compared)

    def __str__(self) -> str:
        return ", ".join(map(str, self.folders))

    def record(self) -> dict[str, list[str]]:
        """What the data set says of several folders, and of what was held out."""
        folders = {"folders": self.labels} if len(self.folders) > 1 else {}
        return folders | ({"held_out": self.held_out_labels} if self.held_out else {})

    def read_held_out(self, options: BuildOptions) -> HeldOut | None:
        if not self.held_out:
            return None
        return read_held_out(self.held_out, self.held_out_labels, options.windows, _guard(options))


def _plan(sources: Sources, options: WindowOptions) -> dict[str, Any]:
    """What decides the shards, as JSON data; messages use the names of the entries."""
    phrases = {"phrases": phrases_version} if sources.compared else {}
    return {
        "version": f"{__version__}, format {FORMAT_VERSION}",
        "config": json.loads(json.dumps(options.config.to_dict())),
        "options": options.to_dict() | {"part_files": FILES_PER_SHARD} | phrases,
        "files": sources.files.hash(),
    }


def _build_key(plan: dict[str, Any], sources: Sources, options: BuildOptions) -> str:
    chosen = [plan, options.validation, options.duplicate_share, options.keep_duplicates]
    pairs = zip(sources.held_out, sources.held_out_labels, strict=True)
    chosen += sorted(held_out_key(path, label) for path, label in pairs)
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def _already_built(out: Path, key: str) -> BuildResult | None:
    """What `out` holds, if the build `key` made it."""
    try:
        with open_dataset(out) as file:
            if file.attrs.get("build") != key:
                return None
            validation = int(file["validation"][:].sum()) if "validation" in file else 0
            return BuildResult(len(file["tokens"]), len(file["songs"]), validation)
    except DatasetError:
        return None


def _guard(options: BuildOptions) -> dict[str, Any]:
    """Limits of the processes that read files, as arguments of :func:`map_in_processes`."""
    workers = options.workers or os.cpu_count() or 1
    return {"workers": workers, "seconds": options.seconds, "memory": WORKER_MEMORY}


def _read_files(sources: Sources, store: ShardStore, options: BuildOptions) -> None:
    """Write the shards that are missing."""
    paths = sources.files.paths
    starts = range(0, len(paths), FILES_PER_SHARD)
    runs = {
        shard: range(len(paths))[start : start + FILES_PER_SHARD]
        for shard, start in enumerate(starts)
        if not store.path(shard).is_file()
    }
    tasks = [(number, paths[number]) for run in runs.values() for number in run]
    found: dict[int, dict[int, Outcome]] = {shard: {} for shard in runs}
    reader = partial(_read_file, options=options.windows, phrases=sources.compared)
    progress = tqdm(
        total=len(paths),
        initial=len(paths) - len(tasks),
        unit="file",
        disable=None if options.progress else True,
    )
    with progress:
        for (number, _), answer in map_in_processes(reader, tasks, **_guard(options)):
            shard = number // FILES_PER_SHARD
            found[shard][number] = _skipped(answer) if isinstance(answer, Failure) else answer
            if len(found[shard]) == len(runs[shard]):
                store.write(shard, found.pop(shard))
            progress.update()


def _read_file(task: tuple[int, Path], options: WindowOptions, phrases: bool) -> Outcome:
    return extract_file(task[1], options, phrases=phrases)


def _skipped(failure: Failure) -> Skipped:
    return Skipped("timed out") if failure == "timed out" else Skipped("crashed", failure)
