"""Scores: what is read of a MIDI file, and that it can be written again as it was."""

from __future__ import annotations

import io
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import EXAMPLES
from small_scores import midi_bytes, score_of

from musicvae_torch.errors import MidiError
from musicvae_torch.midi.fast import read_song
from musicvae_torch.midi.notes import read_midi, to_song
from musicvae_torch.midi.score import Score, divisible, read_score

SONGS = sorted(EXAMPLES.glob("*.mid"))


def on(note: int, time: int = 0, channel: int = 0, velocity: int = 80) -> mido.Message:
    return mido.Message("note_on", note=note, time=time, channel=channel, velocity=velocity)


def off(note: int, time: int = 0, channel: int = 0) -> mido.Message:
    return mido.Message("note_off", note=note, time=time, channel=channel)


def program(number: int, channel: int = 0) -> mido.Message:
    return mido.Message("program_change", program=number, channel=channel)


def file_of(*chunks: list[mido.Message], resolution: int = 480, type: int = 1) -> mido.MidiFile:
    tracks = [mido.MidiTrack(chunk) for chunk in chunks]
    return mido.MidiFile(type=type, ticks_per_beat=resolution, tracks=tracks)


def rows(score: Score) -> list[tuple[int, int, int, list[tuple[int, ...]]]]:
    return [(t.chunk, t.channel, t.program, t.notes.tolist()) for t in score.tracks]


@pytest.mark.parametrize("path", SONGS, ids=lambda path: path.stem)
def test_a_file_comes_back_byte_for_byte(path: Path) -> None:
    assert read_score(path).to_bytes() == path.read_bytes()


def test_notes_by_chunk_channel_and_program() -> None:
    score = score_of(
        file_of(
            [mido.MetaMessage("track_name", name="both"), program(73), on(60), off(60, 10)],
            [on(40, 5, channel=9), program(20), on(62), on(64), program(21), on(65), off(62, 5),
             off(64), off(65, 1), off(40, channel=9)],
        )
    )  # fmt: skip
    assert rows(score) == [
        (0, 0, 73, [(0, 10, 60, 80)]),
        (1, 9, 0, [(5, 11, 40, 80)]),
        (1, 0, 20, [(5, 10, 62, 80), (5, 10, 64, 80)]),
        (1, 0, 21, [(5, 11, 65, 80)]),
    ]
    assert [track.index for track in score.tracks] == [0, 1, 2, 3]
    assert [track.is_drum for track in score.tracks] == [False, True, False, False]
    assert [track.name for track in score.tracks] == ["both", "", "", ""]
    assert str(score.tracks[0]) == "track 0: 'both' Flute, 1 note"
    assert score.end == 11


def test_a_note_off_ends_all_notes_of_its_pitch() -> None:
    score = score_of(file_of([on(60), on(60, 5), off(60, 5), on(62), off(62), off(62, 3), on(64)]))
    # 62 has no length, and 64 begins as the chunk ends.
    assert rows(score) == [(0, 0, 0, [(0, 10, 60, 80), (5, 10, 60, 80)])]


@given(
    st.lists(
        st.tuples(
            st.booleans(), st.integers(60, 62), st.integers(0, 3), st.integers(0, 1)
        ),
        max_size=30,
    )
)  # fmt: skip
def test_notes_are_those_of_pretty_midi(events: list[tuple[bool, int, int, int]]) -> None:
    """Where all notes end, and most last any time."""
    long = [(on, off)[n % 2](70, n % 2, channel=ch) for ch in (0, 1) for n in range(32)]
    chunk = [(on if begin else off)(pitch, time, ch) for begin, pitch, time, ch in events]
    ends = [off(pitch, 1, channel=ch) for pitch in (60, 61, 62) for ch in (0, 1)]
    score = score_of(file_of([*long, *chunk, *ends]))
    theirs = score.to_pretty_midi()
    ticks = sorted(
        (theirs.time_to_tick(note.start), theirs.time_to_tick(note.end), note.pitch)
        for track in theirs.instruments
        for note in track.notes
    )
    assert sorted(tuple(note)[:3] for t in score.tracks for note in t.notes.tolist()) == ticks


def test_tempos_metres_and_seconds() -> None:
    tempo = [
        mido.MetaMessage("set_tempo", tempo=t, time=dt) for t, dt in [(1_000_000, 480), (1, 480)]
    ]
    metre = mido.MetaMessage("time_signature", numerator=3, denominator=4, time=480)
    score = score_of(file_of(tempo, [metre], [on(60), off(60, 2000)]))
    assert score.tempos.tolist() == [[0, 500_000], [480, 1_000_000], [960, 1]]
    assert score.metres.tolist() == [[0, 4, 4], [480, 3, 4]]
    np.testing.assert_allclose(
        score.seconds(np.array([[0, 240, 480], [720, 960, 1440]])),
        [[0, 0.25, 0.5], [1.0, 1.5, 1.500001]],
    )
    assert score.seconds(480) == 0.5


def test_a_tempo_of_no_time_does_not_count() -> None:
    """Neither here nor for pretty_midi; the file keeps it."""
    tempo = [mido.MetaMessage("set_tempo", tempo=t, time=480) for t in (1_000_000, 0)]
    score = score_of(file_of(tempo, [on(60), off(60, 1440)]))
    assert score.tempos.tolist() == [[0, 500_000], [480, 1_000_000]]
    assert score.to_pretty_midi().instruments[0].notes[0].end == score.seconds(1440) == 2.5
    assert b"\xff\x51\x03\x00\x00\x00" in score.to_bytes()
    assert score.remarks == (
        "kept as they are: tempo events of bytes 00 00 00, which do not exist (in track chunks 0)",
    )


def test_the_first_chunk_says_the_tempo() -> None:
    chunks = [[mido.MetaMessage("set_tempo", tempo=t)] for t in (400_000, 300_000)]
    assert score_of(file_of(*chunks)).tempos.tolist() == [[0, 400_000]]


@pytest.mark.parametrize(
    ("resolution", "finer"), [(480, 480), (6, 12), (1, 4), (50, 100), (96, 96), (97, 97), (95, 380)]
)
def test_sixteenths_fall_on_ticks(resolution: int, finer: int) -> None:
    score = score_of(file_of([on(60, 3), off(60, 2)], resolution=resolution))
    again = divisible(score)
    assert again.resolution == finer
    factor = finer // resolution
    assert rows(again) == [(0, 0, 0, [(3 * factor, 5 * factor, 60, 80)])]
    assert again.seconds(5 * factor) == score.seconds(5)


@pytest.mark.parametrize(
    ("resolution", "finer"), [(24, 480), (48, 480), (1, 480), (50, 500), (95, 760), (96, 96)]
)
def test_coarse_ticks_become_fine_on_request(resolution: int, finer: int) -> None:
    score = score_of(file_of([on(60, 3), off(60, 2)], resolution=resolution))
    again = divisible(score, fine=True)
    assert again.resolution == finer
    factor = finer // resolution
    assert rows(again) == [(0, 0, 0, [(3 * factor, 5 * factor, 60, 80)])]


def test_fine_ticks_stay() -> None:
    """A sixteenth that is not a whole number of fine ticks is rounded, and nobody hears it."""
    score = score_of(file_of([on(60), off(60, 1)], resolution=32765))
    assert divisible(score) is score


def test_what_is_no_song(tmp_path: Path) -> None:
    with pytest.raises(MidiError, match=r"nothing\.mid: no such file"):
        read_score(tmp_path / "nothing.mid")
    with pytest.raises(MidiError, match="is a folder"):
        read_score(tmp_path)
    text = tmp_path / "text.mid"
    text.write_text("A song")
    with pytest.raises(MidiError, match=r"text.mid: not readable as a MIDI file .*no header"):
        read_score(text)
    with pytest.raises(MidiError, match="several songs"):
        score_of(file_of([on(60)], [on(61)], type=2))
    with pytest.raises(MidiError, match="video frames"):
        score_of(file_of([on(60)], resolution=-7208))


def test_a_cut_file_keeps_what_came_before(tmp_path: Path) -> None:
    whole = read_score(SONGS[0])
    for left_out in (20, 21, 22, 23):
        cut = tmp_path / "cut.mid"
        cut.write_bytes(SONGS[0].read_bytes()[:-left_out])
        score = read_score(cut)
        (before,), (after,) = whole.tracks, score.tracks
        assert after.notes[:-2].tolist() == before.notes[: len(after.notes) - 2].tolist()
        assert len(after.notes) > len(before.notes) - 5
        assert mido.MidiFile(file=io.BytesIO(score.to_bytes())).tracks  # anybody can read it
    content = midi_bytes(file_of([on(60), off(60, 10), on(62), off(62, 10)]))[:-5]
    cut.write_bytes(content)
    score = read_score(cut)
    assert rows(score) == [(0, 0, 0, [(0, 10, 60, 80)])]
    (said,) = score.remarks
    size = len(content) - content.index(b"MTrk") - 8 + 5
    assert said == (
        f"the file is cut short: track chunk 0 lacks 5 bytes of {size}, and its music ends there"
    )
    sized = content.replace((size).to_bytes(4), (size - 5).to_bytes(4), 1)
    assert score_of(sized).remarks == (
        "track chunk 0 ends in the middle of an event, which is left out",
    )


def test_clock_ticks_keep_their_time(tmp_path: Path) -> None:
    plain = midi_bytes(file_of([on(60, 10), off(60, 10)]))
    # A clock message (F8) with a delta of 5 before the note-off, whose own delta falls to 5.
    event = b"\x0a\x80"
    place = plain.index(event)
    odd = plain[:place] + b"\x05\xf8\x05\x80" + plain[place + 2 :]
    size = plain.index(b"MTrk") + 4
    length = int.from_bytes(odd[size : size + 4], "big") + 2
    odd = odd[:size] + length.to_bytes(4, "big") + odd[size + 4 :]
    (tmp_path / "odd.mid").write_bytes(odd)
    score = read_score(tmp_path / "odd.mid")
    assert rows(score) == [(0, 0, 0, [(10, 20, 60, 80)])]
    assert score.to_bytes() == odd
    assert score.remarks == (
        "kept as they are: system messages that have no place there (in track chunks 0)",
    )
    (track,) = score.to_pretty_midi().instruments
    assert (track.notes[0].start, track.notes[0].end) == pytest.approx((10 / 960, 20 / 960))


# Of a file whose keys are right, what each is made into: sharps or flats and mode, as bytes.
NO_KEYS = [b"\x09\x00", b"\x00\x05", b"\xff\xff", b"\xf8\x01"]


@pytest.mark.parametrize("content", NO_KEYS)
def test_keys_that_do_not_exist_stay(tmp_path: Path, content: bytes) -> None:
    """And so does all else, when it was; also for readers that would refuse the key."""
    key = mido.MetaMessage("key_signature", key="E", time=7)
    vendor = mido.MetaMessage("sequencer_specific", data=(9, 0), time=2)
    unknown = mido.UnknownMetaMessage(0x60, [1])
    first = [vendor, mido.MetaMessage("key_signature", key="Dm"), on(60, 3), off(60, 10)]
    second = [unknown, on(61, 5), vendor, key, off(61, 4), vendor]
    whole = midi_bytes(file_of(first, second))
    odd = whole.replace(b"\xff\x59\x02\x04\x00", b"\xff\x59\x02" + content)
    path = tmp_path / "keys.mid"
    path.write_bytes(odd)
    score = read_score(path)
    assert score.to_bytes() == odd
    assert rows(score) == [(0, 0, 0, [(5, 15, 60, 80)]), (1, 0, 0, [(5, 18, 61, 80)])]
    assert score.remarks == (
        f"kept as they are: key signature events of bytes {content.hex(' ')}, which do not exist "
        "(in track chunks 1)",
    )
    assert divisible(score).remarks == score.remarks
    # What is learnt from has the same notes.
    for notes in (read_song(path).notes, to_song(read_midi(path)).notes):
        assert notes["start"] == pytest.approx([5 / 960, 5 / 960])
        assert notes["end"] == pytest.approx([15 / 960, 18 / 960])
    path.write_bytes(whole)
    assert read_score(path).to_bytes() == whole and read_score(path).remarks == ()


def test_key_signatures_cut_short_or_many() -> None:
    keys = [mido.UnknownMetaMessage(0x59, data, time=1) for data in ([], [9], [8, 0], [8, 0])]
    file = file_of([*keys, on(60)], [*keys, off(60, 9)])
    score = score_of(file)
    assert score.to_bytes() == midi_bytes(file)
    assert [[message.tick for message in chunk.messages] for chunk in score.file.tracks] == [
        [1, 2, 3, 4, 4, 4], [1, 2, 3, 4, 13, 13]
    ]  # fmt: skip
    assert score.remarks == tuple(
        f"kept as they are: key signature events of bytes {said}, which do not exist "
        "(in track chunks 0, 1)"
        for said in ("none", "09", "08 00")
    )


def test_a_bad_key_does_not_hide_other_damage() -> None:
    frames = mido.UnknownMetaMessage(0x54, [0xE0, 0, 0, 0, 0])  # no such frame rate
    content = midi_bytes(file_of([mido.UnknownMetaMessage(0x59, [9, 0]), frames, on(60)]))
    key, rate, *others = score_of(content).remarks
    assert "key signature events of bytes 09 00" in key and not others
    assert "SMPTE offset events of bytes e0 00 00 00" in rate
    cut, key, rate = score_of(content[:-3]).remarks
    assert cut.startswith("the file is cut short: track chunk 0 lacks 3 bytes")


def test_several_chunks_are_no_format_0(tmp_path: Path) -> None:
    content = bytearray(midi_bytes(file_of([on(60), off(60, 1)], [on(61), off(61, 1)])))
    content[9] = 0
    (tmp_path / "odd.mid").write_bytes(content)
    score = read_score(tmp_path / "odd.mid")
    assert len(score.tracks) == 2 and score.to_bytes()[9] == 1


def test_midi_in_memory() -> None:
    midi = pretty_midi.PrettyMIDI(str(SONGS[0]))
    score = read_score(midi)
    assert len(score.tracks) == 1 and len(score.tracks[0].notes) == len(midi.instruments[0].notes)
    buffer = io.BytesIO()
    midi.write(buffer)
    assert score.to_bytes() == buffer.getvalue()


@pytest.mark.parametrize("power", [8, 63, 64, 200, 255])
def test_a_metre_of_no_beats_does_not_count(power: int) -> None:
    """A damaged byte makes a denominator of any power of two, beyond all integers of numpy."""
    content = midi_bytes(file_of([mido.MetaMessage("time_signature"), on(60), off(60, 10)]))
    damaged = content.replace(b"\xff\x58\x04\x04\x02", b"\xff\x58\x04\x04" + bytes([power]))
    assert damaged != content
    score = score_of(damaged)
    assert score.metres.tolist() == [[0, 4, 4]] and score.to_bytes() == damaged


def test_a_file_of_an_unknown_format_is_one_of_chunks(tmp_path: Path) -> None:
    content = bytearray(midi_bytes(file_of([on(60), off(60, 10)], resolution=3)))
    content[9] = 7
    (tmp_path / "seven.mid").write_bytes(content)
    score = divisible(read_score(tmp_path / "seven.mid"))
    assert score.file.format == 1 and score.tracks[0].notes.tolist() == [(0, 40, 60, 80)]
