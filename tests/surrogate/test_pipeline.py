"""The accompaniment pipeline: what it must keep of the input, and what it must add."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
from paths import EXAMPLES
from small_pairs import RestingVAE, listening_vae, small_surrogate, small_vae

from musicvae_torch.config import get_config
from musicvae_torch.errors import CheckpointError, MidiError
from surrogate import (
    Accompanist,
    AccompanyOptions,
    PointSurrogate,
    SurrogateConfig,
    accompany,
)
from surrogate.arrangement.fill import (
    PLAIN_DRUMS,
    StepNote,
    bar_steps,
    fill_silent_bars,
    let_go,
    plain_bass,
    sounding_bars,
)

BAR = 4  # beats


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
    for before, after in zip(facts(midi.instruments[0].notes), facts(melody.notes), strict=True):
        assert after == pytest.approx(before, abs=1e-4)  # a tempo is whole microseconds
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
    step = result.resolution / 4
    for track in result.instruments[1:]:
        ticks = np.array([result.time_to_tick(note.start) for note in track.notes])
        assert np.abs(ticks - np.round(ticks / step) * step).max() <= 0.5


def line(spans: list[tuple[int, int, int]], **kwargs: int) -> pretty_midi.PrettyMIDI:
    """A melody of (start, end, pitch) in ticks of 480 a quarter."""
    midi = pretty_midi.PrettyMIDI(resolution=480)
    track = pretty_midi.Instrument(0, name="line")
    track.notes = [pretty_midi.Note(80, pitch, s / 960, e / 960) for s, e, pitch in spans]
    midi.instruments.append(track)
    return midi


TICKS = 480 * BAR


@pytest.mark.parametrize(
    "spans",
    [
        [(TICKS - 40, 2 * TICKS, 60)],  # starts just before a bar line, and rounds onto it
        [(0, 6 * TICKS, 40), (0, 240, 72)],  # a long note under a short one
        [(0, TICKS, 60), (TICKS, 3 * TICKS, 10), (3 * TICKS, 4 * TICKS, 120)],  # out of range
        [(0, 10, 60), (20 * TICKS, 20 * TICKS + 1, 62)],  # a window of rest
        [(480 * 3, 480 * 3 + 1, 64), (TICKS, 2 * TICKS, 65)],  # a note of a tick
    ],
)
def test_even_a_resting_decoder_plays_where_the_melody_does(
    spans: list[tuple[int, int, int]],
) -> None:
    midi = line(spans)
    config = get_config("hier-trio_16bar", enc_rnn_size=(8,), dec_rnn_size=(8,), z_size=4)
    result = Accompanist(RestingVAE(config), small_surrogate()).accompany(midi).midi
    wanted: set[int] = set()
    least = 480 // 8  # half a sixteenth of a bar is no playing in it, if more of the note follows
    for start, end, _ in spans:
        first = (start + least) // TICKS
        wanted |= set(range(first, max(-(-(end - least) // TICKS), first + 1)))
    for track in result.instruments[1:]:
        assert bars_of(result, track) == wanted, track.name


def test_a_melody_whose_program_changes_stays_whole(accompanist: Accompanist) -> None:
    """Also where another program is in a chunk of its own, of the same name and family."""
    midi = song(bars=4, program=40)
    later = pretty_midi.Instrument(41, name="tune")
    later.notes = [
        pretty_midi.Note(80, 70, note.end + 20, note.end + 21) for note in midi.instruments[0].notes
    ]
    # The first of the same name, but it plays along.
    others = [pretty_midi.Instrument(0, name=name) for name in ("tune", "a", "b", "c")]
    for other in others:
        other.notes = [pretty_midi.Note(80, 40, 0.0, 30.0)]
    midi.instruments += [later, *others]
    result = accompanist.accompany(midi)
    assert result.melody is not None and result.melody.tracks == (0, 1)
    assert [len(track.notes) for track in result.score.tracks[:6]] == [16, 16, 1, 1, 1, 1]
    assert [track.program for track in result.score.tracks] == [40, 41, 0, 0, 0, 0, 33, 0]


def test_bars_begin_after_a_pickup_bar_of_its_own_metre(accompanist: Accompanist) -> None:
    midi = line([(480, 480 + 4 * TICKS, 60)])
    midi.time_signature_changes = [
        pretty_midi.TimeSignature(1, 4, 0.0),
        pretty_midi.TimeSignature(4, 4, 0.5),
    ]
    drums = accompanist.accompany(midi).midi.instruments[-1]
    assert min(note.start for note in drums.notes) >= 0.5
    assert max(note.end for note in drums.notes) <= 0.5 + 4 * 2.0


def test_a_coarse_file_is_refined(accompanist: Accompanist, tmp_path: Path) -> None:
    midi = song(bars=4, resolution=1)
    result = accompanist.accompany(midi).midi
    result.write(str(tmp_path / "out.mid"))
    read = pretty_midi.PrettyMIDI(str(tmp_path / "out.mid"))
    assert [len(track.notes) for track in read.instruments] == [
        len(track.notes) for track in result.instruments
    ]
    assert read.resolution % 4 == 0


def test_the_files_tempo_to_the_microsecond(accompanist: Accompanist, tmp_path: Path) -> None:
    tempos = [645_161, 500_000, 333_333, 1_000_001, 428_571]
    notes = mido.MidiTrack()
    for tempo in tempos:
        notes.append(mido.MetaMessage("set_tempo", tempo=tempo))
        notes.append(mido.Message("note_on", note=60, time=0))
        notes.append(mido.Message("note_off", note=60, time=96 * BAR))
    mido.MidiFile(ticks_per_beat=96, tracks=[notes]).save(str(tmp_path / "in.mid"))
    accompanist.accompany(tmp_path / "in.mid").midi.write(str(tmp_path / "out.mid"))
    written = mido.MidiFile(str(tmp_path / "out.mid"))
    assert [m.tempo for m in written.tracks[0] if m.type == "set_tempo"] == tempos


@pytest.mark.parametrize(("bars", "says"), [(2049, "longer than 2048"), (5000, "more than 4096")])
def test_no_end_is_an_error(accompanist: Accompanist, bars: int, says: str) -> None:
    with pytest.raises(MidiError, match=f"{says} bars"):
        accompanist.accompany(line([(0, bars * TICKS, 60)]))


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
    result = accompanist.accompany(song(bars=40))
    assert result.latents.shape == (4, 4) and result.starts.tolist() == [0, 8, 16, 24]


def filled_in(notes: list[StepNote], wanted: np.ndarray, plain: list[StepNote]) -> list[StepNote]:
    """`fill_silent_bars` in a song of the model's own bars, in which every step can sound."""
    lines = bar_steps(len(wanted))
    return fill_silent_bars(notes, wanted, plain, np.ones(lines[-1], bool), lines)


def test_silent_bars_repeat_the_nearest_played_one() -> None:
    notes = [(0, 4, 40), (12, 20, 43), (64, 66, 50)]  # bars 0, 1 and 4
    wanted = np.array([True] * 3 + [False] + [True] * 3)
    filled = filled_in(notes, wanted, [])
    assert set(notes) < set(filled)
    assert sounding_bars(filled, bar_steps(7)).tolist() == [
        True,
        True,
        True,
        False,
        True,
        True,
        True,
    ]
    assert [note for note in filled if 32 <= note[0] < 48] == [(32, 36, 43)]  # bar 1, cut to it
    assert [note for note in filled if note[0] >= 80] == [(80, 82, 50), (96, 98, 50)]
    assert filled_in(notes[2:], wanted, [])[0] == (0, 2, 50)  # nothing earlier: the next


def test_a_note_left_sounding_is_struck_again() -> None:
    filled = filled_in(let_go([(8, 16 * 6, 40)]), np.ones(6, bool), [])
    assert filled == [(8, 32, 40), *((16 * bar, 16 * bar + 16, 40) for bar in range(2, 6))]


def test_a_part_silent_throughout_plays_plainly() -> None:
    wanted = np.array([True, False, True])
    filled = filled_in([], wanted, PLAIN_DRUMS)
    assert len(filled) == 8 and filled[4:] == [(s + 32, e + 32, p) for s, e, p in filled[:4]]
    assert {pitch % 12 for _, _, pitch in plain_bass(np.array([69, 69, 57, 76]))} == {9}


def test_a_song_without_a_melody() -> None:
    midi = pretty_midi.PrettyMIDI()
    drums = pretty_midi.Instrument(0, is_drum=True)
    drums.notes.append(pretty_midi.Note(80, 36, 0, 1))
    midi.instruments.append(drums)
    with pytest.raises(MidiError, match=r"no melody.*drums, 1 note\)"):
        Accompanist(small_vae(), small_surrogate()).accompany(midi)


def test_a_surrogate_that_predicts_a_point(tmp_path: Path) -> None:
    small_vae().save_pretrained(tmp_path / "vae")
    surrogate = PointSurrogate(SurrogateConfig(z_size=4, rnn_size=(8, 6)))
    surrogate.save_pretrained(tmp_path / "surrogate")
    accompanist = Accompanist.from_pretrained(tmp_path / "vae", tmp_path / "surrogate", "cpu")
    result = accompanist.accompany(song(bars=20))
    assert result.latents.shape == (2, 4) and result.latents.any()
    for track in result.midi.instruments:
        assert bars_of(result.midi, track) == set(range(20)), track.name


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


def test_refinement_alone_needs_no_surrogate(tmp_path: Path) -> None:
    """A trio of other sizes than the shipped pair's, as a freshly converted one is."""
    listening_vae().save_pretrained(tmp_path / "vae")
    with pytest.raises(CheckpointError, match="--method refine-only"):
        Accompanist.from_pretrained(tmp_path / "vae", device="cpu")
    alone = Accompanist.from_pretrained(tmp_path / "vae", device="cpu", method="refine-only")
    assert alone.surrogate is None
    options = AccompanyOptions(method="refine-only")
    result = alone.accompany(song(bars=20), options)
    assert result.latents.shape == (2, 4) and result.latents.any()
    np.testing.assert_array_equal(alone.accompany(song(bars=20), options).latents, result.latents)
    with pytest.raises(ValueError, match="needs a surrogate encoder"):
        alone.accompany(song(bars=1))
    with pytest.raises(ValueError, match="unknown method 'wish'"):
        alone.accompany(song(bars=1), AccompanyOptions(method="wish"))


def test_refinement_moves_the_prediction() -> None:
    midi, accompanist = song(bars=16), Accompanist(listening_vae(), small_surrogate())
    predicted = accompanist.accompany(midi)
    refined = accompanist.accompany(midi, AccompanyOptions(method="refine"))
    moved = np.abs(refined.latents - predicted.latents).max()
    assert 0 < moved < 1
