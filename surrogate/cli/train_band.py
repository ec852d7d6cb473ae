"""The command `train-band`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicvae_torch.cli.command import Command
from musicvae_torch.cli.command_line import Idle
from musicvae_torch.cli.training import HARDWARE, TRAINING_IDLE, TrainingCommand
from musicvae_torch.options import option, options_of
from musicvae_torch.training.options import OBJECTIVE, TrainingOptions
from surrogate.band.config import BandConfig
from surrogate.training.band.masking import MaskingOptions

EXAMPLES = """examples:
  build-dataset midi -o data.h5 --hop 8
  train-band data.h5 -o my_band
  train-band data.h5 more.h5 --validation other.h5 -o my_band --precision bf16-mixed
  train-band data.h5 -o my_band --musicvae my_trio --surrogate my_surrogate
  train-band data.h5 -o my_wider_band --width 512 --heads 8 --device cuda

To watch the training: tensorboard --logdir OUT.training
val/nats is the cost of bass and drums in nats a step, from the melody alone, on 16-bar windows;
val/nats_bar_01 to val/nats_bar_16 are the costs of single bars. The result is the checkpoint with
the lowest val/nats.
"""
# What trains a transformer well, in place of the defaults of a MusicVAE. Batches are small, so that
# Muon at a rate of .01, which suits large ones, moves matrices mostly by noise.
_TRAINING = TrainingOptions(
    batch_size=16,
    optimizer="muon",
    learning_rate=1.5e-3,
    muon_learning_rate=0.003,
    schedule="cosine",
    warmup=100,
    adam_beta2=0.99,
    draw="sources",
    validate_every=1000,
)
_NETWORK, _LEARNS, _HARDWARE = "the network", "what it learns", HARDWARE


@dataclass(kw_only=True)
class TrainBand(TrainingCommand):
    """Train a band network, which is given some parts of a song, such as the melody, and generates
    the others, step by step. Ctrl-C stops the training; the same command resumes it, with the same
    result as if it had not been stopped.

    Attributes:
        data: data sets of trios from build-dataset; windows that overlap or follow each other are
            joined, so use --hop 8 there. If windows are longer than 16 bars, a step has
            proportionally fewer of them.
        init: folder of a band network from which to start; its sizes cannot be changed.
        freeze_biases: with --init, keep the player's attention biases for each distance as they
            are; a step then takes a third less time.
        musicvae: folder of a trio whose posteriors are the styles; they are added to DATA.h5 unless
            they are there already; None: the posteriors in DATA.h5.
        surrogate: folder of a surrogate encoder of the same trio, which predicts styles from
            melodies.
        compile: compile the attention blocks with torch.compile; this needs a C++ compiler.
        workers: processes that make the batches; None: on a GPU one for each spare core, up to 8.
    """

    data: tuple[Path, ...] = option(positional=True, many=True, metavar="DATA.h5")
    training: TrainingOptions = options_of(
        TrainingOptions, _TRAINING, without=(OBJECTIVE, "start", "fuse", "silence_drums")
    )
    init: Path | None = option(None, group=_NETWORK, metavar="FOLDER")
    freeze_biases: bool = option(False, group=_NETWORK)
    sizes: dict[str, Any] = options_of(BandConfig, built=False, group=_NETWORK)
    musicvae: Path | None = option(None, group=_LEARNS, metavar="FOLDER")
    surrogate: Path | None = option(None, group=_LEARNS, metavar="FOLDER")
    masking: MaskingOptions = options_of(MaskingOptions, group=_LEARNS)
    compile: bool = option(False, group=_HARDWARE)
    workers: int | None = option(None, least=0, group=_HARDWARE, metavar="N")


def train(options: TrainBand) -> None:
    from surrogate.training.band.train import train_band

    folder = train_band(
        options.data,
        options.validation,
        options.out,
        BandConfig(**options.sizes) if options.sizes else None,
        options.training,
        masking=options.masking,
        init=options.init,
        musicvae=options.musicvae,
        freeze_biases=options.freeze_biases,
        surrogate=options.surrogate,
        compiled=options.compile,
        workers=options.workers,
        work=options.work,
        device=options.hardware,
        store=options.store,
    )
    print(f"{folder}: trained")


_IDLE = (
    Idle(
        "--freeze-biases",
        lambda own: own.init is None,
        "applies to a trained band; name it with --init, or leave the option out",
    ),
    Idle(
        "--style-size",
        lambda own: own.musicvae is not None,
        "follows from --musicvae; leave one of the two out",
    ),
    *TRAINING_IDLE,
)
main = Command("train-band", TrainBand, train, EXAMPLES, _IDLE)
