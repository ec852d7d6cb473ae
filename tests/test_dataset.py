"""Data sets: building, reading back, and drawing batches."""

import json
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from musicvae_torch import dataset
from musicvae_torch.dataset import (
    DatasetError,
    Windows,
    build_dataset,
    read_dataset,
    training_batches,
    transpose,
)
from musicvae_torch.notes.trio import to_midi
from musicvae_torch.notes.vocabulary import DRUM_DEPTH, FIRST_NOTE, MELODY_DEPTH

GOLDEN = Path(__file__).parent / "golden" / "trio_converter"
NO_TRIO = "no window of melody, bass and drums in 4/4"
# In the order of their paths, as the data set has them.
SONGS = {
    "a/cross_product.mid": 16,
    "a/deep/er/two_two.midi": 2,
    "gaps.MID": 10,
    "plain copy.mid": 5,
    "plain.mid": 5,
}

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
quick = settings(deadline=None, max_examples=60)


def song_of(name: str) -> str:
    """The golden song that a file of the folder is a copy of."""
    return Path(name).stem.removesuffix(" copy")


@pytest.fixture(scope="module")
def golden_windows() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "golden.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs at several depths among files that are none."""
    folder = tmp_path_factory.mktemp("midi")
    for name in SONGS:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((GOLDEN / f"{song_of(name)}.mid").read_bytes())
    plain = (GOLDEN / "plain.mid").read_bytes()
    (folder / "short.mid").write_bytes((GOLDEN / "fifteen_bars.mid").read_bytes())
    (folder / "text.mid").write_text("la la la\n")
    (folder / "a" / "cut.mid").write_bytes(plain[: len(plain) // 2])
    (folder / "empty.midi").touch()
    (folder / "plain.mid.bak").write_bytes(plain)
    (folder / "README.txt").write_text("not a song\n")
    return folder


@pytest.fixture(scope="module")
def built(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "all.h5"
    build_dataset(folder, out, hop_bars=1, workers=1, progress=False)
    return out


def test_every_file_is_counted_once(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.h5"
    counts = build_dataset(folder, out, hop_bars=1, workers=2, progress=False)
    assert counts == {
        "used": len(SONGS),
        "windows": sum(SONGS.values()),
        "unreadable": 3,
        NO_TRIO: 1,
    }
    assert list(out.parent.iterdir()) == [out]


def test_a_data_set_reads_back(built: Path, golden_windows: dict[str, np.ndarray]) -> None:
    windows = read_dataset(built)
    assert windows.songs == list(SONGS)
    assert windows.tokens.dtype == np.uint16
    for row, name in enumerate(SONGS):
        assert np.array_equal(windows.tokens[windows.song == row], golden_windows[song_of(name)])


def test_a_data_set_says_where_windows_are_from_and_how_it_was_made(built: Path) -> None:
    plain = list(SONGS).index("plain.mid")
    with h5py.File(built) as file:
        rows = file["song"][:] == plain
        assert file["bar"][rows].tolist() == [0, 1, 2, 3, 4]
        assert file["start"][rows].tolist() == pytest.approx([0, 2, 4, 6, 8])
        assert file["instruments"][rows].tolist() == [[0, 1, 2]] * 5
        made_with = json.loads(file.attrs["made_with"])
    assert made_with == {
        "hop_bars": 1,
        "max_windows": None,
        "seed": 0,
        "melody_programs": list(range(32)),
    }


def test_equal_windows_of_a_song_are_kept_once(tmp_path: Path) -> None:
    songs = tmp_path / "songs"
    songs.mkdir()
    one_bar = np.zeros((16, 3), np.int16)
    one_bar[0] = [40, 20, 1]
    to_midi(np.tile(one_bar, (20, 1))).write(str(songs / "monotone.mid"))
    counts = build_dataset(songs, tmp_path / "out.h5", hop_bars=1, workers=1, progress=False)
    assert counts == {"used": 1, "windows": 1}
    (tokens,) = read_dataset(tmp_path / "out.h5").tokens
    assert np.array_equal(tokens, np.tile(one_bar, (16, 1)))


def test_a_few_windows_of_each_song_are_drawn_by_seed(
    folder: Path, tmp_path: Path, built: Path
) -> None:
    def draw(name: str, seed: int) -> Windows:
        out = tmp_path / name
        build_dataset(folder, out, hop_bars=1, max_windows=3, seed=seed, workers=1, progress=False)
        return read_dataset(out)

    first, again, other = draw("1.h5", 1), draw("2.h5", 1), draw("3.h5", 2)
    assert np.bincount(first.song).tolist() == [min(n, 3) for n in SONGS.values()]
    assert np.array_equal(first.tokens, again.tokens)
    assert not np.array_equal(first.tokens, other.tokens)
    whole = read_dataset(built)
    for row in range(len(SONGS)):
        everything = {tokens.tobytes() for tokens in whole.tokens[whole.song == row]}
        drawn = {tokens.tobytes() for tokens in first.tokens[first.song == row]}
        assert drawn <= everything
        assert len(drawn) == min(3, len(everything))


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([], "no .mid or .midi file at any depth"),
        (["README.txt"], "no .mid or .midi file at any depth"),
        (["short.mid", "text.mid"], "2 MIDI files, but no window of a trio in any"),
    ],
)
def test_a_folder_without_trios_is_refused(
    folder: Path, tmp_path: Path, files: list[str], reason: str
) -> None:
    songs = tmp_path / "songs"
    songs.mkdir()
    for name in files:
        (songs / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(DatasetError) as caught:
        build_dataset(songs, tmp_path / "out" / "out.h5", workers=1, progress=False)
    assert str(caught.value) == f"{songs}: {reason}"
    assert list(tmp_path.iterdir()) == [songs]


def test_a_failure_while_writing_leaves_the_old_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, *_: object) -> None:
        path.write_bytes(b"half a data set")
        raise OSError("the disk is full")

    out = tmp_path / "out.h5"
    out.write_bytes(b"an older data set")
    monkeypatch.setattr(dataset, "_write", fail)
    with pytest.raises(OSError, match="the disk is full"):
        build_dataset(folder, out, workers=1, progress=False)
    assert list(tmp_path.iterdir()) == [out]
    assert out.read_bytes() == b"an older data set"


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
        ({"tokens": np.zeros((2, 256))}, "tokens have shape (2, 256)"),
        ({"tokens": np.zeros((2, 32, 3))}, "tokens have shape (2, 32, 3)"),
        ({"song": np.zeros(3)}, "tokens have shape (2, 256, 3)"),
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
        read_dataset(path)
    assert str(caught.value).startswith(f"{path}: {reason}")
    assert "\n" not in str(caught.value)


@quick
@given(middle_tokens, shifts)
def test_transposing_back_gives_the_tokens(tokens: np.ndarray, shift: int) -> None:
    shifted = transpose(tokens, shift)
    notes = np.zeros(tokens.shape, bool)
    notes[:, :2] = tokens[:, :2] >= FIRST_NOTE
    assert (shifted[notes].astype(int) - tokens[notes] == shift).all()
    assert np.array_equal(shifted[~notes], tokens[~notes])
    assert np.array_equal(transpose(shifted, -shift), tokens)


@quick
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


def first_batches(windows: Windows, count: int, **options: int) -> np.ndarray:
    settings = {"batch_size": 8, "max_transpose": 6, "seed": 3} | options
    return np.array(list(islice(training_batches(windows, **settings), count)))


def test_batches_go_by_the_seed() -> None:
    windows = marked_windows([5, 1, 30])
    batches = first_batches(windows, 6)
    assert batches.shape == (6, 8, 256, 3)
    assert batches.dtype == np.int64
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
