"""The report of a build: every file that was left out, and why."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from musicvae_torch.io.files import replacing


class SkippedFile(NamedTuple):
    """A file without windows in the data set; the reason is one of a few, the detail its own."""

    path: str
    reason: str
    detail: str = ""


def report_path(out: Path) -> Path:
    """Path of the report of the data set `out`."""
    return out.with_name(f"{out.name.removesuffix('.h5')}.report.csv")


def write_report(path: Path, skipped: Iterable[SkippedFile]) -> None:
    """Write a table with columns path, reason and detail."""
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        table = csv.writer(file)
        table.writerow(SkippedFile._fields)
        table.writerows(skipped)


def summary(skipped: Iterable[SkippedFile]) -> list[tuple[str, int]]:
    """Reasons with their numbers of files, the commonest first."""
    return Counter(file.reason for file in skipped).most_common()
