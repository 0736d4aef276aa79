"""CSIStorageCapacities (upstream: pkg/registry/storage/csistoragecapacity)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE
from apiserver.validation import fields, selectors
from machinery.api import errors, kinds, names, quantity
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class CSIStorageCapacityStrategy(KindStrategy):
    """How much of a class there is in a part of the cluster."""

    def check(self, obj: Json) -> list[FieldError]:
        """A class, a selector, amounts."""
        found = fields.satisfies(obj.get("storageClassName") or "", "storageClassName", names.is_dns_subdomain)
        found += selectors.label_selector(obj.get("nodeTopology"), "nodeTopology")
        for name in ("capacity", "maximumVolumeSize"):
            amount = obj.get(name)
            if amount is not None and quantity.parse(amount) < 0:
                found.append(errors.invalid_value(name, amount, fields.NEGATIVE))
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """Where and of what stays."""
        found = fields.immutable(obj.get("nodeTopology"), old.get("nodeTopology"), "nodeTopology")
        return found + fields.immutable(obj.get("storageClassName"), old.get("storageClassName"), "storageClassName")


CSI_STORAGE_CAPACITIES: Final = Resource(
    kind=kinds.CSI_STORAGE_CAPACITIES,
    key="csistoragecapacities",
    strategy=CSIStorageCapacityStrategy(),
    columns=(
        Column("StorageClassName", lambda obj: obj.get("storageClassName") or ""),
        Column("Capacity", lambda obj: obj.get("capacity") or "<unset>"),
        AGE,
    ),
)
