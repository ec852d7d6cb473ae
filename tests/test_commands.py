"""The commands as a shell runs them, and how they refuse what they cannot do."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT
from printed_commands import commands, project


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_demo_as_make_runs_it(tmp_path: Path) -> None:
    recipe = run(["make", "--dry-run", "--old-file=.venv/.ready", "demo"], ROOT)
    line = next(line for line in recipe.stdout.splitlines() if "accompany" in line)
    words = shlex.split(line)
    words[0] = "accompany"
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = run(words, tmp_path)
    assert done.returncode == 0, done.stderr
    made = {path.name for path in (tmp_path / "out").iterdir()}
    bands = ("korobeiniki.mid", "korobeiniki_2.mid", "korobeiniki_3.mid")
    assert made == {*bands, "korobeiniki.png", "korobeiniki.wav", "korobeiniki.html"}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("accompany nowhere.mid -o o.mid", "accompany: nowhere.mid: no such file"),
        ("accompany text.mid -o o.mid", "accompany: text.mid: not readable as a MIDI file"),
        ("accompany cut.mid -o o.mid", "accompany: cut.mid: not readable as a MIDI file"),
        ("accompany tune.mid -o o.mid --melody 5", "accompany: tune.mid: "),
        ("accompany tune.mid -o o.mid --write mid", "accompany: --write mid wants a folder"),
        ("accompany tune.mid -o text.mid/x/o.mid", "accompany: text.mid/x/o.mid: cannot be wr"),
        ("accompany tune.mid -o o.wav", "accompany: o.wav: -o writes a .mid, a .musicxml, or a f"),
        ("accompany . -o o.PNG", "accompany: o.PNG: -o writes a .mid, a .musicxml, or a folder; "),
        ("accompany tune.mid -o tune.mid", "accompany: tune.mid: is the song itself"),
        ("accompany tune.mid -o .", "accompany: tune.mid: is the song itself"),
        ("accompany t_2.mid -o t.mid --candidates 2", "accompany: t_2.mid: is the song itself"),
        ("accompany . -o .", "accompany: .: is the folder of the songs itself"),
        ("accompany empty", "accompany: empty: is a folder; say where its results go: -o FOLDER"),
        ("accompany tune.mid -o o.mid --stems", "accompany: --stems wants a folder: -o FOLDER"),
        (
            "accompany tune.mid -o o.mid --score o.pdf",
            "accompany: o.pdf: not the name of a MusicXML file; ",
        ),
        ("accompany . -o o --score o.musicxml", "accompany: --score: . is a folder; use --write "),
        ("accompany . -o o --play", "accompany: --play: . is a folder; use --write mid,html"),
        ("accompany text.abc -o o.mid", "accompany: text.abc: not readable as ABC"),
        ("accompany text.musicxml --list-tracks", "accompany: text.musicxml: not readable as Mus"),
        ("accompany text.mxl -o text.mxl", "accompany: text.mxl: is the song itself"),
        ("accompany . -o . --resume", "accompany: .: is the folder of the songs itself"),
        ("accompany tune.mid -o o --write wav --soundfont text.mid", "accompany: text.mid: not r"),
        ("accompany tune.mid -o o.rmi", "accompany: o.rmi: is a RIFF file; name a .mid"),
        ("musicvae sample -o o.RMI", "musicvae sample: o.RMI: is a RIFF file; name a .mid"),
        ("musicvae reconstruct tune.mid -o o.rmi", "musicvae reconstruct: o.rmi: is a RIFF file"),
        ("musicvae interpolate tune.mid -o o.rmi", "musicvae interpolate: o.rmi: is a RIFF file"),
        ("musicvae groove hats tune.mid -o o.wav", "musicvae groove: o.wav: the result is a MIDI"),
        (
            "musicvae sample -o o.png",
            "musicvae sample: o.png: the result is a MIDI file; name a .mid",
        ),
        (
            "musicvae attribute tune.mid --move swing=1 -o o.rmi",
            "musicvae attribute: o.rmi: is a RIFF file",
        ),
        (
            "musicvae groove hats tune.mid --musicvae empty -o o.rmi",
            "musicvae groove: o.rmi: is a RIFF file",
        ),
        ("accompany empty -o o.mid", "accompany: o.mid: empty is a folder"),
        ("accompany empty -o o", "accompany: empty: no MIDI file (.mid, .midi, .kar, .rmi, .smf)"),
        ("accompany tune.mid -o o.mid --given kazoo", "accompany: given must be some of melody"),
        ("accompany tune.mid -o o.mid --given drums", "accompany: tune.mid: drums are given, but"),
        ("accompany tune.mid -o o.mid --chords H7", "accompany: "),
        ("accompany tune.mid -o o.mid --groove empty", "accompany: empty: no checkpoint here"),
        ("accompany tune.mid -o o.mid --pickup 9", "accompany: tune.mid: the pickup must be"),
        ("accompany tune.mid -o o.mid --plot o.doc", "accompany: o.doc: not the name of a picture"),
        (
            "accompany tune.mid -o o.mid --temperature -1",
            "accompany: temperature must be at",
        ),
        ("accompany tune.mid -o o.mid --device tpu9", "accompany: device 'tpu9' cannot be used"),
        ("accompany tune.mid -o o.mid --musicvae .", "accompany: .: no checkpoint here"),
        (
            "evaluate-accompaniment empty",
            "evaluate-accompaniment: empty: no MIDI file (.mid, .midi, .kar, .rmi, .smf)",
        ),
        ("evaluate-accompaniment --against x", "evaluate-accompaniment: x: no such folder"),
        ("listening-test . empty -o o.html", "listening-test: empty: no MIDI file (.mid, .midi, "),
        ("listening-test --votes text.mid", "listening-test: text.mid: not a file of votes; name "),
        (
            "build-dataset empty -o o.h5",
            "build-dataset: empty: no MIDI file (.mid, .midi, ",
        ),
        ("build-dataset empty -o o.h5 --config x", "build-dataset: unknown config 'x'"),
        (
            "build-dataset . -o o.h5 --validation 2",
            "build-dataset: --validation: must be from",
        ),
        ("build-dataset . -o o.h5 --musicvae empty", "build-dataset: empty: no checkpoint here"),
        (
            "build-dataset . -o o.h5 --config cat-mel_2bar_big --hop 2",
            "build-dataset: config 'cat-mel",
        ),
        ("encode-dataset text.mid --musicvae empty", "encode-dataset: empty: no checkpoint here"),
        ("export-dataset text.mid -o o.h5", "export-dataset: text.mid: not a data set"),
        ("export-dataset text.mid -o o.h5 --columns x", "export-dataset: unknown column 'x'"),
        ("import-dataset text.mid -o o.h5", "import-dataset: text.mid: not readable as HDF5"),
        ("evaluate-musicvae empty text.mid", "evaluate-musicvae: empty: no checkpoint here"),
        ("train-musicvae text.mid --validation text.mid -o o", "train-musicvae: text.mid: not a"),
        (
            "train-surrogate t.h5 --validation t.h5 --musicvae nowhere -o o",
            "train-surrogate: nowhere: no checkpoint here",
        ),
        ("train-band text.mid --validation text.mid -o o", "train-band: text.mid: not a data set"),
        ("train-musicvae t.h5 --validation t.h5 -o o --config x", "train-musicvae: unknown config"),
    ],
)
def test_one_line_for_what_cannot_be(
    command: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    name, *words = shlex.split(command)
    assert commands()[name](words) == 2
    said = capfd.readouterr().err
    assert said.startswith(message), said
    assert len(said.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "command",
    [
        "accompany text.mid -o o.mid",
        "build-dataset empty -o o.h5",
        "train-musicvae text.mid --validation text.mid -o o",
    ],
)
def test_one_line_is_all_that_a_shell_shows(command: str, tmp_path: Path) -> None:
    """No library that starts with the program adds to it."""
    lay_out(tmp_path)
    done = run(shlex.split(command), tmp_path)
    assert done.returncode == 2 and not done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr


def lay_out(folder: Path) -> None:
    """Songs, two that are none, and an empty folder."""
    shutil.copy(ROOT / "examples/saints.mid", folder / "tune.mid")
    shutil.copy(ROOT / "examples/saints.mid", folder / "t_2.mid")
    for ending in ("mid", "abc", "musicxml", "mxl"):
        (folder / f"text.{ending}").write_text("no MIDI at all")
    (folder / "cut.mid").write_bytes((ROOT / "examples/saints.mid").read_bytes()[:20])
    (folder / "empty").mkdir()


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples/saints.mid", tmp_path / "tune.mid")
    script = (
        "import sys; sys.modules['matplotlib'] = None; "
        "from surrogate.cli.accompany import main; "
        "sys.exit(main(['tune.mid', '-o', 'o.mid', '--plot', 'o.png']))"
    )
    done = run([sys.executable, "-c", script], tmp_path)
    assert done.returncode == 2
    assert "pip install 'musicvae-torch[plot]'" in done.stderr
    assert not (tmp_path / "o.mid").exists()


def test_a_folder_of_songs(tmp_path: Path) -> None:
    songs = tmp_path / "songs"
    (songs / "more").mkdir(parents=True)
    shutil.copy(ROOT / "examples/saints.mid", songs)
    shutil.copy(ROOT / "examples/jingle_bells.mid", songs / "more")
    (songs / "broken.mid").write_text("no MIDI at all")
    done = run(shlex.split("accompany songs -o out --write mid,svg"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("left out: songs/broken.mid: not readable")
    assert done.stdout.splitlines()[-1] == "2 accompanied, 1 left out"
    made = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    stems = ("saints", "more/jingle_bells")
    assert made == {f"{stem}.{ending}" for stem in stems for ending in ("mid", "svg")}
    (tmp_path / "out/saints.mid").unlink()
    done = run(shlex.split("accompany songs -o out --resume"), tmp_path)
    assert done.stdout.splitlines()[-1] == "1 accompanied, 1 there already, 1 left out"
    done = run(shlex.split("accompany songs/broken.mid -o out"), tmp_path)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


def test_results_beside_and_among_the_songs(tmp_path: Path) -> None:
    """No song is lost, no result is another's, and results are no songs the next time."""
    songs = tmp_path / "songs"
    songs.mkdir()
    content = (ROOT / "examples/saints.mid").read_bytes()
    for name in ("a.mid", "a.midi", "a_2.mid"):
        (songs / name).write_bytes(content)
    for _ in range(2):
        done = run(shlex.split("accompany songs -o songs/bands --candidates 2"), tmp_path)
        assert done.returncode == 0 and done.stdout.splitlines()[-1] == "3 accompanied", done.stderr
        made = {path.name for path in (songs / "bands").iterdir()}
        assert made == {
            "a.mid", "a_2.mid", "a.midi.mid", "a.midi_2.mid", "a_2.mid.mid", "a_2.mid_2.mid",
        }  # fmt: skip
    assert all((songs / name).read_bytes() == content for name in ("a.mid", "a.midi", "a_2.mid"))


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    song = os.fsdecode(os.fsencode(tmp_path) + b"/t\xff.mid")
    try:
        shutil.copy(ROOT / "examples/saints.mid", song)
    except OSError:
        pytest.skip("a file system that has none")
    command = ["accompany", song, "-o", "o", "--write", "mid,svg,html"]
    done = run(command, tmp_path, PYTHONIOENCODING="utf-8:strict")  # as in most locales
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "o").iterdir())) == 3


@pytest.mark.parametrize("command", sorted(project()["project"]["scripts"]))
def test_help_needs_no_torch(command: str, tmp_path: Path) -> None:
    """Help is quick because nothing slow is imported for it: here none of that can be."""
    for name in ("torch", "numpy", "lightning", "h5py", "gradio"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')")
    done = run([command, "--help"], tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "example" in done.stdout
