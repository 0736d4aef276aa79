"""Notices what happens to containers and sandboxes, by the runtime's events or by listing, and names the pod.

It only wakes the pod's worker, which then asks the runtime itself: a lost event costs time, never correctness.
Upstream: pkg/kubelet/pleg (generic.go, evented.go).
"""

import logging
from collections.abc import Callable
from typing import Final

from kubelet.cri.client import NotImplementedByRuntime, Runtime, RuntimeProblem
from kubelet.sandbox_config import POD_UID
from machinery.aio.clock import REAL, Clock

logger = logging.getLogger(__name__)

_RELIST: Final = 1.0
# Events are lost while the stream is down, and containerd 1.7 gives each to only one of several listeners.
_RELIST_WITH_EVENTS: Final = 5.0
_RETRY: Final = 2.0

Seen = dict[str, tuple[str, int]]  # container or sandbox id → pod uid, state


class Pleg:
    """Pod lifecycle events; `on_event` is called with the uid of a pod to which something happened."""

    def __init__(self, runtime: Runtime, on_event: Callable[[str], None], clock: Clock = REAL) -> None:
        self._runtime = runtime
        self._on_event = on_event
        self._clock = clock
        self._seen: Seen = {}
        self.has_events = False
        self.last_relist = clock.monotonic()

    async def run_events(self) -> None:
        """Follow the runtime's events as long as it has any; returns when it has none."""
        while True:
            try:
                async for event in self._runtime.events():
                    self.has_events = True
                    uid = event.pod_sandbox_status.metadata.uid
                    if uid:
                        self._on_event(uid)
            except NotImplementedByRuntime:
                return
            except RuntimeProblem as problem:
                logger.debug("container events: %s", problem)
            self.has_events = False
            await self._clock.sleep(_RETRY)

    async def run_relist(self) -> None:
        """List again and again, for ever; seldom while events come."""
        while True:
            try:
                await self.relist()
            except RuntimeProblem as problem:
                logger.debug("relist: %s", problem)
            await self._clock.sleep(_RELIST_WITH_EVENTS if self.has_events else _RELIST)

    async def relist(self) -> None:
        """Compare with the last time and call for each pod that changed; raises RuntimeProblem."""
        now: Seen = {}
        for sandbox in await self._runtime.list_sandboxes():
            now[sandbox.id] = (sandbox.metadata.uid, sandbox.state)
        for container in await self._runtime.list_containers():
            now[container.id] = (container.labels.get(POD_UID, ""), container.state)
        before, self._seen = self._seen, now
        self.last_relist = self._clock.monotonic()
        for uid in changed_pods(before, now):
            self._on_event(uid)


def changed_pods(before: Seen, now: Seen) -> list[str]:
    """The uids of pods with something new, gone or in another state, each once."""
    changed = [pod for key, (pod, state) in now.items() if before.get(key) != (pod, state)]
    changed += [pod for key, (pod, _) in before.items() if key not in now]
    return [uid for uid in dict.fromkeys(changed) if uid]
