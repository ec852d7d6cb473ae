"""The code is as docs/architecture.md has it: layers and components, held against each import."""

from __future__ import annotations

import ast
import re
import runpy
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from paths import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PACKAGES = ("musicvae_torch", "surrogate", "convert_weights")
HOUSE = re.compile(
    r"^\| layer \| component \| files of (\w+) \|.*\n\|[- |]+\n((?:\|.*\n)+)", re.MULTILINE
)
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)


def rooms() -> dict[str, tuple[int, str]]:
    """Floor and room of each module, by the folders and files that the tables name.

    A file that a table names is in that room, and not in the room of its folder.
    """
    folders: dict[str, tuple[int, str]] = {}
    files: dict[str, tuple[int, str]] = {}
    for package, table in HOUSE.findall(PAGE):
        for floor, room, names in ROW.findall(table):
            for name in names.replace("\\", "").split(", "):
                path = ROOT / package / name.strip()
                assert path.exists(), f"{package}/{name} is not there"
                found = folders if path.is_dir() else files
                for file in path.rglob("*.py") if path.is_dir() else [path]:
                    if file.name != "__init__.py":
                        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
                        assert module not in found, f"{module} has two rooms"
                        found[module] = (int(floor), f"{package}: {room}")
    return folders | files


def modules() -> dict[str, Path]:
    """All modules but `__init__`, and their files."""
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in paths
        if path.name != "__init__.py"
    }


def imports(path: Path) -> set[str]:
    """Names of what a file imports anywhere in it: modules, and what is taken from them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: imports are absolute here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def home(name: str, known: dict[str, tuple[int, str]], depth: int = 0) -> set[str]:
    """Modules that a dotted name stands for; through a package's door, what its name is there."""
    if name in known:
        return {name}
    package, _, last = name.rpartition(".")
    if package in known:
        return {package}
    door = ROOT.joinpath(*package.split("."), "__init__.py") if package else None
    if depth or door is None or not door.is_file():
        return set()
    shown = {there for there in imports(door) if there.rpartition(".")[2] == last}
    return set().union(*(home(there, known, 1) for there in shown))


ERRORS = "musicvae_torch.errors"  # which every room may raise
WITHOUT_TORCH = tuple(f"musicvae_torch.{name}." for name in ("midi", "chords", "converters"))
ROOMS = rooms()
MODULES = modules()
NEEDS = {
    module: set().union(*(home(name, ROOMS) for name in imports(path))) - {module}
    for module, path in MODULES.items()
}


def test_every_file_has_a_room() -> None:
    assert set(ROOMS) == set(MODULES)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down(module: str) -> None:
    floor, room = ROOMS[module]
    for needed in NEEDS[module]:
        below, other = ROOMS[needed]
        if needed.partition(".")[0] == module.partition(".")[0]:
            allowed = other == room or below < floor or needed == ERRORS
            assert allowed, f"{module} ({room}) imports {needed} ({other})"


def test_the_table_fits_a_screen() -> None:
    for package in PACKAGES:
        own = {(floor, room) for floor, room in ROOMS.values() if room.startswith(f"{package}:")}
        assert len(own) <= 12, package
        assert {floor for floor, _ in own} <= set(range(6)), package


def test_no_circles() -> None:
    TopologicalSorter(NEEDS).prepare()  # raises CycleError


def test_between_packages() -> None:
    for module, path in MODULES.items():
        taken = imports(path)
        tops = {name.partition(".")[0] for name in taken}
        assert not tops & {"tensorflow", "magenta", "note_seq"}, module
        package = module.partition(".")[0]
        allowed = {"musicvae_torch": set(), "surrogate": {"musicvae_torch"}}.get(
            package, {"musicvae_torch", "surrogate"}
        )
        assert tops & set(PACKAGES) <= allowed | {package}, module
        if package == "convert_weights":
            ours = {needed for needed in NEEDS[module] if needed.startswith("surrogate.")}
            assert all(name.startswith("surrogate.accompany_music_vae.") for name in ours), module
        if module.startswith(WITHOUT_TORCH):
            assert "torch" not in tops, module
        if module == "musicvae_torch.onnx.runtime":
            assert not tops & {"torch", *PACKAGES}, module


def test_the_picture() -> None:
    """It is what its script draws, and the code that it names is there."""
    drawn = (ROOT / "docs/pictures/architecture.svg").read_text(encoding="utf-8")
    assert drawn == runpy.run_path(str(ROOT / "docs/site/draw_architecture.py"))["picture"]()
    words = " ".join(re.findall(r'class="code"[^>]*>([^<]+)<', drawn))
    named = re.findall(r"[a-z_/]+(?:\.py|/)", words)
    assert len(named) > 10
    for name in named:
        homes = ("", "musicvae_torch")
        assert any((ROOT / home / name).exists() for home in homes), name
