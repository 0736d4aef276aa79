"""What admission plugins may look up, as the watch cache has it. The server implements it (server.Lookups)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from machinery.api.codec import Json
from machinery.api.kinds import Kind


class Reader(Protocol):
    """What plugins may look up: one object, from the watch cache; theirs to read, not to change."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The object, or None where there is none."""
        ...

    def all(self, kind: Kind) -> list[Json]:
        """All objects of a kind that has few; to read only."""
        ...

    async def change_status(
        self, kind: Kind, namespace: str, name: str, change: Callable[[Json | None], Awaitable[Json]]
    ) -> None:
        """Write the status of an object as a change makes it of what is there (None: nothing), atomically.

        Raises what the change raises of the newest object, and NotFound.
        """
        ...

    def equivalents(self, kind: Kind) -> Sequence[Kind]:
        """The other versions, and the names in other groups, under which the same objects are served."""
        ...

    def shown(self, kind: Kind, obj: Json) -> Json:
        """A stored object in this version of its kind; to read only."""
        ...

    def taken(self, kind: Kind, obj: Json) -> Json:
        """The stored form of an object in this version, with defaults; raises BadRequest. What is given is used up."""
        ...

    def kind_named(self, api_version: str, kind: str) -> Kind | None:
        """The served kind of this name, None where there is none."""
        ...

    def in_namespace(self, kind: Kind, namespace: str) -> list[Json]:
        """The objects of a namespace, from the watch cache."""
        ...
