"""MusicXML and ABC as scores: the same notes, and what else they hold."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from notation_files import (
    Notes,
    abc_of,
    attributes,
    compressed,
    musicxml_of,
    note,
    part,
    score,
    sung,
    tunes,
)

from musicvae_torch.errors import MidiError, NotationError
from musicvae_torch.midi.messages import KEY_SIGNATURE, PROGRAM_CHANGE
from musicvae_torch.midi.score import Score, score_of
from musicvae_torch.midi.tracks import CHORDS

pytest.importorskip("music21", reason="music21 is not installed: no MusicXML and ABC")

from musicvae_torch.notation.reading import read_notation

TUNES = tunes()
REPEAT = '<barline location="{}"><repeat direction="{}"/></barline>'
FORWARD, BACKWARD = REPEAT.format("left", "forward"), REPEAT.format("right", "backward")
TRIPLET = (
    "<time-modification><actual-notes>3</actual-notes><normal-notes>2</normal-notes>"
    "</time-modification>"
)


def read(folder: Path, name: str, content: str | bytes) -> Score:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_notation(path)


def notes_of(song: Score, track: int = 0) -> Notes:
    return [
        (Fraction(start, song.resolution), Fraction(end, song.resolution), pitch)
        for start, end, pitch, _ in song.tracks[track].notes.tolist()
    ]


def texts_of(song: Score, name: str = "") -> list[tuple[float, str]]:
    """(quarter, text) of the chunk of that name; "": of all chunks that have a track."""
    found = []
    for chunk, texts in zip(song.file.tracks, song.texts, strict=True):
        rows = [(chunk.messages[n].tick / song.resolution, t) for n, t in texts.items()]
        names = [t for _, t in rows]
        if name in names if name else not {CHORDS}.intersection(names):
            found += [row for row in rows if row[1] != name]
    return found


def bar(number: int | str, inside: str, more: str = "") -> str:
    return f'<measure number="{number}"{more}>{inside}</measure>'


def quarters(*pitches: int) -> str:
    return "".join(note(pitch, 4) for pitch in pitches)


def direction(inside: str, sound: str = "") -> str:
    return f"<direction><direction-type>{inside}</direction-type>{sound}</direction>"


def pitches(song: Score) -> list[int]:
    return [pitch for *_, pitch in notes_of(song)]


@pytest.mark.parametrize("ending", ["musicxml", "mxl", "abc"])
@pytest.mark.parametrize("name", TUNES)
def test_tunes_keep_every_note(name: str, ending: str, tmp_path: Path) -> None:
    tune = TUNES[name]
    content: dict[str, Any] = {"musicxml": musicxml_of, "abc": abc_of}
    made = content.get(ending, musicxml_of)(tune)
    song = read(tmp_path, f"{name}.{ending}", compressed(made) if ending == "mxl" else made)
    assert notes_of(song) == sung(tune)
    assert song.remarks == ()
    assert [track.name for track in song.tracks] == [tune.title]
    assert song.tracks[0].program == tune.program
    assert 60e6 / song.tempos[0, 1] == pytest.approx(tune.tempo, rel=1e-5)
    pickup = tune.bars[0].ticks // 480
    first = [[0, pickup, 4]] if pickup < 4 else []
    assert song.metres.tolist() == [*first, [480 * pickup * bool(first), 4, 4]]
    # What is written of it is read as the same file again.
    again = score_of(song.file)
    assert again.to_bytes() == song.to_bytes()


def test_ten_tunes() -> None:
    assert len(TUNES) >= 10


def test_repeats_and_endings_are_written_out(tmp_path: Path) -> None:
    def ending(number: int, kind: str, side: str, repeat: str = "") -> str:
        mark = f'<ending number="{number}" type="{kind}"/>'
        return f'<barline location="{side}">{mark}{repeat}</barline>'

    back = '<repeat direction="backward"/>'
    bars = [
        bar(1, attributes() + FORWARD + quarters(60, 62, 64, 65)),
        bar(2, ending(1, "start", "left") + note(67, 16) + ending(1, "stop", "right", back)),
        bar(3, ending(2, "start", "left") + note(72, 16) + ending(2, "stop", "right")),
    ]  # fmt: skip
    song = read(tmp_path, "r.musicxml", score(part("R", bars)))
    first = [60, 62, 64, 65]
    assert pitches(song) == [*first, 67, *first, 72]
    assert song.remarks == ("repeats are written out: 4 bars, where 3 are written",)


def test_da_capo_al_fine(tmp_path: Path) -> None:
    fine = direction("<words>Fine</words>", '<sound fine="yes"/>')
    back = direction("<words>D.C. al Fine</words>", '<sound dacapo="yes"/>')
    bars = [
        bar(1, attributes() + note(60, 16)),
        bar(2, note(62, 16) + fine),
        bar(3, note(64, 16) + back),
    ]
    assert pitches(read(tmp_path, "d.musicxml", score(part("D", bars)))) == [60, 62, 64, 60, 62]


def test_a_repeat_between_pickup_and_short_bar(tmp_path: Path) -> None:
    """The bar that a pickup completes is one bar of the song."""
    bars = [
        bar(0, attributes() + note(67, 4), ' implicit="yes"'),
        bar(1, FORWARD + quarters(60, 62, 64, 65)),
        bar(2, quarters(60, 60, 60) + BACKWARD),
        bar("X1", note(55, 4), ' implicit="yes"'),
        bar(3, quarters(61, 61, 61, 61)),
    ]
    song = read(tmp_path, "p.musicxml", score(part("P", bars)))
    assert pitches(song)[-8:] == [60, 60, 60, 55, 61, 61, 61, 61]
    assert song.metres.tolist() == [[0, 1, 4], [480, 4, 4], [2400, 3, 4], [3840, 4, 4]]


def test_ties_join_notes_of_chords_one_by_one(tmp_path: Path) -> None:
    def chorded(text: str) -> str:
        return text.replace("<note>", "<note><chord/>")

    bars = [
        bar(1, attributes() + note(60, 16, start=True) + chorded(note(64, 16, start=True))),
        bar(2, note(60, 8, stop=True) + chorded(note(64, 8, True, True)) + note(64, 8, stop=True)),
    ]
    song = read(tmp_path, "t.musicxml", score(part("T", bars)))
    assert notes_of(song) == [(0, 6, 60), (0, 8, 64)]


def test_tuplets_fall_on_ticks(tmp_path: Path) -> None:
    triplet = "".join(
        note(pitch, 4, more=TRIPLET).replace("quarter", "eighth") for pitch in (60, 62, 64)
    )
    septuplet = "".join(
        note(pitch, 12, more=TRIPLET.replace("3<", "7<").replace("2<", "4<"))
        for pitch in range(60, 67)
    )
    first = attributes(divisions=12) + triplet + note(65, 36)
    bars = [bar(1, first), bar(2, attributes(divisions=21) + septuplet)]
    song = read(tmp_path, "t.musicxml", score(part("T", bars)))
    assert notes_of(song)[:3] == [
        (Fraction(n, 3), Fraction(n + 1, 3), 60 + 2 * n) for n in range(3)
    ]
    assert notes_of(song)[4] == (4, 4 + Fraction(4, 7), 60)
    assert song.resolution % 21 == 0 and song.remarks == ()


@pytest.mark.parametrize("name", ["Clarinet in Bb", "Solo"])
def test_transposing_instruments_sound_as_they_do(name: str, tmp_path: Path) -> None:
    shift = "<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"
    bars = [bar(1, attributes(2, more=shift) + quarters(62, 64, 66, 67))]
    song = read(tmp_path, "c.musicxml", score(part(name, bars, 71)))
    assert pitches(song) == [60, 62, 64, 65] and song.tracks[0].program == 71
    keys = [m.data[0] for m in song.file.tracks[0].messages if m.kind == KEY_SIGNATURE]
    assert keys == [0]


def test_a_name_transposes_nothing(tmp_path: Path) -> None:
    bars = [bar(1, attributes() + quarters(62, 64, 66, 67))]
    song = read(tmp_path, "c.musicxml", score(part("Clarinet", bars, 0)))
    assert pitches(song) == [62, 64, 66, 67] and song.tracks[0].program == 0


def harmony(step: str, kind: str, more: str = "", text: str = "") -> str:
    named = f' text="{text}"' if text else ""
    root = f"<root><root-step>{step}</root-step></root>"
    return f"<harmony>{root}<kind{named}>{kind}</kind>{more}</harmony>"


def test_chord_symbols(tmp_path: Path) -> None:
    bass = "<bass><bass-step>B</bass-step></bass>"
    ninth = (
        "<degree><degree-value>9</degree-value><degree-alter>-1</degree-alter>"
        "<degree-type>add</degree-type></degree>"
    )
    inside = (
        harmony("C", "major") + note(60, 4) + harmony("G", "dominant", bass + ninth) + note(62, 4)
        + harmony("C", "none") + note(64, 4) + harmony("D", "other", text="7alt") + note(65, 4)
    )  # fmt: skip
    song = read(tmp_path, "l.musicxml", score(part("Lead", [bar(1, attributes() + inside)])))
    assert texts_of(song, CHORDS) == [(0, "C"), (1, "G7b9/B"), (2, "N.C."), (3, "D7")]
    assert len(song.remarks) == 1 and song.remarks[0].endswith("is taken as D7")


def test_tempos_words_dynamics_and_grace_notes(tmp_path: Path) -> None:
    def lyric(number: int, text: str, kind: str = "single") -> str:
        return f'<lyric number="{number}"><syllabic>{kind}</syllabic><text>{text}</text></lyric>'

    tempo = direction(
        "<metronome><beat-unit>half</beat-unit><per-minute>40</per-minute></metronome>"
    )
    grace = (
        "<note><grace/><pitch><step>A</step><octave>4</octave></pitch><type>eighth</type></note>"
    )
    bars = [
        bar(1, attributes() + FORWARD
            + note(60, 8, more=lyric(1, "Sto", "begin") + lyric(2, "Rain"))
            + note(62, 8, more=lyric(1, "ny", "end"))),
        bar(2, direction("<dynamics><ff/></dynamics>") + tempo + grace + note(64, 16) + BACKWARD),
    ]  # fmt: skip
    song = read(tmp_path, "w.musicxml", score(part("Song", bars)))
    assert notes_of(song)[:3] == [(0, 2, 60), (2, 4, 62), (4, 8, 64)]
    assert song.tempos.tolist() == [[0, 500_000], [4 * 480, 750_000], [12 * 480, 750_000]]
    words = [row for row in texts_of(song) if row[1].strip() and row[1] != "Song"]
    assert words == [(0, "Sto-"), (2, "ny "), (8, "Rain "), (10, "ny ")]
    loud, usual = song.tracks[0].notes["velocity"][[2, 0]]
    assert loud > usual
    assert "left out or changed: 2 grace notes, which have no length of their own" in song.remarks


def test_drums_and_both_hands(tmp_path: Path) -> None:
    kit = (
        '<score-part id="D"><part-name>Kit</part-name>'
        + "".join(
            f'<midi-instrument id="D-{n}"><midi-channel>10</midi-channel>'
            f"<midi-unpitched>{n + 1}</midi-unpitched></midi-instrument>"
            for n in (36, 46)
        )
        + "</score-part>"
    )  # fmt: skip
    hits = "".join(
        f"<note><unpitched><display-step>{step}</display-step><display-octave>{octave}</display-octave>"
        f'</unpitched><duration>8</duration>{player}<voice>1</voice><type>half</type></note>'
        for step, octave, player in (
            ("F", 4, '<instrument id="D-36"/>'), ("G", 5, '<instrument id="D-46"/>'),
        )
    )  # fmt: skip
    right = quarters(60, 62, 64, 65).replace("</type>", "</type><staff>1</staff>")
    left = (
        note(48, 16).replace("<voice>1", "<voice>5").replace("</type>", "</type><staff>2</staff>")
    )
    both = right + "<backup><duration>16</duration></backup>" + left
    piano = part("Piano", [bar(1, attributes(more="<staves>2</staves>") + both)], id="P")
    drums = f'<part id="D">{bar(1, attributes() + hits)}</part>'
    song = read(tmp_path, "d.musicxml", score(piano, (kit, drums)))
    assert [(t.name, t.is_drum) for t in song.tracks] == [
        ("Piano", False), ("Piano", False), ("Kit", True),
    ]  # fmt: skip
    assert [pitch for *_, pitch in notes_of(song, 1)] == [48]
    assert notes_of(song, 2) == [(0, 2, 36), (2, 4, 46)]
    programs = [m for c in song.file.tracks for m in c.messages if m.command == PROGRAM_CHANGE]
    assert len(programs) == 3


def test_time_wise_files_are_the_same(tmp_path: Path) -> None:
    bars = [bar(n, (attributes() if n == 1 else "") + note(60 + n, 16)) for n in (1, 2)]
    entry, _ = part("T", bars)
    inside = "".join(
        bar(n, f'<part id="P1">{(attributes() if n == 1 else "")}{note(60 + n, 16)}</part>')
        for n in (1, 2)
    )
    other = f'<score-timewise version="4.0"><part-list>{entry}</part-list>{inside}</score-timewise>'
    assert pitches(read(tmp_path, "t.xml", other)) == [61, 62]


def test_accidentals_of_abc_hold_for_the_bar(tmp_path: Path) -> None:
    song = read(tmp_path, "a.abc", "X:1\nT:A\nM:4/4\nL:1/4\nK:G\n^c c F f|c =F F z|f4-|f4|\n")
    assert pitches(song) == [73, 73, 66, 78, 72, 65, 65, 78]
    assert notes_of(song)[-1] == (8, 16, 78)


def test_repeats_chords_and_tempo_of_abc(tmp_path: Path) -> None:
    text = (
        "X:1\nT:B\nM:6/8\nL:1/8\nQ:3/8=60\nP:AB\nK:Am\n"
        '|:"Am"A3 (3cdeA|1 "E7"E6:|2 "Dm(maj7)"D6|]\nw: la la\n'
    )
    song = read(tmp_path, "b.abc", text)
    assert [pitch for *_, pitch in notes_of(song)] == [
        69,
        72,
        74,
        76,
        69,
        64,
        69,
        72,
        74,
        76,
        69,
        62,
    ]
    assert song.metres.tolist()[0] == [0, 6, 8]
    assert 60e6 / song.tempos[0, 1] == pytest.approx(90, rel=1e-5)
    assert [name for _, name in texts_of(song, CHORDS)] == ["Am", "E7", "Am"]
    assert any("words" in line for line in song.remarks)
    assert any("1 of 3 chord symbols" in line for line in song.remarks)
    assert any("P:" in line for line in song.remarks)


@pytest.mark.parametrize(
    "voices",
    [
        "V:1 name=Lead\nd2 f2|e4|\nd2 B2|A4|]\nV:2 clef=bass nm=Low\n%%MIDI program 32\n"
        "D,2 D,2|A,,4|\nD,2 G,,2|A,,4|]\n",
        "V:1 name=Lead\nd2 f2|e4|\nV:2 name=Low\n%%MIDI program 32\nD,2 D,2|A,,4|\n"
        "V:1\nd2 B2|A4|]\nV:2\nD,2 G,,2|A,,4|]\n",
        'V:S name="Lead"\nV:B name="Low"\n[V:S] d2 f2|e4|\n[V: B] D,2 D,2|A,,4|\n\n'
        "[V:S]d2 B2|A4|]\n[V:B]D,2 G,,2|A,,4|]\n%%MIDI program 32\n",
        '[V:S name="Lead"]d2 f2|e4|d2 B2|A4|][V:B name="Low"]\n%%MIDI program 32\n'
        "D,2 D,2|A,,4|D,2 G,,2|A,,4|]\n",
    ],
    ids=["one after the other", "in turns", "named", "within a line"],
)
def test_voices_of_abc_sound_together(voices: str, tmp_path: Path) -> None:
    song = read(tmp_path, "v.abc", f"X:1\nT:V\nM:2/4\nL:1/8\nK:D\n{voices}")
    lead, low = song.tracks
    assert (lead.name, lead.program, low.name, low.program) == ("Lead", 0, "Low", 32)
    assert [pitch for *_, pitch in notes_of(song, 0)] == [74, 78, 76, 74, 71, 69]
    assert [pitch for *_, pitch in notes_of(song, 1)] == [50, 50, 45, 50, 43, 45]
    assert notes_of(song, 1)[0][0] == 0


@pytest.mark.parametrize(
    "voices",
    [
        "[V:1]CDEF|\n[V:2]C,4|\n%[V:2]GGGG|\n[V:1]CDEF|\n[V:2]C,4|\n",
        "[V:1]CDEF|\nw:la [V:9] la\n[V:2]C,4|\n[V:1]CDEF|\n[V:2]C,4|\n",
        '[V:1]"_see [V:2]"CDEF|[V:2]C,4|\n[V:1]CDEF|\n[V:2]C,4|\n',
        "[V:1]CDEF| % as [V:2] GGGG|\n[V:2]C,4|\n[V:1]CDEF|\n[V:2]C,4|\n",
    ],
    ids=["comment", "words", "annotation", "comment after music"],
)
def test_turns_of_abc_are_read_in_music_only(voices: str, tmp_path: Path) -> None:
    song = read(tmp_path, "v.abc", f"X:1\nM:4/4\nL:1/4\nK:C\n{voices}")
    assert len(song.tracks) == 2
    assert [(start, pitch) for start, _, pitch in notes_of(song, 0)] == [
        (0, 60), (1, 62), (2, 64), (3, 65), (4, 60), (5, 62), (6, 64), (7, 65),
    ]  # fmt: skip
    assert notes_of(song, 1) == [(0, 4, 48), (4, 8, 48)]


@pytest.mark.parametrize(
    "shift",
    ["octave=-1", "transpose=-12", "clef=treble-8", 'clef="bass+8"', "treble-8"],
)
@pytest.mark.parametrize(
    "form", ["V:2 {}\nC4|\n", "[V:2 {}]C4|\n[V:2 {}]C4|\n", "V:2 {} % low\nC4|\n"]
)
def test_shifts_of_abc_that_are_not_followed(form: str, shift: str, tmp_path: Path) -> None:
    voices = f"V:1 octave=0 clef=bass % octave=1\nCDEF|\n{form.replace('{}', shift)}"
    song = read(tmp_path, "v.abc", f"X:1\nM:4/4\nL:1/4\nK:C\n{voices}")
    assert song.remarks == (f"{shift} of voice 2 is not followed; its notes are read as written",)
    assert {pitch for *_, pitch in notes_of(song, 1)} == {60}


def test_one_voice_of_abc_has_the_name_of_the_tune(tmp_path: Path) -> None:
    song = read(tmp_path, "v.abc", "X:1\nT:Tune\nL:1/8\nK:D\nV:1 name=Lead\nV:2\n[V:1]d2 f2|e4|]\n")
    (track,) = song.tracks
    assert track.name == "Tune"
    assert pitches(song) == [74, 78, 76]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.abc", "hello", "not readable as ABC (it has no line that begins with K:)"),
        ("a.abc", "X:1\nK:C\nC|\n\nX:2\nK:C\nD|\n", "holds 2 tunes; save the one"),
        ("a.abc", "X:1\nK:C\nz4|\n", "it has no notes"),
        ("a.musicxml", "hello", "not readable as MusicXML (syntax error"),
        ("a.musicxml", "<html/>", "its root is <html>; expected <score-partwise>"),
        ("a.musicxml", b"\xff\xfe\x00", "not readable as MusicXML"),
        ("a.musicxml", score(part("E", [bar(1, attributes() + note(None, 4))])), "it has no notes"),
        ("a.musicxml", score(part("E", [bar(1, attributes())]))[:-30], "not readable as MusicXML"),
        ("a.mxl", "hello", "not readable as compressed MusicXML (it is no zip archive)"),
        ("a.mxl", b"PK\x03\x04zzzz", "not readable as compressed MusicXML"),
        (
            "a.musicxml",
            score(part("E", [bar(1, attributes() + note(60, 16) + BACKWARD.replace(
                'backward"', 'backward" times="999999"'))])),
            "a repeat is played more than 64 times",
        ),
    ],
)  # fmt: skip
def test_bad_files_are_one_line(
    name: str, content: str | bytes, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NotationError) as caught:
        read(tmp_path, name, content)
    assert str(caught.value).startswith(str(tmp_path / name)) and message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musicvae_torch.notation.musicxml.MAX_BYTES", 1_000_000)
    with pytest.raises(NotationError, match="larger than 1 MB when it is unpacked"):
        read(tmp_path, "a.mxl", compressed(" " * 2_000_000))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MidiError, match="no such file"):
        read_notation(tmp_path / "a.musicxml")


def test_without_music21_the_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(NotationError, match=r"pip install 'musicvae-torch\[scores\]'"):
        read(tmp_path, "a.abc", "X:1\nK:C\nC|\n")
