"""The commands `build-dataset`, `encode-dataset`, `export-dataset` and `import-dataset`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from musicvae_torch.cli.command_line import Idle, command, read_arguments, run_command
from musicvae_torch.cli.train import programs

if TYPE_CHECKING:
    from musicvae_torch.dataset.held_out import HeldOutSplit

_BUILD_IDLE = (
    Idle(
        "--max-shift",
        lambda own: not own.transpose,
        "applies to copies in other keys; ask for some with --transpose, or leave it out",
    ),
    Idle(
        "--duplicate-share",
        lambda own: own.keep_duplicates and len(own.folders) == 1 and not own.held_out,
        "--keep-duplicates leaves no such song out; leave one of the two out",
    ),
    Idle(
        "--device --devices",
        lambda own: own.musicvae is None,
        "an encoder runs with --musicvae alone; name one, or leave it out",
    ),
)


@command
def build_main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="build-dataset",
        description="Read every MIDI file in one or several folders and keep its windows in one "
        "HDF5 file, for train-musicvae and train-surrogate, with some songs set aside to validate "
        "on. Stop it whenever you like: the same command goes on. What was left out, and why, is "
        "listed in DATA.report.csv.",
        epilog="example: build-dataset midi -o data.h5 --hop 4 --max-windows 24",
    )
    parser.add_argument(
        "folders", type=Path, nargs="+", metavar="MIDI_FOLDER", help="searched at any depth"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DATA.h5")
    parser.add_argument(
        "--config",
        metavar="NAME",
        help="whose windows (default: those of --musicvae, or hier-trio_16bar)",
    )
    _add_window_arguments(parser)
    parser.add_argument(
        "--validation",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="of the songs, set aside to validate on; 0: none (default: 0.1)",
    )
    parser.add_argument(
        "--duplicate-share",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="a song of which so much is in a larger one, in whatever key and tempo, is left out "
        "(default: 0.5)",
    )
    parser.add_argument(
        "--keep-duplicates",
        action="store_true",
        help="leave no such song out, but for those that --held-out forbids",
    )
    parser.add_argument(
        "--held-out",
        type=Path,
        nargs="+",
        action="extend",
        metavar="SPLIT",
        help="other splits, each a folder of MIDI files or a data set of build-dataset: songs that "
        "have a tune in common with one of theirs, in whatever key and tempo, are left out",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: all cores)")
    parser.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="that reading a file may take (default: 60)",
    )
    parser.add_argument(
        "--musicvae", type=Path, metavar="FOLDER", help="checkpoint whose codes to add"
    )
    _add_device_arguments(parser)
    return run_command("build-dataset", _build, read_arguments(parser, argv), _BUILD_IDLE)


def _add_window_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mode", default="eval", choices=["train", "eval", "infer"], help="of the converter"
    )
    parser.add_argument(
        "--hop", type=int, metavar="BARS", help="from trio to trio (default: as long as one)"
    )
    parser.add_argument(
        "--max-windows", type=int, metavar="N", help="most windows of one song (default: all)"
    )
    parser.add_argument(
        "--melody-programs",
        type=programs,
        metavar="RANGES",
        help="programs that may be a melody, e.g. 0-31,80-87 (default: as in Magenta, 0-31 for "
        "trios)",
    )
    parser.add_argument(
        "--drums-only",
        action="store_true",
        help="for grooves, read the drum tracks of songs alone, and of them the pitches that the "
        "config knows, as drum configs do by themselves (default: no song with other notes)",
    )
    parser.add_argument(
        "--transpose",
        type=int,
        default=0,
        metavar="N",
        help="store each window in N other keys, too (default: 0)",
    )
    parser.add_argument(
        "--max-shift", type=int, default=5, metavar="SEMITONES", help="of --transpose (default: 5)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the draws of --max-windows and --transpose"
    )


def _add_device_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="of the encoder: auto, cpu or cuda")
    parser.add_argument("--devices", type=int, default=1, metavar="N", help="how many of them")


def _build(arguments: argparse.Namespace) -> None:
    from musicvae_torch.config import get_config
    from musicvae_torch.dataset.build import BuildOptions, build_dataset
    from musicvae_torch.dataset.report import summary
    from musicvae_torch.dataset.songs import WindowOptions, default_hop

    if arguments.config or not arguments.musicvae:
        config = get_config(arguments.config or "hier-trio_16bar")
    else:
        from musicvae_torch.model.vae import MusicVAE

        config = MusicVAE.from_pretrained(arguments.musicvae).config
    chosen = arguments.melody_programs
    options = BuildOptions(
        WindowOptions(
            config,
            mode=arguments.mode,
            hop_bars=arguments.hop or default_hop(config),
            melody_programs=None if chosen is None else tuple(chosen),
            drums_only=arguments.drums_only,
            max_windows=arguments.max_windows,
            transpositions=arguments.transpose,
            max_shift=arguments.max_shift,
            seed=arguments.seed,
        ),
        validation=arguments.validation,
        duplicate_share=arguments.duplicate_share,
        keep_duplicates=arguments.keep_duplicates,
        held_out=tuple(arguments.held_out or ()),
        workers=arguments.workers,
        seconds=arguments.timeout,
    )
    built = build_dataset(arguments.folders, arguments.out, options)
    aside = f", {built.validation} of them to validate on" if arguments.validation else ""
    there = "" if built.report else " (as before: nothing has changed)"
    print(f"{arguments.out}: {built.windows} windows of {built.songs} songs{aside}{there}")
    for reason, files in summary(built.skipped):
        print(f"left out: {files} files: {reason}")
    for split in built.held_out:
        print(_held_out(split))
    if built.skipped:
        print(f"{built.report}: which files, and more on why")
    if arguments.musicvae:
        _encode(arguments)


def _held_out(split: HeldOutSplit) -> str:
    text = (
        f"held out: {split.label}: {split.songs} songs; {split.near_duplicates} files left out as "
        "near-duplicates of them"
    )
    missed = [(split.unread, "unreadable"), (split.plain, "too short or plain to compare")]
    told = ", ".join(f"{count} {why}" for count, why in missed if count)
    return f"{text} ({told})" if told else text


@command
def encode_main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="encode-dataset",
        description="Add to a data set the code that a MusicVAE's encoder gives each window (the "
        "mean and standard deviation of its posterior). Stop it whenever you like: the same "
        "command goes on.",
        epilog="example: encode-dataset data.h5 --musicvae my_trio --devices 2",
    )
    parser.add_argument("out", type=Path, metavar="DATA.h5", help="made by build-dataset")
    parser.add_argument("--musicvae", type=Path, required=True, metavar="FOLDER", help="checkpoint")
    _add_device_arguments(parser)
    parser.add_argument(
        "--nodes",
        type=int,
        default=1,
        metavar="N",
        help="machines that share the work, each with this command, started as Lightning wants it "
        "(by srun or torchrun, say)",
    )
    return run_command("encode-dataset", _encode, read_arguments(parser, argv))


def _encode(arguments: argparse.Namespace) -> None:
    from musicvae_torch.dataset.codes import add_codes

    count = add_codes(
        arguments.out,
        arguments.musicvae,
        device=arguments.device,
        devices=arguments.devices,
        nodes=getattr(arguments, "nodes", 1),
    )
    print(f"{arguments.out}: codes of {count} windows by {arguments.musicvae}")


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
    from musicvae_torch.dataset.exchange import export_dataset

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
    from musicvae_torch.dataset.exchange import import_dataset

    count = import_dataset(arguments.source, arguments.out, validation=arguments.validation)
    print(f"{arguments.out}: {count} windows")
    print(
        "warning: the file does not say which windows are of one song; each counts as a song, so "
        "that songs may lie on both sides of the split"
    )
