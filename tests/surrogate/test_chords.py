"""A song's chords: shown as a chart, given back, written as markers, and played."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import EXAMPLES
from small_pairs import small_surrogate, small_vae
from small_scores import QUARTER, Notes, chunk, midi_bytes, score_of

from musicvae_torch.chords.symbols import chord_tones
from musicvae_torch.midi.score import Score, read_score
from surrogate import Accompanist, AccompanyOptions
from surrogate.arrangement.harmony import chord_texts
from surrogate.arrangement.song_chart import SongChart, read_song_chart
from surrogate.cli.accompany import main as accompany

SAINTS = EXAMPLES / "saints.mid"
CHART = "[A] F | F C7 | Bb | F x2"


@pytest.fixture(scope="module")
def accompanist() -> Accompanist:
    return Accompanist(small_vae(), small_surrogate())


def tune(
    bars: float,
    metre: tuple[int, int] = (4, 4),
    texts: Sequence[tuple[int, str]] = (),
    kind: str = "text",
) -> Score:
    """A scale of a note a quarter, and texts at bars of 4/4."""
    file = mido.MidiFile(ticks_per_beat=QUARTER)
    first = mido.MidiTrack(
        [mido.MetaMessage("time_signature", numerator=metre[0], denominator=metre[1])]
    )
    now = 0
    for bar, text in texts:
        first.append(mido.MetaMessage(kind, text=text, time=bar * 4 * QUARTER - now))
        now = bar * 4 * QUARTER
    quarters = round(bars * 4 * metre[0] / metre[1])
    notes: Notes = [(i, i + 1, 60 + (0, 2, 4, 5, 7, 5, 4, 2)[i % 8]) for i in range(quarters)]
    file.tracks += [first, chunk(notes, 73)]
    return score_of(file, "tune.mid")


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert accompany([str(SAINTS), "--show-chords", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_chart_is_shown_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys)
    assert lines[0] == "# bars 1 to 32, inferred from the melody"
    assert [line.count("|") for line in lines[1:]] == [5] * 8


def test_a_shown_chart_is_taken_back(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = shown(capsys)
    path = tmp_path / "chart.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    again = shown(capsys, "--chords", f"@{path}")
    assert again == ["# bars 1 to 32, as given", *lines[1:]]


def test_a_chart_is_written_and_never_over_another(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "chart.txt"
    assert shown(capsys, "-o", str(out), "--chords", CHART) == [f"wrote {out}"]
    assert out.read_text(encoding="utf-8").splitlines() == shown(capsys, "--chords", CHART)
    out.write_text("F", encoding="utf-8")
    assert accompany([str(SAINTS), "--show-chords", "-o", str(out)]) == 2
    assert "is there already, and may have been edited" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8") == "F"


def test_the_chords_of_a_score_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("music21")
    assert accompany([str(SAINTS.parent / "scores/amazing_grace.musicxml"), "--show-chords"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "# bars 0 to 16, as the file has them"
    assert lines[2].startswith("| G")


def test_sections_are_shown_bar_by_bar(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "--chords", CHART)
    assert lines[:2] == [
        "# bars 1 to 32, as given",
        "# the chart has 8 bars, which are repeated over the song's bars 1 to 32",
    ]
    assert lines[2:] == ["| F | F C7 | Bb | F |"] * 8


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["-o", "out.mid"], "out.mid: --show-chords writes a chart; name a .txt file"),
        (["--seed", "3"], "--seed: --show-chords shows the chart and stops"),
        (["--chords", "F | Hm"], "line 1, bar 2: 'Hm' is no chord symbol"),
    ],
)
def test_what_does_not_go_with_a_chart(
    words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accompany([str(SAINTS), "--show-chords", *words]) == 2
    assert why in capsys.readouterr().err


def test_comping_wants_a_part_of_chords(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = str(tmp_path / "out.mid")
    assert accompany([str(SAINTS), "-o", out, "--comping", "pad"]) == 2
    assert "--comping: applies to a part of chords" in capsys.readouterr().err
    assert accompany([str(SAINTS), "-o", out, "--add", "strings"]) == 2
    assert "add must be chords" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bars", "remark"),
    [
        (2, "the chart has 2 bars, which are repeated over the song's bars 1 to 4"),
        (4, None),
        (5, "the chart has 5 bars for the song's bars 1 to 4; its last one is not played"),
        (7, "the chart has 7 bars for the song's bars 1 to 4; its last 3 are not played"),
    ],
)
def test_charts_that_are_not_as_long_as_the_song(bars: int, remark: str | None) -> None:
    text = " | ".join(("C", "F")[bar % 2] for bar in range(bars))
    chart = read_song_chart(tune(4), AccompanyOptions(chords=text))
    assert chart.bars == (("C",), ("F",), ("C",), ("F",))
    assert chart.remarks == (() if remark is None else (remark,))


METRES = st.sampled_from([(4, 4), (3, 4), (2, 4), (6, 8), (2, 2), (12, 8)])
BARS = st.lists(
    st.sampled_from([("C",), ("F", "G7"), ("Am", "Am", "D7"), ("N.C.",), ("C", "F", "C", "G")]),
    min_size=1,
    max_size=6,
)


@given(METRES, BARS)
def test_the_chart_of_a_chart_has_the_same_chords(
    metre: tuple[int, int], bars: list[tuple[str, ...]]
) -> None:
    song = tune(len(bars), metre)
    text = " | ".join(map(" ".join, bars))
    first = read_song_chart(song, AccompanyOptions(chords=text))
    again = read_song_chart(song, AccompanyOptions(chords=str(first)))
    assert (again.bars, again.marks) == (first.bars, first.marks)
    assert len(first.bars) == len(bars)
    if metre in ((4, 4), (2, 2)):
        even = [bar for bar in zip(first.bars, bars, strict=True) if len(bar[1]) != 3]
        assert all(set(own) == set(wanted) for own, wanted in even)


def test_bars_of_three_quarters() -> None:
    chart = read_song_chart(tune(4, (3, 4)), AccompanyOptions(chords="C F G | Am | G | C / F"))
    assert chart.bars == (("C", "F", "G"), ("Am",), ("G",), ("C", "C", "F"))
    assert [tick / QUARTER for tick, _ in chart.marks] == [0, 1, 2, 3, 6, 9, 11]


def test_markers_hold_the_chart(accompanist: Accompanist) -> None:
    options = AccompanyOptions(chords=CHART, write_chords=True)
    result = accompanist.accompany(SAINTS, options)
    chart = result.chart
    assert isinstance(chart, SongChart)
    found = chord_texts(result.score)
    assert found is not None
    assert tuple(zip(found.ticks.tolist(), found.names, strict=True)) == chart.marks
    messages = result.score.file.tracks[found.chunk].messages
    assert {messages[position].kind for position in found.positions} == {0x06}
    read = read_song_chart(result.score, AccompanyOptions())
    assert (read.bars, read.source) == (chart.bars, "file")


def test_markers_change_nothing_else(accompanist: Accompanist) -> None:
    plain = accompanist.accompany(SAINTS, AccompanyOptions(chords=CHART))
    marked = accompanist.accompany(SAINTS, AccompanyOptions(chords=CHART, write_chords=True))
    before, after = (result.score.file.tracks for result in (plain, marked))
    assert [c.messages for c in after[:-1]] == [c.messages for c in before]
    assert len(marked.score.tracks) == len(plain.score.tracks)


@pytest.mark.parametrize("chords", [None, "F | C"])
def test_markers_are_never_doubled(accompanist: Accompanist, chords: str | None) -> None:
    once = accompanist.accompany(SAINTS, AccompanyOptions(chords="C | F", write_chords=True)).score
    options = AccompanyOptions(chords=chords, write_chords=True, keep="given")
    result = accompanist.accompany(once, options)
    assert result.chart is not None
    groups = [
        [message.data for message in own.messages if message.kind == 0x06]
        for own in result.score.file.tracks
    ]
    expected = [name.encode() for _, name in result.chart.marks]
    assert [group for group in groups if group] == [expected]
    told = [note for note in result.notes if "chord" in note and "chart" not in note]
    if chords is None:
        assert told == ["the file has its chords as text already, so none were written"]
    else:
        assert told == ["32 chord symbols of the file gave way to the chords that were given"]


def test_chords_among_the_notes_of_a_track_give_way(accompanist: Accompanist) -> None:
    texts = [(0, "Verse"), (0, "Am"), (1, "Dm"), (2, "E7"), (3, "Am")]
    song = tune(4, texts=texts)
    notes = song.tracks[0].notes
    options = AccompanyOptions(chords="C", write_chords=True)
    result = accompanist.accompany(song, options)
    kept = read_score_again(result.score)
    assert "Verse" in [text for own in kept.texts for text in own.values()]
    assert (kept.tracks[0].notes == notes).all()
    found = chord_texts(kept)
    assert found is not None and found.names == ("C",)


def read_score_again(score: Score) -> Score:
    return score_of(score.to_bytes())


@pytest.mark.parametrize("comping", ["guitar", "pad"])
def test_a_part_of_chords(accompanist: Accompanist, comping: str) -> None:
    plain = accompanist.accompany(SAINTS, AccompanyOptions(chords=CHART))
    options = AccompanyOptions(chords=CHART, add=("chords",), comping=comping)
    result = accompanist.accompany(SAINTS, options)
    before, after = plain.score.file.tracks, result.score.file.tracks
    assert [c.messages for c in after[:-1]] == [c.messages for c in before]
    part = result.best.tracks[-1]
    assert (part.name, part.is_drum) == ("chords", False)
    assert part.program == {"guitar": 25, "pad": 89}[comping]
    assert result.view().roles[-1] == "chords"
    chart = result.chart
    assert chart is not None
    ticks = np.array([tick for tick, _ in chart.marks])
    slack = QUARTER // 8
    for start, _, pitch, _ in part.notes.tolist():
        near = {int(np.searchsorted(ticks, start + late, "right")) - 1 for late in (-slack, slack)}
        assert any(pitch % 12 in chord_tones(chart.marks[i][1]).pitches for i in near)


def test_bars_to_skip_have_no_chords(accompanist: Accompanist) -> None:
    options = AccompanyOptions(chords=CHART, add=("chords",), skip=((1, 4),))
    result = accompanist.accompany(SAINTS, options)
    part = result.best.tracks[-1]
    assert part.name == "chords"
    assert part.notes["start"].min() >= 4 * 4 * result.score.resolution


def test_the_command_adds_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "band.mid"
    assert accompany([str(SAINTS), "-o", str(out), "--add", "chords", "--write-chords"]) == 0
    assert "notes of chords; " in capsys.readouterr().out
    assert chord_texts(read_score(out)) is not None
    assert midi_bytes(mido.MidiFile(out))  # another reader reads it
