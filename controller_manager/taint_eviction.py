"""Evicts pods whose toleration of their node's NoExecute taints has run out. Tainting is `node_lifecycle`'s.

Upstream: pkg/controller/tainteviction/taint_eviction.go. The time runs from when this process first saw pod and taint
together, not from the taint's timeAdded: a controller that comes back after an hour must not evict at once what a node
that has long recovered still runs.
"""

import contextlib
import logging
from collections.abc import Sequence
from typing import Final

from controller_manager import indices
from machinery.aio.clock import REAL, Clock
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta, nodes, pods, times
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.events import EventRecorder
from machinery.client.informer import Informers
from machinery.client.rest import STRATEGIC_PATCH, Client

logger = logging.getLogger(__name__)

_DISRUPTION: Final = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "DeletionByTaintManager",
    "message": "Taint manager: deleting due to NoExecute taint",
}


def no_execute(node: Json | None) -> list[Json]:
    """The taints of a node that evict."""
    return [taint for taint in nodes.taints_of(node or {}) if taint.get("effect") == "NoExecute"]


def seconds_tolerated(taints: Sequence[Json], tolerations: Sequence[Json]) -> float | None:
    """How long all taints together are tolerated: None for ever, 0 not at all."""
    limits: list[float] = []
    for taint in taints:
        matching = [toleration for toleration in tolerations if nodes.tolerates(toleration, taint)]
        if not matching:
            return 0.0
        # As upstream, the first toleration that matches a taint counts, not the most generous.
        seconds = matching[0].get("tolerationSeconds")
        if seconds is not None:
            limits.append(max(0.0, float(seconds)))
    return min(limits, default=None)


class TaintEvictionController:
    """Keys are pods. Per key: since when its time runs, while it does."""

    name = "taint-eviction-controller"

    def __init__(self, client: Client, informers: Informers, events: EventRecorder, clock: Clock = REAL) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue(clock)
        self._client = client
        self._events = events
        self._clock = clock
        self._running: dict[ObjectKey, tuple[str, float]] = {}
        self._nodes = informers.watch(kinds.NODES, on_change=self._node_changed)
        self._pods = informers.watch(kinds.PODS, on_change=self._pod_changed)
        indices.index_by_node(self._pods)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one pod; seconds until its toleration runs out."""
        pod = self._pods.get(key)
        if pod is None or meta.is_being_deleted(pod) or not pods.node_of(pod):
            self._running.pop(key, None)
            return None
        taints = no_execute(self._nodes.get(ObjectKey("", pods.node_of(pod))))
        tolerated = seconds_tolerated(taints, pod["spec"].get("tolerations") or ())
        if tolerated is None:
            self._cancel(key, pod)
            return None
        uid, since = self._running.get(key, ("", 0.0))
        if uid != meta.uid_of(pod):
            since = self._clock.monotonic()
            self._running[key] = (meta.uid_of(pod), since)
        left = since + tolerated - self._clock.monotonic()
        if left > 0:
            return left
        await self._evict(key, pod)
        return None

    def _cancel(self, key: ObjectKey, pod: Json) -> None:
        if self._running.pop(key, None) is not None:
            self._record(pod, f"Cancelling deletion of Pod {key}")

    async def _evict(self, key: ObjectKey, pod: Json) -> None:
        logger.info("evicting %s from node %s", key, pods.node_of(pod))
        self._record(pod, f"Marking for deletion Pod {key}")
        now = times.rfc3339(self._clock.now())
        conditions = [{**_DISRUPTION, "lastTransitionTime": now}]
        patch = {"metadata": {"uid": meta.uid_of(pod)}, "status": {"conditions": conditions}}
        with contextlib.suppress(errors.NotFound):
            if not meta.condition_is_true(pod, _DISRUPTION["type"]):
                await self._client.patch(
                    kinds.PODS, key.name, key.namespace, patch, content_type=STRATEGIC_PATCH, subresource="status"
                )
            await self._client.delete(kinds.PODS, key.name, key.namespace, uid=meta.uid_of(pod))
        self._running.pop(key, None)

    def _record(self, pod: Json, message: str) -> None:
        self._events.event(pod, kinds.PODS, "Normal", "TaintManagerEviction", message)

    def _node_changed(self, old: Json | None, new: Json | None) -> None:
        if no_execute(old) != no_execute(new):
            for pod in indices.on_node(self._pods, meta.name_of(new or old or {})):
                self.queue.add(meta.key_of(pod))

    def _pod_changed(self, old: Json | None, new: Json | None) -> None:
        if old is None or new is None or _matters(old) != _matters(new):
            self.queue.add(meta.key_of(new or old or {}))


def _matters(pod: Json) -> tuple[object, ...]:
    return meta.uid_of(pod), pods.node_of(pod), pod["spec"].get("tolerations"), meta.is_being_deleted(pod)
