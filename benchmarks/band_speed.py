#!/usr/bin/env python3
"""How fast the band network plays, and what drafts of the next steps save.

    OMP_NUM_THREADS=1 python benchmarks/band_speed.py [SONG.mid ...] [--candidates 1 3]

For each song, with the defaults of accompany: seconds step after step, seconds with drafts, the
ratio, how many steps were kept of each pass, and whether both played the same.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any
from unittest import mock

EXAMPLES = Path(__file__).parents[1] / "examples"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("songs", nargs="*", type=Path, help="(default: all of examples/)")
    parser.add_argument("--candidates", nargs="+", type=int, default=[1, 3], metavar="N")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="of which the best")
    arguments = parser.parse_args()
    songs = arguments.songs or sorted(EXAMPLES.glob("*.mid"))
    print("| song | bars | candidates | step after step, s | drafts, s | ratio | steps a pass |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for song in songs:
        for candidates in arguments.candidates:
            print(_line(song, candidates, arguments.repeats), flush=True)


def _line(song: Path, candidates: int, repeats: int) -> str:
    from surrogate import Accompanist, AccompanyOptions
    from surrogate.band.sampling import sample
    from surrogate.band.stepping import Stepper
    from surrogate.generators import band as generator

    accompanist = Accompanist.from_pretrained()
    options = AccompanyOptions(candidates=candidates)
    calls: list[tuple[Any, Any]] = []

    def note(*given: Any, **more: Any) -> Any:
        calls.append((given, more))
        return sample(*given, **more)

    with mock.patch.object(generator, "sample", note):
        accompanist.accompany(song, options)
    ((given, more),) = calls

    def seconds(drafted: int) -> tuple[float, Any]:
        taken = []
        for _ in range(repeats):
            start = time.perf_counter()
            played = sample(*given, **more, drafted=drafted)
            taken.append(time.perf_counter() - start)
        return min(taken), played

    slow, one = seconds(1)
    with mock.patch.object(Stepper, "run", autospec=True, side_effect=Stepper.run) as run:
        fast, other = seconds(4)
    if not bool((one.tokens == other.tokens).all()):
        raise SystemExit(f"{song}: drafts changed what is played")
    steps = one.tokens.shape[1]
    kept = steps * repeats / run.call_count
    bars = steps // 16
    return (
        f"| {song.stem} | {bars} | {candidates} | {slow:.2f} | {fast:.2f} | {slow / fast:.2f} "
        f"| {kept:.1f} |"
    )


if __name__ == "__main__":
    main()
