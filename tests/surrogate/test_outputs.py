"""The command's results: beside the song, scores, stems and the page; scores as songs."""

from __future__ import annotations

import shutil
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from notation_files import attributes, musicxml_of, note, part, score, sung, tunes
from paths import EXAMPLES

from musicvae_torch.midi.score import read_score
from surrogate import Accompanist, AccompanyOptions
from surrogate.accompaniment import Accompaniment
from surrogate.cli.accompany import main
from surrogate.outputs import free_output, free_page, write_outputs

pytest.importorskip("music21", reason="music21 is not installed: no MusicXML and ABC")
pytest.importorskip("midirenderer", reason="midirenderer is not installed: no sound")

from musicvae_torch.notation.reading import read_notation


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a song."""
    shutil.copy(EXAMPLES / "frere_jacques.mid", tmp_path / "tune.mid")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def accompanist() -> Accompanist:
    return Accompanist.from_pretrained()


def song_chords(result: Accompaniment) -> list[tuple[int, str]]:
    return list(result.view().chords)


def lead_sheet(chords: tuple[str, ...]) -> str:
    """A tune of as many bars as chords, which are all single letters."""
    bars = []
    for number, step in enumerate(chords):
        head = attributes() if number == 0 else ""
        harmony = f"<harmony><root><root-step>{step}</root-step></root><kind>major</kind></harmony>"
        notes = note(60 + number, 8) + note(64 + number, 8)
        bars.append(f'<measure number="{number + 1}">{head}{harmony}{notes}</measure>')
    return score(part("Lead", bars))


def test_names_that_are_free(tmp_path: Path) -> None:
    song = tmp_path / "tune.mid"
    assert free_output(song, 1).name == "tune.band.mid"
    assert free_output(song, 1, folder=True).name == "tune.band"
    (tmp_path / "tune.band_2.mid").touch()
    assert free_output(song, 1).name == "tune.band.mid"
    assert free_output(song, 2).name == "tune.band-2.mid"
    (tmp_path / "tune.band-2.html").touch()
    assert free_output(song, 2).name == "tune.band-3.mid"
    assert free_page(tmp_path / "tune.band.mid").name == "tune.band.html"
    (tmp_path / "tune.band.html").symlink_to("nowhere")
    assert free_page(tmp_path / "tune.band.mid").name == "tune.band-3.html"


@pytest.mark.slow
def test_without_an_output_nothing_is_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []

    def opened(address: str) -> bool:
        shown.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", opened)
    before = (folder / "tune.mid").read_bytes()
    assert main(["tune.mid"]) == 0
    first = (folder / "tune.band.mid").read_bytes()
    assert main(["tune.mid", "--play", "--seed", "5"]) == 0
    names = {path.name for path in folder.iterdir()}
    assert names == {"tune.mid", "tune.band.mid", "tune.band-2.mid", "tune.band-2.html"}
    assert shown == [(folder / "tune.band-2.html").as_uri()]
    assert (folder / "tune.mid").read_bytes() == before
    assert (folder / "tune.band.mid").read_bytes() == first
    capsys.readouterr()
    # Where no browser can be started, the line says what to open.
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    assert main(["tune.mid", "-o", "out", "--write", "mid", "--play"]) == 0
    assert (folder / "out/tune.html").is_file()
    assert f"open {(folder / 'out/tune.html').as_uri()} in one" in capsys.readouterr().out


@pytest.mark.slow
def test_a_score_in_and_out(folder: Path) -> None:
    """The notes of the score are in the result as they are, and in its score."""
    tune = tunes()["auld_lang_syne"]
    (folder / "auld.musicxml").write_text(musicxml_of(tune), encoding="utf-8")
    assert main(["auld.musicxml", "-o", "auld.mid", "--score", "auld.mxl"]) == 0
    for song in (read_score(folder / "auld.mid"), read_notation(folder / "auld.mxl")):
        melody, bass, drums = song.tracks
        found = [
            (Fraction(start, song.resolution), Fraction(end, song.resolution), pitch)
            for start, end, pitch, _ in melody.notes.tolist()
        ]
        assert found == sung(tune)
        assert (melody.name, bass.name, drums.name) == (tune.title, "bass", "drums")
        assert drums.is_drum
        assert 60e6 / song.tempos[0, 1] == pytest.approx(tune.tempo, rel=1e-4)
    assert main(["auld.musicxml", "-o", "auld.xml", "--candidates", "2"]) == 0
    assert (folder / "auld_2.xml").is_file()


@pytest.mark.slow
def test_stems_and_scores_of_a_folder(folder: Path) -> None:
    (folder / "songs").mkdir()
    (folder / "songs/lead.musicxml").write_text(lead_sheet(("C", "F", "G", "C")))
    (folder / "songs/other.xml").write_text("<configuration/>")
    assert main(["songs", "-o", "bands", "--write", "mid,musicxml", "--stems"]) == 0
    parts = ("lead", "bass", "drums")
    stems = {
        f"lead_{name}.{ending}" for name in ("melody", *parts[1:]) for ending in ("mid", "wav")
    }
    made = {path.name for path in (folder / "bands").iterdir()}
    assert made == {"lead.mid", "lead.musicxml", *stems}


def test_chord_symbols_are_the_chords_of_the_song(folder: Path, accompanist: Accompanist) -> None:
    """Though they are single letters, of which a MIDI file's would not be taken for chords."""
    (folder / "lead.musicxml").write_text(lead_sheet(("C", "F", "G", "C")))
    result = accompanist.accompany("lead.musicxml")
    bar = 4 * result.score.resolution
    assert song_chords(result) == [(0, "C"), (bar, "F"), (2 * bar, "G"), (3 * bar, "C")]
    written = accompanist.accompany(result.score)  # the MIDI file has them, too
    assert song_chords(written) == song_chords(result)
    own = AccompanyOptions(chords="Am | Dm")
    names = [name for _, name in song_chords(accompanist.accompany("lead.musicxml", own))]
    assert names == ["Am", "Dm", "Am", "Dm"]
    remarks: list[str] = []
    write_outputs(result, folder / "out", "lead", ("musicxml",), remarks=remarks)
    assert not remarks
    again = read_notation(folder / "out/lead.musicxml")
    assert [text for texts in again.texts for text in texts.values()][-4:] != []
    assert song_chords(accompanist.accompany(again))[:4] == song_chords(result)


def test_a_pickup_is_no_other_metre(folder: Path, accompanist: Accompanist) -> None:
    (folder / "auld.musicxml").write_text(musicxml_of(tunes()["auld_lang_syne"]))
    result = accompanist.accompany("auld.musicxml", AccompanyOptions(metre="refuse"))
    assert not [line for line in result.notes if "1/4" in line]


def test_music21_is_not_needed_for_midi(
    folder: Path, accompanist: Accompanist, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "music21"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert accompanist.accompany("tune.mid").candidates
