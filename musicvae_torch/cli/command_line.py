"""Running a command: exit status and messages, closed pipes, and options that would do nothing."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from unicodedata import category

from musicvae_torch.errors import MusicVAEError, OptionError


@contextmanager
def closing_pipes() -> Iterator[None]:
    """A context in which a closed pipe is no error: its reader (``head``, a pager) has seen enough,
    and the command still finishes its work."""
    with _closing_pipe("stdout"), _closing_pipe("stderr"):
        yield


class _Output(io.FileIO):
    """A file to which writing succeeds even if nobody reads it any more."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


@contextmanager
def _closing_pipe(name: str) -> Iterator[None]:
    before = getattr(sys, name)
    try:
        plain = not isinstance(before, io.TextIOWrapper) or before.isatty()
        number = -1 if plain else before.fileno()
    except (OSError, ValueError):  # it is in memory, or closed
        number = -1
    if number < 0:
        yield
        return
    with suppress(OSError):
        before.flush()
    own = io.TextIOWrapper(
        io.BufferedWriter(_Output(number, "w", closefd=False)),
        before.encoding,
        before.errors,
        line_buffering=before.line_buffering or before.write_through,
    )
    setattr(sys, name, own)
    try:
        yield
    finally:
        with suppress(OSError):  # a full disk, say, which run_command has reported
            own.flush()
        setattr(sys, name, before)


_UNSEEN = ("Cc", "Cf", "Zl", "Zp")  # categories of letters: controls, formats and line breaks

# Package to install for a module that is missing.
_PACKAGES_WITH = {
    "lightning": "'musicvae-torch[train]'",
    "h5py": "'musicvae-torch[train]'",
    "matplotlib": "'musicvae-torch[plot]'",
    "soundfile": "'musicvae-torch[audio]'",
    "gradio": "'musicvae-torch[app]'",
    "onnx": "'musicvae-torch[onnx]'",
    # Without its dependency PyAudio, which only sound cards need and which takes a compiler.
    "tinysoundfont": "--no-deps tinysoundfont",
}


def run_command(prog: str, work: Callable[[], object]) -> int:
    """Do a command's work, and return its exit status.

    An error that the user can mend (a :class:`MusicVAEError`, an error of the operating system, a
    missing package) becomes one line and status 2, a stop by Ctrl-C status 130. Any other exception
    is a mistake in this project, and shows its traceback.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files and tracks may hold what the terminal has no letters for.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        work()
        if sys.stdout is not None:
            sys.stdout.flush()  # not at the interpreter's exit, where errors cannot be caught
    except KeyboardInterrupt:
        print(f"{prog}: stopped", file=sys.stderr)
        return 130
    except (MusicVAEError, ModuleNotFoundError, OSError) as error:
        message = _message(error)
        if message is None:
            raise
        print(f"{prog}: {message}", file=sys.stderr)
        return 2
    return 0


def _message(error: Exception) -> str | None:
    """The error in one line; None, if it is a mistake in this project."""
    if isinstance(error, MusicVAEError):
        return one_line(str(error))
    if isinstance(error, ModuleNotFoundError):
        if "pip install" in str(error):
            return one_line(str(error))
        packages = _PACKAGES_WITH.get(error.name or "")
        hint = f"this needs {error.name}, which is not installed: pip install {packages}"
        return hint if packages else None
    if isinstance(error, OSError) and error.strerror:  # of the operating system, not of a library
        where = f"{os.fspath(error.filename)}: " if error.filename else ""
        return one_line(f"{where}{error.strerror}")
    return None


def one_line(text: str) -> str:
    """Text with spaces for line breaks and other control characters, by which names of files could
    play tricks on a terminal."""
    return "".join(" " if category(letter) in _UNSEEN else letter for letter in text)


class Idle(NamedTuple):
    """Options that would do nothing.

    Attributes:
        options: as they are typed, with spaces between; after "but", all except these.
        when: values of all options → whether these would do nothing.
        advice: what they are for, and what to do.
    """

    options: str
    when: Callable[[Any], bool]
    advice: str


def applies_to(name: str, value: str, options: str) -> Idle:
    """Options that do nothing unless the option `name` has a certain value."""
    return Idle(
        options,
        lambda own: getattr(own, name) != value,
        f"applies to --{name} {value}; choose that, or leave it out",
    )


def refuse_idle(typed: Sequence[str], values: Any, table: Sequence[Idle]) -> None:
    """Refuse options that would do nothing.

    Args:
        typed: the options that were typed, such as "--seed".
        values: of all options, as attributes.
        table: options that would do nothing.

    Raises:
        OptionError: one of those was typed; names it, and says what to do.
    """
    for options, when, advice in table:
        named = set(options.split())
        idle = [option for option in typed if (option in named) != ("but" in named)]
        if idle and when(values):
            raise OptionError(f"{', '.join(idle)}: {advice}")
