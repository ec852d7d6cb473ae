"""Fields of dataclasses → options of a command: names, types, meanings and defaults."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from inspect import cleandoc
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from musicvae_torch.errors import OptionError
from musicvae_torch.options import Nested, Option

_KINDS = {int: "a whole number", float: "a number"}
_ATTRIBUTE = re.compile(r"(\w+(?:, \w+)*): (.*)", re.DOTALL)
_MARKUP = re.compile(r":\w+:`~?\.?([^`]*)`|`+([^`]*)`+")
_LARGEST = 65_535  # bound that a user may reach
_NONE = re.compile(r"[;.] None: (.*)$", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """An option of a command.

    Attributes:
        name: of its value; it is typed with dashes.
        about: the values that it may have.
        kind: type of its value.
        help: its meaning and its default.
        default: its value if it is not given.
        path: names of the fields that lead to it, its own last.
    """

    name: str
    about: Option
    kind: Any
    help: str
    default: Any
    path: tuple[str, ...]

    @property
    def required(self) -> bool:
        return self.default is MISSING

    @property
    def typed(self) -> str:
        """How it is typed, for messages."""
        if self.about.positional:
            return self.about.metavar
        dashes = "-" if len(self.name) == 1 else "--"
        return f"{dashes}{self.name.replace('_', '-')}"

    @property
    def is_flag(self) -> bool:
        return _parts(self.kind) == [bool]

    @property
    def is_several(self) -> bool:
        return self.about.many or self.about.repeat

    def read(self, text: str) -> Any:
        """Text → value; of an option of several words, each by itself. Raises ArgumentTypeError for
        text that is no value of this option."""
        try:
            if self.about.read is not None:
                return self.about.read(text)
            value = _read(text, _element(self.kind) if self.is_several else self.kind)
        except OptionError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        except ValueError as error:
            example = self.about.example
            wanted = f"wanted a value such as {example}" if example else str(error)
            raise argparse.ArgumentTypeError(f"{wanted}, not {text!r}") from None
        choices = self.about.choices
        if choices and value not in choices:
            wanted = ", ".join(map(str, choices))
            raise argparse.ArgumentTypeError(f"wanted one of {wanted}, not {text!r}")
        if (bounds := self.about.bounds()) and not self.about.holds(value):
            raise argparse.ArgumentTypeError(f"must be {bounds}, not {text}")
        return value

    def from_file(self, value: Any) -> Any:
        """What a file gives (text, a list or a dict of texts) → value; errors as :meth:`read`."""
        if self.is_flag:
            if value not in ("true", "false"):
                raise argparse.ArgumentTypeError(f"wanted true or false, not {value!r}")
            return (value == "true") != self.default
        if self.is_several:
            return tuple(map(self.read, value if isinstance(value, list) else [value]))
        return self.read(as_text(tuple(value) if isinstance(value, list) else value))

    def to_file(self, value: Any) -> Any:
        """Inverse of :meth:`from_file`; numbers stay numbers."""
        if self.is_flag:
            return value != self.default
        if self.is_several:
            return [as_text(one) for one in value]
        return value if isinstance(value, int | float) else as_text(value)

    def add_to(self, container: argparse._ActionsContainer, given: bool) -> None:
        """Add it to a parser; an option that is `given` elsewhere need not be typed."""
        named: dict[str, Any] = {"help": self.help.replace("%", "%%"), "default": argparse.SUPPRESS}
        if self.about.positional:
            may_lack = given or not self.required
            count = ("*" if may_lack else "+") if self.about.many else "?" if may_lack else None
            named |= {"nargs": count, "metavar": self.about.metavar, "default": None}
            container.add_argument(self.name, type=self.read, **named)
            return
        names = [f"-{self.about.short}"] if self.about.short else []
        names += [self.typed, *([f"--{self.about.also}"] if self.about.also else [])]
        if self.is_flag:
            action = "store_false" if self.default else "store_true"
            container.add_argument(*names, action=action, dest=self.name, **named)
            return
        choices = self.about.choices
        named["metavar"] = self.about.metavar or (
            f"{{{','.join(map(str, choices))}}}" if choices else None
        )
        named["required"] = self.required and not given
        if self.about.many:
            named |= {"nargs": "+", "action": "extend"}
        elif self.about.repeat:
            named["action"] = "append"
        container.add_argument(*names, type=self.read, dest=self.name, **named)


def _parts(kind: Any) -> list[Any]:
    """The types of a value, except None's."""
    union = get_origin(kind) in (Union, UnionType)
    return [one for one in (get_args(kind) if union else [kind]) if one is not type(None)]


def _element(kind: Any) -> Any:
    """The type of each word of an option of several."""
    for part in _parts(kind):
        if get_origin(part) is tuple:
            return get_args(part)[0]
    return kind


def _read(text: str, kind: Any) -> Any:
    """Text → value; raises ValueError, which says what was wanted."""
    (only,) = _parts(kind)  # options of several types have a `read` of their own
    whole, inner = get_origin(only), get_args(only)
    if whole is tuple:
        return tuple(_read(piece, inner[0]) for piece in _pieces(text))
    if whole is not None and issubclass(whole, Mapping):
        key, value = inner
        pairs = [piece.partition("=") for piece in _pieces(text)]
        if not all(equals for _, equals, _ in pairs):
            raise ValueError("wanted NAME=NUMBER, ...")
        return {_read(k.strip(), key): _read(v.strip(), value) for k, _, v in pairs}
    if only is Path and not text.strip():  # as of a variable of the shell that is not set
        raise ValueError("wanted the name of a file or a folder")
    try:
        return only(text)
    except ValueError:
        raise ValueError(f"wanted {_KINDS[only]}") from None


def _pieces(text: str) -> list[str]:
    pieces = [piece.strip() for piece in text.split(",") if piece.strip()]
    if not pieces:
        raise ValueError("wanted some, with commas between")
    return pieces


def as_text(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, Mapping):
        return ",".join(f"{key}={as_text(one)}" for key, one in value.items())
    if isinstance(value, tuple):
        if value and isinstance(value[0], tuple):  # ranges
            return ",".join(f"{a}-{b}" if a != b else str(a) for a, b in value)
        return ",".join(map(as_text, value))
    if isinstance(value, float):
        return f"{value:.10g}" if float(f"{value:.10g}") == value else repr(value)
    return str(value)


def entries(kind: type) -> list[Entry]:
    """The options of a dataclass, those of nested ones in their places."""
    return list(_entries(kind, None, (), Nested(kind)))


def _entries(kind: type, default: Any, path: tuple[str, ...], nested: Nested) -> Iterator[Entry]:
    hints, meanings = get_type_hints(kind), _meanings(kind)
    typed = {
        each.name: f"--{each.metadata['option'].flag or each.name.replace('_', '-')}"
        for each in fields(kind)
        if "_" in each.name and "option" in each.metadata
    }
    for each in fields(kind):
        place = (*path, each.name)
        if (inner := each.metadata.get("options")) is not None:
            defaults = default_of(each) if inner.built else None
            yield from _entries(inner.kind, defaults, place, inner)
            continue
        about: Option | None = each.metadata.get("option")
        if about is None or {each.name, about.group} & set(nested.without):
            continue
        usual = nested.usual.get(each.name, about.usual)
        value = default_of(each) if default is None else getattr(default, each.name)
        yield Entry(
            name=(about.flag or each.name).replace("-", "_"),
            about=replace(about, group=about.group or nested.group, usual=usual),
            kind=hints[each.name],
            help=_help(
                _renamed(about.help or meanings.get(each.name, ""), typed), value, usual, about
            ),
            default=value,
            path=place,
        )


def default_of(each: Field[Any]) -> Any:
    return each.default if each.default_factory is MISSING else each.default_factory()


def _meanings(kind: type) -> dict[str, str]:
    """By field, what the docstrings of a class and of its bases say under Attributes."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if not is_dataclass(each):
            continue
        section = cleandoc(each.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
        for text in re.split(r"\n    (?! )", f"\n{section}"):
            if match := _ATTRIBUTE.match(text.strip()):
                meaning = _MARKUP.sub(lambda m: m[1] or m[2], " ".join(match[2].split()))
                found |= dict.fromkeys(match[1].split(", "), re.sub(r"(?<!\.)\.$", "", meaning))
    return found


def _renamed(text: str, typed: Mapping[str, str]) -> str:
    """A text with the fields' names replaced by the options as they are typed."""
    return re.sub(r"\w+", lambda word: typed.get(word[0], word[0]), text)


def _help(meaning: str, default: Any, usual: str | None, about: Option) -> str:
    """A meaning with the range and the default, in brackets."""
    if usual is None and default is None and (match := _NONE.search(meaning)):
        usual = match[1]
    meaning = _NONE.sub("", meaning)
    if usual is None and not isinstance(default, bool) and default not in (None, MISSING, ()):
        usual = as_text(default)
    facts = [_range(about), f"default: {usual}" if usual else ""]
    known = "; ".join(fact for fact in facts if fact)
    return f"{meaning} ({known})".strip() if known else meaning


def _range(about: Option) -> str:
    """The bounds of a number that has a lower and an upper one; not those of a machine's numbers,
    such as a seed's."""
    upper = about.most if about.most is not None else about.below
    lower = about.least if about.least is not None else about.above
    return "" if lower is None or upper is None or upper > _LARGEST else about.bounds()
