"""Keeps the kernel's rules as the Services and EndpointSlices say: when to write. What to write is `rules`' part."""

import asyncio
import logging
from dataclasses import dataclass, replace

from machinery.aio.backoff import Backoff
from machinery.aio.clock import REAL, Clock
from machinery.aio.tasks import first_of
from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.informer import Informers
from proxy import metrics, network
from proxy.conntrack import Conntrack, stale_flows
from proxy.endpoints import Endpoint, endpoints_of, merge, service_of
from proxy.health_check import Health
from proxy.iptables import Iptables
from proxy.rules import RuleConfig, RuleSet, is_service_chain, render
from proxy.services import LABEL_SELECTOR, PortName, ServicePort, ports_of

logger = logging.getLogger(__name__)

_TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: at most between two full writes, at least between any two."""

    sync_period: float = 30.0
    min_sync_period: float = 1.0


State = tuple[dict[PortName, ServicePort], dict[PortName, tuple[Endpoint, ...]]]


class Proxier:
    """The loop: a change is written at once, further ones after `min_sync_period`, everything each `sync_period`."""

    def __init__(
        self,
        informers: Informers,
        node: str,
        config: RuleConfig,
        timing: Timing,
        tables: Iptables,
        clock: Clock = REAL,
    ) -> None:
        self._informers = informers
        self._node = node
        self._config = config
        self._timing = timing
        self._clock = clock
        self.health = Health(clock, 2 * timing.sync_period)
        self.node_port_cidrs: list[str] = []
        self._iptables = tables
        self._conntrack = Conntrack()
        self._services: dict[ObjectKey, tuple[ServicePort, ...]] = {}
        self._slices: dict[ObjectKey, dict[PortName, list[Endpoint]]] = {}
        self._changed = asyncio.Event()
        self._written: State = ({}, {})
        self._chains: set[str] = set()
        self._text = ""
        informers.watch(kinds.SERVICES, on_change=self._on_service, label_selector=LABEL_SELECTOR)
        informers.watch(kinds.ENDPOINT_SLICES, on_change=self._on_slice, label_selector=LABEL_SELECTOR)
        informers.watch(kinds.NODES, on_change=self._on_node, field_selector=f"metadata.name={node}")

    async def run(self) -> None:
        """For ever."""
        await self._informers.wait_for_sync()
        backoff = Backoff(initial=1.0, maximum=self._timing.sync_period)
        next_full = 0.0
        while True:
            now = self._clock.monotonic()
            full = now >= next_full
            if not await self._sync(full=full):
                next_full = 0.0
                await self._clock.sleep(backoff.next())
                continue
            backoff.reset()
            if full:
                next_full = now + self._timing.sync_period
            await self._clock.sleep(self._timing.min_sync_period)
            await self._wait_for_change(next_full)

    # -- events -------------------------------------------------------------------------------------------------------

    def _on_service(self, old: Json | None, new: Json | None) -> None:
        key = meta.key_of(new or old or {})
        before = self._services.pop(key, ())
        after = ports_of(new) if new is not None else ()
        if after:
            self._services[key] = after
        if before != after:
            self._touch()

    def _on_slice(self, old: Json | None, new: Json | None) -> None:
        key = meta.key_of(new or old or {})
        before = self._slices.pop(key, {})
        after = endpoints_of(new, self._node) if new is not None and service_of(new).name else {}
        if after:
            self._slices[key] = after
        if before != after:
            self._touch()

    def _on_node(self, old: Json | None, new: Json | None) -> None:
        taints = ((new or {}).get("spec") or {}).get("taints") or ()
        leaving = any(taint.get("key") == _TO_BE_DELETED for taint in taints)
        self.health.eligible = new is None or not (meta.is_being_deleted(new) or leaving)

    def _touch(self) -> None:
        self.health.queued()
        self._changed.set()

    # -- writing ------------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """What the objects say at this moment."""
        services = {port.name: port for ports in self._services.values() for port in ports}
        return services, merge(self._slices.values())

    async def _sync(self, *, full: bool) -> bool:
        """Write the rules; False after a failure, which is logged and tried again."""
        self._changed.clear()
        services, endpoints = state = self.state()
        try:
            with metrics.SYNC_SECONDS.time():
                rules = render(services.values(), endpoints, await self._current_config())
                await self._write(rules, full=full)
        except OSError as problem:
            logger.error("sync failed: %s; trying again", problem)
            metrics.SYNC_FAILURES.inc()
            return False
        metrics.LAST_SYNC.set(self._clock.now().timestamp())
        metrics.RULES.labels("filter").set(len(rules.filter_rules))
        metrics.RULES.labels("nat").set(len(rules.nat_rules))
        before, self._written = self._written, state
        await self._conntrack.forget(stale_flows(before, state))
        if not self._changed.is_set():
            self.health.updated()
        return True

    async def _write(self, rules: RuleSet, *, full: bool) -> None:
        active = {chain for chain in rules.nat_chains if is_service_chain(chain)}
        stale = self._chains - active
        if full:  # somebody else may have been at the tables, or an earlier proxy left something
            stale = set(await self._iptables.chains("nat")) - active
        text = rules.text(stale)
        if full or text != self._text:
            await self._iptables.apply(rules, stale)
            logger.debug("wrote %d filter and %d nat rules", len(rules.filter_rules), len(rules.nat_rules))
        if full:
            await self._iptables.ensure_jumps(rules.jumps)
        self._chains, self._text = active, rules.text()

    async def _current_config(self) -> RuleConfig:
        """With this node's NodePort addresses of the moment, when only some count."""
        if not self.node_port_cidrs:
            return self._config
        addresses = network.within(await network.own_addresses(), self.node_port_cidrs)
        return replace(self._config, node_port_addresses=addresses)

    async def _wait_for_change(self, until: float) -> None:
        await first_of(self._changed.wait(), self._clock.sleep(max(0.0, until - self._clock.monotonic())))
