"""Fixtures: handlers called as the server calls them, over a storage in memory, for real kinds."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from apiserver.registry.registry import Registry
from apiserver.resources.apps.deployments import DEPLOYMENTS
from apiserver.resources.core.configmaps import CONFIG_MAPS
from apiserver.resources.core.pods import PODS
from apiserver.resources.policy.poddisruptionbudgets import POD_DISRUPTION_BUDGETS
from apiserver.storage.cacher import Cacher
from tests.apiserver.handlers.calls import Caller
from tests.fakes.storage import MemoryStorage


@pytest.fixture
def storage() -> MemoryStorage:
    """An empty storage."""
    return MemoryStorage()


@pytest_asyncio.fixture
async def api(storage: MemoryStorage) -> AsyncIterator[Caller]:
    """Calls by method and path."""
    cacher = Cacher(storage)
    task = asyncio.create_task(cacher.run())
    await cacher.wait_until_filled()
    yield Caller(Registry(cacher, [CONFIG_MAPS, PODS, DEPLOYMENTS, POD_DISRUPTION_BUDGETS]))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
