"""A cluster in memory: informers and a client for the scheduler, without a server. What it does to pods is binding.

Contract: what tests/scheduler and tests/integration/scheduler ask of the real ones, as far as a scheduler uses them.
"""

from typing import Any

from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.names import ObjectKey
from machinery.client.informer import OnChange
from machinery.client.store import Store


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
        pod = self._pod(meta.namespace_of(obj), name)
        spec = {**pod["spec"], "nodeName": obj["target"]["name"]}
        self.put(kinds.PODS, {**pod, "spec": spec, "status": {"phase": "Running"}})
        return {}

    async def patch(self, kind: Kind, name: str, namespace: str, patch: Json, **_: Any) -> Json:
        """The status of pods only."""
        pod = self._pod(namespace, name)
        status = {**(pod.get("status") or {}), **patch["status"]}
        self.put(kinds.PODS, {**pod, "status": status})
        return {}

    async def delete(self, kind: Kind, name: str, namespace: str = "", **_: Any) -> Json:
        """Victims go at once."""
        self.evicted += 1
        self.remove(kind, ObjectKey(namespace, name))
        return {}

    def _pod(self, namespace: str, name: str) -> Json:
        pod = self._store(kinds.PODS).get(ObjectKey(namespace, name))
        if pod is None:
            raise errors.not_found(kinds.PODS, name)
        return pod


class NoEvents:
    """Nobody reads them in a simulation."""

    def event(self, obj: Json, kind: Kind, type_: str, reason: str, message: str) -> None:
        """Dropped."""
