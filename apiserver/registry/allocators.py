"""Cluster IPs and node ports: each given to one Service only. Which Service needs what is its strategy's matter.

What is taken is written down in etcd before a Service is, as upstream does, so that several servers cannot give
the same address twice and a restart forgets nothing. An IP is an IPAddress object of its own (KEP-1880; upstream:
pkg/registry/core/service/ipallocator/ipallocator.go): the key is the lock. Node ports are bits of one
RangeAllocation (upstream: pkg/registry/core/service/portallocator, allocator/bitmap.go), replaced under its
revision.

A crash between taking and writing the Service leaks; `Allocators.repair` gives back what no Service has three
rounds long, and takes what a Service has without having it written down.
"""

import base64
import ipaddress
import random
import uuid
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, TypeVar

from apiserver.storage.errors import KeyExists, KeyNotFound, RevisionConflict
from apiserver.storage.interface import KeyValue, Storage
from apiserver.storage.objects import encode
from machinery.aio.clock import REAL, Clock
from machinery.api import codec, times
from machinery.api.codec import Json

_IP_PREFIX: Final = "/registry/ipaddresses/"
_PORTS_KEY: Final = "/registry/ranges/servicenodeports"
_ROUNDS_BEFORE_RELEASE: Final = 3
_RANDOM_TRIES: Final = 8

T = TypeVar("T", int, str)
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class AllocationError(Exception):
    """The address or port cannot be had; the text is upstream's."""


class AlreadyAllocated(AllocationError):
    """Somebody has it."""


class NotInRange(AllocationError):
    """It is not ours to give."""


class RangeFull(AllocationError):
    """None is left."""

    def __init__(self) -> None:
        super().__init__("range is full")


@dataclass(frozen=True, slots=True)
class Owner:
    """The Service an address is for."""

    namespace: str
    name: str


class IPAllocator:
    """The addresses of one --service-cluster-ip-range."""

    def __init__(self, storage: Storage, network: IPNetwork, clock: Clock = REAL) -> None:
        self.network = network
        self._storage = storage
        self._clock = clock
        size = network.num_addresses if network.version == 4 else min(network.num_addresses, 1 << 16)
        self._first, self._last = 1, size - (2 if network.version == 4 else 1)  # without network and broadcast
        # Clients that choose themselves choose low addresses: others are given from above this offset (KEP-3070).
        self._static = min(max(16, size // 16), 256) if size > 32 else 0

    async def allocate(self, asked: str, owner: Owner, *, dry_run: bool = False) -> str:
        """Take the asked address, or any where "" is asked; raises AllocationError. A dry run only looks."""
        if asked:
            return await self._take(self._checked(asked), owner, dry_run=dry_run)
        used = await self._used()
        for low, high in ((self._first + self._static, self._last), (self._first, self._first + self._static - 1)):
            for offset in _candidates(low, high, used):
                try:
                    return await self._take(self.network[offset], owner, dry_run=dry_run)
                except AlreadyAllocated:  # another server was faster
                    continue
        raise RangeFull

    async def release(self, address: str) -> None:
        """Give an address back; one that was not taken is fine."""
        key = _IP_PREFIX + address
        found = await self._storage.get(key)
        if found is not None:
            await _delete(self._storage, found)

    def _checked(self, asked: str) -> IPAddress:
        address = ipaddress.ip_address(asked)
        if address not in self.network or not self._first <= self._offset(address) <= self._last:
            raise NotInRange(
                f"the provided IP ({asked}) is not in the valid range. The range of valid IPs is {self.network}"
            )
        return address

    def _offset(self, address: IPAddress) -> int:
        return int(address) - int(self.network.network_address)

    async def _take(self, address: IPAddress, owner: Owner, *, dry_run: bool) -> str:
        key = f"{_IP_PREFIX}{address}"
        try:
            if not dry_run:
                await self._storage.create(key, encode(_ip_object(address, owner, self._clock)))
            elif await self._storage.get(key) is not None:
                raise AlreadyAllocated("provided IP is already allocated")
        except KeyExists as problem:
            raise AlreadyAllocated("provided IP is already allocated") from problem
        return str(address)

    async def _used(self) -> set[int]:
        page = await self._storage.range(_IP_PREFIX)
        addresses = (ipaddress.ip_address(item.key[len(_IP_PREFIX) :]) for item in page.items)
        return {self._offset(address) for address in addresses if address in self.network}

    async def repair(self, owners: dict[str, Owner], unseen: Counter[str]) -> None:
        """Make what is taken agree with the Services' addresses; `unseen` counts rounds without a Service."""
        page = await self._storage.range(_IP_PREFIX)
        taken = {item.key[len(_IP_PREFIX) :]: item for item in page.items}
        for address, owner in owners.items():
            if address not in taken and ipaddress.ip_address(address) in self.network:
                try:
                    await self._take(ipaddress.ip_address(address), owner, dry_run=False)
                except AlreadyAllocated:
                    continue
        for address in _leaked(taken.keys(), owners.keys(), unseen):
            await _delete(self._storage, taken[address])


def _ip_object(address: IPAddress, owner: Owner, clock: Clock) -> Json:
    labels = {
        "ipaddress.kubernetes.io/ip-family": f"IPv{address.version}",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    }
    metadata = {
        "name": str(address),
        "uid": str(uuid.uuid4()),
        "creationTimestamp": times.rfc3339(clock.now()),
        "labels": labels,
    }
    parent = {"resource": "services", "namespace": owner.namespace, "name": owner.name}
    return {
        "kind": "IPAddress",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": metadata,
        "spec": {"parentRef": parent},
    }


class PortAllocator:
    """The ports of --service-node-port-range. Upstream's bitmap: bit n of a big-endian integer is port first + n."""

    def __init__(self, storage: Storage, first: int = 30000, last: int = 32767) -> None:
        self.first, self.last = first, last
        self._storage = storage

    async def allocate(self, asked: int, *, dry_run: bool = False) -> int:
        """Take the asked port, or any where 0 is asked; raises AllocationError."""
        if asked and not self.first <= asked <= self.last:
            raise NotInRange(
                f"provided port is not in the valid range. The range of valid ports is {self.first}-{self.last}"
            )
        chosen = asked

        def take(bits: int) -> int:
            nonlocal chosen
            chosen = asked or self._free(bits)
            if bits >> (chosen - self.first) & 1:
                raise AlreadyAllocated("provided port is already allocated")
            return bits | 1 << (chosen - self.first)

        await self._change(take, dry_run=dry_run)
        return chosen

    async def release(self, port: int) -> None:
        """Give a port back; one that was not taken is fine."""
        if self.first <= port <= self.last:
            await self._change(lambda bits: bits & ~(1 << (port - self.first)))

    def _free(self, bits: int) -> int:
        # Asked-for ports tend to be low: others are given from above upstream's static band (KEP-3668).
        size = self.last - self.first + 1
        static = min(max(16, size // 32), 128) if size > 32 else 0
        used = {offset for offset in range(size) if bits >> offset & 1}
        for low, high in ((static, size - 1), (0, static - 1)):
            for offset in _candidates(low, high, used):
                return self.first + offset
        raise RangeFull

    async def _change(self, change: Callable[[int], int], *, dry_run: bool = False) -> None:
        while True:
            found = await self._storage.get(_PORTS_KEY)
            old = _bits(found)
            new = change(old)
            if dry_run or (new == old and found is not None):
                return
            try:
                await self._write(new, found)
                return
            except (KeyExists, KeyNotFound, RevisionConflict):  # another server was faster: look again
                continue

    async def _write(self, bits: int, found: KeyValue | None) -> None:
        data = base64.b64encode(bits.to_bytes((bits.bit_length() + 7) // 8, "big")).decode()
        value = encode(
            {
                "kind": "RangeAllocation",
                "apiVersion": "v1",
                "metadata": {},
                "range": f"{self.first}-{self.last}",
                "data": data,
            }
        )
        if found is None:
            await self._storage.create(_PORTS_KEY, value)
        else:
            await self._storage.update(_PORTS_KEY, value, found.revision)

    async def repair(self, used: Collection[int], unseen: Counter[int]) -> None:
        """Make the bits agree with the Services' node ports; `unseen` counts rounds without a Service."""
        bits = _bits(await self._storage.get(_PORTS_KEY))
        size = self.last - self.first + 1
        taken = {self.first + offset for offset in range(size) if bits >> offset & 1}
        lost = [port for port in used if self.first <= port <= self.last and port not in taken]
        leaked = _leaked(taken, used, unseen)

        def mend(bits: int) -> int:
            for port in lost:
                bits |= 1 << (port - self.first)
            for port in leaked:
                bits &= ~(1 << (port - self.first))
            return bits

        if lost or leaked:
            await self._change(mend)


@dataclass(slots=True)
class Allocators:
    """What Services take from."""

    ips: IPAllocator
    ports: PortAllocator


def _bits(found: KeyValue | None) -> int:
    if found is None:
        return 0
    return int.from_bytes(base64.b64decode(codec.loads(found.value).get("data") or ""), "big")


def _candidates(low: int, high: int, used: Collection[int]) -> list[int]:
    """Free numbers to try: some at random, so that two servers rarely meet, then all in order."""
    if high < low:
        return []
    guesses = [random.randint(low, high) for _ in range(_RANDOM_TRIES)]
    free = [guess for guess in guesses if guess not in used]
    return free or [number for number in range(low, high + 1) if number not in used]


def _leaked(taken: Collection[T], used: Collection[T], unseen: Counter[T]) -> list[T]:
    """Count one more round for what is taken and not used, answer what had enough of them."""
    idle = {item for item in taken if item not in used}
    for item in [item for item in unseen if item not in idle]:
        del unseen[item]
    unseen.update(idle)
    leaked = [item for item in idle if unseen[item] >= _ROUNDS_BEFORE_RELEASE]
    for item in leaked:
        del unseen[item]
    return leaked


async def _delete(storage: Storage, found: KeyValue) -> None:
    try:
        await storage.delete(found.key, found.revision)
    except (KeyNotFound, RevisionConflict):  # given back, and perhaps taken again, by somebody else
        return
