"""When notes fall silent that the sustain pedal holds, by hand."""

from __future__ import annotations

import mido
import numpy as np
import pytest
from small_scores import score_of

from musicvae_torch.midi.sustain import NEVER, Change, released, sounding_ends

HELD = [Change(100, True), Change(200, False), Change(300, True)]


@pytest.mark.parametrize(
    ("end", "silent"), [(99, 99), (100, 200), (150, 200), (199, 200), (200, 200), (299, 299),
                        (300, NEVER), (400, NEVER)],
)  # fmt: skip
def test_a_pedal_holds_until_it_is_lifted(end: int, silent: int) -> None:
    assert released(np.array([end]), HELD).tolist() == [silent]


def test_where_nothing_is_done_to_a_pedal() -> None:
    assert released(np.array([5, 7]), []).tolist() == [5, 7]


def test_lifted_and_put_down_again_at_once() -> None:
    changes = [Change(100, True), Change(200, False), Change(200, True), Change(300, False)]
    assert released(np.array([150, 200]), changes).tolist() == [200, 300]


Row = tuple[int, mido.Message]


def on(tick: int, note: int = 60, channel: int = 0) -> Row:
    return tick, mido.Message("note_on", note=note, channel=channel)


def off(tick: int, note: int = 60, channel: int = 0) -> Row:
    return tick, mido.Message("note_off", note=note, channel=channel)


def control(tick: int, value: int, channel: int = 0, number: int = 64) -> Row:
    message = mido.Message("control_change", control=number, value=value, channel=channel)
    return tick, message


def ends(*chunks: list[Row], track: int = 0) -> list[int]:
    """When the notes of a track fall silent."""
    tracks = []
    for events in chunks:
        rows, last = mido.MidiTrack(), 0
        for tick, message in sorted(events, key=lambda row: row[0]):
            rows.append(message.copy(time=tick - last))
            last = tick
        tracks.append(rows)
    score = score_of(mido.MidiFile(ticks_per_beat=480, tracks=tracks))
    ends: list[int] = sounding_ends(score, score.tracks[track]).tolist()
    return ends


NOTE = [on(0), off(100)]


@pytest.mark.parametrize(
    ("others", "silent"),
    [
        ([], 100),
        ([control(50, 64), control(900, 63)], 900),
        ([control(50, 63), control(900, 0)], 100),
        ([control(50, 127)], NEVER),
        ([control(50, 127), control(900, 0, number=121)], 900),
        ([control(50, 127, channel=1), control(900, 0, channel=1)], 100),
        ([control(50, 127, number=66)], 100),
        ([control(50, 127), on(400), off(450), control(900, 0)], 400),  # struck again
        ([control(50, 127), on(400, 61), off(450, 61), control(900, 0)], 900),
    ],
)
def test_one_note(others: list[Row], silent: int) -> None:
    assert ends([*NOTE, *others])[0] == silent


def test_the_pedal_of_a_channel_is_in_any_chunk() -> None:
    assert ends(NOTE, [control(50, 127), control(900, 0)]) == [900]
    assert ends([*NOTE, control(50, 127)], [control(900, 0)]) == [900]


def test_no_pedal_holds_drums() -> None:
    drums = [on(0, 36, 9), off(100, 36, 9), control(50, 127, 9), control(900, 0, 9)]
    assert ends(drums) == [100]
