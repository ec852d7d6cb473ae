"""The effects of attribute vectors: latents are moved and decoded, and the music is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor
from tqdm import tqdm

from musicvae_torch.analysis.attributes import measure, window_parts
from musicvae_torch.attribute_vectors.directions import held_still
from musicvae_torch.attribute_vectors.vectors import AttributeVectors
from musicvae_torch.errors import DatasetError
from musicvae_torch.io.markdown import markdown_table
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.encoding import TEMPERATURE, decode_tokens

STRENGTHS = (-2.0, -1.0, 0.0, 1.0, 2.0)
_BATCH_SIZE = 256


@dataclass(frozen=True, eq=False)
class Effects:
    """Attributes of the music that moved latents decode to.

    Attributes:
        names: of the attributes, which are both moved and measured.
        units: of each.
        strengths: ascending, 0 among them.
        values: (moved, strengths, measured) means over windows, in the attributes' units.
        shifts: the same, as changes from strength 0 over the windows that have the attribute at
            both, in standard deviations of the music that the vectors were learnt of.
        windows: how many.
        temperature: at which they were decoded.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    strengths: tuple[float, ...]
    values: np.ndarray
    shifts: np.ndarray
    windows: int
    temperature: float

    def matrix(self) -> np.ndarray:
        """(moved, measured): changes in standard deviations for each 1 of strength, between the
        weakest strengths of either sign."""
        middle = self.strengths.index(0.0)
        low, high = middle - 1, middle + 1
        change: np.ndarray = self.shifts[:, high] - self.shifts[:, low]
        return change / (self.strengths[high] - self.strengths[low])

    def rises(self, name: str) -> bool:
        """Whether an attribute rises from each strength to the next when it is moved."""
        index = self.names.index(name)
        return bool((np.diff(self.shifts[index, :, index]) > 0).all())

    def side_effects(self, name: str) -> dict[str, float]:
        """Changes of the attributes that are to stay when `name` is moved, in standard deviations
        for each 1 of strength."""
        row = self.matrix()[self.names.index(name)]
        return {other: row[self.names.index(other)] for other in held_still(name, self.names)}

    def __str__(self) -> str:
        """Two Markdown tables."""
        return f"{self.own_table()}\n\n{self.matrix_table()}"

    def own_table(self) -> str:
        """Each attribute at each strength, and the other one that changes most."""
        heads = ["moved", "unit", *(f"{strength:+g}" for strength in self.strengths)]
        heads += ["rises throughout", "sd for each 1", "others, rms sd", "most"]
        rows = []
        for index, (name, unit) in enumerate(zip(self.names, self.units, strict=True)):
            sides = self.side_effects(name)
            rms, most = "", ""
            if sides:
                rms = f"{float(np.sqrt(np.nanmean(np.square(list(sides.values()))))):.2f}"
                worst = max(sides, key=lambda other: abs(np.nan_to_num(sides[other])))
                most = f"{worst} {sides[worst]:+.2f}"
            values = [f"{value:.2f}" for value in self.values[index, :, index]]
            rises = "yes" if self.rises(name) else "no"
            slope = f"{self.matrix()[index, index]:+.2f}"
            rows.append([name, unit, *values, rises, slope, rms, most])
        return markdown_table(heads, rows)

    def matrix_table(self) -> str:
        """A row for each moved attribute: the changes of all, in standard deviations."""
        rows = [
            [f"**{name}**", *(f"{change:+.2f}" for change in row)]
            for name, row in zip(self.names, self.matrix(), strict=True)
        ]
        return markdown_table(["moved", *self.names], rows)


def measure_effects(
    model: MusicVAE,
    vectors: AttributeVectors,
    z: Tensor,
    *,
    strengths: Sequence[float] = STRENGTHS,
    temperature: float = TEMPERATURE,
    seed: int = 0,
    controls: Tensor | None = None,
    progress: bool = False,
) -> Effects:
    """Move latents along each direction, decode them and measure what comes out.

    Args:
        model: whose vectors they are.
        vectors: to move along, one at a time.
        z: (windows, z_size), such as posterior means of songs that were not learnt of.
        strengths: how far; 0 and at least one of either sign must be among them.
        temperature: of decoding.
        seed: of sampling; the same for every move, so that differences come from the move.
        controls: (windows, steps, control_depth), if the config has them.
        progress: show a progress bar.

    Raises:
        ValueError: no windows, strengths that lack 0 or a sign, or a shape that does not fit.
    """
    strengths = tuple(sorted(float(strength) for strength in set(strengths)))
    if 0.0 not in strengths or strengths[0] == 0 or strengths[-1] == 0:
        raise ValueError(f"strengths must hold 0, one below and one above, not {strengths}")
    if not len(z):
        raise DatasetError("no windows to measure effects on")

    decode = partial(decode_tokens, temperature=temperature, controls=controls, seed=seed)

    def measured(latents: Tensor) -> np.ndarray:
        """(windows, attributes)"""
        tokens = decode(model, latents, batch_size=_BATCH_SIZE)
        values = measure(window_parts(model.config, tokens))
        return np.stack([values[name] for name in vectors.names], axis=1)

    unmoved = measured(z)
    stddevs = vectors.stddevs.numpy()
    count = len(vectors.names)
    values = np.empty((count, len(strengths), count))
    shifts = np.zeros_like(values)
    moves = [(i, j) for i in range(count) for j in range(len(strengths))]
    for i, j in tqdm(moves, "decoding", unit="move", disable=None if progress else True):
        move = {vectors.names[i]: strengths[j]}
        moved = measured(vectors.move(z, move)) if strengths[j] else unmoved
        values[i, j] = _mean(moved)
        shifts[i, j] = _mean(moved - unmoved) / stddevs
    names, units = vectors.names, vectors.units
    return Effects(names, units, strengths, values, shifts, len(z), float(temperature))


def _mean(values: np.ndarray) -> np.ndarray:
    """Means over the windows that have a value; NaN if no window has one."""
    known = ~np.isnan(values)
    counts = known.sum(0)
    means: np.ndarray = np.full(len(counts), np.nan)
    np.divide(np.where(known, values, 0).sum(0), counts, out=means, where=counts > 0)
    return means
