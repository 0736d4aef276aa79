"""Leases (upstream: pkg/registry/coordination/lease, pkg/apis/coordination/validation)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of
from apiserver.validation import fields
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class LeaseStrategy(KindStrategy):
    """An update may create; without a resourceVersion it is refused: leases are about who was first."""

    create_on_update = True
    unconditional_update = False

    def defaults(self, obj: Json) -> None:
        """The spec upstream always writes."""
        obj.setdefault("spec", {})

    def check(self, obj: Json) -> list[FieldError]:
        """Durations are positive, transitions are not negative."""
        spec = spec_of(obj)
        found: list[FieldError] = []
        seconds = spec.get("leaseDurationSeconds")
        if seconds is not None and seconds <= 0:
            found.append(errors.invalid_value("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
        return found + fields.non_negative(spec.get("leaseTransitions"), "spec.leaseTransitions")


LEASES: Final = Resource(
    kind=kinds.LEASES,
    key="leases",
    strategy=LeaseStrategy(),
    columns=(Column("Holder", lambda lease: spec_of(lease).get("holderIdentity") or ""), AGE),
)
