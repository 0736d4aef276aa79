"""DynamicResources: devices for a pod's ResourceClaims (KEP-4381). Which devices is `device_search`'s.

Upstream: plugins/dynamicresources. What differs: nodes that offer the same kinds of pools with the same devices taken
are asked once together, and only the chosen node's devices are worked out in full. A claim keeps its reservation for a
pod whose binding failed: the pod is tried again, and when it goes the reservation goes with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final

import numpy as np

from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.rest import STRATEGIC_PATCH, ConnectionProblem
from scheduler.cache import Mask, NodeTable
from scheduler.device_search import Offer, Search, Selections, Wish, allocation_of, wish_of
from scheduler.devices import Allocations, Inventory, Place, devices_of
from scheduler.framework import (
    OK,
    SKIP,
    Action,
    ClusterEvent,
    Code,
    CycleState,
    Diagnosis,
    Filters,
    Handle,
    Resource,
    Status,
    Verdict,
)
from scheduler.plugins.node_affinity import selected_nodes
from scheduler.pods import Pod

FINALIZER: Final = "resource.kubernetes.io/delete-protection"
_ELSEWHERE: Final = "resourceclaim not available on the node"
_TOO_FEW: Final = "cannot allocate all claims"
_ATTEMPTS: Final = 5


class NotReady(Exception):
    """A claim of a pod that cannot be used as it is; the text says why."""


@dataclass(slots=True)
class _Claims:
    """A pod's claims during an attempt to place it."""

    claims: Sequence[Json]
    wishes: Sequence[Wish]
    #: the table, and where devices of shared pools can be used on it
    nodes: NodeTable
    reach: dict[Place, Mask] = field(default_factory=dict)
    #: claims with devices that cannot be used on every node
    elsewhere: list[Json] = field(default_factory=list)
    #: by the claims' uids, what was found and is not written yet
    allocations: dict[str, Json] = field(default_factory=dict)


class DynamicResources:
    """Filters by what devices nodes have, keeps them for the pod, and writes down whose they are."""

    name: ClassVar[str] = "DynamicResources"
    events: ClassVar[tuple[Resource, ...]] = (
        Resource.RESOURCE_CLAIM,
        Resource.RESOURCE_SLICE,
        Resource.DEVICE_TAINT_RULE,
        Resource.DEVICE_CLASS,
    )

    def __init__(self, handle: Handle) -> None:
        self._client = handle.client
        self._inventory = Inventory()
        self._allocations = Allocations()
        self._selections = Selections()
        self._claims = handle.informers.watch(kinds.RESOURCE_CLAIMS, on_change=self._allocations.on_claim)
        self._classes = handle.informers.watch(kinds.DEVICE_CLASSES)
        handle.informers.watch(kinds.RESOURCE_SLICES, on_change=self._inventory.on_slice)
        handle.informers.watch(kinds.DEVICE_TAINT_RULES, on_change=self._inventory.on_rule)

    # -- which claims -------------------------------------------------------------------------------------------------

    def pre_enqueue(self, pod: Pod) -> Status:
        """Pods wait until their claims are there."""
        try:
            self._claims_of(pod)
        except NotReady as problem:
            return _unresolvable(str(problem))
        return OK

    def _claims_of(self, pod: Pod) -> list[Json]:
        return [self._claim(pod, *named) for named in _names(pod)]

    def _claim(self, pod: Pod, name: str, is_made_for_it: bool) -> Json:
        claim = self._claims.get(ObjectKey(pod.key.namespace, name))
        if claim is None:
            raise NotReady(f'could not find ResourceClaim "{pod.key.namespace}/{name}"')
        if meta.is_being_deleted(claim):
            raise NotReady(f'resourceclaim "{name}" is being deleted')
        if is_made_for_it and (meta.controller_of(claim) or {}).get("uid") != pod.uid:
            text = f"was not created for pod {pod.key} (pod is not owner)"
            raise NotReady(f"ResourceClaim {meta.key_of(claim)} {text}")
        return claim

    def pre_filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Status:
        """Most pods claim nothing; of the others, what has to be found."""
        if not pod.spec.get("resourceClaims"):
            return SKIP
        try:
            claims = self._claims_of(pod)
            wishes = [self._wish(claim) for claim in claims if not _allocation(claim)]
        except NotReady as problem:
            return _unresolvable(str(problem))
        if not claims:
            return SKIP
        state.data[self.name] = _Claims(claims, wishes, nodes)
        return OK

    def _wish(self, claim: Json) -> Wish:
        if self._allocations.is_assumed(meta.uid_of(claim)):
            raise NotReady(f"resource claim {meta.key_of(claim)} is in the process of being allocated")
        try:
            return wish_of(claim, {meta.name_of(one): one for one in self._classes.list()})
        except KeyError as problem:
            request = _request_of_class(claim, problem.args[0])
            raise NotReady(f"request {request}: device class {problem.args[0]} does not exist") from problem

    # -- which nodes --------------------------------------------------------------------------------------------------

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Verdict:
        """Nodes that the devices of allocated claims can be used on, and that have devices for the others."""
        mine: _Claims = state.data[self.name]
        here = nodes.all()
        for claim in mine.claims:
            selector = _allocation(claim).get("nodeSelector")
            reachable = selected_nodes(selector, nodes) if selector else here
            if not reachable[here].all():
                mine.elsewhere.append(claim)
            here &= reachable
        fits = self._with_devices(mine, nodes, here) if mine.wishes else here
        return Verdict(fits, ((_ELSEWHERE, nodes.all() & ~here), (_TOO_FEW, here & ~fits)), nodes.all() & ~fits)

    def _with_devices(self, mine: _Claims, nodes: NodeTable, among: Mask) -> Mask:
        fits = nodes.none()
        for pool in self._inventory.shared():
            for place in {device.place for device in pool.devices} - mine.reach.keys():
                mine.reach[place] = _reach(place, nodes)
        known: dict[object, bool] = {}
        for row in map(int, np.flatnonzero(among)):
            alike = self._alike(mine, row)
            answer = known.get(alike)
            if answer is None:
                answer = known[alike] = self._search(mine, row) is not None
            fits[row] = answer
        return fits

    def _alike(self, mine: _Claims, row: int) -> object:
        """Equal for nodes that offer the same: what is one node's alone by its kind, what is shared by its place."""
        pools = self._inventory.local(mine.nodes.names[row])
        local = tuple((pool.kind, self._allocations.taken(pool.key)) for pool in pools)
        return local, tuple(bool(mask[row]) for mask in mine.reach.values())

    def _search(self, mine: _Claims, row: int) -> dict[str, Json] | None:
        """Allocations by the uids of the claims; raises Impossible."""
        found = Search(mine.wishes, list(self._offers(mine, row)), self._selections).run()
        if found is None:
            return None
        pairs = zip(mine.wishes, found, strict=True)
        return {meta.uid_of(wish.claim): allocation_of(wish, chosen) for wish, chosen in pairs}

    def _offers(self, mine: _Claims, row: int) -> Iterator[Offer]:
        for pool in self._inventory.local(mine.nodes.names[row]):
            yield Offer(pool, pool.devices, self._allocations.taken(pool.key))
        for pool in self._inventory.shared():
            devices = [device for device in pool.devices if mine.reach[device.place][row]]
            if devices:
                yield Offer(pool, devices, self._allocations.taken(pool.key))

    def post_filter(
        self, state: CycleState, pod: Pod, nodes: NodeTable, diagnosis: Diagnosis, filters: Filters
    ) -> Status:
        """A claim that nobody else uses gives its devices back, if they are on nodes that do not fit."""
        mine = state.data.get(self.name)
        if mine is None:
            return Status(Code.UNSCHEDULABLE)
        for claim in mine.elsewhere:
            if _users(claim) <= {pod.uid}:
                diagnosis.work.append(partial(self._deallocate, claim))
                return Status(Code.UNSCHEDULABLE, ("deallocation of ResourceClaim completed",))
        return Status(Code.UNSCHEDULABLE, ("still not schedulable",))

    async def _deallocate(self, claim: Json) -> None:
        status = {"allocation": None, "reservedFor": None}
        await self._write(claim, {"status": status}, "status")

    # -- the chosen node ----------------------------------------------------------------------------------------------

    def reserve(self, state: CycleState, pod: Pod, node: str) -> Status:
        """Nobody else gets the devices from now on."""
        mine = state.data.get(self.name)
        if mine is None or not mine.wishes:
            return OK
        row = mine.nodes.row_of(node)
        found = None if row is None else self._search(mine, row)
        if found is None:
            return Status(Code.ERROR, ("claim allocation not found for node",))
        mine.allocations = found
        for uid, allocation in found.items():
            self._allocations.assume(uid, devices_of({"status": {"allocation": allocation}}))
        return OK

    def unreserve(self, state: CycleState, pod: Pod, node: str) -> None:
        """Others may have them, unless it is written that they are the claim's."""
        mine = state.data.get(self.name)
        for uid in mine.allocations if mine is not None else ():
            self._allocations.forget(uid)

    async def pre_bind(self, state: CycleState, pod: Pod, node: str) -> Status:
        """Write into each claim what it has, and that the pod uses it."""
        mine: _Claims | None = state.data.get(self.name)
        if mine is None:
            return OK
        for claim in mine.claims:
            if pod.uid in _users(claim):
                continue
            try:
                await self._bind(claim, mine.allocations.get(meta.uid_of(claim)), pod)
            except (errors.StatusError, ConnectionProblem, NotReady) as problem:
                return Status(Code.ERROR, (str(problem),))
            mine.allocations.pop(meta.uid_of(claim), None)
        return OK

    async def _bind(self, claim: Json, allocation: Json | None, pod: Pod) -> None:
        """Again with the newest claim when somebody else wrote it meanwhile."""
        for _ in range(_ATTEMPTS):
            try:
                await self._bind_once(claim, allocation, pod)
            except errors.Conflict:
                claim = await self._client.get(kinds.RESOURCE_CLAIMS, meta.name_of(claim), meta.namespace_of(claim))
            else:
                return
        raise NotReady(f"add reservation to claim {meta.key_of(claim)}: it is changed again and again")

    async def _bind_once(self, claim: Json, allocation: Json | None, pod: Pod) -> None:
        if meta.is_being_deleted(claim):
            raise NotReady(f"claim {meta.key_of(claim)} got deleted in the meantime")
        user = {"resource": "pods", "name": pod.key.name, "uid": pod.uid}
        status: Json = {"reservedFor": [user]}
        if allocation is not None:
            if _allocation(claim):
                raise NotReady(f"claim {meta.key_of(claim)} got allocated elsewhere in the meantime")
            status["allocation"] = allocation
            if FINALIZER not in (meta.metadata_of(claim).get("finalizers") or ()):
                claim = await self._write(claim, {"metadata": {"finalizers": [FINALIZER]}})
        await self._write(claim, {"status": status}, "status")

    async def _write(self, claim: Json, patch: Json, subresource: str = "") -> Json:
        """Only on the claim as it was read; raises Conflict."""
        guard = {"uid": meta.uid_of(claim), "resourceVersion": meta.resource_version_of(claim)}
        patch = {**patch, "metadata": {**(patch.get("metadata") or {}), **guard}}
        name, namespace = meta.name_of(claim), meta.namespace_of(claim)
        return await self._client.patch(
            kinds.RESOURCE_CLAIMS, name, namespace, patch, content_type=STRATEGIC_PATCH, subresource=subresource
        )

    # -- what helps ---------------------------------------------------------------------------------------------------

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """A claim of the pod's own, devices that were given back, new devices, a class, a node with other labels."""
        match event.resource, event.action:
            case Resource.RESOURCE_CLAIM, Action.ADD | Action.UPDATE:
                return self._claim_helps(pod, event)
            case Resource.PENDING_POD, Action.UPDATE:
                return self.pre_enqueue(pod) is OK
            case Resource.DEVICE_TAINT_RULE, _:
                return True
            case Resource.DEVICE_CLASS | Resource.RESOURCE_SLICE | Resource.NODE, Action.ADD | Action.UPDATE:
                return True
            case _:
                return False

    def _claim_helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """Upstream: isSchedulableAfterClaimChange."""
        try:
            own = {meta.uid_of(claim) for claim in self._claims_of(pod)}
        except NotReady:
            return False
        if event.old is not None and _allocation(event.old) and not _allocation(event.obj):
            return True
        if meta.uid_of(event.obj) not in own:
            return False
        return event.old is None or event.old.get("status") != event.obj.get("status")


def _names(pod: Pod) -> Iterator[tuple[str, bool]]:
    """Names of a pod's claims, and whether each was made for it; claims that need not be are left out."""
    made = {one["name"]: one for one in (pod.obj.get("status") or {}).get("resourceClaimStatuses") or ()}
    for one in pod.spec.get("resourceClaims") or ():
        if name := one.get("resourceClaimName"):
            yield name, False
        elif one["name"] not in made:
            raise NotReady(f'pod "{pod.key}": ResourceClaim not created yet')
        elif name := made[one["name"]].get("resourceClaimName"):
            yield name, True


def _request_of_class(claim: Json, class_name: str) -> str:
    """Which request names a class first."""
    for request in claim["spec"]["devices"]["requests"]:
        if (request.get("exactly") or {}).get("deviceClassName") == class_name:
            return str(request["name"])
        for one in request.get("firstAvailable") or ():
            if one.get("deviceClassName") == class_name:
                return f"{request['name']}/{one['name']}"
    return ""


def _allocation(claim: Json) -> Json:
    allocation: Json = (claim.get("status") or {}).get("allocation") or {}
    return allocation


def _users(claim: Json) -> set[str]:
    """Uids of the pods that a claim is reserved for."""
    return {one.get("uid") or "" for one in (claim.get("status") or {}).get("reservedFor") or ()}


def _reach(place: Place, nodes: NodeTable) -> Mask:
    """The nodes a device can be used on."""
    if place.node:
        return nodes.named(place.node)
    return selected_nodes(place.node_selector(), nodes) if place.selector else nodes.all()


def _unresolvable(why: str) -> Status:
    return Status(Code.UNRESOLVABLE, (why,))
