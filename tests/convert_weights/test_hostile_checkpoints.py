"""Damaged and malicious checkpoints end in one line, soon, and in nothing written."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from paths import GOLDEN_FILES
from properties import examples

from convert_weights.conversion import convert
from convert_weights.formats.file_range import FileRange
from convert_weights.formats.sstable import read_table, write_table
from convert_weights.formats.tensor_bundle import (
    Entry,
    encode_entry,
    open_tensor_bundle,
    write_tensor_bundle,
)
from convert_weights.formats.wire import masked_crc32c, varint_field, write_varint
from convert_weights.sources.locate import open_source
from musicvae_torch.errors import CheckpointError

GOLDEN = GOLDEN_FILES / "models" / "hierdec-trio_16bar"
TENSORS = {
    "a/bias": np.arange(3, dtype="f4"),
    "a/kernel": np.arange(6, dtype="f4").reshape(2, 3),
    "global_step": np.array(7),
}
EXPECTED = {name: (array.dtype.name, array.tolist()) for name, array in TENSORS.items()}
INDEX, DATA = "small.index", "small.data-00000-of-00001"
MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
NOTHING = struct.pack("<2I", 0, 1)  # a block without entries
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}

Read = Callable[[dict[str, bytes]], dict[str, object] | None]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small checkpoint's files by name."""
    folder = tmp_path_factory.mktemp("small")
    write_tensor_bundle(folder / "small", TENSORS)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Reads all tensors of the one checkpoint in a folder of files; None if it is refused."""
    folder = tmp_path_factory.mktemp("read")

    def write_and_read(files: dict[str, bytes]) -> dict[str, object] | None:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        source = folder / "small.tar" if "small.tar" in files else folder
        try:
            with open_source(source) as found:
                bundle = open_tensor_bundle(found.location, found.files)
                return {name: (bundle.dtype(name), bundle[name].tolist()) for name in bundle}
        except CheckpointError as error:
            assert len(str(error).splitlines()) == 1
            return None

    return write_and_read


def tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.mark.parametrize("name", [INDEX, DATA])
@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_no_flipped_byte_changes_a_tensor(
    small: dict[str, bytes], read: Read, name: str, mask: int
) -> None:
    assert read(small) == EXPECTED
    harmless = 0
    for position in range(len(small[name])):
        damaged = bytearray(small[name])
        damaged[position] ^= mask
        found = read(small | {name: bytes(damaged)})
        assert found in (None, EXPECTED), position
        harmless += found is not None
    # In the data all matters; in the index, the block without use and the footer's padding do not.
    assert harmless == 0 if name == DATA else harmless < 13 + 40


@pytest.mark.parametrize("name", [INDEX, DATA])
def test_no_truncation_changes_a_tensor(small: dict[str, bytes], read: Read, name: str) -> None:
    for size in range(len(small[name])):
        assert read(small | {name: small[name][:size]}) is None
    assert read(small | {name: small[name] + b"\0"}) == (EXPECTED if name == DATA else None)


@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz"])
def test_no_damage_to_an_archive_changes_a_tensor(
    small: dict[str, bytes], read: Read, packer: str
) -> None:
    archive = PACKERS[packer](tar(small))
    assert read({"small.tar": archive}) == EXPECTED
    for position in range(0, len(archive), 3):
        damaged = bytearray(archive)
        damaged[position] ^= 0x11
        assert read({"small.tar": bytes(damaged)}) in (None, EXPECTED), position
        assert read({"small.tar": archive[:position]}) is None


@st.composite
def mutations(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Replaces a stretch of bytes by another one, from elsewhere in them or made up."""
    start, length, source = (draw(st.integers(0, 2**16)) for _ in range(3))
    made_up = draw(st.none() | st.binary(max_size=20))

    def mutate(content: bytes) -> bytes:
        at, size = start % (len(content) + 1), length % 40
        origin = source % (len(content) + 1)
        new = content[origin : origin + size] if made_up is None else made_up
        return content[:at] + new + content[at + size :]

    return mutate


@examples(150, HealthCheck.function_scoped_fixture)
@given(
    st.sampled_from([INDEX, DATA, *PACKERS]),
    st.lists(mutations(), min_size=1, max_size=3),
    st.booleans(),
)
def test_no_mutation_changes_a_tensor(
    small: dict[str, bytes],
    read: Read,
    target: str,
    mutate: list[Callable[[bytes], bytes]],
    inside: bool,
) -> None:
    """`inside`: of what a compressed archive unpacks to."""
    name = target if target in small else "small.tar"
    content = small[target] if target in small else tar(small)
    pack = PACKERS.get(target, bytes)
    content = content if inside else pack(content)
    for change in mutate:
        content = change(content)
    content = pack(content) if inside else content
    files = small | {name: content} if target in small else {name: content}
    assert read(files) in (None, EXPECTED)


def damaged_sources(folder: Path) -> dict[str, Path]:
    """The golden checkpoint, broken in one place each, by what is broken."""
    files = {path.name: path.read_bytes() for path in sorted(GOLDEN.glob("*.ckpt.*"))}
    data, index = files.values()
    data_name, index_name = files
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    archive = tar(files)
    contents = {
        "data flipped.tar": tar({data_name: flipped, index_name: index}),
        "data short.tar": tar({data_name: data[:-1], index_name: index}),
        "index flipped.tar": tar({data_name: data, index_name: b"\1" + index[1:]}),
        "cut off.tar": archive[: len(archive) // 2],
        "cut off.tar.gz": gzip.compress(archive, 1)[:-1000],
        "wrong sum.tar.gz": gzip.compress(archive, 1)[:-8] + bytes(8),
        "not all.tar": tar({index_name: index}),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


def test_nothing_is_left_of_a_damaged_source(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "home").mkdir()
    for name, source in damaged_sources(tmp_path / "sources").items():
        with pytest.raises(CheckpointError) as caught:
            convert(source, "hierdec-trio_16bar", tmp_path / "home" / "new" / "model")
        assert len(str(caught.value).splitlines()) == 1 and name in str(caught.value)
        assert not list((tmp_path / "home").iterdir()), name


def block(content: bytes, compression: int = 0) -> bytes:
    """A block of a table with its trailer."""
    content += bytes([compression])
    return content + struct.pack("<I", masked_crc32c(content))


def table(data: bytes, handles: list[tuple[int, int]]) -> bytes:
    """A table whose index points at (offset, size) in `data`, with keys of three digits."""
    entries = b""
    for number, (offset, size) in enumerate(handles):
        handle = write_varint(offset) + write_varint(size)
        entries += b"\0\3" + write_varint(len(handle)) + b"%03d" % number + handle
    index = block(entries + struct.pack("<2I", 0, 1))
    footer = b"\0\0" + write_varint(len(data)) + write_varint(len(index) - 5)
    return data + index + footer.ljust(40, b"\0") + MAGIC


def refusal(tmp_path: Path, content: bytes) -> str:
    (tmp_path / "table").write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        list(read_table(FileRange.whole(tmp_path / "table")))
    message = str(caught.value)
    assert str(tmp_path / "table") in message and len(message.splitlines()) == 1
    return message


def test_blocks_that_overlap(tmp_path: Path) -> None:
    # A block without entries breaks no order of keys: it could be read time and again.
    one = block(NOTHING)
    (tmp_path / "good").write_bytes(table(one + one, [(0, 8), (13, 8)]))
    assert not list(read_table(FileRange.whole(tmp_path / "good")))
    assert "overlaps" in refusal(tmp_path, table(one, [(0, 8)] * 2))
    assert "overlaps" in refusal(tmp_path, table(one + one, [(13, 8), (0, 8)]))
    assert "overlaps" in refusal(tmp_path, table(one, [(0, 8), (8, 0)]))


def snappy_bomb(copies: int) -> bytes:
    """A block without entries, 21 times as large unpacked: zeros, and that these are restarts."""
    size = 4 + 64 * copies
    zeros = b"\x0c" + bytes(4) + b"\xfe\4\0" * copies
    return write_varint(size + 4) + zeros + b"\x0c" + struct.pack("<I", size // 4)


def test_snappy_bombs(tmp_path: Path) -> None:
    bomb = snappy_bomb(8000)
    data = block(bomb, 1)
    handles = [(number * len(data), len(bomb)) for number in range(3)]
    (tmp_path / "good").write_bytes(table(data * 2, handles[:2]))
    assert not list(read_table(FileRange.whole(tmp_path / "good")))
    assert "unpacks to 1536024 bytes" in refusal(tmp_path, table(data * 3, handles))
    lying = write_varint(2**40) + bomb[3:]
    assert "expected 1099511627776" in refusal(tmp_path, table(block(lying, 1), [(0, len(lying))]))


@pytest.mark.parametrize(
    "handle", [(2**63, 8), (0, 2**64 - 1), (8, 2**64 - 8), (2**64 - 1, 2**64 - 1)]
)
def test_absurd_handles(tmp_path: Path, handle: tuple[int, int]) -> None:
    assert "runs past the end" in refusal(tmp_path, table(block(NOTHING), [handle]))


@pytest.mark.parametrize("place", ["footer", "index", "data"])
def test_endless_varints(tmp_path: Path, place: str) -> None:
    endless = block(b"\xff" * 60 + NOTHING)
    content = table(endless, [(0, len(endless) - 5)])
    if place == "footer":
        content = content[:-48] + b"\xff" * 40 + MAGIC
    elif place == "index":
        handle = b"\0\0" + b"\0" + write_varint(len(endless) - 5)
        content = endless + handle.ljust(40, b"\0") + MAGIC
    assert "longer than 64 bits" in refusal(tmp_path, content)


def test_index_of_absurd_size(tmp_path: Path) -> None:
    for name in ("small.index", "small.data-00000-of-00001"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(2**40)  # a hole: it takes no space
    with pytest.raises(CheckpointError, match="has 1099511627776 bytes, expected 1048576 at most"):
        open_tensor_bundle(tmp_path / "small")


def entry(offset: int, size: int) -> bytes:
    return encode_entry(Entry(1, (size // 4,), 0, offset, size, masked_crc32c(bytes(size))))


@pytest.mark.parametrize(
    ("places", "is_good"),
    [
        ([(0, 8), (8, 8), (16, 0)], True),
        ([(8, 8), (8, 0), (0, 8), (12, 0)], True),
        ([(0, 8), (0, 8)], False),
        ([(0, 8), (4, 4)], False),
        ([(8, 8), (0, 12)], False),
    ],
)
def test_tensors_that_overlap(tmp_path: Path, places: list[tuple[int, int]], is_good: bool) -> None:
    header = varint_field(1, 1)
    entries = [(b"%d" % number, entry(*place)) for number, place in enumerate(places)]
    write_table(tmp_path / "odd.index", [(b"", header), *entries])
    (tmp_path / "odd.data-00000-of-00001").write_bytes(bytes(16))
    if is_good:
        assert len(open_tensor_bundle(tmp_path / "odd")) == len(places)
        return
    with pytest.raises(CheckpointError, match=r"odd.data-00000-of-00001: tensors '.' and '.' over"):
        open_tensor_bundle(tmp_path / "odd")
