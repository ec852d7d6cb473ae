"""The accompaniment pipeline: what it must keep of the input, and what it must add."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pretty_midi
import pytest

from musicvae_torch.config import get_config
from musicvae_torch.model import MusicVAE
from musicvae_torch.notes.midi import MidiError
from musicvae_torch.pretrained import CheckpointError
from surrogate import Accompanist, AccompanyOptions, SurrogateConfig, SurrogateEncoder, accompany
from surrogate.pipeline import _window_starts
from surrogate.silence import fill_silent_bars, sounding_bars

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
BAR = 4  # beats


def small_vae(z_size: int = 4) -> MusicVAE:
    return MusicVAE(
        get_config("hier-trio_16bar", enc_rnn_size=(8,), dec_rnn_size=(8,), z_size=z_size)
    )


def small_surrogate(z_size: int = 4) -> SurrogateEncoder:
    return SurrogateEncoder(SurrogateConfig(z_size=z_size, rnn_size=(8,), level_lengths=(16, 16)))


@pytest.fixture(scope="module")
def accompanist() -> Accompanist:
    return Accompanist(small_vae(), small_surrogate())


def song(
    bars: int, first_bar: int = 0, resolution: int = 480, program: int = 0
) -> pretty_midi.PrettyMIDI:
    """One note a beat for some bars, at a tempo that changes in the second bar."""
    midi = pretty_midi.PrettyMIDI(resolution=resolution, initial_tempo=93.0)
    midi._tick_scales.append((resolution * BAR, 60.0 / (140.0 * resolution)))
    midi._update_tick_to_time(resolution * BAR * (bars + first_bar + 2))
    track = pretty_midi.Instrument(program, name="tune")
    for beat in range(first_bar * BAR, (first_bar + bars) * BAR):
        start, end = (midi.tick_to_time(tick * resolution) for tick in (beat, beat + 1))
        track.notes.append(pretty_midi.Note(50 + beat % 50, 60 + beat % 12, start, end))
    track.pitch_bends.append(pretty_midi.PitchBend(512, 0.5))
    track.control_changes.append(pretty_midi.ControlChange(7, 99, 0.25))
    midi.instruments.append(track)
    return midi


def facts(notes: list[pretty_midi.Note]) -> list[tuple[int, int, float, float]]:
    return [(note.pitch, note.velocity, note.start, note.end) for note in notes]


def bars_of(midi: pretty_midi.PrettyMIDI, track: pretty_midi.Instrument) -> set[int]:
    """Bars of four beats in which a track sounds."""
    sounding: set[int] = set()
    for note in track.notes:
        first = midi.time_to_tick(note.start) // (midi.resolution * BAR)
        last = (midi.time_to_tick(note.end) - 1) // (midi.resolution * BAR)
        sounding |= set(range(int(first), int(last) + 1))
    return sounding


def test_the_input_comes_back(accompanist: Accompanist, tmp_path: Path) -> None:
    midi = song(bars=18, first_bar=3, program=73)
    result = accompanist.accompany(midi).midi
    melody, bass, drums = result.instruments
    assert facts(melody.notes) == facts(midi.instruments[0].notes)
    assert (melody.program, melody.name) == (73, "tune")
    assert melody.pitch_bends[0].pitch == 512 and melody.control_changes[0].value == 99
    assert bass.program == 33 and not bass.is_drum and drums.is_drum
    result.write(str(tmp_path / "out.mid"))
    read = pretty_midi.PrettyMIDI(str(tmp_path / "out.mid"))
    for before, after in zip(midi.get_tempo_changes(), read.get_tempo_changes(), strict=True):
        np.testing.assert_allclose(after, before, atol=2e-4)
    for before, after in zip(facts(melody.notes), facts(read.instruments[0].notes), strict=True):
        assert after == pytest.approx(before, abs=2e-3)


@pytest.mark.parametrize("bars", [1, 5, 16, 17, 32, 40])
def test_the_band_plays_where_the_melody_does(accompanist: Accompanist, bars: int) -> None:
    midi = song(bars, first_bar=2)
    result = accompanist.accompany(midi).midi
    wanted = set(range(2, 2 + bars))
    for track in result.instruments:
        assert bars_of(result, track) == wanted, track.name


@pytest.mark.parametrize("resolution", [24, 50, 96, 480, 1000])
def test_new_notes_lie_on_the_songs_own_grid(accompanist: Accompanist, resolution: int) -> None:
    result = accompanist.accompany(song(bars=4, resolution=resolution)).midi
    step = resolution / 4
    for track in result.instruments[1:]:
        ticks = np.array([result.time_to_tick(note.start) for note in track.notes])
        assert np.abs(ticks - np.round(ticks / step) * step).max() <= 0.5


def test_seeds_and_sources(accompanist: Accompanist, tmp_path: Path) -> None:
    midi = song(bars=16)
    midi.write(str(tmp_path / "in.mid"))
    before = facts(midi.instruments[0].notes)
    first, again, other = (
        accompanist.accompany(midi, AccompanyOptions(seed=seed, temperature=1.0)).midi
        for seed in (1, 1, 2)
    )
    assert facts(first.instruments[1].notes) == facts(again.instruments[1].notes)
    assert facts(first.instruments[1].notes) != facts(other.instruments[1].notes)
    assert len(midi.instruments) == 1 and facts(midi.instruments[0].notes) == before
    from_file = accompanist.accompany(
        tmp_path / "in.mid", AccompanyOptions(seed=1, temperature=1.0)
    ).midi
    assert [note.pitch for note in from_file.instruments[2].notes] == [
        note.pitch for note in first.instruments[2].notes
    ]


def test_latents_of_every_window(accompanist: Accompanist) -> None:
    assert accompanist.accompany(song(bars=40)).latents.shape == (3, 4)


def test_windows_cover_the_song_and_end_with_it() -> None:
    assert _window_starts(10, 256) == [0]
    assert _window_starts(256, 256) == [0]
    assert _window_starts(272, 256) == [0, 16]
    assert _window_starts(512, 256) == [0, 256]
    assert _window_starts(640, 256) == [0, 256, 384]


def test_silent_bars_repeat_the_nearest_played_one() -> None:
    notes = [(0, 4, 40), (12, 20, 43), (64, 66, 50)]  # bars 0, 1 and 4
    wanted = np.array([True] * 3 + [False] + [True] * 3)
    filled = fill_silent_bars(notes, wanted)
    assert set(notes) < set(filled)
    assert sounding_bars(filled, 7).tolist() == [True, True, True, False, True, True, True]
    assert [note for note in filled if 32 <= note[0] < 48] == [(32, 36, 43)]  # bar 1, cut to it
    assert [note for note in filled if note[0] >= 80] == [(80, 82, 50), (96, 98, 50)]
    assert fill_silent_bars(notes[2:], wanted)[0] == (0, 2, 50)  # nothing earlier: the next one
    assert fill_silent_bars([], wanted) == []


def test_a_song_without_a_melody() -> None:
    midi = pretty_midi.PrettyMIDI()
    drums = pretty_midi.Instrument(0, is_drum=True)
    drums.notes.append(pretty_midi.Note(80, 36, 0, 1))
    midi.instruments.append(drums)
    with pytest.raises(MidiError, match=r"no melody.*drums, 1 notes"):
        Accompanist(small_vae(), small_surrogate()).accompany(midi)


def test_a_pair_must_fit_together() -> None:
    with pytest.raises(CheckpointError, match="predicts 5 latent dimensions"):
        Accompanist(small_vae(), small_surrogate(z_size=5))


def test_shipped_pair_in_one_call() -> None:
    """The default weights play a real tune: a bass in the bass, and drums, in every bar."""
    path = EXAMPLES / "mountain_king.mid"
    result = accompany(path, seed=1)
    melody, bass, drums = result.instruments
    assert facts(melody.notes) == facts(pretty_midi.PrettyMIDI(str(path)).instruments[0].notes)
    assert bars_of(result, bass) == bars_of(result, drums) == bars_of(result, melody)
    assert 24 <= np.median([note.pitch for note in bass.notes]) <= 55
    assert {note.pitch for note in drums.notes} & {36, 38}
