"""The command `evaluate-musicvae`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from musicvae_torch.cli.command import Command
from musicvae_torch.cli.command_line import Idle
from musicvae_torch.options import option

EXAMPLES = """examples:
  evaluate-musicvae my_trio data.h5
  evaluate-musicvae my_melodies midi
"""


@dataclass(kw_only=True)
class EvaluateMusicVAE:
    """Measure how well a model of any config reconstructs real music, part by part, beside
    baselines that need no model. The scores are shares of all steps; for grooves also the root mean
    square errors of velocities (0 to 1) and of timing (in half steps).

    Attributes:
        musicvae: folder of the model.
        data: a data set from build-dataset; or a folder of MIDI files.
        split: which songs of a data set are read; None: those that are reserved for validation, if
            any, otherwise all.
        device: auto (a GPU if there is one), cpu or cuda.
    """

    musicvae: Path = option(positional=True, metavar="FOLDER")
    data: Path = option(positional=True, metavar="DATA")
    split: str | None = option(None, choices=("train", "validation", "all"))
    device: str = option("auto")


def evaluate(options: EvaluateMusicVAE) -> None:
    from musicvae_torch.dataset.format import has_split
    from musicvae_torch.dataset.reading import read_split, read_windows
    from musicvae_torch.evaluation.reconstruction import (
        accuracy_table,
        baseline_accuracy,
        reconstruction_accuracy,
    )
    from musicvae_torch.io.devices import pick_device
    from musicvae_torch.model.vae import MusicVAE

    model = MusicVAE.from_pretrained(options.musicvae, pick_device(options.device))
    if options.data.is_dir():
        split = "all"  # of a folder none are set aside
        windows = read_windows(options.data, model.config, "validation", progress=True)
    else:
        split = options.split or ("validation" if has_split(options.data) else "all")
        windows = read_split(options.data, model.config, None if split == "all" else split)
    tokens = windows.tokens
    rows = reconstruction_accuracy(model, tokens, progress=True, lengths=windows.length)
    rows |= baseline_accuracy(tokens, model.config)
    print(f"{len(tokens)} windows of {options.data} ({split})")
    print(accuracy_table(rows))


_IDLE = Idle(
    "--split",
    lambda own: own.data.is_dir(),
    "of a folder all songs are scored; leave it out, or make a data set with build-dataset",
)
main = Command("evaluate-musicvae", EvaluateMusicVAE, evaluate, EXAMPLES, [_IDLE])
