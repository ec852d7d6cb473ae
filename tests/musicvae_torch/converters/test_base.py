"""Converters of melodies and drums, and what all converters share: windows as Magenta makes them
of our songs, and notes as it writes them."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from paths import GOLDEN_FILES
from properties import examples

from musicvae_torch import get_converter
from musicvae_torch.config import get_config
from musicvae_torch.converters.base import Window
from musicvae_torch.converters.drums import pack_rolls, unpack_rolls
from musicvae_torch.converters.melody import melody_notes
from musicvae_torch.errors import ConfigError, MidiError
from musicvae_torch.midi.fast import load_song
from musicvae_torch.midi.notes import Song, transpose_song
from musicvae_torch.midi.vocabulary import FIRST_NOTE, NOTE_OFF

GOLDEN = GOLDEN_FILES / "trio_converter"
MODELS = GOLDEN_FILES / "models"
SONGS = sorted(path.stem for path in GOLDEN.glob("*.mid"))
MELODIES = ("cat-mel_2bar_big", "hierdec-mel_16bar", "cat-mel_2bar_med_chords")
DRUMS = ("cat-drums_2bar_small", "nade-drums_2bar_full")
TRIO = "hierdec-trio_16bar"


@cache
def song(name: str) -> Song:
    """A golden song; NAME+3 is three semitones higher."""
    plain = load_song(GOLDEN / f"{name.removesuffix('+3')}.mid")
    return transpose_song(plain, 3) if name.endswith("+3") else plain


@cache
def golden(config: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{config}.npz") as file:
        return dict(file)


def compact(windows: list[Window], config: str) -> tuple[np.ndarray, np.ndarray]:
    """Outputs with controls, and inputs, as the golden files hold them."""
    outputs, inputs = (
        np.array([w.outputs for w in windows]),
        np.array([w.inputs for w in windows]),
    )
    if config.startswith("nade"):
        rows = np.packbits(outputs, axis=-1)
    else:
        assert (outputs.sum(-1) == 1).all()
        rows = outputs.argmax(-1)[..., None]
    if windows[0].controls.shape[-1]:
        controls = np.array([window.controls for window in windows])
        assert (controls.sum(-1) == 1).all()
        rows = np.concatenate([rows, controls.argmax(-1)[..., None]], axis=-1)
    inputs = np.packbits(inputs, axis=-1) if config in DRUMS else inputs.argmax(-1)[..., None]
    order = np.lexsort(rows.reshape(len(rows), -1).T[::-1])
    return rows[order], inputs[order]


@pytest.mark.parametrize("config", [*MELODIES, *DRUMS])
def test_every_song_has_golden_windows(config: str) -> None:
    names = {name for name in golden(config) if not name.endswith("/inputs")}
    assert names == {*SONGS, "pitches+3", "harmony+3"}


@pytest.mark.parametrize("name", [*SONGS, "pitches+3", "harmony+3"])
@pytest.mark.parametrize("config", [*MELODIES, *DRUMS])
def test_windows_are_magentas(config: str, name: str) -> None:
    windows = get_converter(config).to_tensors(song(name))
    expected = golden(config)[name]
    assert len(windows) == len(expected)
    if not windows:
        return
    rows, inputs = compact(windows, config)
    assert np.array_equal(rows, expected)
    expected_inputs = golden(config)[f"{name}/inputs"] if config in DRUMS else expected[..., :1]
    assert np.array_equal(inputs, expected_inputs)


@pytest.mark.parametrize("config", [*MELODIES, *DRUMS, TRIO])
def test_windows_have_the_shapes_of_the_config(config: str) -> None:
    sizes = get_config(config)
    for window in get_converter(sizes).to_tensors(song("plain")):
        assert window.inputs.shape == (sizes.max_seq_len, sizes.input_depth)
        assert window.outputs.shape == (sizes.max_seq_len, sizes.output_depth)
        assert window.controls.shape == (sizes.max_seq_len, sizes.control_depth)
        assert window.inputs.dtype == window.outputs.dtype == window.controls.dtype == bool
        assert window.length == len(window.tokens) == sizes.max_seq_len
        assert window.tokens.dtype == np.int16


def written_notes(midi: pretty_midi.PrettyMIDI) -> list[tuple[float, ...]]:
    return sorted(
        (n.pitch, n.start, n.end, n.velocity, track.program, float(track.is_drum))
        for track in midi.instruments
        for n in track.notes
    )


@pytest.mark.parametrize("config", [*MELODIES, *DRUMS, TRIO])
def test_notes_are_magentas(config: str) -> None:
    reference = np.load(MODELS / config / "reference.npz")
    controls = reference["sample_c_input"] if config.endswith("_chords") else None
    written = get_converter(config).from_tensors(reference["samples"], controls)
    with np.load(GOLDEN / "notes.npz") as notes:
        for number, midi in enumerate(written):
            # The order of simultaneous notes is no fact of the music; instruments go by program.
            expected = sorted(map(tuple, notes[f"{config}/{number}"][:, :6].tolist()))
            assert expected
            assert written_notes(midi) == expected
            assert midi.get_tempo_changes()[1].tolist() == [120]
            assert len(midi.instruments) == (3 if config == TRIO else 1)


def test_chords_are_written_as_magenta_does_but_for_diminished_ones() -> None:
    config = "cat-mel_2bar_med_chords"
    reference = np.load(MODELS / config / "reference.npz")
    midi = get_converter(config).from_tensors(reference["samples"][0], reference["sample_c_input"])
    with np.load(GOLDEN / "notes.npz") as notes:
        key = f"{config}/0"
        expected = list(zip(notes[f"{key}/chords"], notes[f"{key}/names"], strict=True))
    written = [(text.time, text.text) for text in midi.text_events]
    joined = [("N.C." if name.endswith("dim") else name, time) for time, name in written]
    changes = [i for i in range(len(joined)) if not i or joined[i][0] != joined[i - 1][0]]
    assert [(joined[i][1], joined[i][0]) for i in changes] == expected
    assert any(name.endswith("dim") for _, name in written)


def test_windows_come_in_order_of_position() -> None:
    for config in ("cat-mel_2bar_big", "hierdec-mel_16bar"):
        windows = get_converter(config).to_tensors(song("metre_change"))
        places = [(round(w.start - w.bar * 2, 6) > 0, w.instruments, w.bar) for w in windows]
        assert places == sorted(places)
        assert len({place[0] for place in places}) == 2


def test_windows_know_where_they_were_found() -> None:
    windows = get_converter("hierdec-mel_16bar").to_tensors(song("plain"))
    assert [w.bar for w in windows] == [0, 1, 2, 3, 4] * 2
    assert [w.start for w in windows] == pytest.approx([0, 2, 4, 6, 8] * 2)
    assert [w.instruments for w in windows] == [(0,)] * 5 + [(1,)] * 5
    beats = get_converter("cat-drums_2bar_small").to_tensors(song("beats"))
    assert beats[0].bar == 0
    assert beats[0].instruments == (0, 1)


def test_at_most_so_many_windows() -> None:
    converter = get_converter("cat-mel_2bar_big")
    everything = [w.tokens.tobytes() for w in converter.to_tensors(song("gaps"))]
    first = [w.tokens.tobytes() for w in converter.to_tensors(song("gaps"), max_windows=5)]
    assert first == everything[:5]
    assert len(converter.to_tensors(song("gaps"), max_windows=10**6)) == len(everything)


def training_windows(config: str, seed: int, name: str = "plain") -> list[list[bytes]]:
    converter = get_converter(config, "train", seed)
    return [
        [w.tokens.tobytes() for w in converter.to_tensors(song(name), max_windows=5)]
        for _ in range(12)
    ]


@pytest.mark.parametrize(("config", "most"), [("cat-mel_2bar_big", 5), (MELODIES[2], 3)])
def test_training_transposes_as_far_as_the_config_says(config: str, most: int) -> None:
    shifts = set()
    whole = get_converter(config)
    by_shift = {
        frozenset(
            w.tokens.tobytes() for w in whole.to_tensors(transpose_song(song("plain"), by))
        ): by
        for by in range(-most, most + 1)
    }
    converter = get_converter(config, "train", seed=1)
    for _ in range(40):
        tokens = frozenset(w.tokens.tobytes() for w in converter.to_tensors(song("plain")))
        shifts.add(by_shift[tokens])
    assert shifts == set(range(-most, most + 1))


@pytest.mark.parametrize("config", ["hierdec-mel_16bar", *DRUMS, TRIO])
def test_training_on_other_configs_transposes_nothing(config: str) -> None:
    plain = [w.tokens.tobytes() for w in get_converter(config).to_tensors(song("plain"))]
    trained = get_converter(config, "train", seed=2).to_tensors(song("plain"))
    assert [w.tokens.tobytes() for w in trained] == plain


def test_training_draws_windows_by_its_seed() -> None:
    config = "hierdec-mel_16bar"
    drawn = training_windows(config, seed=3)
    assert drawn == training_windows(config, seed=3)
    assert drawn != training_windows(config, seed=4)
    everything = [w.tokens.tobytes() for w in get_converter(config).to_tensors(song("plain"))]
    assert all(len(tokens) == 5 and set(tokens) < set(everything) for tokens in drawn)
    assert len(set(map(tuple, drawn))) > 6


def test_training_draws_from_each_section_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Magenta does: a short section gives as many windows as a long one."""
    converter = get_converter("hierdec-mel_16bar", "train", seed=5)
    window = converter.to_tensors(song("plain"))[0]
    groups = [[replace(window, bar=bar) for bar in bars] for bars in (range(5), range(5, 500))]
    monkeypatch.setattr(converter, "song_windows", lambda song: groups)
    drawn = [w.bar for _ in range(100) for w in converter.to_tensors(song("plain"), max_windows=5)]
    assert len(drawn) == 500
    assert 200 < sum(bar < 5 for bar in drawn) < 300


def test_drums_are_not_transposed() -> None:
    higher = transpose_song(song("plain"), 60)
    drums = song("plain").notes["is_drum"]
    assert np.array_equal(higher.notes[higher.notes["is_drum"]], song("plain").notes[drums])
    assert higher.notes["pitch"].max() <= 127
    assert len(higher.notes) < len(drums)  # what leaves MIDI's range is dropped


@pytest.mark.parametrize("config", [*MELODIES[:2], *DRUMS, TRIO])
def test_one_sample_or_many(config: str) -> None:
    converter = get_converter(config)
    windows = converter.to_tensors(song("late_entries"))[:2]
    many = np.array([window.outputs for window in windows])
    notes = [written_notes(midi) for midi in converter.from_tensors(many)]
    assert notes == [written_notes(midi) for midi in converter.from_tensors(list(many))]
    assert notes[0] == written_notes(converter.from_tensors(many[0]))
    assert notes == [written_notes(converter.from_tokens(window.tokens)) for window in windows]


def test_controls_go_with_their_samples() -> None:
    converter = get_converter("cat-mel_2bar_med_chords")
    windows = converter.to_tensors(song("harmony"))[:3]
    samples, controls = ([getattr(w, k) for w in windows] for k in ("outputs", "controls"))
    each = [m.text_events[0].text for m in converter.from_tensors(samples, controls)]
    alone = [converter.from_tensors(s, c) for s, c in zip(samples, controls, strict=True)]
    assert each == [midi.text_events[0].text for midi in alone]
    shared = converter.from_tensors(samples, controls[0])
    assert {midi.text_events[0].text for midi in shared} == {each[0]}
    assert converter.from_tensors(samples[0]).text_events == []
    with pytest.raises(ValueError, match="2 controls for 3 samples"):
        converter.from_tensors(samples, controls[:2])


@pytest.mark.parametrize("qpm", [120, 97.3])
@pytest.mark.parametrize("config", [*MELODIES[:2], *DRUMS])
def test_windows_come_back_from_their_midi(tmp_path: Path, config: str, qpm: float) -> None:
    converter = get_converter(config)
    for window in converter.to_tensors(song("polyphony"))[::3]:
        path = tmp_path / "window.mid"
        midi = converter.from_tensors(window.outputs, qpm=qpm)
        midi.write(str(path))
        again = converter.to_tensors(path)
        if window.tokens[:16].any() and window.tokens[-16:].any():  # else it is shorter
            assert len(again) == 1
            assert written_notes(midi) == written_notes(
                converter.from_tensors(again[0].outputs, qpm=qpm)
            )


some_rolls = st.tuples(
    st_numpy.array_shapes(min_dims=1, max_dims=3, max_side=5), st.sampled_from([1, 9, 15, 16, 61])
).flatmap(lambda shape: st_numpy.arrays(bool, (*shape[0], shape[1])))


@given(some_rolls)
def test_rolls_come_back_from_their_bits(rolls: np.ndarray) -> None:
    tokens = pack_rolls(rolls)
    assert tokens.dtype == np.int16
    assert (tokens >= 0).all()
    assert tokens.shape == (*rolls.shape[:-1], -(-rolls.shape[-1] // 15))
    assert np.array_equal(unpack_rolls(tokens, rolls.shape[-1]), rolls)


@pytest.mark.parametrize("config", [*DRUMS, "nade-drums_2bar_reduced"])
@examples(25)
@given(data=st.data())
def test_drums_come_back_from_their_outputs(config: str, data: st.DataObject) -> None:
    converter = get_converter(config)
    classes = get_config(config).input_depth - 1
    rolls = data.draw(st_numpy.arrays(bool, (2, 32, classes)))
    tokens = pack_rolls(rolls)
    assert np.array_equal(converter.to_tokens(converter.outputs(tokens)), tokens)
    inputs = converter.inputs(tokens)
    assert np.array_equal(inputs[..., :-1], rolls)
    assert np.array_equal(inputs[..., -1], ~rolls.any(-1))


def test_a_window_of_a_held_note_does_not_know_it() -> None:
    """Magenta takes it even so: nothing sounds in it, not even the note's end."""
    windows = get_converter("cat-mel_2bar_big").to_tensors(song("endless"))
    assert not windows[1].tokens.any()
    late = get_converter("hierdec-mel_16bar").to_tensors(song("solo"))
    for window in late:
        first = np.flatnonzero(window.tokens[:, 0])[:1]
        assert (window.tokens[first] >= FIRST_NOTE).all()
    assert any((window.tokens == NOTE_OFF).any() for window in late)


def test_silent_notes_begin_a_stretch_but_do_not_sound() -> None:
    midi = pretty_midi.PrettyMIDI()
    track = pretty_midi.Instrument(0)
    track.notes = [pretty_midi.Note(0, 60, 0, 1), pretty_midi.Note(80, 64, 4, 8)]
    midi.instruments.append(track)
    (first, *_) = get_converter("cat-mel_2bar_big").to_tensors(midi)
    assert first.bar == 0
    windows = get_converter("cat-mel_2bar_big").to_tensors(midi)
    assert [melody_notes(w.tokens[:, 0]) for w in windows] == [[], [(16, 32, 64)], [(0, 32, 64)]]


@pytest.mark.parametrize(
    ("metre", "taken"), [((4, 4), 1), ((2, 2), 1), ((8, 8), 1), ((3, 4), 0), ((3, 3), 0)]
)
def test_metres(metre: tuple[int, int], taken: int) -> None:
    """Bars of 16 steps are taken, but no denominator that is no power of two."""
    midi = pretty_midi.PrettyMIDI()
    midi.time_signature_changes = [pretty_midi.TimeSignature(*metre, 0)]
    track = pretty_midi.Instrument(0)
    track.notes = [pretty_midi.Note(80, 64, 0, 4)]
    midi.instruments.append(track)
    assert len(get_converter("cat-mel_2bar_big").to_tensors(midi)) == taken


def test_other_lengths_follow_their_base() -> None:
    four_bars = replace(get_config("cat-mel_2bar_big"), name="mine", max_seq_len=64)
    windows = get_converter(four_bars).to_tensors(song("plain"))
    assert {window.outputs.shape for window in windows} == {(64, 90)}
    four_bars = get_config(TRIO, max_seq_len=64, decoder_level_lengths=(4, 16))
    trios = get_converter(four_bars).to_tensors(song("fifteen_bars"))
    assert [window.bar for window in trios] == list(range(12))


def test_unknown_modes_and_configs() -> None:
    with pytest.raises(ValueError, match="'test'; choose one of: train, eval, infer"):
        get_converter(TRIO, mode="test")
    with pytest.raises(ConfigError, match="unknown config"):
        get_converter("cat-mel_3bar")
    with pytest.raises(ConfigError, match="'mine'"):
        get_converter(replace(get_config(TRIO), name="mine", base="mine"))


def test_refused_files(tmp_path: Path) -> None:
    converter = get_converter("cat-mel_2bar_big")
    with pytest.raises(MidiError, match="no such file"):
        converter.to_tensors(tmp_path / "missing.mid")
    whole = (GOLDEN / "plain.mid").read_bytes()
    metre = whole.index(b"\xff\x58\x04\x04\x02") + 4
    path = tmp_path / "song.mid"
    path.write_bytes(whole[:metre] + bytes([31]) + whole[metre + 1 :])  # x/2147483648
    # mido and Magenta refuse the metre; it is passed over, and 4/4 holds.
    assert len(converter.to_tensors(path)) == len(converter.to_tensors(GOLDEN / "plain.mid")) > 0
    path.write_bytes(whole[:metre] + bytes([30]) + whole[metre + 1 :])
    assert converter.to_tensors(path) == []
