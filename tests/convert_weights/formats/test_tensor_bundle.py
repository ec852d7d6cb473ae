"""The checkpoint reader on a file that TensorFlow wrote, on odd files, and on broken ones."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from paths import GOLDEN_FILES
from properties import examples
from refusals import failure

from convert_weights.formats import snappy
from convert_weights.formats.file_range import FileRange
from convert_weights.formats.sstable import read_table, write_table
from convert_weights.formats.tensor_bundle import (
    Entry,
    encode_entry,
    open_tensor_bundle,
    write_tensor_bundle,
)
from convert_weights.formats.wire import (
    bytes_field,
    fixed32_field,
    masked_crc32c,
    varint_field,
    write_varint,
)
from musicvae_torch.errors import CheckpointError

GOLDEN = GOLDEN_FILES / "models" / "hierdec-trio_16bar"
PREFIX = GOLDEN / "hierdec-trio_16bar.ckpt"
BIAS = "encoder/mu/bias"
HEADER = varint_field(1, 1) + bytes_field(3, varint_field(1, 1))
# Where the one data block of the golden index ends, and the (unused) meta index after it.
GOLDEN_DATA_END = 0x7C5
GOLDEN_META_END = 0x7D2

Pairs = dict[bytes, bytes]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The prefix of a copy of the golden checkpoint, to be broken."""
    for path in GOLDEN.glob("*.ckpt.*"):
        shutil.copyfile(path, tmp_path / path.name)
    return tmp_path / PREFIX.name


def index_of(prefix: Path) -> Path:
    return Path(f"{prefix}.index")


def data_of(prefix: Path, number: int = 0, count: int = 1) -> Path:
    return Path(f"{prefix}.data-{number:05d}-of-{count:05d}")


def open_and_read(prefix: Path) -> dict[str, np.ndarray]:
    bundle = open_tensor_bundle(prefix)
    return {name: bundle[name] for name in bundle}


def bundle_with(tmp_path: Path, pairs: Pairs, content: bytes = bytes(8)) -> Path:
    """A checkpoint of one shard with the given index entries."""
    prefix = tmp_path / "odd"
    write_table(index_of(prefix), sorted(({b"": HEADER} | pairs).items()))
    data_of(prefix).write_bytes(content)
    return prefix


def entry(content: bytes = bytes(8), **changes: int | tuple[int, ...]) -> bytes:
    """The index entry of a float32 vector of two at the start of the shard, with changes."""
    fields = {
        "dtype": 1,
        "shape": (2,),
        "shard": 0,
        "offset": 0,
        "size": 8,
        "checksum": masked_crc32c(content),
    }
    return encode_entry(Entry(**(fields | changes)))  # type: ignore[arg-type]


def test_reads_what_tensorflow_wrote() -> None:
    expected = json.loads((GOLDEN / "variables.json").read_text())
    # TensorFlow's saver puts the tensors one after another, in order of names.
    content, offset = data_of(PREFIX).read_bytes(), 0
    bundle = open_tensor_bundle(PREFIX)
    assert {name: list(bundle.shape(name)) for name in bundle} == expected
    assert list(bundle) == sorted(expected)
    assert len(bundle) == 43 and BIAS in bundle and "mu" not in bundle
    for name in bundle:
        assert bundle.dtype(name) == ("int64" if name == "global_step" else "float32")
        array = bundle[name]
        assert array.dtype == bundle.dtype(name) and array.shape == bundle.shape(name)
        assert array.tobytes() == content[offset : offset + array.nbytes]
        offset += array.nbytes
    assert offset == len(content)


def test_arrays_are_read_only() -> None:
    array = open_tensor_bundle(PREFIX)[BIAS]
    assert np.isfinite(array).all() and array.shape == (3,)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1.0


def test_writer_makes_the_bytes_that_tensorflow_made(tmp_path: Path) -> None:
    write_tensor_bundle(tmp_path / "again", open_and_read(PREFIX))
    assert index_of(tmp_path / "again").read_bytes() == index_of(PREFIX).read_bytes()
    assert data_of(tmp_path / "again").read_bytes() == data_of(PREFIX).read_bytes()


DTYPES = (
    "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool"
    " complex64 complex128"
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: not name.startswith("\0")
)
ARRAYS = st.sampled_from(DTYPES.split()).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
)


@examples(60, HealthCheck.function_scoped_fixture)
@given(st.dictionaries(NAMES, ARRAYS))
def test_round_trip(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    write_tensor_bundle(tmp_path / "trip", tensors)
    again = open_and_read(tmp_path / "trip")
    assert list(again) == sorted(tensors, key=str.encode)
    for name, array in tensors.items():
        assert again[name].dtype == array.dtype and again[name].shape == array.shape
        assert again[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("block_size", [1, 100, 256 * 1024])
def test_table_of_several_blocks(tmp_path: Path, block_size: int) -> None:
    keys = [b"", b"a", b"a\xff", b"a\xff\xff", b"a\xff\xff\x01", b"b"]
    keys += [f"cell_{number:03d}/kernel".encode() for number in range(100)] + [b"\xff\xff"]
    pairs = [(key, key * 3) for key in keys]
    write_table(tmp_path / "table", pairs, block_size)
    assert list(read_table(FileRange.whole(tmp_path / "table"))) == pairs


def test_key_of_absurd_length(tmp_path: Path) -> None:
    # Entries share the start of the key before: long keys would cost a small file nothing.
    write_table(tmp_path / "table", [(b"k" * 4097, b"")])
    assert "4097" in failure(lambda: list(read_table(FileRange.whole(tmp_path / "table"))))


def test_several_shards(tmp_path: Path) -> None:
    prefix = tmp_path / "sharded"
    contents = [struct.pack("<2f", number, -number) for number in range(3)]
    pairs = {b"": varint_field(1, 3)}
    for number, content in enumerate(contents):
        data_of(prefix, number, 3).write_bytes(content)
        pairs[b"tensor_%d" % number] = entry(content, shard=number)
    write_table(index_of(prefix), pairs.items())
    arrays = open_and_read(prefix)
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "tensor_0": [0, 0],
        "tensor_1": [1, -1],
        "tensor_2": [2, -2],
    }
    data_of(prefix, 1, 3).unlink()
    assert "data-00001-of-00003" in failure(lambda: open_tensor_bundle(prefix))


def test_bfloat16_is_widened_to_float32(tmp_path: Path) -> None:
    content = struct.pack("<4H", 0x3F80, 0xC000, 0x3EAB, 0x7F80)
    prefix = bundle_with(tmp_path, {b"x": entry(content, dtype=14, shape=(4,))}, content)
    bundle = open_tensor_bundle(prefix)
    assert bundle.dtype("x") == "bfloat16"
    assert bundle["x"].dtype == np.float32 and not bundle["x"].flags.writeable
    assert bundle["x"].tolist() == [1.0, -2.0, 0.333984375, np.inf]


def test_strings_are_listed_but_not_read(tmp_path: Path) -> None:
    prefix = bundle_with(tmp_path, {b"graph": entry(dtype=7, shape=())})
    bundle = open_tensor_bundle(prefix)
    assert bundle.shape("graph") == () and bundle.dtype("graph") == "type 7"
    assert "'graph' is of type 7" in failure(lambda: bundle["graph"])


def test_unknown_name() -> None:
    bundle = open_tensor_bundle(PREFIX)
    for ask in (bundle.__getitem__, bundle.shape, bundle.dtype):
        message = failure(lambda ask=ask: ask("encoder/nu"))  # type: ignore[misc]
        assert str(index_of(PREFIX)) in message and "'encoder/nu'" in message


@pytest.mark.parametrize("keep", [0, 20, 47, 48, 100, 1000, 0x7D9, 2050, -1])
def test_truncated_index(copy: Path, keep: int) -> None:
    path = index_of(copy)
    path.write_bytes(path.read_bytes()[:keep])
    assert str(path) in failure(lambda: open_tensor_bundle(copy))


def test_index_without_its_middle(copy: Path) -> None:
    path = index_of(copy)
    path.write_bytes(path.read_bytes()[1000:])
    assert str(path) in failure(lambda: open_tensor_bundle(copy))


def test_wrong_magic(copy: Path) -> None:
    path = index_of(copy)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    message = failure(lambda: open_tensor_bundle(copy))
    assert str(path) in message and "0xdb4775248b80fb57" in message


def test_damaged_index_never_gives_other_tensors(copy: Path) -> None:
    original = index_of(PREFIX).read_bytes()
    expected = open_and_read(PREFIX)
    for position in [*range(0, GOLDEN_DATA_END, 97), *range(GOLDEN_DATA_END, len(original))]:
        damaged = bytearray(original)
        damaged[position] ^= 0x10
        index_of(copy).write_bytes(damaged)
        try:
            found = open_and_read(copy)
        except CheckpointError:
            continue
        # Only the meta index and the footer's handle of it and padding do no harm.
        assert GOLDEN_DATA_END <= position < len(original) - 8, hex(position)
        assert not GOLDEN_META_END <= position < len(original) - 48, hex(position)
        assert list(found) == list(expected)
        assert all((found[name] == expected[name]).all() for name in expected)


def test_block_checksum_is_named(copy: Path) -> None:
    damaged = bytearray(index_of(PREFIX).read_bytes())
    damaged[500] ^= 1
    index_of(copy).write_bytes(damaged)
    assert "checksum" in failure(lambda: open_tensor_bundle(copy))


def test_truncated_shard(copy: Path) -> None:
    path = data_of(copy)
    path.write_bytes(path.read_bytes()[:-9])
    message = failure(lambda: open_tensor_bundle(copy))
    assert str(path) in message and "'global_step'" not in message and "sigma/kernel" in message
    path.write_bytes(b"")
    assert str(path) in failure(lambda: open_tensor_bundle(copy))


def test_damaged_shard_spares_other_tensors(copy: Path) -> None:
    content = bytearray(data_of(copy).read_bytes())
    content[-1] ^= 1
    data_of(copy).write_bytes(content)
    bundle = open_tensor_bundle(copy)
    message = failure(lambda: bundle["global_step"])
    assert str(data_of(copy)) in message and "'global_step'" in message
    assert "checksum" in message
    assert bundle[BIAS].shape == (3,)


def test_missing_files(copy: Path) -> None:
    data_of(copy).unlink()
    assert str(data_of(copy)) in failure(lambda: open_tensor_bundle(copy))
    index_of(copy).unlink()
    assert str(index_of(copy)) in failure(lambda: open_tensor_bundle(copy))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (varint_field(1, 1) + varint_field(2, 1), "big-endian"),
        (b"", "0 shards"),
        (varint_field(1, -1), "-1 shards"),
        (varint_field(1, 1) + bytes_field(3, varint_field(2, 9)), "format 9"),
        (varint_field(1, 2**31), "data-00000-of-2147483648"),
        (bytes_field(1, b"one"), "field 1"),
        (varint_field(1, 1) + varint_field(3, 1), "field 3"),
    ],
)
def test_refused_header(tmp_path: Path, header: bytes, reason: str) -> None:
    prefix = bundle_with(tmp_path, {b"": header})
    assert reason in failure(lambda: open_tensor_bundle(prefix))


def test_index_without_header(tmp_path: Path) -> None:
    write_table(tmp_path / "none.index", [(b"x", entry())])
    assert "header" in failure(lambda: open_tensor_bundle(tmp_path / "none"))


@pytest.mark.parametrize(
    ("proto", "reason"),
    [
        (entry(shard=1), "shard 1"),
        (entry(shard=-1), "shard -1"),
        (entry(offset=1), "8 bytes at 1"),
        (entry(offset=2**62, size=2**62), "within the file's 8"),
        (entry(offset=-8), "at -8"),
        (entry(size=-1), "-1 bytes"),
        (entry(size=4), "takes 4 bytes, expected 8"),
        (entry(shape=(2**40, 2**40)), "expected 4835703278458516698824704"),
        (entry(shape=(-2, -1)), "none below 0"),
        (entry(shape=(1,) * 33), "33 dimensions"),
        (entry() + bytes_field(2, varint_field(3, 1)), "unknown rank"),
        (entry() + bytes_field(7, b""), "partitioned"),
        (entry() + write_varint(7 << 3 | 2) + write_varint(2**60) + b"x", "1152921504606846976"),
        (entry() + b"\xff" * 9, "runs past the end"),
        (entry() + b"\xff" * 10 + b"\x01", "longer than 64 bits"),
        (entry() + b"\xff" * 9 + b"\x02", "longer than 64 bits"),
        (entry() + bytes([9 << 3 | 3]), "wire type 3"),
        (bytes_field(1, b"float"), "field 1"),
        (entry() + varint_field(2, 5), "field 2"),
    ],
)
def test_refused_entry(tmp_path: Path, proto: bytes, reason: str) -> None:
    prefix = bundle_with(tmp_path, {b"some/tensor": proto})
    message = failure(lambda: open_tensor_bundle(prefix))
    assert reason in message and "'some/tensor'" in message and str(prefix) in message


def test_slice_of_a_partitioned_variable(tmp_path: Path) -> None:
    prefix = bundle_with(tmp_path, {b"\0slice": entry()})
    assert "partitioned" in failure(lambda: open_tensor_bundle(prefix))


@examples(150, HealthCheck.function_scoped_fixture)
@given(st.binary(max_size=40), st.binary(max_size=40))
def test_any_protobuf_bytes_are_read_or_refused(
    tmp_path: Path, header: bytes, proto: bytes
) -> None:
    for pairs in ({b"x": proto}, {b"": HEADER[:2] + header}):
        prefix = bundle_with(tmp_path, pairs)
        try:
            open_and_read(prefix)
        except CheckpointError as error:
            assert len(str(error).splitlines()) == 1


def table_of(block: bytes, compression: int) -> bytes:
    """A table file whose one data block holds `block` as it is."""

    def with_trailer(content: bytes, kind: int) -> bytes:
        content += bytes([kind])
        return content + struct.pack("<I", masked_crc32c(content))

    handle = write_varint(0) + write_varint(len(block))
    index = b"\0\1" + write_varint(len(handle)) + b"z" + handle + struct.pack("<2I", 0, 1)
    data = with_trailer(block, compression)
    footer = b"\0\0" + write_varint(len(data)) + write_varint(len(index))
    magic = struct.pack("<Q", 0xDB4775248B80FB57)
    return data + with_trailer(index, 0) + footer.ljust(40, b"\0") + magic


RESTARTS = struct.pack("<2I", 0, 1)
BLOCK = b"\0\3\2key" + b"vv" + b"\2\2\1" + b"zy" + b"w" + RESTARTS


def snappy_literal(content: bytes) -> bytes:
    return write_varint(len(content)) + bytes([len(content) - 1 << 2]) + content


@pytest.mark.parametrize(
    ("block", "compression"), [(BLOCK, 0), (snappy_literal(BLOCK), 1)], ids=["plain", "snappy"]
)
def test_block_is_read(tmp_path: Path, block: bytes, compression: int) -> None:
    (tmp_path / "table").write_bytes(table_of(block, compression))
    assert list(read_table(FileRange.whole(tmp_path / "table"))) == [
        (b"key", b"vv"),
        (b"kezy", b"w"),
    ]


@pytest.mark.parametrize(
    ("block", "compression", "reason"),
    [
        (BLOCK, 7, "compression 7"),
        (BLOCK, 1, "snappy"),
        (b"\0\0", 0, "restarts"),
        (struct.pack("<I", 2**32 - 1), 0, "restarts"),
        (b"\1\1\1kv" + RESTARTS, 0, "does not fit"),
        (b"\0\1\x09kv" + RESTARTS, 0, "does not fit"),
        (b"\0\xff\xff\xff\xff\x0f\1kv" + RESTARTS, 0, "does not fit"),
        (b"\0\1" + RESTARTS, 0, "does not fit"),
        (b"\0\1\1kv\0\1\1kv" + RESTARTS, 0, "expected order"),
    ],
)
def test_malformed_block(tmp_path: Path, block: bytes, compression: int, reason: str) -> None:
    path = tmp_path / "table"
    path.write_bytes(table_of(block, compression))
    message = failure(lambda: list(read_table(FileRange.whole(path))))
    assert reason in message and str(path) in message


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"\0", b""),
        (b"\x03\x08abc", b"abc"),
        (b"\x07\x04ab\x01\x02\0z", b"abababz"),  # overlapping copy, 1-byte offset
        (b"\x07\x08abc\x0e\x03\0", b"abcabca"),  # copy, 2-byte offset
        (b"\x05\x00a\x0f\x01\0\0\0", b"aaaaa"),  # copy, 4-byte offset
        (b"\x64" + b"\xf0\x63" + b"x" * 100, b"x" * 100),  # literal, length in one byte
        (b"\xac\x02" + b"\xf4\x2b\x01" + b"y" * 300, b"y" * 300),  # length in two bytes
    ],
)
def test_snappy(stream: bytes, expected: bytes) -> None:
    assert snappy.decompress(stream) == expected


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\x03\x08ab",  # literal cut off
        b"\x04\x08abc",  # shorter than declared
        b"\x02\x08abc",  # longer than declared
        b"\x05\x00a\x0f\x02\0\0\0",  # copies from before the start
        b"\x05\x00a\x0f\0\0\0\0",  # copies from nowhere
        b"\x05\x00a\x0e",  # copy cut off
        b"\x05\xf4",  # literal's length cut off
    ],
)
def test_malformed_snappy(stream: bytes) -> None:
    failure(lambda: snappy.decompress(stream))


@pytest.mark.parametrize(
    "tensors",
    [
        {"": np.zeros(1)},
        {"\0x": np.zeros(1)},
        {"x": np.array(["text"])},
        {"x": np.array([object()])},
    ],
)
def test_writer_refuses(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    failure(lambda: write_tensor_bundle(tmp_path / "bad", tensors))


def test_fixed32_field_matches_the_golden_entry() -> None:
    # encoder/mu/bias as TensorFlow encoded it, read off the golden index by hand.
    golden = bytes.fromhex("0801 1204 12020803 20b8810d 280c 3531756546")
    assert golden.endswith(fixed32_field(6, 0x46657531))
    assert encode_entry(Entry(1, (3,), 0, 213176, 12, 0x46657531)) == golden
