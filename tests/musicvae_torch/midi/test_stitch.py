"""New parts in the song's own file: what stays, what goes, and where the new notes are."""

from __future__ import annotations

from collections.abc import Iterable

import mido
import numpy as np
from small_scores import score_of

from musicvae_torch.midi.messages import PROGRAM_CHANGE, Chunk
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.stitch import NewPart, exchange_notes, stitch
from musicvae_torch.midi.tracks import TICK_NOTE


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


def programs(chunks: Iterable[Chunk]) -> list[int]:
    """What the program changes of chunks say."""
    return [m.data[0] for c in chunks for m in c.messages if m.command == PROGRAM_CHANGE]


def reread(score: Score) -> list[tuple[int, int, int, bool, list[tuple[int, ...]]]]:
    """The tracks that are found in what is written of a score."""
    return rows(score_of(score.to_bytes()))


def rows(score: Score) -> list[tuple[int, int, int, bool, list[tuple[int, ...]]]]:
    """Chunk, channel, program (of a kit, 0), whether it is one, and notes of each track."""
    return [
        (t.chunk, t.channel, 0 if t.is_drum else t.program, t.is_drum, t.notes.tolist())
        for t in score.tracks
    ]


def test_all_that_stays_is_untouched() -> None:
    before = song()
    after, remarks = stitch(before, {0, 1, 2, 3}, [part((0, 6, 40, 90))])
    assert [c.to_bytes() for c in after.file.tracks[:3]] == [
        c.to_bytes() for c in before.file.tracks
    ]
    assert after.resolution == 24 and after.tempos.tolist() == before.tempos.tolist()
    assert not remarks and rows(after) == reread(after)


def test_what_is_left_out_leaves_no_trace_but_text() -> None:
    before = song()
    melody = stitch(before, {0}, []).score
    assert melody.file.tracks == before.file.tracks[:2]
    # The bass (track 1) goes, the strings on the same channel (3) and the drums (2) stay.
    without_bass = stitch(before, {0, 2, 3}, []).score
    assert [(m.tick, m.status, *m.data) for m in without_bass.file.tracks[2].messages[1:-1]] == [
        (0, 0xC1, 33),
        (0, 0x99, 36, 71),
        (6, 0x89, 36, 64),
        (12, 0xC1, 49),
        (12, 0x91, 50, 64),
        (24, 0x81, 50, 64),
    ]
    assert rows(without_bass) == reread(without_bass)
    accompaniment = stitch(before, {1, 2, 3}, []).score
    assert [m.data for c in accompaniment.file.tracks for m in c.messages if m.kind == 5] == [b"la"]
    assert accompaniment.end == before.end


def test_some_notes_of_a_track_may_stay() -> None:
    """With the messages of their channel, and no others' note-offs."""
    flute = [message("program_change", program=73)]
    for _ in range(4):
        flute += [message("note_on", note=60), message("note_off", note=60, time=10)]
    before = score_of(mido.MidiFile(ticks_per_beat=24, tracks=[mido.MidiTrack(flute)]))
    stays = np.array([True, False, False, True])
    after = stitch(before, set(), [], {0: stays}).score
    assert rows(after) == reread(after)
    assert rows(after) == [(0, 0, 73, False, [(0, 10, 60, 64), (30, 40, 60, 64)])]
    assert len(after.file.tracks[0].messages) == 1 + 2 * 2 + 1
    # A track that is kept is kept whole.
    assert stitch(before, {0}, [], {0: stays}).score.file == before.file


def test_new_parts_follow_on_channels_of_their_own() -> None:
    after = stitch(
        song(), {0, 3}, [part((6, 12, 40, 90), (12, 18, 40, 80)), part((0, 3, 36, 99), drums=True)]
    ).score
    bass, drums = after.tracks[-2:]
    assert (bass.name, bass.program, bass.channel) == ("bass", 33, 2)
    assert (drums.name, drums.channel) == ("drums", 9)
    assert bass.notes.tolist() == [(6, 12, 40, 90), (12, 18, 40, 80)]
    assert drums.notes.tolist() == [(0, 3, 36, 99)]
    assert after.end == song().end and rows(after) == reread(after)


def test_a_format_0_file_becomes_format_1() -> None:
    chunk = [message("note_on", note=60), message("note_off", note=60, time=5)]
    one = score_of(mido.MidiFile(type=0, tracks=[mido.MidiTrack(chunk)]))
    after = stitch(one, {0}, [part((0, 5, 40, 80))]).score
    assert after.file.format == 1 and len(after.file.tracks) == 2 and one.file.format == 0
    assert len(reread(after)) == 2


def sixteen_channels() -> Score:
    chunk = mido.MidiTrack()
    for channel in range(16):
        chunk.append(message("note_on", note=60, channel=channel))
        chunk.append(message("note_off", note=60, channel=channel, time=1))
    return score_of(mido.MidiFile(tracks=[chunk]), "full.mid")


def test_no_channel_is_left() -> None:
    """New parts go to a second port, and the user is told."""
    full = sixteen_channels()
    everything = set(range(16))
    drums = stitch(full, everything, [part((0, 1, 36, 80), drums=True)])
    assert drums.score.tracks[-1].is_drum and not drums.remarks
    score, remarks = stitch(full, everything, [part((0, 1, 40, 80))])
    bass = score.tracks[-1]
    assert (bass.port, bass.channel, bass.program) == (1, 0, 33) and rows(score) == reread(score)
    assert score.file.tracks[0] == full.file.tracks[0]
    (remark,) = remarks
    assert remark.startswith("all 16 MIDI channels are taken, so new bass went to channel 1 of a")
    one_less = stitch(full, everything - {5}, [part((0, 1, 40, 80))])
    assert one_less.score.tracks[-1].channel == 5 and not one_less.remarks


def test_new_drums_leave_the_drum_kit_of_others_alone() -> None:
    """Kept drums are on the only channel that there is for drums, with a program of their own."""
    kit = [
        message("program_change", program=25, channel=9),
        message("note_on", note=36, channel=9),
        message("note_off", note=36, channel=9, time=6),
    ]
    before = score_of(mido.MidiFile(ticks_per_beat=24, tracks=[mido.MidiTrack(kit)]))
    new = part((0, 3, 38, 99), drums=True)
    after = stitch(before, {0}, [new]).score
    assert programs(after.file.tracks) == [25]
    assert after.tracks[-1].notes.tolist() == [(0, 3, 38, 99)] and rows(after) == reread(after)
    alone = stitch(before, set(), [new]).score
    assert programs(alone.file.tracks[-1:]) == [0]


def test_notes_are_exchanged_for_as_many_others() -> None:
    before = song()
    new = np.array([(3, 9, 38, 20)], TICK_NOTE)
    after = exchange_notes(before, {2: np.zeros(1, bool)}, {2: new})
    assert rows(after) == reread(after)
    drums = next(track for track in after.tracks if track.is_drum)
    assert drums.notes.tolist() == [(3, 9, 38, 20)]
    assert after.file.tracks[:2] == before.file.tracks[:2]
    assert [row for row in rows(after) if not row[3]] == [r for r in rows(before) if not r[3]]


def test_where_no_note_is_exchanged_nothing_changes() -> None:
    before = song()
    after = exchange_notes(before, {}, {2: np.zeros(0, TICK_NOTE)})
    assert after.to_bytes() == before.to_bytes()
