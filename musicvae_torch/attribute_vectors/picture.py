"""The figure of the MusicVAE paper: what each attribute vector does to each attribute."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from musicvae_torch.attribute_vectors.effects import Effects
from musicvae_torch.errors import OptionError
from musicvae_torch.io.files import replacing

_LIMIT = 1.0  # standard deviations at which colours are at their deepest
_DARK = 0.6  # share of that, above which a number is written in white


def draw_matrix(effects: Effects, path: str | Path, title: str = "") -> None:
    """Draw :meth:`Effects.matrix` to a file, in the format of its suffix.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
        OptionError: the suffix is of no format that matplotlib writes.
    """
    from matplotlib.figure import Figure

    matrix, names = effects.matrix(), effects.names
    side = 1.6 + 0.6 * len(names)
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-_LIMIT, vmax=_LIMIT)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("change of")
    axes.set_ylabel("moved along")
    axes.set_title(title or f"{effects.windows} windows")
    for (row, column), change in np.ndenumerate(matrix):
        colour = "white" if abs(change) > _DARK * _LIMIT else "black"
        axes.text(column, row, f"{change:.2f}", ha="center", va="center", color=colour, fontsize=8)
    figure.colorbar(image, label="standard deviations for each 1 of strength")
    known = figure.canvas.get_supported_filetypes()
    if Path(path).suffix.lower().lstrip(".") not in known:
        raise OptionError(
            f"{path}: not the name of a picture; end it in .{', .'.join(sorted(known))}"
        )
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
