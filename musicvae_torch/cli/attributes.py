"""The command `learn-attributes`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from musicvae_torch.cli.command_line import Idle, command, read_arguments, run_command
from musicvae_torch.errors import OptionError

EXAMPLES = """examples:
  learn-attributes data.h5 --musicvae my_trio
  learn-attributes data.h5 --musicvae my_trio --measure validation.h5 --plot matrix.png
  learn-attributes midi --musicvae my_melodies -o melodies.safetensors

A strength of 1 is one standard deviation of the attribute. "told" is the share of an attribute's
variance that the latent tells: near 0, its vector is of no use.
"""


_IDLE = (
    Idle(
        "--measure-windows --temperature",
        lambda own: own.measure is None,
        "applies to what --measure decodes; name songs with that, or leave it out",
    ),
)


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="learn-attributes",
        description="Learn of music in which direction of a MusicVAE's latent space note density, "
        "register,\nintervals, syncopation and swing lie, and keep these attribute vectors beside "
        "its weights.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "data", type=Path, metavar="DATA", help="made by build-dataset; or a folder of MIDI files"
    )
    parser.add_argument("--musicvae", type=Path, required=True, metavar="FOLDER", help="checkpoint")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where to write attributes.safetensors; or a file of that suffix (default: the "
        "checkpoint's folder)",
    )
    parser.add_argument(
        "--method",
        default="probes",
        choices=["probes", "regression", "difference"],
        help="difference is the MusicVAE paper's, which moves more of the others along (default: "
        "probes)",
    )
    parser.add_argument(
        "--max-windows",
        type=int,
        default=10_000,
        metavar="N",
        help="to learn of, drawn so that large top-level folders do not outweigh others (default: "
        "10000)",
    )
    _add_measure_arguments(parser)
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: 0)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    return run_command("learn-attributes", _learn, read_arguments(parser, argv), _IDLE)


def _add_measure_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what they do", "Measured by decoding moved latents.")
    group.add_argument(
        "--measure",
        type=Path,
        metavar="DATA",
        help="songs to measure on, as DATA above: those set aside to validate on, if any",
    )
    group.add_argument(
        "--measure-windows", type=int, default=100, metavar="N", help="(default: 100)"
    )
    group.add_argument(
        "--temperature", type=float, default=0.5, metavar="T", help="of decoding (default: 0.5)"
    )
    group.add_argument("--plot", type=Path, metavar="FILE.png", help="a picture of the table")


def _learn(arguments: argparse.Namespace) -> None:
    if arguments.plot and not arguments.measure:
        raise OptionError("--plot draws what --measure finds: name songs with --measure")
    if arguments.plot:
        import matplotlib  # noqa: F401  # it had better be missing now than after minutes

    from musicvae_torch.attribute_vectors.learning import learn_attributes, measure_attributes
    from musicvae_torch.attribute_vectors.picture import draw_matrix

    vectors = learn_attributes(
        arguments.data,
        arguments.musicvae,
        method=arguments.method,
        max_windows=arguments.max_windows,
        seed=arguments.seed,
        device=arguments.device,
        progress=True,
    )
    path = vectors.save(arguments.out or arguments.musicvae)
    record = vectors.record
    print(f"{path}: learnt of {record['windows']} windows of {record['songs']} songs")
    print(f"\n{vectors}")
    if record["left_out"]:
        print(f"\nleft out, as they do not differ here: {', '.join(record['left_out'])}")
    if arguments.measure is None:
        return
    effects = measure_attributes(
        arguments.measure,
        arguments.musicvae,
        vectors,
        max_windows=arguments.measure_windows,
        temperature=arguments.temperature,
        seed=arguments.seed,
        device=arguments.device,
        progress=True,
    )
    print(
        f"\nWhat comes out, by strength ({effects.windows} windows of {arguments.measure}, "
        f"temperature {effects.temperature:g}):\n\n{effects}"
    )
    if arguments.plot:
        draw_matrix(effects, arguments.plot)
        print(f"\n{arguments.plot}: the table as a picture")
