"""Files of accompany-music-vae, there and back."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from paths import GOLDEN_FILES

from musicvae_torch.config import get_config
from musicvae_torch.dataset import DatasetError, read_dataset
from musicvae_torch.dataset.build import build_dataset
from musicvae_torch.dataset.options import BuildOptions, WindowOptions
from surrogate.accompany_music_vae import one_hot_files
from surrogate.accompany_music_vae.one_hot_files import export_dataset, import_dataset

GOLDEN = GOLDEN_FILES / "trio_converter"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of trios with codes."""
    out = tmp_path_factory.mktemp("exchange") / "data.h5"
    options = WindowOptions(get_config("hierdec-trio_16bar"), max_windows=3)
    build_dataset(GOLDEN, out, BuildOptions(options, validation=0.4, progress=False))
    with h5py.File(out, "a") as file:
        file["tokens"][0, 5:9, 1] = -1
        count = len(file["tokens"])
        file["code_mean"] = np.random.default_rng(0).normal(size=(count, 7)).astype(np.float32)
    return out


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_hot_files, "AT_ONCE", 5)


def test_columns_are_as_the_seed_has_them(data: Path, tmp_path: Path) -> None:
    columns = ["melody", "bass", "drums", "trio", "code"]
    count = export_dataset(data, tmp_path / "seed.h5", columns, progress=False)
    tokens = read_dataset(data).tokens
    depths = {"melody": 90, "bass": 90, "drums": 512}
    with h5py.File(tmp_path / "seed.h5") as file, h5py.File(data) as source:
        assert set(file) == set(columns) and count == len(tokens) > 5
        for part, (name, depth) in enumerate(depths.items()):
            assert file[name].shape == (count, 256, depth) and file[name].dtype == bool
            expected = tokens[..., part, None] == np.arange(depth)
            assert np.array_equal(file[name][:], expected)
        assert np.array_equal(
            file["trio"][:], np.concatenate([file[name][:] for name in depths], axis=-1)
        )
        assert np.array_equal(file["code"][:], source["code_mean"][:])
        assert file["code"].dtype == np.float32


@pytest.mark.parametrize("columns", [["trio", "code"], ["melody", "bass", "drums"]])
def test_there_and_back(data: Path, tmp_path: Path, columns: list[str]) -> None:
    export_dataset(data, tmp_path / "seed.h5", columns, progress=False)
    count = import_dataset(tmp_path / "seed.h5", tmp_path / "back.h5", progress=False)
    before, after = read_dataset(data), read_dataset(tmp_path / "back.h5", shape=(256, 3))
    assert np.array_equal(before.tokens, after.tokens)
    assert after.songs == [f"seed.h5#{row}" for row in range(count)]
    assert np.array_equal(after.song, np.arange(count))
    sides = [read_dataset(tmp_path / "back.h5", split) for split in ("train", "validation")]
    assert sum(len(side.tokens) for side in sides) == count
    with h5py.File(tmp_path / "back.h5") as file, h5py.File(data) as source:
        assert ("code_mean" in file) == ("code" in columns)
        if "code" in columns:
            assert np.array_equal(file["code_mean"][:], source["code_mean"][:])


def test_melodies_alone_are_melodies(data: Path, tmp_path: Path) -> None:
    export_dataset(data, tmp_path / "seed.h5", progress=False)
    import_dataset(tmp_path / "seed.h5", tmp_path / "back.h5", validation=0, progress=False)
    after = read_dataset(tmp_path / "back.h5", shape=(256, 1))
    assert np.array_equal(after.tokens[..., 0], read_dataset(data).tokens[..., 0])


@pytest.mark.parametrize("split", ["train", "validation"])
def test_one_side_alone(data: Path, tmp_path: Path, split: str) -> None:
    export_dataset(data, tmp_path / "seed.h5", ["trio"], split=split, progress=False)
    import_dataset(tmp_path / "seed.h5", tmp_path / "back.h5", progress=False)
    own = read_dataset(data, split).tokens
    assert np.array_equal(read_dataset(tmp_path / "back.h5").tokens, own)


def test_what_cannot_be_exported(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "seed.h5"
    with pytest.raises(ValueError, match="unknown column 'flute'; choose among: melody"):
        export_dataset(data, out, ["flute"])
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["tokens"], file["song"] = np.zeros((2, 256, 3), np.int16), np.zeros(2, int)
    with pytest.raises(DatasetError, match=r"bare.h5: holds no posteriors; add them with"):
        export_dataset(tmp_path / "bare.h5", out)
    with pytest.raises(DatasetError, match=r"bare.h5: was built without validation songs"):
        export_dataset(tmp_path / "bare.h5", out, ["trio"], split="train")
    with h5py.File(tmp_path / "drums.h5", "w") as file:
        file["tokens"] = np.zeros((2, 32, 1))
    with pytest.raises(DatasetError, match=r"drums.h5: tokens have shape \(2, 32, 1\), wanted tr"):
        export_dataset(tmp_path / "drums.h5", out, ["melody"])
    assert not out.exists()


def two_hot() -> np.ndarray:
    rows = np.zeros((2, 256, 90), bool)
    rows[1, 7, 3:5] = True
    return rows


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "has none of the columns melody, bass"),
        (
            {"melody": np.zeros((2, 32, 90))},
            r"melody has shape \(2, 32, 90\), wanted \(2, 25",
        ),
        ({"melody": np.zeros(())}, r"column melody has shape \(\), wanted"),
        ({"melody": np.zeros((0, 256, 90))}, "of at least one"),
        ({"melody": two_hot()}, "window 1 has rows that are not one-hot"),
        (
            {"melody": np.zeros((2, 256, 90)), "code": np.zeros((3, 4))},
            r"column code has shape \(3, 4\), wanted \(2, 4\)",
        ),
    ],
)
def test_what_cannot_be_imported(
    tmp_path: Path, columns: dict[str, np.ndarray], message: str
) -> None:
    with h5py.File(tmp_path / "seed.h5", "w") as file:
        for name, values in columns.items():
            file[name] = values
    with pytest.raises(DatasetError, match=message):
        import_dataset(tmp_path / "seed.h5", tmp_path / "out.h5", progress=False)
    assert not (tmp_path / "out.h5").exists()


def test_a_file_that_is_no_hdf5(tmp_path: Path) -> None:
    (tmp_path / "seed.h5").write_text("melody")
    with pytest.raises(DatasetError, match=r"seed.h5: not readable as HDF5"):
        import_dataset(tmp_path / "seed.h5", tmp_path / "out.h5")
