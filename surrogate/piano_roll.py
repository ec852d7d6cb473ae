"""A picture of a song's notes: melody red, bass blue, drums brown."""

from __future__ import annotations

from pathlib import Path

import pretty_midi

from musicvae_torch.files import replacing
from musicvae_torch.notes.vocabulary import BASS_PROGRAMS

COLOURS = {"melody": "#d62728", "bass": "#1f77b4", "drums": "#8c564b"}
BARS_A_ROW = 16
QUARTERS_A_BAR = 4


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
    from matplotlib.backend_bases import FigureCanvasBase

    formats = FigureCanvasBase.get_supported_filetypes()
    if Path(path).suffix.lstrip(".").lower() not in formats:
        raise ValueError(f"{path}: no picture format; end it in .{', .'.join(sorted(formats))}")


def draw_piano_roll(
    midi: pretty_midi.PrettyMIDI, path: str | Path, title: str = "", melody: int = 0
) -> None:
    """Draw `midi` into a picture file, sixteen bars of four quarter notes a row.

    Args:
        midi: the song; time runs in its own beats.
        path: .png, .svg or .pdf decides the format.
        title: above the picture.
        melody: index of the melody's track, which is drawn as such whatever its program.

    Raises:
        ValueError: the path's ending names no picture format.
    """
    check_picture(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    parts = [
        ("melody" if index == melody else part_name(track), track)
        for index, track in enumerate(midi.instruments)
    ]
    bar_ticks = midi.resolution * QUARTERS_A_BAR
    last_tick = max((midi.time_to_tick(n.end) for _, t in parts for n in t.notes), default=1)
    rows = max(1, -(-int(last_tick) // (bar_ticks * BARS_A_ROW)))
    figure = Figure(figsize=(14, 1.0 + 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 1, squeeze=False, sharey=True)[:, 0]
    for part, track in parts:
        bars = [
            (midi.time_to_tick(note.start) / bar_ticks, midi.time_to_tick(note.end) / bar_ticks)
            for note in track.notes
        ]
        for row, axis in enumerate(axes):
            inside = [
                (start, max(end - start, 0.03), note.pitch)
                for (start, end), note in zip(bars, track.notes, strict=True)
                if row * BARS_A_ROW <= start < (row + 1) * BARS_A_ROW
            ]
            axis.barh(
                [pitch for _, _, pitch in inside],
                [width for _, width, _ in inside],
                left=[start for start, _, _ in inside],
                height=0.9,
                color=COLOURS[part],
            )
    _label(figure, axes, title, sorted({part for part, _ in parts}, key=list(COLOURS).index))
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _label(figure, axes, title: str, parts: list[str]) -> None:  # type: ignore[no-untyped-def]
    from matplotlib.patches import Patch
    from matplotlib.ticker import MultipleLocator

    for row, axis in enumerate(axes):
        axis.set_xlim(row * BARS_A_ROW, (row + 1) * BARS_A_ROW)
        axis.xaxis.set_major_locator(MultipleLocator(1))
        axis.grid(axis="x", linewidth=0.4)
        axis.set_axisbelow(True)
        axis.set_ylabel("MIDI pitch")
    axes[-1].set_xlabel("bars of four quarter notes, from 0")
    figure.suptitle(title)
    handles = [Patch(color=COLOURS[part], label=part) for part in parts]
    axes[0].legend(handles=handles, loc="upper right", ncols=len(handles), fontsize="small")
