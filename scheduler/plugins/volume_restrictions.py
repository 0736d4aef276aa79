"""VolumeRestrictions: a claim for one pod alone, and disks of old that one pod alone may write to.

Upstream: plugins/volumerestrictions.
"""

from typing import ClassVar, Final

import numpy as np

from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from scheduler import volumes
from scheduler.cache import Mask, NodeTable
from scheduler.framework import OK, SKIP, Action, ClusterEvent, Code, CycleState, Handle, Resource, Status, Verdict
from scheduler.pods import Pod
from scheduler.volumes import Unusable

_ONE_POD: Final = "ReadWriteOncePod"
_IN_USE: Final = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
_NO_DISK: Final = "node(s) had no available disk"
_DISKS: Final = ("gcePersistentDisk", "awsElasticBlockStore", "iscsi", "rbd")


class VolumeRestrictions:
    """Filters by what other pods have mounted."""

    name: ClassVar[str] = "VolumeRestrictions"
    events: ClassVar[tuple[Resource, ...]] = (Resource.PERSISTENT_VOLUME_CLAIM,)

    def __init__(self, handle: Handle) -> None:
        self._claims = handle.informers.watch(kinds.PERSISTENT_VOLUME_CLAIMS)

    def pre_filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Status:
        """Most pods have neither."""
        if not pod.spec.get("volumes"):
            return SKIP
        try:
            alone = [name for name in volumes.named_claims_of(pod.obj) if self._is_for_one_pod(pod, name)]
        except Unusable as problem:
            return Status(Code.UNRESOLVABLE, (str(problem),))
        disks = [volume for volume in pod.spec["volumes"] if any(kind in volume for kind in _DISKS)]
        if not alone and not disks:
            return SKIP
        state.data[self.name] = alone, disks
        return OK

    def _is_for_one_pod(self, pod: Pod, name: str) -> bool:
        claim = self._claims.get(ObjectKey(pod.key.namespace, name))
        if claim is None:
            raise volumes.not_found(kinds.PERSISTENT_VOLUME_CLAIMS, name)
        return _ONE_POD in (claim["spec"].get("accessModes") or ())

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Verdict:
        """No node while another pod anywhere has the claim; no node where one has the disk. Preemption may help."""
        alone, disks = state.data[self.name]
        in_use = any(nodes.rows_with_claim(pod.key.namespace, name) for name in alone)
        taken = nodes.all() if in_use else nodes.none()
        conflict = self._conflicts(disks, nodes) if disks else nodes.none()
        return Verdict(nodes.all() & ~taken & ~conflict, ((_IN_USE, taken), (_NO_DISK, conflict & ~taken)))

    def _conflicts(self, disks: list[Json], nodes: NodeTable) -> Mask:
        mask = nodes.none()
        for row in map(int, np.flatnonzero(nodes.all())):
            mounted = (volume for other in nodes.pods_on(row) for volume in other.spec.get("volumes") or ())
            mask[row] = any(_same_disk(disk, volume) for volume in mounted for disk in disks)
        return mask

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """The pod's claim came, or a pod went that has the same volumes."""
        match event.resource, event.action:
            case Resource.PERSISTENT_VOLUME_CLAIM, Action.ADD:
                return volumes.is_among(event.obj, pod.key.namespace, volumes.named_claims_of(pod.obj))
            case Resource.ASSIGNED_POD, Action.DELETE:
                return _shares_volumes(pod, event.obj)
            case Resource.NODE, Action.ADD:
                return True
            case _:
                return False


def _shares_volumes(pod: Pod, other: Json) -> bool:
    theirs = {claim.name for claim in volumes.claims_of(other)}
    if meta.namespace_of(other) == pod.key.namespace and theirs.intersection(volumes.named_claims_of(pod.obj)):
        return True
    mounted = (other.get("spec") or {}).get("volumes") or ()
    return any(_same_disk(mine, one) for mine in pod.spec.get("volumes") or () for one in mounted)


def _same_disk(one: Json, other: Json) -> bool:
    """Whether two volumes are one disk that not both may have."""
    kind = next((kind for kind in _DISKS if one.get(kind) and other.get(kind)), "")
    if not kind:
        return False
    mine, theirs = one[kind], other[kind]
    only_read = bool(mine.get("readOnly") and theirs.get("readOnly"))
    match kind:
        case "gcePersistentDisk":
            return mine.get("pdName") == theirs.get("pdName") and not only_read
        case "awsElasticBlockStore":
            return bool(mine.get("volumeID") == theirs.get("volumeID"))
        case "iscsi":
            return mine.get("iqn") == theirs.get("iqn") and not only_read
        case _:
            monitors = set(mine.get("monitors") or ()) & set(theirs.get("monitors") or ())
            return bool(monitors) and _image(mine) == _image(theirs) and not only_read


def _image(disk: Json) -> tuple[str, str]:
    return disk.get("pool") or "rbd", disk.get("image") or ""
