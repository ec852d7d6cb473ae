"""The guide's commands run as printed; help is quick; and what `musicvae inspect` finds."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fresh_python import run_python
from paths import ROOT

from convert_weights.cli import main as convert_weights
from musicvae_torch.cli.latent import main as musicvae
from musicvae_torch.latent.inspection import distance_from_normal, inspect_latents
from surrogate.cli.accompany import main as accompany

GUIDE = (ROOT / "docs/latent.md").read_text(encoding="utf-8")
COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "accompany": accompany,
    "convert-weights": convert_weights,
    "musicvae": musicvae,
}


@pytest.mark.slow
def test_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("examples", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(
        ROOT / "tests/golden/trio_converter",
        tmp_path / "midi/songs",
        ignore=shutil.ignore_patterns("*.npz", "*.py", "very_long.mid", "endless.mid"),
    )
    monkeypatch.chdir(tmp_path)
    ran = set()
    for language, block in re.findall(r"```(sh|python)\n(.*?)```", GUIDE, re.DOTALL):
        if language == "python":
            exec(compile(block, "docs/latent.md", "exec"), {})
            continue
        for line in block.splitlines():
            words = shlex.split(line)
            assert COMMANDS[words[0]](words[1:]) == 0, line
            ran.add(" ".join(words[:2]) if words[0] == "musicvae" else words[0])
    assert {f"musicvae {name}" for name in ("sample", "attribute", "groove", "inspect")} < ran
    made = ("samples/sample_4.mid", "calm.mid", "varied.mid", "between/step_5.mid", "loop.mid")
    for name in made:
        assert Path(name).read_bytes().startswith(b"MThd")
    page = Path("latent_space/index.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3
    found = json.loads(Path("latent_space/inspection.json").read_text(encoding="utf-8"))
    assert found["dimensions"] == 256 and found["kl_bits"] > 100


@pytest.mark.parametrize(
    "command",
    ["", "sample", "reconstruct", "interpolate", "attribute", "groove", "inspect"],
)
def test_help_needs_no_torch(command: str) -> None:
    script = (
        "import sys; sys.modules['torch'] = None; "
        f"from musicvae_torch.cli.latent import main; main([*{command.split()!r}, '--help'])"
    )
    done = run_python(script)
    assert done.returncode == 0, done.stderr
    assert "example" in done.stdout


def test_distance_by_hand() -> None:
    # Of one row the wanted place is the median, 0; of two the quartiles, ±0.67449.
    assert distance_from_normal(np.array([[3.0, -1.0]])) == pytest.approx(2)
    assert distance_from_normal(np.array([[1.0], [-1.0]])) == pytest.approx(1 - 0.67449, abs=1e-5)
    assert distance_from_normal(np.random.default_rng(0).normal(2, 1, (4000, 3))) == pytest.approx(
        2, abs=0.05
    )


def test_what_is_found_of_made_up_posteriors() -> None:
    rng = np.random.default_rng(1)
    # One dimension tells windows apart, one is the prior's, one is at 1 throughout.
    means = np.stack([rng.normal(0, 0.8, 3000), np.zeros(3000), np.ones(3000)], axis=1)
    stddevs = np.broadcast_to([0.6, 1.0, 1.0], means.shape)
    found = inspect_latents(means, stddevs, ["a", "b"] * 1500, [0, 1] * 1500)
    assert found.active.tolist() == [True, False, False]
    wanted = 0.5 * (0.64 + 0.36 - 1) - np.log(0.6)
    np.testing.assert_allclose(found.kl, [wanted, 0, 0.5], atol=0.03)
    assert found.map_share[0] == pytest.approx(1)
    np.testing.assert_allclose(np.abs(found.map[:, 0]), np.abs(means[:, 0]), atol=1e-6)
    assert found.floor < 0.05 < found.distance
    # The aggregated posterior of the first dimension is the prior: .8² + .6² = 1.
    np.testing.assert_allclose(found.drawn.std(0), 1, atol=0.05)
    assert all((one + other) % 2 for one, other in found.neighbours)


def test_too_little_to_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="2 windows are too few"):
        inspect_latents(np.zeros((2, 3)), np.ones((2, 3)), ["a", "b"], [0, 1])
    assert musicvae(["inspect", str(tmp_path), "-o", str(tmp_path / "o")]) == 2
    assert "no MIDI file (.mid, .midi, .kar, .rmi, .smf)" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
