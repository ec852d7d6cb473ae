"""A picture of a song's notes on its own bars: melody red, bass blue, drums brown, the rest grey.

New parts are outlined; the louder a note, the fuller its colour. Drums have lines of their own
below the pitches.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import pretty_midi

from musicvae_torch.errors import OptionError
from musicvae_torch.io.files import replacing
from musicvae_torch.midi.score import read_score
from musicvae_torch.midi.tracks import Track
from surrogate.render.view import COLOURS, LANES, View, lanes_of, used_lanes, view_of
from surrogate.song.bars import Bars, bars_of
from surrogate.song.roles import ROLES

BARS_A_ROW = 16
MOST_ROWS = 20
FORMATS = (".png", ".svg", ".pdf")
BLACK_KEYS = (1, 3, 6, 8, 10)
MIDDLE_C = 60
FAINTEST = 0.35  # opacity of the softest note
HIT_QUARTERS = 0.2  # how long a drum stroke is drawn, whatever the file says
BREATH_QUARTERS = 0.06  # left open after a note, at most a fifth of it, to tell it from the next
LONGEST_TITLE = 70
MARGIN = 2  # semitones above and below the notes
INK, SOFT_INK, BAR_LINE, BEAT_LINE, KEY = "#222226", "#77777d", "#c4c4ca", "#ececf0", "#f5f5f8"

# Inches.
WIDTH, SEMITONE, LANE, HEAD, ROW_GAP, DRUM_GAP = 14.0, 0.058, 0.14, 0.8, 0.42, 0.05
LEFT, RIGHT, FOOT = 0.75, 0.25, 0.1
LEAST_SEMITONES = 24


@dataclass(frozen=True)
class _Plan:
    """What all rows of a picture share.

    Attributes:
        view: to draw.
        bars: of the song.
        rows: of each row, index of its first bar and of the one after its last.
        width: of every row, in ticks.
        pitches: lowest and highest that is drawn.
        lanes: drums' lanes that are drawn, from the lowest.
    """

    view: View
    bars: Bars
    rows: list[tuple[int, int]]
    width: int
    pitches: tuple[float, float]
    lanes: list[int]


def check_picture(path: str | Path) -> None:
    """Make sure that a picture can be drawn into `path`.

    Raises:
        OptionError: its ending names no picture format.
        ModuleNotFoundError: matplotlib is not installed.
    """
    import matplotlib  # noqa: F401

    if Path(path).suffix.lower() not in FORMATS:
        raise OptionError(f"{path}: not the name of a picture; end it in {', '.join(FORMATS)}")


def draw_piano_roll(
    midi: pretty_midi.PrettyMIDI, path: str | Path, title: str = "", melody: Collection[int] = (0,)
) -> None:
    """Draw a song of pretty_midi's; see :func:`draw_view`.

    Args:
        melody: indices of the melody's instruments, drawn as such whatever their programs.
    """
    sounding = [index for index, track in enumerate(midi.instruments) if track.notes]
    score = read_score(midi)
    view = view_of(score, [n for n, index in enumerate(sounding) if index in melody])
    draw_view(view, path, title)


def draw_view(view: View, path: str | Path, title: str | None = None) -> None:
    """Draw a song into a picture file, sixteen of its bars a row (more, where that would make too
    many rows).

    Args:
        path: .png, .svg or .pdf decides the format.
        title: above the picture; the default is the view's.

    Raises:
        MidiError: the song has too many bars.
        ModuleNotFoundError: matplotlib is not installed.
        OptionError: the path's ending names no picture format.
    """
    check_picture(path)
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    plan = _plan(view)
    roll = (plan.pitches[1] - plan.pitches[0]) * SEMITONE
    drums = len(plan.lanes) * LANE + DRUM_GAP if plan.lanes else 0.0
    height = HEAD + len(plan.rows) * (roll + drums + ROW_GAP) + FOOT
    # Names in a song are text, not formulas: a dollar is a dollar.
    settings: Any = {"text.parse_math": False, "svg.hashsalt": "musicvae-torch"}
    with rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that the font lacks becomes a box
        figure = Figure(figsize=(WIDTH, height), facecolor="white")
        FigureCanvasAgg(figure)
        top = height - HEAD
        for row in plan.rows:
            axis = _axes(figure, height, top - roll, roll)
            _draw_pitches(axis, plan, row)
            if plan.lanes:
                axis = _axes(figure, height, top - roll - drums, drums - DRUM_GAP)
                _draw_drums(axis, plan, row)
            top -= roll + drums + ROW_GAP
        _head(figure, height, view, view.title if title is None else title)
        with replacing(path) as temporary:
            # No date: the same song gives the same file.
            metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
            suffix = Path(path).suffix.lower()
            figure.savefig(temporary, dpi=120, metadata=metadata.get(suffix))


def _plan(view: View) -> _Plan:
    bars = bars_of(view.score)
    pitched = [t.notes["pitch"] for t in view.score.tracks if not t.is_drum]
    pitches = np.concatenate([*pitched, [MIDDLE_C] if not pitched else []])
    low, high = pitches.min() - MARGIN, pitches.max() + MARGIN
    missing = max(LEAST_SEMITONES - (high - low), 0)
    low, high = low - missing / 2, high + missing / 2
    counted = len(bars) + bars.first - 1  # a pickup stands before its row's sixteen
    a_row = BARS_A_ROW * max(ceil(counted / (BARS_A_ROW * MOST_ROWS)), 1)
    starts = list(range(1 - bars.first, max(len(bars), 1), a_row))
    starts[0] = 0
    rows = list(zip(starts, [*starts[1:], len(bars)], strict=True))
    width = max(int(bars.ticks[last] - bars.ticks[first]) for first, last in rows)
    drums = (track for track in view.score.tracks if track.is_drum)
    return _Plan(view, bars, rows, width, (float(low), float(high)), used_lanes(drums))


def _axes(figure: Any, height: float, bottom: float, own: float) -> Any:
    """Axes at a height in inches, without a frame."""
    box = (LEFT / WIDTH, bottom / height, 1 - (LEFT + RIGHT) / WIDTH, own / height)
    axis = figure.add_axes(box)
    axis.set_axisbelow(True)
    axis.tick_params(length=0, labelsize=8, labelcolor=SOFT_INK, pad=4)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return axis


def _draw_pitches(axis: Any, plan: _Plan, row: tuple[int, int]) -> None:
    """The row of a piano roll: keys, bars, notes that have a pitch."""
    low, high = plan.pitches
    first, end = _frame(axis, plan, row, (low, high))
    for pitch in range(int(low), int(high) + 2):
        if pitch % 12 in BLACK_KEYS:
            axis.fill_between([first, end], pitch - 0.5, pitch + 0.5, color=KEY, lw=0, zorder=0)
    octaves = [pitch for pitch in range(0, 128, 12) if low <= pitch <= high]
    axis.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])
    for track, role in _behind_first(plan.view):
        if not track.is_drum:
            long = track.notes["end"] - track.notes["start"]
            breath = np.minimum(long / 5, plan.view.score.resolution * BREATH_QUARTERS)
            ends = track.notes["end"] - breath
            _boxes(axis, plan.view, track, role, track.notes["pitch"], 0.48, ends, (first, end))


def _draw_drums(axis: Any, plan: _Plan, row: tuple[int, int]) -> None:
    """The drums' lines below a row."""
    lines = len(plan.lanes)
    first, end = _frame(axis, plan, row, (-0.5, lines - 0.5), numbers=False)
    axis.set_yticks(range(lines), [LANES[lane] for lane in plan.lanes], fontsize=6)
    line_of = np.searchsorted(plan.lanes, np.arange(len(LANES)))
    hit = plan.view.score.resolution * HIT_QUARTERS
    for track, role in _behind_first(plan.view):
        if track.is_drum:
            lines_struck = line_of[lanes_of(track.notes["pitch"])]
            ends = track.notes["start"] + hit
            _boxes(axis, plan.view, track, role, lines_struck, 0.34, ends, (first, end))


def _frame(
    axis: Any, plan: _Plan, row: tuple[int, int], heights: tuple[float, float], numbers: bool = True
) -> tuple[int, int]:
    """Bar and beat lines of a row; returns the ticks between which it has bars."""
    bars, (from_bar, to_bar) = plan.bars, row
    ticks = bars.ticks[from_bar : to_bar + 1]
    first, end = int(ticks[0]), int(ticks[-1])
    beats = bars.beats(plan.view.score.resolution)
    if to_bar - from_bar <= 2 * BARS_A_ROW:
        inside = beats[(beats > first) & (beats < end)]
        axis.vlines(inside, *heights, color=BEAT_LINE, lw=0.5, zorder=1)
    axis.vlines(ticks, *heights, color=BAR_LINE, lw=0.8, zorder=1)
    axis.set_xlim(first, first + plan.width)
    axis.set_ylim(*heights)
    every = ceil((to_bar - from_bar) / (2 * BARS_A_ROW))
    labelled = range(from_bar, to_bar, every) if numbers else range(0)
    names = [_bar_name(bars, bar) for bar in labelled]
    axis.xaxis.tick_top()
    axis.set_xticks([bars.ticks[bar] for bar in labelled], names, ha="left")
    return first, end


def _bar_name(bars: Bars, bar: int) -> str:
    """A bar's number, with its metre where that is new; a pickup has none."""
    counted = bar + bars.first
    metre = bars.metres[bar].tolist()
    if counted > 1 and metre == bars.metres[bar - 1].tolist():
        return str(counted)
    return f"{counted}   {metre[0]}/{metre[1]}" if counted else ""


def _behind_first(view: View) -> list[tuple[Track, str]]:
    """All tracks with their roles, in the order in which they are drawn."""
    pairs = zip(view.score.tracks, view.roles, strict=True)
    depth = {"other": 0, "chords": 1, "drums": 2, "bass": 3, "melody": 4}
    return sorted(pairs, key=lambda pair: depth[pair[1]])


def _boxes(
    axis: Any,
    view: View,
    track: Track,
    role: str,
    middles: np.ndarray,
    half: float,
    ends: np.ndarray,
    shown: tuple[int, int],
) -> None:
    """A track's notes between two ticks as rectangles, in one collection."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgb

    start = track.notes["start"]
    visible = (start < shown[1]) & (ends > shown[0])
    left, right = start[visible], np.minimum(ends[visible], shown[1])
    left = np.maximum(left, shown[0])
    low, high = middles[visible] - half, middles[visible] + half
    corners = np.stack([left, low, right, low, right, high, left, high], -1).reshape(-1, 4, 2)
    colours = np.empty((len(corners), 4))
    colours[:, :3] = to_rgb(COLOURS[role])
    colours[:, 3] = FAINTEST + (1 - FAINTEST) * track.notes["velocity"][visible] / 127
    is_new = track.index in view.new
    axis.add_collection(
        PolyCollection(
            list(corners),
            facecolors=colours,
            edgecolors=_darker(COLOURS[role]) if is_new else "none",
            linewidths=0.8 if is_new else 0,
            zorder=2,
        )
    )


def _darker(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return 0.55 * red, 0.55 * green, 0.55 * blue


def _head(figure: Any, height: float, view: View, title: str) -> None:
    """The title, and what the colours mean."""
    from matplotlib.patches import Patch

    at = 1 - 0.3 / height
    title = shorten(title, LONGEST_TITLE, placeholder="…")
    figure.text(
        LEFT / WIDTH, at, title, fontsize=14, fontweight="bold", color=INK, va="center", ha="left"
    )
    handles = []
    for role in ROLES:
        for is_new in (False, True):
            if any((track.index in view.new) == is_new for track in view.tracks_of(role)):
                edge = _darker(COLOURS[role]) if is_new else "none"
                label = f"{role} (new)" if is_new else role
                handles.append(Patch(facecolor=COLOURS[role], edgecolor=edge, label=label))
    if handles:
        figure.legend(
            handles=handles,
            loc="center right",
            bbox_to_anchor=(1 - RIGHT / WIDTH, at),
            ncols=len(handles),
            frameon=False,
            fontsize=9,
            labelcolor=INK,
            handlelength=1.4,
            borderaxespad=0,
        )
