"""Magenta's released checkpoints by name, from its server or a mirror, into a cache.

from convert_weights.sources.download import download
path = download("cat-mel_2bar_big")
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from convert_weights.formats.file_range import FileRange
from convert_weights.formats.strict_json import field, read_json
from convert_weights.sources.fetch import fetch
from convert_weights.sources.releases import JS_MANIFEST, Release, get_release
from musicvae_torch.errors import CheckpointError, DownloadError


def download(
    name: str,
    folder: str | os.PathLike[str] | None = None,
    base_url: str | None = None,
    progress: bool = True,
) -> Path:
    """Downloads a released checkpoint, unless it is there already; returns the file or folder.

    name: one of RELEASES, or an alias. folder: where checkpoints are kept, each in a folder of its
    name; None for `cache_folder()`. base_url: a mirror that has the two buckets of Magenta's server
    as folders; None for that server. progress: show bars on stderr, if that is a terminal.

    The result is the tar, or the folder that holds the checkpoint. A download that breaks off or is
    stopped goes on at the next call; two at once wait for each other.
    Raises DownloadError for an unknown name or if the files cannot be had, OSError if they cannot
    be written.
    """
    release = get_release(name)
    _check_base(base_url)
    target = (cache_folder() if folder is None else Path(folder)) / release.name
    if not all((target / file).exists() for file in _files(release, target)):
        target.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target / ".lock")  # which the system frees where its process dies
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            if progress:
                print(f"{target}: waiting for another download of it", file=sys.stderr)
            held = lock.acquire()
        with held:
            for file in _files(release, target):
                if not (target / file).exists():
                    fetch(release.url(file, base_url), target / file, progress=progress)
    return target / release.files[0] if release.kind == "tar" else target


def cache_folder() -> Path:
    """The user's cache of checkpoints: $XDG_CACHE_HOME/musicvae-torch, or that in ~/.cache."""
    # The XDG Base Directory Specification has relative paths ignored.
    if (cache := Path(os.environ.get("XDG_CACHE_HOME", ""))).is_absolute():
        return cache / "musicvae-torch"
    try:
        return Path.home() / ".cache" / "musicvae-torch"
    except RuntimeError:
        raise DownloadError("there is no home folder: say which folder to download to") from None


def _check_base(base_url: str | None) -> None:
    if base_url is None:
        return
    try:
        parts = urlsplit(base_url)
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not base_url.isprintable() or " " in base_url:
        raise DownloadError(
            f"{base_url!r}: expected an address that starts with http:// or https://"
        )


def _files(release: Release, target: Path) -> Iterator[str]:
    """A release's files; shards come last, when the manifest that lists them must be there."""
    yield from release.files
    if release.kind == "magenta.js":
        yield from _shards(target / JS_MANIFEST)


def _shards(path: Path) -> list[str]:
    """The files that a magenta.js manifest lists; names that lead elsewhere are refused."""
    try:
        groups = read_json({path.name: FileRange.whole(path)}, path.name)
        if not isinstance(groups, list):
            raise CheckpointError("is no list")
        names = [name for group in groups for name in field(group, "paths", list)]
    except CheckpointError:
        raise DownloadError(
            f"{path}: not a magenta.js manifest, expected a list of groups with their paths; delete"
            " it and run it again"
        ) from None
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
            raise DownloadError(f"{path}: lists {name!r}, expected the plain name of a file")
    return list(dict.fromkeys(names))
