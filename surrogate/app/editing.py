"""What the page of the bands lets one change, within the app, and what it then asks for.

The page asks in messages, which come from a browser, and so are read with care.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from musicvae_torch.errors import OptionError
from surrogate.app.result import Result
from surrogate.pipeline import CHORDAL
from surrogate.render.page import html_of, resource
from surrogate.render.page_data import Data

REDO = re.compile(r"(bass|drums|chords):[0-9]{1,5}-[0-9]{1,5}")
MOST_CELLS = 10_000


@dataclass(frozen=True)
class Asked:
    """A change that the page asks for.

    Attributes:
        what: redo, chords or undo.
        band: the number of the band, from 1; 0: the song as it came.
        bars: to make anew, such as "bass:9-10".
        chords: of each bar of the band's chart.
    """

    what: str
    band: int = 0
    bars: tuple[str, ...] = ()
    chords: tuple[str, ...] = ()

    @classmethod
    def read(cls, message: Any) -> Asked:
        """The change that a message asks for.

        Raises:
            OptionError: it is no message of the page.
        """
        asked = message if isinstance(message, dict) else {}
        what, band = asked.get("what"), asked.get("band")
        bars, chords = asked.get("bars", []), asked.get("chords", [])
        good = what in ("redo", "chords", "undo") and type(band) is int and band >= 0
        good = good and isinstance(bars, list) and isinstance(chords, list)
        good = good and all(isinstance(text, str) and REDO.fullmatch(text) for text in bars)
        good = good and len(chords) <= MOST_CELLS and all(isinstance(text, str) for text in chords)
        if not good:
            raise OptionError("not understood; reload the page")
        if what == "redo" and not bars:
            raise OptionError("Redo: choose bars on the ruler, and at least one part")
        return cls(str(what), int(band or 0), tuple(bars), tuple(chords))


def editable(contents: Data, bands: Result, number: int, undo: bool) -> str:
    """The page with what the app adds to it: a row of chords, Redo and Undo.

    Args:
        contents: of `bands`.
        bands: that are shown.
        number: of the band, from 1, that comes first to the ear.
        undo: whether there is something to undo.
    """
    charts: list[Data | None] = [None]
    for take in bands.takes:
        chart = take.chart
        chordal = any(part in take.parts for part in CHORDAL)
        cells = [] if chart is None else [" ".join(bar) for bar in chart.bars]
        charts.append({"first": take.first_bar, "cells": cells} if chordal else None)
    editor = {
        "current": number,
        "undo": undo,
        "parts": [[], *(list(take.parts) for take in bands.takes)],
        "charts": charts,
    }
    script = resource("surrogate.app", "editor.js")
    style = resource("surrogate.app", "editor.css")
    return html_of({**contents, "editor": editor}, [script], style)
