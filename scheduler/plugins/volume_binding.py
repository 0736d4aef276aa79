"""VolumeBinding: nodes that a pod's volumes can be used on; volumes chosen or made for claims that waited for the pod.

Upstream: plugins/volumebinding (binder.go). What differs: all nodes are asked at once (`volume_matching`). There are no
scores, as upstream has none by default. The volume controller does the binding; `pre_bind` asks for it and waits.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import orjson

from machinery.aio.tasks import first_of
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.api.selectors import LabelSelector
from machinery.client.rest import MERGE_PATCH, ConnectionProblem
from scheduler import volume_matching, volumes
from scheduler.cache import Mask, NodeTable
from scheduler.framework import (
    OK,
    SKIP,
    Action,
    ClusterEvent,
    Code,
    CycleState,
    Handle,
    Resource,
    Status,
    Verdict,
)
from scheduler.plugins.node_affinity import nodes_with_labels, selected_nodes
from scheduler.pods import Pod
from scheduler.volume_matching import NONE, Matches
from scheduler.volumes import Unusable

_CONFLICT: Final = "node(s) didn't match PersistentVolume's node affinity"
_NO_VOLUME: Final = "node(s) didn't find available persistent volumes to bind"
_NO_SPACE: Final = "node(s) did not have enough free storage"
_LOST: Final = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
_IMMEDIATE: Final = "pod has unbound immediate PersistentVolumeClaims"
_SECONDS: Final = 600.0


@dataclass(slots=True)
class _Volumes:
    """A pod's claims during an attempt to place it."""

    nodes: NodeTable
    bound: list[Json] = field(default_factory=list)
    #: claims that wait for the pod
    waiting: list[Json] = field(default_factory=list)
    candidates: Sequence[Json] = ()
    matches: list[Matches] = field(default_factory=list)
    #: for the chosen node: claims with the volumes that they get, and claims whose volumes are to be made
    bindings: list[tuple[Json, Json]] = field(default_factory=list)
    provisions: list[Json] = field(default_factory=list)


class VolumeBinding:
    """Filters by volumes, keeps those it chose for the pod, and has them bound."""

    name: ClassVar[str] = "VolumeBinding"
    events: ClassVar[tuple[Resource, ...]] = (
        Resource.PERSISTENT_VOLUME,
        Resource.PERSISTENT_VOLUME_CLAIM,
        Resource.STORAGE_CLASS,
        Resource.CSI_DRIVER,
        Resource.CSI_STORAGE_CAPACITY,
    )

    def __init__(self, handle: Handle, args: Mapping[str, Any] | None = None) -> None:
        watch = handle.informers.watch
        self._client = handle.client
        self._clock = handle.clock
        self._seconds = float((args or {}).get("bindTimeoutSeconds") or _SECONDS)
        self._claims = watch(kinds.PERSISTENT_VOLUME_CLAIMS, on_change=self._on_change)
        self._volumes = watch(kinds.PERSISTENT_VOLUMES, on_change=self._on_change)
        self._classes = watch(kinds.STORAGE_CLASSES)
        self._drivers = watch(kinds.CSI_DRIVERS)
        self._capacities = watch(kinds.CSI_STORAGE_CAPACITIES)
        self._pods = watch(kinds.PODS)
        self._nodes = watch(kinds.NODES)
        self._changed = asyncio.Event()
        #: volume → the claim it is meant for, and claim → the node its volume is to be made for; not written yet
        self._assumed_volumes: dict[str, Json] = {}
        self._assumed_nodes: dict[str, str] = {}

    # -- which claims -------------------------------------------------------------------------------------------------

    def pre_filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Status:
        """Most pods mount no claim."""
        if not pod.claims:
            return SKIP
        try:
            claims = [self._claim(pod, *named) for named in volumes.claims_of(pod.obj)]
        except Unusable as problem:
            return Status(Code.UNRESOLVABLE, (str(problem),))
        mine = _Volumes(nodes)
        for claim in claims:
            if volumes.is_fully_bound(claim):
                mine.bound.append(claim)
            elif volumes.volume_of(claim) or not volumes.waits_for_pod(self._class_of(claim)):
                return Status(Code.UNRESOLVABLE, (_IMMEDIATE,))
            else:
                mine.waiting.append(claim)
        state.data[self.name] = mine
        return OK

    def _claim(self, pod: Pod, name: str, is_ephemeral: bool) -> Json:
        claim = self._claims.get(ObjectKey(pod.key.namespace, name))
        if claim is None and is_ephemeral:
            text = f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
            raise Unusable(text)
        if claim is None:
            raise volumes.not_found(kinds.PERSISTENT_VOLUME_CLAIMS, name)
        if (claim.get("status") or {}).get("phase") == "Lost":
            volume = volumes.volume_of(claim)
            raise Unusable(f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"')
        if meta.is_being_deleted(claim):
            raise Unusable(f'persistentvolumeclaim "{name}" is being deleted')
        if is_ephemeral and (meta.controller_of(claim) or {}).get("uid") != pod.uid:
            raise Unusable(f"PVC {meta.key_of(claim)} was not created for pod {pod.key} (pod is not owner)")
        return claim

    def _class_of(self, claim: Json) -> Json | None:
        return self._classes.get(ObjectKey("", volumes.class_of(claim)))

    # -- which nodes --------------------------------------------------------------------------------------------------

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Verdict:
        """Nodes that all volumes can be used on, those that are chosen or made for the pod among them."""
        mine: _Volumes = state.data[self.name]
        reaches = _Reaches(nodes)
        known = [self._volumes.get(ObjectKey("", volumes.volume_of(claim))) for claim in mine.bound]
        lost = nodes.all() if None in known else nodes.none()
        here = nodes.all()
        for volume in known:
            if volume is not None:
                here &= reaches.of(volume)
        served, room = self._serve(mine, nodes, reaches) if mine.waiting else (nodes.all(), nodes.all())
        reasons = ((_CONFLICT, ~here), (_NO_VOLUME, ~served), (_NO_SPACE, served & ~room), (_LOST, lost))
        return Verdict(here & served & room & ~lost, reasons, nodes.all())

    def _serve(self, mine: _Volumes, nodes: NodeTable, reaches: "_Reaches") -> tuple[Mask, Mask]:
        """Rows on which each waiting claim has a volume or can have one made; and rows with room for those."""
        served, room = nodes.all(), nodes.all()
        to_match = []
        for claim in mine.waiting:
            node = self._node_of(claim)
            if node is None:
                to_match.append(claim)
                continue
            makes, has_room = self._can_make(claim, nodes)
            served &= nodes.named(node) & makes
            room &= has_room
        mine.candidates = [self._as_assumed(volume) for volume in self._volumes.list()] if to_match else ()
        mine.matches = volume_matching.match(to_match, mine.candidates, nodes, reaches.of)
        for one in mine.matches:
            makes, has_room = self._can_make(one.claim, nodes) if not one.found().all() else (room, room)
            served &= one.found() | makes
            room &= one.found() | has_room
        return served, room

    def _node_of(self, claim: Json) -> str | None:
        """The node that a claim's volume is made for, if that is decided."""
        return meta.annotations_of(claim).get(volumes.SELECTED_NODE) or self._assumed_nodes.get(meta.uid_of(claim))

    def _as_assumed(self, volume: Json) -> Json:
        """A volume as it will be once what is assumed of it is written."""
        reference = self._assumed_volumes.get(meta.name_of(volume))
        return volume if reference is None else {**volume, "spec": {**volume["spec"], "claimRef": reference}}

    def _can_make(self, claim: Json, nodes: NodeTable) -> tuple[Mask, Mask]:
        """Rows for which a claim's class makes volumes, and rows for which its driver says that it has room."""
        storage_class = self._class_of(claim) or {}
        provisioner = storage_class.get("provisioner") or ""
        if provisioner in ("", volumes.NO_PROVISIONER):
            return nodes.none(), nodes.all()
        terms = storage_class.get("allowedTopologies") or ()
        allowed = nodes.none() if terms else nodes.all()
        for term in terms:
            mask = nodes.all()
            for one in term.get("matchLabelExpressions") or ():
                mask &= nodes.label(one["key"]).one_of(one.get("values") or ())
            allowed |= mask
        return allowed, self._room(provisioner, claim, nodes)

    def _room(self, provisioner: str, claim: Json, nodes: NodeTable) -> Mask:
        size, driver = volumes.size_wanted(claim), self._drivers.get(ObjectKey("", provisioner))
        if size is None or driver is None or not driver["spec"].get("storageCapacity"):
            return nodes.all()
        room = nodes.none()
        for capacity in self._capacities.list():
            topology = capacity.get("nodeTopology")
            limit = volumes.most_of(capacity)
            if capacity.get("storageClassName") != volumes.class_of(claim) or topology is None:
                continue
            if limit is not None and limit >= size:
                room |= nodes_with_labels(LabelSelector.from_dict(topology), nodes)
        return room

    # -- the chosen node ----------------------------------------------------------------------------------------------

    def reserve(self, state: CycleState, pod: Pod, node: str) -> Status:
        """Nobody else gets the volumes from now on."""
        mine: _Volumes | None = state.data.get(self.name)
        row = mine.nodes.row_of(node) if mine is not None else None
        if mine is None or row is None:
            return OK
        chosen = {meta.uid_of(one.claim): int(one.choices[row]) for one in mine.matches}
        for claim in mine.waiting:
            number = chosen.get(meta.uid_of(claim), NONE)
            if number == NONE:
                mine.provisions.append(claim)
                self._assumed_nodes[meta.uid_of(claim)] = node
            else:
                volume = mine.candidates[number]
                mine.bindings.append((claim, volume))
                self._assumed_volumes[meta.name_of(volume)] = _reference(claim)
        return OK

    def unreserve(self, state: CycleState, pod: Pod, node: str) -> None:
        """Others may have them."""
        mine: _Volumes | None = state.data.get(self.name)
        if mine is not None:
            self._forget(mine)

    def _forget(self, mine: _Volumes) -> None:
        for _, volume in mine.bindings:
            self._assumed_volumes.pop(meta.name_of(volume), None)
        for claim in mine.provisions:
            self._assumed_nodes.pop(meta.uid_of(claim), None)

    async def pre_bind(self, state: CycleState, pod: Pod, node: str) -> Status:
        """Tell the volume controller, and wait until it has bound all claims."""
        mine: _Volumes | None = state.data.get(self.name)
        if mine is None or not mine.waiting:
            return OK
        try:
            for number, (claim, volume) in enumerate(mine.bindings):
                mine.bindings[number] = claim, await self._give(volume, claim)
            for number, claim in enumerate(mine.provisions):
                mine.provisions[number] = await self._have_made(claim, node)
            await self._wait_until_bound(mine, pod, node)
        except (Unusable, errors.StatusError, ConnectionProblem) as problem:
            return Status(Code.ERROR, (str(problem),))
        self._forget(mine)
        return OK

    async def _give(self, volume: Json, claim: Json) -> Json:
        """Write whose a volume is; another pod of the same claim may have been faster."""
        volume = self._volumes.get(ObjectKey("", meta.name_of(volume))) or volume
        if (volume["spec"].get("claimRef") or {}).get("uid") == meta.uid_of(claim):
            return volume
        if volume["spec"].get("claimRef") and not volumes.is_reserved_for(volume, claim):
            raise Unusable(f'pv "{meta.name_of(volume)}" is bound to another claim meanwhile')
        annotations = {} if volumes.is_reserved_for(volume, claim) else {volumes.BOUND_BY_CONTROLLER: "yes"}
        patch = {"metadata": {**_guard(volume), "annotations": annotations}, "spec": {"claimRef": _reference(claim)}}
        return await self._client.patch(
            kinds.PERSISTENT_VOLUMES, meta.name_of(volume), "", patch, content_type=MERGE_PATCH
        )

    async def _have_made(self, claim: Json, node: str) -> Json:
        if meta.annotations_of(claim).get(volumes.SELECTED_NODE) == node:
            return claim
        patch = {"metadata": {**_guard(claim), "annotations": {volumes.SELECTED_NODE: node}}}
        name, namespace = meta.name_of(claim), meta.namespace_of(claim)
        return await self._client.patch(
            kinds.PERSISTENT_VOLUME_CLAIMS, name, namespace, patch, content_type=MERGE_PATCH
        )

    # -- waiting for the volume controller ----------------------------------------------------------------------------

    def _on_change(self, old: Json | None, new: Json | None) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait_until_bound(self, mine: _Volumes, pod: Pod, node: str) -> None:
        deadline = self._clock.monotonic() + self._seconds
        while not all(self._checks(mine, pod, node)):
            left = deadline - self._clock.monotonic()
            if left <= 0:
                raise Unusable("binding volumes: context deadline exceeded")
            # not only when claims and volumes change: the pod or its node may go
            await first_of(self._changed.wait(), self._clock.sleep(min(left, 1.0)))

    def _checks(self, mine: _Volumes, pod: Pod, node: str) -> Iterator[bool]:
        """Whether each claim is bound; raises Unusable where it will not be (upstream: checkBindings)."""
        at = self._nodes.get(ObjectKey("", node))
        if at is None:
            raise Unusable(f'binding volumes: failed to get node "{node}": node "{node}" not found')
        if self._pods.get(pod.key) is None:
            raise Unusable(f'binding volumes: pod does not exist any more: pod "{pod.key.name}" not found')
        for claim, volume in mine.bindings:
            yield self._is_bound(claim, volume, at)
        for claim in mine.provisions:
            yield self._is_made(claim, at)

    def _is_bound(self, claim: Json, volume: Json, node: Json) -> bool:
        now, of = self._volumes.get(ObjectKey("", meta.name_of(volume))), self._claims.get(meta.key_of(claim))
        if now is None or of is None:
            what = f'PersistentVolume "{meta.name_of(volume)}"' if now is None else f'claim "{meta.key_of(claim)}"'
            raise Unusable(f"binding volumes: failed to check binding: could not find {what}")
        if _is_older(now, volume):
            return False
        _must_reach(now, node)
        if not (now["spec"].get("claimRef") or {}).get("uid"):
            raise Unusable(f'binding volumes: ClaimRef got reset for pv "{meta.name_of(now)}"')
        return volumes.is_fully_bound(of)

    def _is_made(self, claim: Json, node: Json) -> bool:
        now = self._claims.get(meta.key_of(claim))
        if now is None:
            text = f'could not find claim "{meta.key_of(claim)}"'
            raise Unusable(f"binding volumes: failed to check provisioning pvc: {text}")
        if _is_older(now, claim):
            return False
        if meta.annotations_of(now).get(volumes.SELECTED_NODE) != meta.name_of(node):
            raise Unusable(f'binding volumes: provisioning failed for PVC "{meta.name_of(now)}"')
        if name := volumes.volume_of(now):
            volume = self._volumes.get(ObjectKey("", name))
            if volume is None:
                return False  # not heard of yet
            _must_reach(volume, node)
        return volumes.is_fully_bound(now)

    # -- what helps ---------------------------------------------------------------------------------------------------

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """A volume, a claim of the pod's, a class, room at a driver, a node with other labels."""
        match event.resource, event.action:
            case Resource.PERSISTENT_VOLUME | Resource.NODE, Action.ADD | Action.UPDATE:
                return True
            case Resource.PERSISTENT_VOLUME_CLAIM, Action.ADD | Action.UPDATE:
                return volumes.is_among(event.obj, pod.key.namespace, pod.claims)
            case Resource.STORAGE_CLASS, Action.ADD | Action.UPDATE:
                return event.old is None or _differs(event, "allowedTopologies")
            case Resource.CSI_STORAGE_CAPACITY, Action.ADD | Action.UPDATE:
                return event.old is None or (volumes.most_of(event.obj) or 0) > (volumes.most_of(event.old) or 0)
            case Resource.CSI_DRIVER, Action.UPDATE:
                return _differs(event, "spec")
            case _:
                return False


class _Reaches:
    """Where volumes can be used; asked once for all volumes with the same node affinity."""

    def __init__(self, nodes: NodeTable) -> None:
        self._nodes = nodes
        self._known: dict[bytes, Mask] = {}

    def of(self, volume: Json) -> Mask:
        """The rows; to read only."""
        selector = volumes.node_selector_of(volume)
        text = orjson.dumps(selector)
        mask = self._known.get(text)
        if mask is None:
            all_ = self._nodes.all()
            mask = self._known[text] = all_ if selector is None else selected_nodes(selector, self._nodes)
        return mask


def _reference(claim: Json) -> Json:
    return meta.object_reference(claim, kinds.PERSISTENT_VOLUME_CLAIMS)


def _guard(obj: Json) -> Json:
    return {"uid": meta.uid_of(obj), "resourceVersion": meta.resource_version_of(obj)}


def _is_older(one: Json, other: Json) -> bool:
    """Whether the cache has not yet what was written."""
    return int(meta.resource_version_of(one) or 0) < int(meta.resource_version_of(other) or 0)


def _must_reach(volume: Json, node: Json) -> None:
    alone = NodeTable()
    alone.set_node(node)
    if not _Reaches(alone).of(volume).any():
        text = f'pv "{meta.name_of(volume)}" node affinity doesn\'t match node "{meta.name_of(node)}"'
        raise Unusable(f"binding volumes: {text}: no matching NodeSelectorTerms")


def _differs(event: ClusterEvent, part: str) -> bool:
    return (event.old or {}).get(part) != event.obj.get(part)
