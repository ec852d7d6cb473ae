"""Errors: what a user can mend has one base, and becomes one line; anything else is a mistake."""

from __future__ import annotations

import errno
import os
import pkgutil
from collections.abc import Iterator
from importlib import import_module

import pytest

import convert_weights
import musicvae_torch
import surrogate
from musicvae_torch import errors
from musicvae_torch.cli.command_line import run_command
from musicvae_torch.errors import MidiError, MusicVAEError, OutputError


def kinds(base: type[Exception] = MusicVAEError) -> Iterator[type[Exception]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def ended(error: BaseException) -> int:
    def work() -> None:
        raise error

    return run_command("command", work)


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_what_a_user_can_mend_is_one_line(
    kind: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(kind("song\n\x1b[1m.mid: not readable")) == 2
    assert capsys.readouterr().err == "command: song  [1m.mid: not readable\n"
    assert kind is MusicVAEError or issubclass(kind, ValueError | OSError)


@pytest.mark.parametrize(
    "mistake",
    [ValueError("shapes differ"), KeyError("z"), RuntimeError("no"), OSError("a library's")],
    ids=lambda error: type(error).__name__,
)
def test_a_mistake_of_ours_is_not_hidden(mistake: Exception) -> None:
    with pytest.raises(type(mistake)):
        ended(mistake)


def test_what_the_system_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(PermissionError(errno.EACCES, os.strerror(errno.EACCES), "a.mid")) == 2
    assert ended(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) == 2
    told = ["command: a.mid: Permission denied", "command: No space left on device"]
    assert capsys.readouterr().err.splitlines() == told
    assert ended(KeyboardInterrupt()) == 130


def test_no_kind_has_two_homes() -> None:
    """All public errors are in musicvae_torch.errors, or finer kinds of those."""
    names = {kind.__name__ for kind in kinds()}
    for package in (musicvae_torch, surrogate, convert_weights):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith("__main__"):
                continue
            for name, value in vars(import_module(module.name)).items():
                if isinstance(value, type) and issubclass(value, Exception) and name in names:
                    assert issubclass(value, MusicVAEError)
                    assert value is getattr(errors, name, value), (module.name, name)
    assert issubclass(MidiError, ValueError) and issubclass(OutputError, OSError)
