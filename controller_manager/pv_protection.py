"""Volumes that are bound to a claim stay: their finalizer goes when they are to be deleted and are bound no longer.

Upstream: pkg/controller/volume/pvprotection/pv_protection_controller.go.
"""

from typing import Final

from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself
from machinery.client.informer import Informers
from machinery.client.rest import Client

FINALIZER: Final = "kubernetes.io/pv-protection"


class PVProtectionController:
    """Keys are volumes."""

    name = "persistentvolume-protection-controller"

    def __init__(self, client: Client, informers: Informers) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._volumes = informers.watch(kinds.PERSISTENT_VOLUMES, on_change=enqueue_itself(self.queue))

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one volume."""
        volume = self._volumes.get(key)
        if volume is None:
            return None
        finalizers = list(meta.finalizers_of(volume))
        if not meta.is_being_deleted(volume):
            if FINALIZER not in finalizers:
                await self._write(volume, [*finalizers, FINALIZER])
        elif FINALIZER in finalizers and (volume.get("status") or {}).get("phase") != "Bound":
            await self._write(volume, [name for name in finalizers if name != FINALIZER])
        return None

    async def _write(self, volume: Json, finalizers: list[str]) -> None:
        changed = {**volume, "metadata": {**volume["metadata"], "finalizers": finalizers}}
        try:
            await self._client.update(kinds.PERSISTENT_VOLUMES, changed)
        except errors.NotFound:
            return  # it is gone
