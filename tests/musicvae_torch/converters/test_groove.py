"""Grooves: tensors as Magenta makes them of our songs, and notes as it writes them."""

from pathlib import Path

import numpy as np
import pretty_midi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import GOLDEN_FILES, load_script
from properties import examples

from musicvae_torch import get_config, get_converter
from musicvae_torch.converters.base import Converter, Window
from musicvae_torch.converters.groove import GROOVE_RULES, MAX_BARS
from musicvae_torch.errors import ConfigError, MidiError
from musicvae_torch.midi.notes import read_midi, to_song
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, ROLAND_DRUM_CLASSES

GOLDEN = GOLDEN_FILES / "groove_converter"
SONGS = sorted(GOLDEN.glob("*.mid"))
SEED = 7  # as in make_groove_golden.py
PLAIN = "groovae_2bar_hits_control_tfds"
DROPOUT = "groovae_2bar_tap_fixed_velocity_note_dropout"
OFFSET_GRAIN = 2**16  # coarse enough for exact arithmetic


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "golden.npz") as file:
        return dict(file)


def drum_song(*hits: tuple[float, int, int], qpm: float = 120.0) -> pretty_midi.PrettyMIDI:
    """Hits as (start in seconds, pitch, velocity)."""
    midi = pretty_midi.PrettyMIDI(initial_tempo=qpm)
    track = pretty_midi.Instrument(0, is_drum=True)
    track.notes = [pretty_midi.Note(vel, pitch, start, start + 0.05) for start, pitch, vel in hits]
    midi.instruments.append(track)
    return midi


def converted(
    converter: Converter, path: Path, errors: list[int], counts: list[int]
) -> list[Window]:
    """The windows of a song, none where it is refused; the pitch refused, or -1, goes to errors."""
    windows: list[Window] = []
    errors.append(-1)
    try:
        windows = converter.to_tensors(path)
    except MidiError as error:
        assert str(error).startswith(f"{path}: pitch ")
        errors[-1] = int(str(error).split("pitch ")[1].split()[0])
    counts.append(len(windows))
    return windows


@pytest.mark.parametrize("mode", ["train", "eval", "infer"])
@pytest.mark.parametrize("config", GROOVE_RULES)
def test_windows_are_magentas(golden: dict[str, np.ndarray], config: str, mode: str) -> None:
    converter = get_converter(config, mode, SEED)
    errors: list[int] = []
    counts: list[int] = []
    windows = [w for path in SONGS for w in converted(converter, path, errors, counts)]
    key = f"{config}/{'infer' if mode == 'infer' else 'eval'}"
    assert counts == golden[f"{key}/counts"].tolist()
    assert errors == golden[f"{key}/errors"].tolist()
    sizes = get_config(config)
    for name, depth in (("inputs", 27), ("outputs", 27), ("controls", sizes.control_depth)):
        arrays = np.stack([getattr(window, name) for window in windows])
        assert arrays.shape == (sum(counts), sizes.max_seq_len, depth)
        assert np.array_equal(arrays, golden[f"{key}/{name}"]), name
    assert {window.length for window in windows} == {sizes.max_seq_len}


def test_golden_windows_cover_every_config_and_rule(golden: dict[str, np.ndarray]) -> None:
    assert {key.split("/")[0] for key in golden} == set(GROOVE_RULES)
    counts = dict(zip((path.stem for path in SONGS), golden[f"{PLAIN}/eval/counts"], strict=True))
    refused = {"general_midi", "no_drum"}
    empty = {"late_eight", "metre_change", "one_bar", "tempo_change", "waltz"}
    assert {name for name, count in counts.items() if not count} == refused | empty


def test_the_songs_are_what_their_script_makes(tmp_path: Path) -> None:
    load_script(GOLDEN / "make_groove_songs.py").main(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in SONGS]
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (GOLDEN / path.name).read_bytes(), path.name


@pytest.mark.parametrize("mode", ["eval", "infer"])
def test_notes_are_magentas(mode: str) -> None:
    written = get_converter(PLAIN, mode).from_tensors(
        load_script(GOLDEN / "make_groove_songs.py").samples()
    )
    with np.load(GOLDEN / "notes.npz") as notes:
        for index, midi in enumerate(written):
            (track,) = midi.instruments
            rows = [
                (n.pitch, n.start, n.end, n.velocity, track.program, track.is_drum)
                for n in track.notes
            ]
            assert len(rows) > 50
            assert np.array_equal(rows, notes[f"{mode}{index}"])
            assert midi.get_tempo_changes()[1].tolist() == [120]


def test_windows_know_where_they_were_found() -> None:
    windows = get_converter(PLAIN, "infer").to_tensors(GOLDEN / "tune_as_drums.mid")
    assert [window.bar for window in windows] == [0, 2]
    assert [window.start for window in windows] == [0, 4]
    assert {window.instruments for window in windows} == {(0, 1)}


def test_a_limit_keeps_the_first_windows() -> None:
    converter = get_converter(PLAIN, "infer")
    windows = converter.to_tensors(GOLDEN / "straight.mid", max_windows=3)
    assert [window.bar for window in windows] == [0, 2, 4]


def test_files_parsed_files_and_songs_convert_alike() -> None:
    path, converter = GOLDEN / "loose.mid", get_converter(PLAIN)
    midi = read_midi(path)
    expected = np.stack([window.outputs for window in converter.to_tensors(path)])
    for source in (str(path), midi, to_song(midi)):
        found = np.stack([window.outputs for window in converter.to_tensors(source)])
        assert np.array_equal(found, expected)


def test_pitches_of_no_drum_are_refused_in_one_line() -> None:
    hits = [(0.0, 36, 100), (1.5, 39, 100)]
    with pytest.raises(MidiError, match=r"the song: pitch 39 \(at 1.50 s\)") as refusal:
        get_converter(PLAIN, "eval").to_tensors(drum_song(*hits))
    assert "\n" not in str(refusal.value)
    assert ", ".join(str(p) for p in sorted(sum(ROLAND_DRUM_CLASSES, ()))) in str(refusal.value)
    assert get_converter(PLAIN, "infer").to_tensors(drum_song(*hits, (3, 36, 1)))


def test_absurdly_long_songs_are_refused() -> None:
    converter = get_converter(PLAIN)
    bar = 4 * 60 / 240
    with pytest.raises(MidiError, match=f"the song: {MAX_BARS + 1} bars long"):
        converter.to_tensors(drum_song((MAX_BARS * bar, 36, 100), qpm=240))


def test_songs_that_begin_before_zero_have_no_windows() -> None:
    converter, last = get_converter(PLAIN), (3.9, 36, 100)
    assert not converter.to_tensors(drum_song((-0.2, 36, 100), last))
    (window,) = converter.to_tensors(drum_song((-0.05, 36, 100), last))
    assert window.outputs[0, [0, 18]].tolist() == [1, np.float32(0.8)]


@pytest.mark.parametrize("velocities", [(90, 91), (91, 90), (91, 91)])
def test_of_two_hits_of_a_drum_on_a_step_the_louder_counts(velocities: tuple[int, int]) -> None:
    snares = [(2.0, 38, velocities[0]), (2.02, 40, velocities[1])]
    (window,) = get_converter(PLAIN).to_tensors(drum_song(*snares, (3.9, 36, 1)))
    chosen = 0 if velocities[0] >= velocities[1] else 1
    assert window.outputs[16, 10] == np.float32(max(velocities) / 127)
    assert window.outputs[16, 19] == pytest.approx(-chosen * 2 * 0.02 / 0.125)


def test_a_step_that_keeps_no_hit_is_tapped_by_its_kick() -> None:
    converter = get_converter(DROPOUT)
    rows = np.zeros((2, 3, 9), np.float32)
    rows[:, :, 0] = 1, 0.2, -0.5
    rows[:, :, 1] = 1, 0.9, 0.25
    tokens = converter.to_tokens(rows.reshape(2, 27))
    tokens[0, 27:] = 0
    tapped = converter.inputs(tokens).reshape(2, 3, 9)
    assert tapped[:, :, 3].tolist() == [[1, 0, -0.5], [1, 0, 0.25]]
    assert np.count_nonzero(tapped) == 4


def test_soft_hits_drop_out_more_often() -> None:
    """A song's rate is 0 to 0.8; softest hits are dropped at the rate, loudest at a fifth of it."""
    velocities = (1, 2, 3, 40, 64, 90, 110, 120, 127)
    kit = [(pitches[0], v) for pitches, v in zip(ROLAND_DRUM_CLASSES, velocities, strict=True)]
    song = drum_song(*((step / 8, *hit) for step in range(32) for hit in kit))
    dropped = np.zeros((400, 9))
    for seed in range(len(dropped)):
        (window,) = get_converter(DROPOUT, seed=seed).to_tensors(song)
        dropped[seed] = 1 - window.tokens[:, 27:].mean(0)
    weights = np.maximum(0.2, 1 - np.array(velocities) / 127)
    assert dropped.mean(0) == pytest.approx(0.4 * weights, abs=0.03)
    rates = (dropped / weights)[:, :3].mean(1)
    assert np.quantile(rates, [0.05, 0.5, 0.95]) == pytest.approx([0.04, 0.4, 0.76], abs=0.06)


def test_dropout_is_seeded() -> None:
    def inputs(seed: int) -> list[np.ndarray]:
        converter = get_converter(DROPOUT, "train", seed)
        path = GOLDEN / "roland_kit.mid"
        songs = [converter.to_tensors(path), converter.to_tensors(path)]
        return [np.stack([window.inputs for window in windows]) for windows in songs]

    first, second = inputs(1)
    assert not np.array_equal(first, second)
    assert np.array_equal([first, second], inputs(1))
    assert not np.array_equal(first, inputs(2)[0])


@st.composite
def grids(draw: st.DrawFn, steps: int) -> np.ndarray:
    """(steps, 27) float32 with a hit in the last bar, as every window of MIDI has its values."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    hits = rng.random((steps, 9)) < draw(st.sampled_from([0.01, 0.3, 1]))
    hits[steps - draw(st.integers(1, 16)), draw(st.integers(0, 8))] = True
    velocities = hits * rng.integers(0, 128, hits.shape) / 127
    # From just over -1, which is a hit of the next step, to 1.
    offsets = rng.integers(1 - OFFSET_GRAIN, OFFSET_GRAIN + 1, hits.shape) / OFFSET_GRAIN
    offsets = np.where(rng.random(hits.shape) < 0.1, 1, offsets)
    grid: np.ndarray = np.concatenate([hits, velocities, hits * offsets], axis=1)
    return grid.astype(np.float32)


@examples(30)
@given(st.sampled_from(sorted(GROOVE_RULES)), st.sampled_from(["eval", "infer"]), st.data())
def test_grooves_come_back_from_their_notes(config: str, mode: str, data: st.DataObject) -> None:
    rows = data.draw(grids(get_config(config).max_seq_len))
    converter = get_converter(config, mode)
    (window,) = converter.to_tensors(converter.from_tensors(rows))
    assert np.array_equal(window.outputs, rows)


@examples(15)
@given(rows=grids(32), qpm=st.floats(40, 300))
def test_other_tempos_keep_the_groove(rows: np.ndarray, qpm: float) -> None:
    rows[:, 18:] *= 0.99  # at the very limits the rounding of floats decides on the step
    converter = get_converter(PLAIN)
    midi = converter.from_tensors(rows, qpm=qpm)
    (window,) = converter.to_tensors(midi)
    np.testing.assert_allclose(window.outputs, rows, atol=1e-6)


def test_grooves_come_back_from_their_files(tmp_path: Path) -> None:
    """Offsets on the file's 55 ticks a step survive, and all velocities but 0."""
    rng = np.random.default_rng(5)
    hits = rng.random((32, 9)) < 0.4
    hits[-1, 0] = True
    velocities = hits * rng.integers(1, 128, hits.shape) / 127
    offsets = hits * rng.integers(-27, 28, hits.shape) * 2 / 55
    offsets[0] = np.minimum(offsets[0], 0)
    rows = np.concatenate([hits, velocities, offsets], axis=1).astype(np.float32)
    converter = get_converter(PLAIN)
    converter.from_tensors(rows).write(str(tmp_path / "groove.mid"))
    (window,) = converter.to_tensors(tmp_path / "groove.mid")
    np.testing.assert_allclose(window.outputs, rows, atol=1e-6)


def test_hits_ahead_of_time_zero_are_written_at_zero(tmp_path: Path) -> None:
    rows = np.zeros((32, 3, 9), np.float32)
    rows[[0, 31], :, 0] = 1, 0.5, 0.5
    converter = get_converter(PLAIN)
    midi = converter.from_tensors(rows.reshape(32, 27))
    assert midi.instruments[0].notes[0].start == -0.03125
    midi.write(str(tmp_path / "early.mid"))
    assert read_midi(tmp_path / "early.mid").instruments[0].notes[0].start == 0


def test_drum_classes_are_the_same_nine() -> None:
    assert len(ROLAND_DRUM_CLASSES) == len(DRUM_CLASSES) == 9
    general = {pitch for classes in DRUM_CLASSES for pitch in classes}
    assert {pitch for classes in ROLAND_DRUM_CLASSES for pitch in classes} < general


@pytest.mark.parametrize("depth", [9, 27])
@pytest.mark.parametrize("config", GROOVE_RULES)
def test_controls_are_what_the_encoder_reads(config: str, depth: int) -> None:
    """Never what it is to find out: the hits that are tapped, the drums without the hi-hats."""
    converter = get_converter(get_config(config, control_depth=depth), "infer")
    windows = converter.to_tensors(GOLDEN / "straight.mid")
    tokens = np.stack([window.tokens for window in windows])
    controls = converter.controls(tokens)
    np.testing.assert_array_equal(controls, converter.inputs(tokens)[..., :depth])
    assert controls.any()


def test_a_width_of_controls_that_grooves_cannot_have() -> None:
    with pytest.raises(ConfigError, match=r"control_depth is 0 .* not 5"):
        get_converter(get_config("groovae_4bar", control_depth=5))
