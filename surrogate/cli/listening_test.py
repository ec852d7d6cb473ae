"""The command `listening-test`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from musicvae_torch.cli.command_line import Idle, command, read_arguments, run_command
from musicvae_torch.errors import OptionError, OutputError
from surrogate.arguments import at_least

EXAMPLES = """examples:
  listening-test plain busier -o test.html
  listening-test ours=plain theirs=downloads --melody tunes --bars 1-16 -o test.html
  listening-test --votes votes-*.json
"""
PAGES = (".html", ".htm")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="listening-test",
        description="Make a page on which people compare bands by ear, in pairs and blind; then "
        "read their votes.\nFiles of one name in several folders are one song, by several systems.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folders",
        type=str,
        nargs="*",
        metavar="[NAME=]FOLDER",
        help="of MIDI files, one for each system; its name is the folder's, or NAME",
    )
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="the page, a .html file")
    parser.add_argument(
        "--melody",
        type=Path,
        metavar="FOLDER",
        help="MIDI files of the melodies alone, to be heard beside the bands",
    )
    part = parser.add_mutually_exclusive_group()
    part.add_argument(
        "--seconds",
        type=_seconds,
        default=30.0,
        metavar="S",
        help="how much of each song is heard, from its first note (default: 30)",
    )
    part.add_argument(
        "--bars", type=_bars, metavar="BARS", help="the bars that are heard, from 1, as in 1-16"
    )
    parser.add_argument(
        "--pairs",
        type=at_least(1),
        metavar="N",
        help="most pairs for each listener, drawn anew for each (default: all)",
    )
    parser.add_argument("--title", metavar="TEXT", help="of the page (default: Listening test)")
    parser.add_argument(
        "--soundfont", type=Path, metavar="SF2", help="instruments for the sound (.sf2, .sf3)"
    )
    parser.add_argument(
        "--seed",
        type=at_least(0),
        default=0,
        help="of the order of sounds in the page (default: 0)",
    )
    parser.add_argument(
        "--votes",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="instead: votes that listeners sent, to be told as a Markdown table",
    )
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 2 <= seconds <= 600:
        raise argparse.ArgumentTypeError(f"wanted 2 to 600 seconds, not {text!r}")
    return seconds


def _bars(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text.strip())
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last:
        raise argparse.ArgumentTypeError(f"wanted bars such as 1-16, not {text!r}")
    return first, last


_IDLE = (
    Idle(
        "but --votes",
        lambda own: own.votes is not None,
        "--votes reads votes and makes no page; leave it out",
    ),
)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 2 for what the user can mend."""
    arguments = read_arguments(parser(), argv)
    if arguments.votes and arguments.folders:
        parser().error("name folders to compare, or files of votes to read, not both")
    if not arguments.votes:
        if len(arguments.folders) < 2:
            parser().error("name at least two folders to compare, or votes: --votes FILE ...")
        if arguments.out is None:
            parser().error("say where the page goes: -o test.html")
    return run_command("listening-test", _read if arguments.votes else _make, arguments, _IDLE)


def _read(arguments: argparse.Namespace) -> None:
    from surrogate.evaluation.listening.tables import report
    from surrogate.evaluation.listening.votes import matching, read_votes

    print(report(read_votes(matching(arguments.votes))))


def _make(arguments: argparse.Namespace) -> None:
    from surrogate.evaluation.listening.excerpts import Excerpt
    from surrogate.evaluation.listening.page import TITLE, write_test

    out = arguments.out
    if out.is_dir():
        raise OutputError(f"{out}: is a folder; name the file to write")
    if out.suffix.lower() not in PAGES:
        raise OptionError(f"{out}: the page is HTML; name a file that ends in .html")
    systems = _systems(arguments.folders)
    made = write_test(
        out,
        systems,
        arguments.melody,
        Excerpt(arguments.seconds, arguments.bars),
        arguments.title or TITLE,
        arguments.pairs,
        arguments.seed,
        arguments.soundfont,
        progress=True,
    )
    for line in made.left_out:
        print(f"left out: {line}")
    songs = "1 song" if len(made.songs) == 1 else f"{len(made.songs)} songs"
    pairs = "1 pair" if made.pairs == 1 else f"{made.pairs} pairs"
    minutes = "1 minute" if made.minutes == 1 else f"{made.minutes} minutes"
    print(f"{songs} by {len(systems)} systems; {pairs} a listener, about {minutes}")
    print(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")


def _systems(words: Sequence[str]) -> dict[str, Path]:
    """Folders as typed, by the names of their systems.

    Raises:
        OptionError: two have one name, or one has none.
    """
    from musicvae_torch.io.files import printable

    systems: dict[str, Path] = {}
    for word in words:
        name, equals, place = word.partition("=")
        folder = Path(place) if equals and not Path(word).exists() else Path(word)
        name = printable(name.strip() if folder != Path(word) else folder.resolve().name)
        if not name:
            raise OptionError(f"{word}: no name for a system; write NAME=FOLDER")
        if name in systems:
            raise OptionError(f"{folder}: {systems[name]} is called {name}, too; write NAME=FOLDER")
        systems[name] = folder
    return systems


if __name__ == "__main__":
    sys.exit(main())
