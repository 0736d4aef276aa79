"""Keeps what is written down as taken by Services in step with the Services. Taking and giving back is `allocators`."""

import logging
from collections import Counter
from typing import Final

from apiserver.registry.allocators import Allocators, Owner
from apiserver.registry.store import Store
from apiserver.storage.errors import StorageError
from apiserver.storage.objects import Selection
from machinery.aio.clock import REAL, Clock
from machinery.api.codec import Json

logger = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 180.0  # upstream's repair interval


class Repair:
    """One server's view of what leaks; several servers may repair at a time.

    Upstream: pkg/registry/core/service/ipallocator/controller, portallocator/controller.
    """

    def __init__(self, services: Store, allocators: Allocators) -> None:
        self._services = services
        self._allocators = allocators
        self._idle_addresses: Counter[str] = Counter()
        self._idle_ports: Counter[int] = Counter()

    async def run(self, interval: float = INTERVAL_SECONDS, clock: Clock = REAL) -> None:
        """Repair now and each `interval` seconds; for ever."""
        while True:
            try:
                await self.once()
            except StorageError as problem:
                logger.warning("the allocations of Services could not be checked: %s", problem)
            await clock.sleep(interval)

    async def once(self) -> None:
        """One round; raises StorageError."""
        await self._services.cacher.fresh()
        owners: dict[str, Owner] = {}
        ports: set[int] = set()
        for entry in list(self._services.collection.select(Selection())):
            service = entry.decode()
            owner = Owner(entry.namespace, entry.name)
            owners.update(dict.fromkeys(addresses_of(service), owner))
            ports.update(node_ports_of(service))
        await self._allocators.ips.repair(owners, self._idle_addresses)
        await self._allocators.ports.repair(ports, self._idle_ports)


def addresses_of(service: Json) -> list[str]:
    """The cluster IPs of a Service; none for headless ones."""
    spec = service.get("spec") or {}
    given = spec.get("clusterIPs") or [spec.get("clusterIP") or ""]
    return [address for address in given if address not in ("", "None")]


def node_ports_of(service: Json) -> list[int]:
    """Every node port of a Service, that of its health check included."""
    spec = service.get("spec") or {}
    ports = [port.get("nodePort") for port in spec.get("ports") or ()]
    return [port for port in (*ports, spec.get("healthCheckNodePort")) if port]
