"""The HTML page in a real browser without a network: it draws, plays, mutes, seeks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mido
import pytest
from browsing import wait_until
from small_scores import score_of

from musicvae_torch.midi.score import Score
from surrogate.render.page import notebook_html, write_page
from surrogate.render.view import View

pytest.importorskip("midirenderer", reason="midirenderer is not installed: no sound to play")

BARS = 8
HOSTILE = "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 1'>"


def song(parts: int) -> Score:
    """A tune of one note a beat, then a bass and drums, eight bars at 120 a minute: 16 seconds."""
    file = mido.MidiFile(ticks_per_beat=480)
    for channel, program, pitch in [(0, 79, 72), (1, 33, 36), (9, 0, 38)][:parts]:
        chunk = mido.MidiTrack([mido.Message("program_change", channel=channel, program=program)])
        for beat in range(4 * BARS):
            note = {"channel": channel, "note": pitch + (beat % 4 if channel != 9 else 0)}
            chunk.append(mido.Message("note_on", velocity=100, **note))
            chunk.append(mido.Message("note_off", time=480, **note))
        file.tracks.append(chunk)
    if not parts:
        file.tracks.append(mido.MidiTrack())
    return score_of(file, "eight bars")


@pytest.fixture(scope="module")
def views() -> list[View]:
    roles = ("melody", "bass", "drums")
    return [
        View("Input", song(1), roles[:1]),
        View("Result 1", song(3), roles, frozenset({1, 2})),
    ]


@pytest.fixture(scope="module")
def home(views: list[View], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    write_page(folder / "page.html", views, {"seed": "3", "temperature": "0.6"}, "Eight bars")
    write_page(folder / "silent.html", views, sound=False)
    hostile = View(HOSTILE, song(1), ("melody",))
    empty = View("Input", song(0), ())
    write_page(folder / "empty.html", [empty, views[1]])
    write_page(folder / "hostile.html", [hostile], {HOSTILE: HOSTILE}, HOSTILE, sound=False)
    frame = notebook_html(views, {"seed": "3"})
    (folder / "notebook.html").write_text(f"<!doctype html>{frame}", encoding="utf-8")
    return folder


class Tab:
    """A page of the browser, which remembers what went wrong and what was asked for."""

    def __init__(self, browser: Any, path: Path, width: int = 1280) -> None:
        self.context = browser.new_context(offline=True, viewport={"width": width, "height": 900})
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._note)
        self.page.goto(path.as_uri())

    def _note(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.problems.append(f"asked for {request.url}")

    def take(self, number: int) -> Any:
        return self.page.locator(".take").nth(number)

    def play(self, number: int) -> None:
        self.take(number).locator(".play").click()

    def wait_for(self, number: int, state: str) -> None:
        self.page.wait_for_selector(f".take:nth-of-type({number + 1})[data-state={state}]")

    def position(self, number: int) -> float:
        """In seconds, as the slider shows it."""
        return float(self.take(number).locator("input").input_value())

    def wait_until_past(self, number: int, seconds: float) -> None:
        wait_until(self.page, f"takes[{number}].player.position > {seconds}")

    def playhead(self, number: int) -> int:
        """The column at the top of a roll at which it stands, in pixels."""
        script = """n => {
          const light = takes[n].roll.light;
          const copy = document.createElement("canvas");
          [copy.width, copy.height] = [light.width, light.height];
          const pen = copy.getContext("2d", { willReadFrequently: true });
          pen.drawImage(light, 0, 0);
          const row = pen.getImageData(0, NUMBERS - 3, light.width, 1).data;
          let best = 0;
          for (let x = 0; x < light.width; x++) if (row[4 * x + 3] > row[4 * best + 3]) best = x;
          return best;
        }"""
        return int(self.page.evaluate(script, number))

    def loudness(self, number: int) -> dict[str, float]:
        """Of each part, the largest sample that leaves its gain within the next beat or so."""
        script = """async n => {
          const heard = {};
          const ears = takes[n].player.voices.map(({ role, gain }) => {
            const ear = sound.context.createAnalyser();
            ear.fftSize = 32768;
            gain.connect(ear);
            return [role, ear];
          });
          await new Promise((done) => setTimeout(done, 900));
          for (const [role, ear] of ears) {
            const samples = new Float32Array(ear.fftSize);
            ear.getFloatTimeDomainData(samples);
            heard[role] = samples.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
          }
          return heard;
        }"""
        return dict(self.page.evaluate(script, number))


@pytest.fixture
def tab(browser: Any, home: Path) -> Iterator[Tab]:
    opened = Tab(browser, home / "page.html")
    yield opened
    assert opened.problems == []
    opened.context.close()


def test_all_is_there(tab: Tab) -> None:
    assert tab.page.title() == "Eight bars"
    assert tab.page.locator("#facts").inner_text() == ("8 bars · 4/4 · 120 beats a minute · 0:16")
    assert tab.page.locator("h2").all_inner_texts() == ["Input", "Result 1", "Made with"]
    cells = tab.page.locator("#settings th, #settings td").all_inner_texts()
    assert cells == ["seed", "3", "temperature", "0.6"]
    assert tab.take(1).locator(".part").all_inner_texts() == ["melody", "bass\nnew", "drums\nnew"]
    # Every button has a name to be read out.
    for button in tab.page.get_by_role("button").all():
        assert button.get_attribute("aria-label") or button.inner_text()
    # Red, blue and brown are on the canvas of the result.
    colours = tab.page.evaluate("""() => {
      const { still } = takes[1].roll;
      const { data } = still.getContext("2d").getImageData(0, 0, still.width, still.height);
      const found = { red: 0, blue: 0, brown: 0 };
      for (let at = 0; at < data.length; at += 4) {
        const [r, g, b] = data.slice(at, at + 3);
        if (r > 180 && g < 120 && b < 120) found.red++;
        if (b > 150 && r < 100) found.blue++;
        if (r > 120 && r < 190 && g > 70 && g < 140 && b > 50 && b < 130) found.brown++;
      }
      return found;
    }""")
    assert min(colours.values()) > 100, colours


def test_it_plays_and_pauses(tab: Tab) -> None:
    assert tab.page.evaluate("sound.context") is None  # before anyone clicks
    start = tab.playhead(1)
    tab.play(1)
    tab.wait_for(1, "playing")
    assert tab.page.evaluate("sound.context.state") == "running"
    tab.wait_until_past(1, 0.2)
    before, column = tab.position(1), tab.playhead(1)
    tab.page.wait_for_timeout(1000)
    after = tab.position(1)
    assert 0.5 < after - before < 3
    assert tab.playhead(1) > column >= start
    assert min(tab.loudness(1).values()) > 0.005
    assert tab.take(1).locator(".play").get_attribute("aria-label") == "Pause Result 1"
    tab.page.keyboard.press("Space")  # on the button that was clicked
    tab.wait_for(1, "paused")
    stopped = tab.position(1)
    tab.page.wait_for_timeout(300)
    assert tab.position(1) == stopped > after
    tab.page.evaluate("document.activeElement.blur()")
    tab.page.keyboard.press("Space")  # on the page
    tab.wait_for(1, "playing")
    tab.wait_until_past(1, stopped)


def test_sounds_start_with_their_notes(tab: Tab) -> None:
    """The silence that MP3 puts before a sound is left out, so the playhead is where one hears."""
    tab.play(1)
    tab.wait_for(1, "playing")
    seconds, onsets = tab.page.evaluate("""async () => {
      const buffers = await Promise.all(Object.values(takes[1].view.stems).map(decoded));
      const onsets = buffers.map((buffer) => {
        const samples = buffer.getChannelData(0);
        return samples.findIndex((sample) => Math.abs(sample) > 0.005) / buffer.sampleRate;
      });
      return [buffers.map((buffer) => buffer.duration), onsets];
    }""")
    assert seconds == pytest.approx([18, 18, 18], abs=0.01)
    assert min(onsets) >= 0 and max(onsets) < 0.03, onsets


def test_only_one_plays(tab: Tab) -> None:
    tab.play(0)
    tab.wait_for(0, "playing")
    tab.wait_until_past(0, 0.3)
    tab.play(1)
    tab.wait_for(1, "playing")
    assert tab.take(0).get_attribute("data-state") == "paused"
    assert tab.page.evaluate("takes[0].player.voices.length") == 0
    # A number goes on with another take at the same place.
    tab.wait_until_past(1, 1)
    tab.page.keyboard.press("1")
    tab.wait_for(0, "playing")
    assert tab.take(1).get_attribute("data-state") == "paused"
    assert tab.page.evaluate("takes[0].player.offset") == pytest.approx(tab.position(1), abs=0.05)


def test_parts_can_be_muted(tab: Tab) -> None:
    bass = tab.take(1).locator(".part", has_text="bass")
    bass.click()
    assert bass.get_attribute("aria-pressed") == "false"
    tab.play(1)
    tab.wait_for(1, "playing")
    heard = tab.loudness(1)
    assert heard["bass"] == 0 and min(heard["melody"], heard["drums"]) > 0.005
    bass.click()
    tab.take(1).locator(".part", has_text="drums").click()
    heard = tab.loudness(1)
    assert heard["drums"] < 1e-4 and min(heard["melody"], heard["bass"]) > 0.005


def test_seeking(tab: Tab) -> None:
    roll = tab.take(1).locator(".roll")
    size = roll.bounding_box()
    # Eight bars are in sight: in the middle of the notes the fifth begins, after 8 seconds.
    gutter = tab.page.evaluate("GUTTER")
    middle = gutter + (size["width"] - gutter - 1) / 2 + 2
    roll.click(position={"x": middle, "y": 100})
    assert tab.position(1) == pytest.approx(8.05, abs=0.05)
    assert tab.take(1).locator(".time").inner_text().startswith("0:0")
    assert abs(tab.playhead(1) - middle) < 3
    tab.page.keyboard.press("ArrowRight")
    assert tab.position(1) == pytest.approx(10, abs=0.01)
    tab.page.keyboard.press("ArrowLeft")
    assert tab.position(1) == pytest.approx(8, abs=0.01)
    tab.play(1)
    tab.wait_for(1, "playing")
    tab.wait_until_past(1, 8.1)
    # While it plays, too; and at the end it stops.
    tab.take(1).locator("input").evaluate(
        "slider => { slider.value = slider.max - 0.4; slider.dispatchEvent(new Event('input')); }"
    )
    tab.wait_for(1, "playing")
    tab.wait_for(1, "paused")
    assert tab.position(1) == pytest.approx(18, abs=0.02)
    tab.play(1)  # again from the start
    tab.wait_for(1, "playing")
    tab.wait_until_past(1, 0.05)
    assert tab.position(1) < 5


def test_downloads(tab: Tab, views: list[View]) -> None:
    with tab.page.expect_download() as download:
        tab.take(1).locator(".download").click()
    assert download.value.suggested_filename == "eight-bars-result-1.mid"
    assert Path(download.value.path()).read_bytes() == views[1].score.to_bytes()


@pytest.mark.parametrize("width", [1280, 400])
def test_widths(browser: Any, home: Path, width: int) -> None:
    tab = Tab(browser, home / "page.html", width)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [tab.take(n).bounding_box() for n in range(2)]
    side_by_side = boxes[0]["y"] == boxes[1]["y"]
    assert side_by_side == (width == 1280)
    if folder := os.environ.get("MUSICVAE_SCREENSHOTS"):
        tab.page.screenshot(path=f"{folder}/page_{width}.png", full_page=True)
    assert tab.problems == []
    tab.context.close()


def test_without_sound(browser: Any, home: Path) -> None:
    tab = Tab(browser, home / "silent.html")
    assert tab.take(0).locator(".play").is_hidden()
    tab.take(0).locator(".roll").click(position={"x": 300, "y": 100})
    assert tab.position(0) > 1
    tab.page.keyboard.press("Space")
    assert tab.take(0).get_attribute("data-state") == "paused"
    assert tab.problems == []
    tab.context.close()


def test_a_song_without_notes(browser: Any, home: Path) -> None:
    tab = Tab(browser, home / "empty.html")
    assert tab.take(0).locator(".play").is_disabled()
    tab.take(0).locator(".roll").click(position={"x": 300, "y": 100})
    tab.page.keyboard.press("Space")
    tab.play(1)
    tab.wait_for(1, "playing")
    assert tab.problems == []
    tab.context.close()


def test_hostile_texts_are_shown(browser: Any, home: Path) -> None:
    tab = Tab(browser, home / "hostile.html")
    assert tab.take(0).locator("h2").inner_text() == HOSTILE
    assert tab.page.locator("h1").inner_text() == HOSTILE
    assert tab.page.locator("#settings td").inner_text() == HOSTILE
    assert tab.page.evaluate("window.bad") is None
    assert tab.page.locator("img").count() == 0
    assert tab.problems == []
    tab.context.close()


def test_in_a_notebook(browser: Any, home: Path) -> None:
    tab = Tab(browser, home / "notebook.html")
    frame = tab.page.frame_locator("iframe")
    frame.locator(".play").nth(1).click()
    frame.locator(".take[data-state=playing]").wait_for()
    inner = tab.page.frames[1]
    wait_until(inner, "takes[1].player.position > 0.3")
    assert inner.evaluate("sound.context.state") == "running"
    assert tab.problems == []
    tab.context.close()
