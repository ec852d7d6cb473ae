"""The command `listening-test`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from musicvae_torch.cli.command import Command
from musicvae_torch.cli.command_line import Idle
from musicvae_torch.errors import OptionError, OutputError
from musicvae_torch.options import option

EXAMPLES = """examples:
  listening-test plain busier -o test.html
  listening-test ours=plain theirs=downloads --melody tunes --bars 1-16 -o test.html
  listening-test --votes votes-*.json
"""
PAGES = (".html", ".htm")


def _bars(text: str) -> tuple[tuple[int, int]]:
    """The first and the last bar as typed: "1-16"."""
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text.strip())
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last:
        raise OptionError(f"wanted bars such as 1-16, not {text!r}")
    return ((first, last),)


@dataclass(kw_only=True)
class ListeningTest:
    """Make a web page on which listeners compare bands in pairs, without knowing which system made
    them; then count their votes. Files of the same name in several folders are one song by several
    systems.

    Attributes:
        folders: folders of MIDI files, one for each system; a system is called NAME or, without it,
            as its folder is.
        out: the page to write, a .html file.
        melody: folder with MIDI files of the melodies alone, which listeners can play as a
            reference.
        seconds: length of the excerpt of each song, from its first note, in seconds.
        bars: the bars of the excerpt, counted from 1, as in 1-16, in place of --seconds.
        pairs: largest number of pairs for each listener, drawn for each listener; None: all.
        title: title of the page.
        soundfont: SoundFont whose instruments make the sound (.sf2); None: that of pretty_midi.
        seed: seed of the order of the sounds in the page.
        votes: in place of folders: the files of votes that listeners sent, to be counted in a
            Markdown table.
    """

    folders: tuple[str, ...] = option((), positional=True, many=True, metavar="[NAME=]FOLDER")
    out: Path | None = option(None, short="o", metavar="FILE")
    melody: Path | None = option(None, metavar="FOLDER")
    seconds: float = option(30.0, least=2, most=600, metavar="S")
    bars: tuple[tuple[int, int], ...] | None = option(None, read=_bars, metavar="BARS")
    pairs: int | None = option(None, least=1, metavar="N")
    title: str = option("Listening test", metavar="TEXT")
    soundfont: Path | None = option(None, metavar="SF2")
    seed: int = option(0, least=0, metavar="N")
    votes: tuple[Path, ...] = option((), many=True, metavar="FILE")

    def __post_init__(self) -> None:
        if self.votes and self.folders:
            raise OptionError("name folders to compare, or files of votes to read, not both")
        if not self.votes and len(self.folders) < 2:
            raise OptionError("name at least two folders to compare, or votes: --votes FILE ...")
        if not self.votes and self.out is None:
            raise OptionError("say where the page goes: -o test.html")


_IDLE = (
    Idle("--seconds", lambda own: own.bars is not None, "--bars takes its place; leave one out"),
    Idle(
        "but --votes",
        lambda own: bool(own.votes),
        "--votes reads votes and makes no page; leave it out",
    ),
)


def run(options: ListeningTest) -> None:
    if not options.votes:
        _make(options)
        return
    from surrogate.evaluation.listening.report import report
    from surrogate.evaluation.listening.votes import matching, read_votes

    print(report(read_votes(matching(options.votes))))


def _make(options: ListeningTest) -> None:
    from surrogate.evaluation.listening.excerpts import Excerpt
    from surrogate.evaluation.listening.page import write_test

    out = options.out
    assert out is not None
    if out.is_dir():
        raise OutputError(f"{out}: is a folder; name the file to write")
    if out.suffix.lower() not in PAGES:
        raise OptionError(f"{out}: the page is HTML; name a file that ends in .html")
    systems = _systems(options.folders)
    made = write_test(
        out,
        systems,
        options.melody,
        Excerpt(options.seconds, options.bars[0] if options.bars else None),
        options.title,
        options.pairs,
        options.seed,
        options.soundfont,
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


main = Command("listening-test", ListeningTest, run, EXAMPLES, _IDLE)
