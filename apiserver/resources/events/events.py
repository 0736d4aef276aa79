"""Events of events.k8s.io/v1: the core group's, under other names of fields (upstream: pkg/apis/events/v1)."""

from typing import Final

from apiserver.registry.resource import Conversion, Resource
from apiserver.resources.core.events import EVENTS
from machinery.api import kinds
from machinery.api.codec import Json

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


NEW_EVENTS: Final[Resource] = EVENTS.served_as(Conversion(kinds.NEW_EVENTS, kinds.EVENTS, _to_core, _from_core))
