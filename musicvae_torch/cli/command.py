"""Commands: command lines that are made of dataclasses of options.

The dataclass of a :class:`Command` gives the options (see ``musicvae_torch.options``), and its
docstring their meaning; a function takes an instance and does the work. Every command also reads a
file of options with ``--options`` and prints one with ``--print-options``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from difflib import get_close_matches
from inspect import cleandoc
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from musicvae_torch.cli.command_line import Idle, closing_pipes, refuse_idle, run_command
from musicvae_torch.cli.entries import Entry, default_of, entries
from musicvae_torch.errors import OptionError
from musicvae_torch.options import check_options

Values = dict[str, Any]
_READ, _PRINT = "--options", "--print-options"


class Parser(argparse.ArgumentParser):
    """A parser that raises an OptionError instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument ")
        unknown = re.match(r"unrecognized arguments: --([\w-]+)", message)
        names = [name[2:] for name in self._option_string_actions if name.startswith("--")]
        near = get_close_matches(unknown[1], names, 1) if unknown else []
        meant = f"; did you mean --{near[0]}?" if near else ""
        raise OptionError(f"{message}{meant} (--help explains)")


@dataclass(frozen=True)
class Command:
    """A command of the shell; calling it with arguments runs it and gives the exit status.

    Attributes:
        name: the word that is typed.
        options: dataclass of its options, whose docstring begins with what the command does.
        run: does the work, given an instance.
        examples: the end of the help.
        idle: options that would do nothing.
        preset: values that were given → defaults that replace the dataclass's.
        brief: of a subcommand, what it does in few words.
    """

    name: str
    options: type
    run: Callable[[Any], object]
    examples: str
    idle: Sequence[Idle] = ()
    preset: Callable[[Values], Values] | None = None
    brief: str = ""

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        words = sys.argv[1:] if argv is None else list(argv)
        with closing_pipes():
            return run_command(self.name, lambda: self._work(words))

    def _work(self, words: list[str]) -> None:
        own = entries(self.options)
        printed = _PRINT in words
        typed, filed = self.read(words, own)
        given = filed | typed
        chosen = (self.preset(given) if self.preset else {}) | given
        if printed:
            print(as_file(chosen, own), end="")
            return
        values = SimpleNamespace(**{entry.name: entry.default for entry in own} | chosen)
        options = [e.typed for e in own if e.name in typed and not e.about.positional]
        refuse_idle(options, values, self.idle)
        self.run(build(self.options, own, chosen))

    def read(self, words: list[str], own: Sequence[Entry]) -> tuple[Values, Values]:
        """Values that were typed, and those of files of options, by name.

        Raises:
            OptionError: a word or a line of a file cannot be understood.
        """
        filed: Values = {}
        for number, word in enumerate(words):
            if word.startswith(f"{_READ}="):
                filed |= read_file(Path(word.partition("=")[2]), self.name, own)
            elif word == _READ and number + 1 < len(words):
                filed |= read_file(Path(words[number + 1]), self.name, own)
        given = [entry.name for entry in own] if _PRINT in words else filed
        parsed = vars(self.parser(own, given).parse_args(words))
        listed = {n: tuple(v) if isinstance(v, list) else v for n, v in parsed.items()}
        typed = {entry.name: listed.get(entry.name) for entry in own}
        return {name: value for name, value in typed.items() if value not in (None, ())}, filed

    def help(self) -> str:
        """What --help prints."""
        return self.parser(entries(self.options)).format_help()

    def parser(self, own: Sequence[Entry], given: Collection[str] = ()) -> argparse.ArgumentParser:
        """The command line; options that are `given` elsewhere, as in a file, need not be typed."""
        parser = Parser(
            prog=self.name,
            description=cleandoc(self.options.__doc__ or "").partition("\n\nAttributes:")[0],
            epilog=self.examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        groups: dict[str, argparse._ActionsContainer] = {"": parser}
        for entry in own:
            title, _, text = entry.about.group.partition(": ")
            if title not in groups:
                groups[title] = parser.add_argument_group(title, text or None)
            entry.add_to(groups[title], given=entry.name in given)
        group = parser.add_argument_group("files of options")
        about = "read options from a YAML file; those on the command line take precedence"
        group.add_argument(_READ, dest=_READ, action="append", metavar="FILE.yaml", help=about)
        about = "print all options and their values as such a file, and stop"
        group.add_argument(_PRINT, dest=_PRINT, action="store_true", help=about)
        return parser


def build(kind: type, own: Sequence[Entry], given: Values) -> Any:
    """Make an instance of a dataclass of options from values by name and defaults.

    Raises:
        OptionError: a value is out of range, or some do not go together.
    """
    direct = [entry for entry in own if len(entry.path) == 1 and entry.name in given]
    chosen: Values = {entry.path[0]: given[entry.name] for entry in direct}
    for each in fields(kind):
        if (nested := each.metadata.get("options")) is not None:
            inner = [e for e in own if e.path[0] == each.name and e.name in given]
            changes = {entry.path[1]: given[entry.name] for entry in inner}
            chosen[each.name] = replace(default_of(each), **changes) if nested.built else changes
    made = kind(**chosen)
    check_options(made)
    return made


def read_file(path: Path, command: str, own: Sequence[Entry]) -> Values:
    """Values of a file of options, by name: YAML that gives what would be typed after each option.

    Raises:
        OptionError: it cannot be read, or holds an unknown option or a wrong value.
    """
    import yaml

    try:
        # This loader makes all values text: `harmony: off` is no truth value.
        content = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise OptionError(f"{path}: not readable as a file of options: {reason}") from None
    if not isinstance(content, dict):
        raise OptionError(f"{path}: holds no options; wanted lines such as `seed: 3`")
    known = {name: entry for entry in own for name in (entry.name, entry.about.also) if name}
    values: Values = {}
    for key, value in content.items():
        name = str(key).replace("-", "_")
        if name not in known:
            near = get_close_matches(name, known, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise OptionError(f"{path}: {key}: {command} has no such option{meant}")
        if value in ("", "null", "~"):
            continue
        try:
            values[known[name].name] = known[name].from_file(value)
        except argparse.ArgumentTypeError as error:
            raise OptionError(f"{path}: {key}: {error}") from None
    return values


def as_file(chosen: Values, own: Sequence[Entry]) -> str:
    """A file of options that gives all that have a value, chosen or by default."""
    import yaml

    values = {}
    for entry in own:
        value = chosen.get(entry.name, None if entry.about.usual is not None else entry.default)
        if entry.name in chosen or value not in (None, MISSING, ()):
            values[entry.name] = entry.to_file(value)
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
