"""The guides: what they print runs, and what they and other pages link to is there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from printed_commands import ROOT, blocks, run_page

GUIDES = sorted((ROOT / "docs/guides").glob("*.md"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)")


@pytest.mark.usefixtures("quiet_lightning")
@pytest.mark.parametrize("guide", GUIDES, ids=lambda page: page.stem)
def test_a_guide_runs_as_printed(
    guide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("examples", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(
        ROOT / "tests/golden/trio_converter",
        tmp_path / "midi",
        ignore=shutil.ignore_patterns("*.npz", "*.py"),
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    ran = run_page(guide)
    assert len(ran) >= 4
    skipped = [block.text for block in blocks(guide) if block.reason]
    assert len(skipped) <= 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def test_the_citation_is_whole() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert "1803.05428" in citation["references"][0]["url"]
