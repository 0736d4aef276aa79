"""PriorityLevelConfigurations (upstream: pkg/registry/flowcontrol/prioritylevelconfiguration, validation)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, NONE, spec_of
from apiserver.resources.core.pods.defaults import fill
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_TYPES: Final = ("Exempt", "Limited")
_RESPONSES: Final = ("Queue", "Reject")
_MOST_QUEUES: Final = 10 * 1000 * 1000


class PriorityLevelStrategy(KindStrategy):
    """How much of the server a level gets, and whether its requests wait."""

    namespaced = False
    has_generation = True

    def defaults(self, obj: Json) -> None:
        """Thirty shares; sixty-four queues of fifty, eight of which a flow may use."""
        spec = obj.setdefault("spec", {})
        if spec.get("type") == "Exempt":
            fill(spec.setdefault("exempt", {}), {"nominalConcurrencyShares": 0, "lendablePercent": 0})
            return
        limited = spec.get("limited")
        if limited is None:
            return
        fill(limited, {"nominalConcurrencyShares": 30, "lendablePercent": 0})
        queuing = (limited.get("limitResponse") or {}).get("queuing")
        if queuing is not None:
            fill(queuing, {"queues": 64, "handSize": 8, "queueLengthLimit": 50})

    def check(self, obj: Json) -> list[FieldError]:
        """One of the two types, with what belongs to it."""
        spec = spec_of(obj)
        kind = spec.get("type")
        if kind not in _TYPES:
            return [errors.not_supported("spec.type", kind, _TYPES)]
        if kind == "Exempt":
            if spec.get("limited") is not None:
                return [errors.forbidden_field("spec.limited", "must be nil if the type is not Limited")]
            return []
        limited = spec.get("limited")
        if limited is None:
            return [errors.required("spec.limited", "must not be empty when type is Limited")]
        found: list[FieldError] = []
        if (limited.get("nominalConcurrencyShares") or 0) < 0:
            text = "must be a non-negative integer"
            value = limited["nominalConcurrencyShares"]
            found.append(errors.invalid_value("spec.limited.nominalConcurrencyShares", value, text))
        return found + _response(limited.get("limitResponse") or {}, "spec.limited.limitResponse")


def _response(response: Json, path: str) -> list[FieldError]:
    kind, queuing = response.get("type"), response.get("queuing")
    if kind not in _RESPONSES:
        return [errors.not_supported(f"{path}.type", kind, _RESPONSES)]
    if kind == "Reject":
        if queuing is None:
            return []
        return [errors.forbidden_field(f"{path}.queuing", "must be nil if limited.limitResponse.type is not Limited")]
    if queuing is None:
        return [errors.required(f"{path}.queuing", "must not be empty if limited.limitResponse.type is Limited")]
    found: list[FieldError] = []
    for name in ("queueLengthLimit", "queues", "handSize"):
        if queuing.get(name, 1) <= 0:
            found.append(errors.invalid_value(f"{path}.queuing.{name}", queuing[name], "must be positive"))
    if queuing.get("queues", 0) > _MOST_QUEUES:
        text = "must not be greater than 10000000"
        found.append(errors.invalid_value(f"{path}.queuing.queues", queuing["queues"], text))
    if queuing.get("handSize", 0) > queuing.get("queues", 0):
        text = f"should not be greater than queues ({queuing['queues']})"
        found.append(errors.invalid_value(f"{path}.queuing.handSize", queuing["handSize"], text))
    return found


def _queuing(name: str, level: Json) -> str:
    limited = spec_of(level).get("limited") or {}
    queuing = (limited.get("limitResponse") or {}).get("queuing") or {}
    return str(queuing.get(name, NONE))


def _shares(level: Json) -> str:
    part = spec_of(level).get("limited") or spec_of(level).get("exempt") or {}
    return str(part.get("nominalConcurrencyShares", NONE))


PRIORITY_LEVELS: Final = Resource(
    kind=kinds.PRIORITY_LEVELS,
    key="prioritylevelconfigurations",
    strategy=PriorityLevelStrategy(),
    columns=(
        Column("Type", lambda obj: spec_of(obj).get("type") or ""),
        Column("NominalConcurrencyShares", _shares),
        Column("Queues", lambda obj: _queuing("queues", obj)),
        Column("HandSize", lambda obj: _queuing("handSize", obj)),
        Column("QueueLengthLimit", lambda obj: _queuing("queueLengthLimit", obj)),
        AGE,
    ),
    subresources=("status",),
)
