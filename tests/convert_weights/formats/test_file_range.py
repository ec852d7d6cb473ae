"""Stretches of files."""

import hashlib
from pathlib import Path

import pytest

from convert_weights.formats import file_range
from convert_weights.formats.file_range import FileRange
from musicvae_torch.errors import CheckpointError

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def part(tmp_path: Path) -> FileRange:
    (tmp_path / "file").write_bytes(CONTENT)
    return FileRange("archive/member", tmp_path / "file", 5000, 1000)


def test_a_whole_file_is_read_even_if_it_is_empty(tmp_path: Path, part: FileRange) -> None:
    whole = FileRange.whole(part.path)
    assert whole == FileRange(str(part.path), part.path, 0, len(CONTENT)) and whole.name == "file"
    (tmp_path / "empty").touch()
    assert FileRange.whole(tmp_path / "empty").read(0) == b""
    with pytest.raises(FileNotFoundError):
        FileRange.whole(tmp_path / "absent")


def test_a_part_of_a_file(part: FileRange, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = CONTENT[5000:6000]
    assert part.name == "member"
    assert part.read(1000) == expected
    assert part.map(3).tobytes() == expected[3:]
    assert part.map(3, 10).tobytes() == expected[3:13]
    assert part.map(1000).size == 0 and not part.map(1000).flags.writeable
    assert not part.map().flags.writeable
    monkeypatch.setattr(file_range, "_HASHED_AT_ONCE", 300)
    assert part.sha256() == hashlib.sha256(expected).hexdigest()


@pytest.mark.parametrize(("offset", "size"), [(-1, 1), (0, 1001), (1001, None), (1000, 1), (5, -1)])
def test_what_is_not_within(part: FileRange, offset: int, size: int | None) -> None:
    with pytest.raises(CheckpointError, match="not within its 1000 bytes"):
        part.map(offset, size)


def test_what_is_too_large_or_gone(part: FileRange) -> None:
    with pytest.raises(CheckpointError, match="has 1000 bytes, expected 999 at most"):
        part.read(999)
    part.path.write_bytes(CONTENT[:5900])
    with pytest.raises(CheckpointError, match="shorter than the 1000 bytes it had"):
        part.read(1000)
