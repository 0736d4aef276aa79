"""An informer's cache and the read-only view that controllers get of it. Filling it is the informer's."""

from collections.abc import Callable, Container, Iterable
from typing import Protocol

from machinery.api import meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey

Objects = list[Json]  # inside the classes below, `list` is their method
IndexFunction = Callable[[Json], Iterable[str]]


class Lister(Protocol):
    """Reads from the cache. What it returns is shared: never change it (`codec.copy_of` first)."""

    def get(self, key: ObjectKey) -> Json | None:
        """One object."""

    def list(self) -> Objects:
        """All objects."""

    def in_namespace(self, namespace: str) -> Objects:
        """All objects of a namespace."""

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Keep an index: `function` gives the values an object is found under."""

    def by_index(self, name: str, value: str) -> Objects:
        """The objects found under a value; raises KeyError for an index nobody added."""


_NAMESPACE = "namespace"


class Store:
    """Objects by key, with indices that are kept as objects come and go."""

    def __init__(self) -> None:
        self._objects: dict[ObjectKey, Json] = {}
        self._functions: dict[str, IndexFunction] = {_NAMESPACE: lambda obj: (meta.namespace_of(obj),)}
        self._indices: dict[str, dict[str, dict[ObjectKey, None]]] = {_NAMESPACE: {}}

    def __len__(self) -> int:
        return len(self._objects)

    def without(self, keys: Container[ObjectKey]) -> tuple[ObjectKey, ...]:
        """The keys of all objects but these."""
        return tuple(key for key in self._objects if key not in keys)

    def get(self, key: ObjectKey) -> Json | None:
        """One object."""
        return self._objects.get(key)

    def list(self) -> Objects:
        """All objects."""
        return [*self._objects.values()]

    def in_namespace(self, namespace: str) -> Objects:
        """All objects of a namespace."""
        return self.by_index(_NAMESPACE, namespace)

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Keep an index; adding the same name again changes nothing."""
        if name in self._functions:
            return
        self._functions[name] = function
        self._indices[name] = {}
        for key, obj in self._objects.items():
            self._enter(name, key, obj)

    def by_index(self, name: str, value: str) -> Objects:
        """The objects found under a value."""
        return [self._objects[key] for key in self._indices[name].get(value, ())]

    def put(self, obj: Json) -> Json | None:
        """Add or replace; returns what was there before."""
        key = meta.key_of(obj)
        old = self.remove(key)
        self._objects[key] = obj
        for name in self._functions:
            self._enter(name, key, obj)
        return old

    def remove(self, key: ObjectKey) -> Json | None:
        """Take out; returns what was there."""
        old = self._objects.pop(key, None)
        if old is not None:
            for name, function in self._functions.items():
                self._leave(self._indices[name], function(old), key)
        return old

    def _enter(self, name: str, key: ObjectKey, obj: Json) -> None:
        for value in self._functions[name](obj):
            self._indices[name].setdefault(value, {})[key] = None

    @staticmethod
    def _leave(index: dict[str, dict[ObjectKey, None]], values: Iterable[str], key: ObjectKey) -> None:
        for value in values:
            keys = index.get(value, {})
            keys.pop(key, None)
            if not keys:
                index.pop(value, None)
