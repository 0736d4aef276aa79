"""What a description is made from: the object, its events, what belongs to it. `commands.describe` fetches it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from machinery.api.codec import Json
from machinery.api.kinds import Kind


@dataclass(frozen=True, slots=True)
class Need:
    """Objects a description needs besides its own: a list, or with `name` one object (an empty list when not there)."""

    key: str
    kind: Kind
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything there is to say something from; `events` is None when they are not wanted."""

    object: Json
    now: datetime
    events: list[Json] | None = None
    related: dict[str, list[Json]] = field(default_factory=dict)


def no_needs(obj: Json) -> Sequence[Need]:
    """For descriptions that are made from the object alone."""
    return ()


@dataclass(frozen=True, slots=True)
class Describer:
    """How a kind is described: what to fetch, then lines."""

    lines: Callable[[Surroundings], Iterator[str]]
    needs: Callable[[Json], Sequence[Need]] = no_needs
    has_events: bool = True
