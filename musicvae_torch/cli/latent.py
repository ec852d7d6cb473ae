"""The command `musicvae`: options of its subcommands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from musicvae_torch.cli.command import Command, Parser
from musicvae_torch.cli.command_line import Idle, closing_pipes, run_command
from musicvae_torch.options import DTYPES, option, programs

EXAMPLES = """examples:
  musicvae sample -n 4 -o samples
  musicvae reconstruct song.mid -o again.mid
  musicvae interpolate song.mid other.mid -o between
  musicvae attribute song.mid --move band_density=1 swing=.5 -o busier.mid
  musicvae groove humanise beat.mid -o played.mid
  musicvae inspect midi -o latent_space

"musicvae SUBCOMMAND --help" says more of each.
"""
_INPUT = "input"
SLOWEST, FASTEST = 4, 1000  # quarter notes a minute; a MIDI file has room for 3.58 at the least
_GROOVES = ("humanise", "humanize", "tap", "hats")


@dataclass(kw_only=True)
class LatentOptions:
    """Options of all subcommands, and the meanings of options that several have.

    Attributes:
        musicvae: checkpoint of the model; None: the trio that ships.
        seed: seed of all that is drawn.
        device: auto, cpu or cuda.
        dtype: precision of products: float32 is exact, the others are faster with large models.
        temperature: of decoding; 0 takes the likeliest, 1 draws as the model says.
        length: bars of each; flat models can make any number, hierarchical ones no more than their
            window; None: the model's window.
        midi: a MIDI file.
        out: the MIDI file to write.
    """

    musicvae: Path | None = option(None, metavar="FOLDER")
    seed: int = option(0, least=0, most=2**63 - 1, metavar="N")
    device: str = option("auto")
    dtype: str = option("float32", choices=DTYPES)


@dataclass(kw_only=True)
class SongOptions(LatentOptions):
    """Options of all subcommands that encode songs.

    Attributes:
        tracks: numbers of the tracks of which windows are taken, counted from 0; None: all.
        melody_programs: programs that may be a melody, such as 0-31,80-87; None: Magenta's.
    """

    tracks: tuple[int, ...] | None = option(None, group=_INPUT, metavar="TRACKS", example="1,9")
    melody_programs: tuple[int, ...] | None = option(
        None, group=_INPUT, read=programs, metavar="RANGES"
    )


@dataclass(kw_only=True)
class Sample(LatentOptions):
    """Make music up: latents are drawn from the prior and decoded.

    Attributes:
        n: how many.
        chords: for models that play to chords: bar by bar, as in "C | Am F | G7"; or @FILE.
        hits: for models that play given drum hits: those of the first window of this MIDI file.
        spread: of the latents; below 1 nearer to the average music.
        tempo: quarter notes a minute.
        out: a .mid file for all in a row, or a folder for a file each.
    """

    n: int = option(4, least=1, metavar="N")
    chords: str | None = option(None, metavar="TEXT")
    hits: Path | None = option(None, metavar="MIDI")
    spread: float = option(1.0, least=0, metavar="S")
    length: int | None = option(None, least=1, metavar="BARS")
    temperature: float = option(0.5, least=0, metavar="T")
    tempo: float = option(120.0, least=SLOWEST, most=FASTEST, metavar="QPM")
    out: Path = option(short="o", metavar="OUT")


@dataclass(kw_only=True)
class Reconstruct(SongOptions):
    """Encode a song of any length window by window and decode it again. Prints for each window how
    much its latent holds (KL divergence), how likely its notes are from there, and the share of
    the steps that come back right.

    Attributes:
        spread: 0 decodes the posterior's mean, 1 a sample of the posterior, more goes farther.
        out: the MIDI file to write; None: only the table is printed.
    """

    midi: Path = option(positional=True, metavar="SONG")
    spread: float = option(0.0, least=0, metavar="S")
    temperature: float = option(0.0, least=0, metavar="T")
    out: Path | None = option(None, short="o", metavar="OUT.mid")


@dataclass(kw_only=True)
class Interpolate(SongOptions):
    """Go from the latent of one song to that of another along an arc (slerp), or through those of
    several, and decode what lies on the way.

    Attributes:
        midi: MIDI files.
        steps: windows from one song to the next, both included.
        loop: go on from the last song to the first.
        window: which window of each song, counted from 1, or one number for all; None: 1.
        list_windows: show the windows of the songs, and stop.
        tempo: quarter notes a minute; None: that of the first song.
        out: a .mid file for all steps in a row, or a folder for that and a file each.
    """

    midi: tuple[Path, ...] = option(positional=True, many=True, metavar="SONG")
    steps: int = option(5, least=2, metavar="N")
    loop: bool = option(False)
    window: tuple[int, ...] | None = option(None, metavar="NUMBERS", example="1,9")
    list_windows: bool = option(False)
    length: int | None = option(None, least=1, metavar="BARS")
    temperature: float = option(0.5, least=0, metavar="T")
    tempo: float | None = option(None, least=SLOWEST, most=FASTEST, metavar="QPM")
    out: Path | None = option(None, short="o", metavar="OUT")


@dataclass(kw_only=True)
class Attribute(SongOptions):
    """Move a song's latents along attribute vectors, and decode them. A strength of 1 is one
    standard deviation of the attribute over the music that it was learnt of; -2 to 2 is sensible.
    learn-attributes learns the vectors of a model; those of the model that ships are there.

    Attributes:
        move: attributes and how far.
        attributes: a file of learn-attributes; None: attributes.safetensors beside the model's
            weights.
    """

    midi: Path = option(positional=True, metavar="SONG")
    move: tuple[dict[str, float], ...] = option(
        many=True, metavar="NAME=STRENGTH", example="swing=.5"
    )
    attributes: Path | None = option(None, metavar="FILE")
    temperature: float = option(0.5, least=0, metavar="T")
    out: Path = option(short="o", metavar="OUT.mid")


@dataclass(kw_only=True)
class Groove(LatentOptions):
    """Drums by the GrooVAE models. The hits of a song's drum kit change, all else stays.

      humanise  gives a stiff pattern a drummer's velocities and timing; its hits stay, and so does
                its swing
      tap       makes drums of a rhythm that was tapped on any one instrument
      hats      adds closed hi-hats that go with the drums, in place of those that there are

    A model ships for each. Other models are of these configs: for humanise groovae_2bar_humanize or
    groovae_2bar_hits_control_tfds, for tap groovae_2bar_tap_fixed_velocity, for hats
    groovae_2bar_add_closed_hh.

    Attributes:
        musicvae: checkpoint of the model; None: the one that ships.
        what: what is made of the drums.
        redraw: let the model draw all hits, as in Magenta; else humanise keeps your hits, and hats
            all but the closed hi-hats.
        drums: the song's drums, or the track that was tapped: 2 (its number, as in accompany
            --list-tracks), 0,3 (several), channel:5 (1 to 16), name:TEXT, instrument:TEXT, or TEXT
            of either; None: the drum kits.
    """

    what: str = option(positional=True, choices=_GROOVES, metavar="humanise|tap|hats")
    midi: Path = option(positional=True, metavar="SONG")
    redraw: bool = option(False)
    drums: tuple[str, ...] | None = option(None, repeat=True, read=str, metavar="TRACK")
    temperature: float = option(0.5, least=0, metavar="T")
    out: Path = option(short="o", metavar="OUT.mid")


@dataclass(kw_only=True)
class Inspect(LatentOptions):
    """Encode a data set and look at its latents: KL divergence of each dimension, active units,
    their distribution along random directions and principal axes beside the standard normal, and
    a map of two dimensions, coloured by the top-level folders of the songs or by an attribute;
    and how much of each attribute can be read from the map and from the whole latent.

    Attributes:
        data: a data set of build-dataset; or a folder of MIDI files.
        max_windows: windows to draw.
        color: colours of the map, which the page can change: source, or an attribute that the
            model's windows have, such as density, drum_density, register, interval, syncopation or
            swing.
        out: folder for index.html, its pictures and inspection.json.
    """

    data: Path = option(positional=True, metavar="DATA")
    max_windows: int = option(2000, least=1, metavar="N")
    color: str = option("source", also="colour", metavar="NAME")
    out: Path = option(short="o", metavar="FOLDER")


def _subcommand(options: type, brief: str, examples: str, *idle: Idle) -> Command:
    name = options.__name__.lower()

    def run(chosen: Any) -> None:
        # Imported here, as torch takes seconds to import.
        module = "latent_inspect" if name == "inspect" else "latent_commands"
        getattr(import_module(f"musicvae_torch.cli.{module}"), f"run_{name}")(chosen)

    plural = "examples" if "\n" in examples else "example"
    text = f"{plural}:\n  {examples}\n"
    return Command(f"musicvae {name}", options, run, text, idle, brief=brief)


_SEED = Idle(
    "--seed",
    lambda own: not (own.temperature or getattr(own, "spread", 0)),
    "nothing is drawn at a temperature of 0; raise that, or leave it out",
)
SUBCOMMANDS = {
    "sample": _subcommand(
        Sample,
        "music of the prior",
        "musicvae sample -n 8 --temperature 0.8 --seed 3 -o samples\n"
        "  musicvae sample -n 1 --length 8 -o tune.mid\n"
        "  musicvae sample --musicvae chords_model --chords 'C | Am | F | G7' --length 4 -o out",
        Idle(
            "--hits",
            lambda own: own.chords is not None,
            "no model is conditioned on chords and hits; leave one of the two out",
        ),
    ),
    "reconstruct": _subcommand(
        Reconstruct,
        "a song through the latent space and back",
        "musicvae reconstruct song.mid -o again.mid\n"
        "  musicvae reconstruct song.mid --spread 1 --temperature 0.5 --seed 2 -o varied.mid",
        _SEED._replace(
            advice="nothing is drawn; raise --spread or --temperature above 0, or leave it out"
        ),
    ),
    "interpolate": _subcommand(
        Interpolate,
        "from song to song",
        "musicvae interpolate song.mid other.mid --steps 7 -o between\n"
        "  musicvae interpolate a.mid b.mid c.mid --loop --length 2 -o loop.mid\n"
        "  musicvae interpolate song.mid --list-windows\n"
        "  musicvae interpolate song.mid --window 1,9 -o within.mid",
        Idle(
            "--out --steps --loop --window --length --temperature --tempo --seed",
            lambda own: own.list_windows,
            "--list-windows shows the windows and stops; leave one of the two out",
        ),
        _SEED,
    ),
    "attribute": _subcommand(
        Attribute,
        "a song denser, higher, more syncopated ...",
        "musicvae attribute song.mid --move band_density=1 swing=.5 -o busier.mid\n"
        "  musicvae attribute song.mid --move register=-1 --temperature 0 -o lower.mid",
        _SEED,
    ),
    "groove": _subcommand(
        Groove,
        "drums with feeling, of a tapped rhythm, with hi-hats",
        "musicvae groove humanise song.mid -o played.mid\n"
        "  musicvae groove tap taps.mid --seed 2 -o drums.mid\n"
        "  musicvae groove hats song.mid --drums name:Kit --temperature 0 -o with_hats.mid",
        Idle(
            "--redraw",
            lambda own: own.what == "tap",
            "tap draws all hits as it is; leave it out",
        ),
        Idle(
            "--temperature --seed",
            lambda own: own.what in ("humanise", "humanize") and not own.redraw,
            "humanise keeps your hits and draws none; add --redraw, or leave it out",
        ),
        _SEED,
    ),
    "inspect": _subcommand(
        Inspect,
        "does music look Gaussian here?",
        "musicvae inspect data.h5 --musicvae my_trio -o latent_space\n"
        "  musicvae inspect data.h5 --color density -o latent_space\n"
        "  musicvae inspect midi --max-windows 500 -o latent_space",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit status: 0, or 2 for what the user can mend."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words and words[0] in SUBCOMMANDS:
        return SUBCOMMANDS[words[0]](words[1:])
    parser = Parser(
        prog="musicvae",
        description="Music by way of a MusicVAE's latent space, of any model that convert-weights "
        "or\ntrain-musicvae made, or of those that ship.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subcommands = parser.add_subparsers(metavar="SUBCOMMAND", required=True)
    for name, command in SUBCOMMANDS.items():
        subcommands.add_parser(name, help=command.brief)
    with closing_pipes():
        return run_command("musicvae", partial(parser.parse_args, words))
