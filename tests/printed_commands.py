"""Runs what documentation prints: the fenced shell and Python blocks of a Markdown page, in order.

A block that cannot run where the tests do says why in its title, which readers see, too:

    ```sh title="Not run here: needs an account"
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NOT_RUN = re.compile(r'title="Not run here: ([^"]+)"')
# Enough to run a training through, and no more; of two equal options the last one counts.
SIZES = "--encoder 4 --decoder 4 --latent 2"
BRIEF = {
    "train-musicvae": "--steps 2 --batch-size 2 --device cpu",
    "train-surrogate": "--steps 2 --batch-size 2 --units 4 --device cpu",
}
NOT_OURS = (
    "git",
    "make",
    "pip",
    "accompany-app",
)  # set-up; and the app, which has tests of its own


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: the first word after the fence, such as "sh"; "" if there is none.
        text: its lines.
        reason: why it is not run; "" if it is.
    """

    language: str
    text: str
    reason: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    for info, text in FENCE.findall(page.read_text(encoding="utf-8")):
        reason = NOT_RUN.search(info)
        language = info.split()[0] if info.strip() else ""
        found.append(Block(language, text, reason.group(1) if reason else ""))
    return found


def lines(block: Block) -> list[list[str]]:
    """The commands of a shell block, as words."""
    joined = block.text.replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def commands() -> dict[str, Callable[[Sequence[str]], int]]:
    """What pyproject.toml installs, by name; imported when called."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {name: _imported(target) for name, target in project["scripts"].items()}


def _imported(target: str) -> Callable[[Sequence[str]], int]:
    module, _, function = target.partition(":")

    def command(words: Sequence[str]) -> int:
        result: int = getattr(import_module(module), function)(words)
        return result

    return command


def run_page(page: Path) -> list[list[str]]:
    """Run a page in the working directory, trainings cut short; gives the commands that ran.

    Raises:
        AssertionError: a command fails, or is none of ours.
    """
    known, ran = commands(), []
    for block in blocks(page):
        if block.reason:
            continue
        if block.language == "python":
            exec(compile(block.text, str(page), "exec"), {"__name__": "snippet"})
        elif block.language == "sh":
            for words in lines(block):
                if words[0] in NOT_OURS:
                    continue
                assert words[0] in known, f"{page.name}: no command {words[0]}"
                brief = BRIEF.get(words[0], "")
                if words[0] == "train-musicvae" and "--init" not in words:
                    brief = f"{brief} {SIZES}"
                assert known[words[0]]([*words[1:], *brief.split()]) == 0, shlex.join(words)
                ran.append(words)
    return ran
