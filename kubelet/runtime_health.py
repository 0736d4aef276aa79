"""Whether the container runtime and its network are there, asked every few seconds. Writing it down is `node_status`'s.

Upstream: pkg/kubelet/runtime.go, kubelet.go (updateRuntimeUp).
"""

import logging
from collections.abc import Callable
from typing import Final

from kubelet.cri import api_pb2 as api
from kubelet.cri.client import Runtime, RuntimeProblem
from machinery.aio.clock import REAL, Clock
from machinery.api.codec import Json

logger = logging.getLogger(__name__)

_PATIENCE: Final = 12.0  # seconds a restart of the runtime may take before the node is not ready
_MOST_IMAGES: Final = 50


class RuntimeHealth:
    """What the last looks showed; `on_change` is called when that changes."""

    def __init__(self, runtime: Runtime, on_change: Callable[[], None], clock: Clock = REAL) -> None:
        self._runtime = runtime
        self._on_change = on_change
        self._clock = clock
        self._last_good: float | None = None
        self.problem = "container runtime status check may not have completed yet"
        self.network_problem = ""
        self.images: list[Json] = []

    @property
    def network_problem_of_node(self) -> str:
        """As the node's Ready condition says it."""
        return f"container runtime network not ready: {self.network_problem}" if self.network_problem else ""

    async def look(self) -> None:
        """Ask once."""
        before = (self.problem, self.network_problem)
        try:
            await self._ask()
        except RuntimeProblem as problem:
            logger.debug("runtime status: %s", problem)
            if self._last_good is None or self._clock.monotonic() - self._last_good > _PATIENCE:
                self.problem = "container runtime is down"
        if before != (self.problem, self.network_problem):
            logger.info("%s", self.problem or self.network_problem_of_node or "the container runtime is ready")
            self._on_change()

    async def _ask(self) -> None:
        conditions = {condition.type: condition for condition in await self._runtime.conditions()}
        runtime, network = conditions.get("RuntimeReady"), conditions.get("NetworkReady")
        if runtime is not None and not runtime.status:
            self.problem = f"container runtime not ready: {_shown(runtime)}"
        else:
            self.problem = ""
            self._last_good = self._clock.monotonic()
        self.network_problem = _shown(network) if network is not None and not network.status else ""
        images = sorted(await self._runtime.list_images(), key=lambda image: -image.size)[:_MOST_IMAGES]
        self.images = [
            {"names": [*image.repo_digests, *image.repo_tags], "sizeBytes": image.size}
            for image in images
            if image.repo_digests or image.repo_tags
        ]


def _shown(condition: api.RuntimeCondition) -> str:
    status = str(condition.status).lower()
    return f"{condition.type}={status} reason:{condition.reason} message:{condition.message}"
