"""CSINodes (upstream: pkg/registry/storage/csinode, pkg/apis/storage/validation)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of
from apiserver.validation import fields
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class CSINodeStrategy(KindStrategy):
    """Which drivers a node has; an entry stays as it is or goes."""

    namespaced = False
    drops_status = True

    def check(self, obj: Json) -> list[FieldError]:
        """Drivers with names and node ids."""
        found: list[FieldError] = []
        drivers = fields.each(spec_of(obj).get("drivers"), "spec.drivers")
        found += fields.unique((driver.get("name"), f"{path}.name") for driver, path in drivers)
        for driver, path in drivers:
            found += [errors.required(f"{path}.{name}", "") for name in ("name", "nodeID") if not driver.get(name)]
            count = (driver.get("allocatable") or {}).get("count")
            found += fields.non_negative(count, f"{path}.allocatable.count")
            keys = fields.each(driver.get("topologyKeys"), f"{path}.topologyKeys")
            found += fields.unique(keys)
            for key, place in keys:
                found += fields.qualified_name(key, place)
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """No entry changes, but for how many volumes it takes."""
        before = {driver.get("name"): driver for driver in spec_of(old).get("drivers") or ()}
        found: list[FieldError] = []
        for driver, path in fields.each(spec_of(obj).get("drivers"), "spec.drivers"):
            known = before.get(driver.get("name"))
            if known is not None and {**driver, "allocatable": None} != {**known, "allocatable": None}:
                found.append(errors.invalid_value(path, driver, fields.IMMUTABLE))
        return found


CSI_NODES: Final = Resource(
    kind=kinds.CSI_NODES,
    key="csinodes",
    strategy=CSINodeStrategy(),
    columns=(Column("Drivers", lambda obj: len(spec_of(obj).get("drivers") or ()), type="integer"), AGE),
    subresources=("status",),
)
