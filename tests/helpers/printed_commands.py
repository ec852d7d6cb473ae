"""Runs what documentation prints: the fenced shell and Python blocks of a Markdown page, and the
benchmarks that its text names, in order.

Commands run as they are printed, on little data, but for what BRIEF adds by command, or by command
and one of its options: options that make a run shorter and nothing else. (Of two equal options the
last one counts.) Words in capitals stand for a reader's own files; STANDS_FOR says which are there.
A block that cannot run where the tests do says why in its title, which readers see, too:

    ```sh title="Not run here: needs an account"

Its commands are still read by the parsers that would read them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

from paths import ROOT

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
NOT_RUN = re.compile(r'title="Not run here: ([^"]+)"')
OPTION = re.compile(r"--[a-z][a-z0-9-]*")
SIZES = "--encoder 4 --decoder 4 --latent 2"
SMALL = "--musicvae my_trio --surrogate my_surrogate"
BRIEF = {
    "train-musicvae": "--steps 2 --batch-size 2 --device cpu",
    "train-surrogate": "--steps 2 --batch-size 2 --units 4 --device cpu",
    "train-band": "--steps 2 --batch-size 2 --width 16 --heads 2 --device cpu",
    "evaluate-accompaniment": "--max-songs 1 --max-windows 1 --device cpu",
    "evaluate-accompaniment --against": "--device cpu",
    "learn-attributes": "--max-windows 40 --device cpu",
    "learn-attributes --measure": "--max-windows 40 --measure-windows 2 --device cpu",
    "benchmarks/attribute_matrix.py": f"--windows 2 --strengths=-1,0,1 {SMALL}",
    "benchmarks/band_ablations.py": "--max-songs 2 --max-windows 2",
    "benchmarks/band_density.py": "--songs 1",
    "benchmarks/band_sampling.py": "--max-songs 2",
    "benchmarks/band_speed.py": "examples/saints.mid --candidates 1 --repeats 1",
    "benchmarks/band_styles.py": "--max-songs 2",
    "benchmarks/bass_in_harmony.py": "--songs 1",
    "benchmarks/candidate_ranking.py": "--max-songs 2 --candidates 2",
    "benchmarks/comping.py": "--songs 2",
    "benchmarks/convert_midi.py": "--files 2 --rounds 1",
    # Else it would replace the residuals of the package that is being tested.
    "benchmarks/feel.py": "--songs 2 --out feel.json",
    "benchmarks/free_time.py": "--songs 2",
    "benchmarks/gpu.py": "--parts times --tiny --batches 1 --models band --budget 0.01",
    "benchmarks/gpu.py --train": "--tiny --train 0.1",
    # Else it would replace the weights of the package that is being tested.
    "benchmarks/harmoniser.py": "--songs 2 --training-songs 2 --epochs 1 --out my.safetensors",
    "benchmarks/held_out_pictures.py": "--songs 1",
    "benchmarks/kept_messages.py": "--workers 1",
    "benchmarks/melody_choice.py": "--songs 4",
    "benchmarks/refinement_experiment.py": f"--windows 2 {SMALL}",
    "benchmarks/redo.py": "--songs 1 --bars 1",
    "benchmarks/reduced_weights.py": "--windows 2 --musicvae my_trio",
    "benchmarks/speed.py": "--models default --batches 1 --operations sample --only networks",
    "benchmarks/surrogate_experiments.py": "--windows 32 --only ours",
    "benchmarks/training.py": "--units 4 --batch 2 --rounds 1 --no-fuse",
    # Else it would replace the profile of the package that is being tested.
    "benchmarks/velocity_profile.py": "-o profile.json",
}
STANDS_FOR = {
    "FOLDER": "archives",
    "GROOVAE": "my_groovae",
    "GROOVE_FOLDER": "grooves",
    "MIDI_FOLDER": "midi",
    "TRIO": "my_trio",
    "TRAIN.h5": "train.h5",
    "VALIDATION.h5": "validation.h5",
}
# Options that are read, but not acted on: what they name cannot be had by the tests.
LEFT_OUT = {"--magenta": "the times of an interpreter that has Magenta and TensorFlow"}


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
    reason: str = ""


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    for info, text in FENCE.findall(page.read_text(encoding="utf-8")):
        reason = NOT_RUN.search(info)
        language = info.split()[0] if info.strip() else ""
        found.append(Block(language, text, reason.group(1) if reason else ""))
    return found


def steps(page: Path) -> list[Block]:
    """What a page has a reader do, in order: its blocks, and each benchmark that its text runs."""
    found, end, text = [], 0, page.read_text(encoding="utf-8")
    for fence, block in zip([*FENCE.finditer(text), None], [*blocks(page), None], strict=True):
        prose = text[end : fence.start() if fence else len(text)]
        spans = [" ".join(span.split()) for span in CODE.findall(prose)]
        found += [Block("sh", span) for span in spans if span.startswith("python ")]
        if fence and block:
            found.append(block)
            end = fence.end()
    return found


def mentions(page: Path) -> list[list[str]]:
    """The pieces of code in the running text of a page, as words."""
    spans = CODE.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    return [words for span in spans if (words := span.split())]


def lines(block: Block) -> list[list[str]]:
    """The commands of a shell block, as words."""
    joined = block.text.replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def commands() -> dict[str, Callable[[Sequence[str]], int]]:
    """What pyproject.toml installs, and the benchmarks, by name; imported when called."""
    installed = {
        name: _imported(target) for name, target in project()["project"]["scripts"].items()
    }
    scripts = sorted((ROOT / "benchmarks").glob("*.py"))
    return installed | {f"benchmarks/{path.name}": _script(path) for path in scripts}


def _imported(target: str) -> Callable[[Sequence[str]], int]:
    module, _, function = target.partition(":")

    def command(words: Sequence[str]) -> int:
        result: int = getattr(import_module(module), function)(words)
        return result

    return command


def _script(path: Path) -> Callable[[Sequence[str]], int]:
    def command(words: Sequence[str]) -> int:
        # As Python does: a script imports what lies beside it.
        with (
            mock.patch.object(sys, "argv", [str(path), *words]),
            mock.patch.object(sys, "path", [str(path.parent), *sys.path]),
        ):
            runpy.run_path(str(path), run_name="__main__")
        return 0

    return command


def ours(words: Sequence[str]) -> list[str]:
    """A command as one of `commands`, and its arguments; [] if it is none of ours.

    Raises:
        AssertionError: set-up (make, pip, pytest) of something that is not there; or it is unknown.
    """
    if words[:2] == ["python", "-m"]:
        assert find_spec(words[2]), shlex.join(words)
        return []
    if words[0] == "python":
        words = words[1:]
    if words[0] in commands():
        return list(words)
    known = project()
    if words[0] == "make":
        targets = (ROOT / "Makefile").read_text(encoding="utf-8").split(".PHONY: ")[1]
        assert set(words[1:]) <= set(targets.partition("\n")[0].split()), shlex.join(words)
    elif words[0] == "pip":
        extras = re.findall(r"\[([a-z,]+)\]", shlex.join(words))
        assert set(",".join(extras).split(",")) <= {"", *known["project"]["optional-dependencies"]}
    elif words[0] == "pytest":
        markers = known["tool"]["pytest"]["ini_options"]["markers"]
        assert words[1] != "-m" or any(mark.startswith(f"{words[2]}:") for mark in markers)
    else:
        assert words[0] in ("git", "tensorboard", "uvx", "pipx"), f"no command {words[0]}"
    return []


def shortened(words: Sequence[str]) -> list[str]:
    """A command as the tests run it."""
    kept: list[str] = []
    for word in words[1:]:
        if word in LEFT_OUT or (kept and kept[-1] in LEFT_OUT):
            kept.append(word)
        else:
            kept.append(STANDS_FOR.get(word, word))
    for option in LEFT_OUT:
        if option in kept:
            place = kept.index(option)
            del kept[place : place + 2]
    own = [BRIEF[key] for word in words if (key := f"{words[0]} {word}") in BRIEF]
    brief = own[0] if own else BRIEF.get(words[0], "")
    if words[0] == "train-musicvae" and "--init" not in words:
        brief = f"{brief} {SIZES}"
    return [*kept, *brief.split()]


class _Parsed(BaseException):
    """The arguments were understood."""


def parse(words: Sequence[str]) -> None:
    """Have a command read its arguments, and do nothing.

    Raises:
        AssertionError: it would refuse them.
    """
    read = argparse.ArgumentParser.parse_args

    def stop(*arguments: Any, **named: Any) -> None:
        read(*arguments, **named)
        raise _Parsed

    with mock.patch.object(argparse.ArgumentParser, "parse_args", stop):
        try:
            commands()[words[0]](words[1:])
        except _Parsed:
            return
        except SystemExit:
            pass
    raise AssertionError(f"not understood: {shlex.join(words)}")


def options(command: str) -> set[str]:
    """The long options of a command of ours, those of its subcommands among them."""
    said = help_of(command)
    found = set(OPTION.findall(said))
    below = said.partition("SUBCOMMAND\n")[2]
    for name in re.findall(r"^    ([a-z]+)(?: |$)", below, re.MULTILINE):
        found |= set(OPTION.findall(help_of(command, name)))
    return found


def help_of(command: str, *subcommand: str) -> str:
    """What --help prints."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        commands()[command]([*subcommand, "--help"])
    return said.getvalue()


def run_page(page: Path) -> list[list[str]]:
    """Run a page in the working directory, cut short; gives the commands that ran.

    A YAML block whose first line is a comment with the name of a file becomes that file.

    Raises:
        AssertionError: a command fails, or there is none of that name.
    """
    known, ran = commands(), []
    for block in steps(page):
        if block.language == "yaml" and (name := re.match(r"# (\S+\.yaml)\n", block.text)):
            Path(name.group(1)).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            code = compile(block.text, str(page), "exec")
            if not block.reason:
                exec(code, {"__name__": "snippet"})
        elif block.language == "sh":
            for words in filter(None, map(ours, lines(block))):
                if block.reason:
                    parse(words)
                elif words[0] != "accompany-app":  # has tests of its own
                    parse(words)
                    assert known[words[0]](shortened(words)) == 0, shlex.join(words)
                    ran.append(words)
    return ran
