"""The commands `export-dataset` and `import-dataset`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from musicvae_torch.cli.command_line import command, read_arguments
from musicvae_torch.cli.train import run_command


@command
def export_main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="export-dataset",
        description="Write a data set of trios as a file of accompany-music-vae: HDF5 with one-hot "
        "rows.",
        epilog="example: export-dataset data.h5 -o seed.h5 --columns melody,trio",
    )
    parser.add_argument("data", type=Path, metavar="DATA.h5", help="made by build-dataset")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="SEED.h5")
    parser.add_argument(
        "--columns",
        type=lambda text: text.split(","),
        default=["melody", "code"],
        metavar="NAMES",
        help="of melody, bass, drums, trio and code (default: melody,code)",
    )
    parser.add_argument(
        "--split", choices=["train", "validation"], help="of these songs alone (default: all)"
    )
    return run_command("export-dataset", _export, read_arguments(parser, argv))


def _export(arguments: argparse.Namespace) -> None:
    from surrogate.accompany_music_vae.one_hot_files import export_dataset

    count = export_dataset(arguments.data, arguments.out, arguments.columns, split=arguments.split)
    print(f"{arguments.out}: {count} windows")


@command
def import_main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="import-dataset",
        description="Read a file of accompany-music-vae (HDF5 with melody, code, trio, bass or "
        "drums) into a data set.",
        epilog="example: import-dataset seed.h5 -o data.h5",
    )
    parser.add_argument("source", type=Path, metavar="SEED.h5")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DATA.h5")
    parser.add_argument(
        "--validation",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="of the windows, set aside to validate on; 0: none (default: 0.1)",
    )
    return run_command("import-dataset", _import, read_arguments(parser, argv))


def _import(arguments: argparse.Namespace) -> None:
    from surrogate.accompany_music_vae.one_hot_files import import_dataset

    count = import_dataset(arguments.source, arguments.out, validation=arguments.validation)
    print(f"{arguments.out}: {count} windows")
    print(
        "warning: the file does not say which windows are of one song; each counts as a song, so "
        "that songs may lie on both sides of the split"
    )
