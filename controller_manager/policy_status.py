"""Checks the types of ValidatingAdmissionPolicies' expressions and tells in their status what does not fit.

Upstream: pkg/controller/validatingadmissionpolicystatus, apiserver/pkg/admission/plugin/policy/validating.
How is `policy_types`', which is loaded with the first policy.
"""

from controller_manager.discovery import discover
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, lazy, meta
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself
from machinery.client.informer import Informers
from machinery.client.rest import Client


class PolicyStatusController:
    """Keys are policies."""

    name = "validatingadmissionpolicy-status-controller"

    def __init__(self, client: Client, informers: Informers) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._policies = informers.watch(kinds.VALIDATING_POLICIES, on_change=enqueue_itself(self.queue))

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one policy."""
        policy = self._policies.get(key)
        if policy is None or (policy.get("status") or {}).get("observedGeneration") == meta.generation_of(policy):
            return None
        served = [resource.kind for resource in (await discover(self._client)).resources]
        checking = {"expressionWarnings": lazy.load("controller_manager.policy_types").warnings_of(policy, served)}
        status = {"observedGeneration": meta.generation_of(policy), "typeChecking": checking}
        try:
            await self._client.update_status(kinds.VALIDATING_POLICIES, {**policy, "status": status})
        except (errors.Conflict, errors.NotFound):
            return None  # the cache was behind; what is new comes as an event
        return None
