"""Folders of the repository that tests read, and scripts that lie in them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
GOLDEN_FILES = ROOT / "tests" / "golden"


def load_script(path: Path) -> ModuleType:
    """A script as a module of its name, which dataclasses look up among the modules."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
