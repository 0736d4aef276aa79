"""ReplicaSets (upstream: pkg/registry/apps/replicaset)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.apps.workload import WorkloadStrategy
from apiserver.resources.columns import AGE, TEMPLATE_COLUMNS, count_of, spec_of, status_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import fields
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_COUNTS: Final = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")


class ReplicaSetStrategy(WorkloadStrategy):
    """One replica by default."""

    called = "replica set"

    def defaults(self, obj: Json) -> None:
        """What is left out of a ReplicaSet."""
        super().defaults(obj)
        fill(obj["spec"], {"replicas": 1})

    def empty_status(self) -> Json:
        """The count is always written."""
        return {"replicas": 0}

    def check_spec(self, spec: Json) -> list[FieldError]:
        """minReadySeconds."""
        return fields.non_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """Counts are not negative and do not contradict each other."""
        status = status_of(obj)
        found: list[FieldError] = []
        for name in ("replicas", *_COUNTS, "observedGeneration"):
            found += fields.non_negative(status.get(name), f"status.{name}")
        for name in _COUNTS:
            if (status.get(name) or 0) > (status.get("replicas") or 0):
                text = "cannot be greater than status.replicas"
                found.append(errors.invalid_value(f"status.{name}", status[name], text))
        return found


REPLICA_SETS: Final = Resource(
    kind=kinds.REPLICA_SETS,
    key="replicasets",
    strategy=ReplicaSetStrategy(),
    short_names=("rs",),
    categories=("all",),
    columns=(
        Column("Desired", lambda rs: spec_of(rs).get("replicas") or 0, type="integer"),
        Column("Current", count_of("replicas"), type="integer"),
        Column("Ready", count_of("readyReplicas"), type="integer"),
        AGE,
        *TEMPLATE_COLUMNS,
    ),
    fields={"status.replicas": lambda rs: str(count_of("replicas")(rs))},
    subresources=("status", "scale"),
)
