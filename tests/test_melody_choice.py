"""Which track is taken for the melody."""

from __future__ import annotations

import pretty_midi
import pytest

from musicvae_torch.notes.midi import MidiError
from surrogate.melody_choice import choose_melody, summarize_tracks


def track(
    pitches: list[list[int]], program: int = 0, name: str = "", is_drum: bool = False
) -> pretty_midi.Instrument:
    """One chord of pitches a second."""
    instrument = pretty_midi.Instrument(program, is_drum=is_drum, name=name)
    instrument.notes = [
        pretty_midi.Note(80, pitch, second, second + 1)
        for second, chord in enumerate(pitches)
        for pitch in chord
    ]
    return instrument


def song(*tracks: pretty_midi.Instrument) -> pretty_midi.PrettyMIDI:
    midi = pretty_midi.PrettyMIDI()
    midi.instruments = list(tracks)
    return midi


TUNE = track([[72], [74], [76], [77]], program=73, name="tune")
CHORDS = track([[48, 52, 55]] * 4, name="chords")
BASS = track([[36], [38], [40], [41]], program=33)
DRUMS = track([[36]] * 4, is_drum=True)
FILL = track([[84]], program=40)


def test_a_lone_line_in_a_singers_register_wins() -> None:
    assert choose_melody(song(DRUMS, BASS, CHORDS, TUNE, FILL)) == (3,)


def test_a_name_decides() -> None:
    named = track([[60, 64]] * 4, name="Lead vocals")
    assert choose_melody(song(TUNE, named)) == (1,)


def test_a_name_does_not_outweigh_the_rest_of_the_song() -> None:
    backing = track([[60]], name="Backing vocals")
    effects = track([[72], [74], [76], [77]], program=122, name="SINGLE FX")
    assert choose_melody(song(track([[72]] * 10, name="flute"), backing, effects)) == (0,)


def test_times_that_are_no_times() -> None:
    for start in (-1.0, float("nan")):
        broken = track([[60]])
        broken.notes[0].start = start
        with pytest.raises(MidiError, match="track 0 has a note from"):
            choose_melody(song(broken))


def test_the_users_choice() -> None:
    assert choose_melody(song(TUNE, CHORDS), wanted=1) == (1,)
    with pytest.raises(
        MidiError, match=r"track 1 holds no melody; the tracks are: track 0: 'tune' Flute"
    ):
        choose_melody(song(TUNE, DRUMS), wanted=1)
    with pytest.raises(MidiError, match="track 9 holds no melody"):
        choose_melody(song(TUNE), wanted=9)


def test_only_a_bass_is_a_melody_too() -> None:
    assert choose_melody(song(DRUMS, BASS)) == (1,)


def test_nothing_to_choose_from() -> None:
    with pytest.raises(MidiError, match="no track has a note"):
        choose_melody(song())
    with pytest.raises(MidiError, match="no track has a pitched note from 21 to 108"):
        choose_melody(song(track([[5], [120]])))


def test_summaries() -> None:
    tune, chords = summarize_tracks(song(TUNE, CHORDS))
    assert (tune.notes, tune.melodic, chords.melodic) == (4, 1.0, 0.0)
    assert tune.score is not None and chords.score is not None and tune.score > chords.score
