"""Data sets: reading them, whole or by split, and drawing batches."""

from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from properties import examples

from musicvae_torch.dataset import (
    Windows,
    draw_batches,
    read_dataset,
    read_sides,
    shifted_tokens,
    transpose,
)
from musicvae_torch.errors import DatasetError
from musicvae_torch.midi.vocabulary import DRUM_DEPTH, FIRST_NOTE, MELODY_DEPTH

some_tokens = st.tuples(
    st_numpy.arrays(np.uint16, (8, 2), elements=st.integers(0, MELODY_DEPTH - 1)),
    st_numpy.arrays(np.uint16, (8, 1), elements=st.integers(0, DRUM_DEPTH - 1)),
).map(lambda parts: np.concatenate(parts, axis=1))
# Middle pitches only, so that every shift fits.
middle_tokens = some_tokens.map(
    lambda tokens: np.where(
        (np.arange(3) < 2) & (tokens >= FIRST_NOTE), tokens % 30 + 30, tokens
    ).astype(np.uint16)
)
shifts = st.integers(-24, 24)


def test_reading_files_that_are_no_data_set(tmp_path: Path) -> None:
    missing, text = tmp_path / "missing.h5", tmp_path / "text.h5"
    text.write_text("not HDF5")
    groups = tmp_path / "groups.h5"
    with h5py.File(groups, "w") as file:
        file.create_group("songs")
    for path in (missing, text, groups):
        refused(path, "not a data set of build-dataset")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"songs": None}, "not a data set of build-dataset"),
        ({"songs": np.zeros(2)}, "not a data set of build-dataset"),
        ({"tokens": np.zeros(())}, "not a data set of build-dataset"),
        ({"tokens": np.zeros((2, 256))}, "tokens have shape (2, 256), wanted (n, 256, 3)"),
        ({"tokens": np.zeros((2, 32, 3))}, "tokens have shape (2, 32, 3), wanted (n, 256, 3)"),
        ({"song": np.zeros(3)}, "tokens have shape (2, 256, 3), wanted"),
    ],
)
def test_reading_other_hdf5_files(
    tmp_path: Path, change: dict[str, np.ndarray | None], reason: str
) -> None:
    content = {"tokens": np.zeros((2, 256, 3)), "song": np.zeros(2), "songs": np.array([b"a"])}
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        for name, array in (content | change).items():
            if array is not None:
                file[name] = array
    refused(path, reason)


def refused(path: Path, reason: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read_dataset(path, shape=(256, 3))
    assert str(caught.value).startswith(f"{path}: {reason}")
    assert "\n" not in str(caught.value)


@examples(60)
@given(middle_tokens, shifts)
def test_transposing_back_gives_the_tokens(tokens: np.ndarray, shift: int) -> None:
    shifted = transpose(tokens, shift)
    notes = np.zeros(tokens.shape, bool)
    notes[:, :2] = tokens[:, :2] >= FIRST_NOTE
    assert (shifted[notes].astype(int) - tokens[notes] == shift).all()
    assert np.array_equal(shifted[~notes], tokens[~notes])
    assert np.array_equal(transpose(shifted, -shift), tokens)


@examples(60)
@given(some_tokens, shifts)
def test_transposing_stays_in_range_or_does_nothing(tokens: np.ndarray, shift: int) -> None:
    before = tokens.copy()
    shifted = transpose(tokens, shift)
    assert np.array_equal(tokens, before)
    notes = tokens[:, :2] >= FIRST_NOTE
    moved = tokens[:, :2][notes].astype(int) + shift
    fits = ((moved >= FIRST_NOTE) & (moved < MELODY_DEPTH)).all()
    assert np.array_equal(shifted[:, :2][notes], moved if fits else tokens[:, :2][notes])
    assert np.array_equal(shifted[:, :2][~notes], tokens[:, :2][~notes])
    assert np.array_equal(shifted[:, 2], tokens[:, 2])
    assert shifted.dtype == tokens.dtype


@pytest.mark.parametrize("edge", [FIRST_NOTE, MELODY_DEPTH - 1])
def test_one_note_at_the_edge_keeps_all_where_they_are(edge: int) -> None:
    tokens = np.array([[edge, 45, 511], [0, 1, 0]], np.uint16)
    outward = 1 if edge == MELODY_DEPTH - 1 else -1
    assert np.array_equal(transpose(tokens, outward), tokens)
    assert transpose(tokens, -outward).tolist() == [[edge - outward, 45 - outward, 511], [0, 1, 0]]


def marked_windows(sizes: list[int]) -> Windows:
    """Songs of these many windows, in mixed order; a window holds its number as its drums."""
    song = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    tokens = np.full((len(song), 256, 3), 45, np.uint16)
    tokens[:, :, 2] = np.arange(len(song))[:, None]
    return Windows(tokens, song, [f"{row}.mid" for row in range(len(sizes))])


def first_batches(windows: Windows, count: int, **options: Any) -> np.ndarray:
    settings: dict[str, Any] = {"batch_size": 8, "max_transpose": 6, "seed": 3} | options
    most, shift = settings.pop("max_transpose"), transpose
    draws = islice(draw_batches(windows, **settings), count)
    batches = [shifted_tokens(windows, rows, rng, most, shift) for rows, rng in draws]
    return np.array(batches, np.int64)


def test_batches_go_by_the_seed() -> None:
    windows = marked_windows([5, 1, 30])
    batches = first_batches(windows, 6)
    assert batches.shape == (6, 8, 256, 3)
    assert np.array_equal(batches, first_batches(windows, 6))
    assert not np.array_equal(batches, first_batches(windows, 6, seed=4))
    assert len(np.unique(batches, axis=0)) == 6


@pytest.mark.parametrize("start", [1, 4])
def test_batches_can_be_taken_up_anywhere(start: int) -> None:
    windows = marked_windows([5, 1, 30])
    resumed = first_batches(windows, 2, start=start)
    assert np.array_equal(resumed, first_batches(windows, start + 2)[start:])


def test_batches_hold_songs_alike_and_windows_of_a_song_alike() -> None:
    sizes = [1, 0, 10, 100]
    windows = marked_windows(sizes)
    drawn = first_batches(windows, 30, batch_size=100)[:, :, 0, 2].ravel()
    by_song = np.bincount(windows.song[drawn], minlength=len(sizes))
    assert by_song[1] == 0
    assert np.abs(by_song[[0, 2, 3]] / len(drawn) - 1 / 3).max() < 0.04
    of_the_ten = np.bincount(drawn, minlength=sum(sizes))[windows.song == 2]
    assert np.abs(of_the_ten / of_the_ten.sum() - 0.1).max() < 0.04
    assert (np.bincount(drawn, minlength=sum(sizes)) > 0).all()


def test_batches_are_transposed_at_random() -> None:
    windows = marked_windows([3, 4])
    batches = first_batches(windows, 20, max_transpose=2)
    moved = batches[:, :, :, :2] - 45
    assert sorted(set(moved.ravel().tolist())) == [-2, -1, 0, 1, 2]
    # A window moves as a whole.
    assert (moved == moved[:, :, :1, :1]).all()
    still = first_batches(windows, 5, max_transpose=0)
    assert (still[:, :, :, :2] == 45).all()
    assert np.array_equal(windows.tokens, marked_windows([3, 4]).tokens)


def write(path: Path, **columns: np.ndarray) -> Path:
    """A data set of 6 windows of 3 songs, the middle one set aside."""
    content = {
        "tokens": np.arange(6 * 4 * 3).reshape(6, 4, 3).astype(np.int16),
        "song": np.array([0, 1, 1, 2, 2, 2]),
        "songs": np.array([b"a.mid", b"b.mid", b"c.mid"]),
        "validation": np.array([False, True, False]),
        "code_mean": np.arange(12.0).reshape(6, 2).astype(np.float32),
        "code_stddev": np.arange(12.0).reshape(6, 2).astype(np.float32) + 1,
    }
    with h5py.File(path, "w") as file:
        file.attrs["codes"] = '{"sha256": "abc"}'
        for name, values in (content | columns).items():
            file[name] = values
    return path


def test_a_split_is_of_whole_songs(tmp_path: Path) -> None:
    path = write(tmp_path / "data.h5")
    whole, (train, validation) = read_dataset(path), read_sides(path, None)
    assert train.songs == ["a.mid", "c.mid"] and validation.songs == ["b.mid"]
    assert train.song.tolist() == [0, 1, 1, 1] and validation.song.tolist() == [0, 0]
    assert np.array_equal(train.tokens, whole.tokens[[0, 3, 4, 5]])
    assert np.array_equal(validation.tokens, whole.tokens[[1, 2]])
    assert [len(side.tokens) for side in read_sides(path, path)] == [6, 6]
    with pytest.raises(ValueError, match="unknown split 'test'"):
        read_dataset(path, "test")


def test_codes_are_read_of_the_right_model_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "data.h5")
    assert read_dataset(path).posterior_mean is None
    assert read_dataset(path, posteriors_of="abd").posterior_mean is None
    windows = read_dataset(path, "validation", posteriors_of="abc")
    assert windows.posterior_mean is not None and windows.posterior_mean.tolist() == [
        [2, 3],
        [4, 5],
    ]
    assert windows.posterior_stddev is not None and windows.posterior_stddev.tolist() == [
        [3, 4],
        [5, 6],
    ]


def test_a_side_without_songs_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "all.h5", validation=np.ones(3, bool))
    with pytest.raises(DatasetError, match="no song for train; build it with another --validation"):
        read_sides(path, None)
    with h5py.File(path, "a") as file:
        del file["validation"]
    with pytest.raises(DatasetError, match="built without validation songs; build it with"):
        read_sides(path, None)


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "data.h5")
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 2
    refused(path, "format_version is 2, this library reads 1")
