"""A map of latents in a page, with a choice of colours, that names the window pointed at.

The script is in the page itself, which loads nothing. Browsers without scripts show a picture.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from musicvae_torch.latent.map_colours import SCALE_MAP, UNDEFINED, Scale, Sources

_HTML = """<div id="map" hidden>
<p><label>Coloured by <select id="map-choice"></select></label> <span id="map-about"></span></p>
<svg id="map-points" viewBox="0 0 800 560" role="img" aria-label="{label}"></svg>
<p id="map-legend"></p>
<p id="map-here" aria-live="polite">Point at a window to see its song.</p>
</div>
<noscript>{picture}</noscript>
<style>
#map-points {{ width: 100%; border: 1px solid #bbb; background: #fff }}
#map-points .here {{ stroke: #000; stroke-width: 2 }}
#map-legend span {{ margin-right: 1rem; white-space: nowrap }}
#map-legend i {{ display: inline-block; width: .8em; height: .8em; border-radius: 50%;
  margin-right: .3em }}
#map-legend b {{ display: inline-block; width: 14rem; height: .8em; margin: 0 .4em }}
#map-here {{ min-height: 3em; overflow-wrap: anywhere }}
</style>
<script type="application/json" id="map-data">{data}</script>
<script>{script}</script>
"""
_SCRIPT = """
(() => {
  const find = (name) => document.getElementById(name);
  const data = JSON.parse(find("map-data").textContent);
  const [width, height, edge] = [800, 560, 30];
  const points = find("map-points"), choice = find("map-choice"), legend = find("map-legend");
  const svg = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    return made;
  };
  const scaled = (values, from, to) => {
    const low = Math.min(...values), wide = Math.max(...values) - low || 1;
    return values.map((value) => from + (to - from) * (value - low) / wide);
  };
  const x = scaled(data.x, edge, width - edge), y = scaled(data.y, height - edge, edge);
  const circles = x.map((at, row) => svg("circle", { cx: at, cy: y[row], r: 4 }));
  ["x", "y"].forEach((axis, second) => {
    const place = second ? `translate(16 ${height / 2}) rotate(-90)`
      : `translate(${width / 2} ${height - 8})`;
    const words = svg("text", { transform: place, "text-anchor": "middle", "font-size": 13 });
    words.textContent = data.axes[second];
    points.append(words);
  });
  let shown;
  const mark = (colour, words, shape = "i") => {
    const entry = document.createElement("span"), patch = document.createElement(shape);
    patch.style.background = colour;
    entry.append(patch, words);
    return entry;
  };
  const scaleColour = (value) => {
    if (value === null) return data.undefined;
    const share = (value - shown.low) / (shown.high - shown.low);
    const last = data.scale.length - 1;
    return data.scale[Math.round(last * Math.min(Math.max(share, 0), 1))];
  };
  const colour = () => {
    shown = data.choices[choice.selectedIndex];
    find("map-about").textContent = shown.about;
    legend.replaceChildren();
    const bySource = "of" in shown;
    if (bySource) {
      shown.legend.forEach((words, row) => legend.append(mark(data.sources[row], words)));
    } else {
      const bar = mark(`linear-gradient(90deg, ${data.scale.join(",")})`, shown.top, "b");
      bar.prepend(shown.bottom);
      legend.append(bar, mark(data.undefined, shown.legend));
    }
    const behind = [], before = [];
    circles.forEach((circle, row) => {
      const own = bySource ? data.sources[shown.of[row]] : scaleColour(shown.values[row]);
      circle.setAttribute("fill", own);
      circle.setAttribute("fill-opacity", bySource ? 0.65 : 0.85);
      (!bySource && shown.values[row] === null ? behind : before).push(circle);
    });
    points.append(...behind, ...before);
    say();
  };
  let here = -1;
  const say = () => {
    if (here < 0) return;
    const value = "of" in shown ? shown.labels[shown.of[here]] : shown.values[here];
    const words = "of" in shown ? value
      : value === null ? "undefined" : `${value} ${shown.unit}`;
    find("map-here").textContent =
      `${data.names[data.song[here]]} \\u2014 ${shown.name}: ${words}`;
  };
  points.addEventListener("pointermove", (event) => {
    const frame = points.getScreenCTM().inverse();
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(frame);
    let nearest = -1, least = 144;  // within 12 units
    x.forEach((own, row) => {
      const apart = (own - at.x) ** 2 + (y[row] - at.y) ** 2;
      if (apart < least) [nearest, least] = [row, apart];
    });
    if (nearest < 0 || nearest === here) return;
    if (here >= 0) circles[here].classList.remove("here");
    here = nearest;
    circles[here].classList.add("here");
    say();
  });
  for (const one of data.choices) choice.append(new Option(one.name));
  choice.selectedIndex = data.first;
  choice.addEventListener("change", colour);
  find("map").hidden = false;
  colour();
})();
"""


def map_html(
    flat: np.ndarray,
    axes: Sequence[str],
    names: Sequence[str],
    choices: Sequence[Sources | Scale],
    about: Sequence[str],
    first: int,
    picture: str,
) -> str:
    """The map as HTML, which may stand in a page only once.

    Args:
        flat: (windows, 2), where each window lies.
        axes: labels of the two axes.
        names: of the song of each window.
        choices: of colours.
        about: a line on each of them, shown beside the chooser.
        first: index of the one that it starts with.
        picture: HTML to show where scripts do not run.
    """
    songs = list(dict.fromkeys(names))
    rows = {song: row for row, song in enumerate(songs)}
    data = {
        "x": flat[:, 0].round(3).tolist(),
        "y": flat[:, 1].round(3).tolist(),
        "axes": list(axes),
        "names": songs,
        "song": [rows[name] for name in names],
        "choices": [
            {**_choice(choice), "about": words}
            for choice, words in zip(choices, about, strict=True)
        ],
        "first": first,
        "sources": source_colours(),
        "scale": scale_colours(),
        "undefined": UNDEFINED,
    }
    # No name of a song may end the script.
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    label = "windows along the two widest axes"
    return _HTML.format(label=label, picture=picture, data=text, script=_SCRIPT)


def source_colours() -> list[str]:
    """Ten distinct colours, as "#rrggbb"."""
    return _colours("tab10", range(10))


def scale_colours() -> list[str]:
    """64 colours from low to high, perceptually uniform, as "#rrggbb"."""
    return _colours(SCALE_MAP, np.linspace(0, 1, 64))


def _colours(colour_map: str, places: Iterable[float]) -> list[str]:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps[colour_map](place)) for place in places]


def _choice(choice: Sources | Scale) -> dict[str, Any]:
    if isinstance(choice, Sources):
        return {
            "name": choice.name,
            "of": choice.of.tolist(),
            "labels": list(choice.labels),
            "legend": choice.legend(),
        }
    below, above = choice.beyond
    values = [None if np.isnan(value) else round(value, 3) for value in choice.values.tolist()]
    return {
        "name": choice.name,
        "values": values,
        "unit": choice.unit,
        "low": choice.low,
        "high": choice.high,
        "bottom": f"{'≤ ' if below else ''}{choice.low:.3g}",
        "top": f"{'≥ ' if above else ''}{choice.high:.3g} {choice.unit}",
        "legend": choice.legend(),
    }
