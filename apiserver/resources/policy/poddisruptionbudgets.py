"""PodDisruptionBudgets (upstream: pkg/registry/policy/poddisruptionbudget, pkg/apis/policy/validation)."""

from typing import Any, Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, count_of, spec_of, status_of
from apiserver.validation import fields, int_or_percent, selectors
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_POLICIES: Final = ("AlwaysAllow", "IfHealthyBudget")
_COUNTS: Final = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


class PodDisruptionBudgetStrategy(KindStrategy):
    """A budget by what must stay or by what may go."""

    has_generation = True

    def check(self, obj: Json) -> list[FieldError]:
        """One of the two bounds, a selector."""
        spec = spec_of(obj)
        least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
        if least is not None and most is not None:
            found = [errors.invalid_value("spec", spec, "minAvailable and maxUnavailable cannot be both set")]
        else:
            found = _bound(least, "spec.minAvailable") + _bound(most, "spec.maxUnavailable")
        found += selectors.label_selector(spec.get("selector"), "spec.selector")
        policy = spec.get("unhealthyPodEvictionPolicy")
        return found + fields.one_of(policy, _POLICIES, "spec.unhealthyPodEvictionPolicy")

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """Counts are not negative."""
        status = status_of(obj)
        return [found for name in _COUNTS for found in fields.non_negative(status.get(name), f"status.{name}")]

    def warnings(self, obj: Json, old: Json | None) -> list[str]:
        """An empty selector means every pod, which it did not in v1beta1."""
        selector = spec_of(obj).get("selector")
        if selector is not None and selectors.is_empty(selector):
            return ["An empty selector matches all pods in the namespace"] if old is None else []
        return []


def _bound(value: Any, path: str) -> list[FieldError]:
    return int_or_percent.check(value, path, most=100) if value is not None else []


def _shown(field: str) -> Any:
    return lambda pdb: spec_of(pdb)[field] if spec_of(pdb).get(field) is not None else "N/A"


POD_DISRUPTION_BUDGETS: Final = Resource(
    kind=kinds.POD_DISRUPTION_BUDGETS,
    key="poddisruptionbudgets",
    strategy=PodDisruptionBudgetStrategy(),
    short_names=("pdb",),
    columns=(
        Column("Min Available", _shown("minAvailable")),
        Column("Max Unavailable", _shown("maxUnavailable")),
        Column("Allowed Disruptions", count_of("disruptionsAllowed"), type="integer"),
        AGE,
    ),
    subresources=("status",),
)
