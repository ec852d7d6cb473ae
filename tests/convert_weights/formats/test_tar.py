"""The tar reader against Python's own writer, and on archives that no writer makes."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from properties import examples

from convert_weights.formats.file_range import FileRange
from convert_weights.formats.tar import Members, read_tar
from musicvae_torch.errors import CheckpointError

BLOCK = 512


def member(name: str = "x", content: bytes = b"content", **changes: object) -> bytes:
    """A member as GNU tar writes it, its end padded."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % BLOCK)


def with_header(header: bytes, changes: dict[int, bytes]) -> bytes:
    """A block with other bytes at some offsets, and the checksum to go with them."""
    block = bytearray(header[:BLOCK])
    for offset, content in changes.items():
        block[offset : offset + len(content)] = content
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + header[BLOCK:]


def pax(records: bytes, kind: bytes = b"x") -> bytes:
    return member("././@PaxHeader", records, type=kind)


def record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    return b"%d" % (len(rest) + 2) + rest  # lengths of two digits


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], Members]:
    def write_and_read(content: bytes) -> Members:
        (tmp_path / "a.tar").write_bytes(content)
        return read_tar(tmp_path / "a.tar", "a.tar")

    return write_and_read


def contents(members: Members) -> dict[str, bytes | str]:
    return {
        name: file if isinstance(file, str) else file.map().tobytes()
        for name, file in members.items()
    }


NAMES = st.lists(
    st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=70
    ).filter(lambda part: part not in (".", "..")),
    min_size=1,
    max_size=4,
).map("/".join)


@examples(60, HealthCheck.function_scoped_fixture)
@given(
    st.dictionaries(NAMES, st.binary(max_size=1100), min_size=1, max_size=4),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_reads_what_tarfile_writes(
    read: Callable[[bytes], Members], files: dict[str, bytes], form: int
) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mtime = 0.5  # makes pax describe every member
            archive.addfile(info, io.BytesIO(content))
    assert contents(read(stream.getvalue())) == files


def test_names_of_ustar_and_v7(read: Callable[[bytes], Members]) -> None:
    long = f"{'f' * 120}/{'n' * 90}"
    info = tarfile.TarInfo(long)
    ustar = info.tobuf(tarfile.USTAR_FORMAT)
    v7 = with_header(member("seven"), {257: bytes(255)})
    folder = with_header(member("folder/", b""), {156: b"\0", 257: bytes(255)})
    assert list(read(ustar + v7 + folder + member("gnu"))) == [long, "seven", "gnu"]


def test_names_are_made_plain_and_the_last_of_a_name_counts(
    read: Callable[[bytes], Members],
) -> None:
    archive = member("./a//b/../c", b"1") + member("a/c", b"2") + member("/../x", b"3")
    assert contents(read(archive)) == {"a/c": b"2", "/x": b"3"}


def test_a_description_is_of_the_next_member_alone(read: Callable[[bytes], Members]) -> None:
    for description in (pax(record(b"path", b"longer")), member("x", b"longer\0", type=b"L")):
        assert list(read(description + member("one") + member("two"))) == ["longer", "two"]


def test_ranges_lie_in_the_archive(read: Callable[[bytes], Members], tmp_path: Path) -> None:
    file = read(member("one") + member("two/three", b"abc"))["two/three"]
    assert file == FileRange("a.tar/two/three", tmp_path / "a.tar", 3 * BLOCK, 3)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
    ],
)
def test_members_without_content(read: Callable[[bytes], Members], kind: bytes, what: str) -> None:
    # Some writers give a link the size of what it leads to.
    odd = with_header(member("odd", b"", type=kind), {124: b"00000007777\0"})
    assert contents(read(odd + member("next"))) == {"odd": what, "next": b"content"}


def test_members_of_unknown_types_are_passed_over(read: Callable[[bytes], Members]) -> None:
    archive = (
        pax(record(b"comment", b"of them all"), b"g")
        + member("label", b"", type=b"V")
        + member("next")
    )
    assert contents(read(archive)) == {"label": "of the unknown type b'V'", "next": b"content"}


def test_sizes(read: Callable[[bytes], Members]) -> None:
    base256 = with_header(member("x"), {124: b"\x80" + (7).to_bytes(11, "big")})
    described = pax(b"9 size=7\n") + with_header(member("y"), {124: b"00000000000\0"})
    blanks = with_header(member("z"), {124: b"         7  "})
    assert contents(read(base256 + described + blanks)) == dict.fromkeys("xyz", b"content")


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (b"", "is empty"),
        (bytes(1024), "is an empty archive"),
        (b"\1" * 1024, "is no tar archive"),
        (member()[:300], "is no tar archive"),
        (member()[: BLOCK + 3], "is cut off: 'x' takes 7 bytes at 512"),
        (member() + member()[:-BLOCK], "is cut off: 'x' takes 7 bytes at 1536"),
        (member() + member()[:100], "cut off: no member begins at 1024"),
        (member() + b"\1" * BLOCK, "cut off: no member begins at 1024"),
        (with_header(member(), {124: b"77777777777\0"}), "takes 8589934591 bytes"),
        (with_header(member(), {124: b"\x80" + b"\xff" * 11}), "takes 309485009821345068724781055"),
        (with_header(member(), {124: b"\xff" * 12}), "'x' takes -1 bytes at 512"),
        (with_header(member(), {124: b"-0000000007\0"}), "'x' takes -7 bytes at 512"),
        (with_header(member(), {124: b"many bytes!\0"}), "is no tar archive"),
        (pax(record(b"size", b"-9999")) + member(), "'x' takes -9999 bytes"),
        (with_header(pax(b""), {124: b"\xff" * 10 + bytes(2)}) + member(), "in -65536 bytes"),
        (pax(record(b"size", b"9" * 20)) + member(), "takes 99999999999999999999 bytes"),
        (pax(b"9 size=8\n") + member()[:-505], "is cut off"),
        (member("x", bytes(70_000), type=b"L"), "describes a member in 70144 bytes"),
        (pax(bytes(70_000)), "describes a member in 70144 bytes"),
        (pax(b"nonsense"), "is damaged"),
        (pax(b"0 a=b\n"), "is damaged"),
        (pax(b"3 a=b\n"), "is damaged"),
        (pax(b"99 a=b\n"), "is damaged"),
        (pax(b"99999999999999999999 a=b\n"), "is damaged"),
        (member("hole", type=b"S") + member(), "'hole' as a sparse file"),
        (pax(record(b"GNU.sparse.map", b"0,7")) + member(), "'x' as a sparse file"),
        (member("x", b"") * 10_001, "has over 10000 members"),
        (member("x", b"name", type=b"L") * 10_001, "describes descriptions of members"),
        (
            with_header(member("x", b"", type=b"S"), {482: b"\1"})
            + (bytes(504) + b"\1" * 8) * 40_000,
            "has over 16777216 bytes of headers",
        ),
    ],
)
def test_refused(read: Callable[[bytes], Members], archive: bytes, reason: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read(archive)
    message = str(caught.value)
    assert message.startswith("a.tar: ") and reason in message and len(message.splitlines()) == 1


def test_damage_is_found_or_does_no_harm(read: Callable[[bytes], Members]) -> None:
    archive = member("name") + pax(record(b"path", b"longer")) + member("second", b"b" * 600)
    expected = contents(read(archive))
    headers = [0, 2 * BLOCK, 4 * BLOCK]
    offsets = {*range(0, BLOCK, 9), *range(124, 160)}
    for position in (start + offset for start in headers for offset in offsets):
        damaged = bytearray(archive)
        damaged[position] ^= 0x11
        try:
            found = contents(read(bytes(damaged)))
        except CheckpointError:
            continue
        # What pads the checksum of a header is all that the checksum does not cover.
        assert found == expected and position % BLOCK in range(148, 156)


def test_truncation_never_changes_a_member(read: Callable[[bytes], Members]) -> None:
    archive = member("one") + member("two", b"b" * 600) + bytes(1024)
    expected = contents(read(archive))
    for size in range(0, len(archive), 7):
        try:
            found = contents(read(archive[:size]))
        except CheckpointError:
            continue
        assert found.items() <= expected.items()
        assert len(found) == 2 or size in range(BLOCK + 7, 2 * BLOCK + 1)
