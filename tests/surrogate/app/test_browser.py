"""The app in a real browser: a song goes in, bands are seen, heard and downloaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from bands import small_band
from browsing import PATIENCE, wait_until
from notation_files import musicxml_of, tunes
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
        accompanist = Accompanist(small_vae(), small_surrogate(), band=small_band(style_size=4))
        blocks = serve(Studio(accompanist, home))
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
        "Chords", "As it came", "Band 1", "Band 2", "Made with",
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


def test_a_score_gets_a_band_that_is_then_edited(visit: Visit, tmp_path: Path) -> None:
    """A person drops MusicXML, chooses the melody, edits a chord, makes two bars anew, undoes one
    of these, and downloads what is left."""
    page = visit.page
    score = tmp_path / "merrily.musicxml"
    score.write_text(musicxml_of(tunes()["merrily"]), encoding="utf-8")
    visit.send(score)
    page.locator("#melody input").first.check()
    page.get_by_label("number input for Bands").fill("1")
    visit.press("Accompany")
    frame = visit.wait_for_sound()
    inner = page.frames[1]
    # The third bar gets another chord.
    cell = frame.get_by_label("Chords of bar 3", exact=True)
    before = cell.input_value()
    cell.fill("Ab")
    cell.press("Enter")
    frame.locator("h2", has_text="Band 1.2").wait_for()
    inner = page.frames[1]
    cell = frame.get_by_label("Chords of bar 3", exact=True)
    assert cell.input_value() == "Ab" != before
    # Two bars, by keys alone: the fifth and the sixth.
    for field, bar in (("First bar", "5"), ("Last bar", "6")):
        frame.get_by_label(field).focus()
        page.keyboard.type(bar)
        page.keyboard.press("Enter")
    frame.get_by_label("Volume of the melody").press("Home")
    visit.picture("editing")
    frame.locator("h1").click()
    page.keyboard.press("r")
    frame.locator("h2", has_text="Band 1.3").wait_for()
    inner = page.frames[1]
    # What was set stays set, and the new version is the one that is heard next.
    assert frame.get_by_label("First bar").input_value() == "5"
    assert frame.get_by_label("Volume of the melody").input_value() == "0"
    assert inner.evaluate("current.view.title") == "Band 1.3"
    visit.picture("redone")
    frame.get_by_role("button", name="Play Band 1.3").click()
    wait_until(inner, "current.player.state === 'playing'")
    made = read_score(visit.download("#midi", tmp_path))
    frame.locator("h1").click()
    page.keyboard.press("Control+z")
    frame.locator("h2", has_text="Band 1.3").wait_for(state="detached")
    left = visit.download("#midi", tmp_path)
    assert left.name == "merrily-band-1.2.mid"
    kept = read_score(left)
    for new, old in zip(made.tracks, kept.tracks, strict=True):
        anew = [
            (track.notes["start"] // (4 * made.resolution) == 4)
            | (track.notes["start"] // (4 * made.resolution) == 5)
            for track in (new, old)
        ]
        assert new.notes[~anew[0]].tolist() == old.notes[~anew[1]].tolist()
        same = new.notes[anew[0]].tolist() == old.notes[anew[1]].tolist()
        assert same == (new.name not in ("bass", "drums"))


def with_comping(visit: Visit) -> Any:
    """The frame with one band for SAINTS, with a part of chords."""
    visit.send(SAINTS)
    visit.page.locator("#melody input:checked").wait_for()
    visit.page.get_by_label("number input for Bands").fill("1")
    visit.page.get_by_text("More settings").click()
    visit.page.get_by_label("chords", exact=True).check()
    visit.page.get_by_text("More settings").click()
    visit.press("Accompany")
    return visit.wait_for_sound()


def chords_of(path: Path, bar: int) -> set[int]:
    """The pitch classes that the part of chords begins in a bar."""
    score = read_score(path)
    (notes,) = (track.notes for track in score.tracks if track.name == "chords")
    return set((notes["pitch"][notes["start"] // (4 * score.resolution) == bar - 1] % 12).tolist())


def test_an_edited_chord_is_played_and_undone(visit: Visit, tmp_path: Path) -> None:
    frame = with_comping(visit)
    before = visit.download("#midi", tmp_path).read_bytes()
    cell = frame.get_by_label("Chords of bar 3", exact=True)
    was = cell.input_value()
    cell.fill("Gb")
    cell.press("Escape")  # no, rather not
    assert cell.input_value() == was
    cell.fill("Ebm")
    cell.press("Enter")
    frame.locator("h2", has_text="Band 1.2").wait_for()
    chips = frame.locator(".take").nth(2).locator(".part")
    assert chips.all_text_contents() == ["melody", "bassnew", "drumsnew", "chordsnew"]
    band = visit.download("#midi", tmp_path)
    assert chords_of(band, 3) == {3, 6, 10}
    # A person redoes the chords alone, in the bars before and after it.
    for field, bar in (("First bar", "2"), ("Last bar", "4")):
        frame.get_by_label(field).fill(bar)
        frame.get_by_label(field).press("Enter")
    for part in ("bass", "drums"):
        frame.locator("#redo").get_by_label(part).uncheck()
    visit.picture("chords")
    frame.get_by_role("button", name="Redo", exact=True).dblclick()  # by a hasty person
    frame.locator("h2", has_text="Band 1.3").wait_for()
    redone = visit.download("#midi", tmp_path)
    assert chords_of(redone, 3) == {3, 6, 10}
    old, new = read_score(band), read_score(redone)
    same = [
        a.notes.tolist() == b.notes.tolist() for a, b in zip(old.tracks, new.tracks, strict=True)
    ]
    assert same == [track.name != "chords" for track in new.tracks]
    for title in ("Band 1.3", "Band 1.2"):
        frame.get_by_role("button", name="Undo").click()
        frame.locator("h2", has_text=title).wait_for(state="detached")
    assert frame.locator("h2", has_text="Band 1.").count() == 0
    assert frame.get_by_label("Chords of bar 3", exact=True).input_value() == was
    assert visit.download("#midi", tmp_path).read_bytes() == before


def test_what_redo_needs_is_said(visit: Visit) -> None:
    frame = with_comping(visit)
    line = frame.locator("#bars [role=status]")
    redo = frame.get_by_role("button", name="Redo", exact=True)
    redo.focus()
    visit.page.keyboard.press("Space")
    assert line.inner_text() == "Choose bars first: drag over the bar numbers, or type them here."
    visit.page.keyboard.press("Shift+ArrowRight")
    assert line.inner_text() == "" and frame.get_by_label("First bar").input_value() == "1"
    for part in ("bass", "drums", "chords"):
        frame.locator("#redo").get_by_label(part).uncheck()
    visit.page.keyboard.press("r")
    assert line.inner_text() == "Choose what to redo: bass, drums, chords."
    visit.page.keyboard.press("1")  # hear the song as it came
    redo.click()
    assert "the song stays as it came" in line.inner_text()
    assert frame.locator("h2", has_text="Band").count() == 1


def test_a_score_and_stems_are_made_when_they_are_wanted(visit: Visit, tmp_path: Path) -> None:
    pytest.importorskip("music21", reason="music21 is not installed: no scores are written")
    with_comping(visit)
    score = visit.download("#score", tmp_path)
    assert score.name == "saints-band-1.musicxml"
    assert "<part-name>bass</part-name>" in score.read_text(encoding="utf-8").lower()
    stems = visit.download("#stems", tmp_path)
    assert stems.name == "saints-band-1-stems.zip"
    with ZipFile(stems) as archive:
        assert sorted(archive.namelist()) == sorted(
            f"saints-band-1_{part}.{kind}"
            for part in ("melody", "bass", "drums", "chords")
            for kind in ("mid", "wav")
        )
    assert visit.page.locator("#score").inner_text() == "Score ↓"


def test_a_reload_asks_before_changes_are_lost(visit: Visit) -> None:
    frame = with_comping(visit)
    asked: list[str] = []

    def answer(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.accept()

    visit.page.on("dialog", answer)
    frame.get_by_label("Chords of bar 3", exact=True).fill("Ebm")
    frame.get_by_role("button", name="Use these chords").click()
    frame.locator("h2", has_text="Band 1.2").wait_for()
    visit.page.reload()
    visit.page.locator("#player .empty").wait_for()
    assert asked == ["beforeunload"]
    # Gradio complains about streams that the reload has cut off.
    cut_off = ("AbortError", "Unexpected error Connection errored out")
    visit.problems = [line for line in visit.problems if not line.startswith(cut_off)]


def test_an_edit_that_fails_is_said_beside_it(visit: Visit) -> None:
    visit.send(SAINTS)
    visit.page.locator("#melody input:checked").wait_for()
    visit.page.get_by_label("number input for Bands").fill("1")
    visit.press("Accompany")
    frame = visit.wait_for_sound()
    frame.get_by_label("Chords of bar 3", exact=True).fill("Hm")
    frame.get_by_role("button", name="Use these chords").click()
    line = frame.locator("#bars .wrong")
    line.wait_for()
    assert line.inner_text().startswith("Chords: bar 3: 'Hm' is no chord symbol")
    assert frame.get_by_role("button", name="Use these chords").is_enabled()


def test_all_of_it_is_reached_by_the_tab_key(visit: Visit) -> None:
    page = visit.page
    visit.send(SAINTS)
    page.locator("#melody input:checked").wait_for()
    page.get_by_label("number input for Bands").fill("1")
    visit.press("Accompany")
    frame = visit.wait_for_sound()
    page.keyboard.press("Shift+ArrowRight")  # is for the frame alone
    frame.get_by_label("Volume of the melody").focus()
    page.keyboard.press("1")  # hear the song as it came
    page.keyboard.press("2")
    page.frames[1].evaluate("choose_bars(current, 0, 0)")  # so that Redo is no idle button
    reached = set()
    for _ in range(70):
        page.keyboard.press("Tab")
        reached.add(
            page.frames[1].evaluate("""() => {
          const here = document.activeElement;
          return here.getAttribute("aria-label") ?? (here.closest("label") ?? here).textContent;
        }""")
        )
    assert reached >= {
        "Volume of the bass", "Volume of the drums", "Tempo in percent", "First bar", "Last bar",
        "loop", "Clear", "bass", "drums", "Redo", "Chords of bar 1", "Chords of bar 32",
        "Play As it came", "Position in Band 1", "drumsnew", "Download Band 1 as MIDI",
    }  # fmt: skip


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
    picture = tmp_path / "cover.pdf"
    picture.write_bytes(b"%PDF-1.4")
    visit.page.get_by_label("Clear").first.click()
    line.wait_for(state="detached")
    visit.send(picture)
    line.wait_for()
    assert line.inner_text() == (
        "cover.pdf: wanted a song as MIDI (.mid), MusicXML (.musicxml, .mxl, .xml) or ABC (.abc)"
    )
