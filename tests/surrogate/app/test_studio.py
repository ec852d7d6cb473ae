"""The app without a browser: what is behind its page, and its command."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mido
import pytest
from paths import ROOT
from small_pairs import small_surrogate, small_vae

from musicvae_torch.errors import MidiError, OptionError
from surrogate import Accompanist, AccompanyOptions
from surrogate.app.result import Result
from surrogate.app.studio import (
    Studio,
    melody_choices,
    options_of,
    other_tracks,
    plain_name,
    read_song,
)
from surrogate.cli.accompany_app import main, offline, serve
from surrogate.melody.choice import choose_melody

NO_GRADIO = "gradio is not installed: there is no app"
needs_gradio = pytest.mark.skipif(find_spec("gradio") is None, reason=NO_GRADIO)
SAINTS = ROOT / "examples" / "saints.mid"


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Accompanist(small_vae(), small_surrogate()), tmp_path)


@pytest.fixture
def bands(studio: Studio) -> Result:
    return studio.make(read_song(SAINTS), AccompanyOptions(candidates=2))


@pytest.fixture
def page(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # so that it is put back
    offline(tmp_path / "sent")
    pytest.importorskip("gradio", reason=NO_GRADIO)
    from surrogate.app.page import Page

    return Page(studio, {"Saints": SAINTS})


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("saints.mid", "saints.mid"),
        ("/tmp/x/Für Elise (1).mid", "Für Elise (1).mid"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.mid", "boot.mid"),
        ("<img src=x onerror=alert(1)>.mid", "_img src_x onerror_alert(1)_.mid"),
        ("a\nb;$(rm).mid", "a_b_(rm).mid"),
        ("-rf .mid", "rf.mid"),
        ("...", "song"),
        ("", "song"),
        ("x" * 300 + ".mid", "x" * 60 + ".mid"),
    ],
)
def test_plain_names(sent: str, shown: str) -> None:
    assert plain_name(sent) == shown


def test_broken_files_get_a_line_without_the_place_they_were_put(tmp_path: Path) -> None:
    broken = tmp_path / "tune.mid"
    broken.write_bytes(b"MThd nonsense")
    with pytest.raises(MidiError, match=r"^tune\.mid: not readable as a MIDI file") as caught:
        read_song(broken)
    assert str(tmp_path) not in str(caught.value) and "\n" not in str(caught.value)
    mido.MidiFile(tracks=[mido.MidiTrack()]).save(tmp_path / "empty.mid")
    with pytest.raises(MidiError, match=r"^empty\.mid: no track has a note$"):
        read_song(tmp_path / "empty.mid")


def test_the_first_melody_is_the_guess(tmp_path: Path, bands: Result) -> None:
    song = read_song(bands.midi(1))
    choices = melody_choices(song)
    assert choices[0][1] in choose_melody(song).tracks
    assert choices[0][0].startswith(f"{choices[0][1]}: ")
    drums = [track.index for track in song.tracks if track.is_drum]
    assert drums and not set(drums) & {index for _, index in choices}
    assert len(choices) + len(other_tracks(song)) == len(song.tracks)
    assert other_tracks(song)[-1].endswith("notes (drums)")


def test_options_of_settings() -> None:
    assert options_of({"seed": None, "chords": "", "skip": "", "melody": None}) == (
        AccompanyOptions()
    )
    chosen = options_of(
        {"given": ["melody", "drums"], "skip": "1-4,17", "seed": 7.0, "candidates": 2.0, "swing": 1}
    )
    assert chosen == AccompanyOptions(
        given=("melody", "drums"), skip=((1, 4), (17, 17)), seed=7, candidates=2, swing=1
    )


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"chords": " @/etc/passwd"}, "Chords: write them out"),
        ({"skip": "one"}, "Skip: wanted bars such as 1-4,17, not 'one'"),
        ({"given": []}, "given must be some of melody, bass, drums"),
        ({"candidates": 1000}, "candidates must be 1 to 64"),
        ({"seed": "x"}, "seed: wanted a whole number, not 'x'"),
        ({"intro": float("inf")}, "intro: wanted a whole number, not inf"),
    ],
)
def test_settings_that_mean_nothing(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=re.escape(line)):
        options_of(settings)


def test_files_of_bands(bands: Result, studio: Studio) -> None:
    assert bands.choices == [("Band 1", 1), ("Band 2", 2)]
    for number, band in enumerate(bands.result.candidates, start=1):
        path = bands.midi(number)
        assert path.name == f"saints-band-{number}.mid"
        assert path.read_bytes() == band.score.to_bytes()
    saved = bands.save_page(bands.contents(sound=False))
    assert saved.name == "saints-bands.html" and "Band 2" in saved.read_text(encoding="utf-8")
    assert bands.folder.parent == studio.folder
    bands.discard()
    assert list(studio.folder.iterdir()) == []


def test_the_sound_of_a_band(studio: Studio, tmp_path: Path) -> None:
    pytest.importorskip("midirenderer", reason="midirenderer is not installed: no sound")
    tune = mido.MidiFile()
    notes = [mido.Message(kind, note=60, time=480) for kind in ("note_on", "note_off")]
    tune.tracks.append(mido.MidiTrack(notes))
    tune.save(tmp_path / "tune.mid")
    bands = studio.make(read_song(tmp_path / "tune.mid"), AccompanyOptions(candidates=2))
    first, second = (bands.wav(number).read_bytes() for number in (1, 2))
    assert first[:4] == second[:4] == b"RIFF" and first != second


def test_remarks(studio: Studio, bands: Result) -> None:
    assert bands.remarks() == []
    again = studio.make(read_song(bands.midi(1)), AccompanyOptions())
    assert again.remarks()[0].startswith("Replaced: track 1: 'bass'")


def test_directions_are_offered_where_there_are_vectors(studio: Studio) -> None:
    assert studio.directions == ()
    shipped = Accompanist.from_pretrained(device="cpu")
    assert Studio(shipped, studio.folder).directions == ("density", "swing")


def test_every_option_has_its_place(page: Any) -> None:
    fields = {field.name for field in dataclasses.fields(AccompanyOptions)}
    # These networks have no directions, and the app none but density and swing.
    # Bars are made anew on the page of the bands.
    elsewhere = {"attributes", "density", "swing", "redo", "chords_track"}
    assert set(page.settings) == fields - elsewhere


def test_the_page_reads_a_song(page: Any, tmp_path: Path) -> None:
    told = page._read(str(SAINTS))
    assert told[page.song].name == "saints.mid" and told[page.melody].value == 0
    assert "32 bars · 4/4 · 176 beats a minute · 0:44" in told[page.facts].value
    assert told[page.go].interactive and not told[page.problem].visible
    broken = tmp_path / "<b>.mid"
    broken.write_bytes(b"nonsense")
    told = page._read(str(broken))
    assert told[page.song] is None and not told[page.go].interactive
    assert '<p role="alert">_b_.mid: not readable' in told[page.problem].value
    assert not page._read(None)[page.problem].visible


def make(page: Any, *steps: Result, **changes: Any) -> list[dict[Any, Any]]:
    values = {name: part.value for name, part in page.settings.items()}
    values |= {"melody": 0, "candidates": 2} | changes
    return list(page._make(read_song(SAINTS), list(steps), *values.values()))


def test_the_page_makes_bands(page: Any, bands: Result) -> None:
    page.studio.sounds = False  # that takes long
    (told,) = make(page, bands)
    assert told[page.steps][0] is bands and bands.folder.exists()  # so that one can undo
    assert told[page.player].startswith("<iframe") and told[page.band].visible
    made = told[page.steps][-1].result
    assert made.options == AccompanyOptions(candidates=2).by("surrogate")
    assert "the only one that can be a melody" in made.melody.how
    waiting, picked = page._pick(told[page.steps], 2)
    assert not waiting[page.midi].interactive and picked[page.midi].interactive
    assert Path(picked[page.midi].value["path"]).read_bytes() == made.candidates[1].score.to_bytes()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"given": ["bass"], "method": "refine-only"},
            "saints.mid: bass is given, but no track is a bass; --list-tracks shows",
        ),
        ({"given": ["melody", "bass", "drums"]}, "there is nothing to make"),
        ({"chords": "C | Hmm"}, "Hmm"),
        ({"method": "none"}, "unknown method"),
        ({"pickup": 9}, "pickup"),
    ],
)
def test_the_page_says_in_a_line_what_is_wrong(page: Any, changes: Any, line: str) -> None:
    (told,) = make(page, **changes)
    assert list(told) == [page.problem]  # what is shown stays
    assert line in told[page.problem].value and told[page.problem].visible


@pytest.fixture
def app(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, running, with a folder of its own for what is temporary."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(
        [sys.executable, "-m", "surrogate.cli.accompany_app", "--no-browser", "--device", "cpu"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with started:  # which waits for its end
        yield started
        started.kill()


@needs_gradio
def test_the_command(app: subprocess.Popen[str], tmp_path: Path) -> None:
    """It starts, keeps the computer's files to itself, and leaves nothing behind."""
    assert app.stdout is not None and app.stderr is not None
    assert app.stdout.readline() == "loading the networks…\n"
    ready = re.match(r"(http://127\.0\.0\.1:\d+/) is ready", app.stdout.readline())
    assert ready
    url = ready[1]
    with urllib.request.urlopen(url) as answer:
        assert "Accompany" in answer.read().decode()
    for path in ("/etc/passwd", str(ROOT / "pyproject.toml"), "../../pyproject.toml"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}gradio_api/file={path}")
        assert refused.value.code == 403
    app.send_signal(signal.SIGTERM)
    assert app.wait(timeout=60) == 0
    assert app.stderr.read() == "accompany-app: ended\n"
    assert not list(tmp_path.glob("accompany-*"))


@needs_gradio
def test_a_port_that_is_taken(page: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            OptionError, match=f"^cannot use port {port} at 127.0.0.1; choose another"
        ):
            serve(page.studio, port=port)


@needs_gradio
def test_networks_that_are_not_there(
    page: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(page.studio.folder)
    assert main(["--no-browser", "--musicvae", "nowhere"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("accompany-app: nowhere") and line.count("\n") == 1
