"""What only looks at models and data sets does without Lightning, which trains."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from fresh_python import run_python
from made_up import tiny
from paths import GOLDEN_FILES

from musicvae_torch.model.vae import MusicVAE

MIDI = GOLDEN_FILES / "trio_converter"


@pytest.mark.parametrize(
    "command",
    [
        "musicvae_torch.cli.latent:main inspect {midi} --musicvae {model} -o {out} "
        "--max-windows 40 --device cpu",
        "musicvae_torch.cli.evaluate_musicvae:main {model} {midi} --device cpu",
        "musicvae_torch.cli.attributes:main {midi} --musicvae {model} -o {out} --max-windows 40 "
        "--device cpu",
    ],
    ids=["inspect", "evaluate", "attributes"],
)
def test_no_lightning(command: str, tmp_path: Path) -> None:
    """In a Python that cannot import it."""
    for name in ("lightning", "pytorch_lightning"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not here')")
    MusicVAE(tiny("cat-drums_2bar_small")).save_pretrained(tmp_path / "model")
    main, *arguments = command.format(
        midi=MIDI, model=tmp_path / "model", out=tmp_path / "out"
    ).split()
    module, function = main.split(":")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    script = f"from {module} import {function} as main; raise SystemExit(main())"
    done = run_python(script, *arguments, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
