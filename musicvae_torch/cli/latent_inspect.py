"""`musicvae inspect`: pictures, a page and numbers of how a data set lies in a latent space."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musicvae_torch.analysis.attributes import ATTRIBUTES, measure, window_parts
from musicvae_torch.analysis.probes import ProbeScore, probe_attributes
from musicvae_torch.cli.latent import Inspect
from musicvae_torch.cli.latent_commands import load_model
from musicvae_torch.io.files import replacing
from musicvae_torch.io.markdown import markdown_table
from musicvae_torch.latent.inspection import ACTIVE_VARIANCE, Inspection, inspect_latents
from musicvae_torch.latent.map_colours import SOURCE, Scale, Sources, check_colour, colour_names
from musicvae_torch.latent.map_page import map_html
from musicvae_torch.latent.pictures import axis_words, draw_histograms, draw_kl, draw_map, png
from musicvae_torch.windows.encoding import encode_tokens

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
_PROBES = (
    "R²: share of an attribute's variance in half of the songs that a linear fit to the other half "
    "predicts (0 or less: nothing)"
)


@dataclass(frozen=True, eq=False)
class Measured:
    """Attributes of the windows; empty, if windows of their config have none.

    Attributes:
        values: (windows,) of each attribute, NaN where undefined.
        probes: how well each can be read from the latent.
    """

    values: dict[str, np.ndarray] = field(default_factory=dict)
    probes: dict[str, ProbeScore] = field(default_factory=dict)

    def summary(self) -> dict[str, dict[str, Any]]:
        """The numbers as JSON data; an R² that is undefined is None."""
        return {
            name: {
                "unit": ATTRIBUTES[name].unit,
                "windows": score.windows,
                "undefined": len(self.values[name]) - score.windows,
                "map_r2": None if np.isnan(score.map_r2) else score.map_r2,
                "latent_r2": None if np.isnan(score.latent_r2) else score.latent_r2,
            }
            for name, score in self.probes.items()
        }

    def rows(self) -> Sequence[tuple[str, ...]]:
        """The numbers as text, below a heading."""
        heading = ("attribute", "windows", "R² of the map's axes", "of the whole latent")
        return [heading] + [
            (name, str(score.windows), _two_digits(score.map_r2), _two_digits(score.latent_r2))
            for name, score in self.probes.items()
        ]


def run_inspect(options: Inspect) -> None:
    import matplotlib  # noqa: F401  # it had better be missing now than after minutes

    from musicvae_torch.attribute_vectors.learning import draw_windows
    from musicvae_torch.dataset.batches import source_of
    from musicvae_torch.dataset.format import take_windows
    from musicvae_torch.dataset.reading import read_windows

    model = load_model(options)
    check_colour(options.color, model.config)
    windows = read_windows(options.data, model.config, "validation", progress=True)
    rows, _ = draw_windows(windows, options.max_windows, options.seed)
    drawn = take_windows(windows, rows)
    posterior = encode_tokens(model, drawn.tokens, drawn.length, progress=True)
    names = [drawn.songs[song] for song in drawn.song.tolist()]
    sources = [source_of(name) or "songs" for name in names]
    means = posterior.mean.cpu().numpy()
    found = inspect_latents(
        means, posterior.stddev.cpu().numpy(), sources, drawn.song.tolist(), options.seed
    )
    has_attributes = colour_names(model.config) != (SOURCE,)
    values = measure(window_parts(model.config, drawn.tokens)) if has_attributes else {}
    probes = probe_attributes(means, found.map, values, drawn.song, options.seed)
    measured = Measured(values, probes)
    title = f"{options.data} in {model.config.name}"
    write_report(found, names, options.out, title, measured, options.color)
    for words, number in _numbers(found):
        print(f"{words}: {number}")
    if probes:
        print(f"\n{_PROBES}:\n")
        heading, *body = measured.rows()
        print(markdown_table(heading, body) + "\n")
    print(f"{options.out / 'index.html'}: the pictures")


def _numbers(found: Inspection) -> list[tuple[str, str]]:
    """The numbers of an inspection, and what each is, as text."""
    return [(_WORDS[name], f"{value:.6g}") for name, value in found.summary().items()]


def write_report(
    found: Inspection,
    names: list[str],
    folder: Path,
    title: str,
    measured: Measured | None = None,
    colour: str = SOURCE,
) -> None:
    """Write index.html, kl.png, histograms.png, map.png and inspection.json into a folder.

    Args:
        found: the inspection to show.
        names: of the song of each window.
        folder: made if need be.
        title: of the page.
        measured: attributes of the windows; None: they have none.
        colour: what the picture, and at first the page's map, is coloured by: "source" or an
            attribute that was measured.
    """
    measured = measured or Measured()
    summary: dict[str, Any] = dict(found.summary())
    if measured.probes:
        summary["attributes"] = measured.summary()
    body = [
        _table(_numbers(found)),
        "<h2>KL divergence of each dimension, largest first</h2>",
        _picture(draw_kl(found), folder / "kl.png"),
        "<h2>Latents along directions, beside the standard normal</h2>",
        _picture(draw_histograms(found), folder / "histograms.png"),
        "<h2>Posterior means along their two widest axes</h2>",
        _map(found, names, measured, colour, folder / "map.png"),
    ]
    if measured.probes:
        body += ["<h2>What can be read from the latent</h2>", f"<p>{escape(_PROBES)}.</p>"]
        body.append(_table(measured.rows()))
    pairs = [(names[one], names[other]) for one, other in found.neighbours]
    body += ["<h2>Windows and their nearest of another song</h2>", _table(pairs)]
    with replacing(folder / "inspection.json") as path:
        path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    with replacing(folder / "index.html") as path:
        page = _PAGE.format(title=escape(title), body="\n".join(body))
        path.write_text(page, encoding="utf-8")


def _map(found: Inspection, names: list[str], measured: Measured, colour: str, path: Path) -> str:
    scales = [Scale.span(name, values) for name, values in measured.values.items()]
    choices: list[Sources | Scale] = [Sources.count(found.sources), *scales]
    first = [choice.name for choice in choices].index(colour)
    about = [""] + [
        f"R² of the two axes {_two_digits(measured.probes[scale.name].map_r2)}, "
        f"of the whole latent {_two_digits(measured.probes[scale.name].latent_r2)}"
        for scale in scales
    ]
    picture = _picture(draw_map(found, choices[first]), path)
    return map_html(found.map, axis_words(found), names, choices, about, first, picture)


def _picture(figure: Figure, path: Path) -> str:
    """Write a figure to a file; returns it as HTML."""
    content = png(figure)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(content).decode()}">'


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _two_digits(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:z.2f}"
