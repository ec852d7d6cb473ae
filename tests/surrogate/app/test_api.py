"""The app for other programs: what docs/api.md prints, against a running server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bands import small_band
from paths import EXAMPLES, ROOT
from printed_commands import blocks
from small_pairs import small_surrogate, small_vae

from musicvae_torch.errors import OptionError
from musicvae_torch.midi.score import read_score
from surrogate import Accompanist, AccompanyOptions
from surrogate.app.studio import Studio, read_song
from surrogate.cli.accompany_app import offline, serve

pytest.importorskip("gradio", reason="gradio is not installed: there is no app")

PAGE = ROOT / "docs" / "api.md"
PRINTED = "http://127.0.0.1:7860"
SAINTS = EXAMPLES / "saints.mid"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    folder = tmp_path_factory.mktemp("api")
    accompanist = Accompanist(small_vae(), small_surrogate(), band=small_band(style_size=4))
    return Studio(accompanist, folder)


@pytest.fixture(scope="module")
def url(studio: Studio) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", "")  # so that it is put back
        patch.chdir(studio.folder)
        offline(studio.folder / "sent")
        blocks = serve(studio, api=True)
        yield blocks.local_url.rstrip("/")
        blocks.close(verbose=False)


@pytest.fixture
def client(url: str) -> Any:
    from gradio_client import Client

    return Client(url, verbose=False)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run a page's code in."""
    (tmp_path / "examples").mkdir()
    shutil.copy(SAINTS, tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def code(language: str, url: str) -> str:
    """The last block of a language, for the server of the tests."""
    text = [block.text for block in blocks(PAGE) if block.language == language][-1]
    assert PRINTED in text
    return text.replace(PRINTED, url)


def made_here(studio: Studio, **options: Any) -> list[bytes]:
    result = studio.accompanist.accompany(read_song(SAINTS), AccompanyOptions(**options))
    return [band.score.to_bytes() for band in result.candidates]


def test_python(url: str, studio: Studio, stage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code("python", url), str(PAGE), "exec"), {"__name__": "snippet"})
    assert (stage / "first.mid").read_bytes() == made_here(studio, seed=3, candidates=2)[0]
    assert "2 bands" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(url: str, studio: Studio, stage: Path) -> None:
    environment = {**os.environ, "no_proxy": "127.0.0.1"}
    subprocess.run(["bash", "-euc", code("sh", url)], check=True, env=environment, timeout=300)
    assert "event: complete" in (stage / "result.txt").read_text(encoding="utf-8")
    assert (stage / "band.mid").read_bytes() == made_here(studio, seed=3)[0]
    # Nothing is left but what came with the request, and what Gradio keeps for a day.
    assert {path.name for path in studio.folder.iterdir()} == {"sent"}


def test_options_and_files_reach_the_pipeline(client: Any) -> None:
    from gradio_client import handle_file

    options = {"skip": "1-2", "given": ["melody"], "temperature": {"bass": 0.5}}
    (file,), remarks = client.predict(
        handle_file(str(SAINTS)), options, None, api_name="/accompany"
    )
    made = read_score(file)
    assert [track.name for track in made.tracks[1:]] == ["bass", "drums"]
    assert min(track.notes["start"].min() for track in made.tracks[1:]) >= 8 * made.resolution
    assert remarks == []
    _, remarks = client.predict(handle_file(file), {}, None, api_name="/accompany")
    assert remarks[0].startswith("Replaced: track 1: 'bass'")
    options = {"redo": ["drums:9-10"]}
    (redone,), remarks = client.predict(handle_file(file), options, None, api_name="/accompany")
    assert remarks[-1].startswith("Drums, bars 9-10: ")
    before, after = (
        [track.notes.tolist() for track in read_score(p).tracks] for p in (file, redone)
    )
    assert after[:2] == before[:2] and after[2] != before[2]


def test_other_chords_are_played_by_bass_and_chords(client: Any) -> None:
    from gradio_client import handle_file

    options: dict[str, Any] = {"chords": "F", "add": ["chords"], "comping": "pad"}
    (file,), _ = client.predict(handle_file(str(SAINTS)), options, None, api_name="/accompany")
    chart = " | ".join("Ebm" if bar == 8 else "F" for bar in range(32))
    options = {"redo": ["bass:9", "chords:9"], "chords": chart, "harmony": "all"}
    (changed,), remarks = client.predict(handle_file(file), options, None, api_name="/accompany")
    assert [line.split(":")[0] for line in remarks[-2:]] == ["Bass, bar 9", "Chords, bar 9"]
    before, after = read_score(file), read_score(changed)
    bar = 4 * after.resolution
    for old, new in zip(before.tracks, after.tracks, strict=True):
        within = [track.notes["start"] // bar == 8 for track in (old, new)]
        if new.name in ("bass", "chords"):
            pitches = set((new.notes["pitch"][within[1]] % 12).tolist())
            assert pitches and pitches <= {3, 6, 10}
            starts = [
                own.notes["start"][~inside] for own, inside in zip((old, new), within, strict=True)
            ]
            assert set(starts[0].tolist()) <= set(starts[1].tolist())
        else:
            assert old.notes.tolist() == new.notes.tolist()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"sed": 3}, "options: unknown 'sed'; known: "),
        ({"style": "/etc/passwd"}, "options: unknown 'style'"),
        ({"chords": "@/etc/passwd"}, "Chords: write them out"),
        ({"candidates": 1000}, "candidates must be 1 to 64"),
        ({"candidates": "many"}, "candidates: wanted a whole number, not 'many'"),
        ({"skip": [1, 2]}, "options: "),
        ([3], "options: wanted a JSON object"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(client: Any, options: Any, line: str) -> None:
    from gradio_client import handle_file

    with pytest.raises(Exception, match=f"^{re.escape(line)}") as caught:
        client.predict(handle_file(str(SAINTS)), options, None, api_name="/accompany")
    assert "\n" not in str(caught.value)


def test_a_broken_song_is_named(client: Any, tmp_path: Path) -> None:
    from gradio_client import handle_file

    (tmp_path / "broken.mid").write_bytes(b"nonsense")
    with pytest.raises(Exception, match=r"^broken\.mid: not readable as a MIDI file"):
        client.predict(handle_file(str(tmp_path / "broken.mid")), {}, None, api_name="/accompany")


def test_programs_have_no_other_way_in(client: Any, studio: Studio) -> None:
    known = client.view_api(print_info=False, return_format="dict")
    assert list(known["named_endpoints"]) == ["/accompany"] and not known["unnamed_endpoints"]
    with pytest.raises(OptionError, match="port"):
        serve(studio, port=int(client.src.rstrip("/").rpartition(":")[2]))
