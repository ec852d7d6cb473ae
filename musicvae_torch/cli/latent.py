"""The command `musicvae`: its arguments."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from musicvae_torch.cli.command_line import Idle, command, read_arguments, run_command
from musicvae_torch.cli.train import add_dtype, programs

EXAMPLES = """examples:
  musicvae sample -n 4 -o samples
  musicvae reconstruct song.mid -o again.mid
  musicvae interpolate song.mid other.mid -o between
  musicvae attribute song.mid --move band_density=1 swing=.5 -o busier.mid
  musicvae groove humanise beat.mid --musicvae groovae -o played.mid
  musicvae inspect midi -o latent_space

"musicvae SUBCOMMAND --help" says more of each.
"""


_SEED = Idle(
    "--seed",
    lambda own: not (own.temperature or getattr(own, "spread", 0)),
    "nothing is drawn at a temperature of 0; raise that, or leave it out",
)
_IDLE = {
    "sample": (
        Idle(
            "--hits",
            lambda own: own.chords is not None,
            "no model is told chords and hits; leave one of the two out",
        ),
    ),
    "reconstruct": (
        _SEED._replace(
            advice="nothing is drawn; raise --spread or --temperature above 0, or leave it out"
        ),
    ),
    "interpolate": (
        Idle(
            "--out --steps --loop --window --length --temperature --tempo --seed",
            lambda own: own.list_windows,
            "--list-windows shows the windows and stops; leave one of the two out",
        ),
        _SEED,
    ),
    "attribute": (_SEED,),
    "groove": (
        Idle(
            "--temperature --seed",
            lambda own: own.what in ("humanise", "humanize") and not own.redraw,
            "humanise keeps your hits and draws none; add --redraw, or leave it out",
        ),
        _SEED,
    ),
}


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="musicvae",
        description="Music by way of a MusicVAE's latent space, of any model that convert-weights "
        "or\ntrain-musicvae made, or of the one that ships.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subcommands = parser.add_subparsers(metavar="SUBCOMMAND", required=True)
    for add in (_sample, _reconstruct, _interpolate, _attribute, _groove, _inspect):
        add(subcommands)
    arguments = read_arguments(parser, argv)
    name = arguments.name
    return run_command(f"musicvae {name}", _run, arguments, _IDLE.get(name, ()))


def _run(arguments: argparse.Namespace) -> None:
    # What needs torch, which takes seconds to import, is imported here.
    module = "latent_inspect" if arguments.name == "inspect" else "latent_commands"
    getattr(import_module(f"musicvae_torch.cli.{module}"), f"run_{arguments.name}")(arguments)


def _sample(subcommands: argparse._SubParsersAction) -> None:
    parser = _subcommand(
        subcommands,
        "sample",
        "music of the prior",
        "Make music up: latents are drawn from the prior and decoded.",
        "musicvae sample -n 8 --temperature 0.8 --seed 3 -o samples\n"
        "  musicvae sample -n 1 --length 8 -o tune.mid\n"
        "  musicvae sample --musicvae chords_model --chords 'C | Am | F | G7' --length 4 -o out",
    )
    parser.add_argument("-n", type=int, default=4, metavar="N", help="how many (default: 4)")
    parser.add_argument(
        "--chords",
        metavar="TEXT",
        help='for models that play to chords: bar by bar, as in "C | Am F | G7"; or @FILE',
    )
    parser.add_argument(
        "--hits",
        type=Path,
        metavar="MIDI",
        help="for models that play given drum hits: those of the first window of this file",
    )
    parser.add_argument(
        "--spread",
        type=float,
        default=1.0,
        metavar="S",
        help="of the latents; below 1 nearer to the average music (default: 1)",
    )
    _add_length(parser)
    _add_temperature(parser, 0.5)
    _add_tempo(parser, "120")
    _add_out(parser, "a .mid file for all in a row, or a folder for a file each")
    _add_model(parser)


def _reconstruct(subcommands: argparse._SubParsersAction) -> None:
    parser = _subcommand(
        subcommands,
        "reconstruct",
        "a song through the latent space and back",
        "Encode a song of any length window by window and decode it: what the model can tell.\n"
        "Prints of each window what its latent says of it (KL divergence), how likely its notes "
        "are\nfrom there, and the share of the steps that come back right.",
        "musicvae reconstruct song.mid -o again.mid\n"
        "  musicvae reconstruct song.mid --spread 1 --temperature 0.5 --seed 2 -o varied.mid",
    )
    parser.add_argument("midi", type=Path, metavar="SONG", help="a MIDI file")
    parser.add_argument(
        "--spread",
        type=float,
        default=0.0,
        metavar="S",
        help="0 decodes the posterior's mean, 1 a sample of the posterior, more goes farther "
        "(default: 0)",
    )
    _add_temperature(parser, 0.0)
    _add_choice_of_windows(parser)
    parser.add_argument(
        "-o", "--out", type=Path, metavar="OUT.mid", help="(default: only the table is printed)"
    )
    _add_model(parser)


def _interpolate(subcommands: argparse._SubParsersAction) -> None:
    parser = _subcommand(
        subcommands,
        "interpolate",
        "from song to song",
        "Go from the latent of one song to that of another along an arc (slerp), or through those "
        "of\nseveral, and decode what lies on the way.",
        "musicvae interpolate song.mid other.mid --steps 7 -o between\n"
        "  musicvae interpolate a.mid b.mid c.mid --loop --length 2 -o loop.mid\n"
        "  musicvae interpolate song.mid --list-windows\n"
        "  musicvae interpolate song.mid --window 1,9 -o within.mid",
    )
    parser.add_argument("midi", type=Path, nargs="+", metavar="SONG", help="MIDI files")
    parser.add_argument(
        "--steps",
        type=int,
        default=5,
        metavar="N",
        help="windows from one song to the next, both included (default: 5)",
    )
    parser.add_argument("--loop", action="store_true", help="go on from the last song to the first")
    parser.add_argument(
        "--window",
        type=_numbers,
        metavar="N[,N...]",
        help="which window of each song, or one number for all (default: 1)",
    )
    parser.add_argument(
        "--list-windows", action="store_true", help="show the windows of the songs, and stop"
    )
    _add_length(parser)
    _add_temperature(parser, 0.5)
    _add_choice_of_windows(parser)
    _add_tempo(parser, "that of the first song")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="OUT",
        help="a .mid file for all steps in a row, or a folder for that and a file each",
    )
    _add_model(parser)


def _attribute(subcommands: argparse._SubParsersAction) -> None:
    parser = _subcommand(
        subcommands,
        "attribute",
        "a song denser, higher, more syncopated ...",
        "Move a song's latents along attribute vectors, and decode them. A strength of 1 is one\n"
        "standard deviation of the attribute over the music that it was learnt of; -2 to 2 is "
        "sensible.\nlearn-attributes learns the vectors of a model; those of the model that ships "
        "are there.",
        "musicvae attribute song.mid --move band_density=1 swing=.5 -o busier.mid\n"
        "  musicvae attribute song.mid --move register=-1 --temperature 0 -o lower.mid",
    )
    parser.add_argument("midi", type=Path, metavar="SONG", help="a MIDI file")
    parser.add_argument(
        "--move",
        type=_strength,
        nargs="+",
        required=True,
        metavar="NAME=STRENGTH",
        help="attributes and how far",
    )
    parser.add_argument(
        "--attributes",
        type=Path,
        metavar="FILE",
        help="of learn-attributes (default: attributes.safetensors beside the model's weights)",
    )
    _add_temperature(parser, 0.5)
    _add_choice_of_windows(parser)
    _add_out(parser, "the MIDI file to write", "OUT.mid")
    _add_model(parser)


def _groove(subcommands: argparse._SubParsersAction) -> None:
    parser = _subcommand(
        subcommands,
        "groove",
        "drums with feeling, of a tapped rhythm, with hi-hats",
        "Drums through the GrooVAE models. The hits of a song's drum kit change, all else stays."
        "\n\n"
        "  humanise  a stiff pattern, its hits as hard and as early or late as a drummer's\n"
        "            (a model of groovae_2bar_humanize or groovae_2bar_hits_control_tfds)\n"
        "  tap       a rhythm, tapped on any one instrument, as drums\n"
        "            (groovae_2bar_tap_fixed_velocity)\n"
        "  hats      drums with closed hi-hats that go with them (groovae_2bar_add_closed_hh)",
        "musicvae groove humanise beat.mid --musicvae groovae -o played.mid\n"
        "  musicvae groove tap taps.mid --musicvae tap2drum --seed 2 -o drums.mid\n"
        "  musicvae groove hats beat.mid --musicvae add_hh -o with_hats.mid",
    )
    parser.add_argument(
        "what", choices=["humanise", "humanize", "tap", "hats"], metavar="humanise|tap|hats"
    )
    parser.add_argument("midi", type=Path, metavar="SONG", help="a MIDI file")
    parser.add_argument(
        "--redraw",
        action="store_true",
        help="the model draws all hits, as in Magenta (default: humanise keeps your hits, hats all "
        "but the closed hi-hats)",
    )
    parser.add_argument(
        "--drums",
        type=_tracks,
        metavar="TRACK,...",
        help="the tracks that are the drums, or were tapped: their numbers, as accompany "
        "--list-tracks counts them, or names, or channel:2 (default: the drum kits)",
    )
    _add_temperature(parser, 0.5)
    _add_out(parser, "the MIDI file to write", "OUT.mid")
    _add_model(parser, required=True)


def _inspect(subcommands: argparse._SubParsersAction) -> None:
    parser = _subcommand(
        subcommands,
        "inspect",
        "does music look Gaussian here?",
        "Encode a data set and look at its latents: KL divergence of each dimension, active units, "
        "\ntheir distribution along random directions and principal axes beside the standard "
        "normal, and\na map of two dimensions, coloured by the top-level folders of the songs or "
        "by an attribute;\nand how much the map and the whole latent tell of each attribute.",
        "musicvae inspect data.h5 --musicvae my_trio -o latent_space\n"
        "  musicvae inspect data.h5 --color density -o latent_space\n"
        "  musicvae inspect midi --max-windows 500 -o latent_space",
    )
    parser.add_argument(
        "data", type=Path, metavar="DATA", help="made by build-dataset; or a folder of MIDI files"
    )
    parser.add_argument(
        "--max-windows", type=int, default=2000, metavar="N", help="to draw (default: 2000)"
    )
    parser.add_argument(
        "--color",
        "--colour",
        default="source",
        metavar="NAME",
        help="of the map, and of the page's at first: source, or an attribute that the model's "
        "windows have, such as density, drum_density, register, interval, syncopation or swing "
        "(default: source)",
    )
    _add_out(parser, "for index.html, its pictures and inspection.json", "FOLDER")
    _add_model(parser)


def _subcommand(
    subcommands: argparse._SubParsersAction, name: str, brief: str, about: str, examples: str
) -> argparse.ArgumentParser:
    plural = "examples" if "\n" in examples else "example"
    parser: argparse.ArgumentParser = subcommands.add_parser(
        name,
        help=brief,
        description=about,
        epilog=f"{plural}:\n  {examples}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(name=name)
    return parser


def _add_out(parser: argparse.ArgumentParser, about: str, metavar: str = "OUT") -> None:
    parser.add_argument("-o", "--out", type=Path, required=True, metavar=metavar, help=about)


def _add_temperature(parser: argparse.ArgumentParser, usual: float) -> None:
    parser.add_argument(
        "--temperature",
        type=float,
        default=usual,
        metavar="T",
        help=f"of decoding; 0 takes the likeliest, 1 draws as the model says (default: {usual:g})",
    )


def _add_length(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--length",
        type=int,
        metavar="BARS",
        help="of each (default: the model's window); flat models go on for as long as is asked, "
        "hierarchical ones end with the window",
    )


def _add_tempo(parser: argparse.ArgumentParser, usual: str) -> None:
    parser.add_argument(
        "--tempo",
        type=_tempo,
        metavar="QPM",
        help=f"quarter notes per minute (default: {usual})",
    )


def _add_choice_of_windows(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which notes are heard")
    group.add_argument(
        "--tracks",
        type=_numbers,
        metavar="N,N...",
        help="take only windows of these tracks, counted from 0 (default: all)",
    )
    group.add_argument(
        "--melody-programs",
        type=programs,
        metavar="RANGES",
        help="programs that may be a melody, such as 0-31,80-87 (default: Magenta's)",
    )


def _add_model(parser: argparse.ArgumentParser, required: bool = False) -> None:
    usual = "" if required else " (default: the trio that ships)"
    parser.add_argument(
        "--musicvae", type=Path, required=required, metavar="FOLDER", help=f"checkpoint{usual}"
    )
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: 0)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    add_dtype(parser)


def _numbers(text: str) -> list[int]:
    """Numbers as typed: "1,9"."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"wanted numbers such as 1,9, not {text!r}") from None


def _tracks(text: str) -> list[str]:
    """Tracks as typed: "3,4" or "Kit"."""
    return [track.strip() for track in text.split(",") if track.strip()]


def _strength(text: str) -> tuple[str, float]:
    """An attribute and a strength as typed: "swing=.5"."""
    name, _, strength = text.partition("=")
    try:
        return name, float(strength)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"wanted an attribute and a strength, as in swing=.5, not {text!r}"
        ) from None


def _tempo(text: str) -> float:
    try:
        tempo = float(text)
    except ValueError:
        tempo = 0.0
    # A MIDI file has room for 3.58 at the least.
    if not 4 <= tempo <= 1000:
        raise argparse.ArgumentTypeError(f"wanted a tempo of 4 to 1000, not {text!r}")
    return tempo
