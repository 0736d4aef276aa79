"""ServiceCIDRs: where Services' addresses come from (KEP-1880). The one called `kubernetes` is made at start."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of
from apiserver.validation import fields
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class ServiceCIDRStrategy(KindStrategy):
    """One range, or one of each family; it stays."""

    namespaced = False
    has_generation = True

    def check(self, obj: Json) -> list[FieldError]:
        """One or two ranges."""
        ranges = spec_of(obj).get("cidrs") or []
        if not ranges:
            return [errors.required("spec.cidrs", "at least one CIDR required")]
        if len(ranges) > 2:
            text = "may only hold up to 2 values"
            return [errors.invalid_value("spec.cidrs", ranges, text)]
        found = [problem for text, path in fields.each(ranges, "spec.cidrs") for problem in fields.cidr(text, path)]
        if len(ranges) == 2 and len({":" in text for text in ranges}) == 1:
            text = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
            found.append(errors.invalid_value("spec.cidrs", ranges, text))
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """A second family may come, nothing may go."""
        new, before = spec_of(obj).get("cidrs") or [], spec_of(old).get("cidrs") or []
        if new[: len(before)] != before:
            return [errors.invalid_value("spec.cidrs", new, fields.IMMUTABLE)]
        return []


SERVICE_CIDRS: Final = Resource(
    kind=kinds.SERVICE_CIDRS,
    key="servicecidrs",
    strategy=ServiceCIDRStrategy(),
    columns=(Column("CIDRs", lambda obj: ",".join(spec_of(obj).get("cidrs") or ())), AGE),
    subresources=("status",),
)
