"""All stores of a server over one storage and one watch cache. What the rows are is apiserver.resources."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from apiserver.registry.allocators import Allocators
from apiserver.registry.repair import Repair
from apiserver.registry.resource import Resource
from apiserver.registry.store import Store
from apiserver.storage.cacher import Cacher
from machinery.aio.clock import REAL, Clock


class Registry:
    """Resource rows turned into stores, found by group, version and plural."""

    def __init__(
        self,
        cacher: Cacher,
        resources: Iterable[Resource] = (),
        *,
        admission: Any = None,
        allocators: Allocators | None = None,
        clock: Clock = REAL,
    ) -> None:
        self.cacher = cacher
        self.admission = admission
        self.allocators = allocators
        self._clock = clock
        self._stores: dict[tuple[str, str, str], Store] = {}
        for resource in resources:
            self.add(resource)

    def add(self, resource: Resource) -> Store:
        """Serve one more resource; its store is complete at once, also while the server runs."""
        store = Store(resource, self.cacher, clock=self._clock)
        store.admission = self.admission
        store.allocators = self.allocators
        kind = resource.kind
        self._stores[kind.group, kind.version, kind.plural] = store
        return store

    def remove(self, resource: Resource) -> None:
        """Serve a resource no longer."""
        kind = resource.kind
        if self._stores.pop((kind.group, kind.version, kind.plural), None) is not None:
            self.cacher.drop_collection(resource.prefix())

    def store_for(self, group: str, version: str, resource: str) -> Store | None:
        """The store behind a path's group, version and plural."""
        return self._stores.get((group, version, resource))

    def stores(self) -> list[Store]:
        """All of them."""
        return list(self._stores.values())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the watch cache and the allocations up to date; the cache is filled when the context is entered."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.cacher.run(), name="watch cache")]
            try:
                await self.cacher.wait_until_filled()
                services = self.store_for("", "v1", "services")
                if self.allocators is not None and services is not None:
                    tasks.append(group.create_task(Repair(services, self.allocators).run(), name="repair"))
                yield
            finally:
                for task in tasks:
                    task.cancel()
