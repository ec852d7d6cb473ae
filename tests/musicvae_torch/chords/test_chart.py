from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicvae_torch.chords.chart import read_chart, read_text, write_chart
from musicvae_torch.chords.symbols import ROOTS
from musicvae_torch.errors import ChordError

KINDS = ("", "m", "7", "maj7", "m7b5", "dim7", "sus2", "7sus", "6/9", "m(maj7)", "7(b9)", "/E")
SYMBOLS = st.sampled_from([*(root + kind for root in ROOTS for kind in KINDS), "N.C."])
BARS = st.lists(st.lists(SYMBOLS, min_size=1, max_size=16).map(tuple), min_size=1, max_size=20)


def played(text: str) -> str:
    """A chart's bars in short."""
    return " | ".join(" ".join(bar) for bar in read_chart(text))


@given(BARS, st.integers(1, 8))
def test_a_written_chart_is_read_as_the_same_bars(bars: list[tuple[str, ...]], a_line: int) -> None:
    assert read_chart(write_chart(bars, a_line)) == tuple(bars)


def test_a_written_chart_has_bars_of_four_a_line_below_each_other() -> None:
    bars = [("C",), ("Am", "F"), ("G",), ("C", "C", "C", "G7"), ("F#m7b5",), ("C",)]
    assert write_chart(bars).splitlines() == [
        "| C      | Am F | G | C / / G7 |",
        "| F#m7b5 | C    |",
    ]


@pytest.mark.parametrize(
    ("text", "bars"),
    [
        ("[A] C | Am | F G | % x2", "C | Am | F G | F G | C | Am | F G | F G"),
        ("C | F x3", "C | F | C | F | C | F"),
        ("C | F | x2 | G", "C | F | C | F | G"),
        ("C x2 | F x2", "C | C | F | F"),
        ("C | F ×1 | G X2", "C | F | G | G"),
        ("[A] C | F [B] G x2 [A]", "C | F | G | G | C | F"),
        ("[A] C | F\n[B] G\n[ a ] x2\n[b]", "C | F | G | C | F | C | F | G"),
        ("[A] C\n[A] D\n[A]", "C | D | D"),
        ("C\n[A] F x2\n[B] G x2", "C | F | F | G | G"),
        ("[A]\nC\nF\nx2", "C | F | C | F"),
        ("[Verse 1] C | F", "C | F"),
        ("# by ear\nC | C# # the end", None),
        ("  # by ear\nC | C#m\n#\n", "C | C#m"),
        ("[A] | C | F |", "C | F"),
        ("C || F | | G", "C | F | F | G"),
        ("N.C. | nc", "N.C. | N.C."),
        ("[A] C | F [B] % | G", "C | F | F | G"),
    ],
)
def test_sections_and_repeats(text: str, bars: str | None) -> None:
    if bars is None:
        with pytest.raises(ChordError, match="'#'"):
            read_chart(text)
    else:
        assert played(text) == bars


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("C | Hm", r"line 1, bar 2: 'Hm' is no chord symbol; write it as in C"),
        ("C\n\nF | G | ?", r"line 3, bar 3: '\?' is no chord symbol"),
        ("% | C", "line 1, bar 1: '%' repeats the bar before it, but is the first; wanted a chord"),
        ("| | C", "line 1, bar 1: an empty bar repeats the bar before it"),
        ("C | / F", "line 1, bar 2: '/' repeats the chord before it in its bar; wanted a chord"),
        ("C | F %", "line 1, bar 2: '%' repeats a whole bar; wanted it alone"),
        ("C " * 17, "line 1, bar 1: there are 17 chords; wanted 16 at most"),
        ("[A] C\n[B]\n[A]", r"line 2, bar 1: \[B\] has no bars; wanted some, or the name"),
        ("C | [B] x2", r"line 1, bar 2: \[B\] has no bars"),
        ("C [] F", r"line 1, bar 2: '\[\]' has no name; wanted one"),
        ("C | [A F", r"line 1, bar 2: '\[' is half a heading; wanted \[NAME\]"),
        ("x2 | C", "line 1, bar 1: 'x2' has nothing to repeat; wanted bars before it"),
        ("C x2 | x2", "line 1, bar 2: 'x2' has nothing to repeat"),
        ("C x2 F", "line 1, bar 2: 'F' follows a repeat; wanted a bar line"),
        ("C x2 x2", "line 1, bar 2: 'x2' follows a repeat"),
        ("C x0", "'x0' is no number of times; wanted x1 to"),
        ("C | F x4000", "'x4000' makes more than 4096 bars; wanted fewer"),
        ("[A] C x3000\n[A]", "longer than 4096 bars"),
        ("|: C :|", "line 1, bar 1: ':' is no chord symbol; wanted repeats as x2"),
        ("# nothing\n", "no chords"),
    ],
)
def test_what_is_no_chart(text: str, why: str) -> None:
    with pytest.raises(ChordError, match=why) as caught:
        read_chart(text)
    assert "\n" not in str(caught.value)


@given(st.text(st.sampled_from("CGm7#b/%|[]xX2×:. \n\t"), max_size=40))
def test_any_text_is_a_chart_or_refused_in_a_line(text: str) -> None:
    try:
        bars = read_chart(text)
    except ChordError as error:
        assert "\n" not in str(error)
    else:
        assert bars and all(bars)
        assert read_chart(write_chart(bars)) == bars


def test_a_file_as_text_editors_save_it(tmp_path: Path) -> None:
    path = tmp_path / "chart.txt"
    path.write_bytes("C | F\r\nG x2\r\n".encode("utf-8-sig"))
    bars = (("C",), ("F",), ("G",), ("C",), ("F",), ("G",))
    assert read_text(f"@{path}", read_chart) == bars
