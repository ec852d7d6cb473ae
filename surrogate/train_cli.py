"""The command `train-surrogate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from musicvae_torch.cli import add_training_arguments, run_command, sizes, training_options


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="train-surrogate",
        description="Train a surrogate encoder: it hears a melody and predicts the latent that a "
        "MusicVAE's encoder gives the whole trio. Stop it with Ctrl-C whenever you like: the "
        "same command goes on where it stopped.",
        epilog="example: train-surrogate data.h5 --musicvae my_trio -o my_surrogate",
    )
    add_training_arguments(parser)
    parser.add_argument(
        "--musicvae", type=Path, required=True, metavar="FOLDER", help="checkpoint of the trio"
    )
    parser.add_argument(
        "--units", type=sizes, default=(128,), help="LSTM units per direction, per layer"
    )
    return run_command("train-surrogate", _train, parser.parse_args(argv))


def _train(arguments: argparse.Namespace) -> None:
    from musicvae_torch.training import TrainingOptions
    from surrogate.training import train_surrogate

    folder = train_surrogate(
        arguments.data,
        arguments.validation,
        arguments.musicvae,
        arguments.out,
        TrainingOptions(**training_options(arguments)),
        rnn_size=arguments.units,
        work=arguments.work,
        device=arguments.device,
        store=arguments.store,
    )
    print(f"{folder}: trained")
