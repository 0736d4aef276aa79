"""Events of events.k8s.io/v1: the core group's, under other names of fields (upstream: pkg/apis/events/v1)."""

from dataclasses import replace
from typing import Final

from apiserver.registry.resource import Conversion, Resource
from apiserver.registry.strategy import Context
from apiserver.resources.core.events import EVENTS, EventStrategy
from apiserver.validation import events
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError

#: this group's name of a field → the core group's
_RENAMED: Final = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_BACK: Final = {stored: served for served, stored in _RENAMED.items()}


def _to_core(obj: Json) -> Json:
    renamed = {_RENAMED.get(key, key): value for key, value in obj.items()}
    return renamed | {"apiVersion": kinds.EVENTS.api_version}


def _from_core(obj: Json) -> Json:
    renamed = {_BACK.get(key, key): value for key, value in obj.items()}
    return renamed | {"apiVersion": kinds.NEW_EVENTS.api_version}


class NewEventStrategy(EventStrategy):
    """Stricter than the core group's: nothing old may be set, and little changes."""

    def validate(self, obj: Json, context: Context) -> list[FieldError]:
        """As the core group's, then what this group asks for."""
        return super().validate(obj, context) + events.check_new(obj)

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """The series may."""
        return events.check_changed(obj, old)


_CONVERSION: Final = Conversion(kinds.NEW_EVENTS, kinds.EVENTS, _to_core, _from_core)
NEW_EVENTS: Final[Resource] = replace(EVENTS.served_as(_CONVERSION), strategy=NewEventStrategy())
