"""Options as fields of dataclasses, which give the range and the choices beside the default.

:func:`option` makes such a field, and :func:`check_options` checks the values, whether they come
from Python, from a command line or from a file; ``musicvae_torch.cli.command`` makes a command line
of the fields. What an option means stands in the class's docstring, under ``Attributes:``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from musicvae_torch.errors import OptionError

NO_DEFAULT: Any = MISSING
_BOUNDS = {
    "least": ("at least", operator.ge),
    "above": ("above", operator.gt),
    "most": ("at most", operator.le),
    "below": ("below", operator.lt),
}
DTYPES = ("float32", "bfloat16", "int8")  # of products
MODES = ("train", "eval", "infer")  # of converters


@dataclass(frozen=True)
class Option:
    """The values that an option may have, and how it is typed.

    Attributes:
        least, above, most, below: bounds of a number; `above` and `below` themselves are too far.
        choices: all permitted values.
        flag: its name on the command line, without dashes; empty: that of the field.
        short: a single letter for it.
        also: another spelling of it.
        metavar: what stands for its value in the help.
        example: a value, for errors.
        group: heading in the help.
        positional: whether it is typed without a flag.
        many: whether several words may follow.
        repeat: whether it may be given more than once.
        read: text → value, for values that the type does not describe; raises ValueError.
        help: replaces the docstring's words.
        usual: replaces the default's value in the help; empty: the help has no default.
    """

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    choices: tuple[Any, ...] = ()
    flag: str = ""
    short: str = ""
    also: str = ""
    metavar: str = ""
    example: str = ""
    group: str = ""
    positional: bool = False
    many: bool = False
    repeat: bool = False
    read: Callable[[str], Any] | None = None
    help: str = ""
    usual: str | None = None

    def bounds(self) -> str:
        """The bounds in words; empty: there are none."""
        given = {name: getattr(self, name) for name in _BOUNDS if getattr(self, name) is not None}
        if given.keys() == {"least", "most"}:
            return f"{given['least']} to {given['most']}"
        if given.keys() == {"least", "below"}:
            return f"from {given['least']} to below {given['below']}"
        return " and ".join(f"{_BOUNDS[name][0]} {bound}" for name, bound in given.items())

    def check(self, name: str, value: Any) -> None:
        """Raise OptionError if the value of the option `name` is out of bounds, or no choice."""
        if self.choices and value not in self.choices:
            raise OptionError(
                f"unknown {name} {value!r}; choose one of: {', '.join(map(str, self.choices))}"
            )
        if (bounds := self.bounds()) and not self.holds(value):
            raise OptionError(f"{name} must be {bounds}, not {value}")

    def holds(self, value: float) -> bool:
        """Whether a number is within the bounds."""
        bounds = [(within, getattr(self, name)) for name, (_, within) in _BOUNDS.items()]
        return math.isfinite(value) and all(
            bound is None or within(value, bound) for within, bound in bounds
        )


@dataclass(frozen=True)
class Nested:
    """A field that holds a dataclass, whose fields are options of the command, too.

    Attributes:
        kind: the dataclass.
        built: whether the value is an instance of it; else a dict of the options that were given.
        without: groups and fields that the command does not have.
        usual: by field, what replaces the default's value in the help.
        group: heading in the help of options that have none of their own.
    """

    kind: type
    built: bool = True
    without: Collection[str] = ()
    usual: Mapping[str, str] = field(default_factory=dict)
    group: str = ""


def option(default: Any = NO_DEFAULT, *, factory: Any = NO_DEFAULT, **about: Any) -> Any:
    """A field that is an option; `about` are fields of :class:`Option`."""
    metadata = {"option": Option(**about)}
    if factory is not NO_DEFAULT:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def options_of(kind: type, default: Any = None, **about: Any) -> Any:
    """A field that holds options of the dataclass `kind`, by default the instance `default`, or
    one of the class's own defaults; `about` are fields of :class:`Nested`."""
    nested = Nested(kind, **about)
    factory: Any = dict
    if nested.built:
        factory = kind if default is None else lambda: default
    return field(default_factory=factory, metadata={"options": nested})


def check_options(options: Any) -> None:
    """Raise OptionError if an option of a dataclass is out of bounds, or no choice; None is
    neither."""
    for each in fields(options):
        about: Option | None = each.metadata.get("option")
        value = getattr(options, each.name)
        if about is None or value is None or isinstance(value, Mapping):
            continue
        for one in value if isinstance(value, tuple) else [value]:
            about.check(each.name, one)


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers and ranges of them, as in "1-4,17"; raises ValueError for other text."""
    return tuple(n for first, last in ranges(text) for n in range(first, last + 1))


def ranges(text: str) -> tuple[tuple[int, int], ...]:
    """First and last of ranges of whole numbers, as in "1-4,17"; ValueError for other text."""
    pieces = [piece.strip() for piece in text.split(",") if piece.strip()]
    pairs = [piece.partition("-") for piece in pieces]
    return tuple((int(first), int(last if dash else first)) for first, dash, last in pairs)


def programs(text: str) -> tuple[int, ...]:
    """Program numbers and ranges of them, as in "0-31,80-87".

    Raises:
        OptionError: the text names no program, or one that does not exist.
    """
    try:
        found = numbers(text)
    except ValueError:
        raise OptionError(f"wanted programs such as 0-31,80-87, not {text!r}") from None
    if not found or min(found) < 0 or max(found) > 127:
        raise OptionError(f"programs run from 0 to 127, not {text!r}")
    return found
