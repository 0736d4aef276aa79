"""ResourceSlices of resource.k8s.io/v1: what devices drivers have (upstream: pkg/registry/resource/resourceslice)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, UNSET, spec_of
from apiserver.validation import fields
from machinery.api import errors, kinds, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_PLACES: Final = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_MOST_DEVICES: Final = 128


class ResourceSliceStrategy(KindStrategy):
    """Devices of one driver in one pool at one place."""

    namespaced = False
    has_generation = True

    def check(self, obj: Json) -> list[FieldError]:
        """A driver, a pool, a place, devices."""
        spec = spec_of(obj)
        driver = spec.get("driver") or ""
        found = fields.satisfies(driver, "spec.driver", names.is_dns_subdomain)
        pool = spec.get("pool") or {}
        if not pool.get("name"):
            found.append(errors.required("spec.pool.name", ""))
        if (pool.get("resourceSliceCount") or 0) <= 0:
            text = "must be greater than zero"
            found.append(
                errors.invalid_value("spec.pool.resourceSliceCount", pool.get("resourceSliceCount") or 0, text)
            )
        found += fields.non_negative(pool.get("generation"), "spec.pool.generation")
        present = [name for name in _PLACES if spec.get(name)]
        if len(present) != 1:
            listed = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
            found.append(errors.invalid_value("spec", None, listed) if present else errors.required("spec", listed))
        devices = fields.each(spec.get("devices"), "spec.devices")
        if len(devices) > _MOST_DEVICES:
            found.append(errors.invalid_value("spec.devices", len(devices), f"must have at most {_MOST_DEVICES} items"))
        found += fields.unique((item.get("name"), f"{path}.name") for item, path in devices)
        for item, path in devices:
            found += fields.dns_label(item.get("name") or "", f"{path}.name")
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """Driver, pool and node stay."""
        spec, before = spec_of(obj), spec_of(old)
        found = fields.immutable(spec.get("driver"), before.get("driver"), "spec.driver")
        found += fields.immutable(
            (spec.get("pool") or {}).get("name"), (before.get("pool") or {}).get("name"), "spec.pool.name"
        )
        return found + fields.immutable(spec.get("nodeName"), before.get("nodeName"), "spec.nodeName")


RESOURCE_SLICES: Final = Resource(
    kind=kinds.RESOURCE_SLICES,
    key="resourceslices",
    strategy=ResourceSliceStrategy(),
    columns=(
        Column("Node", lambda obj: spec_of(obj).get("nodeName") or UNSET),
        Column("Driver", lambda obj: spec_of(obj).get("driver") or ""),
        Column("Pool", lambda obj: (spec_of(obj).get("pool") or {}).get("name") or ""),
        AGE,
    ),
    fields={
        "spec.nodeName": lambda obj: spec_of(obj).get("nodeName") or "",
        "spec.driver": lambda obj: spec_of(obj).get("driver") or "",
    },
)
