"""What to do with one object, once its owners' fate is known. Pure.

Upstream: pkg/controller/garbagecollector/garbagecollector.go (attemptToDeleteItem).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from machinery.api import meta
from machinery.api.codec import Json


class Fate(Enum):
    """How an owner stands."""

    SOLID = "exists"
    DANGLING = "does not exist"
    WAITING = "waits for its dependents to be deleted"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Delete with a policy, or drop references to these uids, or neither."""

    delete: str = ""
    drop: frozenset[str] = frozenset()
    unblock: bool = False


def judge(obj: Json, fates: Mapping[str, Fate], *, has_dependents: bool, dependents_waiting: bool) -> Verdict:
    """The verdict on an object that is not being deleted; `fates` by owner uid.

    `dependents_waiting`: a dependent is itself in foreground deletion, so a circle of references could wait for ever.
    """
    if not fates:
        return Verdict()
    gone = frozenset(uid for uid, fate in fates.items() if fate is not Fate.SOLID)
    if len(gone) < len(fates):
        return Verdict(drop=gone)
    waiting = any(fate is Fate.WAITING for fate in fates.values())
    if waiting and has_dependents:
        return Verdict(delete="Foreground", unblock=dependents_waiting)
    return Verdict(delete=policy_of(obj))


def policy_of(obj: Json) -> str:
    """The propagation an object's own finalizers ask for."""
    finalizers = meta.finalizers_of(obj)
    if meta.ORPHAN in finalizers:
        return "Orphan"
    return "Foreground" if meta.FOREGROUND in finalizers else "Background"


def owners_without(obj: Json, dropped: frozenset[str]) -> list[Json]:
    """The owner references but those to the uids dropped."""
    return [reference for reference in meta.owners_of(obj) if reference.get("uid") not in dropped]


def owners_unblocked(obj: Json) -> list[Json]:
    """The owner references, none of them holding its owner back."""
    return [{**reference, "blockOwnerDeletion": False} for reference in meta.owners_of(obj)]


def owners_patch(obj: Json, owners: Sequence[Json]) -> Json:
    """A merge patch that sets the owner references, only on the very object that was read."""
    metadata = {"uid": meta.uid_of(obj), "resourceVersion": meta.resource_version_of(obj)}
    return {"metadata": {**metadata, "ownerReferences": list(owners) or None}}


def without_finalizer(obj: Json, finalizer: str) -> Json:
    """A merge patch that takes one finalizer away, only from the very object that was read."""
    kept = [name for name in meta.finalizers_of(obj) if name != finalizer]
    metadata = {"uid": meta.uid_of(obj), "resourceVersion": meta.resource_version_of(obj)}
    return {"metadata": {**metadata, "finalizers": kept or None}}
