"""Fixtures: a running watch cache over a storage in memory."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from apiserver.storage.cacher import Cacher
from tests.fakes.storage import MemoryStorage


@pytest.fixture
def storage() -> MemoryStorage:
    """An empty storage."""
    return MemoryStorage()


@pytest_asyncio.fixture
async def cacher(storage: MemoryStorage) -> AsyncIterator[Cacher]:
    """A filled and running cache."""
    cache = Cacher(storage)
    task = asyncio.create_task(cache.run())
    await cache.wait_until_filled()
    yield cache
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
