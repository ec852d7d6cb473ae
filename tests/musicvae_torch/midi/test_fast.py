"""The fast reader: on any file the very song, or the very refusal, of pretty_midi's road."""

import struct
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import GOLDEN_FILES
from properties import examples

from musicvae_torch.errors import MidiError
from musicvae_torch.midi import fast as fast_midi
from musicvae_torch.midi.fast import read_song
from musicvae_torch.midi.notes import MAX_TICK, Song, read_midi, to_song

GOLDEN = sorted((GOLDEN_FILES / "trio_converter").glob("*.mid"))

Event = tuple[int, bytes]  # ticks since the one before, and its bytes

END = (0, b"\xff\x2f\x00")
TEMPO, METRE, KEY = b"\xff\x51\x03", b"\xff\x58\x04", b"\xff\x59\x02"


def number(value: int) -> bytes:
    """A length or delta time as MIDI writes it."""
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.insert(0, value & 0x7F | 0x80)
    return bytes(digits)


def track(events: list[Event], size: int | None = None) -> bytes:
    body = b"".join(number(delta) + event for delta, event in events)
    return b"MTrk" + struct.pack(">L", len(body) if size is None else size) + body


def file(
    *tracks: bytes, kind: int = 1, resolution: int = 96, announced: int | None = None
) -> bytes:
    count = len(tracks) if announced is None else announced
    return b"MThd" + struct.pack(">LHHH", 6, kind, count, resolution) + b"".join(tracks)


def on(delta: int = 0, pitch: int = 60, velocity: int = 90, channel: int = 0) -> Event:
    return delta, bytes([0x90 | channel, pitch, velocity])


def off(delta: int = 0, pitch: int = 60, channel: int = 0) -> Event:
    return delta, bytes([0x80 | channel, pitch, 64])


def pedal(delta: int = 0, value: int = 127, channel: int = 0) -> Event:
    return delta, bytes([0xB0 | channel, 64, value])


def program(number: int) -> Event:
    return 0, bytes([0xC0, number])


BEND = (1, b"\xe0\1\2")
NOTE = [on(0), off(96), END]

# What only real files' oddities can show: each is read without pretty_midi.
READ = {
    "one note": [NOTE],
    "only an end": [[END]],
    "a track without notes": [[END], NOTE],
    "no end of track": [[on(), off(96)]],
    "events after the end": [[END, *NOTE]],
    "notes that never end": [[on(), on(5, 64), END]],
    "an end before its note": [[off(3), on(5), off(7), off(9), END]],
    "note-ons of velocity 0 end notes": [[on(), on(50, velocity=0), on(), END]],
    "no length": [[on(10), off(0), on(5), off(5), END]],
    "the same note twice": [[on(0), on(10), off(10), off(10), END]],
    "one end for three": [[on(0), on(10), on(10, velocity=3), off(10), END]],
    "repeated, on before off": [[on(0), on(10), off(0), on(10), off(0), off(20), END]],
    "two ends at a tick": [[on(0), on(10), off(0), off(0), off(20), END]],
    "two begin where one ends": [[on(0), on(10), on(0, velocity=2), off(0), off(9), END]],
    "the same tick again": [[on(0), on(4), off(0), on(0), off(0), off(8), on(0), off(1), END]],
    "other pitches at the same tick": [[on(0), on(0, 64), off(8), on(0), off(0, 64), off(9), END]],
    "channels": [[on(channel=c) for c in range(16)] + [off(7, channel=c) for c in range(16)]],
    "channels keep their notes": [[on(), on(5, channel=1), off(5), off(5, channel=1)]],
    "tracks keep their notes": [[on()], [off(9)], NOTE],
    "a program while a note sounds": [[(0, b"\xc0\x05"), on(), (4, b"\xc0\x21"), off(4), *NOTE]],
    "programs of one channel": [[*NOTE, (0, b"\xc0\x05"), *NOTE, (0, b"\xc0\x00"), *NOTE]],
    "programs of other channels": [[(0, b"\xc1\x05"), *NOTE, (0, b"\xcf\x06"), *NOTE]],
    "programs of other tracks": [[(0, b"\xc0\x05"), *NOTE], NOTE, [(0, b"\xc0\x07"), *NOTE]],
    "a program after the last note": [[*NOTE, (0, b"\xc0\x05")]],
    "instruments in order of ends": [[on(), on(0, 64, channel=1), off(9, 64, channel=1), off()]],
    "running status": [[on(), (9, b"\x3e\x50"), (9, b"\x3c\x00"), (9, b"\x3e\x00"), END]],
    "running status past a text": [[on(), (5, b"\xff\x01\x02hi"), (9, b"\x3c\x00"), END]],
    "running programs and pressure": [[(0, b"\xc0\x01"), (0, b"\x02"), (0, b"\xd0\x03"), *NOTE]],
    "sysex": [[(3, b"\xf0\x03\x41\x42\xf7"), (3, b"\xf7\x01\x43"), (3, b"\xf0\x00"), *NOTE]],
    "long delta times": [[on(127), off(128), on(16383), off(16384), on(2097151), off(2097152)]],
    "a padded length": [[on(), (0, b"\xff\x01\x80\x80\x01x"), off(9)]],
    "a padded delta time": [[on(), (0, b"\xff\x01\x00" + b"\x80\x80\x05" + b"\x80\x3c\x00")]],
    "texts of high bytes": [[(1, b"\xff" + bytes([n]) + b"\x02\x80\xff") for n in range(1, 8)]],
    "types unknown to mido": [[on(5), (50, b"\xff\x0a\x01x"), (7, b"\xff\x60\x00"), off(9)]],
    "tempos": [[(0, TEMPO + b"\x07\xa1\x20"), on(7), (50, TEMPO + b"\x01\x23\x45"), off(77)]],
    "tempos at a tick": [[(9, TEMPO + b"\x01\x02\x03"), (0, TEMPO + b"\x03\x02\x01"), *NOTE]],
    "two first tempos": [[(0, TEMPO + b"\x01\x02\x03"), (0, TEMPO + b"\x03\x02\x01"), *NOTE]],
    "a tempo again": [[(9, TEMPO + b"\x01\x02\x03"), (9, TEMPO + b"\x01\x02\x03"), *NOTE]],
    "tempos of other tracks": [NOTE, [(9, TEMPO + b"\x01\x02\x03"), (9, METRE + b"\3\2\1\1")]],
    "metres": [[(0, METRE + b"\x03\x02\x18\x08"), (9, METRE + b"\x06\x03\x18\x08"), *NOTE]],
    "keys": [[(0, KEY + b"\xf9\x00"), (0, KEY + b"\x07\x01"), *NOTE]],
    "rests of other metas": [[(9, b"\xff\x20\x01\x05"), (9, b"\xff\x7f\x02\x80\x01"), *NOTE]],
    "a pedal": [[on(), pedal(), off(9), pedal(5, 63), *NOTE, pedal(6, 64), END]],
    "a pedal of later programs": [[pedal(), *NOTE, program(5), pedal(3), *NOTE, pedal(2, 1)]],
    "a bend before a program": [[*NOTE, program(5), BEND, *NOTE, program(9), pedal()]],
    "a pedal of the first program alone": [[*NOTE, pedal(), program(5), *NOTE, pedal(4, 7)]],
    "a pedal between programs": [[*NOTE, program(5), pedal(), *NOTE, program(0), pedal(8)]],
    "pedals of channels and tracks": [[pedal(channel=1), *NOTE], [*NOTE, pedal()], [pedal()], NOTE],
    "programs downwards": [[program(5), *NOTE, program(0), pedal(), *NOTE, program(9), pedal(1)]],
    "a pedal without notes": [[pedal(), END]],
    "controls": [[pedal(), (3, b"\xb0\x07\x50"), *NOTE, BEND, (3, b"\xa0\x3c\x01"), *NOTE]],
}  # fmt: skip

ODD = {
    "nothing": b"",
    "text": b"a shopping list\nmilk, bread\n",
    "no tracks": file(),
    "fewer tracks than announced": file(track(NOTE), announced=2),
    "an empty track": file(track(NOTE), track([])),
    "an empty track between others": file(track(NOTE), track([]), track(NOTE)),
    "a negative count of tracks": file(track(NOTE), announced=0xFFFF),
    "SMPTE": file(track(NOTE), resolution=0xE728),
    "0 ticks a beat": file(track(NOTE), resolution=0),
    "a chunk of another kind": file(b"XFIH\0\0\0\1x", track(NOTE)),
    "a track longer than the file": file(track(NOTE, size=5000)),
    "an event past its track": file(track(NOTE, size=6)),
    "an event's last byte past its track": file(track([on()], size=3)),
    "an event past its track, into the next": file(track(NOTE, size=6), track(NOTE)),
    "a delta time and no more": file(track([*NOTE, (300, b"")])),
    "half a delta time and no more": file(track([(0, b"\x90\x3c\x40\x85")])),
    "a tempo of 0": file(track([(0, TEMPO + b"\0\0\0"), *NOTE])),
    "a tempo of 0 on another track": file(track(NOTE), track([(0, TEMPO + b"\0\0\0")])),
    "half a tempo": file(track(NOTE), track([(0, b"\xff\x51\x02\1\1")])),
    "a sequence number of one byte": file(track([(0, b"\xff\x00\x01\5"), *NOTE])),
    "a channel prefix of none": file(track([(0, b"\xff\x20\x00"), *NOTE])),
    "half a metre": file(track([(0, b"\xff\x58\x02\1\1"), *NOTE])),
    "a metre of no beats": file(track([(0, METRE + b"\0\2\1\1"), *NOTE])),
    "a metre of no beats on another track": file(track(NOTE), track([(0, METRE + b"\0\2\1\1")])),
    "a metre of endless beats": file(track([(0, METRE + b"\4\xff\1\1"), *NOTE])),
    "a metre that mido's logarithm misses": file(track([(0, METRE + b"\4\x1d\1\1"), *NOTE])),
    "no such key": file(track(NOTE), track([(0, KEY + b"\x08\x00")])),
    "no such frame rate": file(track([(0, b"\xff\x54\x05\xe0\0\0\0\0"), *NOTE])),
    "a data byte above 127": file(track([(0, b"\x90\x3c\x85\x00"), *NOTE])),
    "a data byte above 127 under a running status": file(
        track([on(), (0, b"\x3c\x85\x00"), (9, b"\x3c\x00")])
    ),
    "a first data byte above 127": file(track([(0, b"\x90\x8c\x05"), *NOTE])),
    "a program above 127": file(track([(0, b"\xc0\x85"), *NOTE])),
    "running status of nothing": file(track([(0, b"\x3c\x40"), *NOTE])),
    "running status of another track": file(track(NOTE), track([(0, b"\x3c\x40"), *NOTE])),
    "running status after a sysex": file(
        track([on(), (0, b"\xf0\x01\xf7"), (9, b"\x3c\x03"), *NOTE])
    ),
    "a sysex with high bytes": file(track([(0, b"\xf0\x02\x90\x91"), *NOTE])),
    "system messages": file(track([(0, b"\xf8"), (0, b"\xf2\1\2"), (0, b"\xf6"), *NOTE])),
    "no such message": file(track([(0, b"\xf4"), *NOTE])),
    "a tick too many": file(track([on(), off(MAX_TICK)])),
    "a time beyond all files": file(track([on(), (2**70, b"\x80\x3c\x00")])),
    "a type of no length": file(track([(2**30, b"\xff\x0a\x00"), *NOTE])),
    "a text longer than the file": file(track([(0, b"\xff\x01\xff\xff\x7f"), *NOTE])),
    "a text longer than mido takes": file(
        track([(0, b"\xff\x01" + number(1_000_001) + bytes(1_000_001)), *NOTE])
    ),
    "a number without an end": file(track([(0, b"\x90\x3c\x40" + b"\xff" * 5000)])),
    "high bytes without an end": file(track([(0, b"\xff\x01\xa7\x08" + b"\xff" * 5000), *NOTE])),
}


def outcome(path: Path, slow: bool) -> Song | str:
    try:
        return to_song(read_midi(path)) if slow else read_song(path)
    except MidiError as error:
        return str(error)


def assert_same(path: Path) -> Song | str:
    """Both roads agree; what they found."""
    fast, slow = outcome(path, slow=False), outcome(path, slow=True)
    if isinstance(fast, str) or isinstance(slow, str):
        assert fast == slow
        return fast
    assert type(fast.end) is type(slow.end) and fast.end == slow.end
    for name in ("notes", "tempos", "time_signatures", "pedals"):
        got, wanted = getattr(fast, name), getattr(slow, name)
        assert got.dtype == wanted.dtype and got.shape == wanted.shape
        assert got.tolist() == wanted.tolist()
        assert got.tobytes() == wanted.tobytes()
    return fast


def assert_read_alone(path: Path) -> Song:
    """Both roads agree on a song, and the fast one needs no other."""
    with patch.object(fast_midi, "read_midi", side_effect=AssertionError("left to pretty_midi")):
        read_song(path)
    song = assert_same(path)
    assert isinstance(song, Song)
    return song


@pytest.mark.parametrize("name", READ)
def test_files_with_oddities_of_real_ones(tmp_path: Path, name: str) -> None:
    path = tmp_path / "song.mid"
    path.write_bytes(file(*map(track, READ[name])))
    assert_read_alone(path)


@pytest.mark.parametrize("kind", [0, 2, 77])
@pytest.mark.parametrize("resolution", [1, 1023, 32767])
def test_types_and_resolutions(tmp_path: Path, kind: int, resolution: int) -> None:
    path = tmp_path / "song.mid"
    tempos = [(0, TEMPO + b"\1\2\3"), *NOTE[:2], (7, TEMPO + b"\4\5\6"), *NOTE]
    path.write_bytes(file(track(tempos), track(NOTE), kind=kind, resolution=resolution))
    assert len(assert_read_alone(path).notes) == 3


def test_the_last_tick(tmp_path: Path) -> None:
    path = tmp_path / "song.mid"
    # More than pretty_midi takes by itself, of which little is a song at the finest resolution.
    path.write_bytes(file(track([on(), off(12_000_000)]), resolution=32767))
    assert assert_read_alone(path).end == pytest.approx(12_000_000 / 32767 / 2)
    path.write_bytes(file(track([on(), off(MAX_TICK - 1)])))
    with patch.object(fast_midi, "read_midi", side_effect=AssertionError("left to pretty_midi")):
        assert len(read_song(path).notes) == 1  # which pretty_midi takes a gigabyte to say


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_read_or_refused_as_by_pretty_midi(tmp_path: Path, name: str) -> None:
    path = tmp_path / "song.mid"
    path.write_bytes(ODD[name])
    found = assert_same(path)
    assert isinstance(found, Song) or (found.startswith(f"{path}: ") and "\n" not in found)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_songs(path: Path) -> None:
    assert len(assert_read_alone(path).notes)


def test_a_longer_header_and_bytes_after_the_last_track(tmp_path: Path) -> None:
    path = tmp_path / "song.mid"
    content = file(track(NOTE)) + b"and more"
    path.write_bytes(content[:7] + b"\x08" + content[8:14] + b"xy" + content[14:])
    assert len(assert_read_alone(path).notes) == 1


def test_thousands_of_notes_in_a_bar(tmp_path: Path) -> None:
    path = tmp_path / "song.mid"
    rng = np.random.default_rng(0)
    begins = [on(int(rng.random() < 0.01), int(p)) for p in rng.integers(0, 128, 5000)]
    ends = [off(int(rng.random() < 0.01), int(p)) for p in rng.integers(0, 128, 5000)]
    mixed = [begins[i // 2] if i % 3 else ends[i // 2] for i in range(10_000)]
    path.write_bytes(file(track(begins + ends), track(mixed)))
    assert len(assert_read_alone(path).notes) > 5000


def test_a_file_cut_anywhere(tmp_path: Path) -> None:
    """What came before the cut is read."""
    path = tmp_path / "song.mid"
    first = track([(0, METRE + b"\3\2\1\1"), *NOTE])
    whole = file(first, track(NOTE))
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        found = assert_same(path)
        if size < 14 + 8:
            assert isinstance(found, str)
        else:
            # A note is there once its note-off is, which four bytes of the end of track follow.
            assert isinstance(found, Song)
            assert len(found.notes) == (size >= 14 + len(first) - 4) + (size >= len(whole) - 4)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    assert assert_same(tmp_path / "song.mid") == f"{tmp_path / 'song.mid'}: no such file"
    assert assert_same(tmp_path) == f"{tmp_path}: is a folder, not a MIDI file"


deltas = st.sampled_from([0, 0, 0, 1, 2, 96, 130, 5000])
channels = st.sampled_from([0, 0, 1, 9])
data_bytes = st.integers(0, 127)
pitches = st.sampled_from([60, 61])
velocities = st.sampled_from([0, 1, 127])


def channel_event(kind: int, *data: st.SearchStrategy[int]) -> st.SearchStrategy[bytes]:
    return st.tuples(channels, *data).map(lambda e: bytes([kind | e[0], *e[1:]]))


notes = channel_event(0x90, pitches, velocities) | channel_event(0x80, pitches, data_bytes)
others = st.one_of(
    channel_event(0xC0, st.sampled_from([0, 33, 127])),
    channel_event(0xD0, data_bytes),
    channel_event(0xB0, st.sampled_from([7, 64, 64]), st.sampled_from([0, 63, 64, 127])),
    channel_event(0xE0, data_bytes, data_bytes),
    st.sampled_from([1, 250_000, 500_000, 500_001, 0xFFFFFF]).map(
        lambda tempo: TEMPO + tempo.to_bytes(3)
    ),
    st.tuples(st.integers(1, 255), st.integers(0, 7)).map(lambda m: METRE + bytes([*m, 24, 8])),
    st.tuples(st.integers(0, 127), st.binary(max_size=3)).map(
        lambda m: b"\xff" + bytes([m[0] if m[0] < 8 else 0x60 | m[0] % 16, len(m[1])]) + m[1]
    ).filter(lambda event: event[1] > 0),
    st.lists(data_bytes, max_size=3).map(lambda d: bytes([0xF0, len(d) + 1, *d, 0xF7])),
)  # fmt: skip
tracks = st.lists(st.tuples(deltas, notes | others | notes), min_size=12, max_size=60)


def with_running_status(events: list[Event]) -> list[Event]:
    """The same events, statuses left out where they may be."""
    shorter = []
    status = -1
    for delta, event in events:
        first = event[0]
        shorter.append((delta, event[1:] if first == status else event))
        if first != 0xFF:
            status = first if first < 0xF0 else -1
    return shorter


@examples(80)
@given(
    st.lists(tracks, min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from([1, 96, 480, 1023, 32767]),
)
def test_any_regular_file(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[list[Event]],
    running: bool,
    resolution: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.mid"
    if running:
        events = [with_running_status(one) for one in events]
    path.write_bytes(file(*map(track, events), resolution=resolution))
    assert_read_alone(path)


@examples(50)
@given(
    st.lists(tracks, min_size=1, max_size=2),
    st.dictionaries(st.integers(0, 499), st.integers(0, 255), min_size=1, max_size=3),
)
def test_damaged_files(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[list[Event]],
    damage: dict[int, int],
) -> None:
    content = bytearray(file(*map(track, events)))
    for place, byte in damage.items():
        content[14 + place % (len(content) - 14)] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.mid"
    path.write_bytes(content)
    assert_same(path)
