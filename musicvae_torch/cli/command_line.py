"""What lies between a command and its user: errors in one line, closed pipes, and options that
would have no effect."""

from __future__ import annotations

import gc
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
    """Ignore closed pipes inside the block: if the reader (``head``, or a pager that was quit) has
    seen enough, the command still finishes its work."""
    with _closing_pipe("stdout"), _closing_pipe("stderr"):
        yield


class _Output(io.FileIO):
    """A file that counts bytes as written after its reader has closed the pipe."""

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
        try:
            own.flush()
        except OSError:  # a full disk, say, which run_command has reported
            with suppress(OSError):  # Python 3.13 would report it once more
                own.close()
        setattr(sys, name, before)


_UNSEEN = ("Cc", "Cf", "Zl", "Zp")  # categories of letters: controls, formats and line breaks

# What to install for a module that is missing.
_PACKAGES_WITH = {
    "lightning": "'musicvae-torch[train]'",
    "h5py": "'musicvae-torch[train]'",
    "matplotlib": "'musicvae-torch[plot]'",
    "soundfile": "'musicvae-torch[audio]'",
    "gradio": "'musicvae-torch[app]'",
    "onnx": "'musicvae-torch[onnx]'",
    "midirenderer": "'musicvae-torch[audio]'",
    "music21": "'musicvae-torch[scores]'",
}
_ALLOCATIONS = 50_000  # from one collection of the youngest objects to the next


def run_command(prog: str, work: Callable[[], object]) -> int:
    """Do a command's work, and return its exit status.

    What the user can mend (a :class:`MusicVAEError`, what the operating system refuses, a package
    that is missing) becomes one line and status 2, a stop by Ctrl-C status 130. Any other exception
    is a mistake of ours, and shows its traceback.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files and tracks may hold what the terminal has no letters for.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _rare_collections():
            work()
        if sys.stdout is not None:
            sys.stdout.flush()  # not at the interpreter's exit, where errors cannot be told
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


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Make Python look for reference cycles less often inside the block. Importing PyTorch creates
    many objects, none of them garbage, and a search after every 700 of them takes a tenth of a
    second in all."""
    usual = gc.get_threshold()
    gc.set_threshold(_ALLOCATIONS)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _message(error: Exception) -> str | None:
    """The error in one line for the user; None if it is a bug."""
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
    """Text without line breaks and control characters, with which names of files and variables
    could manipulate a terminal."""
    return "".join(" " if category(letter) in _UNSEEN else letter for letter in text)


class Idle(NamedTuple):
    """Options that would have no effect.

    Attributes:
        options: as they are typed, with spaces between; after "but", all others.
        when: whether they would, by the values of all options.
        advice: what they are for, and what to do.
    """

    options: str
    when: Callable[[Any], bool]
    advice: str


def applies_to(name: str, value: str, options: str) -> Idle:
    """Options that do nothing but with one value of the option `name`."""
    return Idle(
        options,
        lambda own: getattr(own, name) != value,
        f"applies to --{name} {value}; choose that, or leave it out",
    )


def refuse_idle(typed: Sequence[str], values: Any, table: Sequence[Idle]) -> None:
    """Refuse options that would have no effect.

    Args:
        typed: the options that were typed, as they are.
        values: of all options, as attributes.
        table: which those are.

    Raises:
        OptionError: one of them was typed; names it, and says what to do.
    """
    for options, when, advice in table:
        named = set(options.split())
        idle = [option for option in typed if (option in named) != ("but" in named)]
        if idle and when(values):
            raise OptionError(f"{', '.join(idle)}: {advice}")
