"""A listening test in a real browser without a network: what listeners do, from start to votes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from listening_songs import data_of, write_folders

from surrogate.evaluation.listening.excerpts import Excerpt
from surrogate.evaluation.listening.key import Key
from surrogate.evaluation.listening.page import write_test
from surrogate.evaluation.listening.report import report
from surrogate.evaluation.listening.votes import read_votes

pytest.importorskip("midirenderer", reason="midirenderer is not installed: no sound to play")

HOSTILE = "<img src=x onerror='window.bad = 1'>"
NO_STORAGE = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } });"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """test.html: two pairs of three seconds; many.html: twelve of two, each listener hears ten."""
    folder = tmp_path_factory.mktemp("listening")
    systems = write_folders(folder)
    write_test(folder / "test.html", systems, folder / "melody", Excerpt(3), title=HOSTILE)
    names = [f"song {n}" for n in range(12)]
    many = write_folders(folder / "many", names)
    write_test(folder / "many.html", many, excerpt=Excerpt(2), pairs=10)
    return folder


class Listener:
    """Someone with a browser of their own, which remembers what went wrong."""

    def __init__(self, browser: Any, page: Path, width: int = 1280, script: str = "") -> None:
        self.context = browser.new_context(offline=True, viewport={"width": width, "height": 900})
        if script:
            self.context.add_init_script(script)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._note)
        self.page.goto(page.as_uri())

    def _note(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.problems.append(f"asked for {request.url}")

    def start(self, name: str) -> None:
        self.page.get_by_label("Your name or initials").fill(name)
        self.page.get_by_role("button", name="Start").click()
        self.page.locator(".clips").wait_for()

    @property
    def heading(self) -> str:
        return str(self.page.locator("h2").inner_text())

    def card(self, name: str) -> Any:
        return self.page.get_by_role("region", name=name, exact=True)

    def state(self, name: str) -> str:
        return str(self.card(name).get_attribute("data-state"))

    def position(self, name: str) -> float:
        return float(self.card(name).locator("input").input_value())

    def hear(self, name: str) -> None:
        """Until the page says that it was heard."""
        self.card(name).get_by_role("button").click()
        self.card(name).get_by_text("heard").wait_for()

    def answers(self) -> list[list[bool]]:
        """Of each question, which of its five answers is chosen."""
        script = "fields => fields.map(f => [...f.querySelectorAll('input')].map(i => i.checked))"
        chosen: list[list[bool]] = self.page.locator("fieldset").evaluate_all(script)
        return chosen

    def vote(self, question: int, answer: int) -> None:
        self.page.locator("fieldset").nth(question).locator("label").nth(answer).click()

    def on(self, name: str = "Next") -> None:
        self.page.get_by_role("button", name=name).click()

    def trials(self) -> list[dict[str, int]]:
        trials: list[dict[str, int]] = self.page.evaluate("Session.resume().trials")
        return trials

    def save(self, folder: Path) -> Path:
        with self.page.expect_download() as download:
            self.on("Save votes")
        path: Path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path

    def leave(self) -> None:
        assert self.problems == []
        self.context.close()


@pytest.fixture
def listener(browser: Any, home: Path) -> Iterator[Listener]:
    opened = Listener(browser, home / "test.html")
    yield opened
    opened.leave()


def test_a_listener_from_start_to_saved_votes(
    listener: Listener, home: Path, tmp_path: Path
) -> None:
    """Who always prefers the first system, and says so by the keyboard, too."""
    page = listener.page
    data = data_of(home / "test.html")
    key = Key.unmasked(data["key"], data["id"])
    assert page.get_by_role("button", name="Start").is_disabled()
    listener.start("  Ann   Müller ")
    for number, button in ((1, "Next"), (2, "Finish")):
        assert listener.heading == f"Pair {number} of 2"
        trial = listener.trials()[number - 1]
        first_is_a = key.clips[trial["a"]][1] == 0
        assert page.locator("fieldset:disabled").count() == 2
        assert page.get_by_role("button", name=button).is_disabled()
        listener.hear("A")
        assert page.locator("fieldset:disabled").count() == 2
        listener.hear("B")
        assert page.locator("fieldset:disabled").count() == 0
        assert page.get_by_role("button", name=button).is_disabled()  # no answers yet
        listener.vote(0, 0 if first_is_a else 4)
        page.locator("fieldset").nth(1).locator("input").nth(2).focus()
        page.keyboard.press("ArrowLeft" if first_is_a else "ArrowRight")
        listener.on(button)
    assert listener.heading == "Thank you, Ann Müller"
    assert page.get_by_role("button", name="Another listener").is_disabled()
    path = listener.save(tmp_path)
    assert path.name == "votes-ann-müller.json"
    shown = page.get_by_label("Your votes as text").input_value()
    assert shown == path.read_text(encoding="utf-8")
    content = json.loads(shown)
    assert [vote["heard"] > [1, 1] for vote in content["votes"]] == [True, True]
    votes = read_votes([path])
    assert {vote.song for vote in votes.votes} == {0, 1}
    assert all(vote.preferences == {"fit": 2, "like": 1} for vote in votes.votes)
    assert "| secret_one or secret_two | Which band fits" in report(votes)
    page.get_by_role("button", name="Another listener").click()
    assert listener.heading == "Which band is better?"
    page.reload()
    assert listener.heading == "Which band is better?"


def test_only_one_plays_and_keys_switch(listener: Listener) -> None:
    listener.start("Bob")
    listener.card("A").get_by_role("button").click()
    wait = "n => clips[n].player.state === 'playing' && clips[n].player.position > 0.4"
    listener.page.wait_for_function(wait, arg=0)
    listener.page.keyboard.press("b")
    listener.page.wait_for_function(wait, arg=1)
    assert listener.state("A") == "paused"
    offset = listener.page.evaluate("clips[1].player.offset")
    assert offset == pytest.approx(listener.position("A"), abs=0.05)
    listener.card("The melody alone").get_by_role("button").click()
    listener.page.wait_for_function(wait, arg=2)
    assert listener.state("B") == "paused"
    listener.page.evaluate("document.activeElement.blur()")
    listener.page.keyboard.press("Space")
    assert listener.state("The melody alone") == "paused"
    assert listener.page.evaluate("clips.flatMap(clip => clip.player.voices).length") == 0
    # Letters in a comment are letters.
    listener.page.get_by_label("Comment").press_sequentially("a b")
    assert [listener.state(name) for name in "AB"] == ["paused", "paused"]


def test_skipping_is_not_listening(listener: Listener) -> None:
    listener.start("Cy")
    for name in "AB":
        listener.card(name).locator("input").evaluate(
            "slider => { slider.value = slider.max; slider.dispatchEvent(new Event('input')); }"
        )
    assert listener.position("B") == pytest.approx(3, abs=0.01)
    assert listener.page.locator("fieldset:disabled").count() == 2
    assert listener.page.get_by_role("status").inner_text() == (
        "Listen to A and B for at least 2 seconds first."
    )


def test_going_back_and_a_reload_keep_all(listener: Listener) -> None:
    listener.start("Dee")
    assert listener.page.get_by_role("button", name="Back").is_hidden()
    listener.hear("A")
    listener.hear("B")
    listener.vote(0, 1)
    listener.vote(1, 3)
    listener.page.get_by_label("Comment").fill("B drags")
    listener.on()
    before = listener.trials()
    listener.page.reload()
    assert listener.heading == "Pair 2 of 2" and listener.trials() == before
    listener.on("Back")
    for _ in range(2):
        assert listener.heading == "Pair 1 of 2"
        assert listener.answers() == [
            [False, True, False, False, False],
            [False, False, False, True, False],
        ]
        assert listener.page.get_by_label("Comment").input_value() == "B drags"
        assert listener.page.get_by_role("button", name="Next").is_enabled()
        listener.page.reload()


def test_without_storage(browser: Any, home: Path) -> None:
    listener = Listener(browser, home / "test.html", script=NO_STORAGE)
    listener.start("Eve")
    listener.hear("A")
    listener.hear("B")
    listener.vote(0, 1)
    listener.vote(1, 3)
    listener.on()
    assert listener.heading == "Pair 2 of 2"
    listener.leave()


def test_orders_are_the_listeners_own(browser: Any, home: Path) -> None:
    """The same name has the same order again; in others, pairs and sides are elsewhere."""
    found = []
    for name in ("Ann", "Ann", "Bob"):
        listener = Listener(browser, home / "many.html")
        listener.start(name)
        found.append(listener.trials())
        listener.leave()
    assert found[0] == found[1] != found[2]
    assert all(len({trial["pair"] for trial in trials}) == 10 for trials in found)
    pairs = data_of(home / "many.html")["pairs"]
    swapped = [trial["a"] != pairs[trial["pair"]][0] for trial in found[0] + found[2]]
    assert 2 <= sum(swapped) <= 18
    assert [trial["pair"] for trial in found[0]] != sorted(trial["pair"] for trial in found[0])


def test_nothing_on_the_page_tells(listener: Listener) -> None:
    listener.start(HOSTILE)
    page = listener.page
    assert page.locator("h1").inner_text() == HOSTILE  # as text
    assert page.evaluate("window.bad") is None and page.locator("img").count() == 0
    shown = page.content() + page.evaluate("JSON.stringify(song) + localStorage.getItem(STORE)")
    assert not re.search("secret|Larks|Owls|one/|two/", shown)
    for button in page.get_by_role("button").all():
        assert button.get_attribute("aria-label") or button.inner_text()


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits_screens_of_any_width(browser: Any, home: Path, width: int) -> None:
    listener = Listener(browser, home / "test.html", width)
    page = listener.page
    folder = os.environ.get("MUSICVAE_SCREENSHOTS")
    for screen in ("start", "pair", "end"):
        if screen == "pair":
            listener.start("Ann")
            boxes = [listener.card(name).bounding_box() for name in "AB"]
            assert boxes[0]["y"] == boxes[1]["y"]  # side by side
        if screen == "end":
            page.evaluate(
                "() => { const session = Session.begin('Ann'); session.at = 2; "
                "session.answers = [{ heard: [5, 5], comment: '', fit: 1, like: 0 }, "
                "{ heard: [5, 5], comment: '', fit: 1, like: 0 }]; show_trial(session); }"
            )
            assert listener.heading == "Thank you, Ann"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if folder:
            page.screenshot(path=f"{folder}/listening_{screen}_{width}.png", full_page=True)
    listener.leave()
