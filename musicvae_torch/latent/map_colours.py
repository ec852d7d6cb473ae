"""Colours of a map of latents: by the source of each window, or by one of its attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musicvae_torch.analysis.attributes import ATTRIBUTES, attribute_names, window_parts
from musicvae_torch.config import MusicVAEConfig
from musicvae_torch.errors import ConfigError, OptionError
from musicvae_torch.windows.tensors import token_width

SOURCE = "source"
UNDEFINED = "#c4c4c4"  # of windows without a value
SCALE_MAP = "viridis"
_MOST_SOURCES = 10
# The percentiles that colours span, so that a few outliers do not make all others look alike.
_SPAN = (2, 98)


@dataclass(frozen=True, eq=False)
class Sources:
    """Windows by the top-level folders of their songs.

    Attributes:
        labels: the folders with most windows first; then "others", if more are left.
        of: (windows,) index in `labels`.
    """

    labels: tuple[str, ...]
    of: np.ndarray
    name: str = SOURCE

    @classmethod
    def count(cls, sources: Sequence[str]) -> Sources:
        """Rank the sources of windows by how many windows each has."""
        ranked = [name for name, _ in Counter(sources).most_common()]
        shown = ranked if len(ranked) <= _MOST_SOURCES else ranked[: _MOST_SOURCES - 1]
        labels = (*shown, "others") if len(shown) < len(ranked) else tuple(shown)
        rows = {name: row for row, name in enumerate(shown)}
        return cls(labels, np.array([rows.get(name, len(shown)) for name in sources]))

    def legend(self) -> list[str]:
        """Each label with its number of windows."""
        counts = np.bincount(self.of, minlength=len(self.labels))
        return [f"{label} ({count})" for label, count in zip(self.labels, counts, strict=True)]


@dataclass(frozen=True, eq=False)
class Scale:
    """Windows by an attribute.

    Attributes:
        name: of the attribute.
        values: (windows,), NaN where undefined.
        unit: of them.
        low, high: values at the ends of the colours, low < high; values beyond have the colour of
            the nearer end.
    """

    name: str
    values: np.ndarray
    unit: str
    low: float
    high: float

    @classmethod
    def span(cls, name: str, values: np.ndarray) -> Scale:
        """Choose the ends of the colours for the values of an attribute of ATTRIBUTES."""
        known = values[~np.isnan(values)]
        low, high = np.percentile(known, _SPAN) if len(known) else (0.0, 1.0)
        if not high > low:
            # Most windows have the same value, as of something rare; or all have.
            low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
        if not high > low:
            low, high = low - 0.5, low + 0.5
        return cls(name, values, ATTRIBUTES[name].unit, float(low), float(high))

    @property
    def undefined(self) -> int:
        """How many windows have no value."""
        return int(np.isnan(self.values).sum())

    @property
    def beyond(self) -> tuple[bool, bool]:
        """Whether values lie below `low`, and above `high`."""
        return bool((self.values < self.low).any()), bool((self.values > self.high).any())

    def legend(self) -> str:
        """The words for windows without a value."""
        return f"undefined ({self.undefined})"


def colour_names(config: MusicVAEConfig) -> tuple[str, ...]:
    """What a config's windows can be coloured by: "source", and their attributes, if any."""
    empty = np.zeros((1, config.max_seq_len, token_width(config)), np.int16)
    try:
        return (SOURCE, *attribute_names(window_parts(config, empty).names))
    except ConfigError:
        return (SOURCE,)


def check_colour(name: str, config: MusicVAEConfig) -> None:
    """Raise OptionError, before any work, if a config's windows cannot be coloured by this."""
    names = colour_names(config)
    if name not in names:
        raise OptionError(
            f"--color {name}: windows of config {config.name!r} cannot be coloured by it; choose "
            f"{'one of: ' if len(names) > 1 else 'what they can be: '}{', '.join(names)}"
        )
