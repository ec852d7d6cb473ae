"""A folder of MIDI files → a data set.

Files are read by many processes; what comes of them is stored in parts, from which the data set
is put together in order of the files' paths, so that it depends neither on the number of
processes nor on whether the build was stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import h5py
from tqdm import tqdm

from musicvae_torch import __version__
from musicvae_torch.dataset.format import FORMAT_VERSION, DatasetError, open_dataset
from musicvae_torch.dataset.merge import Merge
from musicvae_torch.dataset.parts import PART_FILES, Outcome, PartStore
from musicvae_torch.dataset.report import SkippedFile, report_path, summary, write_report
from musicvae_torch.dataset.songs import Skipped, WindowOptions, read_windows
from musicvae_torch.notes.midi import is_midi, no_midi_in
from musicvae_torch.processes import Failure, map_guarded

WORKER_MEMORY = 2 * 2**30


@dataclass(frozen=True)
class BuildOptions:
    """How to build a data set.

    Attributes:
        windows: what to keep of a song.
        validation: share of the songs that are set aside to validate on; 0: no split.
        duplicate_share: a song of which at least so much is in a larger one is a near-duplicate.
        keep_duplicates: whether such songs stay, on the side of the larger one, or are left out.
        workers: processes; None: one a core.
        seconds: that reading one file may last.
        progress: whether to show a progress bar.
    """

    windows: WindowOptions
    validation: float = 0.1
    duplicate_share: float = 0.5
    keep_duplicates: bool = False
    workers: int | None = None
    seconds: float = 60.0
    progress: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation must be a share from 0 to below 1, not {self.validation}")
        if not 0 < self.duplicate_share <= 1:
            raise ValueError(
                f"duplicate_share must be above 0 and at most 1, not {self.duplicate_share}"
            )
        for name, value in (("workers", self.workers), ("seconds", self.seconds)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, not {value}")


@dataclass(frozen=True)
class BuildResult:
    """What became of a folder.

    Attributes:
        windows: how many the data set has.
        songs: songs that they are of.
        validation: how many of those are set aside.
        skipped: files that were left out.
        report: where they are listed; None where the data set was there already.
    """

    windows: int
    songs: int
    validation: int
    skipped: list[SkippedFile] = field(default_factory=list)
    report: Path | None = None


def build_dataset(folder: str | Path, out: str | Path, options: BuildOptions) -> BuildResult:
    """Read every MIDI file under `folder` and write its distinct windows to `out`.

    What is finished is kept in the folder `out` with ".parts" added, from where the same call
    goes on; that folder is removed in the end. Beside `out` a report lists what was left out.

    Args:
        folder: searched for MIDI files (of MIDI_SUFFIXES) at any depth; links to folders are not
            followed.
        out: the HDF5 file; replaced as a whole, at the end; left as it is if it is of this very
            build.
        options: what to keep, and how to go about it.

    Raises:
        DatasetError: the folder holds no MIDI file, or none of them a window; or a stopped build
            of other options or files is in the way.
    """
    folder, out = Path(folder), Path(out)
    names, closed = _midi_files(folder)
    if not names:
        raise DatasetError(no_midi_in(folder))
    plan = _plan(folder, names, options.windows)
    key = _build_key(plan, options)
    parts = out.with_name(f"{out.name}.parts")
    if (built := _already_built(out, key)) is not None:
        with suppress(DatasetError):  # of another build, which has nothing to do with this one
            PartStore(parts, plan).remove()
        return built
    store = PartStore(parts, plan)
    _read_files(folder, names, store, options)
    merge = Merge(
        store,
        names,
        options.windows,
        validation=options.validation,
        duplicate_share=options.duplicate_share,
        keep_duplicates=options.keep_duplicates,
    )
    unread = [SkippedFile(name, "unreadable", why) for name, why in closed]
    skipped = sorted(merge.skipped() + unread)
    if not merge.windows:
        store.remove()
        raise DatasetError(
            f"{folder}: {len(names)} MIDI files, but no window of {options.windows.config.name} "
            f"in any ({', '.join(f'{count} {reason}' for reason, count in summary(skipped))})"
        )
    # In the parts' folder, so that nothing else is left where this is cut short.
    with h5py.File(store.folder / "merged.h5", "w") as file:
        made = {"library_version": __version__, "build": key}
        merge.write(file, made, options.progress)
    write_report(report_path(out), skipped)
    (store.folder / "merged.h5").replace(out)
    store.remove()
    validation = 0 if merge.validation is None else int(merge.validation.sum())
    return BuildResult(merge.windows, merge.songs, validation, skipped, report_path(out))


def _midi_files(folder: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Paths of MIDI files relative to `folder`, in order; and folders that cannot be read."""
    closed: list[tuple[str, str]] = []

    def note(error: OSError) -> None:
        closed.append((os.path.relpath(error.filename, folder), error.strerror or str(error)))

    names = [
        Path(parent, name).relative_to(folder).as_posix()
        for parent, _, files in os.walk(folder, onerror=note)
        for name in files
        if is_midi(name)
    ]
    return sorted(names), closed


def _plan(folder: Path, names: list[str], options: WindowOptions) -> dict[str, Any]:
    """What decides the parts, as JSON data; each entry is called as in messages."""
    files = hashlib.sha256()
    for name in names:
        try:
            status = (folder / name).stat()
            seen = f"{status.st_size} {status.st_mtime_ns} {stat.S_ISREG(status.st_mode)}"
        except OSError as error:
            seen = str(error.errno)
        files.update(os.fsencode(name) + b"\0" + seen.encode() + b"\0")
    return {
        "version": f"{__version__}, format {FORMAT_VERSION}",
        "config": json.loads(json.dumps(options.config.to_dict())),
        "options": options.to_dict() | {"part_files": PART_FILES},
        "files": files.hexdigest(),
    }


def _build_key(plan: dict[str, Any], options: BuildOptions) -> str:
    chosen = [plan, options.validation, options.duplicate_share, options.keep_duplicates]
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def _already_built(out: Path, key: str) -> BuildResult | None:
    """What `out` holds if it is of the build `key`."""
    try:
        with open_dataset(out) as file:
            if file.attrs.get("build") != key:
                return None
            validation = int(file["validation"][:].sum()) if "validation" in file else 0
            return BuildResult(len(file["tokens"]), len(file["songs"]), validation)
    except DatasetError:
        return None


def _read_files(folder: Path, names: list[str], store: PartStore, options: BuildOptions) -> None:
    """Write the parts that are missing."""
    starts = range(0, len(names), PART_FILES)
    missing = [part for part in range(len(starts)) if not store.path(part).is_file()]
    runs = {part: range(len(names))[starts[part] : starts[part] + PART_FILES] for part in missing}
    left = sum(map(len, runs.values()))
    numbers = (number for run in runs.values() for number in run)
    tasks = ((number, folder / names[number]) for number in numbers)
    found: dict[int, dict[int, Outcome]] = {part: {} for part in missing}
    answers = map_guarded(
        partial(_read_file, options=options.windows),
        tasks,
        workers=min(options.workers or os.cpu_count() or 1, left or 1),
        seconds=options.seconds,
        memory=WORKER_MEMORY,
    )
    progress = tqdm(
        total=len(names),
        initial=len(names) - left,
        unit="file",
        disable=None if options.progress else True,
    )
    with progress:
        for (number, _), answer in answers:
            part = number // PART_FILES
            found[part][number] = _failed(answer) if isinstance(answer, Failure) else answer
            if len(found[part]) == len(runs[part]):
                store.write(part, found.pop(part))
            progress.update()


def _read_file(task: tuple[int, Path], options: WindowOptions) -> Outcome:
    return read_windows(task[1], options)


def _failed(failure: Failure) -> Skipped:
    return Skipped("timed out") if failure == "timed out" else Skipped("crashed", failure)
