"""What is typed after options of the commands."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from typing import Any

TRACK_QUERY = (
    "2 (a track's number), 0,3 (several), channel:5 (1 to 16), program:73 (0 to 127), name:TEXT, "
    "instrument:TEXT, or TEXT of either"
)
FORMATS = ("mid", "png", "svg", "wav", "html")


def parts(text: str) -> tuple[str, ...]:
    """Parts, as in "melody,drums"; whether there are such is checked with the other options."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def formats(text: str) -> tuple[str, ...]:
    """Formats, as in "mid,html"."""
    wanted = parts(text.lower())
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown or not wanted:
        raise ArgumentTypeError(f"wanted some of {','.join(FORMATS)}, not {text!r}")
    return wanted


def at_least(least: int) -> Callable[[str], int]:
    """Whole numbers, as in "8", from `least` on."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise ArgumentTypeError(f"wanted a number of at least {least}, not {text!r}")
        return int(text)

    return parse


def given(arguments: Namespace, *names: str) -> dict[str, Any]:
    """Those of the arguments that were given, of such as are None otherwise."""
    values = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def temperature(text: str) -> float | dict[str, float]:
    """A number, or one for each part, as in "bass=0.5,drums=0.8"."""
    try:
        if "=" not in text:
            return float(text)
        pairs = (pair.split("=") for pair in parts(text))
        return {part.strip(): float(value) for part, value in pairs}
    except ValueError:
        raise ArgumentTypeError(f"wanted a number, or bass=0.5,drums=0.8, not {text!r}") from None


def track_query(texts: Sequence[str] | None) -> str | tuple[str, ...] | None:
    """A part's track query, or several; None: none was given."""
    if not texts:
        return None
    return texts[0] if len(texts) == 1 else tuple(texts)


def beat(text: str) -> str | float:
    """Where the beats are: a word, or quarter notes a minute."""
    try:
        return float(text)
    except ValueError:
        return text.strip().lower()


def bar_ranges(text: str) -> tuple[tuple[int, int], ...]:
    """Bars, as in "1-4,17"."""
    ranges = []
    for piece in parts(text):
        first, _, last = piece.partition("-")
        try:
            ranges.append((int(first), int(last or first)))
        except ValueError:
            raise ArgumentTypeError(f"wanted bars such as 1-4,17, not {text!r}") from None
    return tuple(ranges)
