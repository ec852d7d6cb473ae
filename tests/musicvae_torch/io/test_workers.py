"""Calls in processes that may crash, hang or fill the memory."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicvae_torch.io import workers as processes
from musicvae_torch.io.workers import Failure, map_in_processes


class Unpicklable(Exception):
    def __init__(self, reason: str, place: str) -> None:
        super().__init__(f"{reason} at {place}")


def dangerous(task: str) -> str:
    match task:
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            while True:
                pass
        case "raise":
            raise ValueError("two\nlines")
        case "raise what cannot be pickled":
            raise Unpicklable("reason", "place")
        case "fill":
            return str(len(bytes(2**40)))
        case "print":
            print("not an answer", flush=True)
        case "leave":
            os._exit(7)
    return f"{task} done"


@pytest.mark.parametrize("workers", [1, 3])
def test_every_task_has_an_answer(workers: int) -> None:
    tasks = ["a", "crash", "hang", "b", "raise", "fill", "print", "leave", "c"]
    # Each but the one that hangs answers at once, on a busy machine too.
    answers = dict(
        map_in_processes(dangerous, iter(tasks), workers=workers, seconds=5, memory=2**31)
    )
    assert answers == {
        "a": "a done",
        "b": "b done",
        "c": "c done",
        "crash": "exit status -11",
        "hang": "timed out",
        "raise": "ValueError: two lines",
        "fill": "out of memory",
        "print": "print done",
        "leave": "exit status 7",
    }
    failed = {task for task, answer in answers.items() if isinstance(answer, Failure)}
    assert failed == {"crash", "hang", "raise", "fill", "leave"}


def test_exceptions_come_back() -> None:
    """As far as they can be pickled; the message comes back in any case."""
    tasks = ["raise", "raise what cannot be pickled"]
    answers = dict(map_in_processes(dangerous, tasks, workers=1, seconds=60, memory=2**31))
    raised, unpicklable = (answers[task] for task in tasks)
    assert isinstance(raised, Failure) and isinstance(unpicklable, Failure)
    assert isinstance(raised.error, ValueError) and str(raised.error) == "two\nlines"
    assert unpicklable == "Unpicklable: reason at place" and unpicklable.error is None


def test_a_hang_inside_c_ends() -> None:
    """Even one that never lets go of Python's lock."""
    answers = map_in_processes(hang_in_c, ["a"], workers=1, seconds=1, memory=2**31)
    assert list(answers) == [("a", "timed out")]


def hang_in_c(_: str) -> None:
    ctypes.PyDLL(None).sleep(600)


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from musicvae_torch.io.workers import map_in_processes\n"
        "print(list(map_in_processes(len, ['abc'], workers=1, seconds=60, memory=2**31)))\n"
    )
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert (done.stdout, done.stderr) == ("[('abc', 3)]\n", "")


def test_ctrl_c_ends_all_at_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import signal, time\n"
        "from musicvae_torch.io.workers import map_in_processes\n"
        # What starts tests in the background may have them ignore it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "print('begun', flush=True)\n"
        "list(map_in_processes(time.sleep, [600] * 9, workers=2, seconds=900, memory=2**31))\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.stderr.read().endswith("KeyboardInterrupt\n")
        assert time.monotonic() - began < 120  # not the 600 of its tasks


def test_no_process_is_left_when_the_caller_stops() -> None:
    answers = map_in_processes(
        dangerous, iter(["a", "hang", "hang"]), workers=2, seconds=600, memory=2**31
    )
    assert next(answers) == ("a", "a done")
    began = time.monotonic()
    answers.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 120


def test_tasks_are_taken_as_they_are_needed() -> None:
    taken = []

    def tasks() -> Iterator[str]:
        for number in range(1000):
            taken.append(number)
            yield str(number)

    answers = map_in_processes(dangerous, tasks(), workers=1, seconds=60, memory=2**31)
    next(answers)
    time.sleep(0.2)
    assert len(taken) < 10
    answers.close()  # type: ignore[attr-defined]


def test_processes_that_cannot_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_COMMAND", [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(ChildProcessError, match="could not be started"):
        list(map_in_processes(dangerous, ["a"], workers=2, seconds=60, memory=2**31))
