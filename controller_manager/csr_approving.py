"""Approves kubelets' requests for client certificates, where their author may have them so.

Upstream: pkg/controller/certificates/approver/sarapprove.go. Who may is RBAC's: `create` of
certificatesigningrequests/nodeclient (any node's) or /selfnodeclient (the author's own). Serving certificates are never
approved here: whether a name is a node's is for people to know.
"""

import logging
from typing import Final

from controller_manager import csr_rules
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself
from machinery.client.informer import Informers
from machinery.client.rest import Client

logger = logging.getLogger(__name__)

_MESSAGES: Final = {
    "selfnodeclient": "Auto approving self kubelet client certificate after SubjectAccessReview.",
    "nodeclient": "Auto approving kubelet client certificate after SubjectAccessReview.",
}


def permissions_for(csr: Json) -> list[str]:
    """The subresources of which one lets the author have the certificate; none: not a kubelet's client certificate."""
    request = csr_rules.request_of(csr)
    signer = csr_rules.signer_of(csr)
    if signer != csr_rules.KUBELET_CLIENT or csr_rules.problem_of(signer, request, csr_rules.usages_of(csr)):
        return []
    own = (csr.get("spec") or {}).get("username") == csr_rules.common_name_of(request)
    return ["selfnodeclient", "nodeclient"] if own else ["nodeclient"]


class CSRApprovingController:
    """Keys are requests."""

    name = "certificatesigningrequest-approving-controller"

    def __init__(self, client: Client, informers: Informers) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._requests = informers.watch(kinds.CERTIFICATE_SIGNING_REQUESTS, on_change=enqueue_itself(self.queue))

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one request."""
        csr = self._requests.get(key)
        if (
            csr is None
            or csr_rules.certificate_of(csr)
            or csr_rules.has(csr, "Approved")
            or csr_rules.has(csr, "Denied")
        ):
            return None
        wanted = permissions_for(csr)
        for subresource in wanted:
            if await self._may(csr, subresource):
                await self._approve(csr, _MESSAGES[subresource])
                return None
        if not wanted:
            return None
        logger.info("recognized csr %s as %s but subject access review was not approved", key.name, wanted)
        return 60.0  # a binding may come

    async def _may(self, csr: Json, subresource: str) -> bool:
        spec = csr["spec"]
        attributes = {
            "group": "certificates.k8s.io",
            "version": "*",
            "resource": "certificatesigningrequests",
            "subresource": subresource,
            "verb": "create",
        }
        asked: Json = {"user": spec.get("username"), "uid": spec.get("uid"), "groups": spec.get("groups")}
        asked |= {"extra": spec.get("extra"), "resourceAttributes": attributes}
        review: Json = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        review["spec"] = {name: value for name, value in asked.items() if value}
        answer = await self._client.create(kinds.SUBJECT_ACCESS_REVIEWS, review)
        return bool((answer.get("status") or {}).get("allowed"))

    async def _approve(self, csr: Json, message: str) -> None:
        condition = {"type": "Approved", "status": "True", "reason": "AutoApproved", "message": message}
        status: Json = csr.get("status") or {}
        approved = {**csr, "status": {**status, "conditions": [*(status.get("conditions") or ()), condition]}}
        try:
            await self._client.update(kinds.CERTIFICATE_SIGNING_REQUESTS, approved, subresource="approval")
        except (errors.Conflict, errors.NotFound):
            return  # the cache was behind; what is new comes as an event
