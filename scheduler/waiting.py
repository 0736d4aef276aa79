"""Pods that have a node and wait for a Permit plugin's leave to be bound: gangs, quotas, approvals.

Upstream: pkg/scheduler/framework/runtime/waiting_pods_map.go.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from machinery.aio.clock import Clock
from machinery.api.names import ObjectKey
from scheduler.pods import Pod

#: nobody waits longer, whatever a plugin says
LONGEST_SECONDS: Final = 15 * 60.0


class Refusal(NamedTuple):
    """Who said no, and why."""

    plugin: str
    reason: str


class WaitingPod:
    """One pod, with the plugins whose leave is missing."""

    def __init__(self, pod: Pod, node: str, seconds: Mapping[str, float]) -> None:
        self.pod = pod
        self.node = node
        self.missing = set(seconds)
        self.seconds = {plugin: min(most, LONGEST_SECONDS) for plugin, most in seconds.items()}
        self._decision: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()

    def allow(self, plugin: str) -> None:
        """A plugin gives its leave; with the last one the pod is bound."""
        self.missing.discard(plugin)
        if not self.missing and not self._decision.done():
            self._decision.set_result(None)

    def reject(self, plugin: str, reason: str) -> None:
        """The pod is not bound, gives its node back and is queued again."""
        if not self._decision.done():
            self._decision.set_result(Refusal(plugin, reason))

    async def decided(self, clock: Clock) -> Refusal | None:
        """Wait for the last leave (None), the first refusal, or until a plugin's time is over."""
        timers = [asyncio.ensure_future(self._expire(clock, *one)) for one in self.seconds.items()]
        try:
            return await self._decision
        finally:
            for timer in timers:
                timer.cancel()

    async def _expire(self, clock: Clock, plugin: str, seconds: float) -> None:
        await clock.sleep(seconds)
        if plugin in self.missing:
            self.reject(plugin, f"rejected due to timeout after waiting {seconds:g}s at plugin {plugin}")


class WaitingPods:
    """All of them, for plugins that decide about one when another arrives."""

    def __init__(self) -> None:
        self._pods: dict[ObjectKey, WaitingPod] = {}

    def add(self, waiting: WaitingPod) -> None:
        """It waits from now on."""
        self._pods[waiting.pod.key] = waiting

    def get(self, key: ObjectKey) -> WaitingPod | None:
        """The pod if it waits."""
        return self._pods.get(key)

    def remove(self, key: ObjectKey) -> None:
        """It waits no more."""
        self._pods.pop(key, None)

    def __iter__(self) -> Iterator[WaitingPod]:
        return iter(list(self._pods.values()))
