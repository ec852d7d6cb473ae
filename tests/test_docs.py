"""The pages: what they print runs, the options they speak of exist, and their links lead on."""

from __future__ import annotations

import functools
import re
import shutil
from pathlib import Path

import pytest
import yaml
from groove_files import write_grooves
from lead_sheet_files import CHORDS, MELODY
from lead_sheet_files import write as write_lead_sheet
from made_up_songs import write_songs
from paths import ROOT
from printed_commands import (
    BRIEF,
    LEFT_OUT,
    OPTION,
    blocks,
    commands,
    lines,
    mentions,
    options,
    ours,
    project,
    run_page,
    shortened,
)

from musicvae_torch import MusicVAE, __version__, get_config

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CARDS = sorted([*ROOT.glob("checkpoints/*/README.md"), ROOT / "examples/README.md"])
# Run as printed by tests of their own.
ELSEWHERE = {
    "docs/api.md": "surrogate/app/test_api.py",
    "docs/export.md": "musicvae_torch/onnx/test_onnx.py",
    "docs/latent.md": "musicvae_torch/latent/test_guide.py",
}
RUN = [page for page in PAGES if page.relative_to(ROOT).as_posix() not in ELSEWHERE]
# All that is not run, only read by its parser or compiled, and why.
NOT_RUN = {
    "docs/listening.md": ["the votes come from listeners"],
    "docs/installing.md": [
        "needs uv, pipx and a network",
        "needs pipx and a network",
        "a test of its own runs it",
    ],
    "docs/guides/model_user.md": [
        "needs a network",
        "magenta.js wants decoder layers of one size, the test models have several",
    ],
}
# Of pip, uv, pipx, twine, tensorboard and Python.
FOREIGN = {"--index-url", "--extra-index-url", "--from", "--no-sources", "--spec", "--pip-args",
           "--strict", "--logdir", "--directory"}  # fmt: skip
TUNE = re.compile(r"examples/(\w+\.mid)")
LINK = re.compile(r"\]\(([^)#\s]+)")


def by_path(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pages take for granted: folders of songs, data sets, and models trained on them."""
    folder = tmp_path_factory.mktemp("workshop")
    (folder / "tests").symlink_to(ROOT / "tests")
    shutil.copytree(ROOT / "examples", folder / "examples")
    write_songs(folder / "midi", 8)
    for name in ("finished", "test"):
        write_songs(folder / name, 1, seed=7)
    for seed, name in enumerate(("archives", "lakh", "lakh_validation"), 8):
        write_songs(folder / name, 2, seed=seed)
    write_lead_sheet(folder / "lead_sheets/001/lead_sheet.mid", (80, MELODY), (0, CHORDS))
    shutil.copy(folder / "midi/song_0.mid", folder / "song.mid")
    write_grooves(folder / "grooves")
    sizes = {"enc_rnn_size": (8,), "dec_rnn_size": (8,), "z_size": 4}
    MusicVAE(get_config("groovae_2bar_humanize", **sizes)).save_pretrained(folder / "my_groovae")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in (
            "build-dataset midi -o data.h5 --hop 4 --validation 0.4",
            "train-musicvae data.h5 -o my_trio",
            "train-surrogate data.h5 --musicvae my_trio -o my_surrogate",
        ):
            words = line.split()
            assert commands()[words[0]](shortened(words)) == 0
        for name in ("train", "validation", "test"):
            shutil.copy("data.h5", f"{name}.h5")
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("quiet_lightning")
@pytest.mark.parametrize("page", RUN, ids=by_path)
def test_a_page_runs_as_printed(
    page: Path, workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = tmp_path / "stage"
    # Guides make their own models and data sets, and say so.
    guide = "guides" in page.parts or page == ROOT / "README.md"
    made = ["my_*", "*.h5"] if guide else []
    shutil.copytree(workshop, stage, symlinks=True, ignore=shutil.ignore_patterns(*made))
    named = TUNE.findall(page.read_text(encoding="utf-8"))
    for tune in (stage / "examples").glob("*.mid"):
        if tune.name not in (*named, "jingle_bells.mid", "saints.mid"):
            tune.unlink()  # where a page has all of them accompanied, a few will do
    monkeypatch.chdir(stage)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    ran = run_page(page)
    assert len(ran) >= (3 if guide else 0)
    reasons = [block.reason for block in blocks(page) if block.reason]
    assert reasons == NOT_RUN.get(by_path(page), [])


def test_every_command_is_printed() -> None:
    """By a page that is run, but for the app, which has tests of its own."""
    printed = {
        words[0]
        for page in PAGES
        for block in blocks(page)
        if block.language == "sh" and not block.reason
        for words in lines(block)
    }
    assert set(project()["project"]["scripts"]) <= printed


def test_benchmarks_run_as_pages_print_them() -> None:
    """Each is in a page, so that the test above runs it."""
    printed = {
        words[1]
        for page in PAGES
        for words in mentions(page)
        if words[0] == "python" and words[1] != "-m"
    }
    assert printed == {f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("*.py")}
    for page in [*PAGES, *CARDS]:
        for words in mentions(page):
            if words[0].startswith("benchmarks/") and words[0] != "benchmarks/":
                assert (ROOT / words[0]).is_file() and len(words) == 1, " ".join(words)


@functools.cache
def known_options(command: str) -> set[str]:
    return options(command)


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=by_path)
def test_the_options_of_which_a_page_speaks(page: Path) -> None:
    known = commands()
    everywhere = set().union(*map(known_options, known)) | FOREIGN
    printed = [words for block in blocks(page) if block.language == "sh" for words in lines(block)]
    for words in [*mentions(page), *printed]:
        named = set(OPTION.findall(" ".join(words)))
        own = [] if words[0] not in ("python", "make", "pip", *known) else ours(words)
        assert named <= (known_options(own[0]) if own else everywhere), words


def test_what_is_added_only_shortens() -> None:
    for command, brief in BRIEF.items():
        assert set(OPTION.findall(brief)) <= known_options(command.split(maxsplit=1)[0]), command
    assert all(any(option in known_options(c) for c in commands()) for option in LEFT_OUT)


@pytest.mark.parametrize(("page", "test"), ELSEWHERE.items())
def test_the_other_pages_are_run_elsewhere(page: str, test: str) -> None:
    assert Path(page).name in (ROOT / "tests" / test).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=by_path)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def test_the_citation_is_whole() -> None:
    """And it speaks of the version that is here, as the changelog does."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert "1803.05428" in citation["references"][0]["url"]
    assert citation["version"] == __version__
    released = re.findall(r"^## (\S+) - (\S+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert released[0] == (__version__, citation["date-released"].isoformat())
