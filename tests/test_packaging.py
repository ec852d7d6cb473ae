"""The wheel and the sdist are whole, the wheel finds the weights that it carries, and one command
of pip installs all that a musician needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from fresh_python import run_python
from paths import ROOT
from printed_commands import project

from musicvae_torch import __version__
from surrogate.render.page import SCRIPTS


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def unpacked(dist: Path) -> Path:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(dist / "site")
    return dist / "site"


def test_twine_takes_both(dist: Path) -> None:
    files = [*dist.glob("*.whl"), *dist.glob("*.tar.gz")]
    assert len(files) == 2
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


def test_the_app_is_one_install() -> None:
    """Its extra names all that it imports, and no page has an option of pip's for it."""
    extras = project()["project"]["optional-dependencies"]
    assert extras["app"][0] == "musicvae-torch[plot,audio,scores]"
    names = {line.partition(">")[0] for name in ("audio", "scores") for line in extras[name]}
    assert names == {"midirenderer", "soundfile", "music21"}
    pages = [ROOT / "README.md", ROOT / "Makefile", *(ROOT / "docs").rglob("*.md")]
    assert not [page for page in pages if "--no-deps" in page.read_text(encoding="utf-8")]


def test_uv_takes_torch_for_cpus_on_linux() -> None:
    """From an index that it asks for nothing else."""
    uv = project()["tool"]["uv"]
    source, (index,) = uv["sources"]["torch"], uv["index"]
    assert source == {"index": index["name"], "marker": "sys_platform == 'linux'"}
    assert index["explicit"] and index["url"] == "https://download.pytorch.org/whl/cpu"


def test_contents(unpacked: Path) -> None:
    tops = {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"musicvae_torch", "surrogate", "convert_weights"}
    shipped = {path.name for path in (ROOT / "checkpoints").iterdir() if path.is_dir()}
    home = unpacked / "musicvae_torch/checkpoints"
    packed = {path.name for path in home.iterdir() if path.is_dir()}
    assert shipped == packed != set()
    parts = {path.name for path in (unpacked / "surrogate/render").glob("*.[hcj]*")}
    assert parts == {"frame.html", "page.html", "page.css", *SCRIPTS}
    parts = {path.name for path in (unpacked / "surrogate/evaluation/listening").glob("*.[hcj]*")}
    assert parts == {"test.html", "test.css", "session.js", "screens.js"}


def test_the_version_is_the_package_s_own(unpacked: Path) -> None:
    (metadata,) = unpacked.glob("*.dist-info/METADATA")
    assert f"\nVersion: {__version__}\n" in metadata.read_text(encoding="utf-8")


def test_an_installed_wheel_plays(unpacked: Path, tmp_path: Path) -> None:
    script = (
        "import musicvae_torch, surrogate; print(musicvae_torch.__file__); "
        f"song = surrogate.accompany({str(ROOT / 'examples/saints.mid')!r}); "
        "print(len(song.instruments)); "
        "print(len({hit.velocity for hit in song.instruments[2].notes}))"
    )
    done = run_python(script, folder=tmp_path, PYTHONPATH=str(unpacked))
    assert done.returncode == 0, done.stderr
    where, tracks, velocities = done.stdout.split()
    assert Path(where).is_relative_to(unpacked) and tracks == "3"
    assert int(velocities) > 16  # a drummer's


def test_grooves_of_an_installed_wheel(unpacked: Path, tmp_path: Path) -> None:
    script = (
        "from musicvae_torch.latent import add_hats, humanise, tap_to_drums; "
        f"drums = {str(ROOT / 'tests/golden/groove_converter/straight.mid')!r}; "
        "print(*(make(drums).hits > 20 for make in (humanise, tap_to_drums, add_hats)))"
    )
    done = run_python(script, folder=tmp_path, PYTHONPATH=str(unpacked))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"] * 3
