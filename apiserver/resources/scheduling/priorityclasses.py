"""PriorityClasses (upstream: pkg/registry/scheduling/priorityclass, pkg/apis/scheduling/validation)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import fields
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_HIGHEST: Final = 1_000_000_000
_POLICIES: Final = ("Never", "PreemptLowerPriority")
SYSTEM: Final = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}


class PriorityClassStrategy(KindStrategy):
    """A number with a name, which stays."""

    namespaced = False

    def defaults(self, obj: Json) -> None:
        """Others may be preempted; the number is always written."""
        fill(obj, {"preemptionPolicy": "PreemptLowerPriority", "value": 0})

    def prepare_for_create(self, obj: Json, context: object) -> None:
        """A generation that never changes."""
        obj["metadata"]["generation"] = 1

    def check(self, obj: Json) -> list[FieldError]:
        """The highest values and the system's names are the system's."""
        name, value = meta.name_of(obj), obj.get("value") or 0
        found: list[FieldError] = []
        if name.startswith("system-"):
            if SYSTEM.get(name) != value or obj.get("globalDefault"):
                text = "priority class names with 'system-' prefix are reserved for system use only. error: "
                why = f"only {name} is known" if name in SYSTEM else f"{name} is not a known system priority class"
                found.append(errors.forbidden_field("metadata.name", text + why))
        elif value > _HIGHEST:
            text = f"maximum allowed value of a user defined priority is {_HIGHEST}"
            found.append(errors.forbidden_field("value", text))
        return found + fields.one_of(obj.get("preemptionPolicy"), _POLICIES, "preemptionPolicy")

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """Value and policy stay."""
        found: list[FieldError] = []
        if obj.get("value") != old.get("value"):
            found.append(errors.forbidden_field("value", "may not be changed in an update."))
        return found + fields.immutable(obj.get("preemptionPolicy"), old.get("preemptionPolicy"), "preemptionPolicy")


PRIORITY_CLASSES: Final = Resource(
    kind=kinds.PRIORITY_CLASSES,
    key="priorityclasses",
    strategy=PriorityClassStrategy(),
    short_names=("pc",),
    columns=(
        Column("Value", lambda obj: obj.get("value") or 0, type="integer"),
        Column("Global-Default", lambda obj: bool(obj.get("globalDefault")), type="boolean"),
        AGE,
        Column("PreemptionPolicy", lambda obj: obj.get("preemptionPolicy") or ""),
    ),
)
