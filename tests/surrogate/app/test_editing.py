"""What can be changed of bands that are there: bars, chords, and all of it undone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bands import small_band
from paths import EXAMPLES
from small_pairs import small_surrogate, small_vae

from musicvae_torch.errors import MidiError, OptionError
from musicvae_torch.midi.score import Score
from surrogate import Accompanist, AccompanyOptions
from surrogate.app.editing import Asked
from surrogate.app.page import MOST_STEPS, kept_steps
from surrogate.app.result import Result
from surrogate.app.studio import Studio, read_song
from surrogate.cli.accompany_app import offline

pytest.importorskip("gradio", reason="gradio is not installed: there is no app")

SAINTS = EXAMPLES / "saints.mid"


@pytest.fixture(scope="module")
def accompanist() -> Accompanist:
    return Accompanist(small_vae(), small_surrogate(), band=small_band(style_size=4))


@pytest.fixture
def studio(accompanist: Accompanist, tmp_path: Path) -> Studio:
    return Studio(accompanist, tmp_path)


@pytest.fixture
def bands(studio: Studio) -> Result:
    return studio.make(read_song(SAINTS), AccompanyOptions(candidates=2))


def notes(score: Score, name: str, bars: range | None = None) -> list[list[int]]:
    """The notes of a part, of those that begin within or, if they are negative, without bars."""
    (track,) = (track for track in score.tracks if track.name == name)
    bar = track.notes["start"] // (4 * score.resolution) + 1
    inside = np.isin(bar, list(bars or ()))
    chosen = track.notes[inside if bars else np.ones(len(bar), bool)]
    return [list(row) for row in chosen.tolist()]


def others(score: Score, name: str, bars: range) -> list[list[int]]:
    within = notes(score, name, bars)
    return [note for note in notes(score, name) if note not in within]


def test_bars_are_made_anew_as_a_further_version(studio: Studio, bands: Result) -> None:
    first = studio.redo(bands, 1, ["bass:9-10"])
    assert [title for title, _ in first.choices] == ["Band 1", "Band 1.2", "Band 2"]
    before, after = (first.take(number).candidate.score for number in (1, 2))
    assert before is bands.take(1).candidate.score
    where = range(9, 11)
    assert others(after, "bass", where) == others(before, "bass", where)
    assert notes(after, "bass", where) != notes(before, "bass", where)
    assert notes(after, "drums") == notes(before, "drums")
    # Again, from the version, and once more from what came first: each time they are others.
    second = studio.redo(studio.redo(first, 2, ["bass:9-10"]), 1, ["bass:9-10"])
    titles = [title for title, _ in second.choices]
    assert titles == ["Band 1", "Band 1.2", "Band 1.3", "Band 1.4", "Band 2"]
    made = {str(notes(take.candidate.score, "bass")) for take in second.takes[:4]}
    assert len(made) == 4
    assert second.settings()["Band 1.3"].startswith("bass:9-10 anew, seed ")
    assert second.remarks()[-1].startswith("Band 1.4: bass, bars 9-10: ")


def test_other_chords_change_the_bass_of_their_bars(studio: Studio, bands: Result) -> None:
    take = bands.take(2)
    assert take.chart is not None and take.first_bar == 1
    cells = [" ".join(bar) for bar in take.chart.bars]
    cells[8:10] = ["Ebm", "Ebm7 Ab7"]
    changed = studio.change_chords(bands, 2, cells)
    new = changed.take(3)
    assert new.title == "Band 2.2" and new.chart is not None
    assert [" ".join(bar) for bar in new.chart.bars] == cells
    before, after = take.candidate.score, new.candidate.score
    where = range(9, 11)
    assert others(after, "bass", where) == others(before, "bass", where)
    assert notes(after, "drums") == notes(before, "drums")
    in_bar = notes(after, "bass", range(9, 10))
    on_beats = [pitch % 12 for start, _, pitch, _ in in_bar if start % (2 * after.resolution) == 0]
    assert on_beats and set(on_beats) <= {3, 6, 10}
    # They stay when other bars are made anew.
    again = studio.redo(changed, 3, ["drums:9"])
    assert again.take(4).chart.bars == new.chart.bars  # type: ignore[union-attr]
    view = again.contents(sound=False)["views"][4]
    assert [name for quarter, name in view["chords"] if quarter == 32] == ["Ebm"]


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("Hm", "Chords: bar 9: 'Hm' is no chord symbol"),
        ("C | F", "Chords: bar 9: wanted the chords of one bar"),
        ("", "Chords: bar 9: no chords"),
        ("@/etc/passwd", "Chords: bar 9: '@/etc/passwd' is no chord symbol"),
    ],
)
def test_cells_that_mean_nothing(studio: Studio, bands: Result, cell: str, line: str) -> None:
    cells = [" ".join(bar) for bar in bands.take(1).chart.bars]  # type: ignore[union-attr]
    with pytest.raises(OptionError, match="no bar has other chords"):
        studio.change_chords(bands, 1, cells)
    cells[8] = cell
    with pytest.raises(OptionError, match=f"^{line}"):
        studio.change_chords(bands, 1, cells)
    with pytest.raises(OptionError, match="one cell for each bar"):
        studio.change_chords(bands, 1, cells[:4])


def test_what_the_song_holds_is_not_redone(studio: Studio, bands: Result) -> None:
    """Of a song with a bass that gets drums and chords, these alone can be made anew."""
    song = replace(bands.take(1).candidate.score, name="saints.mid")
    options = AccompanyOptions(given=("melody", "bass"), add=("chords",), chords="F")
    made = studio.make(song, options)
    take = made.take(1)
    assert take.parts == ("drums", "chords") and take.chart is not None
    cells = ["F"] * len(take.chart.bars)
    cells[8] = "Ab"
    changed = studio.change_chords(made, 1, cells).take(2)
    before, after = take.candidate.score, changed.candidate.score
    assert notes(after, "bass") == notes(before, "bass")
    assert {pitch % 12 for _, _, pitch, _ in notes(after, "chords", range(9, 10))} == {8, 0, 3}
    assert changed.parts == take.parts
    without = studio.make(song, replace(options, add=()))
    with pytest.raises(OptionError, match="neither the bass nor a part of chords is new"):
        studio.change_chords(without, 1, cells)


def test_bands_and_bars_that_are_not_there(studio: Studio, bands: Result) -> None:
    with pytest.raises(OptionError, match="choose one of the bands first"):
        studio.redo(bands, 0, ["bass:9"])
    with pytest.raises(MidiError, match="wanted bar 99, but the song has bars 1-32"):
        studio.redo(bands, 1, ["bass:99"])


def test_a_pickup_and_an_intro(studio: Studio) -> None:
    """Chords stay in their bars, though an intro shifts these."""
    made = studio.make(read_song(SAINTS), AccompanyOptions(chords="C | F | G | C", intro=4))
    take = made.take(1)
    assert take.first_bar == 5
    cells = [" ".join(bar) for bar in take.chart.bars]  # type: ignore[union-attr]
    assert cells[:4] == ["C", "F", "G", "C"]
    new = studio.change_chords(made, 1, ["Eb", *cells[1:]]).take(2)
    assert new.chart is not None
    by_number = dict(enumerate(new.chart.bars, start=new.first_bar))
    assert [by_number[n] for n in (5, 6, 7, 8)] == [("Eb",), ("F",), ("G",), ("C",)]


@pytest.mark.parametrize(
    "message",
    [
        None,
        {"what": "redo"},
        {"what": "redo", "band": True, "bars": ["bass:1-2"]},
        {"what": "redo", "band": -1, "bars": ["bass:1-2"]},
        {"what": "redo", "band": 1, "bars": "bass:1-2"},
        {"what": "redo", "band": 1, "bars": ["bass:1-2,3"]},
        {"what": "redo", "band": 1, "bars": ["melody:1-2"]},
        {"what": "chords", "band": 1, "chords": [3]},
        {"what": "rm", "band": 1},
    ],
)
def test_messages_that_are_none_of_the_page(message: Any) -> None:
    with pytest.raises(OptionError, match="not understood; reload the page"):
        Asked.read(message)


@pytest.fixture
def page(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # so that it is put back
    offline(tmp_path / "sent")
    studio.sounds = False  # that takes long
    from surrogate.app.page import Page

    return Page(studio, {})


def edit(page: Any, steps: list[Result], **message: Any) -> dict[Any, Any]:
    (told,) = page._edit(steps, SimpleNamespace(_data=message))
    return dict(told)


def test_the_page_changes_and_undoes(page: Any, bands: Result) -> None:
    told = edit(page, [bands], what="redo", band=1, bars=["bass:9-10", "drums:9-10"])
    steps = told[page.steps]
    assert steps[0] is bands and told[page.band].value == 2
    assert Path(told[page.midi].value["path"]).name == "saints-band-1.2.mid"
    saved = Path(told[page.page].value["path"]).read_text(encoding="utf-8")
    assert "Band 1.2" in saved and "Undo" not in saved and "Undo" in told[page.player]
    told = edit(page, steps, what="undo", band=2)
    assert told[page.steps] == [bands]
    assert Path(told[page.midi].value["path"]).name == "saints-band-2.mid"
    told = edit(page, [bands], what="undo", band=1)
    assert list(told) == [page.problem] and "nothing to undo" in told[page.problem].value
    told = edit(page, [], what="redo", band=1, bars=["bass:9-10"])
    assert "Make some bands first" in told[page.problem].value


def test_old_steps_are_forgotten_with_their_files(studio: Studio, bands: Result) -> None:
    other = studio.make(read_song(SAINTS), AccompanyOptions(seed=1))
    steps = kept_steps([bands], other)
    for _ in range(MOST_STEPS):
        assert bands.folder.exists()
        steps = kept_steps(steps, other)
    assert len(steps) == MOST_STEPS + 1 and not bands.folder.exists() and other.folder.exists()
