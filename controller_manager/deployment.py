"""Rolls a Deployment's pod template out over ReplicaSets. The pods themselves are `replicaset`'s.

What is decided is in `deployment_revisions` (which ReplicaSet), `deployment_rolling` (how many pods each) and
`deployment_status` (what to report); here it is read and carried out. Upstream: pkg/controller/deployment/.
"""

import logging
from collections.abc import Sequence
from typing import Final

from controller_manager import deployment_revisions as revisions
from controller_manager import deployment_rolling as rolling
from controller_manager import deployment_status as statuses
from controller_manager import indices
from controller_manager.claims import Claimer, selector_of
from controller_manager.deployment_rolling import Resize
from controller_manager.deployment_status import Rollout
from controller_manager.pod_control import is_namespace_terminating
from machinery.aio.clock import REAL, Clock
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta, pods, times
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself, enqueue_owner, ignore_not_found
from machinery.client.events import EventRecorder
from machinery.client.informer import Informers
from machinery.client.rest import Client

logger = logging.getLogger(__name__)

_SELECTS_ALL: Final = "This deployment is selecting all pods. A non-empty selector is required."


class DeploymentController:
    """One look makes at most one step of a rollout; the ReplicaSets' changes bring the next look."""

    name = "deployment-controller"

    def __init__(self, client: Client, informers: Informers, events: EventRecorder, clock: Clock = REAL) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._events = events
        self._clock = clock
        self._claimer = Claimer(client, kinds.DEPLOYMENTS, kinds.REPLICA_SETS)
        self._deployments = informers.watch(kinds.DEPLOYMENTS, on_change=enqueue_itself(self.queue))
        self._replica_sets = informers.watch(
            kinds.REPLICA_SETS, on_change=enqueue_owner(kinds.DEPLOYMENTS.kind, self.queue)
        )
        informers.watch(kinds.REPLICA_SETS, on_change=self._orphan_appeared)
        self._pods = informers.watch(kinds.PODS, on_change=self._pod_gone)
        indices.index_by_controller(self._replica_sets)
        indices.index_by_controller(self._pods)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one Deployment; seconds until its progress deadline, while it progresses."""
        deployment = self._deployments.get(key)
        if deployment is None:
            return None  # its ReplicaSets are the garbage collector's
        if selector_of(deployment).empty:
            await self._refuse(deployment)
            return None
        replica_sets = await self._claimer.claim(deployment, indices.held_or_orphaned(self._replica_sets, deployment))
        before = deployment.get("status") or {}, meta.annotations_of(deployment)
        deployment = self._with_condition(deployment, statuses.paused_condition(deployment))
        if meta.is_being_deleted(deployment):
            new, old = revisions.split(deployment, replica_sets)
            status = statuses.status_of(Rollout(deployment, new, old), self._clock.now(), estimate_progress=False)
        elif deployment["spec"].get("paused") or rolling.is_scaling(deployment, replica_sets):
            deployment, status = await self._scale(deployment, replica_sets)
        else:
            deployment, status = await self._roll(deployment, replica_sets)
        if (status, meta.annotations_of(deployment)) != before:
            await ignore_not_found(self._client.update_status(kinds.DEPLOYMENTS, {**deployment, "status": status}))
        return statuses.seconds_to_deadline(deployment, status, self._clock.now())

    # --- the three ways a look goes ---------------------------------------------------------------------------------

    async def _refuse(self, deployment: Json) -> None:
        self._events.event(deployment, kinds.DEPLOYMENTS, "Warning", "SelectingAll", _SELECTS_ALL)
        status = deployment.get("status") or {}
        if (status.get("observedGeneration") or 0) < meta.generation_of(deployment):
            status = {**status, "observedGeneration": meta.generation_of(deployment)}
            await self._client.update_status(kinds.DEPLOYMENTS, {**deployment, "status": status})

    async def _scale(self, deployment: Json, replica_sets: Sequence[Json]) -> tuple[Json, Json]:
        new, old = revisions.split(deployment, replica_sets)
        if new is not None:
            deployment, new = await self._sync_revision(deployment, new, old)
        resizes = rolling.plan_scaling(deployment, new, old)
        new, old = await self._resize_all(deployment, resizes, new, old)
        if deployment["spec"].get("paused"):
            await self._clean_up(deployment, old)
        rollout = Rollout(deployment, new, old)
        return deployment, statuses.status_of(rollout, self._clock.now(), estimate_progress=False)

    async def _roll(self, deployment: Json, replica_sets: Sequence[Json]) -> tuple[Json, Json]:
        new, old = revisions.split(deployment, replica_sets)
        resizes: list[Resize] = []
        if not rolling.is_rolling(deployment):
            resizes = rolling.to_zero(old)
        if not resizes and (rolling.is_rolling(deployment) or not self._pods_left(old)):
            deployment, new = await self._ensure_new(deployment, new, old)
            if new is not None:
                resizes = rolling.plan_rolling(deployment, new, old)
        elif new is not None:
            deployment, new = await self._sync_revision(deployment, new, old)
        new, old = await self._resize_all(deployment, resizes, new, old)
        if not resizes and statuses.is_complete(deployment, deployment.get("status") or {}):
            await self._clean_up(deployment, old)
        rollout = Rollout(deployment, new, old)
        return deployment, statuses.status_of(rollout, self._clock.now(), estimate_progress=True)

    def _pods_left(self, old: Sequence[Json]) -> bool:
        """Whether pods of former templates still run: Recreate waits for their end, not only for their deletion."""
        former = (pod for rs in old for pod in indices.controlled_by(self._pods, meta.uid_of(rs)))
        return any(not pods.is_terminal(pod) for pod in former)

    # --- the ReplicaSet of the current template ---------------------------------------------------------------------

    async def _ensure_new(self, deployment: Json, new: Json | None, old: Sequence[Json]) -> tuple[Json, Json | None]:
        if new is None:
            return await self._create_new(deployment, old)
        return await self._sync_revision(deployment, new, old)

    async def _sync_revision(self, deployment: Json, new: Json, old: Sequence[Json]) -> tuple[Json, Json]:
        """Copy annotations and minReadySeconds to the ReplicaSet, and its revision back to the Deployment."""
        annotations = revisions.annotations_for(deployment, meta.annotations_of(new), revisions.next_revision(old))
        minimum = deployment["spec"].get("minReadySeconds") or 0
        if annotations != meta.annotations_of(new) or minimum != (new["spec"].get("minReadySeconds") or 0):
            metadata = {**new["metadata"], "annotations": annotations}
            spec = {**new["spec"], "minReadySeconds": minimum}
            new = await self._client.update(kinds.REPLICA_SETS, {**new, "metadata": metadata, "spec": spec})
        if meta.find_condition(statuses.conditions_of(deployment), statuses.PROGRESSING) is None:
            text = f'Found new replica set "{meta.name_of(new)}"'
            deployment = self._with_progress(deployment, "True", statuses.FOUND_REPLICA_SET, text)
        return self._with_revision(deployment, annotations[revisions.REVISION]), new

    async def _create_new(self, deployment: Json, old: Sequence[Json]) -> tuple[Json, Json | None]:
        size = rolling.initial_size(deployment, old)
        wanted = revisions.new_replica_set(deployment, old, rolling.size_annotations(deployment), size)
        try:
            new = await self._client.create(kinds.REPLICA_SETS, wanted)
        except errors.AlreadyExists:
            new = await self._existing_or_collision(deployment, meta.name_of(wanted))
        except errors.StatusError as problem:
            if is_namespace_terminating(problem):
                return deployment, None
            await self._report_failure(deployment, problem)
            raise
        else:
            self._record_scaling(deployment, new, 0, size)
        text = f'Created new replica set "{meta.name_of(new)}"'
        deployment = self._with_progress(deployment, "True", statuses.NEW_REPLICA_SET, text)
        return self._with_revision(deployment, meta.annotations_of(new).get(revisions.REVISION, "1")), new

    async def _existing_or_collision(self, deployment: Json, name: str) -> Json:
        found = await self._client.get(kinds.REPLICA_SETS, name, meta.namespace_of(deployment))
        ours = meta.is_controlled_by(found, deployment)
        if ours and revisions.same_template(found["spec"]["template"], deployment["spec"]["template"]):
            return found  # made by an earlier look that the cache does not show yet
        status = deployment.get("status") or {}
        status = {**status, "collisionCount": (status.get("collisionCount") or 0) + 1}
        await self._client.update_status(kinds.DEPLOYMENTS, {**deployment, "status": status})
        raise errors.Conflict(f"the name {name} is taken by another template; the next look uses another hash")

    async def _report_failure(self, deployment: Json, problem: errors.StatusError) -> None:
        failed = self._with_progress(deployment, "False", statuses.CREATE_ERROR, problem.message)
        if failed is not deployment:
            await self._client.update_status(kinds.DEPLOYMENTS, failed)

    @staticmethod
    def _with_revision(deployment: Json, revision: str) -> Json:
        # Written together with the status, which is how upstream writes it: its role knows no other way either.
        annotations = {**meta.annotations_of(deployment), revisions.REVISION: revision}
        return {**deployment, "metadata": {**deployment["metadata"], "annotations": annotations}}

    def _with_progress(self, deployment: Json, status: str, reason: str, message: str) -> Json:
        if not statuses.has_deadline(deployment):
            return deployment
        return self._with_condition(deployment, statuses.condition(statuses.PROGRESSING, status, reason, message))

    def _with_condition(self, deployment: Json, condition: Json | None) -> Json:
        if condition is None:
            return deployment
        before = statuses.conditions_of(deployment)
        conditions = statuses.put(before, condition, times.rfc3339(self._clock.now()))
        if conditions == before:
            return deployment
        return {**deployment, "status": {**(deployment.get("status") or {}), "conditions": conditions}}

    # --- carrying out -----------------------------------------------------------------------------------------------

    async def _resize_all(
        self, deployment: Json, resizes: Sequence[Resize], new: Json | None, old: Sequence[Json]
    ) -> tuple[Json | None, list[Json]]:
        """Carry out the plan; returns the ReplicaSets as they are afterwards."""
        changed = {meta.uid_of(step.replica_set): await self._resize(deployment, step) for step in resizes}
        latest = changed.get(meta.uid_of(new), new) if new is not None else None
        return latest, [changed.get(meta.uid_of(rs), rs) for rs in old]

    async def _resize(self, deployment: Json, step: Resize) -> Json:
        rs, before = step.replica_set, rolling.replicas_of(step.replica_set)
        annotations = {**meta.annotations_of(rs), **rolling.size_annotations(deployment)}
        if before == step.replicas and annotations == meta.annotations_of(rs):
            return rs
        metadata = {**rs["metadata"], "annotations": annotations}
        spec = {**rs["spec"], "replicas": step.replicas}
        updated = await self._client.update(kinds.REPLICA_SETS, {**rs, "metadata": metadata, "spec": spec})
        self._record_scaling(deployment, rs, before, step.replicas)
        return updated

    def _record_scaling(self, deployment: Json, rs: Json, before: int, after: int) -> None:
        if before != after:
            direction = "up" if after > before else "down"
            text = f"Scaled {direction} replica set {meta.name_of(rs)} from {before} to {after}"
            self._events.event(deployment, kinds.DEPLOYMENTS, "Normal", "ScalingReplicaSet", text)

    async def _clean_up(self, deployment: Json, old: Sequence[Json]) -> None:
        for rs in revisions.to_clean_up(deployment, old):
            key = meta.key_of(rs)
            deletion = self._client.delete(kinds.REPLICA_SETS, key.name, key.namespace, uid=meta.uid_of(rs))
            await ignore_not_found(deletion)

    # --- what brings a key into the queue ---------------------------------------------------------------------------

    def _orphan_appeared(self, old: Json | None, new: Json | None) -> None:
        if new is None or meta.controller_of(new) is not None:
            return
        for deployment in self._deployments.in_namespace(meta.namespace_of(new)):
            selector = selector_of(deployment)
            if not selector.empty and selector.matches(meta.labels_of(new)):
                self.queue.add(meta.key_of(deployment))

    def _pod_gone(self, old: Json | None, new: Json | None) -> None:
        """Recreate waits for the last old pod: its end is the only event that can go on."""
        owner = meta.controller_of(old) if old is not None else None
        if old is None or owner is None or (new is not None and not pods.is_terminal(new)):
            return
        rs = self._replica_sets.get(ObjectKey(meta.namespace_of(old), owner["name"]))
        above = meta.controller_of(rs) if rs is not None else None
        if above is not None and above.get("kind") == kinds.DEPLOYMENTS.kind:
            self.queue.add(ObjectKey(meta.namespace_of(old), above["name"]))
