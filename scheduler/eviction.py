"""Carries a preemption out: the victims are told why, deleted, and an event says by whom.

Upstream: framework/preemption/executor.go. Who they are is `preemption`'s.
"""

import logging

from machinery.aio.clock import REAL, Clock
from machinery.api import errors, kinds, meta, times
from machinery.api.codec import Json
from machinery.client.events import EventRecorder
from machinery.client.rest import STRATEGIC_PATCH, Client, ConnectionProblem
from scheduler.framework import Nomination
from scheduler.pods import Pod
from scheduler.waiting import WaitingPods

logger = logging.getLogger(__name__)


class Evictor:
    """Makes room for a pod."""

    def __init__(self, client: Client, recorder: EventRecorder, waiting: WaitingPods, clock: Clock = REAL) -> None:
        self._client = client
        self._waiting = waiting
        self._recorder = recorder
        self._clock = clock

    async def make_room(self, pod: Pod, nomination: Nomination, less_important: list[Pod]) -> None:
        """Evict the victims, and take the nominations away of pods that no longer come first there."""
        for other in less_important:
            await self._patch(other, {"nominatedNodeName": None})
        for victim in nomination.victims:
            if waits := self._waiting.get(victim.key):
                waits.reject("DefaultPreemption", "preempted")
            elif not victim.is_terminating:
                await self._evict(victim, pod, nomination.node)

    async def _evict(self, victim: Pod, pod: Pod, node: str) -> None:
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": f"{pod.scheduler_name}: preempting to accommodate a higher priority pod",
            "lastTransitionTime": times.rfc3339(self._clock.now()),
        }
        there = meta.find_condition((victim.obj.get("status") or {}).get("conditions"), "DisruptionTarget")
        if there is None or there.get("status") != "True":
            await self._patch(victim, {"conditions": [condition]})
        try:
            await self._client.delete(kinds.PODS, victim.key.name, victim.key.namespace, uid=victim.uid)
        except (errors.NotFound, errors.Conflict):
            return  # it is gone, or another one has its name
        except (errors.StatusError, ConnectionProblem) as problem:
            logger.warning("preempting %s for %s: %s", victim.key, pod.key, problem)
            return
        message = f"Preempted by pod {pod.uid} on node {node}"
        self._recorder.event(victim.obj, kinds.PODS, "Normal", "Preempted", message)

    async def _patch(self, pod: Pod, status: Json) -> None:
        patch = {"metadata": {"uid": pod.uid}, "status": status}
        key = pod.key
        try:
            await self._client.patch(
                kinds.PODS, key.name, key.namespace, patch, content_type=STRATEGIC_PATCH, subresource="status"
            )
        except errors.NotFound:
            return
        except (errors.StatusError, ConnectionProblem) as problem:
            logger.warning("writing the status of %s: %s", key, problem)
