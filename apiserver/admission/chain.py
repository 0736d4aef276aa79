"""The chain of admission plugins: first all may change the object, then all may refuse it. Plugins have own files.

Upstream: k8s.io/apiserver/pkg/admission/chain.go. The store calls `mutate` before a strategy prepares and validates,
`validate` after it, as upstream does.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Protocol

from apiserver.admission.attributes import Attributes
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

    def in_namespace(self, kind: Kind, namespace: str) -> list[Json]:
        """The objects of a namespace, from the watch cache."""
        ...


class Plugin:
    """One plugin; both phases do nothing by default. Raises StatusError to refuse."""

    name: ClassVar[str] = ""

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """Change `attributes.obj` in place, or refuse."""

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Refuse, or let pass."""


class Chain:
    """Plugins in their order."""

    def __init__(self, plugins: Sequence[Plugin], reader: Reader) -> None:
        self.plugins = tuple(plugins)
        self._reader = reader

    async def mutate(self, attributes: Attributes) -> None:
        """The mutating phase; raises the first refusal."""
        for plugin in self.plugins:
            await plugin.mutate(attributes, self._reader)

    async def validate(self, attributes: Attributes) -> None:
        """The validating phase; raises the first refusal."""
        for plugin in self.plugins:
            await plugin.validate(attributes, self._reader)

    async def admit(self, attributes: Attributes) -> None:
        """Both phases in a row, for operations without a strategy between them (delete, connect)."""
        await self.mutate(attributes)
        await self.validate(attributes)
