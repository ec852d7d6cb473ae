"""The picture of a song."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pretty_midi
import pytest

from surrogate.piano_roll import COLOURS, draw_piano_roll


@pytest.fixture
def trio() -> pretty_midi.PrettyMIDI:
    midi = pretty_midi.PrettyMIDI()
    for program, is_drum, pitch in ((34, False, 72), (33, False, 40), (0, True, 38)):
        track = pretty_midi.Instrument(program, is_drum)
        track.notes = [pretty_midi.Note(80, pitch, 2 * bar, 2 * bar + 1) for bar in range(20)]
        midi.instruments.append(track)
    return midi


def test_every_part_is_drawn_in_its_colour(trio: pretty_midi.PrettyMIDI, tmp_path: Path) -> None:
    from matplotlib.image import imread

    path = tmp_path / "roll.png"
    draw_piano_roll(trio, path, title="a song")
    pixels = np.round(imread(path)[..., :3] * 255).astype(int)
    for colour in COLOURS.values():
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels == wanted).all(-1).sum() > 200, colour


def test_other_formats_and_none(trio: pretty_midi.PrettyMIDI, tmp_path: Path) -> None:
    draw_piano_roll(trio, tmp_path / "roll.svg")
    assert "<svg" in (tmp_path / "roll.svg").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="xyz"):
        draw_piano_roll(trio, tmp_path / "roll.xyz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["roll.svg"]


def test_an_empty_song(tmp_path: Path) -> None:
    draw_piano_roll(pretty_midi.PrettyMIDI(), tmp_path / "roll.png")
    assert (tmp_path / "roll.png").stat().st_size > 0
