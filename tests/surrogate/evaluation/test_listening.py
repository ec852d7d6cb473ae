"""Blind listening tests: the page as a file, the key, files of votes, and what they come to."""

from __future__ import annotations

import base64
import io
import json
import math
import shutil
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from listening_songs import data_of, song, write_folders, write_song

from musicvae_torch.errors import VotesError
from surrogate.cli.listening_test import main
from surrogate.evaluation.listening.excerpts import Excerpt
from surrogate.evaluation.listening.key import Key
from surrogate.evaluation.listening.loudness import loudness
from surrogate.evaluation.listening.page import QUESTIONS, write_test
from surrogate.evaluation.listening.report import crossed_interval, report, sign_test
from surrogate.evaluation.listening.votes import read_votes
from surrogate.evaluation.metrics import bootstrap_interval
from surrogate.render import audio

RATE = 32_000


def sine(frequency: float, seconds: float, level: float = 1.0) -> np.ndarray:
    """(samples, 1), of a level as a share of full scale."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * math.pi * frequency * time))[:, None]


class TestLoudness:
    def test_the_standards_own_example(self) -> None:
        """BS.1770: 997 Hz at full scale in one channel is -3.01 LUFS; in two, 3.01 more."""
        tone = sine(997, 5)
        assert loudness(tone, RATE) == pytest.approx(-3.01, abs=0.01)
        assert loudness(np.hstack([tone, tone]), RATE) == pytest.approx(0, abs=0.01)
        assert loudness(sine(997, 5, 0.1), RATE) == pytest.approx(-23.01, abs=0.01)

    def test_low_notes_count_less_and_high_ones_more(self) -> None:
        """By the filter's gains at 40 Hz and 10 kHz, relative to that at 997 Hz."""
        assert loudness(sine(40, 5), RATE) < -6
        assert 0 < loudness(sine(10_000, 5), RATE) < 1

    def test_rests_do_not_count(self) -> None:
        tone, rest = sine(997, 5), np.zeros((10 * RATE, 1))
        whole = loudness(tone, RATE)
        assert loudness(np.concatenate([rest, tone, rest]), RATE) == pytest.approx(whole, abs=0.3)

    @pytest.mark.parametrize("length", [0, 100, RATE])
    def test_silence(self, length: int) -> None:
        assert loudness(np.zeros((length, 2)), RATE) == -math.inf

    def test_less_than_a_block(self) -> None:
        assert loudness(sine(997, 0.2), RATE) == pytest.approx(-3, abs=0.5)


KEY = Key(
    ("ours", "theirs"),
    tuple(f"song {n}" for n in range(5)),
    # Of each song ours, theirs, the melody alone.
    tuple((n, system) for n in range(5) for system in (0, 1, -1)),
    QUESTIONS,
    "sounds",
)


class TestKey:
    def test_there_and_back(self) -> None:
        text = KEY.masked()
        assert Key.unmasked(text, KEY.id) == KEY
        assert "ours" not in text and b"ours" not in base64.b64decode(text)

    def test_of_another_test(self) -> None:
        with pytest.raises(ValueError, match=r"no key|another test"):
            Key.unmasked(KEY.masked(), "0" * 16)

    def test_damaged(self) -> None:
        text = KEY.masked()
        for damaged in ("", "!", text[:-8], text[4:], text.swapcase()):
            with pytest.raises(ValueError, match=r"no key|another test"):
                Key.unmasked(damaged, KEY.id)


Edit = Callable[[dict[str, Any]], Any]


def votes_of(
    path: Path, listener: str, fit: list[int], like: list[int], edit: Edit | None = None
) -> Path:
    """A file of votes, of which every second has ours at the right: preferences are for ours."""
    votes = []
    for n, preferences in enumerate(zip(fit, like, strict=True)):
        swapped = n % 2
        sign = -1 if swapped else 1
        entry: dict[str, Any] = {"a": 3 * n + swapped, "b": 3 * n + 1 - swapped}
        entry |= {name: sign * own for name, own in zip(QUESTIONS, preferences, strict=True)}
        votes.append(entry | {"comment": "", "heard": [5.0, 6.1]})
    content: dict[str, Any] = {
        "format": "musicvae-torch listening test",
        "version": 1,
        "test": {"id": KEY.id, "key": KEY.masked()},
        "listener": listener,
        "seed": 1,
        "started": "2024-01-01T00:00:00.000Z",
        "finished": "2024-01-01T00:10:00.000Z",
        "votes": votes,
    }
    if edit:
        edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


class TestVotes:
    def test_a_case_worked_by_hand(self, tmp_path: Path) -> None:
        """Of fit, ours is preferred 7 times, theirs once, neither twice; the sum is 8 of 10 votes,
        and p is 2 (C(8,7) + C(8,8)) / 2^8 = 18 / 256. Of like, all ten votes are 1: p is 2 / 2^10.
        Of songs 0, 2 and 4 ours is A, of the others B."""
        one = votes_of(tmp_path / "votes-ann.json", "Ann", [2, 1, 1, 0, -1], [1] * 5)
        two = votes_of(tmp_path / "votes-bob.json", "Bob", [1, 1, 2, 0, 1], [1] * 5)
        lines = report(read_votes([one, two])).splitlines()
        assert lines[0] == "2 listeners, 5 songs, 10 comparisons."
        fit, like = lines[4:6]
        cells = [cell.strip() for cell in fit.strip("|").split("|")]
        assert cells[:6] == ["ours or theirs", QUESTIONS["fit"], "10", "7", "2", "1"]
        assert cells[6].startswith("+0.80 (") and cells[7] == "0.070"
        assert like == (
            f"| ours or theirs | {QUESTIONS['like']} | 10 | 10 | 0 | 0 | +1.00 (+1.00 to +1.00) "
            "| 0.002 |"
        )
        # A was ours in songs 0, 2 and 4: of like preferred 6 times, and 4 times not.
        assert lines[-1] == (
            f"- {QUESTIONS['like']} A, at the left, was preferred 6 times, B 4 times (p 0.754)."
        )

    def test_who_is_preferred_does_not_depend_on_sides(self, tmp_path: Path) -> None:
        path = votes_of(tmp_path / "v.json", "Ann", [2, 2, -1, -1, 0], [0] * 5)
        votes = read_votes([path]).votes
        assert [vote.preferences["fit"] for vote in votes] == [2, 2, -1, -1, 0]
        assert [vote.first_was_a for vote in votes] == [True, False, True, False, True]

    def test_comments_are_told_on_a_line(self, tmp_path: Path) -> None:
        def comment(content: dict[str, Any]) -> None:
            content["votes"][1]["comment"] = "B | drags\n\x1b[31mbadly"

        path = votes_of(tmp_path / "v.json", "Ann", [1] * 5, [1] * 5, comment)
        last = report(read_votes([path])).splitlines()[-1]
        assert last == "- Ann on song 1 (A: theirs, B: ours): B \\| drags [31mbadly"

    def test_one_listener_and_one_song_have_no_interval(self, tmp_path: Path) -> None:
        path = votes_of(tmp_path / "v.json", "Ann", [2], [-1])
        assert "| 1 | 1 | 0 | 0 | +2.00 | 1.000 |" in report(read_votes([path]))

    @pytest.mark.parametrize(
        ("edit", "message"),
        [
            (lambda c: c.update(format="x"), "not a file of votes"),
            (lambda c: c.update(version=2), "version 2, wanted 1"),
            (lambda c: c.pop("listener"), "damaged (something is missing)"),
            (lambda c: c.update(listener=7), "damaged (a value that is not text)"),
            (lambda c: c.update(test={"id": KEY.id, "key": "AAAA"}), "damaged (no key"),
            (lambda c: c.update(test={"id": "0", "key": KEY.masked()}), "damaged (no key"),
            (lambda c: c.update(votes={}), "no votes"),
            (lambda c: c["votes"][0].pop("like"), "damaged (something is missing)"),
            (lambda c: c["votes"][0].update(fit=3), "damaged (a preference of '3'"),
            (lambda c: c["votes"][0].update(fit=True), "damaged (a preference of 'True'"),
            (lambda c: c["votes"][0].update(fit=0.5), "damaged (a preference of '0.5'"),
            (lambda c: c["votes"][0].update(a=15), "damaged (a vote on a sound that is not"),
            (lambda c: c["votes"][0].update(a=-1), "damaged (a vote on a sound that is not"),
            (lambda c: c["votes"][0].update(a=2), "damaged (a vote on the melody alone"),
            (lambda c: c["votes"][0].update(a=4), "damaged (a vote on sounds that are no pair"),
            (lambda c: c["votes"][0].update(a=1), "damaged (a vote on sounds that are no pair"),
            (lambda c: c["votes"].append(c["votes"][0]), "damaged (votes twice on one pair"),
        ],
    )
    def test_damaged_files_are_refused(
        self, edit: Edit, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = votes_of(tmp_path / "votes-eve.json", "Eve", [1] * 5, [1] * 5, edit)
        assert main(["--votes", str(path)]) == 2
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1 and message in said
        assert message == "no votes" or said.startswith(f"listening-test: {path}: ")

    @pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1]", b"[" * 100_000, b"null", b'"x"'])
    def test_foreign_files_are_refused(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "x.json"
        path.write_bytes(content)
        with pytest.raises(VotesError, match=r"x\.json: not a file of votes"):
            read_votes([path])

    def test_missing_files_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(VotesError, match=r"x\.json: cannot be read \(No such file"):
            read_votes([tmp_path / "x.json"])

    def test_votes_that_do_not_belong_together(self, tmp_path: Path) -> None:
        one = votes_of(tmp_path / "1.json", "Ann", [1] * 5, [1] * 5)
        two = votes_of(tmp_path / "2.json", "ann", [1] * 5, [1] * 5)
        with pytest.raises(VotesError, match=r"2\.json: ann voted in .*1\.json, too"):
            read_votes([one, two])
        other = Key(("a", "b"), KEY.songs, KEY.clips, QUESTIONS, "others")
        test = {"id": other.id, "key": other.masked()}
        votes_of(two, "Bob", [1] * 5, [1] * 5, lambda c: c.update(test=test))
        with pytest.raises(VotesError, match=r"2\.json: of another listening test than .*1\.json"):
            read_votes([one, two])

    def test_patterns_that_the_shell_left(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("ann", "bob"):
            votes_of(tmp_path / f"votes-{name}.json", name, [1] * 5, [1] * 5)
        assert main(["--votes", str(tmp_path / "votes-*.json")]) == 0
        assert capsys.readouterr().out.startswith("2 listeners, 5 songs, 10 comparisons.\n")


class TestStatistics:
    @pytest.mark.parametrize(
        ("wins", "losses", "p"),
        [(0, 0, 1), (1, 0, 1), (3, 3, 1), (5, 0, 0.0625), (8, 2, 0.109375), (2, 8, 0.109375)],
    )
    def test_sign_test(self, wins: int, losses: int, p: float) -> None:
        assert sign_test(wins, losses) == pytest.approx(p)

    def test_listeners_and_songs_are_drawn(self) -> None:
        """Two of each: with a chance of 1/16 both draws are one listener's vote on one song, more
        than the 2.5 % beyond an end, so that the interval reaches from the least to the most."""
        ends = crossed_interval(
            np.array([1, 2, 3, 4]), np.array([0, 0, 1, 1]), np.array([0, 1] * 2)
        )
        assert ends == (1, 4)

    def test_of_one_listener_songs_alone_are_drawn(self) -> None:
        values = np.random.default_rng(0).normal(size=30)
        ours = crossed_interval(values, np.zeros(30, int), np.arange(30))
        assert ours == pytest.approx(bootstrap_interval(values, 1), abs=0.05)

    def test_draws_without_votes_do_not_count(self) -> None:
        """Each listener heard another song."""
        low, high = crossed_interval(np.array([1.0, 2.0]), np.arange(2), np.arange(2))
        assert (low, high) == (1, 2)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("midirenderer", reason="midirenderer is not installed: nothing to hear")
    return write_folders(tmp_path_factory.mktemp("systems"))


def samples_of(content: str) -> np.ndarray:
    """(samples, 1) of a WAV file as the page has it."""
    with wave.open(io.BytesIO(base64.b64decode(content))) as file:
        frames = file.readframes(file.getnframes())
    return np.frombuffer(frames, "<i2").astype(float)[:, None] / audio.MAX_SAMPLE


class TestPage:
    def test_nothing_tells_whose_a_sound_is(self, folders: dict[str, Path], tmp_path: Path) -> None:
        melody = folders["secret_one"].parent / "melody"
        made = write_test(tmp_path / "test.html", folders, melody, title="A & <B>")
        text = (tmp_path / "test.html").read_text(encoding="utf-8")
        for secret in ("secret", "Larks", "Owls", ".mid", str(tmp_path)):
            assert secret not in text
        assert "<title>A &amp; &lt;B&gt;</title>" in text
        data = data_of(tmp_path / "test.html")
        key = Key.unmasked(data["key"], data["id"])
        assert key.systems == ("secret_one", "secret_two") and key.songs == ("Larks", "Owls")
        assert (made.songs, made.left_out, made.pairs) == (["Larks", "Owls"], [], 2)
        for one, other, tune in data["pairs"]:
            own = [key.clips[clip] for clip in (one, other, tune)]
            assert len({song for song, _ in own}) == 1
            assert {own[0][1], own[1][1]} == {0, 1} and own[2][1] == -1

    def test_places_of_sounds_do_not_tell(self, tmp_path: Path) -> None:
        """Of eight songs by two systems: chance has all alike once in 128 times."""
        systems = write_folders(tmp_path, [f"song {n}" for n in range(8)])
        write_test(tmp_path / "test.html", systems, excerpt=Excerpt(2))
        data = data_of(tmp_path / "test.html")
        key = Key.unmasked(data["key"], data["id"])
        assert list(key.clips) != sorted(key.clips)
        assert {key.clips[one][1] for one, _, _ in data["pairs"]} == {0, 1}
        sooner = {(one < other) == (key.clips[one][1] == 0) for one, other, _ in data["pairs"]}
        assert sooner == {True, False}
        songs = [key.clips[one][0] for one, _, _ in data["pairs"]]
        assert songs != sorted(songs)

    def test_the_same_command_makes_the_same_bytes(
        self, folders: dict[str, Path], tmp_path: Path
    ) -> None:
        words = [str(folder) for folder in folders.values()]
        pages = []
        for n, seed in enumerate(("0", "0", "1")):
            path = tmp_path / f"{n}.html"
            assert main([*words, "-o", str(path), "--seconds", "2", "--seed", seed]) == 0
            pages.append(path.read_bytes())
        assert pages[0] == pages[1] != pages[2]

    def test_sounds_are_equally_loud_and_long(
        self, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Though one system plays at velocity 90, and the other one at 50."""
        compression = "surrogate.evaluation.listening.page.best_compression"
        monkeypatch.setattr(compression, lambda: audio.plain_wav)
        write_test(tmp_path / "test.html", folders, excerpt=Excerpt(3))
        data = data_of(tmp_path / "test.html")
        sounds = [samples_of(own["data"]) for own in data["audio"]]
        assert {len(sound) for sound in sounds} == {3 * audio.PLAIN_RATE}
        # Mono files of what is nearly mono: half of the power of two channels.
        levels = [loudness(sound, audio.PLAIN_RATE) + 3.01 for sound in sounds]
        assert max(levels) - min(levels) < 0.5 and levels[0] == pytest.approx(-20, abs=0.5)
        assert np.abs(sounds[0][-20:]).max() < 0.01  # faded out

    def test_bars(self, folders: dict[str, Path], tmp_path: Path) -> None:
        """Two bars of 4/4 at 120 beats a minute: the second lasts two seconds, and fades in one."""
        write_test(tmp_path / "test.html", folders, excerpt=Excerpt(bars=(2, 2)))
        assert data_of(tmp_path / "test.html")["seconds"] == [3.0] * 4

    def test_leading_rests_are_left_out(self, tmp_path: Path) -> None:
        folders = {"late": tmp_path / "late", "later": tmp_path / "later"}
        for folder in folders.values():
            write_song(folder / "x.mid", song(40, silence=40))
        write_test(tmp_path / "test.html", folders, excerpt=Excerpt(3))
        assert data_of(tmp_path / "test.html")["seconds"] == [3.0] * 2

    def test_three_systems_and_a_limit(self, folders: dict[str, Path], tmp_path: Path) -> None:
        systems = folders | {"third": folders["secret_one"].parent / "melody"}
        made = write_test(tmp_path / "test.html", systems, excerpt=Excerpt(2), pairs=4)
        data = data_of(tmp_path / "test.html")
        assert (len(data["pairs"]), data["limit"], made.pairs) == (6, 4, 4)

    def test_what_cannot_be_heard_is_left_out(
        self, folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pair = [tmp_path / "one", tmp_path / "two"]
        for folder, own in zip(folders.values(), pair, strict=True):
            shutil.copytree(folder, own)
            (own / "text.mid").write_text("no MIDI at all")
            write_song(own / "mute.mid", song(40, velocity=0))
        write_song(pair[0] / "alone.mid", song(40))
        write_song(pair[1] / "sub/Larks.mid", song(40))
        out = tmp_path / "test.html"
        words = [f"x={pair[0]}", f"y={pair[1]}", "-o", str(out), "--seconds", "2", "--pairs", "1"]
        assert main(words) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0] == f"left out: alone: not in {pair[1]}"
        assert said[1] == f"left out: sub/Larks: not in {pair[0]}"
        assert said[2].startswith(f"left out: {pair[0]}/mute.mid: no notes")
        assert said[3].startswith(f"left out: {pair[0]}/text.mid: not readable as a MIDI file")
        assert said[4] == "2 songs by 2 systems; 1 pair a listener, about 1 minute"
        assert said[5].startswith(f"wrote {out} (") and len(said) == 6
        data = data_of(out)
        assert Key.unmasked(data["key"], data["id"]).systems == ("x", "y")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("one two", "say where the page goes: -o test.html"),
        ("one -o t.html", "name at least two folders to compare"),
        ("one two -o t.doc", "t.doc: the page is HTML; name a file that ends in .html"),
        ("one two -o one", "one: is a folder; name the file to write"),
        ("one x -o t.html", "x: no such folder"),
        ("one empty -o t.html", "empty: no MIDI file"),
        ("one one -o t.html", "one: one is called one, too; write NAME=FOLDER"),
        ("one b=other -o t.html", "one, other: no song in all of them; files of one song"),
        ("one two -o t.html --melody other", "one, two, other: no song in all of them"),
        ("one =two -o t.html", "=two: no name for a system; write NAME=FOLDER"),
        ("one twice -o t.html", "tune.midi: twice/tune.mid has the same name"),
        ("one two -o t.html --bars 9-12", "no song can be heard: one/tune.mid: has 2 bars"),
        ("one two -o t.html --bars 4-2", "wanted bars such as 1-16, not '4-2'"),
        ("one two -o t.html --seconds 0", "--seconds: must be 2 to 600, not 0"),
        ("one two -o t.html --pairs 0", "--pairs: must be at least 1, not 0"),
        ("one two -o t.html --seconds 3 --bars 1-2", "--seconds: --bars takes its place"),
        ("one two -o t.html --soundfont one/tune.mid", "not readable as a SoundFont"),
        ("one two --votes v.json", "name folders to compare, or files of votes to read, not both"),
        ("--votes v.json -o t.html", "--out: --votes reads votes and makes no page; leave it out"),
    ],
)
def test_what_cannot_be(
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("midirenderer", reason="midirenderer is not installed: nothing to hear")
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    for place in ("one/tune", "two/tune", "twice/tune", "other/another"):
        write_song(Path(f"{place}.mid"), song(40))
    write_song(Path("twice/tune.midi"), song(40))
    before = sorted(tmp_path.rglob("*"))
    try:
        status = main(words.split())
    except SystemExit as error:
        status = int(error.code or 0)
    said = capsys.readouterr().err.splitlines()
    assert status == 2 and message in said[-1]
    assert not any("Traceback" in line for line in said)
    assert sorted(tmp_path.rglob("*")) == before
