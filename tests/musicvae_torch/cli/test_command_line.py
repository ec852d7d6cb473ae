"""Pipes that close, and options that would do nothing."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_up import tiny
from paths import ROOT

from musicvae_torch.cli.command_line import Idle, refuse_idle
from musicvae_torch.errors import OptionError
from musicvae_torch.model.vae import MusicVAE

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]


def unread(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command whose standard output nobody reads."""
    read, write = os.pipe()
    os.close(read)
    try:
        return run(command, folder, write, **environment)
    finally:
        os.close(write)


def run(
    command: str, folder: Path, output: int, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    name, *arguments = shlex.split(command)
    module, function = SCRIPTS[name].split(":")
    script = f"import sys; from {module} import {function} as main; sys.exit(main())"
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        stdout=output,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={**inherited, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment},
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_that_nobody_reads(name: str, tmp_path: Path) -> None:
    done = unread(f"{name} --help", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipes")
    shutil.copy(ROOT / "examples/saints.mid", folder / "tune.mid")
    (folder / "midi").mkdir()
    shutil.copy(ROOT / "tests/golden/trio_converter/plain.mid", folder / "midi")
    MusicVAE(tiny("hier-trio_16bar")).save_pretrained(folder / "my_trio")
    return folder


@pytest.mark.parametrize(
    ("command", "made"),
    [
        ("accompany tune.mid -o band.mid", "band.mid"),
        ("accompany tune.mid --list-tracks", ""),
        ("musicvae sample -n 1 -o sample.mid", "sample.mid"),
        # Which says something before it writes.
        ("musicvae interpolate midi/plain.mid midi/plain.mid --steps 2 -o x.mid", "x.mid"),
        ("build-dataset midi -o data.h5 --workers 1 --validation 0", "data.h5"),
        ("evaluate-musicvae my_trio midi", ""),
        ("export-onnx my_trio -o onnx", "onnx/manifest.json"),
        ("convert-weights --download list", ""),
    ],
)
def test_work_that_nobody_reads_of(command: str, made: str, folder: Path) -> None:
    """All of it is done, and none of it is an error."""
    check_work(command, made, folder)


@pytest.mark.parametrize(
    ("command", "made"),
    [
        ("accompany tune.mid --list-tracks", ""),
        ("musicvae interpolate midi/plain.mid midi/plain.mid --steps 2 -o y.mid", "y.mid"),
        ("build-dataset midi -o other.h5 --workers 1 --validation 0", "other.h5"),
    ],
)
def test_the_same_without_a_buffer(command: str, made: str, folder: Path) -> None:
    """Then a line fails at once, also one before the work, and not when all is done."""
    check_work(command, made, folder, PYTHONUNBUFFERED="1")


def check_work(command: str, made: str, folder: Path, **environment: str) -> None:
    done = unread(command, folder, **environment)
    complaints = [line for line in done.stderr.splitlines() if b"batch" not in line]
    assert (done.returncode, complaints) == (0, [])
    assert (folder / made).exists()


def test_an_error_that_nobody_reads_stays_one(tmp_path: Path) -> None:
    done = unread("accompany nowhere.mid -o o.mid", tmp_path)
    assert done.returncode == 2
    assert done.stderr == b"accompany: nowhere.mid: no such file\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "command", ["accompany tune.mid --list-tracks", "convert-weights --download list"]
)
def test_what_cannot_be_written(command: str, folder: Path) -> None:
    """A full disk is an error, told in one line."""
    with Path("/dev/full").open("wb") as full:
        done = run(command, folder, full.fileno())
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 2
    assert len(lines) == 1 and "No space left on device" in lines[0]


def refusals() -> list[tuple[str, str]]:
    accompany = "accompany tune.mid -o o.mid"
    folder = "accompany midi -o o"
    train = "train-musicvae data.h5 -o o"
    surrogate = "train-surrogate data.h5 -o o --musicvae my_trio"
    interpolate = "musicvae interpolate tune.mid --list-windows"
    build = "build-dataset midi -o data.h5"
    return [
        (accompany, "--soundfont s.sf2"),
        ("accompany tune.mid -o o --write mid,svg", "--soundfont s.sf2"),
        (folder, "--soundfont s.sf2"),
        (accompany, "--variety 0.7"),
        (f"{accompany} --candidates 2 --method refine", "--variety 1"),
        (accompany, "--resume"),
        (f"{accompany} --method refine-only", "--surrogate my_surrogate"),
        (f"{accompany} --given melody,bass", "--chords C"),
        (f"{accompany} --given melody,bass", "--harmony all"),
        (f"{accompany} --method surrogate --harmony off", "--chords C"),
        (f"{accompany} --method surrogate", "--top-p 0.9"),
        (f"{accompany} --musicvae my_trio", "--style other.mid"),
        (f"{accompany} --method refine", "--band my_band"),
        ("accompany-app --method surrogate", "--band my_band"),
        (f"{accompany} --given melody,drums", "--groove my_groove"),
        (f"{accompany} --given bass,drums", "--rests"),
        (f"{accompany} --given melody,bass", "--temperature bass=0.5"),
        ("accompany tune.mid --list-tracks", "--out o.mid"),
        ("accompany tune.mid --list-tracks", "--density 1"),
        ("accompany-app --method refine-only", "--surrogate my_surrogate"),
        ("musicvae sample -o o --chords C", "--hits tune.mid"),
        ("musicvae reconstruct tune.mid", "--seed 0"),
        ("musicvae interpolate tune.mid tune.mid -o o --temperature 0", "--seed 1"),
        (interpolate, "--out o"),
        (interpolate, "--loop"),
        (interpolate, "--steps 5"),
        (interpolate, "--window 1,2"),
        ("musicvae attribute tune.mid --move swing=1 -o o.mid --temperature 0", "--seed 2"),
        ("musicvae groove humanise tune.mid --musicvae g -o o.mid", "--temperature 0.5"),
        ("musicvae groove humanise tune.mid --musicvae g -o o.mid", "--seed 1"),
        (build, "--max-shift 5"),
        (f"{build} --keep-duplicates", "--duplicate-share 0.5"),
        (build, "--device cpu"),
        (build, "--devices 1"),
        (train, "--muon-learning-rate 0.006"),
        (f"{train} --schedule cosine", "--decay-rate 0.9999"),
        (train, "--temper 0.5"),
        (f"{train} --device cuda", "--fuse"),
        (f"{train} --init my_trio", "--start magenta"),
        (surrogate, "--muon-learning-rate 0.006"),
        (surrogate, "--decode-from mean"),
        (f"{surrogate} --epochs 1", "--steps 20000"),
        (f"{surrogate} --model point", "--optimizer adam"),
        ("evaluate-musicvae my_trio midi", "--split all"),
        ("evaluate-accompaniment --against midi", "--given melody"),
        ("evaluate-accompaniment --against midi", "--max-windows 8"),
        ("listening-test --votes votes.json", "--out test.html"),
        ("listening-test --votes votes.json", "--pairs 8"),
        ("learn-attributes data.h5 --musicvae my_trio", "--measure-windows 100"),
        ("learn-attributes data.h5 --musicvae my_trio", "--temperature 0.5"),
        ("convert-weights --download list", "--out o"),
        ("convert-weights my_trio --list", "--config hier-trio_16bar"),
    ]


def main_of(name: str) -> Callable[[list[str]], int]:
    module, function = SCRIPTS[name].split(":")
    main: Callable[[list[str]], int] = getattr(import_module(module), function)
    return main


@pytest.mark.parametrize(("command", "option"), refusals())
def test_options_that_would_do_nothing(
    command: str,
    option: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also where what they say is the default, which they may be mistaken for."""
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    name, *arguments = shlex.split(f"{command} {option}")
    try:
        status = main_of(name)(arguments)
    except SystemExit as error:
        status = int(error.code or 0)
    said = capsys.readouterr().err
    assert status == 2 and len(said.splitlines()) == 1
    assert option.split(maxsplit=1)[0] in said and "leave" in said
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "command",
    [
        "accompany midi/plain.mid -o o.mid --candidates 2 --variety 1 --given melody,drums "
        "--chords C --temperature bass=0.2 --rests",
        "accompany midi -o bands --resume --write mid,svg",
        "accompany tune.mid --list-tracks --melody 0",
        "musicvae reconstruct midi/plain.mid --temperature 1 --seed 2",
        "musicvae interpolate midi/plain.mid --list-windows --tracks 0,1,2",
    ],
)
def test_options_that_do_something(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    name, *arguments = shlex.split(command)
    assert main_of(name)(arguments) == 0


def test_options_are_refused_by_name() -> None:
    values = SimpleNamespace(loop=False)
    idle = [Idle("--loop", lambda own: not own.loop, ""), Idle("-n", lambda own: own.loop, "")]
    refuse_idle(["-n", "--out"], values, idle)
    with pytest.raises(OptionError, match=r"^-n, --out: leave them out$"):
        refuse_idle(["-n", "--out"], values, [Idle("-n --out", lambda _: True, "leave them out")])
    with pytest.raises(OptionError, match=r"^--color: no$"):
        refuse_idle(["-n", "--color"], values, [Idle("but -n --out", lambda _: True, "no")])
