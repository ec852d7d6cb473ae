"""The benchmark of GPUs: which tests it runs, and what it keeps."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

from paths import ROOT

BENCHMARK = runpy.run_path(str(ROOT / "benchmarks" / "gpu.py"), run_name="benchmark")
# How tests come to be marked cuda.
MARKED = re.compile(r"mark\.cuda\b|\b(gpu|device): torch\.device|\bplaced: Golden")


def test_it_runs_all_tests_that_need_a_gpu() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if path != Path(__file__) and MARKED.search(path.read_text(encoding="utf-8"))
    }
    assert found == set(BENCHMARK["TESTS"])


def test_each_line_is_kept(tmp_path: Path) -> None:
    report = BENCHMARK["Report"](tmp_path / "gpu.json")
    report.add("machine", {"device": "cpu"})
    for batch in (1, 16):
        report.add("times", {"batch": batch})
        kept = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
        assert kept["machine"] == {"device": "cpu"} and kept["times"][-1] == {"batch": batch}
    assert [path.name for path in tmp_path.iterdir()] == ["gpu.json"]


def test_the_table_has_a_row_for_each_time_and_failure() -> None:
    line = {"network": "full", "operation": "sample", "batch": 16, "precision": "TF32"}
    timed = {"s": 0.5, "limit": 0.1, "unit": "windows", "a second": 32.0}
    lines = [line | timed | {"CPU, s": 2.0}, line | {"unit": "out of memory"}]
    _, _, one, other = BENCHMARK["times_table"](lines).splitlines()
    assert one == "| full | sample | 16 | TF32 | 0.5 | 0.1 | 20% | 32 windows | 2 | 4.0 |"
    assert other.startswith("| full | sample | 16 | TF32 | out of memory |")
    assert one.count("|") == other.count("|")
