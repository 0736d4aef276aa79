"""DaemonSets (upstream: pkg/registry/apps/daemonset, pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.apps.workload import WorkloadStrategy
from apiserver.resources.columns import AGE, TEMPLATE_COLUMNS, count_of, labels_text, spec_of, status_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import fields, int_or_percent
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_COUNTS: Final = (
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
)


class DaemonSetStrategy(WorkloadStrategy):
    """One pod a node, replaced one node at a time."""

    runs_in = "DaemonSet"
    called = "daemonset"

    def defaults(self, obj: Json) -> None:
        """A rolling update of one pod."""
        super().defaults(obj)
        spec = obj["spec"]
        fill(spec, {"revisionHistoryLimit": 10})
        strategy = spec.setdefault("updateStrategy", {})
        strategy["type"] = strategy.get("type") or "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            fill(strategy.setdefault("rollingUpdate", {}), {"maxUnavailable": 1, "maxSurge": 0})

    def empty_status(self) -> Json:
        """The counts that are always written."""
        return {name: 0 for name in _COUNTS[:4]}

    def check_spec(self, spec: Json) -> list[FieldError]:
        """How pods are replaced."""
        found = fields.non_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
        found += fields.non_negative(spec.get("revisionHistoryLimit"), "spec.revisionHistoryLimit")
        return found + _strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """Counts are not negative."""
        status = status_of(obj)
        return [found for name in _COUNTS for found in fields.non_negative(status.get(name), f"status.{name}")]


def _strategy(strategy: Json, path: str) -> list[FieldError]:
    if strategy.get("type") == "OnDelete":
        return []
    if strategy.get("type") != "RollingUpdate":
        return [errors.not_supported(f"{path}.type", strategy.get("type"), ("OnDelete", "RollingUpdate"))]
    rolling = strategy.get("rollingUpdate")
    if rolling is None:
        return [errors.required(f"{path}.rollingUpdate", "")]
    path = f"{path}.rollingUpdate"
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    found = int_or_percent.check(unavailable, f"{path}.maxUnavailable", most=100)
    found += int_or_percent.check(surge, f"{path}.maxSurge", most=100)
    has_unavailable, has_surge = int_or_percent.amount(unavailable) != 0, int_or_percent.amount(surge) != 0
    if has_unavailable and has_surge:
        found.append(errors.invalid_value(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
    elif not has_unavailable and not has_surge:
        found.append(errors.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return found


DAEMON_SETS: Final = Resource(
    kind=kinds.DAEMON_SETS,
    key="daemonsets",
    strategy=DaemonSetStrategy(),
    short_names=("ds",),
    categories=("all",),
    columns=(
        Column("Desired", count_of("desiredNumberScheduled"), type="integer"),
        Column("Current", count_of("currentNumberScheduled"), type="integer"),
        Column("Ready", count_of("numberReady"), type="integer"),
        Column("Up-to-date", count_of("updatedNumberScheduled"), type="integer"),
        Column("Available", count_of("numberAvailable"), type="integer"),
        Column(
            "Node Selector",
            lambda ds: labels_text(((spec_of(ds).get("template") or {}).get("spec") or {}).get("nodeSelector")),
        ),
        AGE,
        *TEMPLATE_COLUMNS,
    ),
    subresources=("status",),
)
