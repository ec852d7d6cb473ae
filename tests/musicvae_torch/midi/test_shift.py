"""A score with bars before it."""

from __future__ import annotations

import mido
from hypothesis import given
from hypothesis import strategies as st
from small_scores import chunk, score

from musicvae_torch.midi.score import Score
from musicvae_torch.midi.shift import delayed


def song(words: bytes = b"la") -> Score:
    track = chunk([(0, 1, 60), (1, 3, 62)], 40)
    track[1:1] = [
        mido.MetaMessage("time_signature", numerator=1, denominator=4),
        mido.MetaMessage("set_tempo", tempo=300_000),
        mido.MetaMessage("lyrics", text=words.decode()),
        mido.Message("control_change", control=7, value=9),
    ]
    track.append(mido.MetaMessage("set_tempo", tempo=600_000))
    return score(track, mido.MidiTrack([mido.MetaMessage("time_signature", time=480)]))


@given(st.integers(0, 10_000))
def test_the_music_moves_and_the_set_up_does_not(ticks: int) -> None:
    before, after = song(), delayed(song(), ticks)
    for old, new in zip(before.tracks, after.tracks, strict=True):
        assert (new.notes["start"] - old.notes["start"] == ticks).all()
        assert (new.notes["end"] - old.notes["end"] == ticks).all()
        assert new.program == old.program
    assert after.tempos.tolist() == [[0, 300_000], [1440 + ticks, 600_000]]
    assert after.metres.tolist() == [[0, 1, 4], [480 + ticks, 4, 4]]
    assert after.end == before.end + ticks
    count = sum(len(chunk.messages) for chunk in before.file.tracks)
    assert sum(len(chunk.messages) for chunk in after.file.tracks) == count


def test_words_move_but_not_what_describes_a_karaoke_file() -> None:
    for words, tick in ((b"la", 100), (b"@KMIDI", 0)):
        after = delayed(song(words), 100)
        (found,) = [m.tick for m in after.file.tracks[0].messages if m.kind == 5]
        assert found == tick


def test_a_pickup_takes_the_metre_after_it() -> None:
    after = delayed(song(), 3 * 480, metre_from=480)
    assert after.metres.tolist() == [[0, 4, 4], [4 * 480, 4, 4]]
