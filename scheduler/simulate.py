"""`python -m scheduler simulate`: the scheduler's own code on a cluster in memory, repeatable by its seed.

--nodes N --pods WORKLOAD makes a cluster like upstream's scheduler_perf; --pods FILE places the pods of a file;
--snapshot FILE reads a cluster from YAML (`kubectl get nodes,pods -A -o yaml`; volumes, claims, budgets and what else
the scheduler reads may stand there too). What is printed: where pods went, how full nodes are, how fast that was.
"""

import argparse
import asyncio
import json
import resource
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from machinery.aio.clock import FakeClock
from machinery.api import kinds, meta, pods
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from scheduler import config, workloads
from scheduler.extender import Extenders
from scheduler.framework import Handle
from scheduler.scheduler import Scheduler
from scheduler.simulated_cluster import NoEvents, SimulatedCluster
from scheduler.workloads import WORKLOADS, Workload

_PATIENCE: Final = 30  # seconds of simulated time that pods may back off before the rest is given up


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run."""

    nodes: int
    pods: int
    placed: int
    evicted: int
    seconds: float
    cpu_seconds: float
    memory_mb: float
    used: dict[str, tuple[float, float, float]]  # resource: share of the nodes' least, mean, most

    @property
    def per_second(self) -> float:
        """Pods placed or given up in a second."""
        return self.pods / self.seconds if self.seconds else 0.0

    @property
    def cpu_per_pod(self) -> float:
        """Milliseconds."""
        return self.cpu_seconds / self.pods * 1000 if self.pods else 0.0


class Simulation:
    """A scheduler and a cluster."""

    def __init__(self, configuration: config.SchedulerConfiguration, seed: int, extenders: Extenders) -> None:
        """Raises ConfigError."""
        self.cluster = SimulatedCluster()
        self._clock = FakeClock()
        self._group: asyncio.TaskGroup | None = None
        nobody: Any = self.cluster
        handle = Handle(nobody, nobody, seed, self._clock)
        recorder: Any = NoEvents()
        profiles = {name: config.build(one, handle) for name, one in config.check(configuration).items()}
        backoff = (configuration.pod_initial_backoff_seconds, configuration.pod_max_backoff_seconds)
        self.scheduler = Scheduler(handle, recorder, profiles, backoff=backoff, extenders=extenders)

    def add(self, workload: Workload) -> None:
        """The cluster as it is at first."""
        for kind, objects in workload.others.items():
            for obj in objects:
                self.cluster.put(kind, obj)
        for node in workload.nodes:
            self.cluster.put(kinds.NODES, node)

    async def place(self, objects: Sequence[Json]) -> None:
        """Bring pods in and wait until each has a node or there is none for it."""
        for pod in objects:
            self.cluster.put(kinds.PODS, pod)
        waited = 0
        async with asyncio.TaskGroup() as group:
            while waited < _PATIENCE:
                await self._drain(group)
                if self.scheduler.is_idle:
                    break
                await self._clock.advance(1.0)
                waited += 1

    def churn(self, turn: int) -> None:
        """What came at the last turn goes, and the next comes: a node, a Service, a pod that fits nowhere."""
        names = {kind: f"churn-{kind.plural}" for kind in (kinds.NODES, kinds.SERVICES, kinds.PODS)}
        for kind, name in names.items():
            self.cluster.remove(kind, ObjectKey("default" if kind.namespaced else "", f"{name}-{turn - 1}"))
        self.cluster.put(kinds.NODES, workloads.node(f"{names[kinds.NODES]}-{turn}"))
        self.cluster.put(kinds.PODS, workloads.pod(f"{names[kinds.PODS]}-{turn}", cpu="9999"))
        service = {"metadata": {"name": f"{names[kinds.SERVICES]}-{turn}", "namespace": "default"}, "spec": {}}
        self.cluster.put(kinds.SERVICES, service)

    async def _drain(self, group: asyncio.TaskGroup) -> None:
        """Try what is ready; bindings and evictions have their turns in between."""
        more = True
        while more:
            more = await self.scheduler.try_next(group)
            await asyncio.sleep(0)

    def result(self, nodes: int, names: Sequence[str], seconds: float, cpu: float) -> Result:
        """Count."""
        wanted = set(names)
        placed = sum(bool(pods.node_of(pod)) for pod in self.cluster.pods() if meta.name_of(pod) in wanted)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return Result(nodes, len(names), placed, self.cluster.evicted, seconds, cpu, memory, self._used())

    def placements(self) -> Iterator[tuple[str, str]]:
        """Pod and node of every pod."""
        for pod in self.cluster.pods():
            yield str(meta.key_of(pod)), pods.node_of(pod) or "<none>"

    def _used(self) -> dict[str, tuple[float, float, float]]:
        table = self.scheduler.cache.nodes
        found = {}
        for name in ("cpu", "memory", "pods"):
            offered = table.allocatable(name)[table.all()]
            if not offered.size or not offered.any():
                continue
            shares = table.requested(name)[table.all()] / np.maximum(offered, 1)
            found[name] = (float(shares.min()), float(shares.mean()), float(shares.max()))
        return found


async def run(workload: Workload, configuration: config.SchedulerConfiguration, seed: int) -> tuple[Simulation, Result]:
    """Simulate; what the cluster has at first is not measured."""
    async with _extenders(configuration) as extenders:
        simulation = Simulation(configuration, seed, extenders)
        simulation.add(workload)
        await simulation.place(workload.before)
        started, cpu = time.perf_counter(), time.process_time()
        await _place_in_turns(simulation, workload)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    names = [meta.name_of(pod) for pod in workload.pods]
    return simulation, simulation.result(len(workload.nodes), names, seconds, cpu)


def _extenders(configuration: config.SchedulerConfiguration) -> Extenders:
    """They are asked as a real scheduler does, but to bind: the cluster is nowhere that they could reach."""
    asked = [one.model_copy(update={"bind_verb": ""}) for one in configuration.extenders]
    return Extenders(asked, blocking=True)


async def _place_in_turns(simulation: Simulation, workload: Workload) -> None:
    """All at once, or, where things come and go meanwhile, a part of them at each turn."""
    if not workload.churn:
        await simulation.place(workload.pods)
        return
    size = -(-len(workload.pods) // workload.churn)
    for turn in range(workload.churn):
        simulation.churn(turn)
        await simulation.place(workload.pods[turn * size : (turn + 1) * size])


def snapshot(path: str) -> Workload:
    """What a YAML file has; pods with a node are there at first, the others are placed. Raises ConfigError."""
    try:
        documents = [one for one in yaml.safe_load_all(Path(path).read_text()) if one]
    except (OSError, yaml.YAMLError) as problem:
        raise config.ConfigError(f"{path}: {problem}") from problem
    found = Workload()
    for document in documents:
        for obj in document.get("items") or [document]:
            _sort_in(found, obj)
    return found


def _sort_in(workload: Workload, obj: Json) -> None:
    metadata = obj.setdefault("metadata", {})
    metadata.setdefault("resourceVersion", "1")
    kind = next((kind for kind in kinds.ALL if kind.kind == obj.get("kind")), None)
    if kind is not None and kind.namespaced:
        metadata.setdefault("namespace", "default")
    metadata.setdefault("uid", f"{obj.get('kind')} {meta.key_of(obj)}")
    if kind is kinds.NODES:
        workload.nodes.append(obj)
    elif kind is kinds.PODS and not pods.is_terminal(obj):
        (workload.before if pods.node_of(obj) else workload.pods).append(obj)
    elif kind is not None and kind is not kinds.PODS:
        workload.others.setdefault(kind, []).append(obj)


def report(result: Result) -> str:
    """For people."""
    left = result.pods - result.placed
    lines = [
        f"{result.nodes} nodes, {result.pods} pods: {result.placed} placed, {left} not, {result.evicted} evicted",
        f"{result.per_second:,.0f} pods/s, {result.cpu_per_pod:.2f} ms of CPU per pod, {result.memory_mb:.0f} MB",
        "used of nodes (least, mean, most):",
    ]
    for name, shares in result.used.items():
        lines.append(f"  {name:<8}" + "  ".join(f"{share:6.1%}" for share in shares))
    return "\n".join(lines)


def _workload(chosen: argparse.Namespace) -> Workload:
    """What the flags ask for; raises ConfigError."""
    made = WORKLOADS.get(chosen.pods or "basic")
    if not chosen.snapshot and made is not None:
        return made(chosen.nodes, chosen.count)
    cluster = snapshot(chosen.snapshot) if chosen.snapshot else Workload(WORKLOADS["basic"](chosen.nodes, 0).nodes)
    if made is not None and chosen.pods:
        cluster.pods = made(0, chosen.count).pods
    elif chosen.pods:
        cluster.pods = snapshot(chosen.pods).pods
    return cluster


def main(argv: Sequence[str]) -> None:
    """Read the flags, simulate, print."""
    parser = argparse.ArgumentParser(prog="python -m scheduler simulate", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000, help="nodes of a workload")
    parser.add_argument("--count", type=int, default=1000, help="pods of a workload that are measured")
    parser.add_argument("--pods", default="", help=f"a file with pods to place, or {', '.join(WORKLOADS)}")
    parser.add_argument("--snapshot", default="", help="YAML with a cluster instead of --nodes")
    parser.add_argument("--config", default="", help="a KubeSchedulerConfiguration")
    parser.add_argument("--seed", type=int, default=0, help="decides between nodes that are equally good")
    parser.add_argument("--objects", action="store_true", help="simulate nothing; print the cluster as JSON")
    parser.add_argument("--placements", action="store_true", help="print each pod's node")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args(argv)
    try:
        workload = _workload(chosen)
        if chosen.objects:
            print(json.dumps({"nodes": workload.nodes, "before": workload.before, "pods": workload.pods}))
            return
        simulation, result = asyncio.run(run(workload, config.load(chosen.config), chosen.seed))
    except config.ConfigError as problem:
        raise SystemExit(f"error: {problem}") from problem
    if chosen.json:
        placed = dict(simulation.placements()) if chosen.placements else {}
        print(json.dumps({**asdict(result), "placements": placed}))
        return
    if chosen.placements:
        for name, count in Counter(node for _, node in simulation.placements()).items():
            print(f"{name}: {count}")
        for pod, node in simulation.placements():
            print(f"{pod} -> {node}")
    print(report(result))
