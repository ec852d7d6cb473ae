"""Options stand once, in dataclasses: command lines, help and files of options are made of them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass, fields
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from paths import ROOT

from musicvae_torch.cli.command import Command
from musicvae_torch.cli.entries import as_text, entries
from musicvae_torch.cli.latent import SUBCOMMANDS
from musicvae_torch.config import get_config
from musicvae_torch.dataset.options import BuildOptions, WindowOptions
from musicvae_torch.errors import OptionError
from musicvae_torch.io.hardware import Hardware
from musicvae_torch.options import option, options_of
from musicvae_torch.training.options import TrainingOptions
from surrogate.cli.accompany import main as accompany
from surrogate.options import AccompanyOptions
from surrogate.training.band.masking import MaskingOptions
from surrogate.training.encoder.options import SurrogateObjective

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
SAINTS = ROOT / "examples/saints.mid"


def every_command() -> dict[str, Command]:
    found = {f"musicvae {name}": command for name, command in SUBCOMMANDS.items()}
    for name, target in SCRIPTS.items():
        module, _, function = target.partition(":")
        command = getattr(import_module(module), function)
        if isinstance(command, Command):
            found[name] = command
    assert len(found) == len(SCRIPTS) - 1 + len(SUBCOMMANDS)
    return found


COMMANDS = every_command()


def squeezed(text: str) -> str:
    """Without white space, as help breaks lines at hyphens, too."""
    return "".join(text.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_the_dataclasses_say(name: str) -> None:
    """Each option once, with its meaning and its default."""
    command = COMMANDS[name]
    assert command.name == name
    text = squeezed(command.help())
    own = entries(command.options)
    assert own and len({entry.name for entry in own}) == len(own)
    for entry in own:
        assert entry.help and squeezed(entry.help) in text, entry.name
        if entry.about.usual is None and type(entry.default) in (int, float, str, tuple):
            said = f"default: {as_text(entry.default)})"
            assert said in entry.help or entry.default == (), entry.name
        assert "None" not in entry.help and "`" not in entry.help, entry.help
        if not entry.about.positional:
            assert squeezed(f"{entry.typed} {entry.about.metavar}") in text, entry.typed


def test_options_stand_nowhere_else() -> None:
    """No module but that of all commands adds arguments, or says what a default is."""
    for package in ("musicvae_torch", "surrogate", "convert_weights"):
        for path in (ROOT / package).rglob("*.py"):
            if path.parent == ROOT / "musicvae_torch/cli" and path.stem in ("command", "entries"):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute):
                    assert node.attr != "add_argument", path
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    assert "(default:" not in node.value, path


@pytest.mark.parametrize(
    "kind",
    [
        AccompanyOptions,
        TrainingOptions,
        Hardware,
        MaskingOptions,
        SurrogateObjective,
        partial(WindowOptions, get_config("hier-trio_16bar")),
        partial(BuildOptions, WindowOptions(get_config("hier-trio_16bar"))),
    ],
)
def test_python_holds_options_to_the_same_ranges(kind: Any) -> None:
    """Beyond a range the dataclass itself refuses a value, and names it."""
    options = {each.name: each.metadata.get("option") for each in fields(kind())}
    ranges = {name: about for name, about in options.items() if about and about.bounds()}
    assert ranges
    for name, about in ranges.items():
        beyond = [about.least - 1] if about.least is not None else [about.above]
        beyond += [about.most + 1] if about.most is not None else []
        beyond += [about.below] if about.below is not None else []
        for value in [*beyond, float("nan")]:
            with pytest.raises(OptionError, match=f"^{name} must be .*, not {value}"):
                kind(**{name: value})
    for name in [name for name, about in options.items() if about and about.choices]:
        with pytest.raises(OptionError, match=f"^unknown {name} 'x'; choose one of: "):
            kind(**{name: "x"})


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert accompany([*words, "--print-options"]) == 0
    return capsys.readouterr().out


def test_a_printed_file_gives_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "a.mid", tmp_path / "b.mid"
    words = [
        "--seed",
        "7",
        "--density",
        "1",
        "--temperature",
        "bass=.5",
        "--skip",
        "1-2,5",
        "--harmony",
        "off",
        "--rests",
    ]
    assert accompany([str(SAINTS), "-o", str(first), *words]) == 0
    text = printed(capsys, str(SAINTS), "-o", str(second), *words)
    values = yaml.safe_load(text)
    assert values["seed"] == 7 and values["harmony"] == "off" and values["rests"] is True
    assert values["skip"] == "1-2,5" and values["given"] == "melody"
    file = tmp_path / "run.yaml"
    file.write_text(text, encoding="utf-8")
    assert accompany(["--options", str(file)]) == 0
    assert second.read_bytes() == first.read_bytes()
    assert printed(capsys, "--options", str(file)) == text
    # What is typed comes first, and lists are replaced.
    typed = printed(capsys, "--options", str(file), "--seed", "8", "--melody", "0")
    assert yaml.safe_load(typed) == values | {"seed": 8, "melody": ["0"]}


@pytest.mark.parametrize("name", COMMANDS)
def test_printed_defaults_are_read_again(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = COMMANDS[name]
    assert command(["--print-options"]) == 0
    text = capsys.readouterr().out
    file = tmp_path / "run.yaml"
    file.write_text(text, encoding="utf-8")
    assert command(["--options", str(file), "--print-options"]) == 0
    assert capsys.readouterr().out == text


def test_another_spelling_serves_in_files_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("hears: melody,bass", encoding="utf-8")
    assert COMMANDS["train-surrogate"](["--options", str(file), "--print-options"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)
    assert found["input_parts"] == "melody,bass" and "hears" not in found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sed: 3", "sed: accompany has no such option; did you mean seed?"),
        ("top-p: x", "top-p: wanted a number, not 'x'"),
        ("seed: [1, 2]", "seed: wanted a whole number, not '1,2'"),
        ("keep: some", "keep: wanted one of others, given, all, not 'some'"),
        ("rests: 3", "rests: wanted true or false, not '3'"),
        ("swing: 11", "swing: must be -10 to 10, not 11"),
        ("- seed", "holds no options; wanted lines such as `seed: 3`"),
        ("seed: {", "not readable as a file of options: "),
        ("a: *b", "not readable as a file of options: "),
    ],
)
def test_files_that_cannot_be_used(
    content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names the file and what is wrong in it."""
    file = tmp_path / "run.yaml"
    file.write_text(content, encoding="utf-8")
    assert accompany(["song.mid", "-o", "o.mid", "--options", str(file)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"accompany: {file}: {message}") and said.count("\n") == 1


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert accompany(["song.mid", "--options=nowhere.yaml"]) == 2
    assert "nowhere.yaml: not readable as a file of options: No such" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("song.mid --seed x", "--seed: wanted a whole number, not 'x' (--help explains)"),
        ("song.mid --keep some", "--keep: wanted one of others, given, all, not 'some' (--help"),
        ("song.mid --skip 4-", "--skip: wanted bars such as 1-4,17, not '4-'"),
        ("song.mid --temperature a=b", "--temperature: wanted a value such as 0.5, or bass=0.5"),
        ("song.mid --candidate 3", "unrecognized arguments: --candidate 3; did you mean --candid"),
        ("song.mid --bogus 3", "unrecognized arguments: --bogus 3 (--help explains)"),
        ("song.mid --out=", "-o/--out: wanted the name of a file or a folder, not ''"),
        ("song.mid --candidates", "--candidates: expected one argument"),
        ("", "the following arguments are required: SONG"),
        (
            "song.mid -o o.mid --candidates 65",
            "--candidates: must be 1 to 64, not 65",
        ),
        ("song.mid -o o.mid --top-p 0", "--top-p: must be above 0 and at most 1, not 0"),
    ],
)
def test_one_line_names_the_option_and_what_was_expected(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accompany(words.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"accompany: {message}") and said.count("\n") == 1, said


@dataclass(kw_only=True)
class Inner:
    """Of a command.

    Attributes:
        wide_name: B, a weight below 1 - wide_name. None: whatever fits.
        flags: several.
    """

    wide_name: float | None = option(None, least=0, below=1, metavar="B")
    flags: tuple[str, ...] = option((), many=True)


@dataclass(kw_only=True)
class Outer:
    """What it does.

    Attributes:
        count: a number; 0: none.
        song: the song.
    """

    song: Path = option(positional=True, metavar="SONG")
    count: int = option(0, short="c")
    inner: Inner = options_of(Inner, group="inner: All that is inside.")
    given: dict[str, Any] = options_of(Inner, built=False, without=("wide_name", "flags"))


def test_what_becomes_of_a_dataclass() -> None:
    got: list[Outer] = []
    command = Command("outer", Outer, got.append, "example: outer")
    text = " ".join(command.help().split())
    assert "What it does." in text and "inner: All that is inside." in text
    assert "B, a weight below 1 - --wide-name (from 0 to below 1; default: whatever fits)" in text
    assert "a number; 0: none (default: 0)" in text
    assert command(["s.mid", "--wide-name", ".5", "--flags", "a", "b", "--flags", "c", "-c3"]) == 0
    assert got == [
        Outer(song=Path("s.mid"), count=3, inner=Inner(wide_name=0.5, flags=("a", "b", "c")))
    ]


def test_options_from_python_are_those_of_the_command() -> None:
    """The defaults of a command without options are the dataclass's."""
    got: list[Any] = []
    Command("accompany", accompany.options, got.append, "")(["song.mid", "-o", "o.mid"])
    assert got[0].accompany == AccompanyOptions()


def test_help_is_quick() -> None:
    """Nothing that takes long is imported for it (the quickest of five; most of it is Python)."""
    script = "from surrogate.cli.accompany import main; main(['--help'])"
    heavy = "import sys; print({'torch', 'numpy', 'h5py', 'lightning'} & set(sys.modules))"
    best = min(seconds_of(script) for _ in range(5))
    done = subprocess.run(
        [sys.executable, "-c", f"from surrogate.cli.accompany import main; main.help()\n{heavy}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "set()\n"
    assert best < 1.0  # .06 s on an idle machine


def seconds_of(script: str) -> float:
    """Of the processor: what else the machine does counts for little."""
    before = os.times()
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])  # of children, user's and system's
