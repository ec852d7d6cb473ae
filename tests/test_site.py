"""The site builds without a warning, loads nothing from elsewhere, and shows every public name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from paths import ROOT

SHOWN = re.compile(r"^::: (\S+)$", re.MULTILINE)
OPEN = (  # packages all of whose public names are in the reference
    "musicvae_torch",
    "musicvae_torch.attribute_vectors",
    "musicvae_torch.dataset",
    "musicvae_torch.latent",
    "musicvae_torch.onnx",
    "musicvae_torch.training",
    "surrogate",
)
CONVERT_DOORS = {
    "convert_weights.conversion.convert",
    "convert_weights.sources.download.download",
    "convert_weights.export.export",
    "convert_weights.sources.locate.open_source",
}
LOADING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class Links(HTMLParser):
    """What a page loads, where it leads, and which of its places can be led to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in LOADING and LOADING[tag] in values and values.get("rel") not in ("prev", "next"):
            self.loads.append(values[LOADING[tag]])
        if tag == "a" and "href" in values:
            self.leads.append(values["href"])
        self.ids |= {values[name] for name in ("id", "name") if name in values}


def shown() -> list[str]:
    """Names that the reference's pages show."""
    pages = sorted((ROOT / "docs/reference").glob("*.md"))
    return [name for page in pages for name in SHOWN.findall(page.read_text(encoding="utf-8"))]


def public() -> set[str]:
    """Names that are to be shown."""
    names = {f"{package}.{name}" for package in OPEN for name in import_module(package).__all__}
    return names | CONVERT_DOORS


def test_the_reference_shows_every_public_name_once() -> None:
    names = shown()
    assert public() <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", shown())
def test_what_the_reference_shows_is_there_and_says_what_it_is(name: str) -> None:
    home, _, last = name.rpartition(".")
    found = getattr(import_module(home), last)
    if callable(found):
        assert found.__doc__ and not found.__doc__.startswith(f"{last}("), name


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="the extra 'docs' is not installed")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    return {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_its_pages(site: Path, pages: dict[Path, Links]) -> None:
    wanted = {
        path.relative_to(ROOT / "docs").with_suffix(".html")
        for path in (ROOT / "docs").rglob("*.md")
    }
    wanted |= {Path(f"{name}.html") for name in ("index", "contributing", "changelog", "examples")}
    wanted |= {Path(f"weights/{path.parent.name}.html") for path in ROOT.glob("checkpoints/*/*.md")}
    assert wanted <= {path.relative_to(site) for path in pages}
    start = pages[site / "index.html"]
    guides = [start.leads.index(f"guides/{name}.html") for name in ("musician", "researcher")]
    assert guides[0] < guides[1] < start.leads.index("accompaniment.html")


def test_it_loads_nothing_from_elsewhere(site: Path, pages: dict[Path, Links]) -> None:
    for page, links in pages.items():
        for load in links.loads:
            parts = urlsplit(load)
            assert not parts.netloc and parts.scheme in ("", "data"), f"{page.name} loads {load}"
            if not parts.scheme and page.name != "404.html":
                assert (page.parent / unquote(parts.path)).is_file(), f"{page.name}: {load}"
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"""(?:url\(|@import)\s*["']?(?:https?:)?//""", text), style.name


def test_its_links_lead_somewhere(pages: dict[Path, Links]) -> None:
    for page, links in pages.items():
        for lead in links.leads:
            path, place = urldefrag(lead)
            if urlsplit(path).scheme or page.name == "404.html":
                continue
            there = (page.parent / unquote(path)).resolve() if path else page
            assert there.is_file(), f"{page.name}: {lead}"
            if place and there in pages:
                assert unquote(place) in pages[there].ids, f"{page.name}: {lead}"


def test_every_public_name_has_a_place(pages: dict[Path, Links]) -> None:
    assert public() <= set().union(*(links.ids for links in pages.values()))


def test_docstrings_are_read_as_they_are_meant(site: Path) -> None:
    for page in (site / "reference").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r":(class|func|meth|mod|data):<code>|<p>(Args|Raises|Returns):", text)


def test_it_opens_and_finds_offline(site: Path, browser: Any) -> None:
    handler = partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        home = f"http://127.0.0.1:{server.server_port}/"
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        # The search listens to keys, once its script and its index are there.
        page.goto(f"{home}index.html", wait_until="networkidle")
        page.focus("input[name=query]")
        page.keyboard.type("teacher_force", delay=20)
        page.wait_for_selector(".md-search-result__item a[href*='reference/models.html']")
        page.close()
        server.shutdown()
    assert len(asked) > 3
    assert not [url for url in asked if not url.startswith((home, "data:", "blob:"))]


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, format: str, *args: Any) -> None:
        pass
