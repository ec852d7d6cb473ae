"""The example melodies: their text, the MIDI files made of it, and the parser's errors."""

from pathlib import Path

import pretty_midi
import pytest
from paths import EXAMPLES, load_script

TUNES = sorted((EXAMPLES / "tunes").glob("*.txt"))
HEADERS = {
    "title": "Test",
    "origin": "here",
    "rights": "ours",
    "tempo": "90",
    "key": "C",
    "program": "0 Acoustic Grand Piano",
}

make_tunes = load_script(EXAMPLES / "make_tunes.py")

every_tune = pytest.mark.parametrize("path", TUNES, ids=lambda path: path.stem)


def tune_text(body: str, **changes: str) -> str:
    headers = HEADERS | changes
    return "".join(f"{field}: {value}\n" for field, value in headers.items() if value) + body


def played(body: str, **changes: str) -> list[tuple[float, float, int]]:
    """Start and length in beats and pitch of each note."""
    tune = make_tunes.parse_tune("test", tune_text(body, **changes))
    beat = make_tunes.TICKS_PER_BEAT
    return [(note.start / beat, note.ticks / beat, note.pitch) for note in tune.notes]


@every_tune
def test_committed_midi_is_what_the_text_makes(path: Path, tmp_path: Path) -> None:
    assert make_tunes.main([path.stem, "--out", str(tmp_path)]) == 0
    assert [made.name for made in tmp_path.iterdir()] == [f"{path.stem}.mid"]
    made = (tmp_path / f"{path.stem}.mid").read_bytes()
    assert made == (EXAMPLES / f"{path.stem}.mid").read_bytes()


def test_every_midi_file_has_its_text() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.mid")} == {path.stem for path in TUNES}


@every_tune
def test_bars_add_up_and_notes_stay_in_range(path: Path) -> None:
    tune = make_tunes.read_tune(path)
    first = tune.bars[0].ticks
    assert 0 < first <= make_tunes.BAR_TICKS
    assert all(bar.ticks == make_tunes.BAR_TICKS for bar in tune.bars[1:])
    assert 16 <= len(tune.bars) <= 33
    assert all(40 <= note.pitch <= 88 for note in tune.notes)


@every_tune
def test_midi_read_back(path: Path) -> None:
    tune = make_tunes.read_tune(path)
    midi = pretty_midi.PrettyMIDI(str(EXAMPLES / f"{path.stem}.mid"))
    (melody,) = midi.instruments
    assert melody.program == tune.program
    assert melody.name == tune.title
    assert not melody.is_drum
    assert midi.get_tempo_changes()[1] == pytest.approx([tune.tempo], rel=1e-5)
    assert [(t.numerator, t.denominator) for t in midi.time_signature_changes] == [(4, 4)]
    assert len(midi.key_signature_changes) == 1
    assert len(melody.notes) == len(tune.notes)
    assert [note.pitch for note in melody.notes] == [note.pitch for note in tune.notes]
    ends = [midi.time_to_tick(note.end) for note in melody.notes]
    starts = [midi.time_to_tick(note.start) for note in melody.notes]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    assert starts == [note.start for note in tune.notes]


@every_tune
def test_program_is_called_by_its_name(path: Path) -> None:
    (line,) = [line for line in path.read_text("utf-8").splitlines() if line.startswith("program")]
    number, _, name = line.removeprefix("program:").strip().partition(" ")
    assert pretty_midi.program_to_instrument_name(int(number)) == name


def test_tunes_differ_in_program_and_tempo() -> None:
    tunes = [make_tunes.read_tune(path) for path in TUNES]
    assert len({tune.program for tune in tunes}) == len(tunes)
    assert len({tune.tempo for tune in tunes}) == len(tunes)


def test_notation() -> None:
    body = "[A]\nC4/4. Bb3/8 r/4 F#5/8 E#5/16 Cb5/16\n"
    pitches = [(0, 1.5, 60), (1.5, 0.5, 58), (3, 0.5, 78), (3.5, 0.25, 77), (3.75, 0.25, 71)]
    assert played(body) == pitches


def test_ties_join_over_bars_and_sections() -> None:
    assert played("[A]\nr/2 C4/2~ | C4/1~\n[B]\nC4/4 C4/2.\n") == [(2, 7, 60), (9, 3, 60)]


def test_form_repeats_and_moves_sections() -> None:
    notes = played("[A]\nC4/1\n[B]\nD4/1 |\n", form="B A+12 A-1")
    assert notes == [(0, 4, 62), (4, 4, 72), (8, 4, 59)]


def test_pickup_ends_a_silent_first_bar() -> None:
    assert played("[A]\nG4/4 | C5/1\n", pickup="1") == [(3, 1, 67), (4, 4, 72)]


def test_accents_on_one_and_three() -> None:
    tune = make_tunes.read_tune(EXAMPLES / "tunes" / "ode_to_joy.txt")
    loud = [make_tunes.velocity(note.start) for note in tune.notes[:4]]
    assert loud[0] > loud[2] > loud[1] == loud[3]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[A]\nC4/1 | C4/4 H4/4 C4/2", "test: section A, bar 2: 'H4/4' is not a note"),
        ("[A]\nC4/3", "test: section A, bar 1: 'C4/3' is not a note"),
        ("[A]\nC4/1\n[B]\nD4/1 | D4/2 D4/4", "test: section B, bar 2: 3 beats instead of 4"),
        ("[A]\nC4/1 | | C4/1", "test: section A, bar 2: 0 beats instead of 4"),
        ("[A]\nC4/1 D4/16", "test: section A, bar 1: 4.25 beats instead of 4"),
        ("[A]\nC4/1~ | D4/1", "test: section A, bar 2: a tie must lead to the same note"),
        ("[A]\nC4/1~ | r/1", "test: section A, bar 2: a tie must lead to the same note"),
        ("[A]\nr/1 | C4/1~", "test: section A, bar 2: the last note is tied to nothing"),
        ("[A]\nr/1~", "test: section A, bar 1: 'r/1~' ties a rest"),
        ("[A]\nG#9/1", "test: section A, bar 1: a note is outside the range of MIDI"),
        ("[A]\nC4/1\n[A]\nC4/1", "test: section A is there twice"),
        ("C4/1", "test: unknown header 'C4/1' before the first [section]"),
        ("tempi: 90\n[A]\nC4/1", "test: unknown header 'tempi' before the first [section]"),
        ("key: C\n[A]\nC4/1", "test: header 'key' is there twice"),
        ("", "test: there are no bars; they stand under a [section]"),
    ],
)
def test_errors_in_the_text_name_their_place(body: str, message: str) -> None:
    with pytest.raises(make_tunes.TuneError) as caught:
        make_tunes.parse_tune("test", tune_text(body))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("rights", "", "test: header 'rights' is missing"),
        ("tempo", "fast", "test: tempo 'fast' is not a number from 20 to 400"),
        ("tempo", "nan", "test: tempo 'nan' is not a number from 20 to 400"),
        ("program", "128", "test: program '128' is not a number from 0 to 127"),
        ("pickup", "4", "test: pickup '4' is not a number from 0.25 to 3.75"),
        ("pickup", "1", "test: section A, bar 1: 4 beats instead of 1"),
        ("key", "H", "test: key 'H' is not a key"),
        ("form", "A C", "test: form has 'C', which is no section"),
    ],
)
def test_errors_in_the_headers_name_the_tune(field: str, value: str, message: str) -> None:
    with pytest.raises(make_tunes.TuneError) as caught:
        make_tunes.parse_tune("test", tune_text("[A]\nC4/1\n", **{field: value}))
    assert str(caught.value).startswith(message)


def test_command_line_reports_errors_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    song = tmp_path / "song.txt"
    song.write_text(tune_text("[A]\nC4/2\n"))
    assert make_tunes.main([str(song), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == ("make_tunes: song: section A, bar 1: 2 beats instead of 4\n")
    assert make_tunes.main(["nothing", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("make_tunes: nothing: no such tune; there are auld")
    assert make_tunes.main([str(tmp_path / "none.txt"), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [song]


def test_own_text_file_is_made(tmp_path: Path) -> None:
    song = tmp_path / "song.txt"
    song.write_text(tune_text("[A]\nC4/1\n"))
    assert make_tunes.main([str(song), "--out", str(tmp_path / "new")]) == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["song.mid"]


def test_example_of_the_readme_is_a_tune() -> None:
    readme = (EXAMPLES / "README.md").read_text("utf-8").partition("## The notation")[2]
    text = "\n".join(line for line in readme.splitlines() if line.startswith("    "))
    tune = make_tunes.parse_tune("readme", text)
    assert (len(tune.bars), len(tune.notes)) == (7, 13)
