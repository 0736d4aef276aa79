"""NodeVolumeLimits: a CSI driver attaches only so many volumes to a node, as its CSINode says.

Upstream: plugins/nodevolumelimits/csi.go. Not there: volumes of in-tree types that upstream counts as their driver's.
"""

from collections import Counter
from collections.abc import Iterator
from typing import ClassVar, Final

from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from scheduler import volumes
from scheduler.cache import Mask, NodeTable
from scheduler.framework import OK, SKIP, Action, ClusterEvent, CycleState, Handle, Resource, Status
from scheduler.pods import Pod

#: driver, and what is the volume's own: equal for all pods that mount it
Attached = tuple[str, str]
_BY_NODE: Final = "node"


class NodeVolumeLimits:
    """Filters by how many volumes of a driver are on a node already."""

    name: ClassVar[str] = "NodeVolumeLimits"
    reason: ClassVar[str] = "node(s) exceed max volume count"
    unresolvable: ClassVar[bool] = False
    events: ClassVar[tuple[Resource, ...]] = (
        Resource.CSI_NODE,
        Resource.PERSISTENT_VOLUME_CLAIM,
        Resource.VOLUME_ATTACHMENT,
    )

    def __init__(self, handle: Handle) -> None:
        watch = handle.informers.watch
        self._claims = watch(kinds.PERSISTENT_VOLUME_CLAIMS)
        self._volumes = watch(kinds.PERSISTENT_VOLUMES)
        self._classes = watch(kinds.STORAGE_CLASSES)
        self._csi_nodes = watch(kinds.CSI_NODES)
        self._attachments = watch(kinds.VOLUME_ATTACHMENTS)
        self._attachments.add_index(_BY_NODE, lambda one: [(one.get("spec") or {}).get("nodeName") or ""])

    def pre_filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Status:
        """Most pods have no volume of a driver."""
        if not pod.claims:
            return SKIP
        wanted = set(self._volumes_of(pod.key.namespace, *pod.claims))
        if not wanted:
            return SKIP
        state.data[self.name] = wanted
        return OK

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Mask:
        """Nodes on which no driver would have more volumes than it may."""
        wanted: set[Attached] = state.data[self.name]
        mask = nodes.all()
        limits = {row: found for row, found in self._limits(nodes, {driver for driver, _ in wanted}) if mask[row]}
        if not limits:
            return mask
        there = self._attached(nodes, set(limits))
        for row, most in limits.items():
            new = Counter(driver for driver, _ in wanted - there[row])
            have = Counter(driver for driver, _ in there[row])
            mask[row] = all(have[driver] + count <= most[driver] for driver, count in new.items() if driver in most)
        return mask

    def _limits(self, nodes: NodeTable, drivers: set[str]) -> Iterator[tuple[int, dict[str, int]]]:
        """The rows whose nodes limit one of the drivers, and to how many volumes."""
        for obj in self._csi_nodes.list():
            row = nodes.row_of(meta.name_of(obj))
            found = {
                driver["name"]: driver["allocatable"]["count"]
                for driver in (obj.get("spec") or {}).get("drivers") or ()
                if driver["name"] in drivers and (driver.get("allocatable") or {}).get("count") is not None
            }
            if row is not None and found:
                yield row, found

    def _attached(self, nodes: NodeTable, rows: set[int]) -> dict[int, set[Attached]]:
        """Volumes of the pods on each of the rows, and those that are attached there for whatever reason."""
        found: dict[int, set[Attached]] = {
            row: {
                volume
                for one in self._attachments.by_index(_BY_NODE, nodes.names[row])
                for volume in self._of_attachment(one)
            }
            for row in rows
        }
        for (namespace, name), places in nodes.mounted_claims():
            for row in places.keys() & rows:
                found[row].update(self._volumes_of(namespace, name))
        return found

    def _of_attachment(self, attachment: Json) -> Iterator[Attached]:
        name = ((attachment["spec"].get("source") or {}).get("persistentVolumeName")) or ""
        yield from _csi_volume(self._volumes.get(ObjectKey("", name)))

    def _volumes_of(self, namespace: str, *names: str) -> Iterator[Attached]:
        for name in names:
            claim = self._claims.get(ObjectKey(namespace, name))
            if claim is None:
                continue
            volume = self._volumes.get(ObjectKey("", volumes.volume_of(claim)))
            if volume is not None:
                yield from _csi_volume(volume)
            elif storage_class := self._classes.get(ObjectKey("", volumes.class_of(claim))):
                yield storage_class.get("provisioner") or "", f"{namespace}/{name}"  # what it will be made by

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """A pod with volumes went, one was detached, a node may have more, or a claim of the pod's came."""
        match event.resource, event.action:
            case Resource.ASSIGNED_POD, Action.DELETE:
                return any(True for _ in volumes.claims_of(event.obj))
            case Resource.CSI_NODE, Action.ADD | Action.UPDATE:
                return True
            case Resource.VOLUME_ATTACHMENT, Action.DELETE:
                return True
            case Resource.PERSISTENT_VOLUME_CLAIM, Action.ADD:
                return volumes.is_among(event.obj, pod.key.namespace, pod.claims)
            case Resource.NODE, Action.ADD:
                return True
            case _:
                return False


def _csi_volume(volume: Json | None) -> Iterator[Attached]:
    csi = ((volume or {}).get("spec") or {}).get("csi")
    if csi:
        yield csi.get("driver") or "", csi.get("volumeHandle") or ""
