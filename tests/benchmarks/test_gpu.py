"""The benchmark of GPUs: which tests it runs, and what it keeps."""

from __future__ import annotations

import json
import re
import runpy
import time
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from measuring import networks
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


def failing(error: Exception) -> Any:
    """A network whose batches of 16 fail."""

    def task(_operation: str, batch: int, _dtype: str) -> Any:
        def call() -> None:
            if batch == 16:
                raise error

        return SimpleNamespace(call=call, unit="windows", count=batch, limit=lambda *_: 0.0)

    return SimpleNamespace(operations=("sample",), task=task)


def lost_in_capture() -> Exception:
    """What is left of a lack of memory while a graph was captured."""
    try:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error")
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("CUDA error:\nillegal"), "failed: RuntimeError: CUDA error: illegal"),
        (lost_in_capture(), "out of memory"),
    ],
)
def test_what_fails_is_said_and_the_rest_goes_on(
    error: Exception, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "networks", lambda *_: {"one": lambda: failing(error)})
    report = BENCHMARK["Report"](tmp_path / "gpu.json")
    asked = Namespace(
        tiny=True, models=["one"], operations=["sample"], batches=[1, 16, 64], budget=0, no_cpu=True
    )
    BENCHMARK["time_all"](report, asked, time.monotonic() + 60)
    kept = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    units = [line["unit"] for line in kept["times"]]
    assert units == ["windows"] * 3 + [said] * 3 + ["windows"] * 3
    failed = ["3 times"] if said.startswith("failed") else []
    assert BENCHMARK["failures"](kept) == failed


def test_a_part_that_fails_leaves_the_others(tmp_path: Path) -> None:
    report = BENCHMARK["Report"](tmp_path / "gpu.json")

    def fail() -> None:
        raise ValueError("no such network")

    BENCHMARK["attempt"](report, "times", fail)
    BENCHMARK["attempt"](report, "training", lambda: report.add("training", {"stopped": True}))
    assert report.found["times broke off"] == "failed: ValueError: no such network"
    assert BENCHMARK["failures"](report.found) == ["times broke off"]


def test_after_its_minutes_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "networks", lambda *_: {"one": lambda: failing(ValueError())})
    report = BENCHMARK["Report"](tmp_path / "gpu.json")
    asked = Namespace(
        tiny=True, models=["one"], operations=["sample"], batches=[1], no_cpu=True, minutes=0.5
    )
    BENCHMARK["time_all"](report, asked, time.monotonic() - 1)
    assert "times" not in report.found
    assert report.found["left out"] == "3 times, after 0.5 minutes"
    most = 0.01
    found = BENCHMARK["run_tests"]([str(Path(__file__))], tmp_path / "gpu.json", [], most)
    assert found["exit status"] == "stopped after 0 s"
    assert BENCHMARK["failures"]({"tests": found}) == ["tests"]
