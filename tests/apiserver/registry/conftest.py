"""Fixtures: a registry over a storage in memory."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from apiserver.registry.registry import Registry
from apiserver.storage.cacher import Cacher
from tests.fakes.storage import MemoryStorage


@pytest.fixture
def storage() -> MemoryStorage:
    """An empty storage."""
    return MemoryStorage()


@pytest_asyncio.fixture
async def registry(storage: MemoryStorage) -> AsyncIterator[Registry]:
    """A registry without stores, its cache running."""
    cacher = Cacher(storage)
    task = asyncio.create_task(cacher.run())
    await cacher.wait_until_filled()
    yield Registry(cacher)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
