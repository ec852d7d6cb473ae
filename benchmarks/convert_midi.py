#!/usr/bin/env python3
"""How fast MIDI files become windows of trios, by this package and by others, file by file.

    python benchmarks/convert_midi.py FOLDER [--files 100] [--rounds 3] [--magenta PYTHON]

Batches of files go down each road in turn, in several rounds; each file's quickest round counts.
Times are the processor's, not the clock's, so that other work on the machine disturbs them less.
The peers are pretty_midi as the parser and, where the interpreter PYTHON has Magenta, Magenta's
own parser with its TrioConverter.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from time import process_time

BATCH = 20
SERVE_MAGENTA = "--serve-magenta"
ANSWER = "measured"

# A file's processor seconds and number of windows; None if it was refused.
Road = Callable[[Path], tuple[float, int | None]]


def timed(convert: Callable[[Path], int], refusal: type[Exception]) -> Road:
    def measure(path: Path) -> tuple[float, int | None]:
        start = process_time()
        try:
            windows: int | None = convert(path)
        except refusal:
            windows = None
        return process_time() - start, windows

    return measure


def our_roads() -> dict[str, Road]:
    from musicvae_torch.converters.registry import get_converter
    from musicvae_torch.errors import MidiError
    from musicvae_torch.midi.fast import read_song
    from musicvae_torch.midi.notes import read_midi, to_song

    converter = get_converter("hier-trio_16bar")
    return {
        "read_song + windows": timed(lambda p: len(converter.to_tensors(read_song(p))), MidiError),
        "read_song alone": timed(lambda p: 0 * len(read_song(p).notes), MidiError),
        "read_midi + windows": timed(
            lambda p: len(converter.to_tensors(to_song(read_midi(p)))), MidiError
        ),
    }


def serve_magenta() -> None:
    """Answer each path on standard input with its seconds and windows; Magenta's side."""
    import note_seq
    from magenta.models.music_vae import configs

    converter = configs.CONFIG_MAP["hierdec-trio_16bar"].data_converter
    converter.set_mode("eval")
    converter.max_tensors_per_notesequence = None  # all windows, as ours finds

    def convert(path: Path) -> int:
        return len(converter.to_tensors(note_seq.midi_file_to_note_sequence(str(path))).inputs)

    measure = timed(convert, Exception)
    for line in sys.stdin:
        print(ANSWER, *measure(Path(line.rstrip("\n"))), flush=True)


def magenta_road(python: str) -> Road:
    worker = subprocess.Popen(
        [python, "-W", "ignore", __file__, SERVE_MAGENTA],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def measure(path: Path) -> tuple[float, int | None]:
        assert worker.stdin and worker.stdout
        print(path.resolve(), file=worker.stdin, flush=True)
        for line in worker.stdout:
            if line.startswith(ANSWER):
                _, seconds, windows = line.split()
                return float(seconds), None if windows == "None" else int(windows)
        raise SystemExit(f"{python}: no Magenta there, or it died on {path}")

    return measure


def main() -> None:
    from musicvae_torch.midi.notes import is_midi, no_midi_in

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="MIDI files, at any depth")
    parser.add_argument("--files", type=int, default=100, help="how many, drawn at random")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--magenta", metavar="PYTHON", help="an interpreter that has Magenta")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.folder.rglob("*") if is_midi(path))
    paths = random.Random(arguments.seed).sample(paths, min(arguments.files, len(paths)))
    if not paths:
        raise SystemExit(no_midi_in(arguments.folder))
    roads = our_roads()
    if arguments.magenta:
        roads["Magenta"] = magenta_road(arguments.magenta)
    quickest = {name: dict.fromkeys(paths, float("inf")) for name in roads}
    windows = {name: dict[Path, int | None]() for name in roads}
    for _, batch in product(range(arguments.rounds), range(0, len(paths), BATCH)):
        for name, road in roads.items():
            for path in paths[batch : batch + BATCH]:
                seconds, windows[name][path] = road(path)
                quickest[name][path] = min(seconds, quickest[name][path])
    ours = sum(quickest["read_song + windows"].values())
    print(f"{len(paths)} files of {arguments.folder}, the quickest of {arguments.rounds} rounds")
    print(f"{'':26}{'files/s':>9}{'ms/file':>9}{'ours is':>9}{'windows':>9}{'refused':>9}")
    for name in roads:
        total = sum(quickest[name].values())
        found = [count for count in windows[name].values() if count is not None]
        print(
            f"{name:26}{len(paths) / total:9.1f}{1000 * total / len(paths):9.2f}"
            f"{total / ours:8.1f}x{sum(found):9}{len(paths) - len(found):9}"
        )


if __name__ == "__main__":
    serve_magenta() if sys.argv[1:] == [SERVE_MAGENTA] else main()
