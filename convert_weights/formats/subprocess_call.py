"""Calling what may crash, hang or fill the memory: in a process of its own, with limits."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from musicvae_torch.errors import CheckpointError
from musicvae_torch.io.workers import limit_memory, python_path

Result = TypeVar("Result")

# Not multiprocessing, which imports the caller's script once more.
_COMMAND = [
    sys.executable,
    "-c",
    "from convert_weights.formats.subprocess_call import answer; answer()",
]


def call_guarded(
    function: Callable[..., Result], *arguments: Any, seconds: float, memory: int
) -> Result:
    """Call a function in a new process.

    Args:
        function: of a module's top level; what it takes and gives can be pickled.
        arguments: passed on.
        seconds: until it is stopped.
        memory: bytes that it may take, where the system can limit it.

    Raises:
        CheckpointError: it ran out of time or memory, or crashed.
        Exception: what the function raised.
    """
    question = pickle.dumps((function, arguments, memory))
    try:
        done = subprocess.run(
            _COMMAND,
            input=question,
            capture_output=True,
            timeout=seconds,
            env=os.environ | {"PYTHONPATH": python_path()},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CheckpointError(f"took more than {seconds:g} s to read: it is damaged") from None
    if done.returncode:
        raise CheckpointError("made its reader crash: it is damaged")
    result: Result | Exception = pickle.loads(done.stdout)
    if isinstance(result, Exception):
        raise result
    return result


def answer() -> None:
    """What the new process does: the call is on the standard input, its result is put out."""
    function, arguments, memory = pickle.load(sys.stdin.buffer)
    try:
        limit_memory(memory)
        result = function(*arguments)
    except MemoryError:
        result = CheckpointError("asks for more memory than it can need: it is damaged")
    except Exception as error:
        result = error
    sys.stdout.buffer.write(pickle.dumps(result))
