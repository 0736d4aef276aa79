"""Keeps as many pods of a ReplicaSet running as it asks for. Rollouts between ReplicaSets are in `deployment`.

Upstream: pkg/controller/replicaset/replica_set.go.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from controller_manager import indices
from controller_manager.claims import Claimer, selector_of
from controller_manager.expectations import LIFETIME, Expectations
from controller_manager.pod_control import PodControl, in_slow_start, is_namespace_terminating
from controller_manager.pod_ranking import to_delete
from controller_manager.replicaset_status import seconds_to_availability, status_of
from machinery.aio.clock import REAL, Clock
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta, pods
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself
from machinery.client.events import EventRecorder
from machinery.client.informer import Informers
from machinery.client.rest import Client

logger = logging.getLogger(__name__)

BURST: Final = 500
"""The most pods created or deleted in one look at a ReplicaSet."""


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """What one look decides: how many pods to create, which to delete (never both)."""

    create: int = 0
    delete: tuple[Json, ...] = ()


def plan_replicas(wanted: int, held: Sequence[Json], related: Sequence[Json], now: float) -> ReplicaPlan:
    """Compare the active pods held with the number wanted; `related` are all active pods of the same Deployment.

    `now` is a Unix time: ages matter for which pods go first.
    """
    missing = wanted - len(held)
    if missing >= 0:
        return ReplicaPlan(create=min(missing, BURST))
    return ReplicaPlan(delete=tuple(to_delete(held, related, min(-missing, BURST), now)))


class ReplicaSetController:
    """Level-triggered: every look compares what is held with what is wanted."""

    name = "replicaset-controller"

    def __init__(self, client: Client, informers: Informers, events: EventRecorder, clock: Clock = REAL) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._clock = clock
        self._pod_control = PodControl(client, events)
        self._claimer = Claimer(client, kinds.REPLICA_SETS, kinds.PODS)
        self._expectations = Expectations(clock)
        self._replica_sets = informers.watch(kinds.REPLICA_SETS, on_change=enqueue_itself(self.queue))
        self._pods = informers.watch(kinds.PODS, on_change=self._pod_changed)
        indices.index_by_controller(self._replica_sets)
        indices.index_by_controller(self._pods)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one ReplicaSet; seconds until a pod may have become available, if one is about to."""
        rs = self._replica_sets.get(key)
        if rs is None:
            self._expectations.forget(key)
            return None  # its pods are the garbage collector's
        satisfied = self._expectations.satisfied(key)
        candidates = [pod for pod in indices.held_or_orphaned(self._pods, rs) if not pods.is_terminal(pod)]
        claimed = await self._claimer.claim(rs, candidates)
        held = [pod for pod in claimed if pods.is_active(pod)]
        problem = None
        if satisfied and not meta.is_being_deleted(rs):
            problem = await self._carry_out(rs, self._plan(rs, held))
        leaving = [pod for pod in claimed if meta.is_being_deleted(pod)]
        await self._write_status(rs, status_of(rs, held, leaving, problem, self._clock.now()))
        if problem is not None:
            raise problem
        if not satisfied:
            return LIFETIME  # the event that satisfies it brings the key sooner, unless it never comes
        return seconds_to_availability(rs, held, self._clock.now())

    def _plan(self, rs: Json, held: Sequence[Json]) -> ReplicaPlan:
        wanted = rs["spec"].get("replicas", 1)
        related = self._related(rs) if wanted < len(held) else ()
        return plan_replicas(wanted, held, related, self._clock.now().timestamp())

    def _related(self, rs: Json) -> list[Json]:
        """Active pods of all ReplicaSets of the same owner: nodes that hold more of them lose theirs first."""
        owner = meta.controller_of(rs)
        siblings = indices.controlled_by(self._replica_sets, owner["uid"]) if owner is not None else [rs]
        everyone = (pod for sibling in siblings for pod in indices.controlled_by(self._pods, meta.uid_of(sibling)))
        return [pod for pod in everyone if pods.is_active(pod)]

    async def _carry_out(self, rs: Json, plan: ReplicaPlan) -> errors.StatusError | OSError | None:
        if plan.create:
            return await self._create(rs, plan.create)
        if plan.delete:
            return await self._delete(rs, plan.delete)
        return None

    async def _create(self, rs: Json, count: int) -> errors.StatusError | OSError | None:
        key = meta.key_of(rs)
        self._expectations.expect_creations(key, count)

        async def create_one() -> None:
            try:
                await self._pod_control.create(rs["spec"]["template"], rs, kinds.REPLICA_SETS)
            except Exception:
                self._expectations.creation_observed(key)
                raise

        outcome = await in_slow_start(count, create_one)
        for _ in range(outcome.untried):
            self._expectations.creation_observed(key)
        if outcome.failure is not None and is_namespace_terminating(outcome.failure):
            return None  # nothing can be created there any more, and nothing needs to be
        return outcome.failure

    async def _delete(self, rs: Json, doomed: Sequence[Json]) -> errors.StatusError | OSError | None:
        key = meta.key_of(rs)
        self._expectations.expect_deletions(key, map(meta.uid_of, doomed))
        results = await asyncio.gather(*(self._delete_one(rs, pod) for pod in doomed))
        return next((problem for problem in results if problem is not None), None)

    async def _delete_one(self, rs: Json, pod: Json) -> errors.StatusError | OSError | None:
        try:
            existed = await self._pod_control.delete(pod, rs, kinds.REPLICA_SETS)
        except (errors.StatusError, OSError) as problem:
            self._expectations.deletion_observed(meta.key_of(rs), meta.uid_of(pod))
            return problem
        if not existed:
            self._expectations.deletion_observed(meta.key_of(rs), meta.uid_of(pod))
        return None

    async def _write_status(self, rs: Json, status: Json) -> None:
        if status != (rs.get("status") or {}):
            try:
                await self._client.update_status(kinds.REPLICA_SETS, {**rs, "status": status})
            except errors.NotFound:
                logger.debug("%s went away before its status was written", meta.key_of(rs))

    def _pod_changed(self, old: Json | None, new: Json | None) -> None:
        if old is not None and new is not None and meta.uid_of(old) != meta.uid_of(new):
            self._pod_changed(old, None)  # a namesake took its place between two lists
            old = None
        pod = new or old or {}
        owner = self._owner_key(pod)
        if old is None and owner is not None and not meta.is_being_deleted(pod):
            self._expectations.creation_observed(owner)
        if owner is not None and (new is None or meta.is_being_deleted(new)):
            self._expectations.deletion_observed(owner, meta.uid_of(pod))
        former = self._owner_key(old) if old is not None else None
        for key in (owner, former):
            if key is not None:
                self.queue.add(key)
        if owner is None and new is not None and meta.controller_of(new) is None:
            self._offer_orphan(new)

    def _owner_key(self, pod: Json) -> ObjectKey | None:
        owner = meta.controller_of(pod)
        if owner is None or owner.get("kind") != kinds.REPLICA_SETS.kind:
            return None
        return ObjectKey(meta.namespace_of(pod), owner["name"])

    def _offer_orphan(self, pod: Json) -> None:
        labels = meta.labels_of(pod)
        for rs in self._replica_sets.in_namespace(meta.namespace_of(pod)) if labels else ():
            if selector_of(rs).matches(labels):
                self.queue.add(meta.key_of(rs))
