"""Folders of short songs by made-up systems, and votes on them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from small_scores import chunk, score

from musicvae_torch.midi.score import Score

TUNE = [(float(beat), beat + 0.9, 72 + beat % 5) for beat in range(8)]  # four seconds


def song(bass: int | None, velocity: int = 90, silence: float = 0) -> Score:
    """A tune, and a bass that stays on one pitch."""
    moved = [(start + silence, end + silence, pitch) for start, end, pitch in TUNE]
    chunks = [chunk(moved, program=73, velocity=velocity)]
    if bass is not None:
        low = [(start, end, bass) for start, end, _ in moved]
        chunks.append(chunk(low, program=33, channel=1, velocity=velocity))
    return score(*chunks)


def write_song(path: Path, made: Score) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.to_bytes())


def write_folders(home: Path, songs: Sequence[str] = ("Larks", "Owls")) -> dict[str, Path]:
    """Two systems' folders, secret_one and secret_two, and `melody`; the second one is soft."""
    for name in songs:
        write_song(home / f"secret_one/{name}.mid", song(40))
        write_song(home / f"secret_two/{name}.mid", song(43, velocity=50))
        write_song(home / f"melody/{name}.mid", song(None))
    return {name: home / name for name in ("secret_one", "secret_two")}


def data_of(page: Path) -> dict[str, Any]:
    """The JSON within a page."""
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="song">(.*?)</script>', text, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data
