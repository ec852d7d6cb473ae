"""What is typed after an option of `accompany`."""

from __future__ import annotations

from argparse import ArgumentTypeError

WISHES = (
    "2 (a track's number), channel:5 (1 to 16), program:73 (0 to 127), name:TEXT, "
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


def temperature(text: str) -> float | dict[str, float]:
    """A number, or one for each part, as in "bass=0.5,drums=0.8"."""
    try:
        if "=" not in text:
            return float(text)
        pairs = (pair.split("=") for pair in parts(text))
        return {part.strip(): float(value) for part, value in pairs}
    except ValueError:
        raise ArgumentTypeError(f"wanted a number, or bass=0.5,drums=0.8, not {text!r}") from None


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
