"""A client whose server is a dict: get, create, update with resourceVersions, merge patch of top-level fields."""

from itertools import count
from typing import Any

from machinery.api import codec, errors, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.names import ObjectKey
from machinery.client.config import ClientConfig
from machinery.client.rest import Client, ConnectionProblem


class FakeClient(Client):
    """Several of these over one `objects` dict are several clients of one server."""

    def __init__(self, objects: dict[tuple[Kind, ObjectKey], Json], revisions: "count[int]") -> None:
        super().__init__(ClientConfig("http://fake"))
        self._objects = objects
        self._revisions = revisions
        self.cut_off = False

    async def get(self, kind: Kind, name: str, namespace: str = "", *, subresource: str = "") -> Json:
        """One object; raises NotFound."""
        self._check_connection()
        found = self._objects.get((kind, ObjectKey(namespace, name)))
        if found is None:
            raise errors.not_found(kind, name)
        return codec.copy_of(found)

    async def create(self, kind: Kind, obj: Json, *, subresource: str = "", name: str = "") -> Json:
        """Store a new object; raises AlreadyExists."""
        self._check_connection()
        if (kind, meta.key_of(obj)) in self._objects:
            raise errors.already_exists(kind, meta.name_of(obj))
        return self._store(kind, obj)

    async def update(self, kind: Kind, obj: Json, *, subresource: str = "") -> Json:
        """Replace an object; raises NotFound, Conflict."""
        old = await self.get(kind, meta.name_of(obj), meta.namespace_of(obj))
        if meta.resource_version_of(obj) not in ("", meta.resource_version_of(old)):
            raise errors.conflict(kind, meta.name_of(obj), errors.MODIFIED)
        return self._store(kind, obj)

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str,
        patch: Any,
        *,
        content_type: str = "",
        subresource: str = "",
    ) -> Json:
        """Replace top-level fields; raises NotFound."""
        return self._store(kind, await self.get(kind, name, namespace) | patch)

    def _store(self, kind: Kind, obj: Json) -> Json:
        stored = codec.copy_of(obj)
        stored["metadata"]["resourceVersion"] = str(next(self._revisions))
        self._objects[kind, meta.key_of(stored)] = stored
        return codec.copy_of(stored)

    def _check_connection(self) -> None:
        if self.cut_off:
            raise ConnectionProblem("cut off")
