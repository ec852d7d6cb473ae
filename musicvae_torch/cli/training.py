"""Options of all commands that train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from musicvae_torch.cli.command_line import Idle, applies_to
from musicvae_torch.io.hardware import Hardware
from musicvae_torch.options import option, options_of

HARDWARE = "the hardware: The options of Lightning's Trainer."
STORES = ("float32", "float16")


@dataclass(kw_only=True)
class TrainingCommand:
    """Options of every command that trains, beside those of how to train.

    Attributes:
        validation: songs to validate on, a data set from build-dataset; None: the songs of DATA
            that are reserved for validation.
        out: folder to which the trained network is written.
        work: folder of checkpoints and logs, from which a stopped training is resumed; None:
            OUT.training.
        store: precision in which the weights are written.
    """

    validation: Path | None = option(None, metavar="DATA")
    out: Path = option(short="o", metavar="FOLDER")
    work: Path | None = option(None, metavar="FOLDER")
    store: str = option("float32", choices=STORES)
    hardware: Hardware = options_of(Hardware, group=HARDWARE)


TRAINING_IDLE = (
    applies_to("optimizer", "muon", "--muon-learning-rate"),
    applies_to("schedule", "exponential", "--decay-rate"),
    applies_to("draw", "sources", "--temper"),
)
FUSE_IDLE = Idle(
    "--fuse",
    lambda own: own.device.startswith("cuda"),
    "applies to CPUs; choose --device cpu, or leave it out",
)
