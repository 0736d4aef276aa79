"""Configurations turned into what admission works with, once per change of any of them."""

import logging
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from machinery.api import meta
from machinery.api.codec import Json

logger = logging.getLogger(__name__)

Made = TypeVar("Made")


class Compiled(Generic[Made]):
    """Remembers what was made of each object until its resourceVersion changes."""

    def __init__(self, make: Callable[[Json], Sequence[Made]]) -> None:
        self._make = make
        self._objects: Sequence[Json] = ()
        self._by_version: dict[tuple[str, str], Sequence[Made]] = {}
        self._all: list[Made] = []

    def of(self, objects: Sequence[Json]) -> Sequence[Made]:
        """All that the objects come to, in the order of their names; the same list is not looked at twice."""
        if objects is not self._objects:
            known, self._by_version = self._by_version, {}
            for obj in sorted(objects, key=meta.name_of):
                key = meta.uid_of(obj), meta.resource_version_of(obj)
                self._by_version[key] = known[key] if key in known else self._made(obj)
            self._all = [made for several in self._by_version.values() for made in several]
            self._objects = objects
        return self._all

    def _made(self, obj: Json) -> Sequence[Made]:
        try:
            return self._make(obj)
        except ValueError as problem:  # written by an older server, say; validation lets no such thing in
            logger.error("%s %s cannot be used: %s", obj.get("kind"), meta.name_of(obj), problem)
            return ()
