#!/usr/bin/env python3
"""How fast everything is, beside what the machine could do and beside Magenta.

    python benchmarks/speed.py [--magenta PYTHON] [--batches 1,4,16,64] [--models full,default]

Prints Markdown tables. Every line is a process of its own, with a warm-up, the median of several
repeats, and the peak of its memory above what importing PyTorch takes, in shares of the weights. A
limit is the time in which this machine reads the weights that must be read, or multiplies what
must be multiplied, whichever is longer (machine.py measures both, work.py counts). "full" is
hierdec-trio_16bar at Magenta's size with random weights, "default" the trio that ships. PYTHON is
an interpreter that has Magenta: it is given the same weights, as a TensorFlow checkpoint that
convert-weights writes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SHIPPED = HERE.parent / "checkpoints/trio_16bar_small"
TUNE = HERE.parent / "examples/korobeiniki.mid"
OPERATIONS = ("encode", "teacher-forced pass", "sample")
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
    from machine import seconds

    from musicvae_torch import MusicVAE

    torch.set_grad_enabled(False)
    model = MusicVAE.from_pretrained(folder).multiply_in(dtype)
    steps, config = model.config.max_seq_len, model.config
    tokens = [torch.randint(0, depth, (batch, steps)) for depth in config.output_depths]
    windows, z = torch.stack(tokens, dim=-1), torch.randn(batch, config.z_size)
    run = {
        "encode": lambda: model.encode(windows).mean,
        "teacher-forced pass": lambda: model.teacher_force(z, windows),
        "sample": lambda: model.decode(z, temperature=0.5),
    }[operation]
    run()
    first = time.time() - started
    took = seconds(run, repeats, warm_up=0)
    weights = 4 * sum(parameter.numel() for parameter in model.parameters()) / 2**20
    extra = peak() - imported
    from work import limit

    least = limit(operation, config, batch, dtype)
    return {
        "seconds": took,
        "first": first,
        "peak": extra,
        "weights": weights,
        "limit": least,
        "all": peak(),
    }


def child(folder: Path, *what: object) -> dict[str, Any]:
    arguments = [str(each) for each in (folder, *what, time.time())]
    done = subprocess.run(
        [sys.executable, __file__, "--one", *arguments], stdout=subprocess.PIPE, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def magenta(python: str, checkpoint: Path, operation: str, batch: int) -> dict[str, Any]:
    command = [python, "-W", "ignore", HERE / "magenta_speed.py", MAGENTA_NAME, checkpoint]
    arguments = [str(each) for each in (*command, operation, batch, 3, time.time())]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{python}: no Magenta there, or it failed:\n{done.stderr[-500:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    result["seconds"] = sorted(result["seconds"])[len(result["seconds"]) // 2]
    return result


def time_of(*command: object, repeats: int = 3) -> float:
    """Median seconds of a command, from the start of its process to its end."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([str(each) for each in command], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return sorted(times)[repeats // 2]


def networks_table(name: str, folder: Path, batches: list[int], checkpoint: Path | None) -> None:
    print(f"\n## {name}\n")
    beside = "" if checkpoint is None else " Magenta | times as fast | Magenta's peak |"
    print(f"| | batch | weights | s | limit | share | peak, MiB | / weights |{beside}")
    print("| --- " * (8 + 3 * bool(beside)) + "|")
    for operation in OPERATIONS:
        for batch in batches:
            peer = None
            if checkpoint is not None and operation != "teacher-forced pass" and batch in {1, 16}:
                peer = magenta(PEER[0], checkpoint, operation, batch)
            for dtype in DTYPES:
                if dtype != "float32" and batch not in {1, 16}:
                    continue
                ours = child(folder, operation, batch, dtype, 3 if name == "full" else 9)
                line = (
                    f"| {operation} | {batch} | {dtype} | {ours['seconds']:.3g} | "
                    f"{ours['limit']:.3g} | {ours['limit'] / ours['seconds']:.0%} | "
                    f"{ours['peak']:.0f} | {ours['peak'] / ours['weights']:.2f} |"
                )
                if peer:
                    ratio = peer["seconds"] / ours["seconds"]
                    line += f" {peer['seconds']:.3g} | {ratio:.2f} | {peer['peak']:.0f} MiB |"
                    if batch == 1 and dtype == "float32":
                        COLD.append((operation, ours, peer))
                elif checkpoint is not None:
                    line += " | | |"
                print(line, flush=True)


def cold_table() -> None:
    if COLD:
        print("\n## From a cold start to the first result, batch 1, full size, float32\n")
        print("| | ours, s | Magenta, s | times as fast | ours, MiB | Magenta, MiB |")
        print("| --- " * 6 + "|")
        for operation, ours, peer in COLD:
            print(
                f"| {operation} | {ours['first']:.2f} | {peer['first']:.2f} | "
                f"{peer['first'] / ours['first']:.1f} | {ours['all']:.0f} | {peer['peak']:.0f} |"
            )


def commands_table(
    folder: Path | None, checkpoint: Path | None, songs: Path | None, scratch: Path
) -> None:
    bin_ = Path(sys.executable).parent
    accompany = (bin_ / "accompany", TUNE, "-o")
    bands = (scratch / "out", "--candidates", "3")
    lines: list[tuple[str, float]] = [
        ("accompany --help", time_of(bin_ / "accompany", "--help")),
        ("accompany a tune", time_of(*accompany, scratch / "a.mid")),
        ("by gradient ascent", time_of(*accompany, scratch / "b.mid", "--method", "refine-only")),
        ("three bands, no sound", time_of(*accompany, *bands, "--write", "mid,png,html")),
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
    if checkpoint is not None:
        out = scratch / "converted"
        convert = (bin_ / "convert-weights", checkpoint, "--out", out, "--force")
        lines.append(("convert-weights, full size", time_of(*convert, repeats=1)))
        data = next(checkpoint.parent.glob("*.data-*"))
        copy = time_of("cp", data, scratch / "copy", repeats=1)
        lines.append(("... of which copying as many bytes", copy))
    print("\n## Commands, from the start of the process to its end\n\n| | s |\n| --- | --- |")
    for name, took in lines:
        print(f"| {name} | {took:.2f} |", flush=True)


PEER: list[str] = []
COLD: list[tuple[str, dict[str, Any], dict[str, Any]]] = []


def full_size(scratch: Path) -> Path:
    import torch

    from musicvae_torch import MusicVAE
    from musicvae_torch.config import get_config

    torch.manual_seed(0)
    MusicVAE(get_config(MAGENTA_NAME)).save_pretrained(scratch / "full")
    return scratch / "full"


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


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
    parser.add_argument("--models", default="full,default", help="(default: %(default)s)")
    parser.add_argument("--songs", type=Path, metavar="FOLDER", help="to build a data set of")
    arguments = parser.parse_args()
    models = arguments.models.split(",")
    scratch = Path(tempfile.mkdtemp(prefix="speed"))
    try:
        folder: Path | None = None
        checkpoint: Path | None = None
        if "full" in models:
            folder = full_size(scratch)
            if arguments.magenta:
                PEER.append(arguments.magenta)
                written = scratch / "magenta"
                convert = Path(sys.executable).parent / "convert-weights"
                subprocess.run(
                    [convert, folder, "--to", "tensorflow", "--out", written],
                    check=True,
                    capture_output=True,
                )
                checkpoint = next(written.glob("*.index")).with_suffix("")
            networks_table("full", folder, arguments.batches, checkpoint)
            cold_table()
        if "default" in models:
            networks_table("default", SHIPPED, arguments.batches, None)
        commands_table(folder, checkpoint, arguments.songs, scratch)
    finally:
        shutil.rmtree(scratch)
    print("\n## Training\n", flush=True)
    subprocess.run([sys.executable, HERE / "training.py", "--batch", "64"], check=True)


if __name__ == "__main__":
    main()
