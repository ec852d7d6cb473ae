"""The command `train-band`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from musicvae_torch.cli.command_line import Idle, command, read_arguments, run_command
from musicvae_torch.cli.train import (
    TRAINING_IDLE,
    add_hardware_arguments,
    add_training_arguments,
    hardware,
    training_options,
)
from surrogate.arguments import given

EXAMPLES = """examples:
  build-dataset midi -o data.h5 --hop 8
  train-band data.h5 -o my_band
  train-band data.h5 more.h5 --validation other.h5 -o my_band --precision bf16-mixed
  train-band data.h5 -o my_band --musicvae my_trio --surrogate my_surrogate
  train-band data.h5 -o my_wider_band --width 512 --heads 8 --device cuda

Watch it with: tensorboard --logdir OUT.training
val/nats is what bass and drums cost a step, from the melody alone, on 16-bar windows;
val/nats_bar_01 to val/nats_bar_16 is the same by the window's bars. The checkpoint with the
lowest val/nats is the result.
"""
# What trains a transformer well, in place of the defaults of a MusicVAE. Batches are small, so that
# Muon at a rate of .01, which suits large ones, moves matrices mostly by noise.
_DEFAULTS = {
    "batch_size": 16,
    "optimizer": "muon",
    "learning_rate": 1.5e-3,
    "muon_learning_rate": 0.003,
    "schedule": "cosine",
    "warmup": 100,
    "adam_beta2": 0.99,
    "draw": "sources",
    "validate_every": 1000,
}
_SIZES = {
    "width": "of the listener and the player (default: 256)",
    "heads": "of attention (default: 8)",
    "listener_layers": "(default: 2)",
    "player_layers": "(default: 4)",
    "style_size": "dimensions of the codes (default: 512)",
}


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train-band",
        description="Train a band: a network that hears some parts of a song, such as the "
        "melody, and plays\nthe others, step by step. Stop it with Ctrl-C whenever you like: the "
        "same command goes on,\nexactly as if it had not been stopped.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_training_arguments(parser)
    _change_defaults(parser)
    group = parser.add_argument_group("the network")
    group.add_argument(
        "--init", type=Path, metavar="FOLDER", help="band to go on from; its sizes hold"
    )
    group.add_argument(
        "--freeze-biases",
        action="store_true",
        help="with --init, leave the biases of the player's attention by distance as they are: a "
        "step takes a third less time",
    )
    for name, text in _SIZES.items():
        group.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", help=text)
    _add_lesson_arguments(parser)
    add_hardware_arguments(parser)
    return parser


def _change_defaults(parser: argparse.ArgumentParser) -> None:
    """What of the arguments of all trainings is otherwise here."""
    for action in parser._actions:
        if action.dest == "data":
            action.nargs = "+"
            action.help = (
                "made by build-dataset of trios; windows that overlap or follow on are joined, so "
                "make them with --hop 8"
            )
        elif action.dest == "batch_size":
            action.help = "16-bar windows a step; of longer ones so many fewer (default: 16)"
        elif action.dest in _DEFAULTS and action.help:
            before = action.help.rpartition("(default:")[0]
            action.help = f"{before}(default: {_DEFAULTS[action.dest]})"
        elif action.dest == "fuse":
            action.help = argparse.SUPPRESS
    parser.set_defaults(**_DEFAULTS)


def _add_lesson_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what it learns")
    group.add_argument(
        "--musicvae",
        type=Path,
        metavar="FOLDER",
        help="a trio whose latents are to be the styles; its codes are added to DATA.h5 where "
        "they are not there yet (default: the codes that are there)",
    )
    group.add_argument(
        "--surrogate",
        type=Path,
        metavar="FOLDER",
        help="a surrogate of the same trio, which predicts styles from melodies",
    )
    group.add_argument(
        "--bars",
        type=_weights,
        metavar="BARS=WEIGHT,...",
        help="lengths of windows, 16 to 64 bars (default: 16=.7,32=.2,64=.1)",
    )
    group.add_argument(
        "--without-melody",
        type=float,
        metavar="SHARE",
        help="of windows that have no melody at all (default: 0.12)",
    )
    group.add_argument(
        "--forgetful",
        type=float,
        metavar="SHARE",
        help="of windows in which the player has forgotten some bars of bass and drums, which "
        "keeps it from merely going on as before (default: 0.25)",
    )
    group.add_argument(
        "--thin-drums",
        action="store_true",
        help="use windows, too, whose drums are a single instrument",
    )


def _weights(text: str) -> dict[int, float]:
    """Weights of lengths as typed: "16=.7,64=.3"."""
    try:
        pairs = [pair.split("=") for pair in text.split(",")]
        return {int(bars): float(weight) for bars, weight in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"wanted weights such as 16=.7,64=.3, not {text!r}"
        ) from None


_IDLE = (
    Idle(
        "--freeze-biases",
        lambda own: own.init is None,
        "applies to a trained band; name it with --init, or leave the option out",
    ),
    Idle("--fuse", lambda own: True, "applies to LSTMs, and a band has none; leave it out"),
    Idle(
        "--style-size",
        lambda own: own.musicvae is not None,
        "follows from --musicvae; leave one of the two out",
    ),
    *TRAINING_IDLE[:-1],
)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 2 for what the user can mend."""
    return run_command("train-band", _train, read_arguments(parser(), argv), _IDLE)


def _train(arguments: argparse.Namespace) -> None:
    from musicvae_torch.training import TrainingOptions
    from surrogate.band.model import BandConfig
    from surrogate.training.band.lessons import Lessons
    from surrogate.training.band.train import train_band

    sizes = given(arguments, *_SIZES)
    folder = train_band(
        arguments.data,
        arguments.validation,
        arguments.out,
        BandConfig(**sizes) if sizes else None,
        TrainingOptions(**training_options(arguments)),
        lessons=Lessons(**given(arguments, "bars", "without_melody", "forgetful", "thin_drums")),
        init=arguments.init,
        musicvae=arguments.musicvae,
        freeze_biases=arguments.freeze_biases,
        surrogate=arguments.surrogate,
        work=arguments.work,
        device=hardware(arguments),
        store=arguments.store,
    )
    print(f"{folder}: trained")


if __name__ == "__main__":
    sys.exit(main())
