"""What a cluster has from the start, how members find each other, how an index keeps up."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from apiserver.bootstrap import Bootstrap, ServiceAddress, service_ip
from apiserver.following import Follower
from apiserver.members import Members
from apiserver.registry.registry import Registry
from apiserver.registry.store import Store
from apiserver.registry.strategy import Context
from apiserver.request import User
from apiserver.resources import RESOURCES
from apiserver.storage.cacher import Cacher
from apiserver.storage.objects import Entry
from machinery.api.names import ObjectKey
from tests.fakes.storage import MemoryStorage


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    """All stores on a storage in memory."""
    registry = Registry(Cacher(MemoryStorage()), RESOURCES)
    async with registry.running():
        yield registry


def store(registry: Registry, resource: str, group: str = "", version: str = "v1") -> Store:
    """A store that is there."""
    found = registry.store_for(group, version, resource)
    assert found is not None
    return found


async def test_a_second_bootstrap_writes_nothing(registry: Registry) -> None:
    bootstrap = Bootstrap(registry)
    await bootstrap.namespaces()
    await bootstrap.roles()
    before = await registry.cacher.fresh()
    await bootstrap.namespaces()
    await bootstrap.roles()
    assert await registry.cacher.fresh() == before


async def test_the_kubernetes_service_follows_its_servers(registry: Registry) -> None:
    bootstrap = Bootstrap(registry)
    await bootstrap.namespaces()
    for addresses in (("10.1.0.1",), ("10.1.0.1", "10.1.0.2"), ("10.1.0.2",)):
        await bootstrap.service(ServiceAddress("10.0.0.1", addresses, 6443))
        endpoints = (await store(registry, "endpoints").get("default", "kubernetes")).decode()
        assert [entry["ip"] for entry in endpoints["subsets"][0]["addresses"]] == list(addresses)
        slices = store(registry, "endpointslices", "discovery.k8s.io")
        found = (await slices.get("default", "kubernetes")).decode()
        assert [entry["addresses"][0] for entry in found["endpoints"]] == list(addresses)
        assert found["ports"] == [{"name": "https", "protocol": "TCP", "port": 6443}]


async def test_a_servers_own_loopback_is_not_published(registry: Registry) -> None:
    bootstrap = Bootstrap(registry)
    await bootstrap.namespaces()
    await bootstrap.service(ServiceAddress("10.0.0.1", ("127.0.0.1",), 6443))
    assert store(registry, "endpoints").collection.get("default", "kubernetes") is None


@pytest.mark.parametrize(
    ("cidr", "wanted"),
    [("10.96.0.0/12", "10.96.0.1"), ("fd00::/108", "fd00::1"), ("10.0.0.0/24,fd00::/108", "10.0.0.1")],
)
def test_the_service_has_the_first_address(cidr: str, wanted: str) -> None:
    assert service_ip(cidr) == wanted


async def test_members_see_each_other_until_one_leaves() -> None:
    storage = MemoryStorage()
    one, two = Members(storage, "10.1.0.1"), Members(storage, "10.1.0.2")
    assert await one.renew() == ("10.1.0.1",)
    assert await two.renew() == ("10.1.0.1", "10.1.0.2")
    assert await one.renew() == ("10.1.0.1", "10.1.0.2")
    assert await one.leave() == ("10.1.0.2",)
    assert await two.renew() == ("10.1.0.2",)


async def test_an_index_has_everything_and_then_each_change(registry: Registry) -> None:
    maps = store(registry, "configmaps")
    seen: dict[ObjectKey, Entry | None] = {}
    changed = asyncio.Event()

    def apply(key: ObjectKey, entry: Entry | None) -> None:
        seen[key] = entry
        changed.set()

    async def write(name: str) -> None:
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        await maps.create(obj, Context(User("test"), "default", name))
        await registry.cacher.fresh()

    await write("before")
    follower = Follower(registry.cacher, maps.collection, apply)
    task = asyncio.create_task(follower.run())
    await follower.loaded.wait()
    assert list(seen) == [ObjectKey("default", "before")]
    changed.clear()
    await write("after")
    await changed.wait()
    after = seen[ObjectKey("default", "after")]
    assert after is not None
    assert after.name == "after"
    for watcher in maps.collection.watchers():
        watcher.close()  # as when the client is too slow, or etcd was replaced
    changed.clear()
    await write("later")
    await changed.wait()
    assert ObjectKey("default", "later") in seen
    task.cancel()
