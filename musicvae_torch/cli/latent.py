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

"musicvae SUBCOMMAND --help" explains each of them.
"""
_INPUT = "input"
SLOWEST, FASTEST = 4, 1000  # quarter notes a minute; a MIDI file has room for 3.58 at the least
_GROOVES = ("humanise", "humanize", "tap", "hats")


@dataclass(kw_only=True)
class LatentOptions:
    """Options of all subcommands, and the meanings of options that several have.

    Attributes:
        musicvae: folder of the model; None: the pretrained trio.
        seed: seed of all random draws.
        device: auto (a GPU if there is one), cpu or cuda.
        dtype: precision of matrix products: float32 is exact; bfloat16 and int8 are faster with
            models of Magenta's size, and slightly less exact.
        temperature: temperature of decoding: 0 takes the likeliest token, 1 samples as the model
            predicts.
        length: bars of each result; flat models generate any number, hierarchical ones at most
            their window; None: the model's window.
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
        tracks: indices of the tracks from which windows are extracted, counted from 0, as in 1,9;
            None: all tracks.
        melody_programs: programs that may be a melody, as in 0-31,80-87; None: Magenta's.
    """

    tracks: tuple[int, ...] | None = option(None, group=_INPUT, metavar="TRACKS", example="1,9")
    melody_programs: tuple[int, ...] | None = option(
        None, group=_INPUT, read=programs, metavar="RANGES"
    )


@dataclass(kw_only=True)
class Sample(LatentOptions):
    """Generate new music: draw latents from the prior and decode them.

    Attributes:
        n: number of samples.
        chords: chords for a model that is conditioned on them, bar by bar, as in "C | Am F | G7";
            or @FILE.
        hits: MIDI file with drum hits for a model that is conditioned on them; its first window is
            used.
        spread: factor by which the latents are multiplied; below 1, samples are closer to average
            music.
        tempo: tempo of the results, in quarter notes a minute.
        out: a .mid file for all samples one after another, or a folder for one file each.
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
    """Encode a song of any length, window by window, and decode it again. The command prints for
    each window the KL divergence of its latent, the likelihood of its notes given the latent, and
    the share of its steps that are reconstructed correctly.

    Attributes:
        spread: what is decoded: 0 the mean of the posterior, 1 a sample of it; larger values
            deviate more.
        out: the MIDI file to write; None: only the table is printed.
    """

    midi: Path = option(positional=True, metavar="SONG")
    spread: float = option(0.0, least=0, metavar="S")
    temperature: float = option(0.0, least=0, metavar="T")
    out: Path | None = option(None, short="o", metavar="OUT.mid")


@dataclass(kw_only=True)
class Interpolate(SongOptions):
    """Interpolate between the latents of two or more songs, along an arc (slerp), and decode the
    steps on the way.

    Attributes:
        midi: two or more MIDI files; or one, with two windows (--window 1,9).
        steps: number of windows from one song to the next, including both.
        loop: continue from the last song to the first.
        window: which window of each song to use, counted from 1: one number for all songs, or one
            for each, as in 1,9; None: 1.
        list_windows: list the windows of the songs, and stop.
        tempo: tempo of the results, in quarter notes a minute; None: that of the first song.
        out: a .mid file for all steps one after another, or a folder for that file and one for each
            step.
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
    """Change an attribute of a song, such as its density, register or swing: move its latents along
    attribute vectors, and decode them. A strength of 1 is one standard deviation of the attribute
    in the music from which it was learnt; -2 to 2 give sensible results. The pretrained trio has
    attribute vectors; learn-attributes learns those of other models.

    Attributes:
        move: attributes and strengths, as in band_density=1 swing=-.5.
        attributes: attribute vectors from learn-attributes; None: attributes.safetensors beside the
            model's weights.
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
    """Play or add drums with GrooVAE models. Only the hits of the song's drum kit change; all else
    in the file stays as it is.

      humanise  give a stiff drum part a drummer's velocities and timing; its hits stay, and so does
                the song's swing
      tap       generate drums for a rhythm that was tapped on any one instrument
      hats      generate closed hi-hats that go with the other drums, in place of the song's own

    Each has a pretrained model. Models of your own have these configs: groovae_2bar_humanize or
    groovae_2bar_hits_control_tfds for humanise, groovae_2bar_tap_fixed_velocity for tap, and
    groovae_2bar_add_closed_hh for hats.

    Attributes:
        musicvae: folder of a model of your own; None: the pretrained one.
        what: what to do with the drums: see above.
        redraw: let the model sample all hits, as Magenta does; otherwise humanise keeps all hits of
            the song, and hats all but the closed hi-hats.
        drums: the track of the drums, or of the taps: 2 (its index in accompany --list-tracks), 0,3
            (several), channel:5 (1 to 16), name:TEXT, instrument:TEXT, or TEXT for either; None:
            the drum kits.
    """

    what: str = option(positional=True, choices=_GROOVES, metavar="humanise|tap|hats")
    midi: Path = option(positional=True, metavar="SONG")
    redraw: bool = option(False)
    drums: tuple[str, ...] | None = option(None, repeat=True, read=str, metavar="TRACK")
    temperature: float = option(0.5, least=0, metavar="T")
    out: Path = option(short="o", metavar="OUT.mid")


@dataclass(kw_only=True)
class Inspect(LatentOptions):
    """Show how the latents of music are distributed, and how near this is to the prior. The command
    writes a page with the KL divergence of each dimension, histograms along random directions and
    principal axes beside the standard normal, and a map of the latents that can be coloured by
    attributes; and a table of how well each attribute can be predicted from the latent.

    Attributes:
        data: a data set from build-dataset; or a folder of MIDI files.
        max_windows: number of windows to draw.
        color: colours of the map, which the page can change: source (the top-level folder), or an
            attribute of the model's windows, such as density, drum_density, register, interval,
            syncopation or swing.
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
        "generate new music",
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
        "encode a song and decode it again",
        "musicvae reconstruct song.mid -o again.mid\n"
        "  musicvae reconstruct song.mid --spread 1 --temperature 0.5 --seed 2 -o varied.mid",
        _SEED._replace(
            advice="nothing is drawn; raise --spread or --temperature above 0, or leave it out"
        ),
    ),
    "interpolate": _subcommand(
        Interpolate,
        "interpolate between songs",
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
        "make a song denser, higher, more syncopated ...",
        "musicvae attribute song.mid --move band_density=1 swing=.5 -o busier.mid\n"
        "  musicvae attribute song.mid --move register=-1 --temperature 0 -o lower.mid",
        _SEED,
    ),
    "groove": _subcommand(
        Groove,
        "play a drum part like a drummer, or add drums to taps, or hi-hats",
        "musicvae groove humanise song.mid -o played.mid\n"
        "  musicvae groove tap taps.mid --seed 2 -o drums.mid\n"
        "  musicvae groove hats song.mid --drums name:Kit --temperature 0 -o with_hats.mid",
        Idle(
            "--redraw",
            lambda own: own.what == "tap",
            "tap always samples all hits; leave it out",
        ),
        Idle(
            "--temperature --seed",
            lambda own: own.what in ("humanise", "humanize") and not own.redraw,
            "humanise keeps all hits and samples none; add --redraw, or leave it out",
        ),
        _SEED,
    ),
    "inspect": _subcommand(
        Inspect,
        "show how latents of music are distributed",
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
        description="Sample, reconstruct, interpolate and change music in the latent space of a "
        "MusicVAE: a\npretrained one, or any model from convert-weights or train-musicvae.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subcommands = parser.add_subparsers(metavar="SUBCOMMAND", required=True)
    for name, command in SUBCOMMANDS.items():
        subcommands.add_parser(name, help=command.brief)
    with closing_pipes():
        return run_command("musicvae", partial(parser.parse_args, words))
