"""Deployments (upstream: pkg/registry/apps/deployment, pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.apps.workload import WorkloadStrategy
from apiserver.resources.columns import AGE, TEMPLATE_COLUMNS, count_of, spec_of, status_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import fields, int_or_percent
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_SPEC: Final[Json] = {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}
_TYPES: Final = ("Recreate", "RollingUpdate")


class DeploymentStrategy(WorkloadStrategy):
    """A Deployment's rollout settings come on top of what workloads share."""

    def defaults(self, obj: Json) -> None:
        """One replica, rolled out a quarter at a time."""
        super().defaults(obj)
        spec = obj["spec"]
        fill(spec, _SPEC)
        strategy = spec.setdefault("strategy", {})
        strategy["type"] = strategy.get("type") or "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            fill(strategy.setdefault("rollingUpdate", {}), {"maxUnavailable": "25%", "maxSurge": "25%"})

    def check_spec(self, spec: Json) -> list[FieldError]:
        """Rollout settings."""
        found = _strategy(spec.get("strategy") or {}, "spec.strategy")
        found += fields.non_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
        found += fields.non_negative(spec.get("revisionHistoryLimit"), "spec.revisionHistoryLimit")
        deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds") or 0
        if deadline is not None:
            found += fields.non_negative(deadline, "spec.progressDeadlineSeconds")
            if deadline <= ready:
                text = "must be greater than minReadySeconds"
                found.append(errors.invalid_value("spec.progressDeadlineSeconds", deadline, text))
        return found

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """Counts are not negative and do not contradict each other."""
        status = status_of(obj)
        found: list[FieldError] = []
        names = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        for name in (*names, "unavailableReplicas", "collisionCount"):
            found += fields.non_negative(status.get(name), f"status.{name}")
        replicas = status.get("replicas") or 0
        for name in names[2:]:
            if (status.get(name) or 0) > replicas:
                text = "cannot be greater than status.replicas"
                found.append(errors.invalid_value(f"status.{name}", status[name], text))
        if (status.get("availableReplicas") or 0) > (status.get("readyReplicas") or 0):
            text = "cannot be greater than readyReplicas"
            found.append(errors.invalid_value("status.availableReplicas", status["availableReplicas"], text))
        return found


def _strategy(strategy: Json, path: str) -> list[FieldError]:
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate" and rolling is not None:
        text = "may not be specified when strategy `type` is 'Recreate'"
        return [errors.forbidden_field(f"{path}.rollingUpdate", text)]
    if strategy.get("type") == "RollingUpdate":
        if rolling is None:
            return [errors.required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")]
        return _rolling_update(rolling, f"{path}.rollingUpdate")
    return fields.one_of(strategy.get("type"), _TYPES, f"{path}.type", needed=True)


def _rolling_update(rolling: Json, path: str) -> list[FieldError]:
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    found = int_or_percent.check(unavailable, f"{path}.maxUnavailable", most=100)
    found += int_or_percent.check(surge, f"{path}.maxSurge")
    if int_or_percent.amount(unavailable) == 0 and int_or_percent.amount(surge) == 0:
        text = "may not be 0 when `maxSurge` is 0"
        found.append(errors.invalid_value(f"{path}.maxUnavailable", unavailable, text))
    return found


def _ready(deployment: Json) -> str:
    return f"{count_of('readyReplicas')(deployment)}/{spec_of(deployment).get('replicas') or 0}"


DEPLOYMENTS: Final = Resource(
    kind=kinds.DEPLOYMENTS,
    key="deployments",
    strategy=DeploymentStrategy(),
    short_names=("deploy",),
    categories=("all",),
    columns=(
        Column("Ready", _ready),
        Column("Up-to-date", count_of("updatedReplicas")),
        Column("Available", count_of("availableReplicas")),
        AGE,
        *TEMPLATE_COLUMNS,
    ),
    subresources=("status", "scale"),
)
