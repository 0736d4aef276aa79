"""Creating and deleting pods for an owner, with upstream's events. Which pods, and how many, is the owner's decision.

Upstream: pkg/controller/controller_utils.go (RealPodControl, slowStartBatch).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from machinery.api import codec, errors, kinds, meta, names
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.client.events import EventRecorder
from machinery.client.rest import Client


@dataclass(frozen=True, slots=True)
class SlowStart:
    """How a slow start ended: calls that succeeded, calls never made, and the first failure."""

    succeeded: int
    untried: int
    failure: errors.StatusError | OSError | None = None


async def in_slow_start(count: int, act: Callable[[], Awaitable[None]]) -> SlowStart:
    """Call `act` count times in batches of 1, 2, 4 …, and stop after a batch with a failure.

    A quota or a refusing webhook then costs a few requests, not hundreds.
    """
    succeeded, remaining, batch = 0, count, 1
    while remaining:
        size = min(batch, remaining)
        results = await asyncio.gather(*(act() for _ in range(size)), return_exceptions=True)
        remaining -= size
        failures = [result for result in results if isinstance(result, BaseException)]
        succeeded += size - len(failures)
        for failure in failures:
            if not isinstance(failure, errors.StatusError | OSError):
                raise failure
            return SlowStart(succeeded, remaining, failure)
        batch *= 2
    return SlowStart(succeeded, 0)


def pod_from_template(template: Json, owner: Json, owner_kind: Kind) -> Json:
    """The pod an owner makes from a pod template: its labels, annotations, finalizers and spec, and the owner."""
    pod = codec.copy_of({"spec": template.get("spec") or {}})
    source = meta.metadata_of(template)
    metadata: Json = {
        "namespace": meta.namespace_of(owner),
        "generateName": name_prefix(meta.name_of(owner), owner_kind),
        "labels": dict(source.get("labels") or {}),
        "annotations": dict(source.get("annotations") or {}),
        "finalizers": list(source.get("finalizers") or ()),
        "ownerReferences": [meta.owner_reference(owner, owner_kind)],
    }
    pod["metadata"] = {key: value for key, value in metadata.items() if value}
    return {"apiVersion": "v1", "kind": "Pod", **pod}


def name_prefix(owner_name: str, owner_kind: Kind) -> str:
    """The generateName of an owner's pods: its name and a dash, or its kind's where that is no legal pod name."""
    prefix = f"{owner_name}-"
    return prefix if not names.is_dns_subdomain(prefix + "x") else f"{owner_kind.singular}-"


def is_namespace_terminating(problem: Exception) -> bool:
    """Whether a create failed only because its namespace is going away (upstream: NamespaceTerminatingCause)."""
    details = problem.details if isinstance(problem, errors.StatusError) else None
    return any(cause.get("reason") == "NamespaceTerminating" for cause in (details or {}).get("causes") or ())


class PodControl:
    """Creates and deletes pods, and says so in events on the owner."""

    def __init__(self, client: Client, events: EventRecorder) -> None:
        self._client = client
        self._events = events

    async def create(self, template: Json, owner: Json, owner_kind: Kind) -> Json:
        """Create one pod; raises errors.StatusError or OSError, after an event, when that fails."""
        try:
            pod = await self._client.create(kinds.PODS, pod_from_template(template, owner, owner_kind))
        except (errors.StatusError, OSError) as problem:
            if not is_namespace_terminating(problem):
                self._events.event(owner, owner_kind, "Warning", "FailedCreate", f"Error creating: {problem}")
            raise
        self._events.event(owner, owner_kind, "Normal", "SuccessfulCreate", f"Created pod: {meta.name_of(pod)}")
        return pod

    async def delete(self, pod: Json, owner: Json, owner_kind: Kind) -> bool:
        """Delete one pod; False when it was gone already. Raises errors.StatusError or OSError, after an event."""
        try:
            await self._client.delete(kinds.PODS, meta.name_of(pod), meta.namespace_of(pod), uid=meta.uid_of(pod))
        except (errors.NotFound, errors.Conflict):
            return False  # gone, or another pod has its name now
        except (errors.StatusError, OSError) as problem:
            self._events.event(owner, owner_kind, "Warning", "FailedDelete", f"Error deleting: {problem}")
            raise
        self._events.event(owner, owner_kind, "Normal", "SuccessfulDelete", f"Deleted pod: {meta.name_of(pod)}")
        return True
