"""Server-side apply: who manages which fields, and what an applied configuration makes of an object.

Theory of operation
-------------------
Every writer is a manager and owns fields. An *update* (create, replace, patch) takes what it changes from everybody
and owns it from then on. An *apply* sends a configuration: the manager owns exactly what is in it. What it owned before
and sends no longer is removed from the object, unless somebody else owns it too. What it sends and another manager owns
with another value is a conflict: refused, or taken by force. The same value is owned together.

The decision is pure: objects, field sets and times go in, an object and managers come out. `Managers` is a dict from a
manager's identity to what it owns; the wire's list of entries is made of it, and it of them, by registry/field_manager.

Several versions of a kind: a manager's fields are those of the version it wrote. They are compared with the objects as
that version shows them, for which the caller gives a `View`.

Upstream: KEP-555; sigs.k8s.io/structured-merge-diff, merge/update.go and typed/reconcile_schema.go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from machinery.api import field_set, typed
from machinery.api.codec import Json
from machinery.api.field_set import EMPTY, FieldSet
from machinery.api.typed import Comparison, Node


@dataclass(frozen=True, slots=True, order=True)
class Manager:
    """Who owns fields: one name may be several managers, by what it does, through which part, in which version."""

    name: str
    operation: str
    #: of updates; an applier is the same one whatever version it applies
    api_version: str = ""
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Owned:
    """What a manager owns, in terms of one version, and since when (RFC 3339; "": not known)."""

    fields: FieldSet
    api_version: str
    time: str = ""


Managers = Mapping[Manager, Owned]

#: who writes while it is being found out what this changed
_SELF: Final = Manager("current-operation", "Update")


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that somebody else owns."""

    manager: Manager
    path: str


class Conflicts(Exception):
    """The configuration would change what others own."""

    def __init__(self, sets: Mapping[Manager, FieldSet]) -> None:
        super().__init__("conflicts")
        self.sets = sets

    def listed(self) -> list[Conflict]:
        """Each field of each manager."""
        return [
            Conflict(manager, path) for manager in sorted(self.sets) for path in field_set.paths(self.sets[manager])
        ]


@dataclass(frozen=True, slots=True)
class View:
    """An object's type in one version: its node, and what makes an object of the request's version one of it."""

    node: Node
    convert: Callable[[Json], Json] = lambda obj: obj


@dataclass(frozen=True, slots=True)
class Typing:
    """How objects are seen: in the version of the request, and in others. `ignored` nobody can own here."""

    api_version: str
    node: Node
    ignored: FieldSet = field(default_factory=dict)
    #: other versions that are served still
    others: Callable[[str], View | None] = lambda version: None

    def view(self, api_version: str) -> View | None:
        """The type in a version; None: it is not served any more, and who wrote it is forgotten."""
        return View(self.node) if api_version == self.api_version else self.others(api_version)

    def compare(self, old: Json, new: Json) -> Comparison:
        """How an object changed, as far as anybody can own it."""
        return typed.compare(self.node, old, new).without(self.ignored)


def track_update(kinds: Typing, old: Json, new: Json, managers: Managers, writer: Manager, time: str) -> Managers:
    """The managers after an update that made `new` of `old` ({}: there was none)."""
    change = kinds.compare(old, new)
    if change.same:
        return managers
    result, _ = _without_losses(kinds, _Objects(old, new, change), managers, _SELF)
    taken = field_set.union(field_set.union(EMPTY, change.modified), change.added)
    if taken:
        mine = result.get(writer)
        fields = field_set.union(mine.fields, taken) if mine is not None else taken
        result = {**result, writer: Owned(fields, kinds.api_version, time)}
    return result


@dataclass(frozen=True, slots=True)
class Applying:
    """One apply: who, when, and whether others' fields are taken."""

    manager: Manager
    time: str
    force: bool = False


def apply(kinds: Typing, live: Json, config: Json, managers: Managers, how: Applying) -> tuple[Json, Managers]:
    """The object with the configuration applied, and its managers; raises Conflicts."""
    merged: Json = kinds.node.merge(live, config)
    last = managers.get(how.manager)
    fields = field_set.recursive_difference(typed.fields_of(kinds.node, config), kinds.ignored)
    managers = {**managers, how.manager: Owned(fields, kinds.api_version, how.time)}
    result = _prune(kinds, merged, managers, last) if last is not None and last.fields else merged
    change = kinds.compare(live, result)
    kept, conflicts = _without_losses(kinds, _Objects(live, result, change), managers, how.manager)
    if conflicts and not how.force:
        raise Conflicts(conflicts)
    return result, kept


@dataclass(frozen=True, slots=True)
class _Objects:
    """Both objects of a write, and how they differ in the request's version."""

    old: Json
    new: Json
    change: Comparison


def _without_losses(
    kinds: Typing, objects: _Objects, managers: Managers, writer: Manager
) -> tuple[dict[Manager, Owned], dict[Manager, FieldSet]]:
    """The managers without what a write took from them, and what of it was changed under their hands."""
    changes: dict[str, Comparison | None] = {kinds.api_version: objects.change}
    kept: dict[Manager, Owned] = {}
    conflicts: dict[Manager, FieldSet] = {}
    for manager, owned in managers.items():
        if manager == writer:
            if owned.fields:
                kept[manager] = owned
            continue
        if owned.api_version not in changes:
            changes[owned.api_version] = _seen_as(kinds, owned.api_version, objects)
        change = changes[owned.api_version]
        if change is None:
            continue
        touched = field_set.intersection(owned.fields, field_set.union(change.modified, change.added))
        if touched:
            conflicts[manager] = touched
        fields = field_set.difference(field_set.difference(owned.fields, touched), change.removed)
        if fields:
            kept[manager] = owned if fields == owned.fields else replace(owned, fields=fields)
    return kept, conflicts


def _seen_as(kinds: Typing, api_version: str, objects: _Objects) -> Comparison | None:
    view = kinds.view(api_version)
    if view is None:
        return None
    change = typed.compare(view.node, view.convert(objects.old) if objects.old else {}, view.convert(objects.new))
    return change.without(kinds.ignored)


def _prune(kinds: Typing, merged: Json, managers: Managers, last: Owned) -> Json:
    """Remove what the applier owned and sends no longer, where nobody else owns it."""
    view = kinds.view(last.api_version)
    if view is None or last.api_version != kinds.api_version:
        # What it applied in another version is compared in that version; the object stays in the request's.
        return merged if view is None else _prune_across(kinds, merged, managers, last)
    node = kinds.node
    pruned = node.without(merged, node.with_named(last.fields)) or {}
    pruned = _add_back_owned(kinds, merged, pruned, managers)
    return _add_back_dangling(node, merged, pruned, last.fields)


def _prune_across(kinds: Typing, merged: Json, managers: Managers, last: Owned) -> Json:
    """The same where the applier changed the version: fields both versions name alike are pruned by their names."""
    return _prune(kinds, merged, managers, replace(last, api_version=kinds.api_version))


def _add_back_owned(kinds: Typing, merged: Json, pruned: Json, managers: Managers) -> Json:
    """What others own, and what the applier sends now, is not removed."""
    node = kinds.node
    managed: FieldSet = EMPTY
    for owned in managers.values():
        managed = field_set.union(managed, owned.fields)
    everything = node.with_named(typed.fields_of(node, merged))
    kept = field_set.union(node.with_named(typed.fields_of(node, pruned)), node.with_named(managed))
    result: Json = node.without(merged, field_set.difference(everything, kept)) or {}
    return result


def _add_back_dangling(node: Node, merged: Json, pruned: Json, last: FieldSet) -> Json:
    """Only what the applier owned is removed: not what nobody owns."""
    gone = field_set.difference(
        node.with_named(typed.fields_of(node, merged)), node.with_named(typed.fields_of(node, pruned))
    )
    result: Json = node.without(merged, field_set.intersection(gone, node.with_named(last))) or {}
    return result
