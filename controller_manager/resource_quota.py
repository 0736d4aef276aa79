"""What each ResourceQuota's namespace uses, written into the quota's status. Who is refused is the API server's matter.

Upstream: pkg/controller/resourcequota/resource_quota_controller.go. A quota is recounted when its spec changes, when
something that it counts goes or shrinks, and every few minutes. Growing is not looked at: the API server charges what
is created, and counting what an informer has not seen yet would give it back.
"""

from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta, pods, quotas
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.names import ObjectKey
from machinery.api.quotas import Usage
from machinery.client.informer import Informers, OnChange
from machinery.client.rest import Client


class ResourceQuotaController:
    """Keys are quotas."""

    name = "resourcequota-controller"

    def __init__(self, client: Client, informers: Informers, resync_seconds: float) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._informers = informers
        self._resync_seconds = resync_seconds
        self._followed: set[Kind] = set()
        self._quotas = informers.watch(kinds.RESOURCE_QUOTAS, on_change=self._quota_changed)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One recount."""
        # As it is now, before anything is counted: a charge in between makes the write below a Conflict. Listed, for
        # upstream's role of this controller does not let it get.
        selector = f"metadata.name={key.name}"
        listed = await self._client.list(kinds.RESOURCE_QUOTAS, key.namespace, field_selector=selector)
        quota: Json | None = next(iter(listed.get("items") or ()), None)
        if quota is None or meta.is_being_deleted(quota):
            return None
        hard = (quota.get("spec") or {}).get("hard") or {}
        used = await self._count(quota, hard)
        status = {"hard": hard, "used": used}
        if status != (quota.get("status") or {}):
            try:
                await self._client.update_status(kinds.RESOURCE_QUOTAS, {**quota, "status": status})
            except errors.Conflict:
                return 0.1
            except errors.NotFound:
                return None
        return self._resync_seconds

    async def _count(self, quota: Json, hard: Json) -> Usage:
        total: Usage = dict.fromkeys(hard, "0")
        for kind in dict.fromkeys(quotas.kind_counted_by(name) for name in hard):
            if kind is None:
                continue
            self._follow(kind)
            listed = await self._client.list(kind, meta.namespace_of(quota))
            for obj in listed.get("items") or ():
                if quotas.counts(quota, kind, obj):
                    cost = quotas.usage_of(kind, obj)
                    total = quotas.add(total, {name: text for name, text in cost.items() if name in hard})
        return total

    def _follow(self, kind: Kind) -> None:
        """From now on its changes cause recounts."""
        if kind not in self._followed:
            self._followed.add(kind)
            self._informers.watch(kind, on_change=self._recount_on(kind))

    def _recount_on(self, kind: Kind) -> OnChange:
        def changed(old: Json | None, new: Json | None) -> None:
            if old is not None and (new is None or _has_shrunk(kind, old, new)):
                for quota in self._quotas.in_namespace(meta.namespace_of(old)):
                    self.queue.add(meta.key_of(quota))

        return changed

    def _quota_changed(self, old: Json | None, new: Json | None) -> None:
        """Its status alone is no reason: the API server writes it with each charge."""
        if new is not None and (old is None or old.get("spec") != new.get("spec")):
            self.queue.add(meta.key_of(new))


def _has_shrunk(kind: Kind, old: Json, new: Json) -> bool:
    if kind == kinds.PODS:
        return pods.is_terminal(new) and not pods.is_terminal(old)
    return bool(quotas.increase(quotas.usage_of(kind, old), quotas.usage_of(kind, new)))
