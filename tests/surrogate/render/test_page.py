"""The HTML page, as a file."""

from __future__ import annotations

import base64
import io
import json
import re
import wave
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from paths import EXAMPLES
from small_scores import score_of

from musicvae_torch.midi.score import Score, read_score
from surrogate.render import audio, page_data
from surrogate.render.page import html_of, notebook_html, page_contents, page_html, write_page
from surrogate.render.page_data import KnownSounds, facts
from surrogate.render.synth import SAMPLE_RATE
from surrogate.render.view import View, view_of

SAINTS = EXAMPLES / "saints.mid"
HOSTILE = "</script><script>window.bad = 1</script><img src=x onerror=bad()>\u2028{{script}}&amp;"


class Elements(HTMLParser):
    """All start tags of a page with their attributes, and the text within each kind."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag = self.tags[-1][0] if self.tags else ""
        self.text[tag] = self.text.get(tag, "") + data


def parsed(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    return elements


def data_of(page: str) -> dict[str, Any]:
    """The JSON within a page."""
    found = re.search(r'<script type="application/json" id="song">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def short_song(names: tuple[str, ...] = ("tune",), end: int = 960) -> Score:
    """A chunk for each name with a note, the last one a drum's if there are two or more."""
    file = mido.MidiFile(ticks_per_beat=480)
    for n, name in enumerate(names):
        channel = 9 if n and n == len(names) - 1 else n
        file.tracks.append(
            mido.MidiTrack(
                [
                    mido.MetaMessage("track_name", name=name),
                    mido.Message("note_on", note=60 - 12 * n, velocity=90, channel=channel),
                    mido.Message("note_off", note=60 - 12 * n, channel=channel, time=end),
                ]
            )
        )
    return score_of(file, "some/where/tune.mid")


def test_it_loads_nothing() -> None:
    page = page_html([view_of(short_song(), {0}, title="Input")], sound=False)
    elements = parsed(page)
    for tag, attributes in elements.tags:
        assert not {"src", "srcset", "href", "poster", "background"} & set(attributes), tag
        assert tag not in {"link", "base", "object", "embed", "iframe"}
    code = elements.text["script"] + elements.text["style"]
    addresses = set(re.findall(r"\w+://[^\s\"']+", code))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, which nobody loads
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(", code)
    (policy,) = (a["content"] for t, a in elements.tags if t == "meta" and "http-equiv" in a)
    assert policy and policy.startswith("default-src 'none'; ") and "unsafe" not in policy


def test_hostile_texts_stay_texts() -> None:
    views = [view_of(short_song((HOSTILE[:50],)), {0}, title=HOSTILE)]
    page = page_html(views, {HOSTILE: HOSTILE}, title=HOSTILE, sound=False)
    plain = page_html([view_of(short_song(), {0}, title="Input")], {"a": "b"}, sound=False)
    hostile, harmless = parsed(page), parsed(plain)
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in harmless.tags]
    assert hostile.text["title"].strip() == hostile.text["h1"].strip() == HOSTILE
    data = data_of(page)
    assert data["title"] == data["views"][0]["title"] == HOSTILE
    assert data["settings"] == [[HOSTILE, HOSTILE]]
    assert re.fullmatch(r"[a-z0-9-]+\.mid", data["views"][0]["file"])


def test_the_data_are_the_songs() -> None:
    score = short_song(("tune", "bass", "drums"))
    view = View("Result 1", score, ("melody", "bass", "drums"), frozenset({1, 2}))
    page = page_html([view_of(short_song(), {0}, title="Input"), view], {"seed": "3"}, sound=False)
    data = data_of(page)
    assert data["title"] == "tune" and data["settings"] == [["seed", "3"]]
    assert data["facts"] == "1 bar · 4/4 · 120 beats a minute · 0:01"
    assert [own["file"] for own in data["views"]] == ["tune-input.mid", "tune-result-1.mid"]
    own = data["views"][1]
    assert own["bars"] == [0, 4] and own["first"] == 1 and own["metres"] == [[4, 4]]
    assert own["clock"] == [[0, 0], [4, 2], [5, 2.5]] and own["seconds"] == 1
    assert own["tracks"] == [
        {"role": "melody", "new": False, "drum": False, "notes": [[0, 2, 60, 90]]},
        {"role": "bass", "new": True, "drum": False, "notes": [[0, 2, 48, 90]]},
        # Pitch 36 is a kick, the first of the lanes.
        {"role": "drums", "new": True, "drum": True, "notes": [[0, 2, 0, 90]]},
    ]
    assert base64.b64decode(own["midi"]) == score.to_bytes()
    assert data["audio"] == [] and own["stems"] == {}


def test_a_view_brings_its_even_version() -> None:
    roles, new = ("melody", "drums"), frozenset({1})
    even = View("Band, even", short_song(("tune", "drums"), end=480), roles, new)
    band = View("Band", short_song(("tune", "drums")), roles, new, even=even)
    song, own = data_of(page_html([view_of(short_song(), {0}), band], sound=False))["views"]
    assert song["even"] is None
    assert base64.b64decode(own["even"]["midi"]) == even.score.to_bytes()
    assert own["even"]["file"] == "tune-band-even.mid" != own["file"]
    assert [track["notes"][0][1] for track in own["even"]["tracks"]] == [1, 1]
    assert [track["notes"][0][1] for track in own["tracks"]] == [2, 2]


def test_tempo_and_metre_are_told() -> None:
    assert facts(read_score(SAINTS)) == "32 bars · 4/4 · 176 beats a minute · 0:44"
    waltz = mido.MidiTrack(
        [
            mido.MetaMessage("time_signature", numerator=3, denominator=4),
            mido.MetaMessage("set_tempo", tempo=1_000_000),
            mido.Message("note_on", note=60),
            mido.MetaMessage("set_tempo", tempo=600_000, time=480),
            mido.Message("note_off", note=60, time=3 * 480),
        ]
    )
    score = score_of(mido.MidiFile(ticks_per_beat=480, tracks=[waltz]))
    assert facts(score) == "2 bars · 3/4 · 60 to 100 beats a minute · 0:03"


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    views = [view_of(short_song(), {0}, title="Input")]
    write_page(path, views, sound=False)
    assert path.read_text(encoding="utf-8") == page_html(views, sound=False)
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    with pytest.raises(ValueError, match="at least one song"):
        write_page(tmp_path / "none.html", [])
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_names_of_downloads_differ() -> None:
    views = [view_of(short_song(), {0}, title="Input")] * 3
    names = [own["file"] for own in data_of(page_html(views, title="日本", sound=False))["views"]]
    assert len(set(names)) == 3 and names[0] == "input.mid"


def test_notebooks_have_it_in_a_frame() -> None:
    views = [view_of(short_song(), {0}, title=HOSTILE)]
    ((tag, attributes),) = parsed(notebook_html(views, {"a": "b"}, sound=False)).tags
    assert tag == "iframe" and attributes["srcdoc"] == page_html(views, {"a": "b"}, sound=False)


def test_sound_without_soundfile(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("midirenderer", reason="midirenderer is not installed: no sound")
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    data = data_of(page_html([view_of(short_song(), {0}, title="Input")]))
    (sound,) = data["audio"]
    with wave.open(io.BytesIO(base64.b64decode(sound["data"]))) as file:
        assert file.getparams()[:3] == (1, 2, audio.PLAIN_RATE)
        seconds = file.getnframes() / audio.PLAIN_RATE
    assert seconds == pytest.approx(3, abs=0.01)  # the note's and the tail's
    assert data["views"][0]["seconds"] == pytest.approx(seconds, abs=0.001)


def test_sound_is_kept_once_and_sums_to_the_song() -> None:
    pytest.importorskip("midirenderer", reason="midirenderer is not installed: no sound")
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed: no MP3")
    trio = view_of(short_song(("tune", "bass", "drums")), {0}, {1, 2}, "Result 1")
    data = data_of(page_html([view_of(short_song(), {0}, title="Input"), trio]))
    assert len(data["audio"]) == 3 and data["level"] <= 1
    given, made = (own["stems"] for own in data["views"])
    assert given == {"melody": 0} and made == {"melody": 0, "bass": 1, "drums": 2}
    short = view_of(short_song(("tune", "bass", "drums"), end=480), {0}, {1, 2})
    with_even = data_of(page_html([replace(trio, even=short), replace(trio, even=trio)]))
    first, second = ((own["stems"], own["even"]["stems"]) for own in with_even["views"])
    assert len(with_even["audio"]) == 6
    assert second[0] == second[1] == first[0] and not set(first[0].values()) & set(
        first[1].values()
    )
    total = np.zeros((0, 2))
    for sound in data["audio"]:
        content = base64.b64decode(sound["data"])
        assert content.startswith((b"ID3", b"\xff\xfb")), "no MP3"
        samples, rate = soundfile.read(io.BytesIO(content), always_2d=True)
        assert rate == SAMPLE_RATE
        total = np.pad(total, ((0, max(len(samples) - len(total), 0)), (0, 0)))
        total[: len(samples)] += samples * sound["gain"] * data["level"]
    wanted = audio.render(trio)
    assert len(total) == len(wanted)
    assert np.sqrt(((total - wanted) ** 2).mean()) < 0.15 * np.sqrt((wanted**2).mean())


def test_chords_are_by_quarter() -> None:
    score = short_song()
    marked = View("Input", score, ("melody",), chords=((0, "N.C."), (480, "F#m7"), (720, "B7")))
    data = data_of(page_html([marked, View("Bare", score, ("melody",))], sound=False))
    assert data["views"][0]["chords"] == [[0, "–"], [1, "F#m7"], [1.5, "B7"]]
    assert data["views"][1]["chords"] == []


def test_what_sounded_before_is_not_played_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("midirenderer", reason="midirenderer is not installed: no sound")
    known = KnownSounds()
    trio = view_of(short_song(("tune", "bass", "drums")), {0}, {1, 2}, "Result 1")
    first = page_contents([trio], known=known)
    longer = view_of(short_song(("tune", "bass", "drums"), end=1920), {0}, {1, 2}, "Result 2")
    second = page_contents([trio, longer], known=known)
    assert second["audio"][:3] == first["audio"] and len(second["audio"]) == 6
    monkeypatch.setattr(page_data, "synthesize_stems", None)
    again = page_contents([longer, trio], known=known)
    assert sorted(sound["data"] for sound in again["audio"]) == sorted(
        sound["data"] for sound in second["audio"]
    )
    assert again["views"][1]["stems"] == {"melody": 3, "bass": 4, "drums": 5}
    assert again["level"] == second["level"]


def test_further_scripts_and_styles_come_last() -> None:
    contents = page_contents([view_of(short_song(), {0})], sound=False)
    page = html_of({**contents, "more": "{{body}}"}, ["const more = song.more;"], "b { top: 0; }")
    assert data_of(page)["more"] == "{{body}}"
    elements = parsed(page)
    assert elements.text["script"].rstrip().endswith("const more = song.more;")
    assert elements.text["style"].rstrip().endswith("b { top: 0; }")
    assert html_of(contents) == page_html([view_of(short_song(), {0})], sound=False)
