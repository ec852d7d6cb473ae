#!/usr/bin/env python3
"""Check, time and train on a GPU: with one command, in about ten minutes.

    python benchmarks/gpu.py [-o gpu.json] [--parts tests,times] [--train MINUTES]

"tests" runs pytest -m cuda: each of Magenta's fixtures, the band's network and steps of training,
on the GPU. "times" measures encoding, teacher forcing, sampling and steps of training by CUDA
events, and sets beside each time its limit (bytes of weights at the speed at which this GPU reads
memory, or multiplications at the speed at which it multiplies large matrices, whichever takes
longer) and the time of this machine's CPU. "full" is hierdec-trio_16bar at Magenta's size with
random weights, "default" the trio that ships, "band" the band network that ships.

--train trains what a file of options says, for so many minutes, with a checkpoint each minute in a
folder from which the same command goes on; without --data it makes songs up, to time it.

Results are printed as Markdown tables, and written to the JSON file after each line, so that Ctrl-C
keeps what was measured. What fails is named there, too, and the rest goes on. After --minutes
nothing new is begun. Without a GPU everything runs on the CPU, for which --tiny chooses small
networks and few windows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
TESTS = (
    "tests/musicvae_torch/kernels/test_cuda.py",
    "tests/musicvae_torch/model/test_magenta_parity.py",
    "tests/musicvae_torch/model/test_model.py",
    "tests/musicvae_torch/training/test_magenta_parity.py",
    "tests/surrogate/band/test_cuda.py",
)
"""All files with tests that are marked cuda."""
BATCHES = [1, 16, 64, 256, 1024]
_STOPS_WITHIN = 120  # seconds that a training has for its last step, validation and checkpoint
ON_CPU = (1, 16)  # batches that are also timed on the CPU, in float32
COMMANDS = {
    "train-band": "surrogate.cli.train_band",
    "train-musicvae": "musicvae_torch.cli.train_musicvae",
}


def paths() -> list[str]:
    """Folders that Python is to look into: the repository, and stand-ins for packages that a
    machine made for GPUs may lack, and that are not needed here."""
    absent = Path(__file__).parent / "measuring" / "absent"
    missing = [folder for folder in sorted(absent.iterdir()) if find_spec(folder.name) is None]
    return [str(ROOT), *map(str, missing)]


def environment(added: list[str]) -> dict[str, str]:
    """Variables of the processes that this one starts, which look into further folders."""
    given = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": os.pathsep.join([*added, *([given] if given else [])])}


class Report:
    """What was measured so far.

    Args:
        path: of the JSON file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.found: dict[str, Any] = {}

    def add(self, name: str, value: Any) -> None:
        """Add a value; of a list, one more item."""
        if name == "times":
            self.found.setdefault(name, []).append(value)
        else:
            self.found[name] = value
        written = self._path.with_suffix(".part")
        written.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")
        written.replace(self._path)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """The machine on which the figures were measured."""
    import torch

    about: dict[str, Any] = {
        "device": "cpu",
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        about |= {
            "device": torch.cuda.get_device_name(),
            "memory, GiB": round(total / 2**30, 1),
            "free memory, GiB": round(free / 2**30, 1),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return about


def run_tests(
    files: list[str], scratch: Path, added: list[str], most: float | None = None
) -> dict[str, Any]:
    """Run the tests marked cuda, for at most so many seconds: how many of each outcome there were,
    and the names that failed."""
    results = scratch.with_suffix(".xml")
    command = [sys.executable, "-m", "pytest", "-m", "cuda", f"--junitxml={results}", *files]
    start = time.perf_counter()
    say("tests: pytest -m cuda")
    variables = environment(added)
    where: dict[str, Any] = {"cwd": ROOT, "env": variables, "stdout": sys.stderr}
    status: int | str
    try:
        status = subprocess.run(command, check=False, timeout=most, **where).returncode
    except subprocess.TimeoutExpired:
        status = f"stopped after {most:.0f} s"
    took = time.perf_counter() - start
    found: dict[str, Any] = {"exit status": status, "seconds": round(took, 1)}
    if results.is_file():
        cases = list(ElementTree.parse(results).iter("testcase"))
        wrong = {"failure", "error"}
        failed = [case for case in cases if wrong & {part.tag for part in case}]
        skipped = [case for case in cases if case.find("skipped") is not None]
        found |= {
            "passed": len(cases) - len(failed) - len(skipped),
            "skipped": len(skipped),
            "failed": [f"{case.get('classname')}::{case.get('name')}" for case in failed],
        }
        results.unlink()
    return found


def time_all(report: Report, arguments: argparse.Namespace, deadline: float) -> None:
    import torch
    from measuring.gpu import PRECISIONS, Device
    from measuring.networks import networks

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    speeds = Device(device, 256) if arguments.tiny else Device(device)
    measured = {"GB/s": speeds.reading(0) / 1e9}
    measured |= {f"{kind}, TFLOP/s": 2 * speeds.multiplying(kind) / 1e12 for kind in PRECISIONS}
    report.add("speeds", {name: round(value, 3) for name, value in measured.items()})
    left_out = 0
    for name, make in networks(arguments.models, device, arguments.tiny).items():
        network = make()
        asked = [each for each in network.operations if each in arguments.operations]
        for operation, batch, dtype in product(asked, arguments.batches, PRECISIONS):
            if time.monotonic() > deadline:
                left_out += 1
                continue
            line: dict[str, Any] = {
                "network": name,
                "operation": operation,
                "batch": batch,
                "precision": dtype,
            }
            line |= timed(network, line, speeds, device, arguments.budget)
            report.add("times", line)
            say(
                " ".join(
                    f"{value:.3g}" if isinstance(value, float) else str(value)
                    for value in line.values()
                )
            )
        del network
    if left_out:
        report.add("left out", f"{left_out} times, after {arguments.minutes:g} minutes")
    if device.type == "cuda" and not arguments.no_cpu:
        time_cpu(report, arguments, deadline)


def timed(network: Any, line: dict[str, Any], speeds: Any, device: Any, budget: float) -> Any:
    """The time of one line of the table; or, in place of its unit, why there is none."""
    import torch
    from measuring.gpu import float32_products, seconds

    asked = line["operation"], line["batch"], line["precision"]
    found: dict[str, Any] = {}
    try:
        with float32_products(line["precision"] == "TF32"):
            task = network.task(*asked)
            took = seconds(task.call, device, budget)
        found["s"], found["limit"] = took, task.limit(line["precision"], speeds)
        found |= {"unit": task.unit, "a second": task.count / took}
        if device.type == "cuda":
            found["peak, GiB"] = torch.cuda.max_memory_allocated() / 2**30
    except Exception as error:
        found["unit"] = reason(error)
    if device.type == "cuda":
        try:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        except RuntimeError as error:  # of the operation, which the GPU reports only now
            found = {"unit": reason(error)}
    return found


def reason(error: BaseException) -> str:
    """Why something failed, in one line."""
    import torch

    earlier: BaseException | None = error
    while earlier is not None:  # what fails in a graph makes the end of its capture fail
        if isinstance(earlier, torch.OutOfMemoryError):
            return "out of memory"
        earlier = earlier.__context__
    traceback.print_exception(error)
    return f"failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"


def time_cpu(report: Report, arguments: argparse.Namespace, deadline: float) -> None:
    """The same on this machine's CPU, in float32, of few windows."""
    import torch
    from measuring.gpu import seconds
    from measuring.networks import networks

    cpu = torch.device("cpu")
    for name, make in networks(arguments.models, cpu, arguments.tiny).items():
        network = make()
        asked = [each for each in network.operations if each in arguments.operations]
        for operation, batch in product(asked, sorted({*ON_CPU} & {*arguments.batches})):
            if time.monotonic() > deadline:
                return
            took = seconds(network.task(operation, batch, "float32").call, cpu, arguments.budget)
            for line in report.found["times"]:
                if (line["network"], line["operation"], line["batch"]) == (name, operation, batch):
                    line["CPU, s"] = took
            report.add("times on the CPU are of", f"float32, {torch.get_num_threads()} threads")
            say(f"CPU: {name} {operation} {batch} {took:.3g}")


def train(arguments: argparse.Namespace, added: list[str]) -> dict[str, Any]:
    """Train for some minutes as the command does, stop it as Ctrl-C does, and read its log."""
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    data = arguments.data
    if data is None:
        from measuring.made_up_songs import write_songs

        data = write_songs(folder / "made_up.h5", 8 if arguments.tiny else 200)
        say(f"{data}: made-up songs, to time the training by")
    words = [str(data), "-o", str(folder / "trained"), "--work", str(folder / "work")]
    if arguments.options is not None:
        words += ["--options", str(arguments.options)]
    if arguments.tiny and arguments.command == "train-band":
        words += ["--width", "16", "--heads", "2", "--batch-size", "2"]
    words += arguments.more
    start_it = "import sys; from {} import main; sys.exit(main(sys.argv[1:]))"
    code = start_it.format(COMMANDS[arguments.command])
    say(f"training for {arguments.train:g} minutes: {arguments.command} {' '.join(words)}")
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code, *words], env=environment(added))
    stopped = False
    try:
        process.wait(60 * arguments.train)
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as reason:
        stopped = True
        if isinstance(reason, subprocess.TimeoutExpired):  # Ctrl-C has reached it already
            process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    took = time.perf_counter() - start
    return {
        "command": [arguments.command, *words],
        "seconds": round(took, 1),
        "stopped": stopped,
        "exit status": process.returncode,
        "checkpoint": str(folder / "work" / "last.ckpt"),
        **_logged(folder / "work"),
    }


def _logged(work: Path) -> dict[str, Any]:
    """The progress of a training, by its last checkpoint."""
    import torch

    path = work / "last.ckpt"
    if not path.is_file():
        return {"steps": 0}
    stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return {"steps": stored["global_step"], "scores": stored.get("validation_scores", {})}


def times_table(lines: list[dict[str, Any]]) -> str:
    """Markdown of all times."""
    rows = [
        "| network | | batch | precision | s | limit | share | a second | CPU, s | times as fast |",
        "| --- " * 10 + "|",
    ]
    for line in lines:
        start = (
            f"| {line['network']} | {line['operation']} | {line['batch']} | {line['precision']} "
        )
        if "s" not in line:
            rows.append(f"{start}| {line['unit']} | | | | | |")
            continue
        cpu = line.get("CPU, s")
        beside = f"{cpu:.3g} | {cpu / line['s']:.1f}" if cpu else " | "
        rows.append(
            f"{start}| {line['s']:.3g} | {line['limit']:.3g} | {line['limit'] / line['s']:.0%} "
            f"| {line['a second']:.4g} {line['unit']} | {beside} |"
        )
    return "\n".join(rows)


def print_all(found: dict[str, Any]) -> None:
    for name, value in found.items():
        if name == "times":
            print(f"\n{times_table(value)}\n")
        else:
            print(f"- {name}: {json.dumps(value)}")


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def words(text: str) -> list[str]:
    return text.split(",")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("gpu.json"), metavar="FILE.json")
    parser.add_argument(
        "--parts", type=words, metavar="NAME,...", help="of tests and times (default: both)"
    )
    parser.add_argument(
        "--files", type=words, default=list(TESTS), metavar="FILE,...", help="tests"
    )
    parser.add_argument(
        "--models", type=words, default=["default", "band", "full"], metavar="NAME,..."
    )
    operations = ["encode", "teacher-forced pass", "sample", "train"]
    parser.add_argument("--operations", type=words, default=operations, metavar="NAME,...")
    parser.add_argument("--batches", type=numbers, default=BATCHES, metavar="N,N,...")
    parser.add_argument(
        "--budget", type=float, default=0.5, metavar="SECONDS", help="for each time"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=10,
        metavar="MINUTES",
        help="after which nothing new is begun; tests have half of them (default: 10)",
    )
    parser.add_argument("--no-cpu", action="store_true", help="leave out the times of the CPU")
    parser.add_argument(
        "--tiny", action="store_true", help="networks of a few units, to try it out"
    )
    parser.add_argument(
        "--train", type=float, metavar="MINUTES", help="train; the parts are left out"
    )
    parser.add_argument("--command", choices=COMMANDS, default="train-band", help="what to train")
    parser.add_argument("--options", type=Path, metavar="FILE.yaml", help="of --print-options")
    parser.add_argument("--data", type=Path, metavar="DATA.h5", help="of build-dataset")
    parser.add_argument("--folder", type=Path, default=Path("trained_on_gpu"), metavar="FOLDER")
    parser.add_argument(
        "more", nargs="*", metavar="-- OPTION", help="further options of the training"
    )
    arguments = parser.parse_args()
    if arguments.parts is None:
        arguments.parts = [] if arguments.train else ["tests", "times"]
    return arguments


def attempt(report: Report, name: str, run: Callable[[], object]) -> None:
    """Run a part; if it fails, say so and go on."""
    try:
        run()
    except Exception as error:
        report.add(f"{name} broke off", reason(error))


def failures(found: dict[str, Any]) -> list[str]:
    """What failed, by name."""
    names = [name for name in found if name.endswith("broke off")]
    if found.get("tests", {}).get("exit status"):
        names.append("tests")
    training = found.get("training", {})
    if training.get("exit status") and not training["stopped"]:
        names.append("training")
    failed = sum(line["unit"].startswith("failed") for line in found.get("times", ()))
    return [*names, *([f"{failed} times"] if failed else [])]


def main() -> None:
    arguments = parsed()
    deadline = time.monotonic() + 60 * arguments.minutes
    report = Report(arguments.out)
    added = paths()
    sys.path += added
    report.add("machine", machine())
    scratch, most = arguments.out.resolve(), 30 * arguments.minutes
    parts: dict[str, Callable[[], object]] = {
        "tests": lambda: report.add("tests", run_tests(arguments.files, scratch, added, most)),
        "times": lambda: time_all(report, arguments, deadline),
        "training": lambda: report.add("training", train(arguments, added)),
    }
    asked = [*arguments.parts, *(["training"] if arguments.train else [])]
    try:
        for name, run in parts.items():
            if name in asked:
                attempt(report, name, run)
    except KeyboardInterrupt:
        say(f"stopped; {arguments.out} has what was measured")
    print_all(report.found)
    if wrong := failures(report.found):
        raise SystemExit(f"failed: {', '.join(wrong)}; {arguments.out} has the reasons")


if __name__ == "__main__":
    main()
