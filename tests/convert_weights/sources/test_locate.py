"""Checkpoints as people hand them over: prefixes, folders, archives, and what is none."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from paths import GOLDEN_FILES

from convert_weights.conversion import convert
from convert_weights.formats import compression
from convert_weights.formats.file_range import FileRange
from convert_weights.formats.sstable import read_table, write_table
from convert_weights.formats.tensor_bundle import open_tensor_bundle, write_tensor_bundle
from convert_weights.formats.tfjs_weights import MANIFEST
from convert_weights.formats.wire import varint_field
from convert_weights.sources.locate import Source, open_source
from musicvae_torch.errors import CheckpointError

GOLDEN = GOLDEN_FILES / "models" / "hierdec-trio_16bar"
NAME = "hierdec-trio_16bar.ckpt"
PREFIX = GOLDEN / NAME
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(100)
TENSORS = {"a/kernel": np.arange(6, dtype="f4").reshape(2, 3), "b": np.array(7)}

Content = bytes | tarfile.TarInfo


def failure(source: Path, checkpoint: str | None = None) -> str:
    """The message of the CheckpointError that opening raises; it must be one line."""
    with pytest.raises(CheckpointError) as caught, open_source(source, checkpoint) as found:
        if found.kind == "tensorflow":
            open_tensor_bundle(found.location, found.files)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def contents(source: Source) -> dict[str, bytes]:
    return {name: file.map().tobytes() for name, file in source.files.items()}


def checkpoint_files(folder: Path, name: str = "model.ckpt", shift: float = 0) -> dict[str, bytes]:
    """A small checkpoint, as file names against contents."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensor_bundle(folder / name, {key: array + shift for key, array in TENSORS.items()})
    return {path.name: path.read_bytes() for path in sorted(folder.glob(f"{name}.*"))}


def tar(members: Mapping[str, Content], mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    return checkpoint_files(tmp_path / "made")


@pytest.fixture(scope="module")
def golden_files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in GOLDEN.glob("*.ckpt.*")}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(PREFIX, "hierdec-trio_16bar", tmp_path_factory.mktemp("from") / "it").folder


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("called", ["trio.tar", "trio"])
def test_archives_convert_to_what_the_files_do(
    tmp_path: Path, golden_files: dict[str, bytes], converted: Path, mode: str, called: str
) -> None:
    noise = {"checkpoint": b"x", f"trio/{NAME}.meta": b"x", f"trio/._{NAME}.index": b"x"}
    noise["trio/events.out.tfevents.1"] = b"x"
    members = noise | {f"./trio/{name}": content for name, content in golden_files.items()}
    (tmp_path / called).write_bytes(tar(members, mode))
    convert(tmp_path / called, "hierdec-trio_16bar", tmp_path / "out")
    for path in converted.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", called]


def test_one_of_an_archives_checkpoints_is_converted(
    tmp_path: Path, golden_files: dict[str, bytes], files: dict[str, bytes], converted: Path
) -> None:
    (tmp_path / "a.tar").write_bytes(tar(files | golden_files))
    convert(tmp_path / "a.tar", "hierdec-trio_16bar", tmp_path / "out", checkpoint=NAME)
    for path in converted.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("suffix", ["", ".index", ".meta", ".data-00000-of-00001"])
def test_one_checkpoint_of_a_folder_by_any_of_its_names(
    tmp_path: Path, files: dict[str, bytes], suffix: str
) -> None:
    checkpoint_files(tmp_path / "made", "model.ckpt-25")
    with open_source(tmp_path / "made" / f"model.ckpt{suffix}") as found:
        assert (found.kind, found.name) == ("tensorflow", "model.ckpt")
        assert found.location == tmp_path / "made" / "model.ckpt"
        assert contents(found) == files


@pytest.mark.parametrize("folder", ["made", "."])
def test_folder_and_folder_in_a_folder(
    tmp_path: Path, files: dict[str, bytes], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("checkpoint", "model.ckpt.meta", "._model.ckpt.index", "events.out.tfevents.1"):
        (tmp_path / "made" / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    with open_source(folder) as found:
        assert contents(found) == files
        bundle = open_tensor_bundle(found.location, found.files)
        assert {name: bundle[name].tolist() for name in bundle} == {
            name: array.tolist() for name, array in TENSORS.items()
        }


def test_uncompressed_archive_is_read_in_place(tmp_path: Path, files: dict[str, bytes]) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar(files))
    with open_source(archive) as found:
        assert all(file.path == archive for file in found.files.values())
        assert contents(found) == files


def test_compressed_archive_leaves_nothing(tmp_path: Path, files: dict[str, bytes]) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "a.tgz").write_bytes(
        tar({"../../../evil/" + n: c for n, c in files.items()}, "w:gz")
    )
    before = sorted(tmp_path.rglob("*"))
    with open_source(tmp_path / "a.tgz", scratch=scratch) as found:
        assert contents(found) == files
        assert all(scratch in file.path.parents for file in found.files.values())
        assert not found.name.startswith(".")
    assert sorted(tmp_path.rglob("*")) == before


def test_several_shards_in_an_archive(tmp_path: Path) -> None:
    files = checkpoint_files(tmp_path)
    # The same tensors, of a checkpoint whose header says that it has a second shard.
    pairs = dict(read_table(FileRange.whole(tmp_path / "model.ckpt.index")))
    write_table(tmp_path / "index", sorted((pairs | {b"": varint_field(1, 2)}).items()))
    members: dict[str, Content] = {
        "two.ckpt.index": (tmp_path / "index").read_bytes(),
        "two.ckpt.data-00000-of-00002": files["model.ckpt.data-00000-of-00001"],
    }
    (tmp_path / "a.tar").write_bytes(tar(members))
    assert "two.ckpt.data-00001-of-00002: no such file" in failure(tmp_path / "a.tar")
    (tmp_path / "a.tar").write_bytes(tar(members | {"two.ckpt.data-00001-of-00002": b""}))
    with open_source(tmp_path / "a.tar") as found:
        bundle = open_tensor_bundle(found.location, found.files)
        assert bundle["b"] == 7 and len(bundle.files) == 3


@pytest.mark.parametrize("wrap", ["folder", "archive"])
def test_choosing_among_several(tmp_path: Path, wrap: str) -> None:
    home = tmp_path / "home"
    for number, folder in enumerate(["one", "two"]):
        checkpoint_files(home / folder, "model.ckpt", number)
    checkpoint_files(home / "two", "last.ckpt", 2)
    source = home
    if wrap == "archive":
        source = tmp_path / "home.tar"
        with tarfile.open(source, "w") as archive:
            archive.add(home, ".")
    message = failure(source)
    assert "--checkpoint" in message
    assert "one/model.ckpt, two/last.ckpt, two/model.ckpt" in message
    for name, value in [("one/model.ckpt", 7), ("one", 7), ("two/model.ckpt", 8), ("last.ckpt", 9)]:
        with open_source(source, name) as found:
            bundle = open_tensor_bundle(found.location, found.files)
            assert (bundle["b"] == value and found.name == name.split("/")[-1]) or name == "one"
    assert "'none.ckpt', only one/model.ckpt" in failure(source, "none.ckpt")
    assert "2 checkpoints" in failure(source, "model.ckpt")


def test_a_named_checkpoint_is_not_another(tmp_path: Path, files: dict[str, bytes]) -> None:
    source = tmp_path / "made" / "model.ckpt"
    with open_source(source, "model.ckpt") as found:
        assert contents(found) == files
    assert "other.ckpt" in failure(source, "other.ckpt")


@pytest.mark.parametrize("given", ["mel", "mel/weights_manifest.json", "mel.tar", "mel.tgz", "."])
def test_magenta_js(tmp_path: Path, given: str) -> None:
    names = ["weights_manifest.json", "config.json", "group1-shard1of2", "group1-shard2of2"]
    expected = {name: name.encode() * 3 for name in names}
    (tmp_path / "mel").mkdir()
    for name, content in expected.items():
        (tmp_path / "mel" / name).write_bytes(content)
    mode = {"mel.tar": "w", "mel.tgz": "w:gz"}.get(given)
    if mode:
        wrapped = tar({f"x/{name}": content for name, content in expected.items()}, mode)
        (tmp_path / given).write_bytes(wrapped)
    with open_source(tmp_path / given) as found:
        assert (found.kind, found.name) == ("magenta-js", "x" if mode else "mel")
        assert contents(found) == expected


@pytest.mark.parametrize("given", ["model.h5", "weights", "."])
def test_keras(tmp_path: Path, given: str) -> None:
    path = tmp_path / ("weights" if given == "weights" else "model.h5")
    path.write_bytes(HDF5)
    with open_source(tmp_path / given) as found:
        assert (found.kind, found.name, found.location) == ("keras", path.name, path)
        assert contents(found) == {path.name: HDF5}


def test_keras_in_an_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar({"model.h5": HDF5}))
    assert "unpack model.h5" in failure(tmp_path / "a.tar")


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"notes.txt": b"x"}, "weights_manifest.json or NAME.h5), only notes.txt"),
        ({"config.json": b"x", "model.safetensors": b"x"}, "is converted already"),
        ({}, "is an empty archive"),
        ({"a.data-00000-of-00001": b"x"}, "cannot be read without a.index"),
        ({"trio/trio.tar.gz": b"x"}, "the archive trio/trio.tar.gz: give that itself"),
        ({"a.index": b"x"}, "a.tar/a.index: has 1 bytes"),
        ({"a.index": link("a.index", tarfile.SYMTYPE)}, "a.index is a symbolic link"),
        ({"a.index": link("a.index", tarfile.LNKTYPE)}, "a.index is a hard link"),
        ({"a.index": link("a.index", tarfile.CHRTYPE)}, "a.index is a device"),
        ({"a.index": link("a.index", tarfile.FIFOTYPE)}, "a.index is a pipe"),
        ({"a.index": link("a.index", b"Z")}, "a.index is of the unknown type b'Z'"),
        ({MANIFEST: link(MANIFEST, tarfile.SYMTYPE)}, f"{MANIFEST} is a symbolic link"),
        ({"._a.index": b"x"}, "only ._a.index"),
    ],
)
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_archives_without_a_checkpoint(
    tmp_path: Path, members: dict[str, Content], reason: str, mode: str
) -> None:
    (tmp_path / "a.tar").write_bytes(tar(members, mode))
    message = failure(tmp_path / "a.tar")
    assert reason in message and str(tmp_path / "a.tar") in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04" + bytes(600), "neither a checkpoint nor a tar"),
        (os.urandom(2000), "neither a checkpoint nor a tar"),
        (bytes(10240), "is an empty archive"),
        (gzip.compress(b"text"), "is compressed, but is no tar"),
        (gzip.compress(b""), "is empty"),
        (lzma.compress(os.urandom(2000)), "is compressed, but is no tar"),
        (bz2.compress(b"index"), "is compressed, but is no tar"),
        (b"\x1f\x8bnonsense", "cannot be decompressed"),
        (b"BZh9nonsense", "cannot be decompressed"),
        (b"\xfd7zXZ\0nonsense", "cannot be decompressed"),
    ],
)
def test_files_that_are_no_checkpoint(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.ckpt").write_bytes(content)
    message = failure(tmp_path / "a.ckpt")
    assert reason in message and str(tmp_path / "a.ckpt") in message


def test_paths_that_are_no_checkpoint(tmp_path: Path, files: dict[str, bytes]) -> None:
    assert "no such file or folder" in failure(tmp_path / "absent.ckpt")
    assert "no such file or folder" in failure(tmp_path / "made" / "model.ckpt" / "x")
    (tmp_path / "empty").mkdir()
    assert "no files at all" in failure(tmp_path / "empty")
    (tmp_path / "empty" / "trio.tar").write_bytes(tar(files))
    assert "the archive trio.tar: give that itself" in failure(tmp_path / "empty")
    (tmp_path / "made" / "model.ckpt.index").unlink()
    lone = tmp_path / "made" / "model.ckpt.data-00000-of-00001"
    assert "without model.ckpt.index beside it" in failure(lone)
    assert "without model.ckpt.index" in failure(lone.parent)
    os.mkfifo(tmp_path / "pipe")
    assert "no plain file" in failure(tmp_path / "pipe")


def xz_with_a_huge_dictionary(content: bytes) -> bytes:
    """An xz stream whose header asks for 4 GiB of memory."""
    stream = bytearray(lzma.compress(content))
    # After the stream's header of 12 bytes: size of the block's header in words less one, flags,
    # the filter LZMA2, the size of its one property, the dictionary's size as a code.
    end = 12 + 4 * stream[12]
    assert stream[14:16] == b"\x21\x01"
    stream[16] = 40
    stream[end : end + 4] = zlib.crc32(stream[12:end]).to_bytes(4, "little")
    return bytes(stream)


def test_xz_that_asks_for_much_memory(tmp_path: Path, files: dict[str, bytes]) -> None:
    stream = xz_with_a_huge_dictionary(tar(files))
    assert lzma.LZMADecompressor().decompress(stream) == tar(files)
    (tmp_path / "a.tar.xz").write_bytes(stream)
    assert "Memory usage limit" in failure(tmp_path / "a.tar.xz")


def test_bomb_is_stopped_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tgz").write_bytes(tar({"a.index": bytes(30_000_000)}, "w:gz"))
    assert (tmp_path / "a.tgz").stat().st_size < 100_000
    monkeypatch.setattr(compression, "_MAX_SIZE", 20_000_000)
    assert "over 0.0 GB" in failure(tmp_path / "a.tgz")
    monkeypatch.undo()
    free = shutil.disk_usage(tmp_path)._replace(free=20_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    assert "has no space" in failure(tmp_path / "a.tgz")


def test_bomb_that_is_no_archive_is_stopped_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"\1" * 30_000_000))
    monkeypatch.setattr(compression, "_MAX_SIZE", 2_000_000)
    assert "is no tar archive" in failure(tmp_path / "a.gz")


def test_streams_one_after_another(tmp_path: Path, files: dict[str, bytes]) -> None:
    whole = tar(files)
    packers: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress]
    for pack in packers:
        (tmp_path / "a").write_bytes(pack(whole[:700]) + pack(whole[700:]))
        with open_source(tmp_path / "a") as found:
            assert contents(found) == files
