"""The command `convert-weights`: arguments in, one call, messages out."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Sequence
from typing import NoReturn

from convert_weights.sources.releases import NOTICE, RELEASES, Release, get_release
from musicvae_torch.cli.command_line import command, one_line, run_command
from musicvae_torch.config import CONFIGS, get_config

_DESCRIPTION = """\
Converts Google Magenta's MusicVAE checkpoints into folders that musicvae_torch reads
(config.json and model.safetensors), and back. TensorFlow is not needed. The numbers stay the
same to the last bit; the sizes of the layers are taken from the checkpoint.

SOURCE may be
  trio.ckpt                    the prefix of trio.ckpt.index and trio.ckpt.data-00000-of-00001
  trio.ckpt.index              one of those files
  trio.tar, trio.tar.gz        an archive that holds a checkpoint; it is not unpacked around you
  downloads/trio/              a folder that holds one
  js/weights_manifest.json     a checkpoint of magenta.js, or its folder
  03-0.1935.hdf5               a surrogate encoder that accompany-music-vae saved with Keras
  weights/trio/                with --to: a folder of ours"""

_EXAMPLES = """\
examples:
  convert-weights hierdec-trio_16bar.tar --out weights/trio
  convert-weights groovae.ckpt --config groovae_2bar_humanize --out weights/groovae
  convert-weights trio.ckpt --list
  convert-weights trio.ckpt --dry-run
  convert-weights --download list
  convert-weights --download cat-mel_2bar_big --out weights/melody
  convert-weights weights/trio --to tensorflow --out for_magenta
  convert-weights weights/melody --to magenta-js --out for_the_web

and then, in Python:
  from musicvae_torch import MusicVAE
  model = MusicVAE.from_pretrained("weights/trio")

configs: {configs}
exit codes: 0 done; 2 an error, told in one line; 130 stopped by Ctrl-C or SIGTERM. After 2 or 130
nothing was written."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, where argparse would print the usage first."""
        self.exit(2, f"{self.prog}: {message} (--help explains)\n")


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code.

    argv: arguments without the program's name; None takes the process's own.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    _check(parser, arguments)
    if threading.current_thread() is threading.main_thread():
        # Python would end at once, and leave what it was writing.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    return run_command("convert-weights", _run, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="convert-weights",
        description=_DESCRIPTION,
        epilog=_EXAMPLES.format(configs=", ".join(CONFIGS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="the checkpoint, see above")
    parser.add_argument("--out", metavar="FOLDER", help="the folder to write, new or empty")
    parser.add_argument(
        "--config",
        metavar="NAME",
        help="Magenta's name of the model's config, or a .json or .yaml file of your own; may be "
        "left out where the checkpoint's variables decide it",
    )
    parser.add_argument(
        "--checkpoint", metavar="NAME", help="which checkpoint, where SOURCE holds several"
    )
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
    what.add_argument(
        "--to", choices=["tensorflow", "magenta-js"], help="the way back, from a folder of ours"
    )
    parser.add_argument(
        "--quantize-bytes",
        type=int,
        choices=[1, 2],
        help="of a number, with --to magenta-js; smaller and not exact (default: all four)",
    )
    parser.add_argument(
        "--download",
        metavar="NAME",
        help="fetch this released checkpoint and take it as SOURCE; `list` shows the names",
    )
    parser.add_argument(
        "--download-folder",
        metavar="FOLDER",
        help="where downloads are kept (default: ~/.cache/musicvae-torch)",
    )
    parser.add_argument(
        "--mirror", metavar="URL", help="download from here, not from storage.googleapis.com"
    )
    return parser


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Ends the program where arguments do not go together."""
    if arguments.download and arguments.source:
        parser.error(f"SOURCE {arguments.source} and --download exclude each other")
    if not arguments.download and not arguments.source:
        parser.error("SOURCE is needed, or --download NAME")
    if arguments.to and arguments.download:
        parser.error("--to starts from a folder of ours, not from a download")
    if arguments.to and (arguments.config or arguments.checkpoint):
        parser.error("--to takes no --config and no --checkpoint: a folder of ours has one model")
    if (arguments.download_folder or arguments.mirror) and not arguments.download:
        parser.error("--download-folder and --mirror go with --download")
    names = ("out", "config", "list", "dry_run", "force") if arguments.download == "list" else ()
    if idle := [f"--{name.replace('_', '-')}" for name in names if getattr(arguments, name)]:
        parser.error(f"--download list prints names alone: leave {', '.join(idle)} out")
    if arguments.list and arguments.config:
        parser.error("--list prints what is there, whatever the config: leave --config out")
    if arguments.quantize_bytes and arguments.to != "magenta-js":
        parser.error("--quantize-bytes goes with --to magenta-js")
    if not (arguments.out or arguments.list or arguments.dry_run or arguments.download):
        parser.error("--out is needed: the folder to write")


def _run(arguments: argparse.Namespace) -> None:
    if arguments.download == "list":
        _list_releases()
        return
    if arguments.config is not None:
        get_config(arguments.config)  # before anything slow
    release = None
    if arguments.download:
        release = _download(arguments)
        if not (arguments.out or arguments.list or arguments.dry_run):
            return
    if arguments.list:
        _list(arguments)
    elif arguments.dry_run:
        _dry_run(arguments)
    elif arguments.to:
        _export(arguments)
    else:
        _convert(arguments, release)


def _list_releases() -> None:
    print("name\tformat\tconfig\tother names")
    for release in RELEASES.values():
        print(release.name, release.kind, release.config or "-", *release.aliases, sep="\t")
    print(f"All are {NOTICE}.")


def _download(arguments: argparse.Namespace) -> Release:
    """Fetches a release and makes it the source."""
    from convert_weights.sources.download import download

    release = get_release(arguments.download)
    path = download(release.name, arguments.download_folder, arguments.mirror)
    arguments.source = path
    arguments.config = arguments.config or release.config
    print(f"{path}: {release.name}, {NOTICE}")
    return release


def _list(arguments: argparse.Namespace) -> None:
    from convert_weights.conversion import open_checkpoint

    with open_checkpoint(arguments.source, arguments.checkpoint) as opened:
        tensors = opened.tensors
        for name in tensors:
            print(one_line(name), tensors.dtype(name), list(tensors.shape(name)), sep="\t")


def _dry_run(arguments: argparse.Namespace) -> None:
    from convert_weights.conversion import open_checkpoint
    from convert_weights.plan import make_plan

    config = None if arguments.config is None else get_config(arguments.config)
    with open_checkpoint(arguments.source, arguments.checkpoint) as opened:
        plan = make_plan(opened.tensors, config or opened.config, opened.source.location)
    for layer in plan.layers:
        sides = [
            ", ".join(f"{name} {list(shape)}" for name, shape in side.items())
            for side in (layer.variables, layer.parameters)
        ]
        print(" -> ".join(sides))
    for name in plan.skipped:
        print(f"{one_line(name)} -> skipped")
    for note in [f"config: {plan.config.name}", *plan.notes]:
        print(f"# {note}")


def _export(arguments: argparse.Namespace) -> None:
    from convert_weights.export import export

    print(
        export(
            arguments.source,
            arguments.out,
            arguments.to,
            quantization_bytes=arguments.quantize_bytes,
            force=arguments.force,
        )
    )


def _convert(arguments: argparse.Namespace, release: Release | None) -> None:
    from convert_weights.conversion import convert

    report = convert(
        arguments.source,
        arguments.config,
        arguments.out,
        checkpoint=arguments.checkpoint,
        release=release,
        force=arguments.force,
        progress=True,
    )
    summary = (
        f"{report.folder}: {report.name}, {report.parameters:,} parameters"
        f" from {report.converted} variables, {report.skipped} others skipped"
    )
    print(one_line(summary))
    for note in report.notes:
        print(f"note: {one_line(note)}")
    print(f"weights: {one_line(report.owner)}")
