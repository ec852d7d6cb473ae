"""Finds the checkpoint in what a user gives, whatever it is wrapped in.

The files of a folder and the members of an archive are treated alike: as ranges of files by name.
"""

import os
import posixpath
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from convert_weights.errors import listed
from convert_weights.formats.compression import decompress, find_decompressor
from convert_weights.formats.file_range import FileRange, files_in
from convert_weights.formats.tar import Members, read_tar, starts_tar
from convert_weights.formats.tfjs_weights import MANIFEST
from musicvae_torch.errors import CheckpointError
from musicvae_torch.io.checkpoint_files import CONFIG_FILE, WEIGHTS_FILE

Kind = Literal["tensorflow", "magenta-js", "keras"]

_PART = re.compile(r"(?P<prefix>.+)\.(?P<part>index|meta|data-\d{5}-of-\d{5})", re.DOTALL)
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HDF5_SUFFIXES = (".h5", ".hdf5")
_ARCHIVE_SUFFIXES = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".zip")
_APPLE_DOUBLE = "._"  # what macOS puts into archives beside each file


@dataclass(frozen=True)
class Source:
    """A checkpoint that was found.

    kind: "tensorflow" (V2), "magenta-js" (a manifest and shards) or "keras" (an HDF5 file).
    name: TensorFlow's prefix, the folder or archive that the manifest is in, or the HDF5 file;
        without the folders around it. location: with them, for errors.
    files: by name. TensorFlow's are NAME.index and NAME.data-XXXXX-of-YYYYY. Magenta.js's are named
        relative to the manifest's folder, and others may be among them. Keras's is a whole file.
    """

    kind: Kind
    name: str
    location: Path
    files: Mapping[str, FileRange]


@contextmanager
def open_source(
    source: str | os.PathLike[str],
    checkpoint: str | None = None,
    *,
    scratch: str | os.PathLike[str] | None = None,
) -> Iterator[Source]:
    """Finds the checkpoint that a user means by `source`; its files are good within the block.

    source: a TensorFlow checkpoint's prefix or one of its files, Magenta.js's manifest, an HDF5
        file; a folder that holds one of these, or in whose folders one is; or a tar, plain or
        compressed by gzip, bzip2 or xz (whatever it is called), that holds one.
    checkpoint: the name of the one that is meant, where there are several.
    scratch: the folder to unpack a compressed archive in; None: the system's temporary folder.

    Raises CheckpointError if there is no checkpoint, or several and none is chosen, or an archive
    is damaged; OSError if files cannot be read.
    """
    path = Path(source)
    if found := _named_source(path):
        if checkpoint not in (None, found.name):
            raise CheckpointError(f"{path}: is one checkpoint, {found.name}, no {checkpoint!r}")
        yield found
    elif path.is_dir():
        yield _choose(path, _list_folder(path), checkpoint)
    elif path.is_file():
        with _uncompressed(path, scratch) as archive:
            yield _choose(path, read_tar(archive, os.fspath(path)), checkpoint)
    else:
        what = "is no plain file" if path.exists() else "no such file or folder"
        raise CheckpointError(f"{path}: {what}, and there is no checkpoint {path}.index")


def _named_source(path: Path) -> Source | None:
    """The checkpoint of which a path names a file or the prefix; None if it does not."""
    part = _PART.fullmatch(path.name)
    prefix = part["prefix"] if part else path.name
    if (path.parent / f"{prefix}.index").is_file():
        return _source("tensorflow", path.parent, files_in(path.parent), prefix)
    if not path.is_file():
        return None
    if part:
        raise CheckpointError(f"{path}: cannot be read without {prefix}.index beside it")
    if path.name == MANIFEST:
        return _source("magenta-js", path.parent, files_in(path.parent), MANIFEST)
    file = FileRange.whole(path)
    return _source("keras", path.parent, {path.name: file}, path.name) if _is_hdf5(file) else None


@contextmanager
def _uncompressed(path: Path, scratch: str | os.PathLike[str] | None) -> Iterator[Path]:
    """A file that is a tar, or its decompressed content."""
    with path.open("rb") as file:
        head = file.read(512)
    if decompressor := find_decompressor(head):
        with tempfile.TemporaryDirectory(dir=scratch, prefix=".convert-weights-") as folder:
            archive = Path(folder) / "archive.tar"
            decompress(path, decompressor, archive, starts_tar)
            yield archive
    elif starts_tar(head):
        yield path
    else:
        raise CheckpointError(
            f"{path}: is neither a checkpoint nor a tar; an archive of another kind must be"
            " unpacked, and the folder be given"
        )


def _list_folder(folder: Path) -> Members:
    """The files of a folder; where no checkpoint is among them, those of its folders too."""
    members = files_in(folder)
    if not _find_checkpoints(members):
        for path in sorted(folder.iterdir()):
            if path.is_dir() and os.access(path, os.R_OK | os.X_OK):
                members |= {f"{path.name}/{name}": file for name, file in files_in(path).items()}
    return members


def _find_checkpoints(members: Members) -> dict[str, Kind]:
    """The checkpoints among members and their kinds, by prefix, manifest, or HDF5 file."""
    found: dict[str, Kind] = {}
    for name, file in members.items():
        base = posixpath.basename(name)
        if base.startswith(_APPLE_DOUBLE):
            continue
        if base.endswith(".index"):
            found[name.removesuffix(".index")] = "tensorflow"
        elif base == MANIFEST:
            found[name] = "magenta-js"
        elif base.endswith(_HDF5_SUFFIXES) and isinstance(file, FileRange) and _is_hdf5(file):
            found[name] = "keras"
    return found


def _choose(path: Path, members: Members, checkpoint: str | None) -> Source:
    """The checkpoint of that name among the members of `path`; None: the only one."""
    found = _find_checkpoints(members)
    if not found:
        raise CheckpointError(f"{path}: {_explain_absence(members)}")
    names = list(found)
    if checkpoint in found:
        names = [checkpoint]
    elif checkpoint is not None:
        names = [
            name for name in found if checkpoint in (*name.split("/")[-2:], posixpath.dirname(name))
        ]
    if not names:
        raise CheckpointError(
            f"{path}: has no checkpoint {checkpoint!r}, only {listed(sorted(found))}"
        )
    if len(names) > 1:
        raise CheckpointError(
            f"{path}: holds {len(names)} checkpoints, choose by --checkpoint NAME: "
            f"{listed(sorted(names))}"
        )
    (name,) = names
    return _source(found[name], path, members, name)


def _source(kind: Kind, path: Path, members: Members, name: str) -> Source:
    """The checkpoint `name` (a prefix, a manifest, an HDF5 file) among the members of `path`."""
    folder, base = posixpath.split(name)
    if kind == "tensorflow":
        wanted = re.compile(rf"{re.escape(name)}\.(index|data-\d{{5}}-of-\d{{5}})")
        names = {member: posixpath.basename(member) for member in filter(wanted.fullmatch, members)}
        location = path / name
    elif kind == "magenta-js":
        start = f"{folder}/" if folder else ""
        names = {
            member: member.removeprefix(start) for member in members if member.startswith(start)
        }
        location = path / folder
        base = location.resolve().name
    else:
        if path.is_file():
            raise CheckpointError(f"{path}: unpack {name} from this archive and give that")
        names, location = {name: base}, path / name
    files = {}
    for member, short in names.items():
        file = members[member]
        if isinstance(file, FileRange):
            files[short] = file
        elif kind == "tensorflow" or member == name:
            raise CheckpointError(f"{path}: {member} is {file}, expected a file")
    return Source(kind, base, location, files)


def _is_hdf5(file: FileRange) -> bool:
    start = file.map(0, min(file.size, len(_HDF5_SIGNATURE)))
    return start.tobytes() == _HDF5_SIGNATURE


def _explain_absence(members: Members) -> str:
    """The reason why members hold no checkpoint, as far as their names show it."""
    if CONFIG_FILE in members and WEIGHTS_FILE in members:
        return "holds a network that is converted already; --to writes a MusicVAE for Magenta"
    for name in members:
        part = _PART.fullmatch(name)
        if part and part["part"].startswith("data"):
            return f"holds {name}, which cannot be read without {part['prefix']}.index"
    for name in members:
        if name.endswith(_ARCHIVE_SUFFIXES):
            return f"holds no checkpoint, but the archive {name}: give that itself"
    only = f", only {listed(sorted(members))}" if members else ", no files at all"
    return f"holds no checkpoint (NAME.index, {MANIFEST} or NAME.h5){only}"
