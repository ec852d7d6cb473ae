"""A picture of a song's notes: melody red, bass blue, drums brown."""

from __future__ import annotations

from collections.abc import Collection
from math import ceil
from pathlib import Path
from typing import Any

import pretty_midi

from musicvae_torch.files import replacing
from musicvae_torch.notes.vocabulary import BASS_PROGRAMS

COLOURS = {"melody": "#d62728", "bass": "#1f77b4", "drums": "#8c564b"}
BARS_A_ROW = 16
MOST_ROWS = 20
FORMATS = (".png", ".svg", ".pdf")
QUARTERS_A_BAR = 4

Box = tuple[float, float, int]  # start and end in bars, MIDI pitch


def part_name(track: pretty_midi.Instrument) -> str:
    """Which part of a trio a track plays: drums, bass (programs 32 to 39), else melody."""
    if track.is_drum:
        return "drums"
    return "bass" if track.program in BASS_PROGRAMS else "melody"


def check_picture(path: str | Path) -> None:
    """Make sure that a picture can be drawn into `path`.

    Raises:
        ValueError: its ending names no picture format.
        ModuleNotFoundError: matplotlib is not installed.
    """
    import matplotlib  # noqa: F401

    if Path(path).suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: no picture format; end it in {', '.join(FORMATS)}")


def draw_piano_roll(
    midi: pretty_midi.PrettyMIDI,
    path: str | Path,
    title: str = "",
    melody: Collection[int] = (0,),
) -> None:
    """Draw `midi` into a picture file, sixteen bars of four quarter notes a row (more, where
    that would make too many rows).

    Args:
        midi: the song; time runs in its own beats.
        path: .png, .svg or .pdf decides the format.
        title: above the picture.
        melody: indices of the melody's tracks, drawn as such whatever their programs.

    Raises:
        ValueError: the path's ending names no picture format.
    """
    check_picture(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    boxes: dict[str, list[Box]] = {part: [] for part in COLOURS}
    bar_ticks = midi.resolution * QUARTERS_A_BAR
    for index, track in enumerate(midi.instruments):
        for note in track.notes:
            start, end = (midi.time_to_tick(t) / bar_ticks for t in (note.start, note.end))
            part = "melody" if index in melody else part_name(track)
            boxes[part].append((start, max(end, start + 0.03), note.pitch))
    bars = max((end for part in boxes.values() for _, end, _ in part), default=1.0)
    bars_a_row = BARS_A_ROW * ceil(bars / (BARS_A_ROW * MOST_ROWS))
    rows = max(1, ceil(bars / bars_a_row - 0.01))
    figure = Figure(figsize=(14, 1.0 + 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 1, squeeze=False, sharey=True)[:, 0]
    for row, axis in enumerate(axes):
        _draw_row(axis, boxes, row * bars_a_row, (row + 1) * bars_a_row)
    pitches = [pitch for part in boxes.values() for _, _, pitch in part] or [60]
    axes[0].set_ylim(min(pitches) - 2, max(pitches) + 2)
    _label(figure, axes, title, [part for part in boxes if boxes[part]])
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _draw_row(axis: Any, boxes: dict[str, list[Box]], first: float, last: float) -> None:
    """The notes that sound between two bars, as one collection of rectangles a part."""
    from matplotlib.collections import PolyCollection
    from matplotlib.ticker import MaxNLocator

    for part, notes in boxes.items():
        corners = [
            [(s, p - 0.45), (e, p - 0.45), (e, p + 0.45), (s, p + 0.45)]
            for s, e, p in notes
            if s < last and e > first
        ]
        axis.add_collection(PolyCollection(corners, facecolor=COLOURS[part], edgecolor="none"))
    axis.set_xlim(first, last)
    axis.xaxis.set_major_locator(MaxNLocator(16, integer=True))


def _label(figure: Any, axes: Any, title: str, parts: list[str]) -> None:
    from matplotlib.patches import Patch

    for axis in axes:
        axis.grid(axis="x", linewidth=0.4)
        axis.set_axisbelow(True)
        axis.set_ylabel("MIDI pitch")
    axes[-1].set_xlabel("bars of four quarter notes, from 0")
    figure.suptitle(title)
    handles = [Patch(color=COLOURS[part], label=part) for part in parts]
    if handles:
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
