"""Calling what may crash, hang or fill the memory: in processes of their own, with limits."""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Lock, Thread
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

# Not multiprocessing, which imports the caller's script once more.
_COMMAND = [sys.executable, "-c", "from musicvae_torch.io.workers import serve; serve()"]
_READY = "ready"
_TIMED_OUT = 1  # exit status that faulthandler gives


class Failure(str):
    """Why a call has no result: "timed out", "out of memory", or how the process crashed."""


def map_guarded(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int,
    seconds: float,
    memory: int,
) -> Iterator[tuple[Task, Result | Failure]]:
    """Call a function on each task in processes that are replaced when they fail.

    Args:
        function: can be pickled, as its tasks and results can.
        tasks: taken one by one, as processes become free.
        workers: processes.
        seconds: that one call may last.
        memory: bytes that a process may take, where the system can limit it.

    Yields:
        Each task with its result, in order of completion. An exception that the function raises
        counts as a crash.

    Raises:
        ChildProcessError: a process cannot be started at all.
    """
    pool: _Pool[Task, Result] = _Pool((function, seconds, memory), tasks, workers)
    try:
        yield from pool.results()
    finally:
        pool.stop()


class _Pool(Generic[Task, Result]):
    """Threads that ask one process each, which is all that they do."""

    def __init__(self, setup: tuple[Any, ...], tasks: Iterable[Task], workers: int) -> None:
        self._setup = setup
        self._tasks = iter(tasks)
        self._lock = Lock()
        self._stopped = Event()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._answers: Queue[tuple[Task, Result | Failure] | Exception | None] = Queue(2 * workers)
        self._threads = [
            Thread(target=self._work, args=(number,), daemon=True) for number in range(workers)
        ]

    def results(self) -> Iterator[tuple[Task, Result | Failure]]:
        for thread in self._threads:
            thread.start()
        working = len(self._threads)
        while working:
            answer = self._answers.get()
            if isinstance(answer, Exception):
                raise answer
            if answer is None:
                working -= 1
            else:
                yield answer

    def stop(self) -> None:
        self._stopped.set()
        while any(thread.is_alive() for thread in self._threads):
            for process in list(self._processes.values()):
                process.kill()
            with suppress(Empty):  # where threads may wait to put more
                self._answers.get(timeout=0.05)

    def _work(self, number: int) -> None:
        try:
            while not self._stopped.is_set():
                with self._lock:
                    task = next(self._tasks, self)
                if task is self:
                    break
                self._answers.put((task, self._ask(number, task)))  # type: ignore[arg-type]
            self._answers.put(None)
        except Exception as error:
            self._answers.put(error)
        finally:
            self._end(number)

    def _ask(self, number: int, task: Any) -> Any:
        process = self._processes.get(number) or self._start(number)
        assert process.stdin and process.stdout
        try:
            pickle.dump(task, process.stdin)
            process.stdin.flush()
            return pickle.load(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            status = self._end(number)
        return Failure("timed out" if status == _TIMED_OUT else f"exit status {status}")

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": python_path()},
        )
        assert process.stdin and process.stdout
        self._processes[number] = process
        try:
            pickle.dump(self._setup, process.stdin)
            process.stdin.flush()
            ready = pickle.load(process.stdout) == _READY
        except (OSError, EOFError, pickle.UnpicklingError):
            ready = False
        if not ready and not self._stopped.is_set():
            raise ChildProcessError("a worker process could not be started; its error is above")
        return process

    def _end(self, number: int) -> int | None:
        """The exit status of a thread's process, if it has one."""
        if number not in self._processes:
            return None
        process = self._processes.pop(number)
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # of what it was still to read
                pipe.close()  # type: ignore[union-attr]
        return process.wait()


def serve() -> None:
    """What the processes of :func:`map_guarded` do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what is printed must not be an answer
    function, seconds, memory = pickle.load(sys.stdin.buffer)
    limit_memory(memory)
    pickle.dump(_READY, answers)
    answers.flush()
    with Path(os.devnull).open("wb") as nowhere:
        while True:
            try:
                task = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            # Of the process itself, so that it ends even where nobody is left to ask it.
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
            answer = _answer(function, task)
            faulthandler.cancel_dump_traceback_later()
            answers.write(answer)
            answers.flush()


def _answer(function: Callable[[Any], Any], task: Any) -> bytes:
    try:
        return pickle.dumps(function(task), protocol=pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        return pickle.dumps(Failure("out of memory"))
    except Exception as error:
        reason = " ".join(str(error).split())
        return pickle.dumps(Failure(f"{type(error).__name__}: {reason}"))


def python_path() -> str:
    """PYTHONPATH with which another Python finds the modules that this one does."""
    return os.pathsep.join(path or str(Path.cwd()) for path in sys.path)


def limit_memory(size: int) -> None:
    """Let this process take no more than `size` bytes, where the system can limit it."""
    try:
        import resource
    except ModuleNotFoundError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
