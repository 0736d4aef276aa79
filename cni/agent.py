"""The loop: a change of any Node, or time, leads to one comparison of plan and host. Both are decided elsewhere."""

import asyncio
import logging
from pathlib import Path

from cni import host, plan
from machinery.aio.backoff import Backoff
from machinery.aio.clock import REAL, Clock
from machinery.aio.tasks import first_of
from machinery.api import errors, kinds, times
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.informer import Informers
from machinery.client.rest import STRATEGIC_PATCH, Client, ConnectionProblem

logger = logging.getLogger(__name__)


class Agent:
    """Keeps one node's network as the Nodes say."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        node: str,
        conf_dir: Path,
        settings: plan.Settings,
        *,
        clock: Clock = REAL,
    ) -> None:
        self._client = client
        self._informers = informers
        self._node = node
        self._conf_dir = conf_dir
        self._settings = settings
        self._clock = clock
        self._changed = asyncio.Event()
        self._told: set[str] = set()
        self.problem: str | None = "not synced yet"
        self._nodes = informers.watch(kinds.NODES, on_change=self._on_node)

    async def run(self, sync_period: float) -> None:
        """For ever; everything is looked at anew each `sync_period` seconds."""
        await host.load_bridge_filter()
        await self._informers.wait_for_sync()
        backoff = Backoff(initial=1.0, maximum=sync_period)
        while True:
            self._changed.clear()
            try:
                await self._sync()
                backoff.reset()
                delay = sync_period
            except (OSError, errors.StatusError, ConnectionProblem) as problem:
                if str(problem) != self.problem:
                    logger.error("sync failed: %s; trying again", problem)
                self.problem = str(problem)
                delay = backoff.next()
            await first_of(self._changed.wait(), self._clock.sleep(delay))

    def _on_node(self, old: Json | None, new: Json | None) -> None:
        if old is None or new is None or _facts(old) != _facts(new):
            self._changed.set()

    async def _sync(self) -> None:
        node = self._nodes.get(ObjectKey("", self._node))
        cidrs = plan.pod_cidrs(node) if node is not None else []
        if node is None or not cidrs:
            self._tell_once([f"waiting for node {self._node} to be there and to be given a pod CIDR"])
            self.problem = "no pod CIDR yet"
            return
        self._tell_once(host.set_sysctls(plan.SYSCTLS))
        await host.apply_rules(plan.rules(cidrs, self._settings.cluster_cidr))
        problems = await host.apply_routes(plan.desired_routes(self._nodes.list(), self._node))
        # the configuration comes last: from here on the runtime says that the network is ready
        if host.write_conflist(self._conf_dir, plan.conflist(cidrs, self._settings)):
            logger.info("pods of this node get addresses of %s", ", ".join(cidrs))
        if problems:
            raise OSError("; ".join(problems))
        await self._write_condition(node)
        self.problem = None

    async def _write_condition(self, node: Json) -> None:
        condition = plan.network_condition(node, times.rfc3339(self._clock.now()))
        if condition is not None:
            patch = {"status": {"conditions": [condition]}}
            try:
                await self._client.patch(
                    kinds.NODES, self._node, "", patch, content_type=STRATEGIC_PATCH, subresource="status"
                )
            except errors.Forbidden as problem:  # the network works without it; only a Node that says True needs it
                self._tell_once([f"the condition NetworkUnavailable is not written: {problem}"])

    def _tell_once(self, messages: list[str]) -> None:
        for message in messages:
            if message not in self._told:
                logger.warning(message)
        self._told.update(messages)


def _facts(node: Json) -> tuple[list[str], str, bool]:
    """What matters here of a Node: heartbeats do not."""
    return plan.pod_cidrs(node), plan.internal_ip(node), plan.network_condition(node, "") is None
