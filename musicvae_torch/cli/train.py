"""The commands `train-musicvae` and `evaluate-musicvae`, and what all commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicvae_torch.cli.command_line import Idle, command, read_arguments, run_command

if TYPE_CHECKING:
    from musicvae_torch.training import Hardware


def add_dtype(parser: argparse._ActionsContainer) -> None:
    """The option for ``multiply_in`` of networks."""
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=("float32", "bfloat16", "int8"),
        help="precision of products: float32 is exact, the others are faster with large models "
        "(default: float32)",
    )


def sizes(text: str) -> tuple[int, ...]:
    """Layer sizes as typed: "96" or "256,256"."""
    try:
        return tuple(int(size) for size in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"wanted numbers such as 256 or 256,256, not {text!r}"
        ) from None


def programs(text: str) -> list[int]:
    """Program ranges as typed: "0-31,80-87"."""
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            numbers += range(int(first), int(last or first) + 1)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"wanted programs such as 0-31,80-87, not {text!r}"
            ) from None
    if not numbers or min(numbers) < 0 or max(numbers) > 127:
        raise argparse.ArgumentTypeError(f"programs run from 0 to 127, not {text!r}")
    return numbers


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that every training command has."""
    parser.add_argument("data", type=Path, metavar="DATA.h5", help="made by build-dataset")
    parser.add_argument(
        "--validation",
        type=Path,
        metavar="DATA.h5",
        help="songs to validate on (default: those that DATA.h5 has set aside)",
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FOLDER", help="for the checkpoint"
    )
    parser.add_argument(
        "--work",
        type=Path,
        metavar="FOLDER",
        help="checkpoints and logs; a stopped training goes on from here (default: OUT.training)",
    )
    parser.add_argument(
        "--steps", type=int, default=20_000, help="optimiser steps in all (default: 20000)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="windows a step (default: 32)"
    )
    parser.add_argument(
        "--accumulate",
        type=int,
        default=1,
        metavar="N",
        help="batches whose gradients make one step, for want of memory (default: 1)",
    )
    parser.add_argument(
        "--learning-rate", type=float, default=1e-3, metavar="R", help="at first (default: 0.001)"
    )
    parser.add_argument(
        "--decay-rate",
        type=float,
        default=0.9999,
        metavar="R",
        help="what each step multiplies it by, down to 0.00001 (default: 0.9999)",
    )
    parser.add_argument(
        "--schedule",
        default="exponential",
        choices=["exponential", "cosine", "linear"],
        help="of the learning rate: that decay; down to 0 over all steps along a cosine; or over "
        "the last quarter of them in a straight line (default: exponential)",
    )
    parser.add_argument(
        "--warmup", type=int, default=0, metavar="STEPS", help="over which it rises (default: 0)"
    )
    parser.add_argument(
        "--optimizer",
        default="adam",
        choices=["adam", "muon"],
        help="muon needs far fewer steps, at a rate of its own (default: adam, as in Magenta)",
    )
    parser.add_argument(
        "--muon-learning-rate", type=float, default=0.006, metavar="R", help="(default: 0.006)"
    )
    parser.add_argument(
        "--fuse",
        action="store_true",
        help="compile the LSTM's arithmetic on CPUs, for speed; wants a C++ compiler",
    )
    parser.add_argument(
        "--adam-beta2",
        type=float,
        default=0.999,
        metavar="B",
        help="lower is steadier (default: 0.999)",
    )
    parser.add_argument(
        "--grad-norm-limit",
        type=float,
        default=10_000,
        metavar="N",
        help="skip steps with a longer gradient (default: 10000)",
    )
    parser.add_argument(
        "--transpose",
        type=int,
        default=5,
        metavar="N",
        help="random shift, semitones either way (default: 5)",
    )
    parser.add_argument(
        "--draw",
        default="songs",
        choices=["songs", "windows", "sources"],
        help="what is drawn alike: windows, songs (then one of their windows), or, by --temper, "
        "the top-level folders of the songs (default: songs)",
    )
    parser.add_argument(
        "--temper",
        type=float,
        default=0.5,
        metavar="P",
        help="--draw sources draws a folder of n songs in proportion to n^P: 0 makes folders "
        "alike, 1 songs (default: 0.5)",
    )
    parser.add_argument(
        "--validate-every",
        type=int,
        default=500,
        metavar="STEPS",
        help="from validation to validation (default: 500)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument(
        "--store",
        default="float32",
        choices=["float32", "float16"],
        help="precision of the file (default: float32)",
    )


# Of every training.
TRAINING_IDLE = (
    Idle(
        "--muon-learning-rate",
        lambda own: own.optimizer != "muon",
        "applies to --optimizer muon; choose that, or leave it out",
    ),
    Idle(
        "--decay-rate",
        lambda own: own.schedule != "exponential",
        "applies to --schedule exponential; choose that, or leave it out",
    ),
    Idle(
        "--temper",
        lambda own: own.draw != "sources",
        "applies to --draw sources; choose that, or leave it out",
    ),
    Idle(
        "--fuse",
        lambda own: own.device.startswith("cuda"),
        "applies to CPUs; choose --device cpu, or leave it out",
    ),
)

TRAIN_EXAMPLES = """examples:
  train-musicvae midi -o my_trio --encoder 256 --decoder 256 --latent 256
  train-musicvae midi -o my_melodies --config cat-mel_2bar_small
  train-musicvae grooves -o my_grooves --config groovae_2bar_humanize --steps 3000
  train-musicvae data.h5 -o mine --init converted --learning-rate 1e-4
  train-musicvae data.h5 -o my_trio --devices 4 --batch-size 64 --draw sources

Watch it with: tensorboard --logdir OUT.training
val/nats is the loss of a window to validate on, val/kl_bits what its latent says of it, and
val/accuracy_PART the share of its steps that come back right. The checkpoint with the lowest
val/nats is the result.
"""


@command
def train_main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="train-musicvae",
        description="Train a MusicVAE of any config, on a data set of build-dataset or straight on "
        "a\nfolder of MIDI files. Stop it with Ctrl-C whenever you like: the same command goes "
        "on,\nexactly as if it had not been stopped.",
        epilog=TRAIN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_training_arguments(parser)
    _explain_data(parser)
    _add_model_arguments(parser)
    _add_objective_arguments(parser)
    add_hardware_arguments(parser)
    start = Idle(
        "--start",
        lambda own: own.init is not None,
        "--init has weights to start from; leave one of the two out",
    )
    idle = (*TRAINING_IDLE, start)
    return run_command("train-musicvae", _train, read_arguments(parser, argv), idle)


def _explain_data(parser: argparse.ArgumentParser) -> None:
    """What of the arguments of all trainings is otherwise here."""
    helps = {
        "data": "made by build-dataset; or a folder of MIDI files, of which a data set is made in "
        "the work folder first, with a tenth of the songs set aside",
        "validation": "the same, of other songs (default: those of DATA that are set aside)",
        "transpose": "random shift, semitones either way; drums have none (default: 3 for "
        "multitrack bars and where there are chords, else 5)",
    }
    for action in parser._actions:
        if action.dest in helps:
            action.help = helps[action.dest]
            action.metavar = "DATA" if action.dest in ("data", "validation") else action.metavar
    parser.set_defaults(transpose=None)


def _add_model_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the model")
    group.add_argument(
        "--config",
        metavar="NAME",
        help="one of Magenta's 23, or a file of your own (default: that of --init, or "
        "hier-trio_16bar)",
    )
    group.add_argument(
        "--init",
        type=Path,
        metavar="FOLDER",
        help="checkpoint to go on from, such as one of convert-weights; its sizes hold",
    )
    group.add_argument(
        "--encoder", type=sizes, metavar="UNITS", help="per layer and direction, e.g. 256,256"
    )
    group.add_argument("--decoder", type=sizes, metavar="UNITS", help="per layer")
    group.add_argument("--latent", type=int, metavar="N", help="dimensions of the latent")
    group.add_argument(
        "--start",
        default="magenta",
        choices=["magenta", "glorot"],
        help="how the layers about the latent are drawn: glorot learns sooner (default: magenta)",
    )


def _add_objective_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "the objective", "Each is by default what Magenta has for the config."
    )
    group.add_argument(
        "--free-bits", type=float, metavar="N", help="of KL divergence of a window, at no cost"
    )
    group.add_argument("--max-beta", type=float, metavar="B", help="weight of what is above")
    group.add_argument(
        "--beta-rate",
        type=float,
        metavar="R",
        help="that weight at step t is (1 - R^t) * B; 0: all of it at once",
    )
    group.add_argument(
        "--sampling",
        dest="sampling_schedule",
        choices=["constant", "exponential", "inverse_sigmoid"],
        help="scheduled sampling: how the chance grows that the decoder reads a token of its own",
    )
    group.add_argument(
        "--sampling-rate",
        type=float,
        metavar="K",
        help="the chance is K (constant), 1 - K^t or 1 - K / (K + exp(t / K))",
    )
    group.add_argument(
        "--keep",
        dest="dropout_keep_prob",
        type=float,
        metavar="P",
        help="share of the cells' inputs that dropout keeps; 1: all",
    )


def add_hardware_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every training command that :func:`hardware` reads."""
    group = parser.add_argument_group("the hardware", "As Lightning's Trainer has it.")
    group.add_argument(
        "--devices", type=int, default=1, metavar="N", help="each takes --batch-size (default: 1)"
    )
    group.add_argument(
        "--num-nodes",
        type=int,
        default=1,
        metavar="N",
        help="machines, each with this command, started by srun or torchrun, say (default: 1)",
    )
    group.add_argument("--strategy", default="auto", metavar="NAME", help="such as ddp")
    group.add_argument(
        "--precision",
        default="32-true",
        metavar="NAME",
        help="such as bf16-mixed, which is faster (default: 32-true)",
    )


def _train(arguments: argparse.Namespace) -> None:
    from musicvae_torch.config import get_config
    from musicvae_torch.hyperparameters import HYPERPARAMETER_NAMES
    from musicvae_torch.training import TrainingOptions, train_musicvae
    from musicvae_torch.training.musicvae import initial_config

    wanted = {
        "enc_rnn_size": arguments.encoder,
        "dec_rnn_size": arguments.decoder,
        "z_size": arguments.latent,
    }
    resized = {name: size for name, size in wanted.items() if size is not None}
    if arguments.init:
        config = initial_config(arguments.init, resized, arguments.config)
    else:
        config = get_config(arguments.config or "hier-trio_16bar", **resized)
    chosen = training_options(arguments)
    chosen |= {name: getattr(arguments, name, None) for name in HYPERPARAMETER_NAMES}
    chosen["start"] = arguments.start
    if chosen["sampling_schedule"] and chosen["sampling_rate"] is None:
        chosen["sampling_rate"] = 0.0  # not that of Magenta's schedule
    options = TrainingOptions.of(
        config, **{name: value for name, value in chosen.items() if value is not None}
    )
    folder = train_musicvae(
        arguments.data,
        arguments.validation,
        arguments.out,
        config,
        options,
        init=arguments.init,
        work=arguments.work,
        device=hardware(arguments),
        store=arguments.store,
    )
    print(f"{folder}: trained")


def hardware(arguments: argparse.Namespace) -> Hardware:
    """What to train on, of :func:`add_hardware_arguments`' values."""
    from musicvae_torch.training import Hardware

    return Hardware(
        arguments.device,
        arguments.devices,
        arguments.num_nodes,
        arguments.strategy,
        arguments.precision,
    )


def training_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields of ``TrainingOptions`` among :func:`add_training_arguments`' values."""
    return {
        "batch_size": arguments.batch_size,
        "steps": arguments.steps,
        "learning_rate": arguments.learning_rate,
        "decay_rate": arguments.decay_rate,
        "schedule": arguments.schedule,
        "warmup": arguments.warmup,
        "optimizer": arguments.optimizer,
        "muon_learning_rate": arguments.muon_learning_rate,
        "fuse": arguments.fuse,
        "adam_beta2": arguments.adam_beta2,
        "grad_norm_limit": arguments.grad_norm_limit,
        "max_transpose": arguments.transpose,
        "draw": arguments.draw,
        "temper": arguments.temper,
        "accumulate": arguments.accumulate,
        "validate_every": arguments.validate_every,
        "seed": arguments.seed,
    }


EVALUATE_EXAMPLES = """examples:
  evaluate-musicvae my_trio data.h5
  evaluate-musicvae my_melodies midi
"""


@command
def evaluate_main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="evaluate-musicvae",
        description="How much of real music a model of any config gives back right, part by part, "
        "beside what\nneeds no model: shares of all steps; of grooves also the root mean square "
        "errors of\nvelocities (of 0 to 1) and timing (in halves of a step).",
        epilog=EVALUATE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("musicvae", type=Path, metavar="FOLDER", help="checkpoint")
    parser.add_argument(
        "data", type=Path, metavar="DATA", help="made by build-dataset; or a folder of MIDI files"
    )
    parser.add_argument(
        "--split",
        choices=["train", "validation", "all"],
        help="which songs of DATA.h5 (default: those set aside to validate on, if any, else all)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    idle = Idle(
        "--split",
        lambda own: own.data.is_dir(),
        "of a folder all songs are scored; leave it out, or make a data set with build-dataset",
    )
    return run_command("evaluate-musicvae", _evaluate, read_arguments(parser, argv), [idle])


def _evaluate(arguments: argparse.Namespace) -> None:
    from musicvae_torch.dataset.format import has_split
    from musicvae_torch.dataset.reading import read_split, read_windows
    from musicvae_torch.io.devices import pick_device
    from musicvae_torch.model.vae import MusicVAE
    from musicvae_torch.training.evaluation import (
        accuracy_table,
        baseline_accuracy,
        reconstruction_accuracy,
    )

    model = MusicVAE.from_pretrained(arguments.musicvae, pick_device(arguments.device))
    if arguments.data.is_dir():
        split = "all"  # of a folder none are set aside
        windows = read_windows(arguments.data, model.config, "validation", progress=True)
    else:
        split = arguments.split or ("validation" if has_split(arguments.data) else "all")
        windows = read_split(arguments.data, model.config, None if split == "all" else split)
    tokens = windows.tokens
    rows = reconstruction_accuracy(model, tokens, progress=True, lengths=windows.length)
    rows |= baseline_accuracy(tokens, model.config)
    print(f"{len(tokens)} windows of {arguments.data} ({split})")
    print(accuracy_table(rows))
