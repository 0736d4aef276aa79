"""DeviceTaintRules of resource.k8s.io/v1: taints of devices by whoever runs the cluster (KEP-5055).

Upstream: pkg/registry/resource/devicetaintrule, pkg/apis/resource/validation.
"""

from typing import Final

from apiserver.registry.resource import Resource
from apiserver.registry.strategy import Context
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of, status_of
from apiserver.validation import fields
from machinery.api import errors, kinds, names, times
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_EFFECTS: Final = ("NoExecute", "NoSchedule", "None")
_MOST_CONDITIONS: Final = 8
_LONGEST_POOL: Final = 253


class DeviceTaintRuleStrategy(KindStrategy):
    """One taint, and which devices get it."""

    namespaced = False
    has_generation = True

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """The time of the taint, if the client gave none."""
        super().prepare_for_create(obj, context)
        taint = spec_of(obj).get("taint")
        if taint:
            taint.setdefault("timeAdded", times.rfc3339(times.now()))

    def prepare_for_update(self, obj: Json, old: Json, context: Context) -> None:
        """Another effect begins now, unless the client says when."""
        taint, before = spec_of(obj).get("taint") or {}, spec_of(old).get("taint") or {}
        begins_anew = taint.get("effect") != before.get("effect")
        if taint and (not taint.get("timeAdded") or (begins_anew and taint["timeAdded"] == before.get("timeAdded"))):
            kept = None if begins_anew else before.get("timeAdded")
            taint["timeAdded"] = kept or times.rfc3339(times.now())
        super().prepare_for_update(obj, old, context)  # compares the specs

    def check(self, obj: Json) -> list[FieldError]:
        """A taint as labels are spelled; names of drivers, pools and devices."""
        selector, taint = spec_of(obj).get("deviceSelector") or {}, spec_of(obj).get("taint") or {}
        found: list[FieldError] = []
        if driver := selector.get("driver"):
            found += fields.satisfies(driver, "spec.deviceSelector.driver", names.is_dns_subdomain)
        if pool := selector.get("pool"):
            found += _pool(pool, "spec.deviceSelector.pool")
        if device := selector.get("device"):
            found += fields.dns_label(device, "spec.deviceSelector.device")
        found += fields.qualified_name(taint.get("key") or "", "spec.taint.key")
        if value := taint.get("value"):
            found += fields.satisfies(value, "spec.taint.value", names.is_label_value)
        return found + fields.one_of(taint.get("effect"), _EFFECTS, "spec.taint.effect", needed=True)

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """Not too many conditions."""
        count = len(status_of(obj).get("conditions") or ())
        if count <= _MOST_CONDITIONS:
            return []
        return [errors.invalid_value("status.conditions", count, f"must have at most {_MOST_CONDITIONS} items")]


def _pool(value: str, path: str) -> list[FieldError]:
    """DNS subdomains with slashes between."""
    found: list[FieldError] = []
    if len(value) > _LONGEST_POOL:
        found.append(errors.too_long(path, _LONGEST_POOL))
    for part in value.split("/"):
        found += fields.satisfies(part, path, names.is_dns_subdomain)
    return found


DEVICE_TAINT_RULES: Final = Resource(
    kind=kinds.DEVICE_TAINT_RULES,
    key="devicetaintrules",
    strategy=DeviceTaintRuleStrategy(),
    columns=(AGE,),
    subresources=("status",),
)
