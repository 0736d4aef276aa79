"""Events: leniently for the core group, strictly for events.k8s.io (upstream: pkg/apis/core/validation/events.go)."""

from collections.abc import Mapping
from typing import Any, Final

from apiserver.validation import fields
from machinery.api import errors, meta
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_TYPES: Final = ("Normal", "Warning")
_UNSET: Final = "needs to be unset"
_ELSEWHERE: Final = "does not match event.namespace"
_LONGEST: Final = 128
_LONGEST_NOTE: Final = 1024
#: what stays as it is, each with what stands for its absence
_FIXED: Final[Mapping[str, Any]] = {
    "involvedObject": {},
    "reason": "",
    "message": "",
    "source": {},
    "firstTimestamp": None,
    "lastTimestamp": None,
    "count": 0,
    "type": "",
    "eventTime": None,
    "action": "",
    "related": None,
    "reportingComponent": "",
    "reportingInstance": "",
}
#: upstream's name of the field in its messages
_SHOWN_AS: Final = {"reportingComponent": "reportingController"}


def check(event: Json) -> list[FieldError]:
    """What holds for all; those of the newer kind say when, by whom and what (upstream: legacyValidateEvent)."""
    involved = (event.get("involvedObject") or {}).get("namespace") or ""
    namespace = meta.namespace_of(event)
    if not event.get("eventTime"):
        matches = namespace == (involved or "default")
    else:  # those may lie beside the component that reports
        matches = bool(involved) or namespace in ("default", "kube-system")
    found = [] if matches else [errors.invalid_value("involvedObject.namespace", involved, _ELSEWHERE)]
    return found + _newer(event) if event.get("eventTime") else found


def _newer(event: Json) -> list[FieldError]:
    controller = event.get("reportingComponent") or ""
    found = [] if controller else [errors.required("reportingController")]
    found += fields.qualified_name(controller, "reportingController")
    for name in ("reportingInstance", "action", "reason"):
        if not event.get(name):
            found.append(errors.required(name))
        found += _fits(event.get(name), name, _LONGEST)
    return found + _fits(event.get("message"), "message", _LONGEST_NOTE)


def _fits(value: str | None, path: str, limit: int) -> list[FieldError]:
    if len((value or "").encode()) <= limit:
        return []
    return [errors.invalid_value(path, "", f"can have at most {limit} characters")]


def check_new(event: Json) -> list[FieldError]:
    """What events.k8s.io asks of a new event besides (upstream: ValidateEventCreate)."""
    found = _series(event)
    if not event.get("eventTime"):
        found.append(errors.required("eventTime"))
    kind = event.get("type") or ""
    if kind not in _TYPES:
        found.append(errors.invalid_value("type", "", f"has invalid value: {kind}"))
    old = [name for name in ("firstTimestamp", "lastTimestamp", "count") if event.get(name)]
    source = event.get("source") or {}
    old += ["source"] if source.get("component") or source.get("host") else []
    return found + [errors.invalid_value(name, "", _UNSET) for name in old]


def check_changed(event: Json, old: Json) -> list[FieldError]:
    """Through events.k8s.io only an event's series and metadata change (upstream: ValidateEventUpdate)."""
    found = _series(event) if event.get("series") != old.get("series") else []
    for name, absent in _FIXED.items():
        found += fields.immutable(event.get(name) or absent, old.get(name) or absent, _SHOWN_AS.get(name, name))
    return found


def _series(event: Json) -> list[FieldError]:
    series = event.get("series")
    if series is None:
        return []
    count = series.get("count") or 0
    found = [errors.invalid_value("series.count", "", "should be at least 2")] if count < 2 else []
    return found if series.get("lastObservedTime") else [*found, errors.required("series.lastObservedTime")]
