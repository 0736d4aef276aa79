"""VolumeZone: volumes that are labelled with zones or regions are used there (upstream: plugins/volumezone)."""

from collections.abc import Iterator
from typing import ClassVar, Final

from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from scheduler import volumes
from scheduler.cache import Mask, NodeTable
from scheduler.framework import OK, SKIP, Action, ClusterEvent, Code, CycleState, Handle, Resource, Status
from scheduler.pods import Pod
from scheduler.volumes import Unusable

_BETA: Final = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
_LABELS: Final = (*_BETA, *_BETA.values())
Topology = tuple[str, frozenset[str]]


class VolumeZone:
    """Filters by the labels of bound volumes."""

    name: ClassVar[str] = "VolumeZone"
    reason: ClassVar[str] = "node(s) had no available volume zone"
    events: ClassVar[tuple[Resource, ...]] = (
        Resource.PERSISTENT_VOLUME,
        Resource.PERSISTENT_VOLUME_CLAIM,
        Resource.STORAGE_CLASS,
    )

    def __init__(self, handle: Handle) -> None:
        watch = handle.informers.watch
        self._claims = watch(kinds.PERSISTENT_VOLUME_CLAIMS)
        self._volumes = watch(kinds.PERSISTENT_VOLUMES)
        self._classes = watch(kinds.STORAGE_CLASSES)

    def pre_filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Status:
        """Most pods have no volume with such a label."""
        if not pod.spec.get("volumes"):
            return SKIP
        names = volumes.named_claims_of(pod.obj)
        try:
            wanted = [topology for name in names for topology in self._topologies(pod, name)]
        except Unusable as problem:
            return Status(Code.UNRESOLVABLE, (str(problem),))
        if not wanted:
            return SKIP
        state.data[self.name] = wanted
        return OK

    def _topologies(self, pod: Pod, name: str) -> Iterator[Topology]:
        if not name:
            raise Unusable("PersistentVolumeClaim had no name")
        claim = self._claims.get(ObjectKey(pod.key.namespace, name))
        if claim is None:
            raise volumes.not_found(kinds.PERSISTENT_VOLUME_CLAIMS, name)
        if volume_name := volumes.volume_of(claim):
            volume = self._volumes.get(ObjectKey("", volume_name))
            if volume is None:
                raise volumes.not_found(kinds.PERSISTENT_VOLUMES, volume_name)
            yield from topologies_of(volume)
            return
        class_name = volumes.class_of(claim)
        if not class_name:
            raise Unusable("PersistentVolumeClaim had no pv name and storageClass name")
        storage_class = self._classes.get(ObjectKey("", class_name))
        if storage_class is None:
            raise volumes.not_found(kinds.STORAGE_CLASSES, class_name)
        if not volumes.waits_for_pod(storage_class):
            raise Unusable("PersistentVolume had no name")

    def filter(self, state: CycleState, pod: Pod, nodes: NodeTable) -> Mask:
        """Nodes in the volumes' zones, and nodes that are in no zone at all."""
        somewhere = nodes.none()
        for key in _LABELS:
            somewhere |= nodes.label(key).present()
        here = nodes.all()
        for key, values in state.data[self.name]:
            column = nodes.label(key)
            found = column.one_of(values)
            if key in _BETA:
                found |= ~column.present() & nodes.label(_BETA[key]).one_of(values)
            here &= found
        mask: Mask = nodes.all() & (here | ~somewhere)
        return mask

    def helps(self, pod: Pod, event: ClusterEvent) -> bool:
        """A class that waits came, a claim of the pod's changed, a volume came or got other labels, or a node did."""
        match event.resource, event.action:
            case Resource.STORAGE_CLASS, Action.ADD:
                return volumes.waits_for_pod(event.obj)
            case Resource.PERSISTENT_VOLUME_CLAIM, Action.ADD | Action.UPDATE:
                return volumes.is_among(event.obj, pod.key.namespace, volumes.named_claims_of(pod.obj))
            case Resource.PERSISTENT_VOLUME, Action.ADD:
                return True
            case Resource.PERSISTENT_VOLUME, Action.UPDATE:
                return list(topologies_of(event.old or {})) != list(topologies_of(event.obj))
            case Resource.NODE, Action.ADD | Action.UPDATE:
                return True
            case _:
                return False


def topologies_of(volume: Json) -> Iterator[Topology]:
    """The zone and region labels of a volume, each with the values that it may be used in."""
    labels = meta.labels_of(volume)
    for key in _LABELS:
        values = frozenset(value.strip() for value in labels.get(key, "").split("__"))
        if key in labels and all(values):  # one with an empty value says nothing
            yield key, values
