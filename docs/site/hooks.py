"""What the site needs beyond docs/: pages that live elsewhere in the repository, and their links.

README.md, CONTRIBUTING.md and the like become pages. Links are written as they work in the
repository (and on GitHub); here those that leave docs/ are turned to where their target is on the
site. A source file that is linked to becomes a page that shows it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
SOURCE = re.compile(r"\]\(([^)#\s]+\.py)\)")


def elsewhere() -> dict[str, str]:
    """Places on the site of files outside docs/, by their places in the repository."""
    pages = {
        "README.md": "index.md",
        "CONTRIBUTING.md": "contributing.md",
        "CHANGELOG.md": "changelog.md",
        "examples/README.md": "examples.md",
        "checkpoints/README.md": "weights/index.md",
    }
    for card in sorted(ROOT.glob("checkpoints/*/README.md")):
        pages[f"checkpoints/{card.parent.name}/README.md"] = f"weights/{card.parent.name}.md"
    for page in [*map(ROOT.joinpath, pages), *sorted(ROOT.glob("docs/**/*.md"))]:
        for link in SOURCE.findall(page.read_text(encoding="utf-8")):
            source = (page.parent / link).resolve().relative_to(ROOT).as_posix()
            pages[source] = f"source/{source.removesuffix('.py').replace('/', '.')}.md"
    return pages


PLACES = elsewhere()
HOMES = {place: home for home, place in PLACES.items()}
FOLDERS = {"examples": "examples.md", "checkpoints": "weights/index.md"}


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Adds the pages that live outside docs/."""
    for home, place in PLACES.items():
        text = (ROOT / home).read_text(encoding="utf-8")
        if home.endswith(".py"):
            text = f"---\nsearch: {{exclude: true}}\n---\n# {home}\n\n~~~~python\n{text}~~~~\n"
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Turns the links of a page that leave docs/, or come from outside it."""
    place = page.file.src_uri
    home = HOMES.get(place, f"docs/{place}")
    if home.endswith(".py"):
        return markdown
    pieces = FENCED.split(markdown)
    pieces[::2] = [
        LINK.sub(lambda link: _turned(link, home, place, files), text) for text in pieces[::2]
    ]
    return "".join(pieces)


def _turned(link: re.Match[str], home: str, place: str, files: Files) -> str:
    text, target, anchor = link.groups(default="")
    if "://" in target:
        return link.group()
    wanted = posixpath.normpath(posixpath.join(posixpath.dirname(home), target))
    there = PLACES.get(wanted) or FOLDERS.get(wanted) or wanted.removeprefix("docs/")
    if files.get_file_from_path(there) is None and (ROOT / wanted).exists():
        return text  # of the repository alone, such as a folder of the tests
    relative = posixpath.relpath(there, posixpath.dirname(place) or ".")
    return f"[{text}]({relative}{anchor})"
