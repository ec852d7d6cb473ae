"""Calls in processes that may crash, hang or fill the memory."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from musicvae_torch.io import workers as processes
from musicvae_torch.io.workers import Failure, map_guarded


def dangerous(task: str) -> str:
    match task:
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            while True:
                pass
        case "raise":
            raise ValueError("two\nlines")
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
    began = time.monotonic()
    answers = dict(map_guarded(dangerous, iter(tasks), workers=workers, seconds=1.5, memory=2**31))
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
    assert time.monotonic() - began < 30


def test_no_process_is_left_when_the_caller_stops() -> None:
    answers = map_guarded(
        dangerous, iter(["a", "hang", "hang"]), workers=2, seconds=60, memory=2**31
    )
    assert next(answers) == ("a", "a done")
    began = time.monotonic()
    answers.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 10


def test_tasks_are_taken_as_they_are_needed() -> None:
    taken = []

    def tasks() -> Iterator[str]:
        for number in range(1000):
            taken.append(number)
            yield str(number)

    answers = map_guarded(dangerous, tasks(), workers=1, seconds=60, memory=2**31)
    next(answers)
    time.sleep(0.2)
    assert len(taken) < 10
    answers.close()  # type: ignore[attr-defined]


def test_processes_that_cannot_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_COMMAND", [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(ChildProcessError, match="could not be started"):
        list(map_guarded(dangerous, ["a"], workers=2, seconds=60, memory=2**31))
