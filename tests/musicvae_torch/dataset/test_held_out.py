"""Data sets of several folders, without near-duplicates of the songs of other splits."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from musicvae_torch.cli.dataset import build_main
from musicvae_torch.config import get_config
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.dataset import DatasetError, read_dataset
from musicvae_torch.dataset.batches import draw_batches, source_of
from musicvae_torch.dataset.build import BuildResult, build_dataset
from musicvae_torch.dataset.options import BuildOptions, WindowOptions
from musicvae_torch.dataset.report import report_path
from musicvae_torch.dataset.shards import ShardStore

TRIO = WindowOptions(get_config("hier-trio_16bar"))
OPTIONS = BuildOptions(TRIO, validation=0, workers=1, progress=False)
NEAR = "near-duplicate of held-out "


def trio(seed: int, bars: int = 48) -> np.ndarray:
    """Tokens of a random trio."""
    rng = np.random.default_rng(seed)
    tokens = np.zeros((bars * 16, 3), np.int16)
    tokens[::2, 0] = rng.integers(40, 60, bars * 8)
    tokens[::4, 1] = rng.integers(14, 30, bars * 4)
    tokens[::2, 2] = rng.integers(1, 16, bars * 8)
    return tokens


def moved(tokens: np.ndarray, semitones: int) -> np.ndarray:
    other = tokens.copy()
    other[:, :2] += np.where(other[:, :2] > 1, semitones, 0).astype(np.int16)
    return other


def write(path: Path, tokens: np.ndarray, qpm: float = 120) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    get_converter("hier-trio_16bar").from_tokens(tokens, qpm).write(str(path))
    return path


def songs(folder: Path, seeds: range) -> Path:
    for seed in seeds:
        write(folder / f"{seed}.mid", trio(seed))
    return folder


def report(out: Path) -> dict[str, tuple[str, str]]:
    with report_path(out).open(encoding="utf-8", newline="") as file:
        return {row["path"]: (row["reason"], row["detail"]) for row in csv.DictReader(file)}


def build(out: Path, *folders: Path, held: tuple[Path, ...] = (), **options: Any) -> BuildResult:
    chosen = replace(OPTIONS, held_out=held, **options)
    return build_dataset(folders, out, chosen)


def unrelated(folder: Path) -> Path:
    return songs(folder, range(100, 104))


VARIANTS = {
    "same": trio(1),
    "other key": moved(trio(1), 5),
    "excerpt": trio(1)[16 * 16 : 32 * 16],
    "longer": np.concatenate([trio(1), trio(50)]),
    "other bass and drums": np.stack([trio(1)[:, 0], trio(2)[:, 1], trio(3)[:, 2]], 1),
}


@pytest.mark.parametrize("qpm", [120, 83])
@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("packed", [False, True])
def test_near_duplicates_of_held_out_songs_are_left_out(
    tmp_path: Path, name: str, qpm: float, packed: bool
) -> None:
    folder, held = unrelated(tmp_path / "train"), tmp_path / "test"
    write(folder / "near.mid", VARIANTS[name], qpm)
    write(held / "deep" / "a.mid", trio(1))
    write(held / "b.mid", trio(9))
    if packed:
        build(tmp_path / "test.h5", held)
        held = tmp_path / "test.h5"
    result = build(tmp_path / "out.h5", folder, held=(held,))
    found = report(tmp_path / "out.h5")
    assert found.keys() == {"near.mid"}
    reason, detail = found["near.mid"]
    assert reason == NEAR + held.name and detail.startswith("of deep/a.mid (")
    assert read_dataset(tmp_path / "out.h5").songs == [f"{n}.mid" for n in range(100, 104)]
    (split,) = result.held_out
    assert (split.label, split.songs, split.near_duplicates) == (held.name, 2, 1)
    assert (split.unread, split.plain) == (0, 0)


def test_another_split_is_named_by_each_song(tmp_path: Path) -> None:
    folder = songs(tmp_path / "train", range(6))
    splits = (songs(tmp_path / "validation", range(1)), songs(tmp_path / "test", range(1, 3)))
    build(tmp_path / "out.h5", folder, held=splits)
    assert Counter(reason for reason, _ in report(tmp_path / "out.h5").values()) == {
        f"{NEAR}validation": 1,
        f"{NEAR}test": 2,
    }


def test_the_same_file_is_known_however_plain(tmp_path: Path) -> None:
    plain = np.zeros((256, 3), np.int16)
    plain[::16] = [40, 20, 1]
    folder, held = unrelated(tmp_path / "train"), unrelated(tmp_path / "other")
    for number in range(100, 104):
        (held / f"{number}.mid").unlink()
    for name in ("train", "other"):
        write(tmp_path / name / "plain.mid", plain)
    write(folder / "plain too.mid", plain, 90)
    (held / "text.mid").write_text("la la la\n")
    (split,) = build(tmp_path / "out.h5", folder, held=(held,)).held_out
    assert report(tmp_path / "out.h5") == {
        "plain.mid": (f"{NEAR}other", "of plain.mid (the same file)")
    }
    assert (split.songs, split.unread, split.plain) == (2, 1, 1)


def test_keep_duplicates_keeps_none_of_held_out_songs(tmp_path: Path) -> None:
    folder, held = songs(tmp_path / "train", range(3)), songs(tmp_path / "test", range(1))
    write(folder / "0 again.mid", moved(trio(0), 2))
    write(folder / "1 again.mid", moved(trio(1), 2))
    build(tmp_path / "out.h5", folder, held=(held,), keep_duplicates=True)
    assert read_dataset(tmp_path / "out.h5").songs == ["1 again.mid", "1.mid", "2.mid"]


def test_drums_are_compared_by_their_drums(tmp_path: Path) -> None:
    windows = WindowOptions(get_config("cat-drums_2bar_small"))
    folder, held = unrelated(tmp_path / "train"), tmp_path / "test"
    other = trio(7)
    other[:, 2] = trio(1)[:, 2]
    write(folder / "same drums.mid", other, 90)
    write(folder / "same tune.mid", np.stack([*trio(1)[:, :2].T, trio(8)[:, 2]], 1))
    write(held / "a.mid", trio(1))
    build(tmp_path / "test.h5", held, windows=windows)
    for split in (held, tmp_path / "test.h5"):
        build(tmp_path / "out.h5", folder, held=(split,), windows=windows)
        assert report(tmp_path / "out.h5").keys() == {"same drums.mid"}


@pytest.mark.parametrize(
    "config", ["cat-mel_2bar_small", "groovae_2bar_humanize", "hier-multiperf_vel_1bar_med"]
)
def test_packed_splits_of_other_configs(tmp_path: Path, config: str) -> None:
    drums = config.startswith("groovae")
    windows = WindowOptions(get_config(config), drums_only=drums)
    folder, held = unrelated(tmp_path / "train"), tmp_path / "test"
    write(folder / "near.mid", moved(trio(1), 0 if drums else 3))
    write(held / "a.mid", trio(1))
    build(tmp_path / "test.h5", held, windows=windows)
    build(tmp_path / "out.h5", folder, held=(tmp_path / "test.h5",), windows=windows)
    assert report(tmp_path / "out.h5").keys() == {"near.mid"}


def test_overlapping_windows_and_copies_in_other_keys_are_unpacked(tmp_path: Path) -> None:
    windows = replace(TRIO, hop_bars=4, transpositions=2)
    folder, held = unrelated(tmp_path / "train"), tmp_path / "test"
    write(folder / "near.mid", trio(1)[16 * 16 : 32 * 16])
    write(held / "a.mid", trio(1))
    build(tmp_path / "test.h5", held, windows=windows)
    build(tmp_path / "out.h5", folder, held=(tmp_path / "test.h5",))
    assert report(tmp_path / "out.h5").keys() == {"near.mid"}


def test_songs_of_several_folders_are_told_apart(tmp_path: Path) -> None:
    one, other = songs(tmp_path / "a" / "train" / "jazz", range(3)), tmp_path / "b" / "train"
    songs(other, range(3, 5))
    songs(other / "jazz", range(5, 6))
    result = build(tmp_path / "out.h5", other, one.parent)
    names = read_dataset(tmp_path / "out.h5").songs
    assert names == [
        *(f"a/train//jazz/{n}.mid" for n in range(3)),
        *(f"b/train//{n}.mid" for n in (3, 4)),
        "b/train//jazz/5.mid",
    ]
    assert [source_of(name) for name in names] == [
        *["a/train/jazz"] * 3,
        *["b/train"] * 2,
        "b/train/jazz",
    ]
    # The order in which folders are named changes nothing.
    again = build(tmp_path / "out.h5", one.parent, other)
    assert result.songs == 6 and again.report is None


def test_sources_are_drawn_alike(tmp_path: Path) -> None:
    large, small = songs(tmp_path / "large", range(8)), songs(tmp_path / "small", range(8, 10))
    build(tmp_path / "out.h5", large, small)
    windows = read_dataset(tmp_path / "out.h5")
    picks, _ = next(draw_batches(windows, 2000, 0, draw="sources", temper=0))
    drawn = Counter(source_of(windows.songs[song]) for song in windows.song[picks])
    assert abs(drawn["small"] - 1000) < 150 and set(drawn) == {"large", "small"}


@pytest.mark.parametrize("keep", [False, True])
def test_the_same_file_in_two_folders_counts_once(tmp_path: Path, keep: bool) -> None:
    one, other = songs(tmp_path / "one", range(3)), songs(tmp_path / "other", range(2, 4))
    write(one / "again.mid", trio(0))
    build(tmp_path / "out.h5", one, other, keep_duplicates=keep)
    found = {"other//2.mid": ("duplicate", "of one//2.mid")}
    if not keep:
        found["one//again.mid"] = ("duplicate", "of one//0.mid")
    assert report(tmp_path / "out.h5") == found


@pytest.mark.parametrize("folders", [["all/one", "all/other"], ["all"]])
def test_no_song_to_train_on_is_near_one_to_validate_on(tmp_path: Path, folders: list[str]) -> None:
    """Two arrangements of a tune, in one folder or two, in which a third of the phrases are alike:
    no copies."""
    one, other = tmp_path / "all/one", tmp_path / "all/other"
    named = [tmp_path / folder for folder in folders]
    for seed in range(12):
        write(one / f"{seed}.mid", np.concatenate([trio(seed, 16), trio(seed + 100)]))
        write(other / f"{seed}.mid", np.concatenate([trio(seed + 200), moved(trio(seed, 16), 3)]))
    result = build(tmp_path / "out.h5", *named, validation=0.3)
    sides = [read_dataset(tmp_path / "out.h5", split) for split in ("train", "validation")]
    tunes = [{Path(name).stem for name in side.songs} for side in sides]
    assert tunes[0] and tunes[1] and not tunes[0] & tunes[1]
    assert result.validation == len(sides[1].songs)
    reasons = {reason for reason, _ in report(tmp_path / "out.h5").values()}
    assert reasons == {"near-duplicate of a validation song"}
    # Without a split each stays.
    assert build(tmp_path / "whole.h5", *named).songs == 24


@pytest.mark.slow
def test_a_stopped_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, held = songs(tmp_path / "train", range(70)), songs(tmp_path / "test", range(2))
    write_part, out = ShardStore.write, tmp_path / "out.h5"

    def stop(store: ShardStore, number: int, outcomes: object) -> None:
        if number:
            raise KeyboardInterrupt
        write_part(store, number, outcomes)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(ShardStore, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            build(out, folder, held=(held,))
    # Parts know nothing of what is held out, but phrases they must have.
    with pytest.raises(DatasetError, match="had other options"):
        build(out, folder)
    songs(held, range(2, 3))
    part = tmp_path / "out.h5.parts" / "000000.npz"
    before = part.stat().st_mtime_ns
    with monkeypatch.context() as patched:
        patched.setattr(ShardStore, "remove", lambda _: None)
        result = build(out, folder, held=(held,))
    assert part.stat().st_mtime_ns == before
    assert result.songs == 67 and result.held_out[0].near_duplicates == 3


def test_a_data_set_is_made_anew_when_what_is_held_out_changes(tmp_path: Path) -> None:
    folder, held = songs(tmp_path / "train", range(5)), songs(tmp_path / "test", range(1))
    out = tmp_path / "out.h5"
    assert build(out, folder, held=(held,)).songs == 4
    assert build(out, folder, held=(held,)).report is None
    songs(held, range(1, 2))
    assert build(out, folder, held=(held,)).songs == 3
    assert build(out, folder).songs == 5


@pytest.mark.parametrize("keep", [False, True])
def test_folders_without_a_song_are_refused_as_before(tmp_path: Path, keep: bool) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text.mid").write_text("la la la\n")
    held = songs(tmp_path / "test", range(1))
    with pytest.raises(DatasetError) as caught:
        build(
            *(tmp_path / name for name in ("out.h5", "a", "b")),
            held=(held,),
            keep_duplicates=keep,
            validation=0.5,
        )
    assert str(caught.value) == (
        f"{tmp_path / 'a'}, {tmp_path / 'b'}: 2 MIDI files, but no window of hier-trio_16bar in "
        "any (2 unreadable)"
    )


def test_the_file_says_what_it_was_made_of(tmp_path: Path) -> None:
    folders = (songs(tmp_path / "a", range(2)), songs(tmp_path / "b", range(2, 4)))
    held = songs(tmp_path / "test", range(4, 5))
    build(tmp_path / "out.h5", *folders, held=(held,))
    with h5py.File(tmp_path / "out.h5") as file:
        assert '"folders": ["a", "b"], "held_out": ["test"]' in file.attrs["options"]


def bad(tmp_path: Path, capsys: pytest.CaptureFixture[str], *line: str) -> str:
    arguments = [word.replace("DIR", str(tmp_path)) for word in line]
    assert build_main([*arguments, "-o", str(tmp_path / "out.h5"), "--workers", "1"]) == 2
    (message,) = capsys.readouterr().err.splitlines()
    return message.replace(str(tmp_path), "DIR")


def test_bad_input_is_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    songs(tmp_path / "a" / "sub", range(2))
    songs(tmp_path / "b", range(2, 3))
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.h5").write_text("la la la\n")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/one.mid").write_bytes(b"la la la")
    windows = WindowOptions(get_config("cat-mel_2bar_small"))
    build(tmp_path / "melodies.h5", tmp_path / "b", windows=windows)
    for words, expected in [
        ("DIR/a DIR/none", "DIR/none: no such folder; name one that holds MIDI files"),
        ("DIR/a DIR/text.h5", "DIR/text.h5: is no folder; name the one that holds the MIDI files"),
        ("DIR/a DIR/empty", "DIR/empty: no MIDI file (.mid, .midi, .kar, .rmi, .smf) at any depth"),
        ("DIR/a DIR/b/../a", "DIR/b/../a: is named twice; name it once"),
        ("DIR/a/sub DIR/a", "DIR/a/sub: lies in DIR/a, which is named too, "),
        ("DIR/a --held-out DIR/a", "DIR/a: is both to be trained on and held out; "),
        ("DIR/a --held-out DIR/a/sub", "DIR/a/sub: lies in DIR/a, which is named too, "),
        ("DIR/a --held-out DIR/b DIR/b", "DIR/b: is named twice; name it once"),
        ("DIR/a --held-out DIR/none", "DIR/none: no such folder or data set; hold out a folder "),
        ("DIR/a --held-out DIR/empty", "DIR/empty: no MIDI file (.mid, .midi, .kar, .rmi, .smf) "),
        ("DIR/a --held-out DIR/bad", "DIR/bad: none of its 1 MIDI files can be read, so nothing "),
        (
            "DIR/a --held-out DIR/bad/one.mid",
            "DIR/bad/one.mid: is one MIDI file; hold out the fold",
        ),
        ("DIR/a --held-out DIR/text.h5", "DIR/text.h5: not a data set of build-dataset ("),
        (
            "DIR/a --held-out DIR/melodies.h5",
            "DIR/melodies.h5: holds windows of cat-mel_2bar_small, which cannot be compared with "
            "those of hier-trio_16bar; hold out a data set of that config, or the folder of MIDI "
            "files that this one was made of",
        ),
    ]:
        message = bad(tmp_path, capsys, *words.split())
        assert message.startswith(f"build-dataset: {expected}"), message
    assert not (tmp_path / "out.h5.parts").exists()
    build(tmp_path / "out.h5", tmp_path / "b")
    before = (tmp_path / "out.h5").read_bytes()
    message = bad(tmp_path, capsys, "DIR/a", "--held-out", "DIR/out.h5")
    assert (
        message
        == "build-dataset: DIR/out.h5: is held out, and cannot be written; choose another name"
    )
    assert (tmp_path / "out.h5").read_bytes() == before


def test_duplicate_share_is_of_use_with_keep_duplicates_where_songs_are_held_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    songs(tmp_path / "a", range(2))
    songs(tmp_path / "b", range(1))
    line = [str(tmp_path / "a"), "-o", str(tmp_path / "out.h5"), "--workers", "1"]
    line += ["--validation", "0", "--keep-duplicates", "--duplicate-share", "0.4"]
    assert build_main(line) == 2
    assert "leave one of the two out" in capsys.readouterr().err
    assert build_main([*line, "--held-out", str(tmp_path / "b")]) == 0


def test_the_command_says_how_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seeds in {
        "a": range(3),
        "b": range(3, 6),
        "test": range(2),
        "old": range(9, 10),
    }.items():
        songs(tmp_path / name, seeds)
    line = [str(tmp_path / name) for name in ("a", "b")]
    line += ["-o", str(tmp_path / "out.h5"), "--validation", "0", "--workers", "1", "--held-out"]
    assert build_main([*line, *(str(tmp_path / name) for name in ("test", "old"))]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"left out: 2 files: {NEAR}test",
        "held out: test: 2 songs; 2 files left out as near-duplicates of them",
        "held out: old: 1 songs; 0 files left out as near-duplicates of them",
        f"{tmp_path / 'out.report.csv'}: which files, and more on why",
    ]
