"""Docstrings as the site's parser reads them; in the code they stay as they are easiest to read.

Sphinx's roles and double backticks become code, and an entry that explains several arguments
(``width, height: in steps.``) one entry for each.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|meth|func|mod|attr|data|exc):`~?([^`]+)`")
DOUBLE = re.compile(r"``([^`]+)``")
SHARED = re.compile(r"^    (\w+(?:, \w+)+):( .*(?:\n {8,}.*)*)", re.MULTILINE)


def each_alone(shared: re.Match[str]) -> str:
    """An entry for each of the names of one."""
    names, text = shared.groups()
    return "\n".join(f"    {name}:{text}" for name in names.split(", "))


class Docstrings(griffe.Extension):
    """Rewrites each docstring as it is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Of modules, classes, functions and attributes alike."""
        if obj.docstring:
            text = DOUBLE.sub(r"`\1`", ROLE.sub(r"`\1`", obj.docstring.value))
            obj.docstring.value = SHARED.sub(each_alone, text)
