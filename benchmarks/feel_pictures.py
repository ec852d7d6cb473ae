#!/usr/bin/env python3
"""A picture of new drums with and without feel: two piano rolls and their velocities.

    python benchmarks/feel_pictures.py SONG [--bar N] [-o PICTURE]

Accompanies SONG at the defaults, and takes the first of three bands. The picture shows two bars
of its drums: even and on the grid; as the GrooVAE plays them, where a hit's box begins when it
sounds, and is the fuller, the louder it is; and the velocity of each hit.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from musicvae_torch.errors import MusicVAEError
from musicvae_torch.io.files import replacing
from musicvae_torch.midi.score import Score
from surrogate import Accompanist, AccompanyOptions
from surrogate.render.piano_roll import FAINTEST, INK, check_picture
from surrogate.render.view import COLOURS, LANES, lanes_of
from surrogate.song.bars import bars_of

BARS, LENGTH = 2, 0.12  # of a quarter: how long a hit is drawn
LINES = {"bar": ("#8a8a92", 1.2), "beat": ("#b9b9c1", 0.9), "sixteenth": ("#e3e3e9", 0.6)}
SIZE, HEIGHTS = (10, 6.4), (1, 1, 1.1)  # inches; of the three parts of the picture, one to another


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("song", type=Path, metavar="SONG")
    parser.add_argument("--bar", type=int, default=9, metavar="N", help="first bar (default: 9)")
    parser.add_argument("-o", "--out", type=Path, default=Path("feel.png"), metavar="PICTURE")
    arguments = parser.parse_args()
    try:
        check_picture(arguments.out)
        options = AccompanyOptions(candidates=3)
        best = Accompanist.from_pretrained().accompany(arguments.song, options).best
    except MusicVAEError as error:
        parser.error(str(error))
    assert best.even is not None
    versions = {
        "Even, and on the grid (--feel 0)": best.even().score,
        "As a drummer plays it (--feel 1, the default)": best.score,
    }
    first = arguments.bar - bars_of(best.score).first
    if not 0 <= first <= len(bars_of(best.score)) - BARS:
        parser.error(f"{arguments.song}: there are no two bars from bar {arguments.bar} on")
    draw({name: hits_of(score, first) for name, score in versions.items()}, arguments.out)
    print(arguments.out)


def hits_of(score: Score, first: int) -> np.ndarray:
    """(hits, 3) of the new drums in two bars: quarters from the first one's start, lane, and
    velocity."""
    notes = score.tracks[-1].notes
    start, _, end = bars_of(score).ticks[first : first + BARS + 1]
    early = score.resolution // 8  # a hit may be half a sixteenth before its bar
    own = notes[(notes["start"] >= start - early) & (notes["start"] < end - early)]
    quarters = (own["start"] - start) / score.resolution
    return np.stack([quarters, lanes_of(own["pitch"]), own["velocity"]], axis=1)


def draw(versions: dict[str, np.ndarray], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, 1, sharex=True, height_ratios=HEIGHTS)
    lanes = np.unique(np.concatenate([hits[:, 1] for hits in versions.values()])).astype(int)
    for axis, (name, hits) in zip(axes, versions.items(), strict=False):
        draw_roll(axis, hits, lanes)
        axis.set_title(name, loc="left", fontsize=10, color=INK)
    draw_velocities(axes[2], versions)
    axes[2].set_title("Velocities", loc="left", fontsize=10, color=INK)
    axes[2].set_xticks(range(4 * BARS), [str(1 + beat % 4) for beat in range(4 * BARS)])
    axes[2].set_xlabel("beat", fontsize=9)
    axes[2].set_xlim(-0.2, 4 * BARS)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=90, format=path.suffix[1:].lower())


def draw_roll(axis: Any, hits: np.ndarray, lanes: np.ndarray) -> None:
    """Hits as boxes, in lanes from the kick up."""
    draw_grid(axis)
    line_of = np.searchsorted(lanes, hits[:, 1])
    for line, (quarter, _, velocity) in zip(line_of.tolist(), hits.tolist(), strict=True):
        alpha = FAINTEST + (1 - FAINTEST) * velocity / 127
        axis.broken_barh(
            [(quarter, LENGTH)], (line - 0.38, 0.76), color=COLOURS["drums"], alpha=alpha
        )
    axis.set_yticks(range(len(lanes)), [LANES[lane] for lane in lanes], fontsize=8)
    axis.set_ylim(-0.6, len(lanes) - 0.4)


def draw_velocities(axis: Any, versions: dict[str, np.ndarray]) -> None:
    """The velocities of both versions, hit by hit; in colour the second's."""
    draw_grid(axis)
    even, human = versions.values()
    axis.plot(even[:, 0], even[:, 2], "_", color="#77777d", markersize=9, label="even")
    for lane in np.unique(human[:, 1]).astype(int).tolist():
        own = human[human[:, 1] == lane]
        axis.plot(own[:, 0], own[:, 2], "o", markersize=5, label=LANES[lane])
    axis.set_ylim(0, 130)
    axis.legend(fontsize=8, ncols=10, loc="upper center", frameon=False, bbox_to_anchor=(0.6, 1.2))


def draw_grid(axis: Any) -> None:
    """Lines at bars, beats and sixteenths."""
    for step in range(16 * BARS + 1):
        kind = "bar" if step % 16 == 0 else "beat" if step % 4 == 0 else "sixteenth"
        colour, width = LINES[kind]
        axis.axvline(step / 4, color=colour, lw=width, zorder=0)
    axis.tick_params(length=0, labelsize=8)
    for spine in axis.spines.values():
        spine.set_visible(False)


if __name__ == "__main__":
    main()
