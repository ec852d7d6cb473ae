"""New parts in the song's own file: what stays, what goes, and where the new notes are."""

from __future__ import annotations

import mido
import numpy as np
import pytest

from musicvae_torch.notes.midi import MidiError
from musicvae_torch.notes.score import TICK_NOTE, Score, score_of
from musicvae_torch.notes.stitch import NewPart, stitch


def message(type: str, time: int = 0, **values: int) -> mido.Message:
    return mido.Message(type, time=time, **values)


def meta(type: str, time: int = 0, **values: object) -> mido.MetaMessage:
    return mido.MetaMessage(type, time=time, **values)


def song() -> Score:
    """A conductor's chunk, a flute, and a chunk in which a bass and drums are mixed."""
    conductor = [
        meta("track_name", name="Song"),
        meta("set_tempo", tempo=600_000),
        meta("key_signature", key="Bb"),
        meta("marker", time=96, text="Verse"),
        meta("end_of_track", time=500),
    ]
    flute = [
        meta("track_name", name="Flute"),
        message("program_change", program=73),
        message("control_change", control=7, value=99),
        message("note_on", note=60, velocity=33),
        message("pitchwheel", pitch=512, time=3),
        meta("lyrics", text="la", time=2),
        message("note_on", note=60, velocity=0, time=43),
        meta("end_of_track"),
    ]
    band = [
        meta("track_name", name="Band"),
        message("program_change", program=33, channel=1),
        message("note_on", note=40, channel=1, velocity=70),
        message("note_on", note=36, channel=9, velocity=71),
        message("note_off", note=36, channel=9, time=6),
        message("note_off", note=40, channel=1, time=6),
        message("program_change", program=49, channel=1),
        message("note_on", note=50, channel=1),
        message("note_off", note=50, channel=1, time=12),
        meta("end_of_track"),
    ]
    return score_of(mido.MidiFile(ticks_per_beat=24, tracks=[conductor, flute, band]), "a.mid")


def part(*notes: tuple[int, int, int, int], drums: bool = False) -> NewPart:
    return NewPart(
        "drums" if drums else "bass", 0 if drums else 33, drums, np.array(list(notes), TICK_NOTE)
    )


def test_all_that_stays_is_untouched() -> None:
    before = song()
    after = stitch(before, {0, 1, 2, 3}, [part((0, 6, 40, 90))])
    assert [list(chunk) for chunk in after.file.tracks[:3]] == [list(c) for c in before.file.tracks]
    assert after.file.ticks_per_beat == 24 and after.tempos.tolist() == before.tempos.tolist()


def test_what_is_left_out_leaves_no_trace_but_text() -> None:
    before = song()
    melody = stitch(before, {0}, [])
    assert [list(chunk) for chunk in melody.file.tracks] == [
        list(chunk) for chunk in before.file.tracks[:2]
    ]
    # The bass (track 1) goes, the strings on the same channel (3) and the drums (2) stay.
    without_bass = stitch(before, {0, 2, 3}, [])
    assert [str(m) for m in without_bass.file.tracks[2] if not m.is_meta] == [
        "program_change channel=1 program=33 time=0",
        "note_on channel=9 note=36 velocity=71 time=0",
        "note_off channel=9 note=36 velocity=64 time=6",
        "program_change channel=1 program=49 time=6",
        "note_on channel=1 note=50 velocity=64 time=0",
        "note_off channel=1 note=50 velocity=64 time=12",
    ]
    accompaniment = stitch(before, {1, 2, 3}, [])
    assert [m.text for c in accompaniment.file.tracks for m in c if m.type == "lyrics"] == ["la"]
    assert accompaniment.end == before.end


def test_new_parts_follow_on_channels_of_their_own() -> None:
    after = stitch(
        song(), {0, 3}, [part((6, 12, 40, 90), (12, 18, 40, 80)), part((0, 3, 36, 99), drums=True)]
    )
    bass, drums = after.tracks[-2:]
    assert (bass.name, bass.program, bass.channel) == ("bass", 33, 2)
    assert (drums.name, drums.channel) == ("drums", 9)
    assert bass.notes.tolist() == [(6, 12, 40, 90), (12, 18, 40, 80)]
    assert drums.notes.tolist() == [(0, 3, 36, 99)]
    assert after.end == song().end


def test_a_format_0_file_becomes_format_1() -> None:
    chunk = [message("note_on", note=60), message("note_off", note=60, time=5)]
    one = score_of(mido.MidiFile(type=0, tracks=[mido.MidiTrack(chunk)]))
    after = stitch(one, {0}, [part((0, 5, 40, 80))])
    assert after.file.type == 1 and len(after.file.tracks) == 2 and one.file.type == 0
    assert len(score_of(mido.MidiFile(file=_reread(after))).tracks) == 2


def _reread(score: Score):  # type: ignore[no-untyped-def]
    import io

    return io.BytesIO(score.to_bytes())


def test_no_channel_is_left() -> None:
    chunk = mido.MidiTrack()
    for channel in range(16):
        chunk.append(message("note_on", note=60, channel=channel))
        chunk.append(message("note_off", note=60, channel=channel, time=1))
    full = score_of(mido.MidiFile(tracks=[chunk]), "full.mid")
    everything = set(range(16))
    assert stitch(full, everything, [part((0, 1, 36, 80), drums=True)]).tracks[-1].is_drum
    with pytest.raises(MidiError, match=r"full.mid: all 16 MIDI channels are taken.*--keep given"):
        stitch(full, everything, [part((0, 1, 40, 80))])
    assert stitch(full, everything - {5}, [part((0, 1, 40, 80))]).tracks[-1].channel == 5


def test_new_drums_leave_the_drum_kit_of_others_alone() -> None:
    """Kept drums are on the only channel that there is for drums, with a program of their own."""
    kit = [
        message("program_change", program=25, channel=9),
        message("note_on", note=36, channel=9),
        message("note_off", note=36, channel=9, time=6),
    ]
    before = score_of(mido.MidiFile(ticks_per_beat=24, tracks=[mido.MidiTrack(kit)]))
    new = part((0, 3, 38, 99), drums=True)
    after = stitch(before, {0}, [new])
    programs = [m.program for c in after.file.tracks for m in c if m.type == "program_change"]
    assert programs == [25] and after.tracks[-1].notes.tolist() == [(0, 3, 38, 99)]
    alone = stitch(before, set(), [new]).file.tracks[-1]
    assert [m.program for m in alone if m.type == "program_change"] == [0]
