"""What admission reads from, without any objects; tests override what they need."""

from collections.abc import Awaitable, Callable, Sequence

from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.kinds import Kind


class NoObjects:
    """A Reader of an empty cluster."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """None."""
        return None

    def all(self, kind: Kind) -> list[Json]:
        """None."""
        return []

    def in_namespace(self, kind: Kind, namespace: str) -> list[Json]:
        """None."""
        return []

    def equivalents(self, kind: Kind) -> Sequence[Kind]:
        """None."""
        return ()

    def shown(self, kind: Kind, obj: Json) -> Json:
        """As it is."""
        return obj

    def taken(self, kind: Kind, obj: Json) -> Json:
        """As it is."""
        return obj

    def kind_named(self, api_version: str, kind: str) -> Kind | None:
        """None."""
        return None

    async def change_status(
        self, kind: Kind, namespace: str, name: str, change: Callable[[Json | None], Awaitable[Json]]
    ) -> None:
        """Raises NotFound."""
        raise errors.not_found(kind, name)
