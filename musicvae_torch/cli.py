"""The commands `train-musicvae` and `evaluate-musicvae`, and what all commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_EXTRA_OF = {"lightning": "train", "h5py": "train", "matplotlib": "plot"}


def run_command(
    prog: str, run: Callable[[argparse.Namespace], None], arguments: argparse.Namespace
) -> int:
    """Run a command's work; what the user can mend becomes one line and exit status 2."""
    try:
        run(arguments)
    except KeyboardInterrupt:
        print(f"{prog}: stopped", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        extra = _EXTRA_OF.get(error.name or "")
        if extra is None:
            raise
        hint = f"pip install 'musicvae-torch[{extra}]'"
        print(f"{prog}: this needs {error.name}, which is not installed: {hint}", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 2
    return 0


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
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument(
        "--work",
        type=Path,
        metavar="FOLDER",
        help="checkpoints and logs; a stopped training goes on from here (default: OUT.training)",
    )
    parser.add_argument("--steps", type=int, default=20_000, help="optimiser steps in all")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="windows a step")
    parser.add_argument("--learning-rate", type=float, default=1e-3, metavar="R")
    parser.add_argument(
        "--decay-rate", type=float, default=0.9999, metavar="R", help="of the learning rate, a step"
    )
    parser.add_argument(
        "--adam-beta2", type=float, default=0.999, metavar="B", help="lower is steadier"
    )
    parser.add_argument(
        "--grad-norm-limit",
        type=float,
        default=10_000,
        metavar="N",
        help="skip steps with a longer gradient",
    )
    parser.add_argument(
        "--transpose", type=int, default=5, metavar="N", help="random shift, semitones either way"
    )
    parser.add_argument("--validate-every", type=int, default=500, metavar="STEPS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--store", default="float32", choices=["float32", "float16"], help="precision of the file"
    )


def train_main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="train-musicvae",
        description="Train a MusicVAE of trios on a data set of build-dataset. Stop it with "
        "Ctrl-C whenever you like: the same command goes on where it stopped.",
        epilog="example: train-musicvae data.h5 -o my_trio --encoder 256 --decoder 256 "
        "--latent 256",
    )
    add_training_arguments(parser)
    parser.add_argument("--config", default="hier-trio_16bar", help="kind of model")
    parser.add_argument("--encoder", type=sizes, metavar="UNITS", help="per layer, e.g. 256,256")
    parser.add_argument("--decoder", type=sizes, metavar="UNITS", help="per layer")
    parser.add_argument("--latent", type=int, metavar="N", help="dimensions of the latent")
    parser.add_argument("--free-bits", type=float, default=256, help="of KL divergence a window")
    parser.add_argument("--max-beta", type=float, default=0.2, help="weight of the KL divergence")
    return run_command("train-musicvae", _train, parser.parse_args(argv))


def _train(arguments: argparse.Namespace) -> None:
    from musicvae_torch.config import get_config
    from musicvae_torch.training import TrainingOptions, train_musicvae

    chosen = {
        "enc_rnn_size": arguments.encoder,
        "dec_rnn_size": arguments.decoder,
        "z_size": arguments.latent,
    }
    config = get_config(
        arguments.config, **{name: size for name, size in chosen.items() if size is not None}
    )
    options = TrainingOptions(
        **training_options(arguments), free_bits=arguments.free_bits, max_beta=arguments.max_beta
    )
    folder = train_musicvae(
        arguments.data,
        arguments.validation,
        arguments.out,
        config,
        options,
        work=arguments.work,
        device=arguments.device,
        store=arguments.store,
    )
    print(f"{folder}: trained")


def training_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields of ``TrainingOptions`` among :func:`add_training_arguments`' values."""
    return {
        "batch_size": arguments.batch_size,
        "steps": arguments.steps,
        "learning_rate": arguments.learning_rate,
        "decay_rate": arguments.decay_rate,
        "adam_beta2": arguments.adam_beta2,
        "grad_norm_limit": arguments.grad_norm_limit,
        "max_transpose": arguments.transpose,
        "validate_every": arguments.validate_every,
        "seed": arguments.seed,
    }


def evaluate_main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="evaluate-musicvae",
        description="Share of the steps that a trio model gives back right, part by part, beside "
        "what needs no model.",
        epilog="example: evaluate-musicvae my_trio data.h5",
    )
    parser.add_argument("musicvae", type=Path, metavar="FOLDER", help="checkpoint of a trio")
    parser.add_argument("data", type=Path, metavar="DATA.h5", help="made by build-dataset")
    parser.add_argument(
        "--split",
        choices=["train", "validation", "all"],
        help="which songs (default: those set aside to validate on, if any, else all)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    return run_command("evaluate-musicvae", _evaluate, parser.parse_args(argv))


def _evaluate(arguments: argparse.Namespace) -> None:
    from musicvae_torch.dataset.format import has_split, read_dataset
    from musicvae_torch.devices import pick_device
    from musicvae_torch.evaluation import accuracy_table, baseline_accuracy, reconstruction_accuracy
    from musicvae_torch.model import MusicVAE

    model = MusicVAE.from_pretrained(arguments.musicvae, pick_device(arguments.device))
    split = arguments.split or ("validation" if has_split(arguments.data) else "all")
    shape = (model.config.max_seq_len, len(model.config.output_depths))
    tokens = read_dataset(arguments.data, None if split == "all" else split, shape=shape).tokens
    rows = reconstruction_accuracy(model, tokens, progress=True) | baseline_accuracy(tokens)
    print(f"{len(tokens)} windows of {arguments.data} ({split})")
    print(accuracy_table(rows))
