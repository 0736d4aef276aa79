"""Deletion as a decision: from an object, its strategy and DeleteOptions to what is to be done. Doing it is store's.

Upstream: registry/rest/delete.go (BeforeDelete) and registry/generic/registry/store.go (deletionFinalizersForGarbage-
Collection, markAsDeleting).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from apiserver.registry.strategy import Strategy
from machinery.api import codec, errors, meta, times
from machinery.api.codec import Json
from machinery.api.kinds import Kind

ORPHAN_POLICY: Final = "Orphan"
FOREGROUND_POLICY: Final = "Foreground"
BACKGROUND_POLICY: Final = "Background"


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """metav1.DeleteOptions, read."""

    grace_period_seconds: int | None = None
    uid: str | None = None
    resource_version: str | None = None
    propagation_policy: str = ""
    orphan_dependents: bool | None = None
    dry_run: bool = False


class Action(Enum):
    """What a deletion comes to."""

    REMOVE = "remove the key"
    MARK = "write the object with its deletionTimestamp"
    NOTHING = "it is being deleted already"


@dataclass(frozen=True, slots=True)
class Plan:
    """The action, and the object as it is to be written or answered."""

    action: Action
    obj: Json


def check_preconditions(kind: Kind, obj: Json, options: DeleteOptions) -> None:
    """Raises Conflict where the object is not the one the client means."""
    uid, version = meta.uid_of(obj), meta.resource_version_of(obj)
    if options.uid is not None and options.uid != uid:
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({uid}). "
            "The object might have been deleted and then recreated"
        )
        raise errors.conflict(kind, meta.name_of(obj), why)
    if options.resource_version is not None and options.resource_version != version:
        why = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the "
            f"ResourceVersion in record ({version}). The object might have been modified"
        )
        raise errors.conflict(kind, meta.name_of(obj), why)


def plan(strategy: Strategy, current: Json, options: DeleteOptions, now: datetime) -> Plan:
    """What to do with `current`, which is not changed."""
    obj = codec.copy_of(current)
    asked = options.grace_period_seconds
    if asked is not None and asked < 0:
        asked = 1
    period = _gracefully(strategy, obj, asked, now)
    if period is _Grace.PENDING:
        return Plan(Action.NOTHING, obj)
    _set_finalizers(obj, _garbage_finalizers(strategy, obj, options))
    held = bool(meta.finalizers_of(obj)) or strategy.holds_on(obj)
    if period is _Grace.NONE:
        if held:
            _mark(obj, now)
        return _marked(strategy, current, obj) if held else Plan(Action.REMOVE, obj)
    if held or period is _Grace.WAITS:
        return _marked(strategy, current, obj)
    return Plan(Action.REMOVE, obj)


def may_go(strategy: Strategy, obj: Json, old: Json) -> bool:
    """Whether an update took away the last thing that kept a deleted object (upstream: ShouldDeleteDuringUpdate)."""
    old_metadata = old["metadata"]
    if not old_metadata.get("deletionTimestamp") or meta.finalizers_of(obj) or strategy.holds_on(obj):
        return False
    return not old_metadata.get("deletionGracePeriodSeconds")


class _Grace(Enum):
    NONE = "the kind has no graceful deletion, or the object came past it"
    PENDING = "it runs, and no shorter period is asked"
    WAITS = "a period was set"
    OVER = "a period of zero was set"


def _gracefully(strategy: Strategy, obj: Json, asked: int | None, now: datetime) -> _Grace:
    metadata = obj["metadata"]
    period = strategy.grace_seconds(obj, asked)
    if period is None:
        return _Grace.NONE
    if metadata.get("deletionTimestamp"):
        return _shortened(metadata, asked)
    metadata["deletionTimestamp"] = times.rfc3339(now + timedelta(seconds=period))
    metadata["deletionGracePeriodSeconds"] = period
    _bump(metadata)
    return _Grace.WAITS if period else _Grace.OVER


def _shortened(metadata: Json, asked: int | None) -> _Grace:
    """A second deletion may only bring the end nearer."""
    current = metadata.get("deletionGracePeriodSeconds")
    if current is None:
        return _Grace.NONE
    if asked is None or asked >= current:
        return _Grace.PENDING
    end = times.parse(metadata["deletionTimestamp"]) - timedelta(seconds=current - asked)
    metadata["deletionTimestamp"] = times.rfc3339(end)
    metadata["deletionGracePeriodSeconds"] = asked
    return _Grace.WAITS if asked else _Grace.OVER


def _mark(obj: Json, now: datetime) -> None:
    metadata = obj["metadata"]
    if metadata.get("deletionGracePeriodSeconds") is None:
        _bump(metadata)
    stamp = metadata.get("deletionTimestamp")
    if not stamp or times.parse(stamp) > now:
        metadata["deletionTimestamp"] = times.rfc3339(now)
    metadata["deletionGracePeriodSeconds"] = 0


def _marked(strategy: Strategy, current: Json, obj: Json) -> Plan:
    if not meta.is_being_deleted(current):
        strategy.mark_deleted(obj)
    return Plan(Action.MARK if obj != current else Action.NOTHING, obj)


def _bump(metadata: Json) -> None:
    if metadata.get("generation"):
        metadata["generation"] += 1


def _garbage_finalizers(strategy: Strategy, obj: Json, options: DeleteOptions) -> list[str]:
    """The finalizers with those that tell the garbage collector what to do with the dependents."""
    present = list(meta.finalizers_of(obj))
    others = [name for name in present if name not in (meta.ORPHAN, meta.FOREGROUND)]
    if not strategy.garbage_collected:
        return others
    policy = _policy(present, options)
    if policy == ORPHAN_POLICY:
        return [*others, meta.ORPHAN]
    return [*others, meta.FOREGROUND] if policy == FOREGROUND_POLICY else others


def _policy(present: list[str], options: DeleteOptions) -> str:
    """What was asked, else what an earlier request left in the finalizers, else Background."""
    if options.orphan_dependents is not None:
        return ORPHAN_POLICY if options.orphan_dependents else BACKGROUND_POLICY
    if options.propagation_policy:
        return options.propagation_policy
    for name in present:
        if name in (meta.ORPHAN, meta.FOREGROUND):
            return ORPHAN_POLICY if name == meta.ORPHAN else FOREGROUND_POLICY
    return BACKGROUND_POLICY


def _set_finalizers(obj: Json, finalizers: list[str]) -> None:
    if set(finalizers) == set(meta.finalizers_of(obj)):
        return
    if finalizers:
        obj["metadata"]["finalizers"] = finalizers
    else:
        obj["metadata"].pop("finalizers", None)
