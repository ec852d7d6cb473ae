"""Decompression of files of gzip, bzip2 and xz, which are recognised by their first bytes."""

import bz2
import gzip
import lzma
import shutil
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from convert_weights.errors import located
from musicvae_torch.errors import CheckpointError

_CHUNK = 1024 * 1024
# The largest released model takes 5 GB with the optimiser's state and cuDNN's second copies.
_MAX_SIZE = 16 * 1024**3
_MAX_MEMORY = 256 * 1024 * 1024  # `xz -9` asks for a quarter of that

_Chunks = Callable[[BinaryIO], Iterator[bytes]]


def find_decompressor(head: bytes) -> _Chunks | None:
    """The decompressor of a file that begins with `head` (6 bytes or more); None: it needs none."""
    return next((chunks for magic, chunks in _FORMATS if head.startswith(magic)), None)


def decompress(
    source: Path, chunks: _Chunks, target: Path, is_wanted: Callable[[bytes], bool]
) -> None:
    """Decompresses the file `source` into the file `target`.

    is_wanted: decides by the first 512 decompressed bytes whether to go on.
    Raises CheckpointError if the content is not wanted, is damaged or cut off, or takes over 16 GiB
    or over half of the free space of target's file system (a conversion takes as much again).
    """
    limit = min(_MAX_SIZE, shutil.disk_usage(target.parent).free // 2)
    head, size = b"", 0
    with located(source), source.open("rb") as packed, target.open("wb") as unpacked:
        for chunk in _translate_errors(chunks(packed)):
            if len(head) < 512:
                head += chunk[: 512 - len(head)]
                if len(head) == 512 and not is_wanted(head):
                    break
            size += len(chunk)
            if size > limit:
                raise CheckpointError(
                    f"decompresses to over {limit / 1e9:.1f} GB, for which {target.parent} has no"
                    " space: decompress it elsewhere and give the result"
                )
            unpacked.write(chunk)
        if not is_wanted(head):
            raise CheckpointError("is compressed, but is no tar archive: decompress it first")


def _translate_errors(chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except (EOFError, lzma.LZMAError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the decompressor's
        raise CheckpointError(f"cannot be decompressed, it may be cut off: {error}") from None


def _gunzip(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as stream:
        yield from iter(partial(stream.read, _CHUNK), b"")


def _decode(
    decoder: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], file: BinaryIO
) -> Iterator[bytes]:
    """Decompresses streams that follow each other, perhaps with zeros in between."""
    data = file.read(_CHUNK)
    while data:
        stream = decoder()
        while not stream.eof:
            yield stream.decompress(data, _CHUNK)
            data = file.read(_CHUNK) if stream.needs_input else b""
            if stream.needs_input and not data:
                raise EOFError("the compressed data ends early")
        data = (stream.unused_data or file.read(_CHUNK)).lstrip(b"\0")


# bz2.BZ2File would do for bzip2, but lzma.LZMAFile lets a file ask for memory without limit.
_unxz = partial(_decode, partial(lzma.LZMADecompressor, memlimit=_MAX_MEMORY))
_FORMATS: tuple[tuple[bytes, _Chunks], ...] = (
    (b"\x1f\x8b", _gunzip),
    (b"BZh", partial(_decode, bz2.BZ2Decompressor)),
    (b"\xfd7zXZ\0", _unxz),
    (b"]\0\0\x80\0", _unxz),
)
