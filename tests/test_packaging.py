"""The built wheel is whole: it carries the default weights and finds them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from fresh_python import run_python
from paths import ROOT

from musicvae_torch import __version__


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_contents(unpacked: Path) -> None:
    tops = {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"musicvae_torch", "surrogate", "convert_weights"}
    shipped = {path.name for path in (ROOT / "checkpoints").iterdir() if path.is_dir()}
    home = unpacked / "musicvae_torch/checkpoints"
    packed = {path.name for path in home.iterdir() if path.is_dir()}
    assert shipped == packed != set()
    parts = {path.name for path in (unpacked / "surrogate/render").glob("*.[hcj]*")}
    scripts = {"page.js", "page_elements.js", "page_roll.js", "page_sound.js"}
    assert parts == {"frame.html", "page.html", "page.css", *scripts}
    parts = {path.name for path in (unpacked / "surrogate/evaluation/listening").glob("*.[hcj]*")}
    assert parts == {"test.html", "test.css", "session.js", "screens.js"}


def test_the_version_is_the_package_s_own(unpacked: Path) -> None:
    (metadata,) = unpacked.glob("*.dist-info/METADATA")
    assert f"\nVersion: {__version__}\n" in metadata.read_text(encoding="utf-8")


def test_an_installed_wheel_plays(unpacked: Path, tmp_path: Path) -> None:
    script = (
        "import musicvae_torch, surrogate; print(musicvae_torch.__file__); "
        f"print(len(surrogate.accompany({str(ROOT / 'examples/saints.mid')!r}).instruments))"
    )
    done = run_python(script, folder=tmp_path, PYTHONPATH=str(unpacked))
    assert done.returncode == 0, done.stderr
    where, tracks = done.stdout.split()
    assert Path(where).is_relative_to(unpacked) and tracks == "3"


def test_grooves_of_an_installed_wheel(unpacked: Path, tmp_path: Path) -> None:
    script = (
        "from musicvae_torch.latent import add_hats, humanise, tap_to_drums; "
        f"drums = {str(ROOT / 'tests/golden/groove_converter/straight.mid')!r}; "
        "print(*(make(drums).hits > 20 for make in (humanise, tap_to_drums, add_hats)))"
    )
    done = run_python(script, folder=tmp_path, PYTHONPATH=str(unpacked))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"] * 3
