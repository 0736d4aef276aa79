"""The generic store: what create, update, delete … mean for any kind, by its row. Requests and answers are handlers'.

Theory of operation
-------------------
All kinds go through the same steps, in upstream's order (apiserver/pkg/registry/generic/registry/store.go); what a
kind does differently is its Strategy, what a request adds is its Gate (admission, warnings).

An update is a function from the object that is there to the object that should be, applied to what the cache has.
Usually that is the newest, and one guarded write is all that is sent to etcd. When the write finds another
revision, the function runs again on what etcd answered; when the function, or any check, refuses what came out of
the cache, the object is read from etcd and the refusal stands only if that was the same. So a stale cache costs
time and never decides.

The client's resourceVersion is compared inside that function: a client that names one is told Conflict when the
object moved on, a client that names none (where the kind allows it) is applied to whatever is there.

What an update leaves as it was is not written: controllers that write the same status again cost no revision.

Deletion: `deletion.plan` decides, this module carries out, again under the revision it decided on.

Storage's errors become Status errors here, once per verb, and nowhere else.

Refused: locks per object (several servers run on one etcd), reading before each write (the guard reads).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import orjson

from apiserver.registry import deletion, object_meta
from apiserver.registry.allocators import Allocators
from apiserver.registry.deletion import Action, DeleteOptions
from apiserver.registry.failures import told_to_clients
from apiserver.registry.field_manager import FieldManager, Writer
from apiserver.registry.gate import OPEN, Gate
from apiserver.registry.resource import Resource
from apiserver.registry.strategy import Context, Finish
from apiserver.storage import errors as storage_errors
from apiserver.storage import listing
from apiserver.storage.cacher import Cacher
from apiserver.storage.collection import Collection, Watcher
from apiserver.storage.interface import KeyValue
from apiserver.storage.listing import Listing, Query
from apiserver.storage.objects import Entry, Schema, Selection, encode, entry_of_own
from machinery.aio.clock import REAL, Clock
from machinery.aio.tasks import in_thread
from machinery.api import codec, errors, meta, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

#: from the object that is there (a copy; None: none is there) to the one that should be
Change = Callable[[Json | None], Awaitable[Json]]

_NAME_TRIES: Final = 8  # upstream: maxNameGenerationCreateAttempts
_PARALLEL_DELETES: Final = 16
_LARGE: Final = 1 << 16  # bytes of an object that is validated in a thread
_MOST_PROBLEMS: Final = 1000  # told of one object; nobody reads more


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion did: `gone`, or marked only; the object as it is or last was."""

    entry: Entry
    gone: bool


@dataclass(frozen=True, slots=True)
class _Update:
    """One update while it is tried."""

    context: Context
    change: Change
    gate: Gate
    may_create: bool


class _Stale(Exception):
    """The object turned out to have changed: `current` is what is there now."""

    def __init__(self, current: Entry | None) -> None:
        super().__init__("stale")
        self.current = current


class Store:
    """All objects of one resource."""

    def __init__(self, resource: Resource, cacher: Cacher, *, clock: Clock = REAL) -> None:
        self.resource = resource
        self.cacher = cacher
        self.admission: Any = None  # the chain handlers ask; None admits everything
        self.allocators: Allocators | None = None
        self.collection: Collection = cacher.collection(
            Schema(resource.prefix(), resource.kind.namespaced, resource.fields)
        )
        self._storage = cacher.storage
        self._clock = clock

    @cached_property
    def field_manager(self) -> FieldManager:
        """Who owns which fields of the objects; made when first needed, for it needs the kind's schema."""
        return FieldManager(self.resource, self._clock)

    def track(self, obj: Json, old: Json | None, by: Writer) -> None:
        """Bring managedFields of a stored object up to date, as the version of this store shows it."""
        conversion = self.resource.conversion
        if conversion is None:
            self.field_manager.update(obj, old, by)
            return
        shown = self.as_served(codec.copy_of(obj))
        self.field_manager.update(shown, self.as_served(codec.copy_of(old)) if old is not None else None, by)
        obj["metadata"]["managedFields"] = shown["metadata"].get("managedFields") or []

    def as_served(self, obj: Json) -> Json:
        """A stored object in the version of this store; what is given is used up."""
        conversion = self.resource.conversion
        return conversion.from_stored(obj) if conversion is not None else obj

    def taken(self, obj: Json) -> Json:
        """The stored form of an object in the version of this store, with defaults; what is given is used up."""
        stored = self._as_stored(obj)
        self.resource.strategy.defaults(stored)
        return stored

    def _as_stored(self, obj: Json) -> Json:
        conversion = self.resource.conversion
        return conversion.to_stored(obj) if conversion is not None else obj

    # reading

    async def get(self, namespace: str, name: str, query: Query | None = None) -> Entry:
        """One object, by default as of now; raises NotFound."""
        with told_to_clients(self.resource.kind, name):
            entry = await listing.get(self.cacher, self.collection, namespace, name, query or Query())
        if entry is None:
            raise errors.not_found(self.resource.kind, name)
        return entry

    async def list(self, query: Query) -> Listing:
        """A page of objects; raises Expired where the asked revision is compacted."""
        with told_to_clients(self.resource.kind):
            return await listing.list_page(self.cacher, self.collection, query)

    def watch(self, selection: Selection, since: int) -> Watcher:
        """A watcher for changes after a revision; raises Expired. To be ended with `unwatch`."""
        try:
            return self.collection.watch(selection, since)
        except storage_errors.Compacted as problem:
            raise errors.Expired(f"too old resource version: {since} ({problem.oldest})") from problem

    def unwatch(self, watcher: Watcher) -> None:
        """End it."""
        self.collection.unwatch(watcher)

    # creating

    async def create(self, obj: Json, context: Context, gate: Gate = OPEN) -> Entry:
        """Write a new object, which is the store's from now on; raises AlreadyExists, Invalid, Forbidden …"""
        context = self._with_allocators(context)
        object_meta.place(obj, self.resource.kind, context.namespace)
        obj = self._as_stored(obj)
        self.resource.strategy.defaults(obj)
        await gate.mutate(obj, None)
        object_meta.fill(obj, self._clock)
        prefix = obj["metadata"].get("generateName") or ""
        if not prefix:
            return await self._create(obj, context, gate)
        is_named = bool(obj["metadata"].get("name"))
        for _ in range(1 if is_named else _NAME_TRIES):
            named = obj if is_named else _named(obj, prefix)
            try:
                return await self._create(named, context, gate)
            except errors.AlreadyExists:
                taken = meta.name_of(named)
        raise errors.name_not_generated(self.resource.kind, taken)

    async def _create(self, obj: Json, context: Context, gate: Gate) -> Entry:
        strategy = self.resource.strategy
        name = meta.name_of(obj)
        context = context.named(name)
        if meta.resource_version_of(obj) not in ("", "0"):
            raise errors.BadRequest("resourceVersion should not be set on objects to be created")
        strategy.prepare_for_create(obj, context)
        self._refuse(name, await in_thread(context.large, strategy.validate, obj, context))
        self._refuse(name, object_meta.check_name(name))
        for text in strategy.warnings(obj, None):
            gate.warn(text)
        await gate.validate(obj, None)
        async with _Finished(await strategy.begin_create(obj, context)):
            with told_to_clients(self.resource.kind, name):
                try:
                    return await self._write_new(obj, context)
                except storage_errors.KeyExists:
                    await self._say_if_being_deleted(context)
                    raise

    async def _write_new(self, obj: Json, context: Context) -> Entry:
        key = self._key(context)
        raw = _encoded(obj)
        if context.dry_run:
            if await self._storage.get(key) is not None:
                raise storage_errors.KeyExists(key)
            return entry_of_own(context.namespace, context.name, raw, 0)
        with self.collection.writing(key, raw, obj):
            revision = await self._storage.create(key, raw, ttl_seconds=self.resource.ttl_seconds)
        return entry_of_own(context.namespace, context.name, raw, revision)

    async def _say_if_being_deleted(self, context: Context) -> None:
        entry = await self._read(context)
        if entry is not None and meta.is_being_deleted(entry.decode()):
            problem = errors.already_exists(self.resource.kind, context.name)
            raise errors.AlreadyExists(f"object is being deleted: {problem.message}", problem.details)

    # updating

    async def update(
        self, change: Change, context: Context, gate: Gate = OPEN, *, may_create: bool = False
    ) -> tuple[Entry, bool]:
        """Apply a change to what is there, again when it moved meanwhile; the second value: it was created.

        Raises NotFound, Conflict (the change's object names another resourceVersion), Invalid, what the gate raises …
        """
        update = _Update(self._with_allocators(context), change, gate, may_create)
        with told_to_clients(self.resource.kind, context.name):
            entry = self.collection.get(context.namespace, context.name)
            certain = False
            while True:
                try:
                    return await self._try_update(update, entry, certain=certain)
                except _Stale as stale:
                    entry, certain = stale.current, True
                except errors.StatusError:
                    if certain:
                        raise
                    current = await self._read(context)
                    if _revision(current) == _revision(entry):
                        raise
                    entry, certain = current, True

    async def _try_update(self, update: _Update, entry: Entry | None, *, certain: bool) -> tuple[Entry, bool]:
        context, gate, kind = update.context, update.gate, self.resource.kind
        strategy = self.resource.strategy
        if entry is None:
            return await self._create_by_update(update), True
        old = entry.decode()
        obj = self._as_stored(await update.change(self.as_served(entry.decode())))
        object_meta.place(obj, kind, context.namespace)
        self._check_identity(obj, old, entry)
        strategy.defaults(obj)
        await gate.mutate(obj, old)
        object_meta.carry_over(obj, old)
        self._prepare(obj, old, context)
        large = context.large or len(entry.raw) > _LARGE
        self._refuse(context.name, await in_thread(large, self._problems, obj, old, context))
        for text in strategy.warnings(obj, old):
            gate.warn(text)
        await gate.validate(obj, old)
        if deletion.may_go(strategy, obj, old):
            return await self._remove(obj, entry, context), False
        if _same(obj, old) and not self._storage.is_stale(self._key(context)):
            return await self._confirmed(entry, context, certain=certain), False
        async with _Finished(await strategy.begin_update(obj, old, context)):
            return await self._replace(obj, entry, context), False

    async def _create_by_update(self, update: _Update) -> Entry:
        context = update.context
        if not (update.may_create or self.resource.strategy.create_on_update) or context.subresource:
            raise errors.not_found(self.resource.kind, context.name)
        update.gate.create()
        obj = await update.change(None)
        if obj["metadata"].get("uid"):
            why = f"Precondition failed: UID in precondition: {meta.uid_of(obj)}, UID in object meta: "
            raise errors.conflict(self.resource.kind, context.name, why)
        obj["metadata"].pop("resourceVersion", None)
        try:
            return await self.create(obj, context, update.gate)
        except errors.AlreadyExists as problem:
            current = await self._read(context)
            if current is None:
                raise
            raise _Stale(current) from problem

    def _check_identity(self, obj: Json, old: Json, entry: Entry) -> None:
        """The client means this object, and this state of it."""
        kind, name = self.resource.kind, entry.name
        uid, version = meta.uid_of(obj), meta.resource_version_of(obj)
        if uid and uid != meta.uid_of(old):
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {meta.uid_of(old)}"
            raise errors.conflict(kind, name, why)
        if version in ("", "0"):
            if not self.resource.strategy.unconditional_update:
                problem = errors.invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
                raise errors.invalid(kind, name, [problem])
            obj["metadata"]["resourceVersion"] = str(entry.revision)
        elif version != str(entry.revision):
            raise errors.conflict(kind, name, errors.MODIFIED)

    def _prepare(self, obj: Json, old: Json, context: Context) -> None:
        strategy = self.resource.strategy
        if not context.subresource:
            strategy.prepare_for_update(obj, old, context)
            return
        method = f"prepare_for_{context.subresource.replace('/', '_')}_update"
        prepare = getattr(strategy, method, None)
        if prepare is None:
            raise errors.NotFound("the server could not find the requested resource")
        prepare(obj, old, context)

    def _problems(self, obj: Json, old: Json, context: Context) -> Sequence[FieldError]:
        strategy = self.resource.strategy
        method = f"validate_{context.subresource.replace('/', '_')}_update" if context.subresource else ""
        validate = getattr(strategy, method, None) or strategy.validate_update
        problems: Sequence[FieldError] = validate(obj, old, context)
        return problems

    async def _replace(self, obj: Json, entry: Entry, context: Context) -> Entry:
        raw = _encoded(obj)
        if context.dry_run:
            return entry_of_own(entry.namespace, entry.name, raw, entry.revision)
        key, ttl = self._key(context), self.resource.ttl_seconds
        try:
            with self.collection.writing(key, raw, obj):
                revision = await self._storage.update(key, raw, entry.revision, ttl_seconds=ttl)
        except storage_errors.RevisionConflict as conflict:
            raise _Stale(self._entry(conflict.current)) from conflict
        except storage_errors.KeyNotFound as problem:
            raise _Stale(None) from problem
        return entry_of_own(entry.namespace, entry.name, raw, revision)

    async def _confirmed(self, entry: Entry, context: Context, *, certain: bool) -> Entry:
        """Nothing is to be written: true only if the entry is the newest state."""
        if certain:
            return entry
        current = await self._read(context)
        if _revision(current) != entry.revision:
            raise _Stale(current)
        return entry

    # deleting

    async def delete(self, context: Context, options: DeleteOptions, gate: Gate = OPEN) -> Deleted:
        """Remove an object, or mark it where something keeps it; raises NotFound, Conflict …"""
        context = self._with_allocators(context)
        with told_to_clients(self.resource.kind, context.name):
            entry = await self._read(context)
            while True:
                if entry is None:
                    raise errors.not_found(self.resource.kind, context.name)
                try:
                    return await self._try_delete(entry, context, options, gate)
                except _Stale as stale:
                    entry = stale.current

    async def _try_delete(self, entry: Entry, context: Context, options: DeleteOptions, gate: Gate) -> Deleted:
        old = entry.decode()
        deletion.check_preconditions(self.resource.kind, old, options)
        await gate.validate(None, old)
        plan = deletion.plan(self.resource.strategy, old, options, self._clock.now())
        if plan.action is Action.NOTHING:
            return Deleted(entry, gone=False)
        if plan.action is Action.MARK:
            return Deleted(await self._replace(plan.obj, entry, context), gone=False)
        return Deleted(await self._remove(plan.obj, entry, context), gone=True)

    async def _remove(self, obj: Json, entry: Entry, context: Context) -> Entry:
        raw = _encoded(obj)
        if context.dry_run:
            return entry_of_own(entry.namespace, entry.name, raw, entry.revision)
        try:
            revision = await self._storage.delete(self._key(context), entry.revision)
        except storage_errors.RevisionConflict as conflict:
            raise _Stale(self._entry(conflict.current)) from conflict
        except storage_errors.KeyNotFound as problem:
            raise _Stale(None) from problem
        await self.resource.strategy.after_delete(obj, context)
        return entry_of_own(entry.namespace, entry.name, raw, revision)

    async def delete_entries(
        self, entries: Sequence[Entry], context: Context, options: DeleteOptions, gate: Gate = OPEN
    ) -> None:
        """Delete all of these, several at a time; what vanished meanwhile is fine. Raises the first refusal."""
        todo = iter(entries)

        async def work() -> None:
            for entry in todo:
                try:
                    await self.delete(replace(context, namespace=entry.namespace, name=entry.name), options, gate)
                except errors.NotFound:
                    continue

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_PARALLEL_DELETES, len(entries))):
                    group.create_task(work())
        except* errors.StatusError as problems:
            raise problems.exceptions[0] from None

    # helpers

    def _with_allocators(self, context: Context) -> Context:
        return replace(context, allocators=self.allocators) if context.allocators is not self.allocators else context

    def _key(self, context: Context) -> str:
        return self.resource.key_of(context.namespace, context.name)

    def _entry(self, item: KeyValue) -> Entry:
        try:
            return self.collection.schema.entry(item)
        except ValueError as problem:
            raise errors.InternalError(f"Internal error occurred: {item.key}: {problem}") from problem

    async def _read(self, context: Context) -> Entry | None:
        item = await self._storage.get(self._key(context))
        return None if item is None else self._entry(item)

    def _refuse(self, name: str, problems: Sequence[FieldError]) -> None:
        if problems:
            raise errors.invalid(self.resource.kind, name, problems[:_MOST_PROBLEMS])


class _Finished:
    """Tells what began whether its write succeeded (a generator would cost every write several times that)."""

    __slots__ = ("_finish",)

    def __init__(self, finish: Finish | None) -> None:
        self._finish = finish

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, type_: object, problem: BaseException | None, traceback: object) -> None:
        if self._finish is not None:
            await self._finish(problem is None)


def _encoded(obj: Json) -> bytes:
    try:
        return encode(obj)
    except TypeError as problem:  # patch by patch an object can be nested deeper than any body may be
        raise errors.BadRequest(f"the object cannot be encoded: {problem}") from problem


def _named(obj: Json, prefix: str) -> Json:
    """A copy with a generated name."""
    named = codec.copy_of(obj)
    named["metadata"]["name"] = names.generate_name(prefix)
    return named


def _revision(entry: Entry | None) -> int:
    return entry.revision if entry is not None else 0


def _same(obj: Json, old: Json) -> bool:
    """Equal as JSON: to Python 1, 1.0 and True are equal."""
    return obj == old and orjson.dumps(obj, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        old, option=orjson.OPT_SORT_KEYS
    )
