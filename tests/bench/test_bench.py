"""The benchmark runs: every row and figure is there. How fast is no test's business."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench import report
from bench.client import Load
from bench.report import TARGETS, Report, Row


def test_a_small_run_has_every_row(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "apiserver", "--scale", "small", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    rows = {row["name"]: row for row in found["rows"]}
    missing = TARGETS.keys() - rows.keys() - found["figures"].keys() - {"memory, 10,000 pods"}
    assert not missing
    assert all(row["per_second"] > 0 for row in rows.values())
    assert all(0 < row["p50"] <= row["p99"] for name, row in rows.items() if not name.startswith("watch"))
    assert found["figures"]["memory, 100 pods"][0] > 10


@pytest.mark.parametrize(
    ("values", "percent", "found"),
    [([1], 50, 1), ([1, 2], 50, 1), ([1, 2, 3], 50, 2), (range(1, 101), 99, 99), (range(1, 11), 99, 10)],
)
def test_a_percentile_is_one_of_the_values(values: list[float], percent: float, found: float) -> None:
    assert report.percentile(values, percent) == found


def test_two_servers_stand_side_by_side_with_their_ratio() -> None:
    ours, theirs = Report("skiff"), Report("go")
    ours.row(Row.of("GET pod", Load(2.0, [0.001, 0.003]), 50.0))
    theirs.row(Row("GET pod", 1.0, 1.0, 1.0, 200.0))
    ours.figure("memory, idle", 100.0, "MB")
    out = io.StringIO()
    report.print_tables([ours, theirs], Console(file=out, width=150))
    lines = [line.replace(" ", "") for line in out.getvalue().splitlines()]
    assert "|GETpod|1|1.00|3.00|50.0|60.0|200|0.25|" in lines
    assert "|memory,idle,MB|100|110|||" in lines


def test_a_small_run_of_the_scheduler_has_every_workload_in_both_places() -> None:
    command = [sys.executable, "-m", "bench", "scheduler", "--scale", "small", "--json"]
    workloads = ("basic", "churn", "preemption", "unschedulable")
    for name in workloads:
        command += ["--only", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout[done.stdout.index("[\n") :])
    assert [(row["workload"], row["where"]) for row in rows] == [
        (name, where) for name in workloads for where in ("simulated", "real server")
    ]
    assert all(row["per_second"] > 0 and row["memory_mb"] > 20 for row in rows)
