"""Options as fields of dataclasses: what each may be stands once, beside its default.

:func:`option` makes such a field, :func:`check_options` holds the values to it, whether they come
from Python, from a command line or from a file; ``musicvae_torch.cli.command`` makes the command
line of it. What an option means stands in the class's docstring, under ``Attributes:``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from musicvae_torch.errors import OptionError

NO_DEFAULT: Any = MISSING
_BOUNDS = {"least": "at least", "above": "above", "most": "at most", "below": "below"}
DTYPES = ("float32", "bfloat16", "int8")  # of products
MODES = ("train", "eval", "infer")  # of converters


@dataclass(frozen=True)
class Option:
    """What a field of options may be, and how it is typed.

    Attributes:
        least, above, most, below: bounds of a number; `above` and `below` are outside.
        choices: all that it may be.
        flag: how it is typed, without dashes; empty: as the field is called.
        short: a letter that does as well.
        also: another spelling that does as well.
        metavar: what stands for its value in the help.
        example: a value, for errors.
        group: heading in the help.
        positional: whether it is typed without a flag.
        many: whether several words may follow.
        repeat: whether it may be given more than once.
        read: text → value, for values of which the type says too little; raises ValueError.
        help: in place of the docstring's words.
        usual: what is said of the default, in place of its value; empty: nothing.
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
        bounds = {name: getattr(self, name) for name in _BOUNDS}
        said = {name: str(bound) for name, bound in bounds.items() if bound is not None}
        if said.keys() == {"least", "most"}:
            return f"{said['least']} to {said['most']}"
        if said.keys() == {"least", "below"}:
            return f"from {said['least']} to below {said['below']}"
        return " and ".join(f"{_BOUNDS[name]} {bound}" for name, bound in said.items())

    def check(self, name: str, value: Any) -> None:
        """Raises:
        OptionError: the value of the option `name` is out of bounds, or no choice.
        """
        if self.choices and value not in self.choices:
            raise OptionError(
                f"unknown {name} {value!r}; choose one of: {', '.join(map(str, self.choices))}"
            )
        bounds = self.bounds()
        if bounds and not self.holds(value):
            raise OptionError(f"{name} must be {bounds}, not {value}")

    def holds(self, value: float) -> bool:
        """Whether a number is within the bounds."""
        return (
            math.isfinite(value)
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )


@dataclass(frozen=True)
class Nested:
    """A field whose own fields are options of the command, too.

    Attributes:
        kind: the dataclass of these.
        built: whether the value is an instance of it; else a dict of those that were given.
        without: groups and fields that the command does not have.
        usual: what is said of defaults, by field, in place of their values.
        group: heading in the help of those that have none of their own.
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
    """A field that holds options of another dataclass; `about` are fields of :class:`Nested`.

    Args:
        kind: that dataclass.
        default: an instance with the defaults; None: those of the class.
    """
    nested = Nested(kind, **about)
    factory: Any = dict
    if nested.built:
        factory = kind if default is None else lambda: default
    return field(default_factory=factory, metadata={"options": nested})


def check_options(options: Any) -> None:
    """Hold a dataclass's values to what its options may be; None may be any.

    Raises:
        OptionError: one is out of bounds, or no choice.
    """
    for each in fields(options):
        about: Option | None = each.metadata.get("option")
        value = getattr(options, each.name)
        if about is None or value is None or isinstance(value, Mapping):
            continue
        for one in value if isinstance(value, tuple) else [value]:
            about.check(each.name, one)


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers and ranges of them, as in "1-4,17".

    Raises:
        ValueError: the text is of another form.
    """
    found: list[int] = []
    for first, last in ranges(text):
        found += range(first, last + 1)
    return tuple(found)


def ranges(text: str) -> tuple[tuple[int, int], ...]:
    """First and last of ranges of whole numbers, as in "1-4,17".

    Raises:
        ValueError: the text is of another form.
    """
    pieces = [piece.strip() for piece in text.split(",") if piece.strip()]
    pairs = [piece.partition("-") for piece in pieces]
    return tuple((int(first), int(last if dash else first)) for first, dash, last in pairs)


def programs(text: str) -> tuple[int, ...]:
    """Program numbers and ranges of them, as in "0-31,80-87".

    Raises:
        OptionError: there are none, or no such programs.
    """
    try:
        found = numbers(text)
    except ValueError:
        raise OptionError(f"wanted programs such as 0-31,80-87, not {text!r}") from None
    if not found or min(found) < 0 or max(found) > 127:
        raise OptionError(f"programs run from 0 to 127, not {text!r}")
    return found
