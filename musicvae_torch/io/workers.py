"""Calling functions that may crash, hang or fill the memory, in processes with limits.

Neither multiprocessing nor pebble, which is built on it, would do: a process that it spawns runs
the caller's script again, which a script without a ``__main__`` guard does not survive; and if the
caller is killed, a process that hangs inside C stays behind.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_COMMAND = [sys.executable, "-c", "from musicvae_torch.io.workers import serve; serve()"]
_READY = "ready"
_TIMED_OUT = 1  # exit status that faulthandler gives
_AHEAD = 3  # tasks for each process that are taken before their answers are read


class Failure(str):
    """Why a call has no result: "timed out", "out of memory", the exit status of the process, or
    what the function raised.

    Attributes:
        error: the exception that the function raised, if any and if it can be pickled.
    """

    error: Exception | None = None


def map_in_processes(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int,
    seconds: float,
    memory: int,
    quiet: bool = False,
) -> Iterator[tuple[Task, Result | Failure]]:
    """Call a function on each task in processes that are replaced when they fail.

    Args:
        function: a function that can be pickled, as tasks and results can.
        tasks: taken one by one, as processes become free.
        workers: the number of processes.
        seconds: the most that one call may last.
        memory: the most bytes that a process may take, on systems that can limit it.
        quiet: whether to discard what the processes write to stderr.

    Yields:
        Each task with its result, in order of completion.

    Raises:
        ChildProcessError: a process cannot be started at all.
    """
    setup = pickle.dumps((function, seconds, memory))
    processes = [_Process(setup, quiet) for _ in range(workers)]
    free: SimpleQueue[_Process] = SimpleQueue()
    for process in processes:
        free.put(process)

    def ask(task: Task) -> Result | Failure:
        process = free.get()
        try:
            answer: Result | Failure = process.ask(task)
            return answer
        finally:
            free.put(process)

    tasks = iter(tasks)
    asked: dict[Future[Result | Failure], Task] = {}
    threads = ThreadPoolExecutor(workers)
    try:
        while True:
            for task in islice(tasks, _AHEAD * workers - len(asked)):
                asked[threads.submit(ask, task)] = task
            if not asked:
                return
            for future in wait(asked, return_when=FIRST_COMPLETED).done:
                yield asked.pop(future), future.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.stop()
        threads.shutdown()
        for process in processes:
            process.end()


class _Process:
    """A process that answers one task at a time, and is replaced after it has failed."""

    def __init__(self, setup: bytes, quiet: bool) -> None:
        self._setup = setup
        self._stderr = subprocess.DEVNULL if quiet else None
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def ask(self, task: Any) -> Any:
        process = self._running or self._start()
        assert process.stdin and process.stdout
        try:
            pickle.dump(task, process.stdin)
            process.stdin.flush()
            return pickle.load(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            status = self.end()
        return Failure("timed out" if status == _TIMED_OUT else f"exit status {status}")

    def stop(self) -> None:
        """Kill the process, even while another thread asks it, and start no further one."""
        self._stopped = True
        if process := self._running:
            process.kill()

    def end(self) -> int | None:
        """Kill the process and forget it; its exit status, if there was one."""
        process, self._running = self._running, None
        if process is None:
            return None
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # it was killed before it had read all
                pipe.close()  # type: ignore[union-attr]
        return process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=os.environ | {"PYTHONPATH": _python_path()},
        )
        assert process.stdin and process.stdout
        self._running = process
        if self._stopped:  # meanwhile, while there was nothing to kill
            process.kill()
        try:
            process.stdin.write(self._setup)
            process.stdin.flush()
            ready = pickle.load(process.stdout) == _READY
        except (OSError, EOFError, pickle.UnpicklingError):
            ready = False
        if not ready and not self._stopped:
            raise ChildProcessError("a worker process could not be started; its error is above")
        return process


def serve() -> None:
    """Answer tasks on stdin: the program that :func:`map_in_processes` runs in its processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # printed text must not become an answer
    function, seconds, memory = pickle.load(sys.stdin.buffer)
    _limit_memory(memory)
    pickle.dump(_READY, answers)
    answers.flush()
    with Path(os.devnull).open("wb") as nowhere:
        while True:
            try:
                task = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            # The process ends itself, so that it does even if nobody is left to stop it.
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
        failure = Failure(f"{type(error).__name__}: {reason}")
        failure.error = error if _can_be_pickled(error) else None
        return pickle.dumps(failure)


def _can_be_pickled(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return False
    return True


def _python_path() -> str:
    """A PYTHONPATH with which another Python finds the same modules."""
    return os.pathsep.join(path or str(Path.cwd()) for path in sys.path)


def _limit_memory(size: int) -> None:
    """Let this process take no more than `size` bytes, if the system can limit it."""
    try:
        import resource
    except ModuleNotFoundError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
