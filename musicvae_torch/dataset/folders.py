"""Folders of MIDI files: what is in them, and the names of their songs.

A song's name is its path in its folder. If several folders are read, the folder's own name and two
slashes come before it, as in ``archive//jazz/song.mid``.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from musicvae_torch.dataset.report import SkippedFile
from musicvae_torch.dataset.splits import SPLITS, TABLE, read_splits
from musicvae_torch.errors import DatasetError
from musicvae_torch.midi.notes import is_midi, no_midi_in

FOLDER_MARK = "//"


@dataclass(frozen=True)
class SongFiles:
    """The MIDI files of some folders.

    Attributes:
        names: of the songs, in order.
        paths: (songs,) of the files.
        folders: (songs,) index of each song's folder.
        splits: (songs,) train, validation or test, by the table of the song's folder
            (:mod:`musicvae_torch.dataset.splits`); empty: it has none.
        left_out: folders that could not be read and songs of other splits: name, reason, detail.
    """

    names: list[str]
    paths: list[Path]
    folders: list[int]
    splits: list[str]
    left_out: list[SkippedFile]

    def hash(self) -> str:
        """A hash of the names, of each file's :func:`file_state`, and of the splits, if any."""
        files = hashlib.sha256("".join(self.splits).encode())
        for name, path in zip(self.names, self.paths, strict=True):
            files.update(os.fsencode(name) + b"\0" + file_state(path).encode() + b"\0")
        return files.hexdigest()


def file_state(path: Path) -> str:
    """Size, time and kind of a file, by which a change is noticed."""
    try:
        status = path.stat()
    except OSError as error:
        return str(error.errno)
    return f"{status.st_size} {status.st_mtime_ns} {stat.S_ISREG(status.st_mode)}"


def find_songs(
    folders: Sequence[Path], labels: Sequence[str], wanted: Collection[str] = SPLITS
) -> SongFiles:
    """Find the MIDI files at any depth, without following links to folders.

    Args:
        folders: where to look.
        labels: (folders,) what comes before the names of their songs; empty: nothing.
        wanted: the splits to read of folders that have a table of splits.

    Raises:
        DatasetError: a folder is missing, holds no MIDI file, or none of the splits wanted; or its
            table of splits is damaged.
    """
    found: list[tuple[str, Path, int, str]] = []
    left_out: list[SkippedFile] = []
    for row, (folder, label) in enumerate(zip(folders, labels, strict=True)):
        names, unread = _midi_files(folder)
        if not names:
            raise DatasetError(_nothing_in(folder))
        before = f"{label}{FOLDER_MARK}" if label else ""
        left_out += [SkippedFile(before + name, "unreadable", why) for name, why in unread]
        splits = read_splits(folder)
        own = dict.fromkeys(names, "") if splits is None else splits
        others = [name for name in names if splits and own.get(name) not in wanted]
        left_out += [SkippedFile(before + name, _of_split(own.get(name))) for name in others]
        kept = sorted(set(names) - set(others))
        if not kept:
            raise DatasetError(
                f"{folder}: {TABLE} names no MIDI file of the split {' or '.join(wanted)}"
            )
        found += [(before + name, folder / name, row, own[name]) for name in kept]
    found.sort(key=lambda song: song[0])
    return SongFiles(
        [name for name, *_ in found],
        [path for _, path, *_ in found],
        [row for _, _, row, _ in found],
        [split for *_, split in found],
        left_out,
    )


def _of_split(split: str | None) -> str:
    """Why a song is left out."""
    return f"of the split {split}" if split else f"not in {TABLE}"


def _nothing_in(folder: Path) -> str:
    if not folder.exists():
        return f"{folder}: no such folder; name one that holds MIDI files"
    if not folder.is_dir():
        return f"{folder}: is no folder; name the one that holds the MIDI files"
    return no_midi_in(folder)


def _midi_files(folder: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Sorted paths of MIDI files relative to `folder`; folders that cannot be read, and why."""
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


def distinct_labels(paths: Iterable[Path]) -> list[str]:
    """A label for each path: its name, with as many folders above it as make it distinct."""
    parts = [path.resolve().parts for path in paths]
    return [_label(own, [other for other in parts if other != own]) for own in parts]


def _label(own: tuple[str, ...], others: list[tuple[str, ...]]) -> str:
    for depth in range(1, len(own)):
        if all(other[-depth:] != own[-depth:] for other in others):
            return "/".join(own[-depth:])
    return Path(*own).as_posix()


def check_apart(folders: Sequence[Path], held_out: Sequence[Path]) -> None:
    """Make sure that no file is read twice, and that no file is both trained on and held out.

    Args:
        folders: of the songs to train on.
        held_out: folders and data sets of other splits.

    Raises:
        DatasetError: one is named twice, or lies in another.
    """
    named = [(path, path.resolve(), False) for path in folders]
    named += [(path, path.resolve(), True) for path in held_out]
    for (one, here, one_out), (other, there, other_out) in combinations(named, 2):
        if here == there and one_out != other_out:
            raise DatasetError(
                f"{other}: is both to be trained on and held out; name it on one side alone"
            )
        if here == there:
            raise DatasetError(f"{other}: is named twice; name it once")
        inner, outer = (one, other) if there in here.parents else (other, one)
        if outer.resolve() in inner.resolve().parents:
            raise DatasetError(
                f"{inner}: lies in {outer}, which is named too, and its songs would be read twice; "
                "name folders that lie beside each other"
            )
