"""What commands write and how they end: clips as long as their bars, and pipes that close early."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from odd_songs import FLUTE
from raw_midi import BAR, QUARTER, bass_line, beat, parse, part, smf, tune

from musicvae_torch.cli.latent import main

TUNE = smf(part("Tune", 0, tune(), FLUTE))


def ends(folder: Path) -> dict[str, float]:
    """The last end-of-track of each file, in bars of 4/4."""
    files = {path.name: parse(path.read_bytes()) for path in sorted(folder.rglob("*.mid"))}
    assert files
    return {
        name: max(track.end for track in file.tracks) * QUARTER / file.division / BAR
        for name, file in files.items()
    }


@pytest.mark.parametrize("options", [[], ["--temperature", "0.3"], ["--temperature", "1.5"]])
@pytest.mark.parametrize("bars", [1, 4, 16])
def test_samples_end_on_the_bar(tmp_path: Path, bars: int, options: list[str]) -> None:
    """Whatever they play, rests at their end among it."""
    out = tmp_path / "samples"
    command = ["sample", "-n", "3", "--length", str(bars), "--seed", "5", "-o", str(out)]
    assert main([*command, *options]) == 0
    assert set(ends(out).values()) == {bars}


def test_interpolations_end_on_the_bar(tmp_path: Path) -> None:
    samples, out = tmp_path / "songs", tmp_path / "between"
    samples.mkdir()
    for name, up in (("a", 0), ("b", 5)):
        rows = tune(16, up=up)
        parts = [part("", 0, rows, 0), part("", 1, bass_line(16), 33), part("", 9, beat(16))]
        (samples / f"{name}.mid").write_bytes(smf(*parts))
    between = [str(path) for path in sorted(samples.glob("*.mid"))]
    for more in ([], ["--loop"]):
        command = ["interpolate", *between, "--steps", "3", "--length", "4", "-o", str(out), *more]
        assert main(command) == 0
        assert all(bars == round(bars) for bars in ends(out).values()), ends(out)


@pytest.mark.parametrize("command", ["tracks", "accompany"])
def test_a_closed_pipe_is_no_error(tmp_path: Path, command: str) -> None:
    song, out = tmp_path / "song.mid", tmp_path / "out.mid"
    song.write_bytes(TUNE)
    options = ["--list-tracks"] if command == "tracks" else ["-o", str(out)]
    words = [sys.executable, "-m", "surrogate.cli.accompany", str(song), *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read().decode()
        status = process.wait()
    assert said == "" and status in (0, 141, -13)
    assert command == "tracks" or out.exists()
