"""The command `train-surrogate`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from musicvae_torch.cli.command_line import Idle, command, read_arguments, run_command
from musicvae_torch.cli.train import (
    TRAINING_IDLE,
    add_hardware_arguments,
    add_training_arguments,
    hardware,
    sizes,
    training_options,
)
from musicvae_torch.errors import OptionError
from surrogate.arguments import given

EXAMPLES = """examples:
  train-surrogate data.h5 --musicvae my_trio -o my_surrogate
  train-surrogate data.h5 --musicvae my_trio -o drummer --masks drums=1 --decoder-weight 0.05
  train-surrogate data.h5 --musicvae my_trio -o baseline --model point
  train-surrogate melodies_with_codes.h5 -o baseline --model point
"""
MODELS = ("distribution", "point")
_POINT_EPOCHS = 20.0
# How `--model point` trains where nothing else is said, by the arguments' names.
_POINT_DEFAULTS = {
    "units": (128, 128),
    "batch_size": 16,
    "learning_rate": 3e-4,
    "decay_rate": 1.0,
    "transpose": 0,
    "draw": "windows",
    "steps": None,
    "monitor": "val/latent_error",
}


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train-surrogate",
        description="Train a surrogate encoder: it hears some parts of a trio, such as the "
        "melody, and predicts the latent that a MusicVAE's encoder gives the whole. Stop it with "
        "Ctrl-C whenever you like: the same command goes on where it stopped.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_training_arguments(parser)
    parser.add_argument("--musicvae", type=Path, metavar="FOLDER", help="checkpoint of the trio")
    parser.add_argument(
        "--model",
        choices=MODELS,
        default=MODELS[0],
        help="distribution: ours, of any parts; point: accompany-music-vae's, of the melody, with "
        "its settings (two layers of 128, batches of 16, RMSprop at 3e-4, 20 epochs, no shifts), "
        "which needs no --musicvae where DATA.h5 holds codes",
    )
    parser.add_argument(
        "--units",
        type=sizes,
        default=(128,),
        help="LSTM units per direction, per layer (default: 128; point: 128,128)",
    )
    parser.add_argument(
        "--epochs",
        type=float,
        metavar="N",
        help="instead of --steps: so many times the windows of DATA.h5 (point: 20)",
    )
    parser.add_argument(
        "--monitor",
        default="val/kl",
        metavar="SCORE",
        help="whose lowest value is the best: val/kl, val/hidden_nats, ... "
        "(default: %(default)s; point: val/latent_error)",
    )
    ours = parser.add_argument_group("of --model distribution alone")
    ours.add_argument(
        "--hears",
        type=_parts,
        metavar="PARTS",
        help="parts that it can be given (default: melody,bass,drums)",
    )
    ours.add_argument(
        "--masks",
        type=_weights,
        metavar="MASK=WEIGHT,...",
        help="how often which parts are given (default: melody=.4,bass=.15,drums=.15,"
        "melody+bass=.1,melody+drums=.1,bass+drums=.1)",
    )
    ours.add_argument(
        "--pooling",
        metavar="HOW",
        help="last, mean or attention: what becomes of the bars' outputs (default: last)",
    )
    ours.add_argument(
        "--decoder-weight",
        type=float,
        metavar="W",
        help="weight of the hidden parts' loss through the frozen decoder (default: 0)",
    )
    ours.add_argument(
        "--decode-from", metavar="WHAT", help="there: sample or mean of the prediction"
    )
    add_hardware_arguments(parser)
    return parser


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _weights(text: str) -> dict[str, float]:
    """Masks as typed: "melody=.4,bass+drums=.1"."""
    try:
        pairs = [pair.split("=") for pair in text.split(",")]
        return {name.strip(): float(weight) for name, weight in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"wanted weights such as melody=.6,bass+drums=.4, not {text!r}"
        ) from None


_IDLE = (
    Idle(
        "--optimizer --muon-learning-rate --adam-beta2",
        lambda own: own.model == "point",
        "--model point has an optimiser of its own; leave it out",
    ),
    Idle(
        "--steps",
        lambda own: own.epochs is not None,
        "--epochs takes its place; leave one of the two out",
    ),
    Idle(
        "--decode-from",
        lambda own: own.model != "point" and not own.decoder_weight,
        "applies to the decoder's loss; give that a --decoder-weight, or leave it out",
    ),
    *TRAINING_IDLE,
)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 2 for what the user can mend."""
    arguments = read_arguments(parser(), argv)
    if arguments.model == "point":
        typed = arguments.typed
        defaults = parser()
        defaults.set_defaults(**_POINT_DEFAULTS)
        arguments = defaults.parse_args(argv)
        if arguments.steps is None:
            arguments.steps = 1  # which epochs take the place of
            arguments.epochs = _POINT_EPOCHS if arguments.epochs is None else arguments.epochs
        arguments.typed = typed
    return run_command("train-surrogate", _train, arguments, _IDLE)


def _train(arguments: argparse.Namespace) -> None:
    from musicvae_torch.training import TrainingOptions
    from surrogate.training.encoder.module import SurrogateObjective
    from surrogate.training.encoder.train import train_point_surrogate, train_surrogate

    options = TrainingOptions(**training_options(arguments))
    common: dict[str, Any] = {
        name: getattr(arguments, name) for name in ("epochs", "monitor", "work", "store")
    }
    common["device"] = hardware(arguments)
    common["rnn_size"] = arguments.units
    objective = given(arguments, "masks", "decoder_weight", "decode_from")
    network = given(arguments, "hears", "pooling")
    where = arguments.data, arguments.validation, arguments.musicvae, arguments.out, options
    if arguments.model == "point":
        if objective or network:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in objective | network)
            raise OptionError(f"--model point has no {names}")
        folder = train_point_surrogate(*where, **common)
    elif arguments.musicvae is None:
        raise OptionError("name the trio's checkpoint: --musicvae FOLDER")
    else:
        network["objective"] = SurrogateObjective(**objective)
        folder = train_surrogate(*where, **(network | common))
    print(f"{folder}: trained")


if __name__ == "__main__":
    sys.exit(main())
