"""All stores of a server over one storage and one watch cache. What the rows are is apiserver.resources."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from apiserver.registry.resource import Resource
from apiserver.registry.store import Store


class Registry:
    """Resource rows turned into stores, found by group, version and plural."""

    def __init__(self, storage: Any, cacher: Any, resources: Iterable[Resource], admission: Any = None) -> None:
        self.storage = storage
        self.cacher = cacher

    def store_for(self, group: str, version: str, resource: str) -> Store | None:
        """The store behind a path's group, version and plural."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the watch cache filled; it is filled when the context is entered."""
        yield
