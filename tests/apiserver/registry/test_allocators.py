"""registry.allocators and repair over a storage in memory."""

import asyncio
import base64
import ipaddress
from collections import Counter

import pytest

from apiserver.registry.allocators import (
    Allocators,
    AlreadyAllocated,
    IPAllocator,
    NotInRange,
    Owner,
    PortAllocator,
    RangeFull,
)
from apiserver.registry.registry import Registry
from apiserver.registry.repair import Repair
from apiserver.registry.resource import Resource
from apiserver.storage.objects import encode
from machinery.api import codec, kinds
from tests.fakes.storage import MemoryStorage

OWNER = Owner("a", "web")


@pytest.fixture
def ips(storage: MemoryStorage) -> IPAllocator:
    """Of a network with 13 addresses to give."""
    return IPAllocator(storage, ipaddress.ip_network("10.96.0.0/28"))


@pytest.fixture
def ports(storage: MemoryStorage) -> PortAllocator:
    """Of ten ports."""
    return PortAllocator(storage, 30000, 30009)


async def test_every_address_is_given_once_and_then_the_range_is_full(ips: IPAllocator) -> None:
    given = await asyncio.gather(*(ips.allocate("", OWNER) for _ in range(14)))
    assert sorted(given, key=ipaddress.ip_address) == [f"10.96.0.{number}" for number in range(1, 15)]
    with pytest.raises(RangeFull, match="^range is full$"):
        await ips.allocate("", OWNER)
    await ips.release("10.96.0.5")
    await ips.release("10.96.0.5")
    assert await ips.allocate("", OWNER) == "10.96.0.5"


async def test_an_asked_address_is_given_to_one_only(ips: IPAllocator) -> None:
    assert await ips.allocate("10.96.0.1", OWNER) == "10.96.0.1"
    with pytest.raises(AlreadyAllocated, match="^provided IP is already allocated$"):
        await ips.allocate("10.96.0.1", OWNER)
    with pytest.raises(AlreadyAllocated):
        await ips.allocate("10.96.0.1", OWNER, dry_run=True)


@pytest.mark.parametrize("address", ["10.96.0.0", "10.96.0.15", "10.97.0.1"])
async def test_what_is_not_in_the_range_is_not_given(ips: IPAllocator, address: str) -> None:
    text = rf"the provided IP \({address}\) is not in the valid range. The range of valid IPs is 10.96.0.0/28"
    with pytest.raises(NotInRange, match=text):
        await ips.allocate(address, OWNER)


async def test_a_large_range_gives_from_above_what_people_choose_themselves(storage: MemoryStorage) -> None:
    ips = IPAllocator(storage, ipaddress.ip_network("10.96.0.0/16"))
    given = [int(ipaddress.ip_address(await ips.allocate("", OWNER))) for _ in range(50)]
    assert min(given) > int(ipaddress.ip_address("10.96.1.0"))


async def test_an_address_is_written_down_as_upstream_does(ips: IPAllocator, storage: MemoryStorage) -> None:
    await ips.allocate("10.96.0.7", OWNER)
    found = await storage.get("/registry/ipaddresses/10.96.0.7")
    assert found is not None
    obj = codec.loads(found.value)
    assert (obj["kind"], obj["apiVersion"], obj["metadata"]["name"]) == (
        "IPAddress",
        "networking.k8s.io/v1",
        "10.96.0.7",
    )
    assert obj["spec"] == {"parentRef": {"resource": "services", "namespace": "a", "name": "web"}}


async def test_a_dry_run_takes_nothing(ips: IPAllocator, ports: PortAllocator, storage: MemoryStorage) -> None:
    before = storage.revision
    await ips.allocate("", OWNER, dry_run=True)
    await ports.allocate(0, dry_run=True)
    assert storage.revision == before


async def test_every_port_is_given_once_and_then_the_range_is_full(ports: PortAllocator) -> None:
    given = await asyncio.gather(*(ports.allocate(0) for _ in range(10)))
    assert sorted(given) == list(range(30000, 30010))
    with pytest.raises(RangeFull):
        await ports.allocate(0)
    await ports.release(30004)
    await ports.release(80)
    assert await ports.allocate(0) == 30004


async def test_an_asked_port_is_given_to_one_only(ports: PortAllocator, storage: MemoryStorage) -> None:
    assert await ports.allocate(30003) == 30003
    with pytest.raises(AlreadyAllocated, match="^provided port is already allocated$"):
        await ports.allocate(30003)
    text = "provided port is not in the valid range. The range of valid ports is 30000-30009"
    with pytest.raises(NotInRange, match=text):
        await ports.allocate(80)
    found = await storage.get("/registry/ranges/servicenodeports")
    assert found is not None
    written = codec.loads(found.value)
    assert (written["kind"], written["range"]) == ("RangeAllocation", "30000-30009")
    assert base64.b64decode(written["data"]) == b"\x08"


async def test_repair_takes_what_services_have_and_gives_back_what_leaked(
    registry: Registry, storage: MemoryStorage, ips: IPAllocator, ports: PortAllocator
) -> None:
    services = registry.add(Resource(kind=kinds.SERVICES, key="services/specs"))
    spec = {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": [{"port": 80, "nodePort": 30009}]}
    service = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "web"}, "spec": spec}
    await storage.create("/registry/services/specs/a/web", encode(service))
    leaked_ip, leaked_port = await ips.allocate("10.96.0.3", OWNER), await ports.allocate(30003)
    repair = Repair(services, Allocators(ips, ports))
    for _ in range(2):
        await repair.once()
    with pytest.raises(AlreadyAllocated):
        await ips.allocate("10.96.0.9", OWNER)
    with pytest.raises(AlreadyAllocated):
        await ports.allocate(30009)
    with pytest.raises(AlreadyAllocated):
        await ips.allocate(leaked_ip, OWNER)
    await repair.once()
    assert await ips.allocate(leaked_ip, OWNER) == leaked_ip
    assert await ports.allocate(leaked_port) == leaked_port


async def test_what_comes_into_use_between_two_rounds_is_no_leak(ports: PortAllocator) -> None:
    idle: Counter[int] = Counter()
    await ports.allocate(30003)
    for used in ([], [], [30003], [], []):
        await ports.repair(used, idle)
    with pytest.raises(AlreadyAllocated):
        await ports.allocate(30003)
