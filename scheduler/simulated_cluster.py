"""A cluster in memory: informers and a client for the scheduler, without a server.

Pods that are bound run, victims go at once, and claims are bound to the volumes that the scheduler has chosen, or to
volumes made on the spot. Contract: what tests/scheduler and tests/integration/scheduler ask of the real ones, as far as
a scheduler uses them.
"""

from typing import Any

from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.names import ObjectKey
from machinery.api.patch import merge_patch
from machinery.client.informer import OnChange
from machinery.client.store import Store
from scheduler import volumes


class SimulatedCluster:
    """Objects, and who wants to hear of them."""

    def __init__(self) -> None:
        self._stores: dict[str, Store] = {}
        self._handlers: dict[str, list[OnChange]] = {}
        self.evicted = 0

    # the informers

    def watch(self, kind: Kind, *, on_change: OnChange | None = None, **_: Any) -> Store:
        """The store of a kind."""
        if on_change is not None:
            self._handlers.setdefault(kind.plural, []).append(on_change)
        return self._store(kind)

    async def wait_for_sync(self) -> None:
        """There is nothing to wait for."""

    def _store(self, kind: Kind) -> Store:
        return self._stores.setdefault(kind.plural, Store())

    # what happens

    def put(self, kind: Kind, obj: Json) -> None:
        """An object is new or changed."""
        old = self._store(kind).put(obj)
        self._tell(kind, old, obj)

    def remove(self, kind: Kind, key: ObjectKey) -> None:
        """An object is gone."""
        old = self._store(kind).remove(key)
        if old is not None:
            self._tell(kind, old, None)

    def pods(self) -> list[Json]:
        """All pods."""
        return self._store(kinds.PODS).list()

    def _tell(self, kind: Kind, old: Json | None, new: Json | None) -> None:
        for handler in self._handlers.get(kind.plural, ()):
            handler(old, new)

    # the client

    async def create(self, kind: Kind, obj: Json, *, subresource: str = "", name: str = "") -> Json:
        """Bindings only: the pod is on its node."""
        assert (kind, subresource) == (kinds.PODS, "binding")
        pod = self._there(kinds.PODS, meta.namespace_of(obj), name)
        spec = {**pod["spec"], "nodeName": obj["target"]["name"]}
        self.put(kinds.PODS, {**pod, "spec": spec, "status": {"phase": "Running"}})
        return {}

    async def get(self, kind: Kind, name: str, namespace: str = "", **_: Any) -> Json:
        """One object."""
        return self._there(kind, namespace, name)

    async def patch(self, kind: Kind, name: str, namespace: str, patch: Json, **_: Any) -> Json:
        """A merge, whatever sort of patch it is; a volume that is given away or asked for is bound."""
        changed = merge_patch(self._there(kind, namespace, name), patch)
        self.put(kind, changed)
        if kind is kinds.PERSISTENT_VOLUMES:
            self._bind(changed["spec"]["claimRef"], name)
        elif kind is kinds.PERSISTENT_VOLUME_CLAIMS:
            self._make_volume(changed)
        return changed

    def _make_volume(self, claim: Json) -> None:
        """What the class's provisioner does: a volume on the node that the pod goes to."""
        name, node = f"pvc-{meta.uid_of(claim)}", meta.annotations_of(claim)[volumes.SELECTED_NODE]
        field = {"key": "metadata.name", "operator": "In", "values": [node]}
        where = {"required": {"nodeSelectorTerms": [{"matchFields": [field]}]}}
        spec = {"nodeAffinity": where, "capacity": claim["spec"]["resources"]["requests"]}
        self.put(kinds.PERSISTENT_VOLUMES, {"metadata": {"name": name}, "spec": spec})
        self._bind(meta.object_reference(claim, kinds.PERSISTENT_VOLUME_CLAIMS), name)

    def _bind(self, reference: Json, volume: str) -> None:
        """What the volume controller does."""
        claim = self._there(kinds.PERSISTENT_VOLUME_CLAIMS, reference["namespace"], reference["name"])
        patch = {"metadata": {"annotations": {volumes.BIND_COMPLETED: "yes"}}, "spec": {"volumeName": volume}}
        self.put(kinds.PERSISTENT_VOLUME_CLAIMS, merge_patch(claim, patch))

    async def delete(self, kind: Kind, name: str, namespace: str = "", **_: Any) -> Json:
        """Victims go at once."""
        self.evicted += 1
        self.remove(kind, ObjectKey(namespace, name))
        return {}

    def _there(self, kind: Kind, namespace: str, name: str) -> Json:
        obj = self._store(kind).get(ObjectKey(namespace, name))
        if obj is None:
            raise errors.not_found(kind, name)
        return obj


class NoEvents:
    """Nobody reads them in a simulation."""

    def event(self, obj: Json, kind: Kind, type_: str, reason: str, message: str) -> None:
        """Dropped."""
