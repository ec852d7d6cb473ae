"""The app in a real browser: a song goes in, bands are seen, heard and downloaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import wait_until
from paths import EXAMPLES
from small_pairs import small_surrogate, small_vae

from musicvae_torch.midi.score import read_score
from surrogate import Accompanist
from surrogate.app.studio import Studio
from surrogate.cli.accompany_app import offline, serve

pytest.importorskip("gradio", reason="gradio is not installed: there is no app")
pytest.importorskip("midirenderer", reason="midirenderer is not installed: no sound to play")

SAINTS = EXAMPLES / "saints.mid"
WIDTHS, HEIGHT = (1280, 400), 900
PATIENCE = 120_000  # milliseconds, for a busy machine
GRADIO_SAYS = "Method not implemented."  # at the end of each of its event streams


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("app")


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", "")  # so that it is put back
        patch.chdir(home)
        offline(home / "sent")
        blocks = serve(Studio(Accompanist(small_vae(), small_surrogate()), home))
        yield blocks.local_url
        blocks.close(verbose=False)


class Visit:
    """A tab with the app, which remembers what went wrong and who was asked for what."""

    def __init__(self, browser: Any, url: str) -> None:
        self.page = browser.new_page(viewport={"width": WIDTHS[0], "height": HEIGHT})
        self.page.set_default_timeout(PATIENCE)
        self.problems: list[str] = []
        self.page.on("console", lambda message: self._note(message.text))
        self.page.on("pageerror", lambda error: self._note(str(error)))
        self.page.on("request", self._check)
        self.url = url
        self.page.goto(url)
        self.page.locator("#song input[type=file]").wait_for(state="attached")

    def _note(self, text: str) -> None:
        if text != GRADIO_SAYS:
            self.problems.append(text)

    def _check(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.problems.append(f"asked for {request.url}")

    def send(self, path: Path) -> None:
        self.page.locator("#song input[type=file]").set_input_files(path)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def wait_for_sound(self) -> Any:
        """The frame with players, once they can play."""
        self.page.locator("#wav:not([disabled])").wait_for()
        frame = self.page.frame_locator("#player iframe")
        frame.locator(".play").nth(1).wait_for()
        return frame

    def picture(self, name: str) -> None:
        """See that all fits on a screen and on a phone; pictures are kept if a folder is named."""
        for width in reversed(WIDTHS):
            self.page.set_viewport_size({"width": width, "height": HEIGHT})
            assert self.page.evaluate("document.documentElement.scrollWidth") <= width
            if folder := os.environ.get("MUSICVAE_SCREENSHOTS"):
                self.page.wait_for_timeout(500)
                self.page.screenshot(path=f"{folder}/app_{name}_{width}.png", full_page=True)

    def download(self, selector: str, into: Path) -> Path:
        with self.page.expect_download() as download:
            self.page.locator(selector).click()
        path: Path = into / download.value.suggested_filename
        download.value.save_as(path)
        return path


@pytest.fixture
def visit(url: str, browser: Any) -> Iterator[Visit]:
    opened = Visit(browser, url)
    yield opened
    opened.page.close()
    assert opened.problems == []


def test_a_song_gets_bands(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    visit.picture("empty")
    assert page.get_by_role("button", name="Accompany", exact=True).is_disabled()
    visit.send(SAINTS)
    page.locator("#melody input:checked").wait_for()
    assert page.locator("#melody label").all_inner_texts() == [
        "0: When the Saints Go Marching In, Trumpet, 66 notes"
    ]
    page.get_by_label("number input for Bands").fill("2")
    page.get_by_text("More settings").click()
    page.get_by_label("Skip").fill("1-2")
    visit.picture("more")
    visit.press("Accompany")
    frame = visit.wait_for_sound()
    assert frame.locator("h2").all_inner_texts() == [
        "As it came", "Band 1", "Band 2", "Made with",
    ]  # fmt: skip
    assert "1-2" in frame.locator("#settings").inner_text()
    visit.picture("bands")
    # All of the frame is in sight: it does not scroll by itself.
    inner = page.frames[1]
    wait_until(inner, "innerHeight >= document.body.offsetHeight")
    frame.locator(".play").nth(2).click()
    wait_until(inner, "takes[2].player.position > 0.3")
    assert inner.evaluate("sound.context.state") == "running"
    band = visit.download("#midi", tmp_path)
    assert band.name == "saints-band-1.mid"
    song, made = read_score(SAINTS), read_score(band)
    assert made.tracks[0].notes.tolist() == song.tracks[0].notes.tolist()
    assert [track.name for track in made.tracks[1:]] == ["bass", "drums"]
    two_bars = 8 * made.resolution
    assert min(track.notes["start"].min() for track in made.tracks[1:]) >= two_bars
    page.get_by_label("Band to download").click()
    page.get_by_role("option", name="Band 2").click()
    page.locator("#wav[disabled]").wait_for()
    page.locator("#wav:not([disabled])").wait_for()
    assert visit.download("#midi", tmp_path).name == "saints-band-2.mid"
    assert visit.download("#wav", tmp_path).read_bytes()[:4] == b"RIFF"
    saved = visit.download("#page", tmp_path)
    assert saved.name == "saints-bands.html" and "Band 2" in saved.read_text(encoding="utf-8")


def test_an_example_is_at_hand(visit: Visit) -> None:
    visit.page.get_by_label("or take an example").click()
    visit.page.get_by_role("option", name="Ode to joy").click()
    visit.page.locator("#melody input:checked").wait_for()
    assert "24 bars" in visit.page.locator("#facts").inner_text()


def test_what_is_wrong_is_said_in_a_line(visit: Visit, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mid"
    broken.write_bytes(b"nonsense")
    visit.send(broken)
    line = visit.page.get_by_role("alert")
    line.wait_for()
    assert line.inner_text().startswith("broken.mid: not readable as a MIDI file")
    assert str(tmp_path) not in line.inner_text() and "Traceback" not in visit.page.content()
    assert visit.page.get_by_role("button", name="Accompany", exact=True).is_disabled()
    visit.picture("broken")
