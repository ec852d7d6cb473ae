"""The HTML page in a real browser without a network: it draws, plays, mutes, seeks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mido
import pytest
from browsing import PATIENCE, wait_until
from small_scores import score_of

from musicvae_torch.midi.score import Score
from surrogate.render.page import notebook_html, write_page
from surrogate.render.view import View

pytest.importorskip("midirenderer", reason="midirenderer is not installed: no sound to play")

BARS = 8
HOSTILE = "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 1'>"


def song(parts: int, velocity: int = 100) -> Score:
    """A tune of one note a beat, then a bass and drums, eight bars at 120 a minute: 16 seconds."""
    file = mido.MidiFile(ticks_per_beat=480)
    for channel, program, pitch in [(0, 79, 72), (1, 33, 36), (9, 0, 38)][:parts]:
        chunk = mido.MidiTrack([mido.Message("program_change", channel=channel, program=program)])
        for beat in range(4 * BARS):
            note = {"channel": channel, "note": pitch + (beat % 4 if channel != 9 else 0)}
            loud = velocity if channel == 9 else 100
            chunk.append(mido.Message("note_on", velocity=loud, **note))
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
        View(
            "Result 1",
            song(3),
            roles,
            frozenset({1, 2}),
            even=View("Result 1, even", song(3, velocity=30), roles, frozenset({1, 2})),
        ),
    ]


@pytest.fixture(scope="module")
def home(views: list[View], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    write_page(folder / "page.html", views, {"seed": "3", "temperature": "0.6"}, "Eight bars")
    write_page(folder / "silent.html", views, sound=False)
    write_page(folder / "others.html", [View("Input", song(3), ("other", "chords", "drums"))])
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
        self.page.set_default_timeout(PATIENCE)
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

    def moment(self, number: int) -> list[float]:
        """The position, and the page's clock, in seconds."""
        script = "n => [takes[n].player.position, performance.now() / 1000]"
        return list(self.page.evaluate(script, number))

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
    (before, began), column = tab.moment(1), tab.playhead(1)
    tab.wait_until_past(1, before + 1)
    after, ended = tab.moment(1)
    assert 1 < after - before < ended - began + 0.3  # no faster than time goes by
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
    # It goes on where the other one was, and so does one that is chosen by its number.
    assert tab.page.evaluate("takes[1].player.offset") == pytest.approx(tab.position(0), abs=0.05)
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


def test_parts_have_volumes(tab: Tab) -> None:
    bass = tab.page.get_by_label("Volume of the bass")
    tab.play(1)
    tab.wait_for(1, "playing")
    full = tab.loudness(1)
    bass.focus()
    bass.press("Home")
    assert tab.loudness(1)["bass"] < 1e-4
    bass.evaluate("input => { input.value = 50; input.dispatchEvent(new Event('input')); }")
    heard = tab.loudness(1)
    assert heard["bass"] == pytest.approx(full["bass"] / 4, rel=0.3)
    assert heard["drums"] == pytest.approx(full["drums"], rel=0.3)
    assert tab.position(1) > 0  # the keys were the slider's


def test_all_roles_have_volumes(browser: Any, home: Path) -> None:
    tab = Tab(browser, home / "others.html")
    faders = tab.page.locator("#mixer .fader > span").all_inner_texts()
    assert faders == ["drums", "chords", "other", "tempo"]
    tab.context.close()


def test_the_tempo_changes_and_the_pitch_stays(tab: Tab) -> None:
    tempo = tab.page.get_by_label("Tempo in percent")
    assert tab.page.locator("#mixer output").inner_text() == "♩ = 120"
    tempo.evaluate(
        "input => { input.value = 50; for (const name of ['input', 'change']) "
        "input.dispatchEvent(new Event(name)); }"
    )
    assert tab.page.locator("#mixer output").inner_text() == "♩ = 60, 50 %"
    assert tab.take(1).locator(".time").inner_text() == "0:00 / 0:36"
    tab.play(1)
    tab.wait_for(1, "playing")
    tab.wait_until_past(1, 0.1)
    passed, clock = tab.page.evaluate("""async () => {
      const now = () => [takes[1].player.position, sound.context.currentTime];
      const before = now();
      await new Promise((done) => setTimeout(done, 1000));
      return now().map((value, n) => value - before[n]);
    }""")
    assert passed == pytest.approx(clock / 2, rel=0.01)


STRETCHED = """async ([speed, starts]) => {
  sound.context = new AudioContext();
  const rate = sound.context.sampleRate;
  const make = (sample) => {
    const buffer = sound.context.createBuffer(1, 4 * rate, rate);
    buffer.copyToChannel(Float32Array.from({ length: 4 * rate }, (_, n) => sample(n)), 0);
    return buffer;
  };
  const power = (samples) => Math.sqrt(samples.reduce((sum, s) => sum + s * s, 0) / samples.length);
  const tone = make((n) => Math.sin(2 * Math.PI * 220 * n / rate));
  const second = (await stretch(tone, speed, [0, 1, 2, 3])).getChannelData(0)
    .subarray(rate / 2, rate / 2 + rate);
  const waves = second.filter((s, n) => n && second[n - 1] < 0 && s >= 0).length;
  // Hits of noise that decay.
  const noise = Float32Array.from({ length: rate }, () => Math.random() * 2 - 1);
  const hit = (n) => (n < 0 ? 0 : Math.exp(-n / (0.1 * rate)) * noise[Math.floor(n) % rate]);
  const hits = make((n) => starts.reduce((sum, start) => sum + hit(n - start * rate), 0));
  const struck = (await stretch(hits, speed, starts)).getChannelData(0);
  const step = Math.round(rate / 500), levels = [], found = [];
  for (let n = 0; n + step < struck.length; n += step)
    levels.push(power(struck.subarray(n, n + step)));
  for (let n = 4; n < levels.length; n++) {
    const before = Math.max(...levels.slice(n - 4, n - 1)), at = n * step / rate;
    if (found.length && at - found.at(-1) < 0.01) continue;
    if (levels[n] > Math.max(0.25, 1.6 * before + 0.05)) found.push(at);
  }
  return [waves, power(second), found];
}"""


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.5])
def test_stretched_sound(tab: Tab, speed: float) -> None:
    """A tone keeps its pitch and its loudness, and hits are where the tempo has them, each once."""
    starts = [0.5, 0.6, 1, 1.25, 2, 3.1]
    waves, loudness, hits = tab.page.evaluate(STRETCHED, [speed, starts])
    assert waves == pytest.approx(220, abs=2)
    assert loudness == pytest.approx(0.5**0.5, rel=0.03)
    assert hits == pytest.approx([start / speed for start in starts], abs=0.005)


def test_bars_are_chosen_and_repeated(tab: Tab) -> None:
    roll = tab.take(1).locator(".ruler").bounding_box()
    gutter = tab.page.evaluate("GUTTER")
    bar = (roll["width"] - gutter - 1) / BARS
    # From the third to the fourth.
    tab.page.mouse.move(roll["x"] + gutter + 2.5 * bar, roll["y"] + 8)
    tab.page.mouse.down()
    tab.page.mouse.move(roll["x"] + gutter + 3.5 * bar, roll["y"] + 8)
    tab.page.mouse.up()
    first, last = (tab.page.get_by_label(name) for name in ("First bar", "Last bar"))
    assert (first.input_value(), last.input_value()) == ("3", "4")
    for take in range(2):
        shade = tab.take(take).locator(".chosen").bounding_box()
        assert shade["width"] == pytest.approx(2 * bar, abs=2)
    assert tab.position(1) == 0  # it is no click on the notes
    tab.play(1)
    tab.wait_for(1, "playing")
    assert tab.page.evaluate("takes[1].player.offset") == pytest.approx(4, abs=0.01)
    # At their end it goes back to their beginning.
    tab.page.evaluate("takes[1].seek(7.9)")
    wait_until(tab.page, "takes[1].player.state === 'playing' && takes[1].player.position < 6")
    assert tab.position(1) >= 3.99
    tab.page.keyboard.press("Space")
    tab.page.evaluate("document.activeElement.blur()")
    tab.page.keyboard.press("Escape")
    assert first.input_value() == "" and tab.take(1).locator(".chosen").is_hidden()
    # By keys alone: the bar in which it is, and two more; then by their numbers.
    for _ in range(3):
        tab.page.keyboard.press("Shift+ArrowRight")
    assert (first.input_value(), last.input_value()) == ("3", "5")
    first.fill("6")
    first.press("Enter")
    assert (first.input_value(), last.input_value()) == ("6", "6")
    last.fill("99")
    last.press("Tab")
    assert last.input_value() == "8"


def test_feel_is_switched_at_the_same_place(tab: Tab, views: list[View]) -> None:
    feel = tab.take(1).locator(".feel")
    assert tab.take(0).locator(".feel").is_hidden() and tab.page.locator("#feel-key").is_visible()
    assert feel.get_attribute("aria-pressed") == "true"
    tab.play(1)
    tab.wait_for(1, "playing")
    tab.wait_until_past(1, 2)
    loud, (before, began) = tab.loudness(1), tab.moment(1)
    feel.click()
    tab.wait_for(1, "playing")
    after, ended = tab.moment(1)
    assert before <= after < before + ended - began + 0.3
    assert feel.get_attribute("aria-pressed") == "false"
    soft = tab.loudness(1)
    assert soft["drums"] < 0.5 * loud["drums"] and soft["bass"] > 0.5 * loud["bass"]
    with tab.page.expect_download() as download:
        tab.take(1).locator(".download").click()
    assert download.value.suggested_filename == "eight-bars-result-1-even.mid"
    even = views[1].even
    assert even is not None
    assert Path(download.value.path()).read_bytes() == even.score.to_bytes()
    # The key is for the take that plays, and paused ones stay so.
    tab.page.evaluate("document.activeElement.blur()")
    tab.page.keyboard.press("Space")
    tab.wait_for(1, "paused")
    place = tab.position(1)
    tab.page.keyboard.press("f")
    assert feel.get_attribute("aria-pressed") == "true"
    assert tab.take(1).get_attribute("data-state") == "paused" and tab.position(1) == place
    tab.page.keyboard.press("1")  # the song as it came has nothing to switch
    tab.page.keyboard.press("f")
    assert feel.get_attribute("aria-pressed") == "true"


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
        "slider => { slider.value = slider.max - 2; slider.dispatchEvent(new Event('input')); }"
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


def test_chords_are_above_the_notes(browser: Any, views: list[View], tmp_path: Path) -> None:
    chords = tuple((480 * 4 * bar, name) for bar, name in enumerate(("C", "Bb/D", "F#m7b5")))
    marked = replace(views[1], chords=chords)
    for name, own in (("chords", [views[0], marked]), ("plain", views)):
        write_page(tmp_path / f"{name}.html", own, sound=False)
    # The columns of the row of chords in which anything is painted.
    script = """n => {
      const still = takes[n].roll.still, ratio = still.height / height;
      const pen = still.getContext("2d");
      const rows = pen.getImageData(0, BAR_NUMBERS * ratio, still.width, CHORDS * ratio).data;
      const found = new Set();
      for (let i = 3; i < rows.length; i += 4)
        if (rows[i]) found.add((i - 3) / 4 % still.width / ratio);
      return [...found].sort((a, b) => a - b);
    }"""
    tab = Tab(browser, tmp_path / "chords.html")
    assert tab.page.evaluate("NUMBERS") == 36
    assert tab.page.evaluate(script, 0) == []
    painted = tab.page.evaluate(script, 1)
    starts = [tab.page.evaluate("q => takes[1].roll.x(q)", 4 * bar) for bar in range(3)]
    for start in starts:
        assert any(start <= column <= start + 8 for column in painted)
        assert not any(start - 3 <= column < start + 1 for column in painted)
    plain = Tab(browser, tmp_path / "plain.html")
    assert plain.page.evaluate("NUMBERS") == 18
    assert tab.problems == plain.problems == []
    tab.context.close()
    plain.context.close()
