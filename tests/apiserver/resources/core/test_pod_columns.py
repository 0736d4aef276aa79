"""READY, STATUS and RESTARTS of a pod, as upstream's printer derives them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.resources import columns
from apiserver.resources.core.pods.columns import COLUMNS, summary
from machinery.api import times
from machinery.api.codec import Json


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    columns.set_clock(lambda: datetime(2026, 1, 1, 0, 5, tzinfo=UTC))
    yield
    columns.set_clock(times.now)


RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}


def _waiting(reason: str) -> Json:
    return {"waiting": {"reason": reason}}


def _status(state: Json, *, name: str = "c", ready: bool = False, restarts: int = 0, **extra: Any) -> Json:
    return {"name": name, "state": state, "ready": ready, "restartCount": restarts, **extra}


def _pod(
    *statuses: Json, inits: list[Json] | None = None, spec: Json | None = None, deleted: bool = False, **status: Any
) -> Json:
    metadata = {"name": "web"} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {})
    containers = {"containers": [{"name": item["name"]} for item in statuses or ({"name": "c"},)]}
    filled = {"phase": "Running", "containerStatuses": list(statuses), "initContainerStatuses": inits or [], **status}
    return {"metadata": metadata, "spec": {**containers, **(spec or {})}, "status": filled}


TWO_INITS = {"initContainers": [{"name": "i"}, {"name": "j"}]}
SIDECAR = {"initContainers": [{"name": "s", "restartPolicy": "Always"}]}
ENDED: dict[str, Any] = {"lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:00:00Z"}}}
TRUE = {"status": "True"}


@pytest.mark.parametrize(
    ("pod", "ready", "status", "restarts"),
    [
        pytest.param(_pod(phase="Pending"), "0/1", "Pending", "0", id="pending"),
        pytest.param(_pod(_status(RUNNING, ready=True)), "1/1", "Running", "0", id="running"),
        pytest.param(_pod(_status(_waiting("ContainerCreating"))), "0/1", "ContainerCreating", "0", id="creating"),
        pytest.param(
            _pod(_status(_waiting("CrashLoopBackOff"), restarts=3, **ENDED)),
            "0/1",
            "CrashLoopBackOff",
            "3 (5m ago)",
            id="crashing",
        ),
        pytest.param(_pod(_status(DONE), phase="Succeeded"), "0/1", "Completed", "0", id="completed"),
        pytest.param(
            _pod(_status({"terminated": {"exitCode": 3}}), phase="Failed"), "0/1", "ExitCode:3", "0", id="exit-code"
        ),
        pytest.param(
            _pod(_status({"terminated": {"exitCode": 137, "signal": 9}})), "0/1", "Signal:9", "0", id="signal"
        ),
        pytest.param(
            _pod(
                _status(RUNNING, ready=True, name="a"), _status(DONE, name="b"), conditions=[{"type": "Ready", **TRUE}]
            ),
            "1/2",
            "Running",
            "0",
            id="one-completed-one-running",
        ),
        pytest.param(
            _pod(_status(DONE, name="a"), _status(RUNNING, ready=True, name="b")),
            "1/2",
            "NotReady",
            "0",
            id="one-completed-not-ready",
        ),
        pytest.param(
            _pod(
                _status(_waiting("PodInitializing")),
                inits=[_status(DONE, name="i"), _status(RUNNING, name="j")],
                spec=TWO_INITS,
            ),  # noqa: E501
            "0/1",
            "Init:1/2",
            "0",
            id="initializing",
        ),
        pytest.param(
            _pod(inits=[_status(_waiting("CrashLoopBackOff"), name="i", restarts=2)], spec=TWO_INITS),
            "0/1",
            "Init:CrashLoopBackOff",
            "2",
            id="init-crashing",
        ),
        pytest.param(
            _pod(inits=[_status({"terminated": {"exitCode": 1, "reason": "Error"}}, name="i")], spec=TWO_INITS),
            "0/1",
            "Init:Error",
            "0",
            id="init-error",
        ),
        pytest.param(
            _pod(inits=[_status({"terminated": {"exitCode": 2}}, name="i")], spec=TWO_INITS),
            "0/1",
            "Init:ExitCode:2",
            "0",
            id="init-exit-code",
        ),
        pytest.param(
            _pod(
                _status(RUNNING, ready=True),
                inits=[_status(RUNNING, name="s", ready=True, restarts=1, started=True)],
                spec=SIDECAR,
            ),
            "2/2",
            "Running",
            "1",
            id="sidecar",
        ),
        pytest.param(_pod(_status(RUNNING, ready=True), deleted=True), "1/1", "Terminating", "0", id="terminating"),
        pytest.param(
            _pod(_status(DONE), phase="Succeeded", deleted=True), "0/1", "Completed", "0", id="ended-and-deleted"
        ),
        pytest.param(
            _pod(_status(RUNNING, ready=True), deleted=True, reason="NodeLost"), "1/1", "Unknown", "0", id="node-lost"
        ),
        pytest.param(_pod(phase="Failed", reason="Evicted"), "0/1", "Evicted", "0", id="evicted"),
        pytest.param(
            _pod(
                phase="Pending", conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]
            ),
            "0/1",
            "SchedulingGated",
            "0",
            id="gated",
        ),
    ],
)
def test_a_pods_row_reads_as_upstreams(pod: Json, ready: str, status: str, restarts: str) -> None:
    cells = {column.name: column.cell(pod) for column in COLUMNS}
    assert (cells["Ready"], cells["Status"], cells["Restarts"]) == (ready, status, restarts)


def test_the_wide_columns() -> None:
    pod = _pod(
        podIP="10.0.0.1",
        nominatedNodeName="n2",
        spec={"nodeName": "n1", "readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]},
        conditions=[{"type": "a", **TRUE}],
    )
    assert [column.cell(pod) for column in COLUMNS if column.priority] == ["10.0.0.1", "n1", "n2", "1/2"]
    assert [column.cell(_pod()) for column in COLUMNS if column.priority] == ["<none>"] * 4


def test_a_summary_counts_containers_without_statuses() -> None:
    assert summary({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}).total == 2
