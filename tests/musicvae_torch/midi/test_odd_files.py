"""Files that are not as the standard wants them: what can be read is, and comes back as it was."""

from __future__ import annotations

import io
from pathlib import Path

import mido
import numpy as np
import pytest
from odd_songs import heard
from odd_songs import read_bytes as read
from raw_midi import (
    BAR,
    QUARTER,
    Timed,
    chunk,
    conductor,
    control,
    line,
    meta,
    metre,
    named,
    off,
    on,
    parse,
    part,
    program,
    riff,
    riff_chunk,
    smf,
    sysex,
    tempo,
    tune,
)

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.score import read_score

NOTES = [(0, 400, 72), (480, 880, 74), (960, 1360, 76), (1920, 3840, 77)]
LATE = 5000  # after all of them
HEAD: list[Timed] = [(0, named("Tune")), (0, program(0, 73))]


def with_events(*events: Timed) -> bytes:
    """The plain tune with other events among its own."""
    return smf(conductor(), chunk([*HEAD, *events, *line(NOTES)], LATE))


def events_of(content: bytes) -> list[list[tuple[int, bytes]]]:
    """Tick and message of all events but the ends of tracks, chunk by chunk."""
    return [
        [(event.tick, event.data) for event in track.events if event.meta(0x2F) is None]
        for track in parse(content).tracks
    ]


def test_what_the_tests_write_is_midi() -> None:
    """By another library, where the file is regular."""
    content = smf(conductor(end=960), chunk([*HEAD, (7, control(0, 7, 99)), *line(NOTES)], LATE))
    file = mido.MidiFile(file=io.BytesIO(content))
    assert (file.type, file.ticks_per_beat, len(file.tracks)) == (1, QUARTER, 2)
    assert [message.type for message in file.tracks[1]][:3] == [
        "track_name",
        "program_change",
        "note_on",
    ]
    ticks = np.cumsum([message.time for message in file.tracks[1]]).tolist()
    ons = [at for at, m in zip(ticks, file.tracks[1], strict=True) if m.type == "note_on"]
    assert ons == [start for start, _, _ in NOTES] and ticks[-1] == LATE
    raw = parse(content)
    assert [event.tick for event in raw.tracks[1].events] == ticks
    assert (raw.format, raw.count, raw.division) == (1, 2, QUARTER)


def test_a_regular_file_comes_back(tmp_path: Path) -> None:
    for content in (
        with_events(),
        smf(part("Tune", 0, NOTES, 73), format=0),
        smf(conductor(), part("Tune", 0, tune(), 73), part("Other", 1, tune(), 40)),
    ):
        score = read(tmp_path, content)
        assert score.to_bytes() == content and score.remarks == ()


@pytest.mark.parametrize("kind", [0x08, 0x09, 0x0A, 0x0F, 0x10, 0x30, 0x4B, 0x60, 0x7E])
def test_unknown_metas_cost_no_time(tmp_path: Path, kind: int) -> None:
    odd: list[Timed] = [(at, meta(kind, b"odd")) for at in (0, 7, 480, 500, 1800, 1920, 4000)]
    content = smf(
        conductor(*odd, (1920, tempo(80)), (3840, metre(3, 4))),
        chunk([*HEAD, *odd, *line(NOTES)], LATE),
        chunk([*odd, *line(NOTES, 1)], LATE),
    )
    score = read(tmp_path, content)
    assert heard(score) == sorted(NOTES * 2)
    assert score.tempos[:, 0].tolist() == [0, 1920]
    assert score.metres.tolist() == [[0, 4, 4], [3840, 3, 4]]
    assert score.end == LATE and score.to_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\x60\x00",
        b"\xff\x60\x81\x00" + bytes(128),
        b"\xff\x7f\x03\x43\x00\x01",
        b"\xff\x01\x04\x80\xff\xf7\x2f",
        b"\xff\x00\x02\x00\x07",
        b"\xff\x20\x01\x05",
        b"\xff\x21\x01\x00",
    ],
    ids=lambda content: content[:4].hex(" "),
)
def test_metas_of_any_content_stay(tmp_path: Path, content: bytes) -> None:
    odd = with_events((100, content), (481, content))
    score = read(tmp_path, odd)
    assert heard(score) == NOTES and score.to_bytes() == odd


SYSTEM = {
    "sysex in three packets": [
        (100, sysex(b"\x43\x12\x00")),
        (500, sysex(b"\x43\x10\x44\x00\x01\x02", 0xF7)),
        (700, sysex(b"\x03\x04\x05\xf7", 0xF7)),
    ],
    "sysex without an end": [(100, sysex(b"\x43\x12\x00"))],
    "empty sysex": [(100, sysex(b""))],
    "escaped song select": [(100, sysex(b"\xf3\x01", 0xF7))],
    "escaped clock": [(100, sysex(b"\xf8", 0xF7)), (101, sysex(b"\xfa", 0xF7))],
    "empty escape": [(100, sysex(b"", 0xF7))],
    "quarter frame": [(100, b"\xf1\x23")],
    "song position": [(100, b"\xf2\x10\x20")],
    "song select": [(100, b"\xf3\x05")],
    "tune request": [(100, b"\xf6")],
    "clock": [(20, b"\xf8"), (40, b"\xf8"), (480, b"\xf8"), (881, b"\xf8")],
    "start, continue, stop": [(20, b"\xfa"), (400, b"\xfb"), (4000, b"\xfc")],
    "active sensing": [(20, b"\xfe"), (3000, b"\xfe")],
    "undefined": [(20, b"\xf9"), (900, b"\xfd")],
}


@pytest.mark.parametrize("name", SYSTEM)
def test_system_messages_stay_and_cost_no_time(tmp_path: Path, name: str) -> None:
    content = with_events(*SYSTEM[name])
    score = read(tmp_path, content)
    assert heard(score) == NOTES and score.end == LATE
    assert score.to_bytes() == content


INTERRUPTIONS = {
    "meta": meta(1, b"la"),
    "unknown meta": meta(0x4B, b"la"),
    "sysex": sysex(b"\x7e\x7f\x09\x01\xf7"),
    "escape": sysex(b"\xf3\x01", 0xF7),
    "clock": b"\xf8",
}


@pytest.mark.parametrize("name", INTERRUPTIONS)
def test_running_status_goes_on(tmp_path: Path, name: str) -> None:
    events: list[Timed] = [
        (0, on(0, 72)),
        (400, bytes([72, 0])),
        (440, INTERRUPTIONS[name]),
        (480, bytes([74, 96])),
        (880, bytes([74, 0])),
    ]
    content = smf(chunk([*HEAD, *events], LATE))
    score = read(tmp_path, content)
    assert heard(score) == NOTES[:2] and score.to_bytes() == content


OVER_127 = {
    "controller's value": b"\xb0\x07\xff",
    "controller's number": b"\xb0\x90\x40",
    "program": b"\xc0\xc8",
    "channel pressure": b"\xd0\xff",
    "bend": b"\xe0\x80\xff",
    "key pressure": b"\xa0\x48\xff",
    "pitch of a note": b"\x90\xc8\x40",
    "pitch of a note-off": b"\x80\xc8\x40",
    "velocity of a note-off": b"\x80\x40\xff",
}


@pytest.mark.parametrize("name", OVER_127)
def test_data_bytes_over_127(tmp_path: Path, name: str) -> None:
    content = with_events((960, OVER_127[name]), (4000, OVER_127[name]))
    score = read(tmp_path, content)
    assert [row for row in heard(score) if row[2] < 128] == NOTES
    assert all(row[2] < 128 for row in heard(score))
    assert score.remarks and score.to_bytes() == content


def test_a_velocity_over_127_is_the_loudest(tmp_path: Path) -> None:
    content = with_events((4000, b"\x90\x50\xff"), (4400, off(0, 0x50)))
    score = read(tmp_path, content)
    assert heard(score) == [*NOTES, (4000, 4400, 0x50)]
    assert max(int(track.notes["velocity"].max()) for track in score.tracks) == 127
    assert score.to_bytes() == content


# Of metas whose length the standard says, other lengths: type, content.
SHORT = {
    "metre 0": (0x58, b""),
    "metre 1": (0x58, b"\x03"),
    "metre 2": (0x58, b"\x03\x02"),
    "key 0": (0x59, b""),
    "key 1": (0x59, b"\x01"),
    "smpte 0": (0x54, b""),
    "smpte 4": (0x54, b"\x60\x00\x00\x00"),
    "smpte rate": (0x54, b"\xff\x00\x00\x00\x00"),
    "tempo 0": (0x51, b""),
    "tempo 1": (0x51, b"\x07"),
    "tempo 2": (0x51, b"\x07\xa1"),
    "prefix 0": (0x20, b""),
    "port 0": (0x21, b""),
    "sequence number 1": (0x00, b"\x01"),
}


@pytest.mark.parametrize("name", SHORT)
def test_short_metas_are_passed_over(tmp_path: Path, name: str) -> None:
    kind, content = SHORT[name]
    odd = smf(chunk([(0, meta(kind, content)), (480, meta(kind, content))]), part("", 0, NOTES, 73))
    score = read(tmp_path, odd)
    assert heard(score) == NOTES and score.remarks
    assert score.metres.tolist() == [[0, 4, 4]] and score.tempos.tolist() == [[0, 500_000]]
    assert score.to_bytes() == odd


LONG = {
    "sequence number 3": (0x00, b"\x01\x02\x03"),
    "prefix 2": (0x20, b"\x00\x00"),
    "port 2": (0x21, b"\x00\x00"),
    "smpte 6": (0x54, b"\x60\x00\x00\x00\x00\x00"),
    "key 3": (0x59, b"\x01\x00\x00"),
}


@pytest.mark.parametrize("name", LONG)
def test_long_metas_are_no_reason_to_refuse(tmp_path: Path, name: str) -> None:
    odd = with_events((0, meta(*LONG[name])))
    score = read(tmp_path, odd)
    assert heard(score) == NOTES and score.to_bytes() == odd


@pytest.mark.parametrize("content", [b"\x00\x02\x18\x08", b"\x04\xc8\x18\x08", b"\x00\xff\x00\x00"])
def test_metres_that_are_none(tmp_path: Path, content: bytes) -> None:
    odd = with_events((0, meta(0x58, content)))
    score = read(tmp_path, odd)
    assert score.metres.tolist() == [[0, 4, 4]] and heard(score) == NOTES
    assert score.to_bytes() == odd


def test_a_tempo_of_zero(tmp_path: Path) -> None:
    odd = with_events((480, meta(0x51, bytes(3))))
    score = read(tmp_path, odd)
    times = score.seconds(np.array([0, 480, 960, LATE]))
    assert np.isfinite(times).all() and (np.diff(times) >= 0).all()
    assert heard(score) == NOTES and score.to_bytes() == odd


def test_an_end_of_track_with_content(tmp_path: Path) -> None:
    body = chunk([*HEAD, *line(NOTES), (LATE, meta(0x2F, b"\x01\x02"))], end_of_track=False)
    score = read(tmp_path, smf(conductor(), body))
    assert heard(score) == NOTES and score.end == LATE


# Files whose chunks are not as their headers say.

TUNE_CHUNK = chunk([*HEAD, *line(NOTES)], LATE)
OTHER_CHUNK = chunk([(0, named("Other")), *line(NOTES, 1)], LATE)
TRUE_SIZE = len(TUNE_CHUNK) - 8
BOTH = sorted(NOTES * 2)
UNENDED = chunk([*HEAD, *line(NOTES)], end_of_track=False)
MISCOUNTED = {
    "counts no track": smf(TUNE_CHUNK, OTHER_CHUNK, count=0),
    "counts one of two": smf(TUNE_CHUNK, OTHER_CHUNK, count=1),
    "counts nine": smf(TUNE_CHUNK, OTHER_CHUNK, count=9),
    "counts 65535": smf(TUNE_CHUNK, OTHER_CHUNK, count=65535),
    "format 0 of two": smf(TUNE_CHUNK, OTHER_CHUNK, format=0),
    "format 0 that counts one of two": smf(TUNE_CHUNK, OTHER_CHUNK, format=0, count=1),
    "format 7": smf(TUNE_CHUNK, OTHER_CHUNK, format=7),
    "a header of eight bytes": smf(TUNE_CHUNK, OTHER_CHUNK, header=b"\0\0"),
    "a header of twenty bytes": smf(TUNE_CHUNK, OTHER_CHUNK, header=bytes(range(14))),
    "an unknown chunk between": smf(TUNE_CHUNK, chunk([], kind=b"junk"), OTHER_CHUNK),
}


@pytest.mark.parametrize("name", MISCOUNTED)
def test_wrong_counts(tmp_path: Path, name: str) -> None:
    content = MISCOUNTED[name]
    score = read(tmp_path, content)
    assert heard(score) == BOTH
    written = parse(score.to_bytes())
    assert written.count == len(written.tracks) == 2
    assert events_of(score.to_bytes()) == events_of(content)


def sized(size: int) -> bytes:
    return chunk([*HEAD, *line(NOTES)], LATE, size=size)


MISSIZED = {
    "size 0": (smf(sized(0), OTHER_CHUNK), BOTH),
    "size 0 at the end": (smf(OTHER_CHUNK, sized(0)), BOTH),
    "too short, within an event": (smf(sized(TRUE_SIZE - 6), OTHER_CHUNK), BOTH),
    "short of the end-of-track": (smf(sized(TRUE_SIZE - 4), OTHER_CHUNK), BOTH),
    "too short at the end": (smf(OTHER_CHUNK, sized(TRUE_SIZE - 6)), BOTH),
    "too long by one": (smf(sized(TRUE_SIZE + 1), OTHER_CHUNK), BOTH),
    "too long, into the next": (smf(sized(TRUE_SIZE + 20), OTHER_CHUNK), BOTH),
    "beyond the file": (smf(OTHER_CHUNK, sized(2**31)), BOTH),
    "FFFFFFFF": (smf(OTHER_CHUNK, sized(2**32 - 1)), BOTH),
    "no end-of-track": (smf(UNENDED, OTHER_CHUNK), BOTH),
    "no end-of-track at the end": (smf(OTHER_CHUNK, UNENDED), BOTH),
    "bytes behind the file": (smf(OTHER_CHUNK, TUNE_CHUNK) + b"\0\0\0", BOTH),
    "text behind the file": (smf(OTHER_CHUNK, TUNE_CHUNK) + b"Sequenced by someone\r\n\x1a", BOTH),
}


@pytest.mark.parametrize("name", MISSIZED)
def test_wrong_sizes(tmp_path: Path, name: str) -> None:
    content, notes = MISSIZED[name]
    score = read(tmp_path, content)
    assert heard(score) == notes
    written = parse(score.to_bytes())
    assert written.count == len(written.tracks) == 2
    assert all(track.events[-1].meta(0x2F) == b"" for track in written.tracks)
    regular = smf(TUNE_CHUNK, OTHER_CHUNK)
    assert sorted(events_of(score.to_bytes())) == sorted(events_of(regular))


@pytest.mark.parametrize(
    "after", [b"\0", b"\0\0\0\0", b"\0\xff\x2f\0", b"\xff\xff\xff\xff", b"end"]
)
def test_bytes_behind_an_end_of_track(tmp_path: Path, after: bytes) -> None:
    odd = smf(conductor(), chunk([*HEAD, *line(NOTES)], LATE, after=after), OTHER_CHUNK)
    assert heard(read(tmp_path, odd)) == BOTH


def test_chunks_of_other_kinds_stay(tmp_path: Path) -> None:
    first, second, last = (
        kind + len(body).to_bytes(4, "big") + body
        for kind, body in ((b"XFIH", b"\0\xff\x07"), (b"junk", b""), (b"XFKM", b"MTrk lyrics"))
    )
    content = smf(first, conductor(), second, TUNE_CHUNK, last)
    score = read(tmp_path, content)
    assert heard(score) == NOTES and score.to_bytes() == content


INFO = riff_chunk(b"LIST", b"INFO" + riff_chunk(b"INAM", b"A song "))
ODD_SIZE = smf(conductor(), chunk([(0, named("Tunes")), *HEAD[1:], *line(NOTES)], LATE))
EVEN_SIZE = smf(conductor(), TUNE_CHUNK)
RIFFS = {
    "even": riff(EVEN_SIZE),
    "odd, padded": riff(ODD_SIZE),
    "odd, not padded": riff(ODD_SIZE, padded=False),
    "INFO before": riff(ODD_SIZE, before=INFO),
    "INFO behind": riff(ODD_SIZE, after=INFO),
    "odd chunk before": riff(ODD_SIZE, before=riff_chunk(b"DISP", b"\1\0\0\0abc")),
    "a sound bank behind": riff(EVEN_SIZE, after=riff_chunk(b"RIFF", b"DLS MThd MTrk" + bytes(99))),
    "size 0": riff(EVEN_SIZE, size=0),
    "size beyond the file": riff(EVEN_SIZE, size=2**32 - 1),
}


def test_these_are_odd_and_even() -> None:
    assert {len(ODD_SIZE) % 2, len(EVEN_SIZE) % 2} == {0, 1}


@pytest.mark.parametrize("suffix", [".mid", ".rmi"])
@pytest.mark.parametrize("name", RIFFS)
def test_riff_files(tmp_path: Path, name: str, suffix: str) -> None:
    score = read(tmp_path, RIFFS[name], f"song{suffix}")
    assert heard(score) == NOTES
    assert any("RIFF" in remark for remark in score.remarks)
    written = read(tmp_path, score.to_bytes(), "again.mid")
    assert heard(written) == NOTES


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    """At any place: what is whole of it is read, and it is said; or, if nothing is, that."""
    events = line(NOTES)
    content = smf(chunk([*HEAD, *events], LATE))
    first_off = content.index(off(0, 72)) + 3
    for size in range(len(content)):
        try:
            score = read(tmp_path, content[:size])
        except MidiError as error:
            assert size < first_off and "\n" not in str(error)
            continue
        whole = [row[2] for row in NOTES if content.find(on(0, row[2])) + 3 <= size]
        assert [row[2] for row in heard(score)] == whole[: len(heard(score))]
        assert size < first_off or (score.remarks and heard(score))
        assert len(heard(score)) >= sum(content.find(off(0, p)) + 3 <= size for _, _, p in NOTES)
        parse(score.to_bytes())


def test_what_is_no_song_is_still_refused(tmp_path: Path) -> None:
    hopeless = {
        "empty": b"",
        "text": b"This is no MIDI file, whatever its name says.\n",
        "RIFF of sound": b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0" + bytes(20),
        "header alone": smf(),
        "video frames": smf(TUNE_CHUNK, resolution=0xE728),
        "several songs": smf(TUNE_CHUNK, OTHER_CHUNK, format=2),
        "resolution 0": smf(TUNE_CHUNK, resolution=0),
    }
    for name, content in hopeless.items():
        path = tmp_path / f"{name}.mid"
        path.write_bytes(content)
        try:
            assert not read_score(path).tracks, name
        except MidiError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error), name


@pytest.mark.parametrize("resolution", [1, 2, 3, 24, 25, 97, 480, 9999, 15360, 32767])
def test_any_ticks_a_quarter(tmp_path: Path, resolution: int) -> None:
    rows = [(start * resolution, (start + 1) * resolution, 60 + start) for start in range(8)]
    content = smf(part("Tune", 0, rows, 73), resolution=resolution)
    score = read(tmp_path, content)
    assert (score.resolution, heard(score)) == (resolution, rows)
    assert score.to_bytes() == content


def test_what_was_odd_is_said_in_one_line_each(tmp_path: Path) -> None:
    content = riff(
        smf(
            chunk([(0, meta(0x58, b"\x03")), (0, meta(0x51, b""))]),
            chunk([*HEAD, (1, b"\xb0\x07\xff"), *line(NOTES)], LATE, size=0),
            count=7,
        )
    )
    remarks = read(tmp_path, content).remarks
    assert len(remarks) >= 3 and not any("\n" in remark for remark in remarks)


def test_time_goes_on_where_little_is_understood(tmp_path: Path) -> None:
    """Every oddity at once, on each track, and no note moves."""
    odd: list[Timed] = [
        (at + shift, data)
        for at in (10, 490, 1000, 2000)
        for shift, data in enumerate(
            [meta(0x4B, b"?"), sysex(b"\x01"), sysex(b"\xf3\x01", 0xF7), b"\xf8", b"\xf2\x01\x02",
             b"\xb0\x07\xff", meta(0x59, b"\x09\x00"), meta(0x51, b"\x01")]
        )
    ]  # fmt: skip
    content = smf(
        conductor(*odd, (4 * BAR, meta(6, b"Verse"))),
        chunk([*HEAD, *odd, *line(NOTES)], LATE),
        chunk([*odd, *line(NOTES, 1)], LATE),
    )
    score = read(tmp_path, content)
    assert heard(score) == BOTH and score.to_bytes() == content
