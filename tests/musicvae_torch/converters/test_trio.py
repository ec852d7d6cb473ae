"""Trios: windows as Magenta makes them of our songs, and notes as it writes them."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from paths import GOLDEN_FILES
from properties import examples

from musicvae_torch.converters.base import Window
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.converters.trio import DEPTHS, part_notes
from musicvae_torch.midi.notes import Song, read_midi, to_song

GOLDEN = GOLDEN_FILES / "trio_converter"
SONGS = sorted(path.stem for path in GOLDEN.glob("*.mid"))

CONVERTER = get_converter("hier-trio_16bar")
to_midi, to_one_hot, to_tokens = CONVERTER.from_tokens, CONVERTER.outputs, CONVERTER.to_tokens


def trio_windows(
    song: Song, hop_bars: int = 1, melody_programs: set[int] | None = None
) -> list[Window]:
    converter = get_converter("hier-trio_16bar", hop_bars=hop_bars, melody_programs=melody_programs)
    return converter.to_tensors(song)


some_tokens = st.integers(1, 40).flatmap(
    lambda steps: st.tuples(
        *(st_numpy.arrays(np.int16, steps, elements=st.integers(0, d - 1)) for d in DEPTHS)
    ).map(lambda parts: np.stack(parts, axis=-1))
)


@pytest.fixture(scope="module")
def golden_windows() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "golden.npz") as file:
        return dict(file)


def load(name: str) -> Song:
    return to_song(read_midi(GOLDEN / f"{name}.mid"))


def stacked(windows: list[Window]) -> np.ndarray:
    return np.array([window.tokens for window in windows]).reshape(-1, 256, 3)


def song_maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_songs", GOLDEN / "make_songs.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_song_has_golden_windows(golden_windows: dict[str, np.ndarray]) -> None:
    assert sorted(golden_windows) == SONGS
    without = {name for name, windows in golden_windows.items() if not len(windows)}
    assert without == {"fifteen_bars", "solo", "endless", "beats", "harmony", "sevenths"}


@pytest.mark.parametrize("name", SONGS)
def test_windows_are_magentas(golden_windows: dict[str, np.ndarray], name: str) -> None:
    windows = stacked(trio_windows(load(name)))
    assert windows.shape == golden_windows[name].shape
    assert np.array_equal(windows, golden_windows[name])


def test_the_songs_are_what_their_script_makes(tmp_path: Path) -> None:
    song_maker().main(tmp_path)
    assert sorted(path.stem for path in tmp_path.iterdir()) == SONGS
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (GOLDEN / path.name).read_bytes(), path.name


def test_windows_know_where_they_were_found() -> None:
    windows = trio_windows(load("plain"))
    assert [window.bar for window in windows] == [0, 1, 2, 3, 4]
    assert [window.start for window in windows] == pytest.approx([0, 2, 4, 6, 8])
    assert {window.instruments for window in windows} == {(0, 1, 2)}


def test_windows_after_a_tempo_change_start_there() -> None:
    midi = read_midi(GOLDEN / "tempo_change.mid")
    change = midi.get_tempo_changes()[0][1]
    windows = trio_windows(to_song(midi))
    after = [window for window in windows if window.start >= change]
    bar = 4 * 60 / 140.5
    assert [window.bar for window in after] == [0, 1, 2]
    expected = [change, change + bar, change + 2 * bar]
    assert [window.start for window in after] == pytest.approx(expected, rel=1e-5)


def test_all_combinations_of_tracks_come_in_order() -> None:
    windows = trio_windows(load("cross_product"))
    found = list(dict.fromkeys(window.instruments for window in windows))
    assert found == [(m, b, d) for m in (1, 4) for b in (0, 6) for d in (3, 7)]
    assert [window.bar for window in windows] == [0, 1] * 8


def test_other_programs_may_be_melodies() -> None:
    windows = trio_windows(load("cross_product"), melody_programs={81})
    assert {window.instruments[0] for window in windows} == {2}


@pytest.mark.parametrize("program", [33, 100])
def test_a_track_of_two_kinds_is_of_none(program: int) -> None:
    song = load("plain")
    assert trio_windows(song)
    song.notes["program"][np.flatnonzero(song.notes["instrument"] == 0)[5]] = program
    assert trio_windows(song) == []


@pytest.mark.parametrize("hop_bars", [2, 5, 16])
def test_hops_leave_out_windows(hop_bars: int) -> None:
    song = load("gaps")
    kept = [window for window in trio_windows(song) if window.bar % hop_bars == 0]
    hopped = trio_windows(song, hop_bars)
    assert [window.bar for window in hopped] == [window.bar for window in kept]
    assert np.array_equal(stacked(hopped), stacked(kept))


@examples(40)
@given(some_tokens)
def test_one_hot_rows_hold_the_tokens(tokens: np.ndarray) -> None:
    rows = to_one_hot(tokens)
    assert rows.shape == (len(tokens), 692)
    assert rows.dtype == bool
    places = np.argwhere(rows == 1)[:, 1].reshape(-1, 3)
    assert np.array_equal(places, tokens + np.array([0, 90, 180]))
    assert rows.sum() == tokens.size
    assert np.array_equal(to_tokens(rows), tokens)


def test_one_hot_takes_batches() -> None:
    tokens = np.array([[[89, 0, 511]], [[0, 89, 0]]], np.int16)
    assert to_one_hot(tokens).shape == (2, 1, 692)
    assert np.array_equal(to_tokens(to_one_hot(tokens)), tokens)


def test_midi_has_a_track_for_each_part() -> None:
    midi = to_midi(np.zeros((16, 3), np.int16))
    assert [track.name for track in midi.instruments] == ["melody", "bass", "drums"]
    assert [track.program for track in midi.instruments] == [0, 33, 0]
    assert [track.is_drum for track in midi.instruments] == [False, False, True]
    assert midi.get_tempo_changes()[1] == pytest.approx([120])


@pytest.mark.parametrize("qpm", [120, 97.3, 211])
@pytest.mark.parametrize("name", ["plain", "cross_product", "swing"])
def test_windows_come_back_from_their_midi(
    tmp_path: Path, golden_windows: dict[str, np.ndarray], name: str, qpm: float
) -> None:
    for tokens in golden_windows[name][::4]:
        to_midi(tokens, qpm).write(str(tmp_path / "window.mid"))
        (window,) = trio_windows(to_song(read_midi(tmp_path / "window.mid")))
        # A window may begin with a note-off whose note began before: that one is lost.
        assert part_notes(window.tokens) == part_notes(tokens)
        assert (window.tokens != tokens).sum() <= 2
