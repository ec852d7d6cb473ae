"""How training examples of a band are masked: which parts are given, what is said of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from musicvae_torch.errors import OptionError
from musicvae_torch.midi.vocabulary import PARTS, STEPS_PER_BAR
from musicvae_torch.options import Option, check_options, option

if TYPE_CHECKING:
    import numpy as np

MELODY = PARTS.index("melody")
# How often which parts are given; what one is most likely to have is a melody.
GIVEN_WEIGHTS: Mapping[str, float] = {
    "melody": 0.7,
    "bass": 0.05,
    "drums": 0.05,
    "melody+bass": 0.06,
    "melody+drums": 0.06,
    "bass+drums": 0.05,
    "none": 0.03,
}
_SHARES = ("some_bars", "forgotten", "with_chords", "with_density")  # that are no options


@dataclass(frozen=True)
class MaskingOptions:
    """How windows are drawn, and what a band is given of them.

    Attributes:
        bars: share of the batches by the length of their windows, 16 to 64 bars.
        given: weight of each choice of parts that are given, "none" or as "melody+drums".
        without_melody: share of the windows without a melody, which is then neither given nor
            generated.
        some_bars: share of the others in which some bars of the hidden parts are given, too.
        forgetful: share of the windows in which some bars of bass and drums are hidden from the
            player's past, so that it must attend to the listener.
        forgotten: the largest share of bars that it forgets.
        with_chords, with_density: share of windows with chords, and with densities of some parts.
        thin_drums: also use windows whose drums are a single instrument.
    """

    bars: Mapping[int, float] = option(
        factory=lambda: {16: 0.7, 32: 0.2, 64: 0.1},
        metavar="BARS=WEIGHT,...",
        example="16=.7,64=.3",
    )
    given: Mapping[str, float] = field(default_factory=lambda: dict(GIVEN_WEIGHTS))
    without_melody: float = option(0.12, least=0, most=1, metavar="SHARE")
    some_bars: float = 0.15
    forgetful: float = option(0.25, least=0, most=1, metavar="SHARE")
    forgotten: float = 0.5
    with_chords: float = 0.5
    with_density: float = 0.3
    thin_drums: bool = option(False)

    def __post_init__(self) -> None:
        check_options(self)
        for name in _SHARES:
            Option(least=0, most=1).check(name, getattr(self, name))
        for bars in self.bars:
            if not 16 <= bars <= 64:
                raise OptionError(f"windows must be of 16 to 64 bars, not {bars}")
        for name, weights in (("bars", self.bars), ("given", self.given)):
            values = list(weights.values())
            if not all(0 <= value < float("inf") for value in values) or not sum(values):
                raise OptionError(f"{name}: weights must be 0 or more, and one of them above 0")
        for name in self.given:
            parts = [] if name == "none" else name.split("+")
            if not set(parts) < set(PARTS) or len(set(parts)) < len(parts):
                raise OptionError(
                    f"given: unknown choice {name!r}; write it as in melody, bass+drums or none"
                )

    def draw_given(self, steps: int, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
        """Draw what is given of a window, (steps, 3) bool, and whether it has no melody at all."""
        import numpy as np  # not above: the command's help must not wait for it

        given = np.zeros((steps, len(PARTS)), bool)
        if rng.random() < self.without_melody:
            return given, True
        names, weights = list(self.given), np.array(list(self.given.values()))
        name = names[rng.choice(len(names), p=weights / weights.sum())]
        given[:, [part in name.split("+") for part in PARTS]] = True
        if rng.random() < self.some_bars:
            for part in range(len(PARTS)):
                if not given[0, part]:
                    given[:, part] = ~_some_bars(steps, rng)
        return given, False

    def draw_forgotten(self, steps: int, rng: np.random.Generator) -> np.ndarray:
        """Which tokens the player has forgotten: (steps, 3) bool."""
        import numpy as np

        forgotten = np.zeros((steps, len(PARTS)), bool)
        if rng.random() < self.forgetful:
            bars = steps // STEPS_PER_BAR
            lost = rng.random((bars, len(PARTS) - 1)) < rng.uniform(0, self.forgotten)
            forgotten[:, MELODY + 1 :] = lost.repeat(STEPS_PER_BAR, 0)
        return forgotten


def _some_bars(steps: int, rng: np.random.Generator) -> np.ndarray:
    """A few stretches of bars, one at least: (steps,) bool."""
    import numpy as np

    bars = steps // STEPS_PER_BAR
    chosen = np.zeros(bars, bool)
    for _ in range(rng.integers(1, 4)):
        first = rng.integers(bars)
        chosen[first : first + rng.integers(1, bars // 2 + 1)] = True
    return chosen.repeat(STEPS_PER_BAR)
