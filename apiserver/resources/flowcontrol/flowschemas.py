"""FlowSchemas (upstream: pkg/registry/flowcontrol/flowschema, pkg/apis/flowcontrol/validation)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of, status_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import fields
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_SUBJECTS: Final = {"User": "user", "Group": "group", "ServiceAccount": "serviceAccount"}
_DISTINGUISHERS: Final = ("ByNamespace", "ByUser")
_MOST: Final = 10000


class FlowSchemaStrategy(KindStrategy):
    """Which requests are of which level and flow."""

    namespaced = False
    has_generation = True

    def defaults(self, obj: Json) -> None:
        """In the middle."""
        fill(obj.setdefault("spec", {}), {"matchingPrecedence": 1000})

    def check(self, obj: Json) -> list[FieldError]:
        """Precedence, level, distinguisher, rules."""
        spec = spec_of(obj)
        found: list[FieldError] = []
        precedence = spec.get("matchingPrecedence") or 0
        if precedence <= 0:
            found.append(errors.invalid_value("spec.matchingPrecedence", precedence, "must be a positive value"))
        elif precedence > _MOST:
            text = f"must not be greater than {_MOST}"
            found.append(errors.invalid_value("spec.matchingPrecedence", precedence, text))
        method = spec.get("distinguisherMethod")
        if method is not None:
            place = "spec.distinguisherMethod.type"
            if method.get("type") not in _DISTINGUISHERS:
                found.append(errors.not_supported(place, method.get("type"), _DISTINGUISHERS))
        if not (spec.get("priorityLevelConfiguration") or {}).get("name"):
            found.append(errors.required("spec.priorityLevelConfiguration.name", "must reference a priority level"))
        for rule, path in fields.each(spec.get("rules"), "spec.rules"):
            found += _rule(rule, path)
        return found


def _rule(rule: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if not rule.get("subjects"):
        found.append(errors.required(f"{path}.subjects", "subjects must contain at least one value"))
    for subject, place in fields.each(rule.get("subjects"), f"{path}.subjects"):
        kind = subject.get("kind") or ""
        if kind not in _SUBJECTS:
            found.append(errors.not_supported(f"{place}.kind", kind, sorted(_SUBJECTS)))
        elif not (subject.get(_SUBJECTS[kind]) or {}).get("name"):
            text = f"{_SUBJECTS[kind]} is required when subject kind is '{kind}'"
            found.append(errors.required(f"{place}.{_SUBJECTS[kind]}", text))
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        text = "at least one of resourceRules and nonResourceRules has to be non-empty"
        found.append(errors.required(path, text))
    return found


def _dangling(schema: Json) -> str:
    for condition in status_of(schema).get("conditions") or ():
        if condition.get("type") == "Dangling":
            return str(condition.get("status") or "?")
    return "?"


def _distinguisher(schema: Json) -> str:
    return str((spec_of(schema).get("distinguisherMethod") or {}).get("type") or "<none>")


FLOW_SCHEMAS: Final = Resource(
    kind=kinds.FLOW_SCHEMAS,
    key="flowschemas",
    strategy=FlowSchemaStrategy(),
    columns=(
        Column("PriorityLevel", lambda obj: (spec_of(obj).get("priorityLevelConfiguration") or {}).get("name") or ""),
        Column("MatchingPrecedence", lambda obj: spec_of(obj).get("matchingPrecedence") or 0, type="integer"),
        Column("DistinguisherMethod", _distinguisher),
        AGE,
        Column("MissingPL", _dangling),
    ),
    subresources=("status",),
)
