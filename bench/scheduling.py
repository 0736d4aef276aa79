"""How fast pods get nodes: workloads like upstream's scheduler_perf, in simulation and on a real API server.

Nodes are Node objects without kubelets, as scheduler_perf has them: what is measured is the scheduler, with its client,
its informers and its events.
"""

import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from bench import client
from bench.client import Address, Request
from bench.processes import Target, call, scheduler, skiff

_ROOT: Final = Path(__file__).parents[1]
_PODS: Final = "/api/v1/namespaces/default/pods"
_CONNECTIONS: Final = 32
_MOST_SECONDS: Final = 600.0
_CHURN_SECONDS: Final = 0.2
#: ms of the scheduler's CPU per pod at most, at 5,000 nodes, client calls included; pods per second at least, simulated
TARGETS: Final[dict[str, tuple[float | None, float]]] = {
    "basic": (1.0, 1500),
    "node-affinity": (1.2, 500),
    "topology-spread": (1.5, 500),
    "pod-affinity": (2.0, 500),
    "pod-anti-affinity": (2.0, 500),
    "preferred-pod-affinity": (None, 500),
    "unschedulable": (None, 500),
    "preemption": (None, 500),
    "churn": (None, 500),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure; no workload named means all."""

    nodes: int
    pods: int
    workloads: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    real: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One workload: simulated or on a real server."""

    workload: str
    where: str
    per_second: float
    cpu_ms: float
    memory_mb: float


def measure(plan: Plan, console: Console) -> list[Row]:
    """Each workload in processes of its own; says what it does."""
    rows = []
    for name in plan.workloads or TARGETS:
        console.print(f"{name}: {plan.nodes:,} nodes, {plan.pods:,} pods", highlight=False, style="dim")
        if not plan.command:
            rows.append(_simulated(plan, name))
        if plan.real:
            with tempfile.TemporaryDirectory(prefix="skiff-bench-") as folder:
                rows.append(_on_a_server(plan, name, Path(folder)))
    return rows


def as_json(rows: Sequence[Row]) -> str:
    """For programs."""
    return json.dumps([asdict(row) for row in rows], indent=2)


def print_table(rows: Sequence[Row], console: Console) -> None:
    """For people."""
    table = Table(box=box.MARKDOWN)
    for title in ("workload", "where"):
        table.add_column(title)
    for title in ("pods/s", "at least", "CPU ms per pod", "at most", "MB"):
        table.add_column(title, justify="right")
    for row in rows:
        most, least = TARGETS[row.workload]
        rate, cpu = (f"{least:,.0f}", "") if row.where == "simulated" else ("", f"{most:.1f}" if most else "")
        figures = (f"{row.per_second:,.0f}", rate, f"{row.cpu_ms:.2f}", cpu, f"{row.memory_mb:.0f}")
        table.add_row(row.workload, row.where, *figures)
    console.print(table)


def _simulate(plan: Plan, name: str, *flags: str) -> Any:
    sizes = ("--nodes", str(plan.nodes), "--count", str(plan.pods))
    command = [sys.executable, "-m", "scheduler", "simulate", *sizes, "--pods", name, *flags]
    return json.loads(subprocess.run(command, check=True, capture_output=True, cwd=_ROOT).stdout)


def _simulated(plan: Plan, name: str) -> Row:
    found = _simulate(plan, name, "--json")
    cpu = found["cpu_seconds"] / found["pods"] * 1000
    return Row(name, "simulated", found["pods"] / found["seconds"], cpu, found["memory_mb"])


def _on_a_server(plan: Plan, name: str, folder: Path) -> Row:
    objects = _simulate(plan, name, "--objects")
    with skiff(folder, lenient=True) as server, scheduler(folder, server.address, plan.command) as target:
        _create(server.address, "/api/v1/nodes", objects["nodes"])
        _create(server.address, _PODS, objects["before"])
        _wait_until_bound(server.address, {one["metadata"]["name"] for one in objects["before"]})
        return _measured(name, server.address, target, objects["pods"])


def _measured(name: str, address: Address, target: Target, pods: list[Any]) -> Row:
    started, cpu = time.monotonic(), target.cpu()
    with _churning(address) if name == "churn" else nullcontext():
        _create(address, _PODS, pods)
        _wait_until_bound(address, {one["metadata"]["name"] for one in pods})
    seconds = time.monotonic() - started
    return Row(
        name, "real server", len(pods) / seconds, (target.cpu() - cpu) / len(pods) * 1000, target.memory() / 2**20
    )


@contextmanager
def _churning(address: Address) -> Iterator[None]:
    """Nodes, Services and pods that fit nowhere come and go."""
    stop = threading.Event()
    thread = threading.Thread(target=_churn, args=(address, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _churn(address: Address, stop: threading.Event) -> None:
    for number in itertools.count():
        for path, obj in _comings(f"churn-{number}"):
            call(address, "POST", path, json.dumps(obj).encode())
        if stop.wait(_CHURN_SECONDS):
            return
        for path, obj in _comings(f"churn-{number}"):
            call(address, "DELETE", f"{path}/{obj['metadata']['name']}?gracePeriodSeconds=0")


def _comings(name: str) -> Iterator[tuple[str, Any]]:
    resources = {"cpu": "4", "memory": "32Gi", "pods": "110"}
    container = {"name": "c", "image": "pause", "resources": {"requests": {"cpu": "9999"}}}
    yield "/api/v1/nodes", {"metadata": {"name": name}, "status": {"allocatable": resources, "capacity": resources}}
    yield "/api/v1/namespaces/default/services", {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}
    yield _PODS, {"metadata": {"name": name}, "spec": {"containers": [container]}}


def _create(address: Address, path: str, objects: list[Any]) -> None:
    requests: Iterator[Request] = (Request("POST", path, _encoded(one)) for one in objects)
    asyncio.run(client.run(address, requests, _CONNECTIONS))


def _encoded(obj: Any) -> bytes:
    """Without what only a simulation has."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in ("uid", "resourceVersion")}
    return json.dumps({**obj, "metadata": metadata}).encode()


def _wait_until_bound(address: Address, names: set[str]) -> None:
    """Until none of the pods is left without a node, but for those that fit nowhere."""
    deadline = time.monotonic() + _MOST_SECONDS
    wanted = {name for name in names if not name.startswith("huge")}
    while True:
        listed = json.loads(call(address, "GET", f"{_PODS}?fieldSelector=spec.nodeName%3D"))
        if not wanted.intersection(one["metadata"]["name"] for one in listed["items"]):
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(listed['items'])} pods have no node after {_MOST_SECONDS:.0f} s")
        time.sleep(0.25)
