"""MIDI files as bytes: whatever is in them, they are read or refused, and written again."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from properties import examples

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.messages import (
    END_OF_TRACK,
    Chunk,
    Message,
    MidiFile,
    encoded,
    meta,
    number,
    read_file,
)


def header(tracks: int = 1, format: int = 1, resolution: int = 96) -> bytes:
    return b"MThd" + struct.pack(">LHHh", 6, format, tracks, resolution)


def chunk(body: bytes, kind: bytes = b"MTrk", size: int | None = None) -> bytes:
    return kind + struct.pack(">L", len(body) if size is None else size) + body


NOTE = b"\x00\x90\x3c\x40\x60\x80\x3c\x40"
END = b"\x00\xff\x2f\x00"
SONG = header() + chunk(NOTE + END)

# Bytes that mean something, among which any others may come.
pieces = st.one_of(
    st.sampled_from([header(), header(2), NOTE, END, b"MTrk", b"\x00\x00\x00", b"\xff", b"RIFF"]),
    st.binary(max_size=12),
    st.binary(max_size=20).map(chunk),
    st.binary(max_size=8).map(lambda body: chunk(body, b"XFIH")),
    st.tuples(st.binary(max_size=12), st.integers(0, 40)).map(lambda c: chunk(c[0], size=c[1])),
    st.lists(st.sampled_from([NOTE, END, b"\x00\xf8", b"\x05\x3c\x00", b"\x00\xf7\x01\x20"])).map(
        lambda events: chunk(b"".join(events))
    ),
)  # fmt: skip


def assert_read_again(file: MidiFile) -> None:
    """What is written of a file is the same file, of which nothing is left to mend."""
    content = file.to_bytes()
    again, remarks = read_file(content)
    assert again.to_bytes() == content
    assert (again.format, again.resolution) == (file.format, file.resolution)
    assert [own.messages for own in again.tracks] == [own.messages for own in file.tracks]
    assert not [remark for remark in remarks if remark.startswith("left out")]


@examples(400)
@given(st.lists(pieces, max_size=8).map(b"".join))
@example(b"MTrk")
@example(b"MThd\x00\x00\x00\x06MTrk")
def test_any_bytes_after_a_header(content: bytes) -> None:
    try:
        file, remarks = read_file(header() + content, "song.mid")
    except MidiError as error:
        assert str(error).startswith("song.mid: ") and "\n" not in str(error)
        return
    assert all("\n" not in remark for remark in remarks)
    for own in file.tracks:
        ticks = [message.tick for message in own.messages]
        assert ticks == sorted(ticks)
    assert_read_again(file)


@examples(200)
@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    try:
        file, _ = read_file(content)
    except MidiError:
        return
    assert_read_again(file)


@given(st.dictionaries(st.integers(0, len(SONG) - 1), st.integers(0, 255), max_size=3))
def test_a_damaged_song(damage: dict[int, int]) -> None:
    content = bytearray(SONG)
    for place, byte in damage.items():
        content[place] = byte
    try:
        file, _ = read_file(bytes(content))
    except MidiError:
        return
    assert_read_again(file)


def test_a_regular_file_comes_back_without_a_word() -> None:
    file, remarks = read_file(SONG)
    assert file.to_bytes() == SONG and remarks == ()
    assert file.tracks[0].messages == (
        Message(0, 0x90, b"\x3c\x40"),
        Message(96, 0x80, b"\x3c\x40"),
        meta(96, END_OF_TRACK),
    )
    assert (file.tracks[0].messages[0].command, file.tracks[0].messages[0].channel) == (0x90, 0)


@pytest.mark.parametrize("left", range(1, 8))
def test_a_header_of_a_chunk_that_is_cut(left: int) -> None:
    """Its bytes stay, and it is no chunk."""
    content = header(2) + chunk(NOTE + END) + chunk(NOTE + END)[:left]
    file, remarks = read_file(content)
    assert len(file.tracks) == 1 and file.to_bytes()[14:] == content[14:]
    assert remarks == ("its header says 2 track chunks; it has 1",)


def test_chunks_of_other_kinds_keep_their_places() -> None:
    content = header(2) + chunk(b"abc", b"XFIH") + chunk(NOTE + END) + chunk(b"", b"XFKM")
    content += chunk(NOTE + END)
    file, remarks = read_file(content)
    assert [own.kind for own in file.chunks] == [b"XFIH", b"MTrk", b"XFKM", b"MTrk"]
    assert file.to_bytes() == content and remarks == ()
    new = Chunk((meta(0, END_OF_TRACK),))
    changed = file.with_tracks([None, file.tracks[1]], [new])
    assert [own.kind for own in changed.chunks] == [b"XFIH", b"XFKM", b"MTrk", b"MTrk"]
    assert changed.chunks[2] is file.tracks[1] and changed.chunks[3] is new


def test_new_chunks_come_before_bytes_that_are_none() -> None:
    file, _ = read_file(SONG + b"\x00\x00and more")
    new = Chunk((meta(0, END_OF_TRACK),))
    assert (
        file.with_tracks(file.tracks, [new]).to_bytes().endswith(new.to_bytes() + b"\0\0and more")
    )


@pytest.mark.parametrize(
    ("amount", "written"),
    [(0, "00"), (127, "7f"), (128, "81 00"), (16383, "ff 7f"), (2**28 - 1, "ff ff ff 7f")],
)
def test_numbers(amount: int, written: str) -> None:
    assert number(amount) == bytes.fromhex(written)


def test_running_status_is_left_out_again() -> None:
    messages = (
        Message(0, 0x90, b"\x3c\x40"),
        Message(5, 0x90, b"\x3c\x00"),
        meta(5, 1, b"x"),
        Message(5, 0x90, b"\x3d\x40"),
        Message(5, 0x90, b"\x3d\xc8"),  # not to be taken for a status
    )
    assert encoded(messages) == bytes.fromhex(
        "00 90 3c 40  05 3c 00  00 ff 01 01 78  00 90 3d 40  00 90 3d c8"
    )


def test_finer_ticks() -> None:
    file, _ = read_file(SONG)
    finer = file.stretched(5)
    assert finer.resolution == 480
    assert [message.tick for message in finer.tracks[0].messages] == [0, 480, 480]
    assert read_file(finer.to_bytes()).file.tracks[0].messages == finer.tracks[0].messages


def test_plain_bytes_are_for_any_reader() -> None:
    odd = b"\x01\xff\x60\x01x" + b"\x02\xf8" + b"\x03\x90\x3c\xc8" + b"\x04\x80\x3c\x40"
    content = header() + chunk(b"", b"XFIH") + chunk(odd + END)
    file, _ = read_file(content)
    assert file.plain_bytes() == header() + chunk(
        b"\x06\x90\x3c\x7f" + b"\x04\x80\x3c\x40" + END
    )  # fmt: skip
