"""The command `convert-weights`: arguments in, one call, messages out."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from convert_weights.errors import CheckpointError
from musicvae_torch.config import CONFIGS, ConfigError, get_config

_DESCRIPTION = """\
Converts a checkpoint of Google Magenta's MusicVAE into a folder that musicvae_torch reads:
FOLDER/config.json and FOLDER/model.safetensors. TensorFlow is not needed. The numbers stay the
same to the last bit; the sizes of the layers are taken from the checkpoint.

SOURCE may be
  trio.ckpt                       the prefix of trio.ckpt.index and trio.ckpt.data-00000-of-00001
  trio.ckpt.index                 one of those files
  downloads/trio/                 a folder that holds one checkpoint"""

_EXAMPLES = """\
examples:
  convert-weights trio.ckpt --config hierdec-trio_16bar --out weights/trio
  convert-weights trio.ckpt --list
  convert-weights trio.ckpt --config hierdec-trio_16bar --dry-run

and then, in Python:
  from musicvae_torch import MusicVAE
  model = MusicVAE.from_pretrained("weights/trio")

configs: {configs}
exit codes: 0 done; 2 an error, told in one line; 130 interrupted. After 2 or 130 nothing was
written."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, where argparse would print the usage first."""
        self.exit(2, f"{self.prog}: {message} (--help explains)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code.

    argv: arguments without the program's name; None takes the process's own.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if not (arguments.list or arguments.dry_run or arguments.out):
        parser.error("--out is needed: the folder to write")
    try:
        _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (a pager, head) has gone; Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    except (CheckpointError, ConfigError, OSError) as error:
        print(_printable(f"{parser.prog}: {_message(error)}"), file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="convert-weights",
        description=_DESCRIPTION,
        epilog=_EXAMPLES.format(configs=", ".join(CONFIGS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", help="the checkpoint, see above")
    parser.add_argument("--config", metavar="NAME", help="Magenta's name of the model's config")
    parser.add_argument("--out", metavar="FOLDER", help="the folder to write, new or empty")
    parser.add_argument(
        "--force", action="store_true", help="replace a model that is in FOLDER already"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--list", action="store_true", help="print the checkpoint's variables, write nothing"
    )
    what.add_argument(
        "--dry-run",
        action="store_true",
        help="check the checkpoint against the config and print what becomes what, write nothing",
    )
    return parser


def _run(arguments: argparse.Namespace) -> None:
    if arguments.list:
        _list(arguments.source)
    elif arguments.dry_run:
        _dry_run(arguments.source, arguments.config)
    else:
        _convert(arguments)


def _list(source: str) -> None:
    from convert_weights.tensor_bundle import TensorBundle, find_prefix

    with TensorBundle.open(find_prefix(source)) as bundle:
        for name in bundle:
            print(_printable(name), bundle.dtype(name), list(bundle.shape(name)), sep="\t")


def _dry_run(source: str, config_name: str | None) -> None:
    config = None if config_name is None else get_config(config_name)
    from convert_weights.plan import make_plan
    from convert_weights.tensor_bundle import TensorBundle, find_prefix

    prefix = find_prefix(source)
    with TensorBundle.open(prefix) as bundle:
        plan = make_plan(bundle, config, prefix)
    for layer in plan.layers:
        sides = [
            ", ".join(f"{name} {list(shape)}" for name, shape in side.items())
            for side in (layer.variables, layer.parameters)
        ]
        print(" -> ".join(sides))
    for name in plan.skipped:
        print(f"{_printable(name)} -> skipped")


def _convert(arguments: argparse.Namespace) -> None:
    from convert_weights.conversion import convert

    report = convert(
        arguments.source, arguments.config, arguments.out, force=arguments.force, progress=True
    )
    print(
        f"{report.folder}: {report.config.name}, {report.parameters:,} parameters"
        f" from {report.converted} variables, {report.skipped} others skipped"
    )


def _printable(text: str) -> str:
    """One line, without the control characters by which names could play tricks on a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
