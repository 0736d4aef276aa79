"""The status table."""

import io

import pytest
from rich.console import Console

from cluster import status
from cluster.plan import Planner, Programs
from cluster.processes import ProcessState
from cluster.status import Status
from tests.cluster.clusters import LAYOUT, REAL


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (0, "0s"), (59.9, "59s"), (61, "1m1s"), (7380, "2h3m"), (90000, "1d1h")],
)
def test_ages_are_told_in_the_two_units_that_matter(seconds: float, text: str) -> None:
    assert status.age(seconds) == text


def test_a_row_says_where_a_process_runs_and_how_it_ended_last() -> None:
    specs = {spec.name: spec for spec in Planner(REAL, LAYOUT, Programs()).processes()}
    states = [
        ProcessState(name="kubelet-a", state="ready", pid=77, since=100.0, restarts=2, last_exit="SIGKILL"),
        ProcessState(name="scheduler", state="stopped", wanted=False),
    ]
    assert status.rows(Status(REAL, specs, states, []), now=165.0) == [
        ("kubelet-a", "ready", "node-a", "77", "10250", "1m5s", "2", "SIGKILL"),
        ("scheduler", "stopped", "-", "-", "10259", "-", "0", "-"),
    ]


def test_the_table_is_never_cut_off_however_narrow_the_output() -> None:
    ready = [{"type": "Ready", "status": "True"}]
    node = {"metadata": {"name": "node-a"}, "spec": {"podCIDR": "10.244.0.0/24"}, "status": {"conditions": ready}}
    out = io.StringIO()
    states = [ProcessState(name="controller-manager", last_exit="exit code 1")]
    status.print_status(Status(REAL, {}, states, [node]), Console(file=out, width=20, highlight=False))
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines[1][0] == "controller-manager" and lines[1][-3:] == ["exit", "code", "1"]
    assert lines[-1] == ["node-a", "ready", "172.30.99.11", "10.244.0.0/24"]
