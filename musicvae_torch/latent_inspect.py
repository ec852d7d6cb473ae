"""`musicvae inspect`: pictures, a page and numbers of how a data set lies in a latent space."""

from __future__ import annotations

import argparse
import base64
import io
import json
from collections import Counter
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musicvae_torch.files import replacing
from musicvae_torch.latent.inspection import ACTIVE_VARIANCE, Inspection, inspect_latents
from musicvae_torch.latent.songs import encode_tokens
from musicvae_torch.latent_commands import load_model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_COLOURS = 10
_WIDTH = 5  # standard deviations that a histogram shows to either side
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem }}
img {{ max-width: 100% }}
td, th {{ text-align: left; padding: .1rem 1rem .1rem 0 }}
</style>
<h1>{title}</h1>
{body}
</html>
"""
_WORDS = {
    "windows": "windows",
    "dimensions": "dimensions of the latent",
    "active_units": f"active units (their mean's variance is over {ACTIVE_VARIANCE})",
    "kl_bits": "KL divergence of a window's posterior from the prior, bits",
    "distance": "distance of the aggregated posterior from the prior, standard deviations",
    "distance_of_prior": "the same of as many latents of the prior itself",
    "mean_norm": "mean length of a latent",
    "widest_axis_sd": "standard deviation along the widest axis (1 in the prior)",
}


def run_inspect(arguments: argparse.Namespace) -> None:
    import matplotlib  # noqa: F401  # it had better be missing now than after minutes

    from musicvae_torch.attributes.learning import draw_windows, read_windows
    from musicvae_torch.dataset.format import take_windows

    if arguments.max_windows < 1:
        raise ValueError(f"--max-windows must be at least 1, not {arguments.max_windows}")
    model = load_model(arguments)
    windows = read_windows(arguments.data, model.config, "validation", progress=True)
    rows, _ = draw_windows(windows, arguments.max_windows, arguments.seed)
    drawn = take_windows(windows, rows)
    posterior = encode_tokens(model, drawn.tokens, drawn.length)
    names = [drawn.songs[song] for song in drawn.song.tolist()]
    sources = [name.split("/")[0] if "/" in name else "songs" for name in names]
    found = inspect_latents(
        posterior.mean.cpu().numpy(),
        posterior.stddev.cpu().numpy(),
        sources,
        drawn.song.tolist(),
        arguments.seed,
    )
    write_report(found, names, arguments.out, f"{arguments.data} in {model.config.name}")
    for name, value in found.summary().items():
        print(f"{_WORDS[name]}: {value:.6g}")
    print(f"{arguments.out / 'index.html'}: the pictures")


def write_report(found: Inspection, names: list[str], folder: Path, title: str) -> None:
    """Write index.html, kl.png, histograms.png, map.png and inspection.json into a folder.

    Args:
        found: to be shown.
        names: of the song of each window.
        folder: is made, if it is not there.
        title: of the page.
    """
    pictures: dict[str, tuple[str, Callable[[Inspection], Figure]]] = {
        "kl.png": ("KL divergence of each dimension, largest first", draw_kl),
        "histograms.png": ("Latents along directions, beside the standard normal", draw_histograms),
        "map.png": ("Posterior means along their two widest axes, by source", draw_map),
    }
    cells = "".join(
        f"<tr><td>{escape(_WORDS[name])}</td><td>{value:.6g}</td></tr>"
        for name, value in found.summary().items()
    )
    body = [f"<table>{cells}</table>"]
    for name, (heading, draw) in pictures.items():
        content = _png(draw(found))
        with replacing(folder / name) as path:
            path.write_bytes(content)
        data = base64.b64encode(content).decode()
        body.append(f'<h2>{escape(heading)}</h2><img alt="" src="data:image/png;base64,{data}">')
    pairs = "".join(
        f"<tr><td>{escape(names[one])}</td><td>{escape(names[other])}</td></tr>"
        for one, other in found.neighbours
    )
    body.append(f"<h2>Windows and their nearest of another song</h2><table>{pairs}</table>")
    with replacing(folder / "inspection.json") as path:
        path.write_text(json.dumps(found.summary(), indent=2) + "\n", encoding="utf-8")
    with replacing(folder / "index.html") as path:
        page = _PAGE.format(title=escape(title), body="\n".join(body))
        path.write_text(page, encoding="utf-8")


def draw_kl(found: Inspection) -> Figure:
    figure, axes = _figure(8, 3)
    bits = np.sort(found.kl / np.log(2))[::-1]
    axes.bar(range(len(bits)), bits, width=1.0)
    active = int(found.active.sum())
    axes.axvline(active - 0.5, color="black", linewidth=0.8)
    axes.set_xlabel(f"dimension, by rank ({active} of {len(bits)} are active)")
    axes.set_ylabel("bits")
    return figure


def draw_histograms(found: Inspection) -> Figure:
    figure, grid = _figure(12, 5, 2, found.random.shape[1])
    edges = np.linspace(-_WIDTH, _WIDTH, 51)
    normal = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi)
    for row, (name, values) in enumerate(
        (("random direction", found.random), ("principal axis", found.principal))
    ):
        for column in range(values.shape[1]):
            axes = grid[row][column]
            own = values[:, column]
            axes.hist(own, edges, density=True)
            axes.plot(edges, normal, color="black", linewidth=1)
            axes.set_title(
                f"{name} {column + 1}\nmean {own.mean():.2f}, sd {own.std():.2f}", size=8
            )
            axes.set_yticks([])
    return figure


def draw_map(found: Inspection) -> Figure:
    figure, axes = _figure(8, 6)
    most = [name for name, _ in Counter(found.sources).most_common(_MOST_COLOURS - 1)]
    sources = np.array([name if name in most else "others" for name in found.sources])
    for name in [*most, "others"]:
        own = found.map[sources == name]
        if len(own):
            axes.scatter(*own.T, s=8, alpha=0.6, linewidths=0, label=f"{name} ({len(own)})")
    shares = [f"{share:.0%} of the variance" for share in found.map_share]
    axes.set_xlabel(f"widest axis, {shares[0]}")
    axes.set_ylabel(f"second, {shares[1]}")
    axes.legend(fontsize=8)
    return figure


def _figure(width: float, height: float, *grid: int) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(*(grid or (1, 1)))


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, dpi=110, format="png")
    return content.getvalue()
