"""Deletes pods nobody else will: of nodes gone or out of service, never scheduled, long ended. Others are kubelets'.

Pods that are being deleted on a node that only went silent stay: whether they still run, nobody knows (upstream:
pkg/controller/podgc/gc_controller.go).
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from machinery.aio.clock import REAL, Clock
from machinery.aio.tasks import every
from machinery.api import errors, kinds, meta, nodes, pods, times
from machinery.api.codec import Json
from machinery.client.controller import ignore_not_found
from machinery.client.informer import Informers
from machinery.client.rest import STRATEGIC_PATCH, Client

logger = logging.getLogger(__name__)

_OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
_ORPHANED: Final = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "DeletionByPodGC",
    "message": "PodGC: node no longer exists",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How many ended pods are kept, and times in seconds.

    A node must be missing for `quarantine` before its pods are looked at: caches of pods and nodes are not in step.
    """

    terminated_pods: int = 12500
    period: float = 20.0
    quarantine: float = 40.0


@dataclass(frozen=True, slots=True)
class Doomed:
    """A pod to delete without grace, and the condition to leave on it first."""

    pod: Json
    condition: Json | None = None


def plan_terminated(everyone: Sequence[Json], threshold: int) -> list[Doomed]:
    """Ended pods above the threshold, evicted ones first, then the oldest; a threshold of 0 keeps all."""
    ended = [pod for pod in everyone if pods.is_terminal(pod)]
    if threshold <= 0 or len(ended) <= threshold:
        return []
    ended.sort(key=lambda pod: (not _was_evicted(pod), _created(pod), meta.name_of(pod)))
    return [Doomed(pod) for pod in ended[: len(ended) - threshold]]


def plan_out_of_service(everyone: Sequence[Json], by_name: dict[str, Json]) -> list[Doomed]:
    """Pods being deleted on nodes that an operator declared out of service and that are not ready (KEP-2268)."""
    lost = {
        name
        for name, node in by_name.items()
        if not nodes.is_ready(node) and any(taint["key"] == _OUT_OF_SERVICE for taint in nodes.taints_of(node))
    }
    return [Doomed(pod) for pod in everyone if meta.is_being_deleted(pod) and pods.node_of(pod) in lost]


def plan_unscheduled(everyone: Sequence[Json]) -> list[Doomed]:
    """Pods being deleted that no node ever had."""
    return [Doomed(pod) for pod in everyone if meta.is_being_deleted(pod) and not pods.node_of(pod)]


def plan_orphaned(everyone: Sequence[Json], gone: set[str]) -> list[Doomed]:
    """Pods on nodes that are known to be gone."""
    return [Doomed(pod, _ORPHANED) for pod in everyone if pods.node_of(pod) in gone]


def _was_evicted(pod: Json) -> bool:
    status = pod.get("status") or {}
    return status.get("phase") == "Failed" and status.get("reason") == "Evicted"


def _created(pod: Json) -> str:
    return meta.metadata_of(pod).get("creationTimestamp") or ""


class PodGC:
    """A pass over all pods each few seconds."""

    name = "pod-garbage-collector-controller"

    def __init__(self, client: Client, informers: Informers, limits: Limits, clock: Clock = REAL) -> None:
        self._client = client
        self._informers = informers
        self._limits = limits
        self._clock = clock
        self._missing: dict[str, float] = {}
        self._pods = informers.watch(kinds.PODS)
        self._nodes = informers.watch(kinds.NODES)

    async def run(self) -> None:
        """Pass after pass, for ever."""
        await self._informers.wait_for_sync()
        await every(self._limits.period, self.name, self.collect, clock=self._clock)

    async def collect(self) -> None:
        """One pass."""
        everyone = self._pods.list()
        by_name = {meta.name_of(node): node for node in self._nodes.list()}
        gone = await self._gone_nodes({pods.node_of(pod) for pod in everyone} - {""} - by_name.keys())
        doomed = [
            *plan_terminated(everyone, self._limits.terminated_pods),
            *plan_out_of_service(everyone, by_name),
            *plan_orphaned(everyone, gone),
            *plan_unscheduled(everyone),
        ]
        await asyncio.gather(*(self._delete(each) for each in doomed))

    async def _gone_nodes(self, missing: set[str]) -> set[str]:
        """Of the nodes missing in the cache, those missing for long and unknown to the API server too."""
        now = self._clock.monotonic()
        self._missing = {name: self._missing.get(name, now) for name in missing}
        gone = set()
        for name, since in self._missing.items():
            if now - since >= self._limits.quarantine and not await self._exists(name):
                gone.add(name)
        return gone

    async def _exists(self, name: str) -> bool:
        try:
            await self._client.get(kinds.NODES, name)
        except errors.NotFound:
            return False
        except (errors.StatusError, OSError):
            return True  # unknown counts as there: deleting is the thing to be sure of
        return True

    async def _delete(self, doomed: Doomed) -> None:
        key = meta.key_of(doomed.pod)
        try:
            if not pods.is_terminal(doomed.pod):
                await self._mark_failed(doomed)
            await ignore_not_found(
                self._client.delete(
                    kinds.PODS, key.name, key.namespace, uid=meta.uid_of(doomed.pod), grace_period_seconds=0
                )
            )
        except (errors.StatusError, OSError) as problem:  # one pod must not hold the others; the next pass tries again
            logger.warning("pod %s was not collected: %s", key, problem)
        else:
            logger.info("collected pod %s", key)

    async def _mark_failed(self, doomed: Doomed) -> None:
        # No kubelet will ever report its end: without this it would count as running wherever its finalizers hold it.
        status: Json = {"phase": "Failed"}
        if doomed.condition is not None:
            status["conditions"] = [{**doomed.condition, "lastTransitionTime": times.rfc3339(self._clock.now())}]
        patch = {"metadata": {"uid": meta.uid_of(doomed.pod)}, "status": status}
        key = meta.key_of(doomed.pod)
        await ignore_not_found(
            self._client.patch(
                kinds.PODS, key.name, key.namespace, patch, content_type=STRATEGIC_PATCH, subresource="status"
            )
        )
