"""Small PersistentVolumes, claims and classes for the scheduler's tests, and a plugin with the stores it reads."""

from collections.abc import Callable
from typing import Any

from machinery.aio.clock import FakeClock
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json, copy_of
from machinery.api.kinds import Kind
from machinery.api.names import ObjectKey
from machinery.api.patch import merge_patch
from scheduler.cache import NodeTable
from scheduler.framework import CycleState, Diagnosis, Handle
from scheduler.pods import Pod
from scheduler.runtime import Enabled, Runtime
from scheduler.simulated_cluster import SimulatedCluster
from tests.scheduler.objects import named, pod

WAIT = "WaitForFirstConsumer"


def on_node(*names: str) -> Json:
    """A NodeSelector of nodes by their hostname label."""
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": list(names)}]}
    return {"nodeSelectorTerms": [term]}


def volume(name: str, size: str = "1Gi", *, where: Json | None = None, storage_class: str = "", **facts: Any) -> Json:
    """An available volume, ReadWriteOnce."""
    labels = facts.pop("labels", {})
    spec: Json = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": storage_class}
    affinity = {"nodeAffinity": {"required": where}} if where else {}
    metadata = {"name": name, "labels": labels, "uid": f"uid-{name}", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {**spec, **affinity, **facts}, "status": {"phase": "Available"}}


def claim(name: str, size: str = "1Gi", *, storage_class: str = "", volume_name: str = "", **facts: Any) -> Json:
    """A claim of the default namespace; with a volume's name it is fully bound."""
    annotations = {"pv.kubernetes.io/bind-completed": "yes"} if volume_name else {}
    spec: Json = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    spec |= {"storageClassName": storage_class, "volumeName": volume_name, **facts}
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": "1"}
    return {"metadata": {**metadata, "annotations": annotations}, "spec": spec, "status": {}}


def storage_class(name: str, provisioner: str = "kubernetes.io/no-provisioner", mode: str = WAIT, **facts: Any) -> Json:
    """A class; by default of volumes that nobody makes, for claims that wait for their pods."""
    return {"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode, **facts}


def using(name: str, *claims: str, volumes: tuple[Json, ...] = (), **spec: Any) -> Pod:
    """A pod that mounts claims."""
    mounts = [{"name": one, "persistentVolumeClaim": {"claimName": one}} for one in claims]
    return pod(name, volumes=[*mounts, *volumes], **spec)


def ephemeral(name: str) -> Json:
    """A volume whose claim is made for the pod."""
    return {"name": name, "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}


class Server(SimulatedCluster):
    """Takes patches of volumes and claims as the API server does."""

    async def patch(self, kind: Kind, name: str, namespace: str, patch: Json, **_: Any) -> Json:
        """Refused where the object is another one by now."""
        obj = self._store(kind).get(ObjectKey(namespace, name))
        if obj is None:
            raise errors.not_found(kind, name)
        if patch["metadata"]["resourceVersion"] != meta.resource_version_of(obj):
            raise errors.Conflict("the object has been modified")
        return self.change(kind, obj, patch)

    def change(self, kind: Kind, obj: Json, patch: Json) -> Json:
        """As somebody else would."""
        changed = merge_patch(copy_of(obj), patch)
        changed["metadata"]["resourceVersion"] = str(int(meta.resource_version_of(obj)) + 1)
        self.put(kind, changed)
        return changed


class Setup:
    """A plugin, the nodes, and what the API server has."""

    def __init__(self, make: Callable[[Handle], Any], nodes: NodeTable, objects: dict[Kind, list[Json]]) -> None:
        self.server = Server()
        self.clock = FakeClock()
        everybody: Any = self.server
        self.plugin = make(Handle(everybody, everybody, clock=self.clock))
        self.nodes = nodes
        one = [Enabled(self.plugin)]
        self.runtime = Runtime("test", dict.fromkeys(("preFilter", "filter", "reserve", "preBind"), one))
        for kind, many in objects.items():
            for obj in many:
                self.server.put(kind, obj)

    def fits(self, candidate: Pod) -> set[str]:
        """The nodes."""
        return named(self.nodes, self.runtime.find_fits(CycleState(), candidate, self.nodes, self.diagnosis()))

    def why(self, candidate: Pod) -> dict[str, int]:
        """Reasons with their counts; for all nodes at once under 0."""
        diagnosis = self.diagnosis()
        self.runtime.find_fits(CycleState(), candidate, self.nodes, diagnosis)
        if diagnosis.pre_filter_message:
            return {diagnosis.pre_filter_message: 0}
        return diagnosis.histogram()

    def diagnosis(self) -> Diagnosis:
        """An empty one."""
        return Diagnosis(self.nodes.count)

    def claim(self, name: str) -> Json:
        """As it is now."""
        found = self.server.watch(kinds.PERSISTENT_VOLUME_CLAIMS).get(ObjectKey("default", name))
        assert found is not None
        return found

    def volume(self, name: str) -> Json:
        """As it is now."""
        found = self.server.watch(kinds.PERSISTENT_VOLUMES).get(ObjectKey("", name))
        assert found is not None
        return found
