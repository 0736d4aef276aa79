"""Claims that a pod uses stay: their finalizer goes when they are to be deleted and no pod on a node names them.

Upstream: pkg/controller/volume/pvcprotection/pvc_protection_controller.go. Admission gives new claims the finalizer;
those that came without are given it here.
"""

from collections.abc import Iterator
from typing import Final

from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta, pods
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself
from machinery.client.informer import Informers
from machinery.client.rest import Client

FINALIZER: Final = "kubernetes.io/pvc-protection"
_BY_CLAIM: Final = "claims"


def claims_of(pod: Json) -> Iterator[str]:
    """The names of the claims that a pod mounts, those of its ephemeral volumes too."""
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if volume.get("persistentVolumeClaim") is not None:
            yield volume["persistentVolumeClaim"].get("claimName") or ""
        elif volume.get("ephemeral") is not None:
            yield f"{meta.name_of(pod)}-{volume['name']}"


class PVCProtectionController:
    """Keys are claims."""

    name = "persistentvolumeclaim-protection-controller"

    def __init__(self, client: Client, informers: Informers) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._claims = informers.watch(kinds.PERSISTENT_VOLUME_CLAIMS, on_change=enqueue_itself(self.queue))
        self._pods = informers.watch(kinds.PODS, on_change=self._pod_changed)
        self._pods.add_index(_BY_CLAIM, _keys_of)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one claim."""
        claim = self._claims.get(key)
        if claim is None:
            return None
        finalizers = list(meta.finalizers_of(claim))
        if not meta.is_being_deleted(claim):
            if FINALIZER not in finalizers:
                await self._write(claim, [*finalizers, FINALIZER])
        elif FINALIZER in finalizers and not await self._is_used(key):
            await self._write(claim, [name for name in finalizers if name != FINALIZER])
        return None

    async def _is_used(self, key: ObjectKey) -> bool:
        """By the cache, and where that says no, by the API server: a pod may have come just now."""
        if any(_uses(pod, key.name) for pod in self._pods.by_index(_BY_CLAIM, f"{key.namespace}/{key.name}")):
            return True
        listed = await self._client.list(kinds.PODS, key.namespace)
        return any(_uses(pod, key.name) for pod in listed["items"])

    async def _write(self, claim: Json, finalizers: list[str]) -> None:
        changed = {**claim, "metadata": {**claim["metadata"], "finalizers": finalizers}}
        try:
            await self._client.update(kinds.PERSISTENT_VOLUME_CLAIMS, changed)
        except errors.NotFound:
            return  # it is gone

    def _pod_changed(self, old: Json | None, new: Json | None) -> None:
        if new is None and old is not None:
            for name in claims_of(old):
                self.queue.add(ObjectKey(meta.namespace_of(old), name))


def _uses(pod: Json, claim: str) -> bool:
    return bool(pods.node_of(pod)) and claim in claims_of(pod)


def _keys_of(pod: Json) -> list[str]:
    return [f"{meta.namespace_of(pod)}/{name}" for name in claims_of(pod)]
