"""Objects as the watch cache has them, for those who need one now and then: authentication, admission, proxies."""

from collections.abc import Sequence

from apiserver.bootstrap import LOOPBACK
from apiserver.registry.registry import Registry
from apiserver.registry.store import Change, Store
from apiserver.registry.strategy import Context
from apiserver.storage.objects import Selection
from machinery.api import codec, errors
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.schema import schema_of


class Lookups:
    """Objects as the watch cache has them, for those who need one now and then."""

    def __init__(self) -> None:
        # Authentication and admission are made before the registry they read.
        self.registry: Registry | None = None
        self._decoded: dict[Kind, tuple[int, list[Json]]] = {}

    def cached(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The object as cached; None also while there is no cache yet."""
        store = self._store(kind)
        entry = store.collection.get(namespace if kind.namespaced else "", name) if store else None
        return entry.decode() if entry else None

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The object as cached, or as etcd has it where the cache has none (it may be that new)."""
        found = self.cached(kind, namespace, name)
        store = self._store(kind)
        if found is not None or store is None:
            return found
        try:
            return (await store.get(namespace if kind.namespaced else "", name)).decode()
        except errors.NotFound:
            return None

    async def fresh(self, kind: Kind, namespace: str, name: str) -> Json:
        """The object as it is now: with every write acknowledged before this call. Raises NotFound."""
        store = self._store(kind)
        if store is None:
            raise errors.not_found(kind, name)
        return (await store.get(namespace if kind.namespaced else "", name)).decode()

    def all(self, kind: Kind) -> list[Json]:
        """All objects of a kind that has few as cached, decoded once per change of any of them; to read only."""
        store = self._store(kind)
        if store is None:
            return []
        changed, found = self._decoded.get(kind, (-1, []))
        if changed != store.collection.changed:
            found = [entry.decode() for entry in store.collection.select(Selection())]
            self._decoded[kind] = store.collection.changed, found
        return found

    async def change_status(self, kind: Kind, namespace: str, name: str, change: Change) -> None:
        """Write the status of an object as a change makes it, atomically; raises NotFound, what the change raises."""
        store = self._store(kind)
        if store is not None:
            await store.update(change, Context(LOOPBACK, namespace, name, "status"))

    def equivalents(self, kind: Kind) -> Sequence[Kind]:
        """The other kinds that show the same objects: another version, or a name in another group."""
        own = self._store(kind)
        if own is None or self.registry is None:
            return ()
        key = own.resource.key
        rows = (store.resource for store in self.registry.stores())
        return [row.kind for row in rows if row.key == key and row.kind != kind]

    def shown(self, kind: Kind, obj: Json) -> Json:
        """A stored object in this version of its kind; to read only."""
        store = self._store(kind)
        if store is None or store.resource.conversion is None:
            return obj
        return store.as_served(codec.copy_of(obj))

    def taken(self, kind: Kind, obj: Json) -> Json:
        """The stored form of an object in this version, with defaults; raises BadRequest. What is given is used up."""
        schema_of(kind).decode(obj, field_validation="Ignore")
        store = self._store(kind)
        return store.taken(obj) if store is not None else obj

    def kind_named(self, api_version: str, kind: str) -> Kind | None:
        """The served kind of this name, None where there is none."""
        stores = self.registry.stores() if self.registry else ()
        kinds_served = (store.resource.kind for store in stores)
        return next((one for one in kinds_served if one.kind == kind and one.api_version == api_version), None)

    def in_namespace(self, kind: Kind, namespace: str) -> list[Json]:
        """The objects of a namespace, as cached."""
        store = self._store(kind)
        entries = store.collection.select(Selection(namespace)) if store else ()
        return [entry.decode() for entry in entries]

    def _store(self, kind: Kind) -> Store | None:
        return self.registry.store_for(kind.group, kind.version, kind.plural) if self.registry else None
