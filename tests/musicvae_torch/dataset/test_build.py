"""Building data sets: what is kept of a folder, whatever is in it and however often it is
stopped."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pretty_midi
import pytest
from paths import GOLDEN_FILES

from musicvae_torch.cli.dataset import build_main
from musicvae_torch.config import get_config
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.dataset import DatasetError, Windows, build, merge, read_dataset, shards
from musicvae_torch.dataset.build import BuildResult, build_dataset
from musicvae_torch.dataset.extraction import Skipped, extract_file, extract_song
from musicvae_torch.dataset.options import BuildOptions, WindowOptions
from musicvae_torch.dataset.report import report_path
from musicvae_torch.dataset.shards import Outcome, ShardStore
from musicvae_torch.midi.notes import read_midi, to_song, transpose_song

GOLDEN = GOLDEN_FILES / "trio_converter"
# In the order of their paths, as the data set has them.
SONGS = {
    "a/cross_product.mid": 16,
    "a/deep/er/two_two.midi": 2,
    "gaps.MID": 10,
    "plain.mid": 5,
}
TRIO = WindowOptions(get_config("hier-trio_16bar"))
OPTIONS = BuildOptions(TRIO, validation=0, workers=2, progress=False)


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
        path.write_bytes((GOLDEN / f"{Path(name).stem}.mid").read_bytes())
    plain = (GOLDEN / "plain.mid").read_bytes()
    (folder / "short.mid").write_bytes((GOLDEN / "fifteen_bars.mid").read_bytes())
    (folder / "plain_copy.mid").write_bytes(plain)
    (folder / "text.mid").write_text("la la la\n")
    (folder / "a" / "cut.mid").write_bytes(plain[:20])
    (folder / "empty.midi").touch()
    (folder / "plain.mid.bak").write_bytes(plain)
    (folder / "README.txt").write_text("not a song\n")
    return folder


@pytest.fixture(scope="module")
def built(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BuildResult]:
    out = tmp_path_factory.mktemp("built") / "new" / "all.h5"
    return out, build_dataset(folder, out, OPTIONS)


def columns(path: Path) -> dict[str, Any]:
    """All that a data set holds, as bytes."""
    with h5py.File(path) as file:
        arrays = {name: (str(file[name].dtype), file[name].shape) for name in file}
        content = {name: file[name][:].tolist() for name in file}
        return {"arrays": arrays, "content": content, "attributes": dict(file.attrs)}


def reasons(path: Path) -> dict[str, tuple[str, str]]:
    with report_path(path).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return {row["path"]: (row["reason"], row["detail"]) for row in csv.DictReader(file)}


def song(path: Path, seed: int, bars: int = 20, qpm: float = 120) -> Path:
    """Write a random trio of so many bars."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    tokens = np.zeros((bars * 16, 3), np.int16)
    tokens[::2, 0] = rng.integers(40, 60, bars * 8)
    tokens[::4, 1] = rng.integers(14, 30, bars * 4)
    tokens[::2, 2] = rng.integers(1, 16, bars * 8)
    get_converter("hier-trio_16bar").from_tokens(tokens, qpm).write(str(path))
    return path


def test_every_file_is_counted_once(built: tuple[Path, BuildResult]) -> None:
    out, result = built
    assert (result.windows, result.songs, result.validation) == (sum(SONGS.values()), 4, 0)
    assert {path.name for path in out.parent.iterdir()} == {"all.h5", "all.report.csv"}
    assert result.report == out.with_name("all.report.csv")
    found = reasons(out)
    assert {path: reason for path, (reason, _) in found.items()} == {
        "a/cut.mid": "unreadable",
        "empty.midi": "unreadable",
        "plain_copy.mid": "duplicate",
        "short.mid": "too short",
        "text.mid": "unreadable",
    }
    assert list(found) == sorted(found)
    assert found["plain_copy.mid"] == ("duplicate", "of plain.mid")


def test_a_data_set_reads_back(
    built: tuple[Path, BuildResult], golden_windows: dict[str, np.ndarray]
) -> None:
    windows = read_dataset(built[0])
    assert windows.tokens.dtype == np.int16
    for row, name in enumerate(windows.songs):
        assert np.array_equal(windows.tokens[windows.song == row], golden_windows[Path(name).stem])
    assert windows.songs == list(SONGS)


def test_a_data_set_says_where_windows_are_from_and_how_it_was_made(
    built: tuple[Path, BuildResult],
) -> None:
    with h5py.File(built[0]) as file:
        rows = file["song"][:] == list(SONGS).index("plain.mid")
        assert file["bar"][rows].tolist() == [0, 1, 2, 3, 4]
        assert file["start"][rows].tolist() == pytest.approx([0, 2, 4, 6, 8])
        assert file["instruments"][rows].tolist() == [[0, 1, 2]] * 5
        assert not file["transposition"][:].any() and "validation" not in file
        assert json.loads(file.attrs["config"]) == json.loads(json.dumps(TRIO.config.to_dict()))
        made_with = json.loads(file.attrs["options"])
    assert made_with == {
        "mode": "eval",
        "hop_bars": None,
        "melody_programs": None,
        "drums_only": False,
        "max_windows": None,
        "transpositions": 0,
        "max_shift": 5,
        "seed": 0,
        "validation": 0,
        "duplicate_share": 0.5,
        "keep_duplicates": False,
    }


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_processes_changes_nothing(
    folder: Path, built: tuple[Path, BuildResult], tmp_path: Path, workers: int
) -> None:
    build_dataset(folder, tmp_path / "out.h5", replace(OPTIONS, workers=workers))
    assert columns(tmp_path / "out.h5") == columns(built[0])


def test_the_size_of_shards_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = tmp_path / "songs"
    for seed in range(4):
        near_copy(songs / f"{seed} a.mid", seed)
        song(songs / f"{seed} b.mid", seed, bars=60)
    options = replace(OPTIONS, validation=0.5)
    build_dataset(songs, tmp_path / "one.h5", options)
    for module in (build, merge):
        monkeypatch.setattr(module, "FILES_PER_SHARD", 3)
    build_dataset(songs, tmp_path / "many.h5", options)
    one, many = (columns(tmp_path / name) for name in ("one.h5", "many.h5"))
    assert one["content"] == many["content"] and len(one["content"]["songs"]) == 4


def test_a_data_set_that_is_there_is_left_alone(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    first = build_dataset(folder, out, OPTIONS)
    seen = out.stat().st_mtime_ns
    again = build_dataset(folder, out, OPTIONS)
    assert (again.windows, again.songs) == (first.windows, first.songs) and again.report is None
    assert out.stat().st_mtime_ns == seen
    assert build_dataset(folder, out, replace(OPTIONS, keep_duplicates=True)).report is not None
    assert out.stat().st_mtime_ns != seen


def test_equal_windows_of_a_song_are_kept_once(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    one_bar = np.zeros((16, 3), np.int16)
    one_bar[0] = [40, 20, 1]
    get_converter("hier-trio_16bar").from_tokens(np.tile(one_bar, (20, 1))).write(
        str(tmp_path / "songs" / "monotone.mid")
    )
    assert build_dataset(tmp_path / "songs", tmp_path / "out.h5", OPTIONS).windows == 1
    (tokens,) = read_dataset(tmp_path / "out.h5").tokens
    assert np.array_equal(tokens, np.tile(one_bar, (16, 1)))


def test_a_few_windows_of_each_song_are_drawn_by_seed(
    folder: Path, tmp_path: Path, built: tuple[Path, BuildResult]
) -> None:
    def draw(name: str, seed: int) -> Windows:
        windows = replace(TRIO, max_windows=3, seed=seed)
        build_dataset(folder, tmp_path / name, replace(OPTIONS, windows=windows))
        return read_dataset(tmp_path / name)

    first, again, other = draw("1.h5", 1), draw("2.h5", 1), draw("3.h5", 2)
    assert np.bincount(first.song).tolist() == [min(n, 3) for n in SONGS.values()]
    assert np.array_equal(first.tokens, again.tokens)
    assert not np.array_equal(first.tokens, other.tokens)
    whole = read_dataset(built[0])
    for row in range(len(SONGS)):
        everything = {tokens.tobytes() for tokens in whole.tokens[whole.song == row]}
        drawn = {tokens.tobytes() for tokens in first.tokens[first.song == row]}
        assert drawn <= everything
        assert len(drawn) == min(3, len(everything))


def test_windows_in_other_keys(tmp_path: Path) -> None:
    path = song(tmp_path / "a.mid", 1, bars=18)
    options = replace(TRIO, transpositions=2, max_shift=3, max_windows=2)
    found = extract_file(path, options)
    assert not isinstance(found, Skipped)
    shifts = found.columns["transposition"]
    assert len(found.tokens) == 6 and len(set(shifts.tolist())) == 3
    assert (shifts[:2] == 0).all() and (np.abs(shifts) <= 3).all()
    for first in (2, 4):
        moved = found.tokens[first : first + 2].astype(int) - found.tokens[:2]
        notes = found.tokens[:2, :, :2] >= 2
        assert (moved[..., :2][notes] == shifts[first]).all()
        assert not moved[..., 2].any() and not moved[..., :2][~notes].any()
        assert np.array_equal(found.columns["bar"][first : first + 2], found.columns["bar"][:2])


def test_mode_train_records_its_shift(tmp_path: Path) -> None:
    path = song(tmp_path / "a.mid", 1)
    options = WindowOptions(get_config("cat-mel_2bar_small"), mode="train", seed=3)
    found = extract_file(path, options)
    assert not isinstance(found, Skipped)
    (shift,) = set(found.columns["transposition"].tolist())
    assert shift
    loaded = to_song(read_midi(path))
    plain = extract_song(
        transpose_song(loaded, shift), found.digest.tobytes(), replace(options, mode="eval")
    )
    assert not isinstance(plain, Skipped) and np.array_equal(plain.tokens, found.tokens)


@pytest.mark.parametrize(
    ("config", "shape", "dtype", "length"),
    [
        ("cat-mel_2bar_med_chords", (32, 2), np.int16, None),
        ("nade-drums_2bar_full", (32, 5), np.int16, None),
        ("groovae_2bar_humanize", (32, 27), np.float32, None),
        ("hier-multiperf_vel_1bar_med", (512, 1), np.int16, (8,)),
    ],
)
def test_windows_of_other_configs(
    tmp_path: Path, config: str, shape: tuple[int, int], dtype: type, length: tuple[int] | None
) -> None:
    for seed in range(3):
        song(tmp_path / "songs" / f"{seed}.mid", seed)
    windows = WindowOptions(get_config(config))
    if config.startswith("groovae"):  # drums alone
        for path in (tmp_path / "songs").iterdir():
            midi = read_midi(path)
            midi.instruments = [track for track in midi.instruments if track.is_drum]
            midi.write(str(path))
    build_dataset(tmp_path / "songs", tmp_path / "out.h5", replace(OPTIONS, windows=windows))
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["tokens"].shape[1:] == shape and file["tokens"].dtype == dtype
        assert ("length" in file) == (length is not None)
        if length:
            assert file["length"].shape[1:] == length
        converter = windows.converter()
        first = next(iter(converter.to_tensors(tmp_path / "songs" / "0.mid")))
        assert np.array_equal(file["tokens"][0], first.tokens)


def test_melody_programs_reach_the_converter(tmp_path: Path) -> None:
    path = song(tmp_path / "songs" / "a.mid", 1)
    midi = read_midi(path)
    midi.instruments[0].program = 80
    midi.write(str(path))
    assert extract_file(path, TRIO) == Skipped("no melody")
    lead = (*range(32), *range(80, 88))
    for config in ("hier-trio_16bar", "cat-mel_2bar_small"):
        options = WindowOptions(get_config(config), melody_programs=lead)
        found = extract_file(path, options)
        assert not isinstance(found, Skipped) and found.columns["instruments"][0][0] == 0


def full_song(path: Path, *, drums: bool = True, tambourine: bool = False) -> Path:
    """A song of several tracks; without drums; or with a pitch more, which no kit of a groove's
    training has but the one of mode "infer"."""
    song(path, 1)
    midi = read_midi(path)
    if tambourine:
        hits = next(track for track in midi.instruments if track.is_drum)
        hits.notes.append(pretty_midi.Note(90, 54, 0.125, 0.2))
    midi.instruments = [track for track in midi.instruments if drums or not track.is_drum]
    midi.write(str(path))
    return path


@pytest.mark.parametrize("config", ["groovae_2bar_humanize", "cat-drums_2bar_small"])
def test_drums_only_reads_full_songs_as_it_reads_their_drums(tmp_path: Path, config: str) -> None:
    path = full_song(tmp_path / "full.mid")
    midi = read_midi(path)
    midi.instruments = [track for track in midi.instruments if track.is_drum]
    midi.write(str(tmp_path / "drums.mid"))
    options = WindowOptions(get_config(config))
    expected = extract_file(tmp_path / "drums.mid", options)
    found = extract_file(path, replace(options, drums_only=True))
    assert not isinstance(expected, Skipped) and not isinstance(found, Skipped)
    assert np.array_equal(found.tokens, expected.tokens)
    # Tracks are numbered as in the file.
    assert set(found.columns["instruments"][0]) == {2}


def test_grooves_of_drums_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Full songs are refused as by Magenta, and the report says what to do."""
    folder = tmp_path / "songs"
    full_song(folder / "full.mid", tambourine=True)
    full_song(folder / "without.mid", drums=False)
    line = [str(folder), "-o", str(tmp_path / "out.h5"), "--config", "groovae_2bar_humanize"]
    line += ["--validation", "0", "--workers", "1"]
    assert build_main(line) == 2
    refusal = "notes that are no drums (build-dataset --drums-only leaves such notes out)"
    assert f"in any (2 {refusal})\n" in capsys.readouterr().err
    assert build_main([*line, "--drums-only"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "left out: 1 files: no drums"
    with h5py.File(tmp_path / "out.h5") as file:
        hits = file["tokens"][0].reshape(32, 3, 9)[:, 0].sum()
    # The tambourine is on the closed hi-hat of the wider kit.
    assert build_main([*line, "--drums-only", "--mode", "infer"]) == 0
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["tokens"][0].reshape(32, 3, 9)[:, 0].sum() == hits + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_windows": 0}, "max_windows must be at least 1, not 0"),
        ({"transpositions": 7, "max_shift": 3}, "7 transpositions of a window are more than the 6"),
        ({"hop_bars": 0}, "hop_bars must be at least 1, not 0"),
        ({"config": get_config("cat-drums_2bar_small"), "transpositions": 1}, "has drums alone"),
        ({"config": get_config("cat-drums_2bar_small"), "hop_bars": 1}, "no option 'hop_bars'"),
        ({"config": get_config("groovae_4bar"), "melody_programs": (1,)}, "no option 'melody_pr"),
        ({"drums_only": True}, "config 'hier-trio_16bar' has more than drums: no drums_only"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TRIO, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 1.0}, "validation must be from 0 to below 1"),
        ({"duplicate_share": 0.0}, "duplicate_share must be above 0"),
        ({"workers": 0}, "workers must be at least 1"),
    ],
)
def test_build_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(OPTIONS, **options)


def test_files_of_every_suffix_are_read(tmp_path: Path) -> None:
    songs = tmp_path / "songs"
    songs.mkdir()
    for name in ("gaps.KAR", "plain.smf", "cross_product.rmi"):
        (songs / name).write_bytes((GOLDEN / f"{Path(name).stem}.mid").read_bytes())
    (songs / "broken.kar").write_text("la la la\n")
    (songs / "plain.txt").write_bytes((GOLDEN / "plain.mid").read_bytes())
    built = build_dataset(songs, tmp_path / "out.h5", OPTIONS)
    assert (built.windows, built.songs) == (31, 3)
    assert [(one.path, one.reason) for one in built.skipped] == [("broken.kar", "unreadable")]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([], "no MIDI file (.mid, .midi, .kar, .rmi, .smf) at any depth"),
        (["README.txt"], "no MIDI file (.mid, .midi, .kar, .rmi, .smf) at any depth"),
        (
            ["short.mid", "text.mid"],
            "2 MIDI files, but no window of hier-trio_16bar in any (1 too short, 1 unreadable)",
        ),
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
        build_dataset(songs, tmp_path / "out.h5", OPTIONS)
    assert str(caught.value) == f"{songs}: {reason}"
    assert list(tmp_path.iterdir()) == [songs]


def test_a_failure_while_writing_leaves_the_old_file_and_the_parts(
    folder: Path, built: tuple[Path, BuildResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    out = tmp_path / "out.h5"
    out.write_bytes(b"an older data set")
    with monkeypatch.context() as patched:
        patched.setattr(merge.Merge, "write", fail)
        with pytest.raises(OSError, match="the disk is full"):
            build_dataset(folder, out, OPTIONS)
    assert {path.name for path in tmp_path.iterdir()} == {"out.h5", "out.h5.parts"}
    assert out.read_bytes() == b"an older data set"

    def read_nothing(_: object, tasks: Iterator[object], **__: object) -> Iterator[Any]:
        assert not list(tasks)
        return iter(())

    monkeypatch.setattr(build, "map_in_processes", read_nothing)
    build_dataset(folder, out, OPTIONS)
    assert columns(out) == columns(built[0])


def hostile(task: tuple[int, Path], options: WindowOptions, phrases: bool) -> Outcome:
    """Stands in for the reader of files: some crash it, some hang."""
    if task[1].name == "crash.mid":
        os.kill(os.getpid(), signal.SIGKILL)
    while task[1].name == "hang.mid":
        pass
    return extract_file(task[1], options, phrases=phrases)


def test_files_that_crash_or_hang_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = tmp_path / "songs"
    for number in range(6):
        song(songs / f"{number}.mid", number)
    for name in ("crash", "hang"):
        song(songs / f"{name}.mid", 7)
    monkeypatch.setattr(build, "_read_file", hostile)
    result = build_dataset(songs, tmp_path / "out.h5", replace(OPTIONS, seconds=5))
    assert result.songs == 6
    assert reasons(tmp_path / "out.h5") == {
        "crash.mid": ("crashed", "exit status -9"),
        "hang.mid": ("timed out", ""),
    }


BUILD = """
import sys
from musicvae_torch.config import get_config
from musicvae_torch.dataset.build import build_dataset
from musicvae_torch.dataset.options import BuildOptions, WindowOptions
options = BuildOptions(
    WindowOptions(get_config("hier-trio_16bar")), workers=int(sys.argv[3]), progress=False,
    keep_duplicates=True,
)
build_dataset(sys.argv[1], sys.argv[2], options)
status = open("/proc/self/status").read()
print(status[status.index("VmHWM"):].split()[1])
"""


def start_build(folder: Path, out: Path, workers: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, folder, out, str(workers)], stdout=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few hundred songs, in several shards."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(40):
        song(folder / f"{number}.mid", number)
    for number in range(40, 200):
        content = (folder / f"{number % 40}.mid").read_bytes()
        (folder / f"{number}.mid").write_bytes(content + b" " * number)  # another digest
    return folder


@pytest.mark.slow
def test_a_build_that_is_killed_goes_on(many: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole.h5", tmp_path / "killed.h5"
    assert start_build(many, whole, 2).wait() == 0
    store = tmp_path / "killed.h5.parts"
    for finished in (1, 2):
        process = start_build(many, killed, 1)
        while len(list(store.glob("0*.npz"))) < finished and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not killed.exists()
    before = {path: path.stat().st_mtime_ns for path in store.glob("0*.npz")}
    assert 2 <= len(before) < 4
    assert start_build(many, killed, 2).wait() == 0
    assert columns(killed) == columns(whole)
    assert report_path(killed).read_bytes() == report_path(whole).read_bytes()
    assert not store.exists() and not list(tmp_path.glob(".partial*"))


def test_a_stopped_build_goes_on_with_the_same_alone(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.h5"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ShardStore, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            build_dataset(many, out, OPTIONS)
    others = replace(OPTIONS, windows=replace(TRIO, hop_bars=4))
    with pytest.raises(DatasetError, match=r"out.h5.parts: .* had other options; delete this"):
        build_dataset(many, out, others)
    other = tmp_path / "other"
    song(other / "1.mid", 1)
    with pytest.raises(DatasetError, match="had other files; delete this folder to start over"):
        build_dataset(other, out, OPTIONS)
    (tmp_path / "out.h5.parts" / "plan.json").write_text("{")
    with pytest.raises(DatasetError, match="had other plan; delete"):
        build_dataset(many, out, OPTIONS)


def test_what_a_finished_build_left_is_removed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out.h5"
    with monkeypatch.context() as patched:
        patched.setattr(ShardStore, "remove", stop)
        with pytest.raises(KeyboardInterrupt):
            build_dataset(folder, out, OPTIONS)
    before = out.read_bytes()
    assert (tmp_path / "out.h5.parts").exists()
    build_dataset(folder, out, OPTIONS)
    assert {path.name for path in tmp_path.iterdir()} == {"out.h5", "out.report.csv"}
    assert out.read_bytes() == before


def test_a_damaged_part_is_named(many: Path, tmp_path: Path) -> None:
    store = ShardStore(tmp_path / "shards", {})
    store.path(0).write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(DatasetError, match=r"000000.npz: damaged .* delete it"):
        store.read(0)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_the_folder(many: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for number in range(shards.FILES_PER_SHARD):
        (few / f"{number}.mid").symlink_to(many / f"{number}.mid")
    peaks = []
    for folder in (few, many):
        process = start_build(folder, tmp_path / f"{folder.name}.h5", 2)
        peaks.append(int(process.communicate()[0]) / 1024)
    assert peaks[1] - peaks[0] < 8, peaks


def near_copy(path: Path, seed: int) -> Path:
    """Most of the random trio of 60 bars, in another key and at another tempo."""
    midi = read_midi(song(path, seed, bars=40, qpm=90))
    for track in midi.instruments:
        for note in track.notes:
            note.pitch += 0 if track.is_drum else 2
    midi.write(str(path))
    return path


def test_near_duplicates_are_left_out_or_kept_on_one_side(tmp_path: Path) -> None:
    songs, tunes = tmp_path / "songs", 8
    for seed in range(tunes):
        near_copy(songs / f"{seed} a.mid", seed)
        song(songs / f"{seed} b.mid", seed, bars=60)
    result = build_dataset(songs, tmp_path / "out.h5", OPTIONS)
    assert result.songs == tunes
    assert reasons(tmp_path / "out.h5") == {
        f"{seed} a.mid": ("duplicate", f"of {seed} b.mid") for seed in range(tunes)
    }
    every = replace(OPTIONS, keep_duplicates=True, validation=0.5)
    assert build_dataset(songs, tmp_path / "all.h5", every).songs == 2 * tunes
    sides = [read_dataset(tmp_path / "all.h5", split) for split in ("train", "validation")]
    found = [{name.split()[0] for name in side.songs} for side in sides]
    assert found[0] and found[1] and not found[0] & found[1]


def test_songs_validate_by_their_content(tmp_path: Path) -> None:
    songs, moved = tmp_path / "songs", tmp_path / "moved"
    for number in range(30):
        song(songs / f"{number}.mid", number)
        (moved / f"{number % 3}").mkdir(parents=True, exist_ok=True)
        (moved / f"{number % 3}" / f"x{number}.mid").write_bytes(
            (songs / f"{number}.mid").read_bytes()
        )
    options = replace(OPTIONS, validation=0.3)
    result = build_dataset(songs, tmp_path / "a.h5", options)
    build_dataset(moved, tmp_path / "b.h5", options)
    assert 3 <= result.validation <= 16
    sides = [read_dataset(tmp_path / "a.h5", split) for split in ("train", "validation")]
    assert sum(len(side.songs) for side in sides) == 30 and len(sides[1].songs) == result.validation
    again = read_dataset(tmp_path / "b.h5", "validation")
    assert {Path(name).stem[1:] for name in again.songs} == {Path(n).stem for n in sides[1].songs}


def test_copies_are_on_the_side_of_their_original(many: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, validation=0.5, keep_duplicates=True)
    build_dataset(many, tmp_path / "out.h5", options)
    sides = [read_dataset(tmp_path / "out.h5", split) for split in ("train", "validation")]
    tunes = [{int(Path(name).stem) % 40 for name in side.songs} for side in sides]
    assert tunes[0] and tunes[1] and not tunes[0] & tunes[1]
    assert sum(len(side.songs) for side in sides) == 200


def test_reading_a_file_says_why_it_has_no_windows(tmp_path: Path) -> None:
    def why(name: str, change: Any = None, **options: Any) -> str:
        midi = read_midi(song(tmp_path / name, 1, **options))
        if change:
            change(midi)
        midi.write(str(tmp_path / name))
        found = extract_file(tmp_path / name, TRIO)
        assert isinstance(found, Skipped)
        return found.reason

    def waltz(midi: Any) -> None:
        midi.time_signature_changes = [pretty_midi.TimeSignature(3, 4, 0)]

    def restless(midi: Any) -> None:
        midi.time_signature_changes = [
            pretty_midi.TimeSignature(*((2, 2) if bar % 16 else (4, 4)), bar * 2.0)
            for bar in range(0, 20, 8)
        ]

    def without(track: int) -> Any:
        return lambda midi: midi.instruments.pop(track)

    def apart(midi: Any) -> None:
        for note in midi.instruments[1].notes:
            note.start, note.end = note.start + 100, note.end + 100

    import pretty_midi

    assert why("short.mid", bars=15) == "too short"
    assert why("waltz.mid", waltz) == "metre or tempo"
    assert why("restless.mid", restless) == "metre or tempo"
    assert why("no melody.mid", without(0)) == "no melody"
    assert why("no bass.mid", without(1)) == "no bass"
    assert why("no drums.mid", without(2)) == "no drums"
    assert why("apart.mid", apart) == "no 16 bars on end"
    assert why("silent.mid", lambda midi: midi.instruments.clear()) == "no notes"


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "big") + body


def midi_file(*tracks: bytes, kind: int = 1, division: bytes = b"\0\x60") -> bytes:
    head = kind.to_bytes(2, "big") + len(tracks).to_bytes(2, "big") + division
    return chunk(b"MThd", head) + b"".join(chunk(b"MTrk", track) for track in tracks)


END = b"\0\xff\x2f\0"
NOTE = b"\0\x90\x40\x50\x60\x80\x40\0"
DIRT = {
    "empty tracks.mid": midi_file(b"", END, END),
    "no tracks.mid": midi_file(),
    "no note-offs.mid": midi_file(b"\0\x90\x40\x50" * 20 + END),
    "running status.mid": midi_file(b"\0\x90\x40\x50" + b"\x60\x40\0\0\x41\x50" * 9 + END),
    "smpte.mid": midi_file(NOTE + END, division=b"\xe7\x28"),
    "no division.mid": midi_file(NOTE + END, division=b"\0\0"),
    "tempo 0.mid": midi_file(b"\0\xff\x51\x03\0\0\0" + NOTE + END),
    "type 2.mid": midi_file(NOTE + END, NOTE + END, kind=2),
    "type 9.mid": midi_file(NOTE + END, kind=9),
    "a hundred thousand.mid": midi_file(b"\0\x90\x40\x50\0\x80\x40\0" * 100_000 + END),
    "a chord of a hundred thousand.mid": midi_file(
        b"\0\x90\x40\x50" * 100_000 + b"\x60\x80\x40\0" + END
    ),
    "text.mid": b"All the leaves are brown\n" * 40,
    "zero.mid": b"",
    "numbers without end.mid": midi_file(b"\xff" * 100_000),
    "metre 4 over 2 to the 255.mid": midi_file(b"\0\xff\x58\x04\4\xff\x18\x08" + NOTE + END),
    "metre 0.mid": midi_file(b"\0\xff\x58\x04\0\2\x18\x08" + NOTE + END),
    "years later.mid": midi_file(NOTE + b"\xff\xff\xff\x7f" + NOTE[1:] + END),
    "name with \n two lines, \t and \u266b.mid": b"MThd",
    os.fsdecode(b"not utf-8 \xff\xfe.mid"): b"MThd",
}


@pytest.mark.parametrize(
    "config",
    ["hier-trio_16bar", "cat-mel_2bar_small", "groovae_4bar", "hier-multiperf_vel_1bar_med"],
)
def test_dirt_never_stops_a_build(tmp_path: Path, config: str) -> None:
    songs = tmp_path / "songs"
    good = song(songs / "good.mid", 1)
    if config.startswith("groovae"):
        midi = read_midi(good)
        midi.instruments = [track for track in midi.instruments if track.is_drum]
        midi.write(str(good))
    for name, content in DIRT.items():
        (songs / name).write_bytes(content)
    (songs / "cut.mid").write_bytes(good.read_bytes()[:20])
    (songs / "closed.mid").write_bytes(b"closed")
    (songs / "closed.mid").chmod(0)
    (songs / "folder.mid").mkdir()
    (songs / "loop").symlink_to(songs)
    (songs / "loop.mid").symlink_to("loop.mid")
    (songs / "nowhere.mid").symlink_to("missing")
    os.mkfifo(songs / "pipe.mid")
    options = replace(OPTIONS, windows=WindowOptions(get_config(config)), seconds=20)
    result = build_dataset(songs, tmp_path / "out.h5", options)
    assert "good.mid" in read_dataset(tmp_path / "out.h5").songs
    found = reasons(tmp_path / "out.h5")
    assert len(found) + result.songs == len(DIRT) + 6
    for name in ("text.mid", "zero.mid", "loop.mid", "nowhere.mid", "pipe.mid", "no division.mid"):
        assert found[name][0] == "unreadable", found[name]
    assert not Counter(reason for reason, _ in found.values()).keys() & {"crashed", "timed out"}
    assert all("\n" not in detail for _, detail in found.values())
