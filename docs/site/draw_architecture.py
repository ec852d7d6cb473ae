#!/usr/bin/env python3
"""Draws docs/pictures/architecture.svg: the data's way through the house.

    python docs/site/draw_architecture.py

Boxes are data, on four levels; what stands beside an arrow is the code that goes that way. The
colours are those of the page that plays a band, light or dark as the reader's system is.
"""

from __future__ import annotations

from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "pictures/architecture.svg"
WIDTH, HEIGHT = 960, 660
BOX_WIDTH, BOX_HEIGHT = 236, 84
LEFT, RIGHT = 64, 660  # left edges of the two columns
LEVELS = {"MIDI": 36, "notes": 196, "tensors": 356, "latent": 516}  # upper edges of their boxes
MIDDLE = WIDTH // 2

STYLE = """
.paper { fill: #f6f4f0 } .card { fill: #ffffff; stroke: #e4e0d9 } .level { fill: #26242b08 }
text { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #26242b }
.name { font-size: 18px; font-weight: 600 } .soft { font-size: 14.5px; fill: #75717c }
.code { font: 14px ui-monospace, Menlo, Consolas, monospace; fill: #75717c }
.side { font-size: 14px; fill: #75717c; letter-spacing: .08em }
.way { fill: none; stroke: #75717c; stroke-width: 1.6 } .tip { fill: #75717c }
.stays { stroke-dasharray: 5 5; stroke: #d62728 } .stays-tip { fill: #d62728 }
.melody { stroke: #d62728 } .bass { stroke: #1f77b4 } .drums { stroke: #8c564b }
.roll { fill: none; stroke-width: 4 } .grid { stroke: #26242b18; stroke-width: 1; fill: none }
.dot { fill: #1f77b4 } .dot.moved { fill: #d62728 }
@media (prefers-color-scheme: dark) {
  .paper { fill: #151418 } .card { fill: #1f1d24; stroke: #34313b } .level { fill: #ffffff08 }
  text { fill: #efedf3 } .soft, .code, .side { fill: #9b96a5 }
  .way { stroke: #9b96a5 } .tip { fill: #9b96a5 }
  .stays { stroke: #ff6361 } .stays-tip { fill: #ff6361 }
  .melody { stroke: #ff6361 } .bass { stroke: #4fa8e8 } .drums { stroke: #c08a72 }
  .grid { stroke: #ffffff1c } .dot { fill: #4fa8e8 } .dot.moved { fill: #ff6361 }
}
"""
# Little piano rolls, within 64 by 48: M moves, h draws a note.
ROLLS = {
    "melody": "M0 16h10M12 10h10M24 4h8M34 10h18M54 16h10",
    "bass": "M0 32h20M22 28h14M38 34h14M54 30h10",
    "drums": "M0 44h4M8 44h4M16 44h4M24 44h4M32 44h4M40 44h4M48 44h4M56 44h4",
}


def text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{words}</text>'


def box(x: float, level: str, name: str, about: str, picture: str) -> str:
    """A card with a name, what it is, and a picture at its right."""
    y = LEVELS[level]
    return "\n".join(
        [
            f'<rect class="card" x="{x:g}" y="{y}" rx="10" '
            f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}"/>',
            text(x + 16, y + 34, name, "name"),
            text(x + 16, y + 58, about, "soft"),
            f'<g transform="translate({x + BOX_WIDTH - 82:g} {y + 18})">{picture}</g>',
        ]
    )


def roll(*parts: str) -> str:
    return "".join(f'<path class="roll {part}" d="{ROLLS[part]}"/>' for part in parts)


def notes(*parts: str) -> str:
    """A piano roll on the lines of beats."""
    lines = "".join(f"M{x} -2v52" for x in (0, 16, 32, 48, 64))
    return f'<path class="grid" d="{lines}"/>{roll(*parts)}'


def tensor(*parts: str) -> str:
    """A grid, of whose cells some are one."""
    lines = "".join(f"M{x} 0v48" for x in range(0, 65, 8)) + "".join(
        f"M0 {y}h64" for y in range(0, 49, 8)
    )
    cells = {"melody": "M1 4h6M9 12h6M17 4h6M33 12h6M49 4h6", "bass": "M1 28h6M25 20h6M41 28h6"}
    cells["drums"] = "M1 44h6M17 44h6M33 44h6M49 44h6"
    ones = "".join(f'<path class="roll {part}" d="{cells[part]}"/>' for part in parts)
    return f'<path class="grid" d="{lines}"/>{ones}'


def way(path: str, kind: str = "") -> str:
    tip = "stays-tip" if kind == "stays" else "tip"
    return f'<path class="way {kind}" d="{path}" marker-end="url(#{tip})"/>'


def down(x: float, level: str, words: list[str], anchor: str, upwards: bool = False) -> str:
    """The arrow between a box and the one below it, and what stands beside it."""
    top, bottom = LEVELS[level] + BOX_HEIGHT + 4, LEVELS[level] + 160 - 8
    drawn = way(f"M{x} {bottom + 4}V{top + 4}" if upwards else f"M{x} {top}V{bottom}")
    first = (top + bottom) / 2 + 4 - 9 * (len(words) - 1)
    side = 14 if anchor == "start" else -14
    return "\n".join(
        [drawn, *(text(x + side, first + 18 * i, w, "code", anchor) for i, w in enumerate(words))]
    )


def latent() -> str:
    """The space in the middle of the lowest level, and a step through it."""
    y = LEVELS["latent"] + BOX_HEIGHT / 2
    dots = [
        (-104, 2),
        (-88, -14),
        (-84, 16),
        (-66, -24),
        (-58, 26),
        (62, 30),
        (72, -20),
        (92, 10),
        (104, -6),
    ]
    drawn = "".join(
        f'<circle class="dot" cx="{MIDDLE + dx}" cy="{y + dy:g}" r="3"/>' for dx, dy in dots
    )
    moved = "".join(
        f'<circle class="dot moved" cx="{MIDDLE + dx}" cy="{y + dy:g}" r="3.5"/>'
        for dx, dy in ((-34, 22), (34, 22))
    )
    return "\n".join(
        [
            f'<ellipse class="card" cx="{MIDDLE}" cy="{y:g}" rx="126" ry="50"/>',
            drawn,
            moved,
            way(f"M{MIDDLE - 28} {y + 21:g}Q{MIDDLE} {y + 8:g} {MIDDLE + 25} {y + 19:g}"),
            text(MIDDLE, y - 10, "latent z", "name", "middle"),
            text(MIDDLE, y + 8, "a distribution", "soft", "middle"),
        ]
    )


def picture() -> str:
    left, right = LEFT + BOX_WIDTH / 2, RIGHT + BOX_WIDTH / 2
    low = LEVELS["latent"] + BOX_HEIGHT / 2
    tensors = LEVELS["tensors"] + BOX_HEIGHT
    top = LEVELS["MIDI"] + BOX_HEIGHT / 2
    trio = ("melody", "bass", "drums")
    parts = [
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="14"/>',
        *(
            f'<rect class="level" x="20" y="{y - 16}" width="{WIDTH - 40}" height="116" rx="12"/>'
            f'<text class="side" transform="translate(42 {y + 42}) rotate(-90)" '
            f'text-anchor="middle">{name}</text>'
            for name, y in LEVELS.items()
        ),
        box(LEFT, "MIDI", "Your song", "a MIDI file", roll("melody")),
        box(LEFT, "notes", "Score, notes", "ticks and beats", notes("melody")),
        box(LEFT, "tensors", "Tensors", "(steps, depth)", tensor("melody")),
        box(RIGHT, "tensors", "Tensors", "(steps, depth)", tensor(*trio)),
        box(RIGHT, "notes", "New parts", "bass, drums", notes("bass", "drums")),
        box(RIGHT, "MIDI", "With a band", "MIDI and sound", roll(*trio)),
        down(left, "MIDI", ["midi/score.py", "midi/fast.py"], "start"),
        down(left, "notes", ["midi/quantize.py", "converters/"], "start"),
        down(right, "notes", ["converters/"], "end", upwards=True),
        down(right, "MIDI", ["surrogate/arrangement/", "surrogate/render/"], "end", upwards=True),
        # Into the latent: by MusicVAE's encoder, or by a surrogate encoder.
        way(f"M{left} {tensors + 4}V{low - 14}Q{left} {low} {left + 14} {low}H{MIDDLE - 136}"),
        text(left + 14, low - 12, "model/encoder.py", "code"),
        text(left + 14, low + 20, "all parts given", "soft"),
        way(
            f"M{LEFT + BOX_WIDTH + 4} {tensors - 42}H{MIDDLE - 14}"
            f"Q{MIDDLE} {tensors - 42} {MIDDLE} {tensors - 28}V{low - 60}"
        ),
        text(MIDDLE - 14, tensors + 32, "surrogate/encoder/", "code", "end"),
        text(MIDDLE - 14, tensors + 51, "some parts given", "soft", "end"),
        way(f"M{MIDDLE + 130} {low}H{right - 14}Q{right} {low} {right} {low - 14}V{tensors + 10}"),
        text(right - 14, low - 12, "model/decoder.py", "code", "end"),
        text(right - 14, low + 20, "step by step", "soft", "end"),
        # Past the decoder: the band network, of which the latent is the style.
        way(f"M{LEFT + BOX_WIDTH + 4} {tensors - 70}H{RIGHT - 10}"),
        text(MIDDLE, tensors - 80, "surrogate/band/", "code", "middle"),
        way(f"M{MIDDLE + 60} {low - 50}V{tensors - 62}"),
        text(MIDDLE + 74, tensors + 32, "as the style", "soft"),
        text(
            MIDDLE, HEIGHT - 20, "latent/ interpolates, attribute_vectors/ moves", "code", "middle"
        ),
        latent(),
        way(f"M{LEFT + BOX_WIDTH + 4} {top}H{RIGHT - 10}", "stays"),
        text(MIDDLE, top - 12, "every message is kept", "soft", "middle"),
    ]
    tips = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="9" '
        'markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">'
        f'<path class="{name}" d="M0 0L8 4L0 8z"/></marker>'
        for name in ("tip", "stays-tip")
    )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="From a MIDI file to notes, tensors and the latent, and back">\n'
        f"<style>{STYLE}</style>\n<defs>{tips}</defs>\n{body}\n</svg>\n"
    )


if __name__ == "__main__":
    OUT.write_text(picture(), encoding="utf-8")
