#!/usr/bin/env python3
"""How fast everything is, beside what the machine could do and beside Magenta.

    python benchmarks/speed.py [--magenta PYTHON] [--batches 1,4,16,64] [--models full,default]

Prints Markdown tables. Every line is a process of its own, with a warm-up, the median of several
repeats, and the peak of its memory above what importing PyTorch takes. A limit is the time in which
this machine reads the weights that must be read, or multiplies what must be multiplied, whichever
is longer (measuring/machine.py measures, measuring/work.py counts). "full" is hierdec-trio_16bar at
Magenta's size with random weights, "default" the trio that ships. PYTHON is an interpreter that has
Magenta: it is given the same weights, as a TensorFlow checkpoint that convert-weights writes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
SHIPPED = HERE.parent / "checkpoints/trio_16bar_small"
TUNE = HERE.parent / "examples/korobeiniki.mid"
OPERATIONS = ("encode", "teacher-forced pass", "sample")
BOTH = (1, 16)  # batches of all precisions, and of Magenta
DTYPES = ("float32", "bfloat16", "int8")
MAGENTA_NAME = "hierdec-trio_16bar"


def peak() -> float:
    """The most memory that this process had, in MiB."""
    # Not getrusage: what it gives begins with the parent's.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(
    folder: Path, operation: str, batch: int, dtype: str, repeats: int, started: float
) -> dict[str, Any]:
    """One line of the table, in a process of its own."""
    import torch

    torch.ones(8) @ torch.ones(8, 8)
    imported = peak()
    from measuring.machine import seconds

    from musicvae_torch import MusicVAE

    torch.set_grad_enabled(False)
    model = MusicVAE.from_pretrained(folder).multiply_in(dtype)
    steps, config = model.config.max_seq_len, model.config
    tokens = [torch.randint(0, depth, (batch, steps)) for depth in config.output_depths]
    windows, z = torch.stack(tokens, dim=-1), torch.randn(batch, config.z_size)
    operations: dict[str, Callable[[], torch.Tensor]] = {
        "encode": lambda: model.encode(windows).mean,
        "teacher-forced pass": lambda: model.teacher_force(z, windows),
        "sample": lambda: model.decode(z, temperature=0.5),
    }
    run = operations[operation]
    run()
    first = time.time() - started
    took = seconds(run, repeats, warm_up=0)
    weights = 4 * sum(parameter.numel() for parameter in model.parameters()) / 2**20
    everything = peak()  # before what is measured to find the limit
    from measuring.work import limit

    least = limit(operation, config, batch, dtype)
    return {
        "seconds": took,
        "first": first,
        "peak": everything - imported,
        "weights": weights,
        "limit": least,
        "all": everything,
    }


def child(folder: Path, *what: object) -> dict[str, Any]:
    arguments = [str(each) for each in (folder, *what, time.time())]
    done = subprocess.run(
        [sys.executable, __file__, "--one", *arguments], stdout=subprocess.PIPE, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@dataclass
class Magenta:
    """The peer: an interpreter that has it, and the full-size model as its checkpoint."""

    python: str
    checkpoint: Path

    def measure(self, operation: str, batch: int) -> dict[str, Any]:
        script = HERE / "measuring/magenta_speed.py"
        command = [self.python, "-W", "ignore", script, MAGENTA_NAME, self.checkpoint]
        arguments = [str(each) for each in (*command, operation, batch, 3, time.time())]
        done = subprocess.run(arguments, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(
                f"{self.python}: no Magenta there, or it failed:\n{done.stderr[-500:]}"
            )
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        result["seconds"] = median(result["seconds"])
        return result


def time_of(*command: object, repeats: int = 3) -> float:
    """Median seconds of a command, from the start of its process to its end."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([str(each) for each in command], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return median(times)


def networks_table(
    name: str, folder: Path, operations: list[str], batches: list[int], peer: Magenta | None
) -> None:
    print(f"\n## {name}\n")
    beside = " Magenta, s | times as fast | all of Magenta, MiB |" if peer else ""
    print(f"| | batch | weights | s | limit | share | peak, MiB | / weights |{beside}")
    print("| --- " * (8 + 3 * bool(beside)) + "|")
    first_results = []
    for operation, batch in product(operations, batches):
        theirs = None
        if peer and operation != "teacher-forced pass" and batch in BOTH:
            theirs = peer.measure(operation, batch)
        for dtype in DTYPES if batch in BOTH else DTYPES[:1]:
            ours = child(folder, operation, batch, dtype, 3 if name == "full" else 9)
            line = (
                f"| {operation} | {batch} | {dtype} | {ours['seconds']:.3g} | "
                f"{ours['limit']:.3g} | {ours['limit'] / ours['seconds']:.0%} | "
                f"{ours['peak']:.0f} | {ours['peak'] / ours['weights']:.2f} |"
            )
            if theirs:
                ratio = theirs["seconds"] / ours["seconds"]
                line += f" {theirs['seconds']:.3g} | {ratio:.2f} | {theirs['peak']:.0f} |"
                if batch == 1 and dtype == DTYPES[0]:
                    first_results.append((operation, ours, theirs))
            elif peer:
                line += " | | |"
            print(line, flush=True)
    if first_results:
        cold_table(first_results)


def cold_table(first_results: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> None:
    print("\n## From a cold start to the first result, batch 1, full size, float32\n")
    print("| | ours, s | Magenta, s | times as fast | ours, MiB | Magenta, MiB |")
    print("| --- " * 6 + "|")
    for operation, ours, theirs in first_results:
        print(
            f"| {operation} | {ours['first']:.2f} | {theirs['first']:.2f} | "
            f"{theirs['first'] / ours['first']:.1f} | {ours['all']:.0f} | {theirs['peak']:.0f} |"
        )


def commands_table(folder: Path | None, songs: Path | None, scratch: Path) -> None:
    bin_ = Path(sys.executable).parent
    accompany = (bin_ / "accompany", TUNE, "-o")
    bands = (scratch / "out", "--candidates", "3")
    lines: list[tuple[str, float]] = [
        ("accompany --help", time_of(bin_ / "accompany", "--help")),
        ("accompany a tune", time_of(*accompany, scratch / "a.mid")),
        ("by gradient ascent", time_of(*accompany, scratch / "b.mid", "--method", "refine-only")),
        ("the demo", time_of(*accompany, *bands)),
    ]
    if songs is not None:
        build = (bin_ / "build-dataset", songs, "-o", scratch / "data.h5")
        lines.append((f"build-dataset {songs.name}", time_of(*build, repeats=1)))
    load = "from musicvae_torch import MusicVAE; MusicVAE.from_pretrained({!r})"
    python = (sys.executable, "-c")
    lines.append(("import torch", time_of(*python, "import torch")))
    lines.append(("import, and load the default", time_of(*python, load.format(str(SHIPPED)))))
    if folder is not None:
        lines.append(("import, and load full size", time_of(*python, load.format(str(folder)))))
        checkpoint = checkpoint_for_magenta(folder, scratch / "to_convert")
        convert = (bin_ / "convert-weights", checkpoint, "--out", scratch / "converted")
        lines.append(("convert-weights, full size", time_of(*convert, repeats=1)))
        data = next(checkpoint.parent.glob("*.data-*"))
        copy = time_of("cp", data, scratch / "copy", repeats=1)
        lines.append(("cp of as many bytes", copy))
    print("\n## Commands, from the start of the process to its end\n\n| | s |\n| --- | --- |")
    for name, took in lines:
        print(f"| {name} | {took:.2f} |", flush=True)


def full_size(scratch: Path) -> Path:
    import torch

    from musicvae_torch import MusicVAE
    from musicvae_torch.config import get_config

    torch.manual_seed(0)
    MusicVAE(get_config(MAGENTA_NAME)).save_pretrained(scratch / "full")
    return scratch / "full"


def checkpoint_for_magenta(folder: Path, scratch: Path) -> Path:
    """A model of ours as a TensorFlow checkpoint."""
    written = scratch / "magenta"
    convert = Path(sys.executable).parent / "convert-weights"
    command = (convert, folder, "--to", "tensorflow", "--out", written)
    subprocess.run([str(each) for each in command], check=True, capture_output=True)
    return next(written.glob("*.index")).with_suffix("")


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def words(text: str) -> list[str]:
    return text.split(",")


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        home, operation, batch, dtype, repeats, started = sys.argv[2:]
        result = measure(Path(home), operation, int(batch), dtype, int(repeats), float(started))
        print(json.dumps(result))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--magenta", metavar="PYTHON", help="an interpreter that has Magenta")
    parser.add_argument("--batches", type=numbers, default=[1, 4, 16, 64], metavar="N,N,...")
    parser.add_argument("--models", type=words, default=["full", "default"], metavar="NAME,...")
    parser.add_argument("--operations", type=words, default=list(OPERATIONS), metavar="NAME,...")
    parser.add_argument(
        "--only",
        type=words,
        default=["networks", "commands", "training"],
        metavar="NAME,...",
        help="of networks, commands and training",
    )
    parser.add_argument("--songs", type=Path, metavar="FOLDER", help="to build a data set of")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = full_size(scratch) if "full" in arguments.models else None
        peer = None
        if folder and arguments.magenta:
            peer = Magenta(arguments.magenta, checkpoint_for_magenta(folder, scratch))
        if "networks" in arguments.only:
            if folder:
                networks_table("full", folder, arguments.operations, arguments.batches, peer)
            if "default" in arguments.models:
                networks_table("default", SHIPPED, arguments.operations, arguments.batches, None)
        if "commands" in arguments.only:
            commands_table(folder, arguments.songs, scratch)
    if "training" in arguments.only:
        print("\n## Training\n", flush=True)
        subprocess.run([sys.executable, HERE / "training.py", "--batch", "64"], check=True)


if __name__ == "__main__":
    main()
