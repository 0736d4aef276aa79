"""managedFields: read from an object, brought up to date with a write, put back. Decisions are machinery.api.apply's.

Upstream: apimachinery/pkg/util/managedfields/internal (a chain of managers, each of which is a step here):
stripmeta.go, managedfieldsupdater.go, buildmanagerinfo.go, capmanagers.go, skipnonapplied.go, lastappliedmanager.go,
lastappliedupdater.go; apiserver/pkg/endpoints/handlers/fieldmanager/equality.go.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import orjson

from apiserver.registry.resource import Resource
from machinery.aio.clock import REAL, Clock
from machinery.api import apply, codec, errors, field_set, meta, times, typed
from machinery.api.apply import Applying, Conflict, Conflicts, Manager, Managers, Owned, Typing, View
from machinery.api.codec import Json
from machinery.api.field_set import EMPTY, LEAF, FieldSet
from machinery.api.kinds import Kind
from machinery.api.schema import schema_of
from machinery.api.typed import Node

logger = logging.getLogger(__name__)

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_APPLY: Final = "Apply"
_UPDATE: Final = "Update"
_NAME_BYTES: Final = 128
_MOST_UPDATERS: Final = 10
_OLD_UPDATES: Final = "ancient-changes"
_BEFORE_FIRST: Final = "before-first-apply"
_KUBECTL: Final = "kubectl"
_REMEMBERED: Final = 128  # new objects of each kind
_LARGEST_REMEMBERED: Final = 1 << 14  # bytes of one
_RESET: Final[tuple[list[Json], ...]] = ([{}],)  # what a client sends who wants nobody to own anything
#: the server's own, whoever writes
_STRIPPED_NAMES: Final = (
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
)
_STRIPPED: Final[FieldSet] = {
    "f:apiVersion": LEAF,
    "f:kind": LEAF,
    "f:metadata": {".": LEAF, **{f"f:{name}": LEAF for name in _STRIPPED_NAMES}},
}


def manager_name(asked: str, user_agent: str) -> str:
    """Who a write is by: the option fieldManager, or the client's name (upstream: managerOrUserAgent)."""
    if asked:
        return asked
    name = "".join(char for char in user_agent.partition("/")[0] if char.isprintable())
    return name.encode()[:_NAME_BYTES].decode(errors="ignore")


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, through which part of the object."""

    name: str
    subresource: str = ""


class FieldManager:
    """Keeps the managedFields of one kind's objects, as seen by requests for the whole or for one part of them."""

    def __init__(self, resource: Resource, clock: Clock = REAL) -> None:
        self._kind = resource.kind
        self._clock = clock
        self._properties = frozenset(schema_of(resource.kind).shape.properties)
        self._node = _node(resource.kind)
        self._plain_maps = frozenset(name for name in self._properties if typed.is_map_of_leaves(self._node, name))
        self._views = dict(_other_versions(resource))
        self._fields_of_new = lru_cache(_REMEMBERED)(self._fields_in)

    def update(self, obj: Json, old: Json | None, writer: Writer) -> None:
        """Bring `obj`'s managedFields up to date with the change from `old`, in place.

        What a client may have written there is used if it is good, as upstream does; what cannot be worked out leaves
        the object without managers, and the write goes on.
        """
        sent = obj["metadata"].pop("managedFields", None)
        before = _entries(old)
        try:
            managers = self._managers(sent, before, writer)
            if not managers and (old is None or not meta.uid_of(old)):
                managers = self._first(obj, writer)
            elif managers:
                managers = self._updated(_without_entries(old or {}), obj, managers, writer)
        except ValueError as problem:
            logger.warning("managedFields of %s %s: %s", self._kind.kind, meta.name_of(obj), problem)
            return
        _put(obj, managers)

    def apply(self, live: Json | None, config: Json, writer: Writer, *, force: bool) -> Json:
        """The object with a configuration applied; raises BadRequest for a bad one, Conflict."""
        if config["metadata"].get("managedFields") is not None:
            raise errors.BadRequest("metadata.managedFields must be nil")
        self._check(config)
        typing = self._typing(writer.subresource)
        current = _without_entries(live) if live is not None else self._nothing()
        managers: Managers = _decoded(_entries(live))
        if not managers and live is not None:
            first = Writer(_BEFORE_FIRST, writer.subresource)
            managers = self._updated(self._nothing(), current, managers, first)
        who = Manager(writer.name, _APPLY, "", writer.subresource)
        how = Applying(who, self._now(), force)
        result, managers = self._applied(typing, current, config, managers, how)
        _put(result, _stripped(managers, who))
        if writer.name == _KUBECTL and LAST_APPLIED in meta.annotations_of(current):
            result["metadata"]["annotations"] = {**meta.annotations_of(result), LAST_APPLIED: _as_applied(config)}
        return result

    def settle(self, obj: Json, old: Json) -> None:
        """A write that changes nothing but times in managedFields changes nothing: the old times stay."""
        before, after = _entries(old), _entries(obj)
        if before is after or [_timeless(entry) for entry in before] != [_timeless(entry) for entry in after]:
            return
        if {**obj, "metadata": {**obj["metadata"], "managedFields": before}} == old:
            obj["metadata"]["managedFields"] = before

    def _managers(self, sent: Any, before: list[Json], writer: Writer) -> Managers:
        if writer.subresource or sent is None or sent == before:
            return _decoded(before)
        if sent in _RESET:
            return {}
        try:
            managers = _decoded(sent, untrusted=True)
        except ValueError:
            managers = {}
        return managers or _decoded(before)

    def _first(self, obj: Json, writer: Writer) -> Managers:
        """Of a new object: all that can be owned. The same come again and again but for names and values (replicas)."""
        if writer.subresource or not (self._plain_maps or "spec" in obj):
            return self._updated({}, obj, {}, writer)
        seen = {name: value for name, value in obj.items() if name != "status"}
        seen["metadata"] = {name: value for name, value in obj["metadata"].items() if name not in _STRIPPED_NAMES}
        for name in self._plain_maps & seen.keys():
            if isinstance(seen[name], dict):  # what is owned is a matter of the keys
                seen[name] = dict.fromkeys(seen[name], "")
        raw = codec.dumps(seen)
        if len(raw) > _LARGEST_REMEMBERED:
            return self._updated({}, obj, {}, writer)
        fields = self._fields_of_new(raw)
        return {self._updater(writer): Owned(fields, self._kind.api_version, self._now())} if fields else {}

    def _fields_in(self, raw: bytes) -> FieldSet:
        """What somebody owns who creates this object."""
        managers = self._updated({}, codec.loads(raw), {}, Writer(""))
        return next(iter(managers.values())).fields if managers else EMPTY

    def _updater(self, writer: Writer) -> Manager:
        return Manager(writer.name or "unknown", _UPDATE, self._kind.api_version, writer.subresource)

    def _updated(self, old: Json, new: Json, managers: Managers, writer: Writer) -> Managers:
        who = self._updater(writer)
        typing = self._typing(writer.subresource)
        changed = apply.track_update(typing, old, new, managers, who, self._now())
        return _capped(_stripped(changed, who))

    def _applied(
        self, typing: Typing, live: Json, config: Json, managers: Managers, how: Applying
    ) -> tuple[Json, Managers]:
        """Apply; kubectl may take from itself: what its client-side apply set is known by the annotation it left."""
        try:
            return apply.apply(typing, live, config, managers, how)
        except Conflicts as conflicts:
            found = conflicts
        if how.manager.name == _KUBECTL:
            allowed = self._last_applied(live)
            sets = {who: field_set.difference(fields, allowed) for who, fields in found.sets.items()}
            found = Conflicts({who: fields for who, fields in sets.items() if fields})
            if not found.sets:
                return apply.apply(typing, live, config, managers, replace(how, force=True))
        raise _conflict(found.listed())

    def _last_applied(self, live: Json) -> FieldSet:
        text = meta.annotations_of(live).get(LAST_APPLIED)
        try:
            config = codec.loads(text.encode()) if text else None
        except ValueError:
            return field_set.EMPTY
        if not isinstance(config, dict) or config.get("apiVersion") != self._kind.api_version:
            return field_set.EMPTY
        if typed.first_problems(self._node, config, 1):
            return field_set.EMPTY
        return typed.fields_of(self._node, config)

    def _check(self, config: Json) -> None:
        problems = typed.first_problems(self._node, config)
        if problems:
            metadata = config["metadata"]
            version = self._kind.api_version
            what = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {version}, Kind={self._kind.kind}"
            text = problems[0] if len(problems) == 1 else "\n  ".join(["errors:", *problems])
            raise errors.BadRequest(f"failed to create typed patch object ({what}): {text}")

    def _typing(self, subresource: str) -> Typing:
        """A request for a part owns nothing of the rest, and one for the whole nothing of status."""
        if subresource == "status":
            kept = ("apiVersion", "kind", "metadata", "status")
            ignored = {f"f:{name}": LEAF for name in self._properties if name not in kept}
        else:
            ignored = {"f:status": LEAF}
        return Typing(self._kind.api_version, self._node, ignored, self._views.get)

    def _nothing(self) -> Json:
        return {"apiVersion": self._kind.api_version, "kind": self._kind.kind, "metadata": {}}

    def _now(self) -> str:
        return times.rfc3339(self._clock.now())


def _other_versions(resource: Resource) -> Iterator[tuple[str, View]]:
    """How managers of the kind's other versions see an object of this one."""
    if resource.conversion is not None:
        stored, to_stored = resource.conversion.stored, resource.conversion.to_stored
        yield stored.api_version, View(_node(stored), _copying(to_stored))
    for version in resource.versions:
        yield version.served.api_version, View(_node(version.served), _copying(version.from_stored))


def _node(kind: Kind) -> Node:
    return typed.root_of(schema_of(kind).shape)


def _copying(convert: Callable[[Json], Json]) -> Callable[[Json], Json]:
    return lambda obj: convert(codec.copy_of(obj))


def _entries(obj: Json | None) -> list[Json]:
    found: list[Json] = (obj or {}).get("metadata", {}).get("managedFields") or []
    return found


def _without_entries(obj: Json) -> Json:
    if "managedFields" not in obj.get("metadata", {}):
        return obj
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}}


def _timeless(entry: Json) -> Json:
    return {key: value for key, value in entry.items() if key != "time"}


def _decoded(entries: Any, *, untrusted: bool = False) -> dict[Manager, Owned]:
    """Managers out of the wire's list; raises ValueError for a list no server would have written."""
    managers: dict[Manager, Owned] = {}
    for entry in entries:
        if untrusted:
            _check_entry(entry)
        operation, version = entry.get("operation", ""), entry.get("apiVersion", "")
        of_update = version if operation == _UPDATE else ""
        manager = Manager(entry.get("manager", ""), operation, of_update, entry.get("subresource", ""))
        managers[manager] = Owned(entry.get("fieldsV1") or LEAF, version, entry.get("time") or "")
    return managers


def _check_entry(entry: Json) -> None:
    if entry.get("operation") not in (_APPLY, _UPDATE) or not entry.get("apiVersion"):
        raise ValueError("an entry of managedFields has no operation or no apiVersion")
    if entry.get("fieldsType") not in (None, "", "FieldsV1"):
        raise ValueError(f"invalid fieldsType {entry.get('fieldsType')!r}")
    field_set.check(entry.get("fieldsV1") or {})


def _put(obj: Json, managers: Managers) -> None:
    """The wire's list into an object, in upstream's order (managedfields.go, sortEncodedManagedFields)."""
    if not managers:
        obj["metadata"].pop("managedFields", None)
        return
    known = sorted(
        managers.items(),
        key=lambda item: (item[0].operation, item[1].time, item[0].name, item[1].api_version, item[0].subresource),
    )
    obj["metadata"]["managedFields"] = [_entry(manager, owned) for manager, owned in known]


def _entry(manager: Manager, owned: Owned) -> Json:
    entry: Json = {"manager": manager.name, "operation": manager.operation, "apiVersion": owned.api_version}
    if owned.time:
        entry["time"] = owned.time
    entry |= {"fieldsType": "FieldsV1", "fieldsV1": owned.fields}
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


def _stripped(managers: Managers, who: Manager) -> Managers:
    """Without what is the server's own among the fields of who just wrote, which get upstream's order."""
    owned = managers.get(who)
    if owned is None:
        return managers
    fields = field_set.ordered(field_set.difference(owned.fields, _STRIPPED))
    if fields:
        return {**managers, who: replace(owned, fields=fields)}
    return {manager: kept for manager, kept in managers.items() if manager != who}


def _capped(managers: Managers) -> Managers:
    """Join the oldest updaters of a version when there are too many (upstream: capmanagers.go)."""
    updaters = sorted(
        (manager for manager in managers if manager.operation == _UPDATE), key=lambda who: (managers[who].time, who)
    )
    surplus = len(updaters) - _MOST_UPDATERS
    if surplus <= 0:
        return managers
    result = dict(managers)
    first: dict[str, Manager] = {}
    for manager in updaters:
        owned = managers[manager]
        bucket = Manager(_OLD_UPDATES, _UPDATE, owned.api_version)
        if owned.api_version not in first:
            first[owned.api_version] = manager
            continue
        if surplus == 0:
            break
        if bucket not in result:
            result[bucket] = result.pop(first[owned.api_version])
        joined = field_set.union(result[bucket].fields, owned.fields)
        result[bucket] = Owned(field_set.ordered(joined), owned.api_version, owned.time)
        del result[manager]
        surplus -= 1
    return result


def _as_applied(config: Json) -> str:
    """What kubectl's client-side apply would have left as annotation."""
    annotations = {key: value for key, value in meta.annotations_of(config).items() if key != LAST_APPLIED}
    metadata = {key: value for key, value in config["metadata"].items() if key != "managedFields"}
    shown = {**config, "metadata": {**metadata, "annotations": annotations}}
    return orjson.dumps(shown, option=orjson.OPT_SORT_KEYS).decode() + "\n"


def _conflict(conflicts: Iterable[Conflict]) -> errors.Conflict:
    """409 with a cause for each field (upstream: internal/conflict.go)."""
    listed = list(conflicts)
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {_shown(one.manager)}", "field": one.path}
        for one in listed
    ]
    return errors.Conflict(_conflict_message(listed), {"causes": causes})


def _conflict_message(conflicts: list[Conflict]) -> str:
    if len(conflicts) == 1:
        only = conflicts[0]
        return f"Apply failed with 1 conflict: conflict with {_shown(only.manager)}: {only.path}"
    by_manager: dict[Manager, list[str]] = {}
    for one in conflicts:
        by_manager.setdefault(one.manager, []).append(one.path)
    lines: list[str] = []
    for manager, paths in by_manager.items():
        lines.append(f"conflicts with {_shown(manager)}:")
        lines += [f"- {path}" for path in paths]
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)


def _shown(manager: Manager) -> str:
    text = f'"{manager.name}"'
    if manager.subresource:
        text = f'{text} with subresource "{manager.subresource}"'
    return f"{text} using {manager.api_version}" if manager.operation == _UPDATE else text


def without_nulls(value: Any) -> Any:
    """A configuration without explicit nulls: to Go's types they are fields that were not sent."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value
