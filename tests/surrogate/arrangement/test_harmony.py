from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_scores import score_of

from musicvae_torch.chords.symbols import chord_tones
from musicvae_torch.errors import ChordError
from musicvae_torch.midi.score import Score
from surrogate.arrangement.harmony import Harmony, from_markers, infer, parse
from surrogate.song.grid import Grid


def spans(harmony: Harmony) -> list[tuple[int, str]]:
    return list(zip(harmony.starts.tolist(), harmony.names, strict=True))


@pytest.mark.parametrize(
    ("name", "root", "pitches", "core", "bass"),
    [
        ("C", 0, {0, 4, 7}, {0, 4, 7}, None),
        ("F#m7", 6, {6, 9, 1, 4}, {6, 9, 1, 4}, None),
        ("Bb/D", 10, {10, 2, 5}, {10, 2, 5}, 2),
        ("C/Bb", 0, {0, 4, 7, 10}, {0, 4, 7, 10}, 10),
        ("Dsus4", 2, {2, 7, 9}, {2, 7, 9}, None),
        ("Cdim7", 0, {0, 3, 6, 9}, {0, 3, 6, 9}, None),
        ("G9", 7, {7, 11, 2, 5, 9}, {7, 11, 2, 5}, None),
        ("C7(b9)", 0, {0, 4, 7, 10, 1}, {0, 4, 7, 10}, None),
        ("Caug", 0, {0, 4, 8}, {0, 4, 8}, None),
        ("N.C.", None, set(), set(), None),
    ],
)
def test_chord_tones(
    name: str, root: int | None, pitches: set[int], core: set[int], bass: int | None
) -> None:
    tones = chord_tones(name)
    assert (tones.root, tones.bass) == (root, bass)
    assert (set(tones.pitches), set(tones.core)) == (pitches, core)


def test_bars_share_repeat_and_begin_again() -> None:
    harmony = parse("| C | Am F | % | G7 |", 6)
    assert spans(harmony) == [
        (0, "C"),
        (16, "Am"),
        (24, "F"),
        (32, "Am"),
        (40, "F"),
        (48, "G7"),
        (64, "C"),
        (80, "Am"),
        (88, "F"),
    ]


def test_empty_bars_repeat_and_a_double_line_is_one() -> None:
    assert spans(parse("C | | F || G | |", 6)) == [(0, "C"), (32, "F"), (48, "G"), (80, "C")]


def test_three_chords_share_a_bar() -> None:
    assert spans(parse("C F G", 1)) == [(0, "C"), (5, "F"), (10, "G")]


def test_strokes_hold_a_chord() -> None:
    assert spans(parse("C / / G", 1)) == [(0, "C"), (12, "G")]


def test_lines_are_bar_lines() -> None:
    assert spans(parse("C | F\n\nG\n", 3)) == [(0, "C"), (16, "F"), (32, "G")]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("NC", "N.C."),
        ("n.c.", "N.C."),
        ("B♭Maj7", "Bbmaj7"),
        ("F♯ø7", "F#m7b5"),
        ("G7sus4", "G7sus"),
        ("CΔ7", "Cmaj7"),
        ("C°", "Cdim"),
    ],
)
def test_spellings_of_a_chord_become_one(written: str, name: str) -> None:
    assert parse(written, 1).names == (name,)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("C | Hm", "'Hm' is no chord symbol"),
        ("C | Xø", "'Xø' is no chord symbol"),
        ("", "no chords"),
        (" | | ", "no chords"),
        ("% | C", "line 1, bar 1: '%' repeats the bar before it"),
        ("/ C", "in its bar; wanted a chord"),
        ("C " * 17, "wanted 16 at most"),
    ],
)
def test_refused_chords(text: str, why: str) -> None:
    with pytest.raises(ChordError, match=why) as caught:
        parse(text, 4)
    assert "\n" not in str(caught.value)


def test_chords_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "chords.txt"
    path.write_text("C | F\n", encoding="utf-8")
    assert spans(parse(f"@{path}", 2)) == [(0, "C"), (16, "F")]
    assert spans(parse("C", 2)) == [(0, "C")]
    path.write_text("C | Q", encoding="utf-8")
    with pytest.raises(ChordError, match=r"chords\.txt: line 1, bar 2: 'Q' is no chord symbol"):
        parse(f"@{path}", 2)
    with pytest.raises(ChordError, match=r"nowhere\.txt: chords cannot be read \(No such file"):
        parse(f"@{tmp_path / 'nowhere.txt'}", 2)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ChordError, match="no UTF-8"):
        parse(f"@{path}", 2)


NAMES = st.sampled_from(["C", "F#m7", "Bb/D", "N.C.", "Gsus4", "Adim"])


@given(st.lists(st.lists(NAMES, min_size=1, max_size=2), min_size=1, max_size=8))
def test_each_half_bar_has_its_chord(bars: list[list[str]]) -> None:
    harmony = parse(" | ".join(" ".join(bar) for bar in bars), len(bars))
    assert harmony.starts[0] == 0
    assert (np.diff(harmony.starts) > 0).all()
    halves = [name for bar in bars for name in (bar * 2 if len(bar) == 1 else bar)]
    assert harmony.names_at(np.arange(len(halves)) * 8).tolist() == halves


def song(kind: str, texts: list[tuple[int, str]]) -> Score:
    """A score whose second chunk holds texts at ticks."""
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("text", text="A song in C")]))
    chunk, tick = mido.MidiTrack(), 0
    for at, text in texts:
        chunk.append(mido.MetaMessage(kind, text=text, time=at - tick))
        tick = at
    file.tracks.append(chunk)
    return score_of(file)


@pytest.mark.parametrize("kind", ["text", "marker", "lyrics", "cue_marker"])
def test_markers_that_are_chords(kind: str) -> None:
    score = song(kind, [(0, "Intro"), (1920, "Gm/Bb\n"), (2880, "Cm"), (3840, "Cm"), (5760, "D7 ")])
    harmony = from_markers(score, Grid(score, 7680))
    assert harmony is not None
    assert spans(harmony) == [(0, "N.C."), (16, "Gm/Bb"), (24, "Cm"), (48, "D7")]


def test_chords_from_the_start() -> None:
    score = song("marker", [(0, "Am"), (960, "F#"), (3840, "Bm"), (5760, "E7")])
    harmony = from_markers(score, Grid(score, 7680))
    assert harmony is not None
    assert spans(harmony) == [(0, "Am"), (8, "F#"), (32, "Bm"), (48, "E7")]


@pytest.mark.parametrize(
    "texts",
    [
        ["A", "B", "C", "D", "E"],  # sections
        ["Am", "F", "G7"],  # too few
        ["Am", "I", "was", "C", "G7", "young", "F", "and"],  # words
        [],
    ],
)
def test_texts_that_are_no_chords(texts: list[str]) -> None:
    score = song("marker", [(1920 * i, text) for i, text in enumerate(texts)])
    assert from_markers(score, Grid(score, 7680)) is None


def notes_of(rows: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    starts, ends, pitches = np.array(rows, np.int64).reshape(-1, 3).T
    return starts, ends, pitches


def triads(roots: list[tuple[int, ...]], steps: int) -> list[tuple[int, int, int]]:
    return [(i * steps, (i + 1) * steps, pitch) for i, chord in enumerate(roots) for pitch in chord]


C, F, G, AM = (60, 64, 67), (65, 69, 72), (67, 71, 74), (57, 60, 64)


def test_chords_are_heard_in_triads() -> None:
    rows = triads([C, C, AM, F, G, G, C, C], 8)
    harmony = infer(*notes_of(rows), bars=4)
    assert spans(harmony) == [(0, "C"), (16, "Am"), (24, "F"), (32, "G"), (48, "C")]


def test_one_chord_a_bar() -> None:
    rows = triads([C, F, G, C], 16)
    assert infer(*notes_of(rows), bars=4, a_bar=1).names == ("C", "F", "G", "C")
    with pytest.raises(ValueError, match="1 or 2 chords a bar, not 4"):
        infer(*notes_of(rows), bars=4, a_bar=4)


def test_there_is_no_chord_before_the_first_note() -> None:
    rows = [(start + 16, end + 16, pitch) for start, end, pitch in triads([C, F], 16)]
    assert spans(infer(*notes_of(rows), bars=3)) == [(0, "N.C."), (16, "C"), (32, "F")]
    assert spans(infer(*notes_of([]), bars=3)) == [(0, "N.C.")]


def test_long_songs_are_heard_piece_by_piece() -> None:
    rows = triads([C, F, G, C] * 150, 16)
    harmony = infer(*notes_of(rows), bars=600)
    assert harmony.names_at(np.arange(600) * 16).tolist() == ["C", "F", "G", "C"] * 150
