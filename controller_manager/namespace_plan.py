"""What a terminating namespace says about itself: conditions and waiting times. Pure.

Upstream: pkg/controller/namespace/deletion/status_condition_utils.go, namespaced_resources_deleter.go.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from machinery.api import meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind

FINALIZER: Final = "kubernetes"
_DEFAULT_GRACE: Final = 30

# type → reason and message while nothing is wrong
_FINE: Final = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentRemoved", "All content successfully removed"),
}


@dataclass(slots=True)
class Remains:
    """What one round of deletion found left, and what went wrong."""

    discovery: str = ""
    by_resource: Counter[str] = field(default_factory=Counter)
    by_finalizer: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def count(self, kind: Kind, items: Iterable[Json]) -> None:
        """Note the objects of a kind that are still there."""
        for item in items:
            self.by_resource[f"{kind.plural}.{kind.group}"] += 1
            self.by_finalizer.update(meta.finalizers_of(item))

    @property
    def empty(self) -> bool:
        """Whether the namespace may go."""
        return not self.by_resource and not self.failures and not self.discovery


def conditions_of(namespace: Json, remains: Remains, now: str) -> list[Json]:
    """The namespace's conditions after a round."""
    troubles = _troubles(remains)
    conditions: list[Json] = (namespace.get("status") or {}).get("conditions") or []
    for type_, (reason, message) in _FINE.items():
        new = {"type": type_, "status": "False", "reason": reason, "message": message}
        if type_ in troubles:
            reason, message = troubles[type_]
            new |= {"status": "True", "reason": reason, "message": message}
        conditions = meta.set_condition(conditions, new, now)
    return conditions


def _troubles(remains: Remains) -> dict[str, tuple[str, str]]:
    troubles: dict[str, tuple[str, str]] = {}
    if remains.discovery:
        troubles["NamespaceDeletionDiscoveryFailure"] = ("DiscoveryFailed", remains.discovery)
    if remains.failures:
        texts = ", ".join(sorted(remains.failures))
        message = f"Failed to delete all resource types, {len(remains.failures)} remaining: {texts}"
        troubles["NamespaceDeletionContentFailure"] = ("ContentDeletionFailed", message)
    if remains.by_resource:
        texts = ", ".join(sorted(f"{name} has {n} resource instances" for name, n in remains.by_resource.items()))
        message = f"Some resources are remaining: {texts}"
        troubles["NamespaceContentRemaining"] = ("SomeResourcesRemain", message)
    if remains.by_finalizer:
        texts = ", ".join(sorted(f"{name} in {n} resource instances" for name, n in remains.by_finalizer.items()))
        message = f"Some finalizers are remaining: {texts}"
        troubles["NamespaceFinalizersRemaining"] = ("SomeFinalizerRemain", message)
    return troubles


def grace_of(pods: Iterable[Json]) -> float:
    """The longest time in seconds that pods still there have asked for to end."""
    return max((_grace(pod) for pod in pods), default=0.0)


def _grace(pod: Json) -> float:
    asked = meta.metadata_of(pod).get("deletionGracePeriodSeconds")
    if asked is None:
        asked = (pod.get("spec") or {}).get("terminationGracePeriodSeconds", _DEFAULT_GRACE)
    return float(asked)
