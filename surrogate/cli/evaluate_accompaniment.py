"""The command `evaluate-accompaniment`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicvae_torch.cli.command_line import Idle, command, read_arguments, run_command
from musicvae_torch.cli.train import programs
from musicvae_torch.errors import OutputError
from surrogate.arguments import at_least

if TYPE_CHECKING:
    import torch

    from surrogate.evaluation.ways import Networks

EXAMPLES = """examples:
  evaluate-accompaniment midi --max-songs 50
  evaluate-accompaniment midi --given drums --json scores.json
  evaluate-accompaniment midi --musicvae my_trio --surrogate my_surrogate --baseline seeds
  evaluate-accompaniment --against finished
"""


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate-accompaniment",
        description="On real songs with melody, bass and drums: hide parts, generate them in every "
        "way there is,\nand print how well they fit, as Markdown tables. Or compare finished "
        "accompaniments with ours.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="of MIDI files")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="FOLDER",
        help="instead: MIDI files with a melody, a bass and drums, to be stripped to the melody, "
        "accompanied anew and compared; or folders, each with a lead_sheet.mid (a melody on one "
        "track, its chords on another) and what other systems made of it",
    )
    parser.add_argument(
        "--given",
        type=_parts,
        default=("melody",),
        metavar="PARTS",
        help="what is heard, such as drums or melody,drums; the rest is hidden (default: melody)",
    )
    parser.add_argument("--max-songs", type=at_least(1), metavar="N", help="drawn at random")
    parser.add_argument(
        "--max-windows",
        type=at_least(1),
        default=8,
        metavar="N",
        help="most windows of a song, drawn at random (default: %(default)s)",
    )
    parser.add_argument(
        "--melody-programs",
        type=programs,
        default=programs("0-31"),
        metavar="RANGES",
        help="of the songs' melodies (default: 0-31, as Magenta's)",
    )
    parser.add_argument(
        "--seed", type=at_least(0), default=0, help="of everything drawn (default: 0)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers")
    parser.add_argument(
        "--musicvae", type=Path, metavar="FOLDER", help="trio checkpoint (default: shipped)"
    )
    parser.add_argument(
        "--surrogate",
        type=Path,
        metavar="FOLDER",
        help="its surrogate encoder (default: shipped, with the shipped trio)",
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="FOLDER",
        help="another surrogate of the trio, for the row of the seed's surrogate (default: "
        "shipped, with the shipped trio)",
    )
    parser.add_argument(
        "--without-latent",
        type=Path,
        metavar="FOLDER",
        help="the trio, trained on without its latent, for the row of that name (default: shipped, "
        "with the shipped trio)",
    )
    parser.add_argument(
        "--band",
        type=Path,
        metavar="FOLDER",
        help="a band network (default: shipped, with the shipped trio)",
    )
    parser.add_argument(
        "--seeds",
        type=at_least(0),
        default=3,
        metavar="N",
        help="bands that are sampled for each melody as accompany does, from --seed on; 0: none "
        "(default: %(default)s)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    return parser


def _parts(text: str) -> tuple[str, ...]:
    """Parts as typed, in the trio's order: "melody,drums"."""
    parts = ("melody", "bass", "drums")  # not imported: help needs no torch
    named = {part.strip() for part in text.split(",")}
    if not named <= set(parts) or named == set(parts):
        raise argparse.ArgumentTypeError(
            f"wanted one or two of melody, bass and drums, such as melody,drums, not {text!r}"
        )
    return tuple(part for part in parts if part in named)


_IDLE = (
    Idle(
        "--given --max-songs --max-windows --melody-programs --baseline --without-latent",
        lambda own: own.against is not None,
        "--against compares whole files by their melody; leave it out",
    ),
)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 2 for what the user can mend."""
    arguments = read_arguments(parser(), argv)
    if (arguments.folder is None) == (arguments.against is None):
        parser().error("name a folder of songs, or one to compare with: --against FOLDER")
    if arguments.against is not None and not arguments.seeds:
        parser().error("--seeds 0 leaves nothing of ours to compare; say 1 or more")
    return run_command("evaluate-accompaniment", _run, arguments, _IDLE)


def _run(arguments: argparse.Namespace) -> None:
    from musicvae_torch.io.devices import pick_device

    if arguments.json and arguments.json.is_dir():
        raise OutputError(f"{arguments.json}: is a folder; name the file to write")
    if arguments.json and arguments.json.parent.is_file():
        raise OutputError(f"{arguments.json.parent}: is a file; name a folder to write into")
    device = pick_device(arguments.device)
    result = (_against if arguments.against else _songs)(arguments, device)
    print(result)
    if arguments.json:
        _write_json(arguments.json, result.as_json())


def _songs(arguments: argparse.Namespace, device: torch.device) -> Any:
    from surrogate.evaluation.evaluate import evaluate
    from surrogate.evaluation.songs import read_windows
    from surrogate.evaluation.ways import EvaluateOptions

    networks = _networks(arguments, device)
    windows = read_windows(
        arguments.folder,
        networks.musicvae.config.max_seq_len,
        arguments.max_songs,
        arguments.max_windows,
        arguments.melody_programs,
        arguments.seed,
        progress=True,
    )
    options = EvaluateOptions(arguments.given, arguments.seed, arguments.seeds, progress=True)
    return evaluate(networks, windows, options)


def _networks(arguments: argparse.Namespace, device: torch.device) -> Networks:
    from musicvae_torch.io.checkpoint import shipped_checkpoint
    from musicvae_torch.model.vae import MusicVAE
    from surrogate.encoder.loading import (
        DEFAULT_BASELINE,
        DEFAULT_MUSICVAE,
        DEFAULT_SURROGATE,
        DEFAULT_WITHOUT_LATENT,
        load_attributes,
    )
    from surrogate.encoder.model import load_surrogate
    from surrogate.evaluation.ways import Networks
    from surrogate.generators.band import load_band

    place, band, styled = arguments.musicvae, None, True
    if place is None or arguments.band is not None:
        band, styled = load_band(arguments.band, place, device)
    musicvae, surrogate = arguments.musicvae, arguments.surrogate
    baseline, without_latent = arguments.baseline, arguments.without_latent
    if musicvae is None:
        musicvae = shipped_checkpoint(DEFAULT_MUSICVAE)
        surrogate = surrogate or shipped_checkpoint(DEFAULT_SURROGATE)
        baseline = baseline or shipped_checkpoint(DEFAULT_BASELINE)
        without_latent = without_latent or shipped_checkpoint(DEFAULT_WITHOUT_LATENT)
    return Networks(
        MusicVAE.from_pretrained(musicvae, device),
        surrogate and load_surrogate(surrogate, device),
        baseline and load_surrogate(baseline, device),
        without_latent and MusicVAE.from_pretrained(without_latent, device),
        load_attributes(musicvae),
        band,
        styled,
    )


def _against(arguments: argparse.Namespace, device: torch.device) -> Any:
    from surrogate.evaluation.against import compare
    from surrogate.options import BAND, AccompanyOptions, default_method
    from surrogate.pipeline import Accompanist

    method = default_method(arguments.musicvae, arguments.band)
    if method != BAND and arguments.surrogate is None:
        method = "refine-only"
    accompanist = Accompanist.from_pretrained(
        arguments.musicvae, arguments.surrogate, str(device), method, band=arguments.band
    )
    options = AccompanyOptions(seed=arguments.seed, method=method)
    return compare(accompanist, arguments.against, options, arguments.seeds, progress=True)


def _write_json(path: Path, numbers: dict[str, Any]) -> None:
    import json

    from musicvae_torch.io.files import replacing

    with replacing(path) as partial:
        partial.write_text(json.dumps(numbers, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(f"{path}: written", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
