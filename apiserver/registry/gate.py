"""What a request brings along for every object the store is about to write: admission and a place for warnings."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from machinery.api.codec import Json

#: (new object or None, old object or None): may change the new object, raises StatusError to refuse
Admit = Callable[[Json | None, Json | None], Awaitable[None]]


async def _anything(obj: Json | None, old: Json | None) -> None:
    """Admits everything."""


def _unheard(text: str) -> None:
    """Drops a warning."""


def _granted() -> None:
    """Nobody asks."""


@dataclass(frozen=True, slots=True)
class Gate:
    """`mutate` comes before validation, `validate` after it, with what will be written; `warn` takes Warning texts."""

    mutate: Admit = _anything
    validate: Admit = _anything
    warn: Callable[[str], None] = _unheard
    #: raises Forbidden: an update creates what is not there only for who may create it
    create: Callable[[], None] = _granted


OPEN: Final = Gate()
