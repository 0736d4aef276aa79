"""ResourceClaims are given back: by pods that are done with them, then their devices, then the claims made for pods.

Upstream: pkg/controller/resourceclaim/controller.go (syncClaim). Claims are made in `resource_claim_templates`.
"""

from typing import Final

from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta, pods
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself
from machinery.client.informer import Informers
from machinery.client.rest import Client

FINALIZER: Final = "resource.kubernetes.io/delete-protection"


def is_done(pod: Json) -> bool:
    """Whether a pod will not run (again): it has ended, or is deleted before it got a node."""
    return pods.is_terminal(pod) or (meta.is_being_deleted(pod) and not pods.node_of(pod))


class ResourceClaimController:
    """Keys are claims."""

    name = "resourceclaim-controller"

    def __init__(self, client: Client, informers: Informers) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._claims = informers.watch(kinds.RESOURCE_CLAIMS, on_change=enqueue_itself(self.queue))
        self._pods = informers.watch(kinds.PODS, on_change=self._pod_changed)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one claim."""
        claim = self._claims.get(key)
        if claim is None:
            return None
        users = (claim.get("status") or {}).get("reservedFor") or []
        left = [user for user in users if await self._is_used_by(key.namespace, user)]
        if len(left) < len(users) or (meta.is_being_deleted(claim) and not left):
            claim = await self._give_back(claim, left)
        if not left and self._was_made_for_a_pod_that_is_done(claim):
            await self._delete(claim)
        return None

    async def _is_used_by(self, namespace: str, user: Json) -> bool:
        """By the cache, and where that knows no such pod, by the API server: it may have come just now."""
        if user.get("resource") != "pods" or user.get("apiGroup"):
            return True  # who else uses a claim is not ours to say
        key = ObjectKey(namespace, user["name"])
        pod = self._pods.get(key)
        if pod is None:
            try:
                pod = await self._client.get(kinds.PODS, key.name, key.namespace)
            except errors.NotFound:
                return False
        return meta.uid_of(pod) == user["uid"] and not is_done(pod)

    async def _give_back(self, claim: Json, users: list[Json]) -> Json:
        """Writes on the claim as it was read: whoever reserves it at this moment wins, and it is looked at again."""
        status = {**(claim.get("status") or {}), "reservedFor": users}
        if not users:
            status.pop("allocation", None)
        if status != claim.get("status"):
            claim = await self._client.update_status(kinds.RESOURCE_CLAIMS, {**claim, "status": status})
        finalizers = meta.finalizers_of(claim)
        if not users and FINALIZER in finalizers:
            kept = [name for name in finalizers if name != FINALIZER]
            changed = {**claim, "metadata": {**claim["metadata"], "finalizers": kept}}
            claim = await self._client.update(kinds.RESOURCE_CLAIMS, changed)
        return claim

    def _was_made_for_a_pod_that_is_done(self, claim: Json) -> bool:
        owner = meta.controller_of(claim)
        if owner is None or owner.get("kind") != "Pod":
            return False
        pod = self._pods.get(ObjectKey(meta.namespace_of(claim), owner["name"]))
        if pod is None:
            return False  # gone, then the garbage collector has it; or not heard of yet
        return meta.uid_of(pod) != owner.get("uid") or is_done(pod)

    async def _delete(self, claim: Json) -> None:
        try:
            await self._client.delete(
                kinds.RESOURCE_CLAIMS, meta.name_of(claim), meta.namespace_of(claim), uid=meta.uid_of(claim)
            )
        except errors.NotFound:
            return

    def _pod_changed(self, old: Json | None, new: Json | None) -> None:
        if new is not None and not is_done(new):
            return
        pod = new or old or {}
        for name in claims_of(pod):
            self.queue.add(ObjectKey(meta.namespace_of(pod), name))


def claims_of(pod: Json) -> list[str]:
    """The names of a pod's claims, those that were made for it too."""
    named = [one.get("resourceClaimName") for one in (pod.get("spec") or {}).get("resourceClaims") or ()]
    made = [one.get("resourceClaimName") for one in (pod.get("status") or {}).get("resourceClaimStatuses") or ()]
    return [name for name in (*named, *made) if name]
