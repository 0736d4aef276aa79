"""Empties a namespace that is being deleted, then lets it go. Making namespaces is the API server's and the user's.

Upstream: pkg/controller/namespace/. Pods go first and have to be gone before anything else is touched (KEP-5080): a pod
that still runs may need its Secrets and policies until its end.
"""

from typing import Final

from controller_manager.discovery import Discovered, Resource, discover
from controller_manager.namespace_plan import FINALIZER, Remains, conditions_of, grace_of
from machinery.aio.clock import REAL, Clock
from machinery.aio.workqueue import WorkQueue
from machinery.api import codec, errors, kinds, meta, times
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself, ignore_not_found
from machinery.client.informer import Informers
from machinery.client.rest import Client

_DISCOVERY_LIFETIME: Final = 10.0
_LONGEST_WAIT: Final = 15.0
_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class NamespaceController:
    """Each look deletes everything there is and counts what is left; the next look follows until nothing is."""

    name = "namespace-controller"

    def __init__(self, client: Client, informers: Informers, clock: Clock = REAL) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue(clock)
        self._client = client
        self._clock = clock
        self._discovered: tuple[float, Discovered] | None = None
        self._namespaces = informers.watch(kinds.NAMESPACES, on_change=enqueue_itself(self.queue))
        informers.watch(kinds.PODS, on_change=self._pod_gone)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One round for one namespace; seconds until the next, while something is left."""
        namespace = self._namespaces.get(key)
        if namespace is None or not meta.is_being_deleted(namespace):
            return None
        if FINALIZER not in (namespace["spec"].get("finalizers") or ()):
            return None  # done, or another's finalizer holds it
        remains, wait = await self._delete_content(key.name)
        namespace = await self._write_status(namespace, remains)
        if not remains.empty:
            return wait
        await self._finalize(namespace)
        return None

    async def _delete_content(self, namespace: str) -> tuple[Remains, float]:
        """Delete everything, in upstream's order; returns what is left and the seconds to wait for it."""
        discovered = await self._discover()
        remains = Remains()
        if discovered.failed:
            text = discovered.failure_text()
            remains.discovery = f"Discovery failed for some groups, {len(discovered.failed)} failing: {text}"
        resources = [r for r in discovered.resources if r.kind.namespaced and r.allows("delete")]
        pods = [resource for resource in resources if resource.kind == kinds.PODS]
        for resource in pods:
            left = await self._delete_all(resource, namespace, remains)
            if left:
                return remains, min(_LONGEST_WAIT, grace_of(left) / 2 + 1)
        for resource in resources:
            if resource.kind != kinds.PODS:
                await self._delete_all(resource, namespace, remains)
        return remains, min(_LONGEST_WAIT, 1.0 + len(remains.by_finalizer))

    async def _delete_all(self, resource: Resource, namespace: str, remains: Remains) -> list[Json]:
        """Delete all of one resource and count what is left of it; failures are noted, not raised."""
        try:
            if not await self._delete_collection(resource, namespace):
                for item in await self._list(resource, namespace):
                    deletion = self._client.delete(
                        resource.kind, meta.name_of(item), namespace, propagation_policy="Background"
                    )
                    await ignore_not_found(deletion)
            left = await self._list(resource, namespace)
        except (errors.NotFound, errors.MethodNotSupported):
            return []  # the resource went away since it was discovered
        except (errors.StatusError, OSError) as problem:  # the other resources can still be deleted
            remains.failures.append(str(problem))
            return []
        remains.count(resource.kind, left)
        return left

    async def _delete_collection(self, resource: Resource, namespace: str) -> bool:
        if not resource.allows("deletecollection"):
            return False
        try:
            await self._client.delete_collection(resource.kind, namespace, propagation_policy="Background")
        except errors.MethodNotSupported:
            return False
        return True

    async def _list(self, resource: Resource, namespace: str) -> list[Json]:
        if not resource.allows("list"):
            return []
        # Pods are read whole: how long they take to end is in their spec.
        headers = {} if resource.kind == kinds.PODS else {"accept": _METADATA_ONLY}
        answer = await self._client.request("GET", resource.kind.path(namespace), headers=headers)
        items: list[Json] = codec.loads(answer.content).get("items") or []
        return items

    async def _discover(self) -> Discovered:
        now = self._clock.monotonic()
        if self._discovered is None or now - self._discovered[0] > _DISCOVERY_LIFETIME:
            self._discovered = now, await discover(self._client)
        return self._discovered[1]

    async def _write_status(self, namespace: Json, remains: Remains) -> Json:
        status = namespace.get("status") or {}
        conditions = conditions_of(namespace, remains, times.rfc3339(self._clock.now()))
        new = {**status, "phase": "Terminating", "conditions": conditions}
        if new == status:
            return namespace
        written = await ignore_not_found(self._client.update_status(kinds.NAMESPACES, {**namespace, "status": new}))
        return written or namespace

    async def _finalize(self, namespace: Json) -> None:
        kept = [name for name in namespace["spec"].get("finalizers") or () if name != FINALIZER]
        spec = {**namespace["spec"], "finalizers": kept}
        await ignore_not_found(
            self._client.update(kinds.NAMESPACES, {**namespace, "spec": spec}, subresource="finalize")
        )

    def _pod_gone(self, old: Json | None, new: Json | None) -> None:
        # The round after the last pod's end need not wait for its timer.
        if old is not None and new is None:
            key = ObjectKey("", meta.namespace_of(old))
            namespace = self._namespaces.get(key)
            if namespace is not None and meta.is_being_deleted(namespace):
                self.queue.add(key)
