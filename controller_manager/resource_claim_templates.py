"""Makes ResourceClaims from templates for the pods that ask for them, and tells the pods their names.

Upstream: pkg/controller/resourceclaim/controller.go (syncPod, handleClaim). Giving claims back is `resource_claim`'s.
"""

from typing import Final

from controller_manager.resource_claim import is_done
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json, copy_of
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself
from machinery.client.events import EventRecorder
from machinery.client.informer import Informers
from machinery.client.rest import STRATEGIC_PATCH, Client

#: which of the pod's entries a claim was made for
ANNOTATION: Final = "resource.kubernetes.io/pod-claim-name"
_BY_OWNER: Final = "owner"


class ResourceClaimTemplateController:
    """Keys are pods."""

    name = "resourceclaim-controller"

    def __init__(self, client: Client, informers: Informers, events: EventRecorder) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._events = events
        self._pods = informers.watch(kinds.PODS, on_change=enqueue_itself(self.queue))
        self._templates = informers.watch(kinds.RESOURCE_CLAIM_TEMPLATES)
        self._claims = informers.watch(kinds.RESOURCE_CLAIMS)
        self._claims.add_index(_BY_OWNER, lambda claim: [(meta.controller_of(claim) or {}).get("uid") or ""])
        #: claims that were made and may not be in the cache yet, by pod and entry
        self._made: dict[ObjectKey, dict[tuple[str, str], str]] = {}

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one pod."""
        pod = self._pods.get(key)
        if pod is None or is_done(pod) or meta.is_being_deleted(pod):
            self._made.pop(key, None)
            return None
        told = {one["name"] for one in (pod.get("status") or {}).get("resourceClaimStatuses") or ()}
        wanted = [one for one in pod["spec"].get("resourceClaims") or () if one.get("resourceClaimTemplateName")]
        missing = [one for one in wanted if one["name"] not in told]
        if not missing:
            self._made.pop(key, None)
            return None
        statuses = [{"name": one["name"], "resourceClaimName": await self._claim_for(pod, one)} for one in missing]
        patch = {"metadata": {"uid": meta.uid_of(pod)}, "status": {"resourceClaimStatuses": statuses}}
        await self._client.patch(
            kinds.PODS, key.name, key.namespace, patch, content_type=STRATEGIC_PATCH, subresource="status"
        )
        return None

    async def _claim_for(self, pod: Json, entry: Json) -> str:
        """The name of the entry's claim, made now if it was not before; raises StatusError."""
        made = self._made.setdefault(meta.key_of(pod), {})
        for claim in self._claims.by_index(_BY_OWNER, meta.uid_of(pod)):
            if meta.annotations_of(claim).get(ANNOTATION) == entry["name"]:
                return meta.name_of(claim)
        name = made.get((meta.uid_of(pod), entry["name"]))
        if name is None:
            name = made[meta.uid_of(pod), entry["name"]] = await self._make(pod, entry)
        return name

    async def _make(self, pod: Json, entry: Json) -> str:
        try:
            template = self._template(pod, entry["resourceClaimTemplateName"])
            created = await self._client.create(kinds.RESOURCE_CLAIMS, claim_of(pod, entry["name"], template))
        except errors.StatusError as problem:
            text = f"PodResourceClaim {entry['name']}: {problem}"
            self._events.event(pod, kinds.PODS, "Warning", "FailedResourceClaimCreation", text)
            raise
        return meta.name_of(created)

    def _template(self, pod: Json, name: str) -> Json:
        template = self._templates.get(ObjectKey(meta.namespace_of(pod), name))
        if template is None:
            raise errors.not_found(kinds.RESOURCE_CLAIM_TEMPLATES, name)
        return template


def claim_of(pod: Json, entry: str, template: Json) -> Json:
    """The claim that a template makes for one of a pod's entries; the pod owns it."""
    wanted = template["spec"]
    described = wanted.get("metadata") or {}
    owner = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": meta.name_of(pod),
        "uid": meta.uid_of(pod),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {
        "generateName": f"{meta.name_of(pod)}-{entry}-",
        "namespace": meta.namespace_of(pod),
        "labels": dict(described.get("labels") or {}),
        "annotations": {**(described.get("annotations") or {}), ANNOTATION: entry},
        "ownerReferences": [owner],
    }
    return {"metadata": metadata, "spec": copy_of(wanted["spec"])}
