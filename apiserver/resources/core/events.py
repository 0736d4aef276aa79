"""Events of the core group, kept for an hour (upstream: pkg/registry/core/event, validation/events.go)."""

from collections.abc import Callable
from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import UNKNOWN, since
from apiserver.validation import events
from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.errors import FieldError

LIFETIME: Final = 3600  # seconds; upstream's --event-ttl
_REFERENCE: Final = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


class EventStrategy(KindStrategy):
    """An update may create: a recorder does not know whether its event has expired."""

    create_on_update = True
    garbage_collected = False

    def defaults(self, obj: Json) -> None:
        """The structs upstream always writes."""
        obj.setdefault("involvedObject", {})
        obj.setdefault("source", {})
        obj.setdefault("reportingComponent", (obj["source"] or {}).get("component") or "")
        obj.setdefault("reportingInstance", (obj["source"] or {}).get("host") or "")

    def check(self, obj: Json) -> list[FieldError]:
        """Where it lies, and what it says if it is of the newer kind."""
        return events.check(obj)


def _times(event: Json) -> tuple[str, str, int]:
    """First seen, last seen, count."""
    first = since(event.get("firstTimestamp") or event.get("eventTime"))
    last = since(event["lastTimestamp"]) if event.get("lastTimestamp") else first
    series = event.get("series")
    if series:
        return first, since(series.get("lastObservedTime")), series.get("count") or 0
    return first, last, event.get("count") or 1


def _object(event: Json) -> str:
    involved = event.get("involvedObject") or {}
    kind, name = (involved.get("kind") or "").lower(), involved.get("name") or ""
    return f"{kind}/{name}" if name else kind


def _source(event: Json) -> str:
    source = event.get("source") or {}
    component, host = source.get("component") or event.get("reportingComponent") or "", source.get("host") or ""
    return ", ".join(part for part in (component, host) if part)


def _involved(name: str) -> Callable[[Json], str]:
    return lambda event: str((event.get("involvedObject") or {}).get(name) or "")


EVENTS: Final = Resource(
    kind=kinds.EVENTS,
    key="events",
    strategy=EventStrategy(),
    short_names=("ev",),
    columns=(
        Column("Last Seen", lambda event: _times(event)[1] or UNKNOWN),
        Column("Type", lambda event: event.get("type") or ""),
        Column("Reason", lambda event: event.get("reason") or ""),
        Column("Object", _object),
        Column("Subobject", lambda event: (event.get("involvedObject") or {}).get("fieldPath") or "", priority=1),
        Column("Source", _source, priority=1),
        Column("Message", lambda event: (event.get("message") or "").strip()),
        Column("First Seen", lambda event: _times(event)[0], priority=1),
        Column("Count", lambda event: _times(event)[2], type="integer", priority=1),
        Column("Name", meta.name_of, format="name", priority=1),
    ),
    fields={
        **{f"involvedObject.{name}": _involved(name) for name in _REFERENCE},
        "reason": lambda event: event.get("reason") or "",
        "reportingComponent": lambda event: event.get("reportingComponent") or "",
        "source": lambda event: (event.get("source") or {}).get("component") or event.get("reportingComponent") or "",
        "type": lambda event: event.get("type") or "",
    },
    ttl_seconds=LIFETIME,
)
