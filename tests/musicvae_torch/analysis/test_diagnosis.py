"""Why a song has no window: each reason by a song made up for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pretty_midi
import pytest

from musicvae_torch import get_converter
from musicvae_torch.analysis.diagnosis import why_no_window
from musicvae_torch.midi.fast import load_song

BEAT = 0.5  # seconds, at 120
BAR = 4 * BEAT
TRIO, MELODY, CHORDS, BEATS, BARS, GROOVE = (
    "hierdec-trio_16bar",
    "cat-mel_2bar_big",
    "cat-mel_2bar_med_chords",
    "cat-drums_2bar_small",
    "hier-multiperf_vel_1bar_med",
    "groovae_4bar",
)
PIANO, BASS = (0, False), (33, False)
KIT = (0, True)


def track(
    sound: tuple[int, bool], bars: Sequence[int], pitch: int = 40, a_bar: int = 4
) -> pretty_midi.Instrument:
    """Notes, evenly in each of some bars of 4/4."""
    made = pretty_midi.Instrument(*sound)
    for bar in bars:
        for place in np.arange(a_bar) / a_bar:
            start = (bar + place) * BAR
            made.notes.append(pretty_midi.Note(80, pitch, start, start + 0.9 * BAR / a_bar))
    return made


def song(
    *tracks: pretty_midi.Instrument, metres: Sequence[tuple[int, int, float]] = ()
) -> pretty_midi.PrettyMIDI:
    midi = pretty_midi.PrettyMIDI(initial_tempo=120)
    midi.instruments += tracks
    midi.time_signature_changes = [pretty_midi.TimeSignature(*metre) for metre in metres]
    return midi


def why(config: str, midi: pretty_midi.PrettyMIDI) -> str:
    converter = get_converter(config, "infer", complete=True)
    heard = load_song(midi)
    assert not any(converter.song_windows(heard))
    said = why_no_window(converter, heard)
    assert "\n" not in said
    return said


def band(bars: Sequence[int]) -> list[pretty_midi.Instrument]:
    return [track(PIANO, bars, 72), track(BASS, bars), track(KIT, bars, 36)]


def test_no_notes() -> None:
    assert why(TRIO, song()) == "no window of 16 bars: there are no notes"


def test_another_metre() -> None:
    said = why(TRIO, song(*band(range(20)), metres=[(3, 4, 0.0)]))
    assert said.startswith("no window of 16 bars: bars 1–27 are 3/4, the model knows 4/4 alone")
    # 12 bars of 3/4 last 18 seconds; then come 11 of 4/4.
    metres = [(3, 4, 0.0), (4, 4, 18.0)]
    said = why(TRIO, song(*band(range(20)), metres=metres))
    assert "bars 1–12 are 3/4" in said
    assert "tempo or metre change at bar 13" in said and "bars 13–23, is shorter than 16" in said


def test_parts_are_missed_beside_the_metre() -> None:
    said = why(TRIO, song(track(PIANO, range(20), 72), metres=[(3, 4, 0.0)]))
    assert "no bass (programs 32-39) on any track" in said
    assert "no drums on any track: put them on channel 10" in said


def test_too_short() -> None:
    said = why(TRIO, song(*band(range(9))))
    assert said.endswith("it ends after bar 9: repeat it until it has 16 bars")
    said = why(TRIO, song(*band(range(15))))
    assert said.endswith("it ends after bar 15: repeat it until it has 16 bars")


def test_changes_of_tempo() -> None:
    midi = song(*band(range(20)))
    # 120 a minute for 10 bars, which are 20 seconds; then 100.
    midi._tick_scales.append((10 * 4 * midi.resolution, 60 / (100 * midi.resolution)))
    midi._update_tick_to_time(40 * 4 * midi.resolution)
    said = why(TRIO, midi)
    assert "tempo or metre change at bar 11" in said
    assert "bars 1–10, is shorter than 16: give the file one tempo and metre" in said


def test_missing_parts_and_who_might_play_them() -> None:
    lead = (80, False)
    said = why(TRIO, song(track(lead, range(20), 72), *band(range(20))[1:]))
    assert said == (
        "no window of 16 bars: no melody (programs 0-31) on any track, but track 0 is 80 "
        "(Lead 1 (square)): use --melody-programs 0-31,80"
    )
    converter = get_converter(TRIO, melody_programs=[*range(32), 80])
    assert converter.to_tensors(song(track(lead, range(20), 72), *band(range(20))[1:]))
    said = why(TRIO, song(*band(range(20))[:1]))
    assert "no melody" not in said and "no bass" in said and "no drums" in said
    assert "all tracks are drums" in why(TRIO, song(track(KIT, range(20), 36)))


def test_rests_of_a_trio() -> None:
    melody, bass, drums = band(range(30))
    bass = track(BASS, [*range(10), *range(19, 30)])
    said = why(TRIO, song(melody, bass, drums))
    # Two bars after the last and before the next one that it plays still count.
    assert "play together in bars 18–30 at most, where 16 bars are needed" in said
    assert said.endswith("a part may rest for 4: the bass rests in bars 13–17")


def test_a_melody_that_pauses() -> None:
    bars = [0, 2, 4, 6]
    said = why(MELODY, song(track(PIANO, range(0), 72), track(PIANO, bars, 72)))
    assert "the longest stretch of melody on track 1 without a bar of silence is bar 1, " in said
    assert "where 2 bars are needed" in said
    assert "all tracks are drums" in why(MELODY, song(track(KIT, range(4), 36)))
    assert "pitches, 21 to 108" in why("hier-mel_16bar", song(track(PIANO, range(16), 12)))
    assert "--melody-programs 0-31,40" in why(MELODY, song(track((40, False), range(4), 72)))


def test_chords_that_cannot_be_told() -> None:
    said = why(CHORDS, song(track(PIANO, range(502), 72, a_bar=1)))
    assert said.endswith("no chords can be inferred of it: cut it into pieces of at most 500 bars")


def test_drums_that_pause_or_are_unknown() -> None:
    said = why(BEATS, song(track(KIT, [3, 5, 7], 36)))
    assert "the longest stretch of drums without a bar of silence is bar 4, where 2 bars" in said
    assert "none of the drum notes is of a drum" in why(BEATS, song(track(KIT, range(4), 24)))
    assert "put them on channel 10" in why(BEATS, song(track(PIANO, range(4), 36)))


def test_bars_of_too_few_and_too_many_tracks() -> None:
    said = why(BARS, song(track(PIANO, range(4), 72)))
    assert said.startswith("no bar that the model takes: fewer than 2 tracks in 4 bars, first in")
    assert said.endswith("a bar needs notes of 2 to 8 tracks")
    crowd = [track((program, False), [2], 60) for program in range(9)]
    assert "more than 8 tracks in bar 3" in why(BARS, song(*crowd))
    busy = [track(PIANO, range(2), 72, a_bar=48), track(BASS, range(2))]
    assert "a track of more than 64 events in 2 bars, first in bar 1" in why(BARS, song(*busy))
    assert "fewer than 8 events in bar 2" in why(BARS, song(track(PIANO, [1], 72, a_bar=1)))


def test_a_groove_in_another_metre() -> None:
    said = why(GROOVE, song(track(KIT, range(3), 36), metres=[(6, 8, 0.0)]))
    assert said.startswith("no window of 4 bars: bars 1–4 are 6/8, the model knows 4/4 alone")


@pytest.mark.parametrize("config", [TRIO, MELODY, BEATS, BARS, GROOVE])
def test_a_song_with_windows_is_not_asked(config: str) -> None:
    converter = get_converter(config, complete=True)
    tracks = band(range(20)) if config != GROOVE else band(range(20))[2:]
    assert any(converter.song_windows(load_song(song(*tracks))))
