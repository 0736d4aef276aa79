"""Watches over nodes: marks the silent ones Unknown, taints the unwell. Evicting pods is `taint_eviction`'s.

What is decided is in `node_health`. Upstream: pkg/controller/nodelifecycle/node_lifecycle_controller.go.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from controller_manager import indices, node_health
from controller_manager.node_health import EvictionRates, Health, TokenBucket, ZoneState
from machinery.aio.clock import REAL, Clock
from machinery.aio.tasks import every
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta, nodes, pods, times
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself, ignore_not_found, run_controller
from machinery.client.events import EventRecorder
from machinery.client.informer import Informers
from machinery.client.rest import STRATEGIC_PATCH, Client

logger = logging.getLogger(__name__)

_LEASES: Final = "kube-node-lease"
_CHECKS_AT_ONCE: Final = 8
_LABEL_PAIRS: Final = (
    ("kubernetes.io/os", "beta.kubernetes.io/os"),
    ("kubernetes.io/arch", "beta.kubernetes.io/arch"),
)


@dataclass(frozen=True, slots=True)
class Periods:
    """Seconds: between two passes, of silence allowed to a known node, and to a new one."""

    monitor: float = 5.0
    grace: float = 40.0
    startup_grace: float = 60.0
    rates: EvictionRates = field(default_factory=EvictionRates)


class NodeLifecycleController:
    """A pass over all nodes each few seconds, and a queue for the taints that follow from conditions."""

    name = "node-lifecycle-controller"

    def __init__(
        self, client: Client, informers: Informers, events: EventRecorder, periods: Periods, clock: Clock = REAL
    ) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue(clock)
        self._client = client
        self._informers = informers
        self._events = events
        self._periods = periods
        self._clock = clock
        self._known: dict[str, Json] = {}
        self._health: dict[str, Health] = {}
        self._marking: set[str] = set()  # nodes whose pods still have to be marked not ready
        self._zones: dict[str, ZoneState] = {}
        self._buckets: dict[str, TokenBucket] = {}
        self._nodes = informers.watch(kinds.NODES, on_change=enqueue_itself(self.queue))
        self._leases = informers.watch(kinds.LEASES, namespace=_LEASES)
        self._pods = informers.watch(kinds.PODS)
        indices.index_by_node(self._pods)

    async def run(self, workers: int) -> None:
        """Both loops, for ever."""
        await self._informers.wait_for_sync()
        async with asyncio.TaskGroup() as group:
            group.create_task(run_controller(self, self._informers, workers))
            group.create_task(every(self._periods.monitor, self.name, self.monitor, clock=self._clock))

    # --- what follows from a node's conditions ------------------------------------------------------------------------

    async def reconcile(self, key: ObjectKey) -> float | None:
        """NoSchedule taints and the old label names of one node."""
        node = self._nodes.get(key)
        if node is None:
            return None
        taints = node_health.plan_no_schedule(node, self._now())
        if taints is not None:
            await self._write_taints(node, taints)
        labels = {old: meta.labels_of(node)[name] for name, old in _LABEL_PAIRS if name in meta.labels_of(node)}
        if any(meta.labels_of(node).get(name) != value for name, value in labels.items()):
            await ignore_not_found(self._client.patch(kinds.NODES, key.name, "", {"metadata": {"labels": labels}}))
        return None

    async def _write_taints(self, node: Json, taints: list[Json]) -> None:
        # The resourceVersion guards against taints somebody else has set meanwhile; after Conflict: next look.
        metadata = {"resourceVersion": meta.resource_version_of(node)}
        patch = {"metadata": metadata, "spec": {"taints": taints or None}}
        await ignore_not_found(self._client.patch(kinds.NODES, meta.name_of(node), "", patch))

    # --- the pass over all nodes --------------------------------------------------------------------------------------

    async def monitor(self) -> None:
        """One pass: signs of life, conditions, taints, zones."""
        if not await self._can_listen():
            self._restart_grace()
            return
        everyone = self._nodes.list()
        self._note_arrivals(everyone)
        at_once = asyncio.Semaphore(_CHECKS_AT_ONCE)
        checked = await asyncio.gather(*(self._check_safely(node, at_once) for node in everyone))
        current = [node for node in checked if node is not None]
        ready_by_zone: dict[str, list[bool]] = {}
        for node in current:
            if node_health.EXCLUDED_FROM_DISRUPTION not in meta.labels_of(node):
                ready_by_zone.setdefault(node_health.zone_of(node), []).append(nodes.is_ready(node))
        await self._handle_disruption(current, ready_by_zone)
        for node in current:
            await self._taint(node)

    async def _can_listen(self) -> bool:
        # While the API server is away no node can show life: silence heard then says nothing about nodes.
        try:
            await self._client.request("GET", "/version")
        except (errors.StatusError, OSError) as problem:
            logger.info("nodes cannot be judged: %s", problem)
            return False
        return True

    def _restart_grace(self) -> None:
        now = self._clock.monotonic()
        self._health = {name: Health(seen.heartbeat, seen.renewed, now) for name, seen in self._health.items()}

    async def _check_safely(self, node: Json, at_once: asyncio.Semaphore) -> Json | None:
        async with at_once:
            try:
                return await self._check(node)
            except (errors.StatusError, OSError) as problem:  # the other nodes must not wait for this one
                logger.info("node %s: %s; again in the next pass", meta.name_of(node), problem)
                return None

    def _note_arrivals(self, everyone: Sequence[Json]) -> None:
        present = {meta.name_of(node): node for node in everyone}
        for name in present.keys() - self._known.keys():
            self._record(present[name], "RegisteredNode", f"Registered Node {name} in Controller")
        for name in self._known.keys() - present.keys():
            self._record(self._known[name], "RemovingNode", f"Removing Node {name} from Controller")
            self._health.pop(name, None)
            self._marking.discard(name)
        self._known = present

    async def _check(self, node: Json) -> Json:
        """Look for signs of life; returns the node as it is after what that led to."""
        name = meta.name_of(node)
        lease = self._leases.get(ObjectKey(_LEASES, name))
        before = self._health.get(name)
        health = node_health.observe(before, node, lease, self._clock.monotonic(), self._clock.now())
        self._health[name] = health
        was_ready = nodes.is_ready(node)
        if before is None and (nodes.ready_condition(node) or {}).get("status") == "Unknown":
            self._marking.add(name)  # it went silent under our predecessor, who may not have got to its pods
        grace = self._periods.grace if health.heartbeat is not None else self._periods.startup_grace
        if self._clock.monotonic() - health.noticed > grace:
            node = await self._mark_unknown(node)
        if was_ready and not nodes.is_ready(node):
            self._record(node, "NodeNotReady", f"Node {name} status is now: NodeNotReady")
            self._marking.add(name)
        if name in self._marking:
            await self._mark_pods(node)
        return node

    async def _mark_unknown(self, node: Json) -> Json:
        conditions = node_health.unknown_conditions(node, self._now())
        status = node.get("status") or {}
        if conditions == (status.get("conditions") or []):
            return node
        logger.info("node %s shows no signs of life", meta.name_of(node))
        silent = {**node, "status": {**status, "conditions": conditions}}
        return await self._client.update_status(kinds.NODES, silent)

    async def _mark_pods(self, node: Json) -> None:
        """Ready=False for the pods of a silent node, so that they leave the endpoints."""
        name = meta.name_of(node)
        if not nodes.is_ready(node):
            for pod in indices.on_node(self._pods, name):
                if pods.is_ready(pod):
                    await self._mark_pod(pod)
        self._marking.discard(name)

    async def _mark_pod(self, pod: Json) -> None:
        not_ready = {"type": "Ready", "status": "False", "lastTransitionTime": self._now()}
        patch = {"metadata": {"uid": meta.uid_of(pod)}, "status": {"conditions": [not_ready]}}
        key = meta.key_of(pod)
        self._events.event(pod, kinds.PODS, "Warning", "NodeNotReady", "Node is not ready")
        await ignore_not_found(
            self._client.patch(
                kinds.PODS, key.name, key.namespace, patch, content_type=STRATEGIC_PATCH, subresource="status"
            )
        )

    async def _taint(self, node: Json) -> None:
        taints = node_health.plan_no_execute(node, self._now())
        if taints is None:
            return
        # Taking a taint back, or swapping one for the other, needs no leave; a fresh one waits for its zone's turn.
        if not nodes.is_ready(node) and not node_health.evicts(node) and not self._may_evict(node):
            return
        try:
            await self._write_taints(node, taints)
        except (errors.StatusError, OSError) as problem:  # Conflict mostly; the next pass sees the newer node
            logger.debug("node %s: taints: %s", meta.name_of(node), problem)

    def _may_evict(self, node: Json) -> bool:
        bucket = self._buckets.get(node_health.zone_of(node))
        if bucket is None:  # the only node of its zone, excluded from disruption checks
            return True
        return bucket.take(self._clock.monotonic())

    async def _handle_disruption(self, everyone: Sequence[Json], ready_by_zone: dict[str, list[bool]]) -> None:
        rates = self._periods.rates
        verdict = node_health.judge(self._zones, ready_by_zone, rates.unhealthy_threshold)
        stopped = bool(verdict.zones) and all(state is ZoneState.FULL for state in verdict.zones.values())
        now = self._clock.monotonic()
        for zone, state in verdict.zones.items():
            rate = 0.0 if stopped else rates.in_zone(state, len(ready_by_zone[zone]))
            bucket = self._buckets.setdefault(zone, TokenBucket(rate, at=now))
            bucket.rate = rate
        self._zones = dict(verdict.zones)
        if verdict.entered:
            logger.info("no node is ready: nothing is evicted until one is")
            await self._take_taints_back(everyone)
        if verdict.left:
            # The silence may have been ours: everybody gets a whole grace period anew.
            self._restart_grace()

    async def _take_taints_back(self, everyone: Sequence[Json]) -> None:
        for node in everyone:
            taints = node_health.without_no_execute(node)
            if taints is not None:
                try:
                    await self._write_taints(node, taints)
                except (errors.StatusError, OSError) as problem:
                    logger.warning("node %s keeps its taints: %s", meta.name_of(node), problem)

    def _record(self, node: Json, reason: str, message: str) -> None:
        self._events.event(node, kinds.NODES, "Normal", reason, message)

    def _now(self) -> str:
        return times.rfc3339(self._clock.now())
