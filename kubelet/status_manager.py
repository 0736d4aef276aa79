"""Writes pod statuses to the API server, only what changed, and ends the deletion of pods that are off the node.

What a status is, is `pod_status`'s. The latest status of each pod is kept until the pod is gone; while the API server
is away it waits here. A patch carries the pod's uid, so that a pod which was deleted and made anew is left alone.
Upstream: pkg/kubelet/status/status_manager.go.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from machinery.aio.workqueue import QueueShutDown, WorkQueue
from machinery.api import errors, meta, pods, restarts
from machinery.api.codec import Json
from machinery.api.kinds import PODS
from machinery.client.rest import STRATEGIC_PATCH, Client, ConnectionProblem

logger = logging.getLogger(__name__)

OWN_CONDITIONS: Final = (
    *("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"),
    restarts.CONDITION,
)
_WORKERS: Final = 4


class StatusManager:
    """One per node."""

    def __init__(self, client: Client, mirror_of: Callable[[Json], Json | None] = lambda pod: None) -> None:
        """`mirror_of` finds the API's mirror of a static pod, which carries its status."""
        self._client = client
        self._mirror_of = mirror_of
        self._queue: WorkQueue[str] = WorkQueue()
        self._pods: dict[str, Json] = {}  # by uid, as the API server last showed them
        self._statuses: dict[str, Json] = {}
        self._off_the_node: set[str] = set()

    # ---- from the pod workers

    def latest(self, pod: Json) -> Json:
        """The pod with the status we last gave it; conditions that others own are the API server's."""
        status = self._statuses.get(meta.uid_of(pod))
        if status is None:
            return pod
        shown = (pod.get("status") or {}).get("conditions") or ()
        foreign = [condition for condition in shown if condition.get("type") not in OWN_CONDITIONS]
        own = [condition for condition in status.get("conditions") or () if condition["type"] in OWN_CONDITIONS]
        return {**pod, "status": {**(pod.get("status") or {}), **status, "conditions": [*foreign, *own]}}

    def set(self, pod: Json, status: Json) -> None:
        """This is how the pod is now."""
        uid = meta.uid_of(pod)
        known = self._pods.get(uid)
        if known is None or _revision(known) <= _revision(pod):
            self._pods[uid] = pod
        if self._statuses.get(uid) == status:
            return
        self._statuses[uid] = status
        if _differs(self._pods[uid], status):
            self._queue.add(uid)

    def off_the_node(self, pod: Json) -> None:
        """Nothing of the pod is left here: if it is being deleted, the API object may go."""
        uid = meta.uid_of(pod)
        self._pods.setdefault(uid, pod)
        self._off_the_node.add(uid)
        if meta.is_being_deleted(pod):
            self._queue.add(uid)

    # ---- from the API server

    def seen(self, pod: Json) -> None:
        """The API server shows the pod so; what somebody else overwrote is written again."""
        uid = meta.uid_of(pod)
        known = self._pods.get(uid)
        if known is not None and _revision(known) > _revision(pod):
            return  # the watch is behind our own write
        self._pods[uid] = pod
        status = self._statuses.get(uid)
        if (status is not None and _differs(pod, status)) or (uid in self._off_the_node and meta.is_being_deleted(pod)):
            self._queue.add(uid)

    def recheck(self, uid: str) -> None:
        """The mirror of a static pod has changed."""
        if uid in self._statuses:
            self._queue.add(uid)

    def forget(self, uid: str) -> None:
        """The API object is gone."""
        self._pods.pop(uid, None)
        self._statuses.pop(uid, None)
        self._off_the_node.discard(uid)

    # ---- writing

    async def run(self) -> None:
        """Write what is queued, for ever; run several for pods beside each other."""
        while True:
            try:
                uid = await self._queue.get()
            except QueueShutDown:
                return
            try:
                await self._write(uid)
                self._queue.forget(uid)
            except (ConnectionProblem, errors.StatusError) as problem:
                logger.debug("status of pod %s: %s", uid, problem)
                self._queue.add_rate_limited(uid)
            except Exception:  # one pod's odd status must not keep the others' from being written
                logger.exception("status of pod %s", uid)
                self._queue.add_rate_limited(uid)
            finally:
                self._queue.done(uid)

    async def _write(self, uid: str) -> None:
        pod = self._pods.get(uid)
        if pod is not None and not meta.resource_version_of(pod):
            pod = self._mirror_of(pod)  # a static pod's; without one yet, `recheck` comes when it appears
        if pod is None:
            return
        status = self._statuses.get(uid)
        try:
            if status is not None and _differs(pod, status):
                await self._patch(pod, status)
            if uid in self._off_the_node and meta.is_being_deleted(pod) and not pods.is_static(pod):
                await self._delete(pod)
        except errors.NotFound:
            self.forget(uid)
        except errors.Conflict:
            # The name belongs to another pod by now.
            self.forget(uid)

    async def _patch(self, pod: Json, status: Json) -> None:
        namespace, name = meta.key_of(pod)
        patch = {"metadata": {"uid": meta.uid_of(pod)}, "status": changes(pod.get("status") or {}, status)}
        answer = await self._client.patch(
            PODS, name, namespace, patch, content_type=STRATEGIC_PATCH, subresource="status"
        )
        current = self._pods.get(meta.uid_of(pod))
        if current is pod and meta.uid_of(answer) == meta.uid_of(pod):
            self._pods[meta.uid_of(pod)] = answer

    async def _delete(self, pod: Json) -> None:
        namespace, name = meta.key_of(pod)
        await self._client.delete(PODS, name, namespace, uid=meta.uid_of(pod), grace_period_seconds=0)


def _revision(pod: Json) -> int:
    text = meta.resource_version_of(pod)
    return int(text) if text.isdigit() else 0


def changes(old: Json, new: Json) -> Json:
    """The status part of a strategic merge patch: changed fields, and our conditions that changed."""
    patch: Json = {key: value for key, value in new.items() if _plain(value) != _plain(old.get(key))}
    patch |= {key: None for key in ("reason", "message") if key in old and key not in new}
    if "conditions" in patch:
        patch["conditions"] = _changed_conditions(old, new)
    for key, merge_key in (("podIPs", "ip"), ("hostIPs", "ip")):
        if key in patch:
            # A list merged by key: what is no longer true has to be taken out by name.
            kept = {item[merge_key] for item in patch[key]}
            gone = [item for item in old.get(key) or () if item[merge_key] not in kept]
            patch[key] = [*patch[key], *({"$patch": "delete", merge_key: item[merge_key]} for item in gone)]
    return patch


def _changed_conditions(old: Json, new: Json) -> list[Json]:
    result = []
    for condition in new["conditions"]:
        before = meta.find_condition(old.get("conditions"), condition["type"])
        if condition["type"] not in OWN_CONDITIONS or _plain(before) == _plain(condition):
            continue
        # Merged by type: a reason that no longer holds has to be taken out by name.
        gone = {key: None for key in ("reason", "message") if before and key in before and key not in condition}
        result.append({**condition, **gone})
    return result


def _differs(pod: Json, status: Json) -> bool:
    patch = changes(pod.get("status") or {}, status)
    return any(value for key, value in patch.items()) or any(key in patch for key in ("reason", "message"))


def _plain(value: Any) -> Any:
    """Without what the API server does not keep: nulls."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
