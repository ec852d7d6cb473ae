"""Folders with a table of splits, as the Groove MIDI Dataset is one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from musicvae_torch.cli.dataset import build_main
from musicvae_torch.config import get_config
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.dataset import DatasetError
from musicvae_torch.dataset.build import build_dataset
from musicvae_torch.dataset.options import BuildOptions, WindowOptions

GROOVES = WindowOptions(get_config("groovae_2bar_humanize"), hop_bars=1)
OPTIONS = BuildOptions(GROOVES, workers=1, progress=False)
TABLE = {
    "drummer1/a.mid": "train",
    "drummer1/b.mid": "train",  # the very same hits as a
    "drummer2/c.mid": "validation",
    "drummer2/d.mid": "test",
    "drummer2/missing.mid": "train",
}


def groove(seed: int, bars: int = 4) -> np.ndarray:
    """(steps, 27) tokens with something on each beat."""
    rng = np.random.default_rng(seed)
    tokens = np.zeros((bars * 16, 27), np.float32)
    tokens[::4, 0] = tokens[rng.integers(0, bars * 16, 20), 2] = 1
    struck = tokens[:, :9] > 0
    tokens[:, 9:18][struck] = rng.integers(20, 120, struck.sum()) / 127
    return tokens


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four performances, their table, and a file that is not in it."""
    root = tmp_path / "groove"
    converter = get_converter("groovae_2bar_humanize")
    for name, seed in {"1/a": 1, "1/b": 1, "2/c": 3, "2/d": 4, "2/extra": 5}.items():
        path = root / f"drummer{name}.mid"
        path.parent.mkdir(parents=True, exist_ok=True)
        converter.from_tokens(groove(seed)).write(str(path))
    lines = [f"funk,{name},{split}" for name, split in TABLE.items()]
    (root / "info.csv").write_text("\n".join(["style,midi_filename,split", *lines]))
    return root


def songs(path: Path) -> dict[str, tuple[int, bool]]:
    """Of each song the number of its windows, and whether it is set aside."""
    with h5py.File(path) as file:
        names = [name.decode() for name in file["songs"][:]]
        aside = file["validation"][:] if "validation" in file else np.zeros(len(names), bool)
        counts = np.bincount(file["song"][:], minlength=len(names))
    return dict(zip(names, zip(counts.tolist(), aside.tolist(), strict=True), strict=True))


def test_the_table_decides(folder: Path, tmp_path: Path) -> None:
    """Windows of two bars every bar; near-duplicates stay, since the split has seen to them."""
    built = build_dataset(folder, tmp_path / "data.h5", OPTIONS)
    assert songs(tmp_path / "data.h5") == {
        "drummer1/a.mid": (3, False),
        "drummer1/b.mid": (3, False),
        "drummer2/c.mid": (3, True),
    }
    assert {(file.path, file.reason) for file in built.skipped} == {
        ("drummer2/d.mid", "of the split test"),
        ("drummer2/extra.mid", "not in info.csv"),
    }


def test_one_split(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "test.h5"
    config = ["--config", "groovae_2bar_humanize", "--workers", "1"]
    assert build_main([str(folder), "-o", str(out), "--split", "test", *config]) == 0
    assert songs(out) == {"drummer2/d.mid": (3, False)}
    assert "left out: 2 files: of the split train" in capsys.readouterr().out


def test_a_changed_table_is_another_build(folder: Path, tmp_path: Path) -> None:
    build_dataset(folder, tmp_path / "data.h5", OPTIONS)
    table = (folder / "info.csv").read_text()
    (folder / "info.csv").write_text(table.replace("a.mid,train", "a.mid,validation"))
    build_dataset(folder, tmp_path / "data.h5", OPTIONS)
    assert songs(tmp_path / "data.h5")["drummer1/a.mid"] == (3, True)


@pytest.mark.parametrize(
    ("table", "split", "said"),
    [
        ("midi_filename,split\ndrummer1/a.mid,training", ("train",), "of split 'training'"),
        ("midi_filename,split\ndrummer1/a.mid,train", ("test",), "no MIDI file of the split test"),
        ("midi_filename,split\n\xff\xfe", ("train",), "cannot be read as a table of splits"),
    ],
)
def test_tables_that_do_not_serve(
    folder: Path, tmp_path: Path, table: str, split: tuple[str, ...], said: str
) -> None:
    (folder / "info.csv").write_bytes(table.encode("latin-1"))
    with pytest.raises(DatasetError, match=said):
        build_dataset(folder, tmp_path / "data.h5", replace(OPTIONS, split=split))


def test_a_table_of_something_else_is_none(folder: Path, tmp_path: Path) -> None:
    (folder / "info.csv").write_text("title,artist\na,b\n")
    build_dataset(folder, tmp_path / "data.h5", replace(OPTIONS, validation=0.0))
    found = songs(tmp_path / "data.h5")
    assert len(found) == 4  # the near-duplicate is left out
    assert not any(aside for _, aside in found.values())
