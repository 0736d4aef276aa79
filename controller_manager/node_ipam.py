"""Gives every node its pod CIDRs out of the cluster's. Routes to them are the network agent's.

Upstream: pkg/controller/nodeipam/ipam/range_allocator.go, cidrset/cidr_set.go.
"""

import ipaddress
import logging
from collections.abc import Sequence
from typing import Final

from machinery.aio.workqueue import WorkQueue
from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself, ignore_not_found
from machinery.client.events import EventRecorder
from machinery.client.informer import Informers
from machinery.client.rest import Client

logger = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_LONGEST_MASK_DIFFERENCE: Final = 16


class PoolExhausted(Exception):
    """Every subnet of the pool is taken."""


class CIDRPool:
    """Subnets of one size out of one network; the search goes on from the last one, so freed ones rest a while."""

    def __init__(self, cluster: Network, mask: int) -> None:
        """Raises ValueError when the mask does not fit the network."""
        if not cluster.prefixlen <= mask <= cluster.max_prefixlen:
            raise ValueError(f"the node CIDR mask size /{mask} does not fit the cluster CIDR {cluster}")
        if mask - cluster.prefixlen > _LONGEST_MASK_DIFFERENCE:
            raise ValueError(f"the node CIDR mask size /{mask} is too big for the cluster CIDR {cluster}")
        self._cluster = cluster
        self._step = 1 << (cluster.max_prefixlen - mask)
        self._count = 1 << (mask - cluster.prefixlen)
        self._mask = mask
        self._taken: set[int] = set()
        self._next = 0

    def occupy(self, cidr: Network) -> bool:
        """Mark all subnets that overlap the CIDR; False when it lies outside the pool."""
        if cidr.version != self._cluster.version or not cidr.overlaps(self._cluster):
            return False
        self._taken.update(self._indices(cidr))
        return True

    def release(self, cidr: Network) -> None:
        """Free the subnets of a CIDR that a node had."""
        if cidr.version == self._cluster.version and cidr.overlaps(self._cluster):
            self._taken.difference_update(self._indices(cidr))

    def allocate(self) -> Network:
        """The next free subnet, now taken; raises PoolExhausted."""
        if len(self._taken) >= self._count:
            raise PoolExhausted(
                "CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range"
            )
        while self._next in self._taken:
            self._next = (self._next + 1) % self._count
        index = self._next
        self._taken.add(index)
        self._next = (index + 1) % self._count
        address = self._cluster.network_address + index * self._step
        return ipaddress.ip_network(f"{address}/{self._mask}")

    def _indices(self, cidr: Network) -> range:
        base = int(self._cluster.network_address)
        first = max(0, (int(cidr.network_address) - base) // self._step)
        last = min(self._count - 1, (int(cidr.broadcast_address) - base) // self._step)
        return range(first, last + 1)


def cidrs_of(node: Json) -> list[Network]:
    """The node's pod CIDRs; texts that are no CIDR are left out."""
    spec = node.get("spec") or {}
    found: list[Network] = []
    for text in spec.get("podCIDRs") or [spec.get("podCIDR")]:
        try:
            if text:
                found.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            logger.warning("node %s has the pod CIDR %r, which is none", meta.name_of(node), text)
    return found


class NodeIPAMController:
    """One worker: what is given out is remembered here, and learnt from the nodes after a restart."""

    name = "node-ipam-controller"

    def __init__(self, client: Client, informers: Informers, events: EventRecorder, pools: Sequence[CIDRPool]) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._events = events
        self._pools = pools
        self._given: dict[str, list[Network]] = {}
        self._learnt = False
        self._nodes = informers.watch(kinds.NODES, on_change=enqueue_itself(self.queue))

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one node."""
        self._learn_once()
        node = self._nodes.get(key)
        if node is None:
            self._give_back(key.name)
            return None
        if cidrs_of(node):
            self._occupy(node)
        elif not meta.is_being_deleted(node):
            await self._allocate(node)
        return None

    def _learn_once(self) -> None:
        # Before the first one is given out, all that are in use must be known.
        if not self._learnt:
            for node in self._nodes.list():
                self._occupy(node)
            self._learnt = True

    def _occupy(self, node: Json) -> None:
        cidrs = cidrs_of(node)
        if cidrs and self._given.get(meta.name_of(node)) != cidrs:
            self._give_back(meta.name_of(node))
            self._given[meta.name_of(node)] = cidrs
            for cidr in cidrs:
                if not any([pool.occupy(cidr) for pool in self._pools]):
                    logger.warning("node %s has %s, outside the cluster CIDR", meta.name_of(node), cidr)

    def _give_back(self, name: str) -> None:
        for cidr in self._given.pop(name, ()):
            for pool in self._pools:
                pool.release(cidr)

    async def _allocate(self, node: Json) -> None:
        name = meta.name_of(node)
        if name not in self._given:
            cidrs: list[Network] = []
            try:
                for pool in self._pools:
                    cidrs.append(pool.allocate())
            except PoolExhausted:
                for pool, cidr in zip(self._pools, cidrs, strict=False):
                    pool.release(cidr)
                text = f"Node {name} status is now: CIDRNotAvailable"
                self._events.event(node, kinds.NODES, "Normal", "CIDRNotAvailable", text)
                raise
            self._given[name] = cidrs
        texts = [str(cidr) for cidr in self._given[name]]
        patch = {"metadata": {"uid": meta.uid_of(node)}, "spec": {"podCIDR": texts[0], "podCIDRs": texts}}
        await ignore_not_found(self._client.patch(kinds.NODES, name, "", patch))
        logger.info("node %s: pod CIDRs %s", name, ", ".join(texts))
