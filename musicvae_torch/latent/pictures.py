"""Pictures of how latents lie."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from musicvae_torch.latent.inspection import Inspection
from musicvae_torch.latent.map_colours import SCALE_MAP, UNDEFINED, Scale, Sources
from musicvae_torch.latent.map_page import source_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 5  # standard deviations that a histogram shows to either side


def draw_kl(found: Inspection) -> Figure:
    """Bits of each dimension."""
    figure, axes = _figure(8, 3)
    bits = np.sort(found.kl / np.log(2))[::-1]
    axes.bar(range(len(bits)), bits, width=1.0)
    active = int(found.active.sum())
    axes.axvline(active - 0.5, color="black", linewidth=0.8)
    axes.set_xlabel(f"dimension, by rank ({active} of {len(bits)} are active)")
    axes.set_ylabel("bits")
    return figure


def draw_histograms(found: Inspection) -> Figure:
    """Latents along directions, beside the standard normal."""
    figure, grid = _figure(12, 5, 2, found.random.shape[1])
    edges = np.linspace(-_WIDTH, _WIDTH, 51)
    normal = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi)
    rows = (("random direction", found.random), ("principal axis", found.principal))
    for line, (name, values) in zip(grid, rows, strict=True):
        for number, (axes, own) in enumerate(zip(line, values.T, strict=True), start=1):
            axes.hist(own, edges, density=True)
            axes.plot(edges, normal, color="black", linewidth=1)
            title = f"{name} {number}\nmean {own.mean():.2f}, sd {own.std():.2f}"
            axes.set_title(title, size=8)
            axes.set_yticks([])
    return figure


def draw_map(found: Inspection, by: Sources | Scale) -> Figure:
    """The map, coloured by sources, or by an attribute on a perceptually uniform scale."""
    figure, axes = _figure(8, 6)
    if isinstance(by, Sources):
        for row, (label, colour) in enumerate(zip(by.legend(), source_colours(), strict=False)):
            own = found.map[by.of == row]
            axes.scatter(*own.T, s=8, alpha=0.6, linewidths=0, color=colour, label=label)
    else:
        _draw_scale(figure, axes, found.map, by)
    along, up = axis_words(found)
    axes.set_xlabel(along)
    axes.set_ylabel(up)
    axes.legend(fontsize=8)
    return figure


def axis_words(found: Inspection) -> tuple[str, str]:
    """Labels of the map's axes."""
    shares = [f"{share:.0%} of the variance" for share in found.map_share]
    return f"widest axis, {shares[0]}", f"second, {shares[1]}"


def _draw_scale(figure: Figure, axes: Any, flat: np.ndarray, by: Scale) -> None:
    undefined = np.isnan(by.values)
    # Drawn first, so that the others lie over them.
    axes.scatter(*flat[undefined].T, s=12, linewidths=0, color=UNDEFINED, label=by.legend())
    points = axes.scatter(
        *flat[~undefined].T,
        c=by.values[~undefined],
        s=12,
        alpha=0.85,
        linewidths=0,
        cmap=SCALE_MAP,
        vmin=by.low,
        vmax=by.high,
    )
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max"}
    label = f"{by.name}, {by.unit}"
    figure.colorbar(points, label=label, extend=extend.get(by.beyond, "both"))


def _figure(width: float, height: float, *grid: int) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(*(grid or (1, 1)))


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, dpi=110, format="png")
    return content.getvalue()
