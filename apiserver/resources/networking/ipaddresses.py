"""IPAddresses, which the allocator of Services' addresses writes as well (KEP-1880; registry/allocators)."""

import ipaddress
from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of
from apiserver.validation import fields
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class IPAddressStrategy(KindStrategy):
    """An address is its name; what it is for stays."""

    namespaced = False
    has_generation = True

    def name_check(self, name: str) -> list[str]:
        """A canonical address."""
        try:
            canonical = str(ipaddress.ip_address(name))
        except ValueError:
            return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
        return [] if canonical == name else [f'must be in canonical form ("{canonical}")']

    def check(self, obj: Json) -> list[FieldError]:
        """It is for something."""
        parent = spec_of(obj).get("parentRef")
        if not parent:
            return [errors.required("spec.parentRef", "")]
        found: list[FieldError] = []
        for name in ("resource", "name"):
            if not parent.get(name):
                found.append(errors.required(f"spec.parentRef.{name}", ""))
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """What it is for stays."""
        return fields.immutable(spec_of(obj).get("parentRef"), spec_of(old).get("parentRef"), "spec.parentRef")


def _parent(address: Json) -> str:
    parent = spec_of(address).get("parentRef") or {}
    group = f".{parent['group']}" if parent.get("group") else ""
    return f"{parent.get('resource')}{group}/{parent.get('namespace') or ''}/{parent.get('name')}"


IP_ADDRESSES: Final = Resource(
    kind=kinds.IP_ADDRESSES,
    key="ipaddresses",
    strategy=IPAddressStrategy(),
    short_names=("ip",),
    columns=(Column("ParentRef", _parent), AGE),
)
