"""ResourceClaims of resource.k8s.io/v1 (KEP-4381; upstream: pkg/registry/resource/resourceclaim, validation)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of, status_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.resources.resource.deviceclasses import device_selectors
from apiserver.validation import fields
from machinery.api import errors, kinds, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_MODES: Final = ("All", "ExactCount")
_MOST_REQUESTS: Final = 32


class ResourceClaimStrategy(KindStrategy):
    """Devices that are asked for; the wish stays."""

    drops_status = True

    def defaults(self, obj: Json) -> None:
        """One device."""
        claim_defaults(obj.setdefault("spec", {}))

    def prepare_for_create(self, obj: Json, context: object) -> None:
        """Nothing is allocated."""
        obj["status"] = {}

    def check(self, obj: Json) -> list[FieldError]:
        """The requests."""
        return claim_spec(spec_of(obj), "spec")

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """The wish stays."""
        return fields.immutable(spec_of(obj), spec_of(old), "spec")

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """What is allocated stays while it is reserved."""
        before, after = status_of(old).get("allocation"), status_of(obj).get("allocation")
        found: list[FieldError] = []
        if before is not None and after is not None and before != after:
            found.append(errors.invalid_value("status.allocation", after, fields.IMMUTABLE))
        reserved = fields.each(status_of(obj).get("reservedFor"), "status.reservedFor")
        if reserved and after is None:
            text = "may not be specified when `allocated` is not set"
            found.append(errors.forbidden_field("status.reservedFor", text))
        return found + fields.unique((item.get("uid"), path) for item, path in reserved)


def claim_defaults(spec: Json) -> None:
    """One device of each request."""
    for request in spec.setdefault("devices", {}).get("requests") or ():
        for exact in [request.get("exactly"), *(request.get("firstAvailable") or ())]:
            if exact is not None:
                fill(exact, {"allocationMode": "ExactCount"})
                if exact["allocationMode"] == "ExactCount":
                    fill(exact, {"count": 1})


def claim_spec(spec: Json, path: str) -> list[FieldError]:
    """Requests with names, each of a class."""
    requests = fields.each((spec.get("devices") or {}).get("requests"), f"{path}.devices.requests")
    found = fields.unique((item.get("name"), f"{place}.name") for item, place in requests)
    if len(requests) > _MOST_REQUESTS:
        text = f"must have at most {_MOST_REQUESTS} items"
        found.append(errors.invalid_value(f"{path}.devices.requests", len(requests), text))
    for item, place in requests:
        found += fields.dns_label(item.get("name") or "", f"{place}.name")
        exact, options = item.get("exactly"), item.get("firstAvailable") or []
        if exact is None and not options:
            found.append(errors.required(place, "exactly one of `exactly` or `firstAvailable` is required"))
        elif exact is not None and options:
            text = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"
            found.append(errors.invalid_value(place, None, text))
        elif exact is not None:
            found += _device(exact, f"{place}.exactly")
        for option, inner in fields.each(options, f"{place}.firstAvailable"):
            found += _device(option, inner)
    return found


def _device(request: Json, path: str) -> list[FieldError]:
    name = request.get("deviceClassName") or ""
    found = fields.satisfies(name, f"{path}.deviceClassName", names.is_dns_subdomain) if name else []
    if not name:
        found.append(errors.required(f"{path}.deviceClassName", ""))
    found += device_selectors(request.get("selectors"), f"{path}.selectors")
    mode = request.get("allocationMode")
    if mode not in _MODES:
        found.append(errors.not_supported(f"{path}.allocationMode", mode, _MODES))
    elif mode == "ExactCount" and (request.get("count") or 0) <= 0:
        found.append(errors.invalid_value(f"{path}.count", request.get("count"), "must be greater than zero"))
    elif mode == "All" and request.get("count"):
        text = "must not be specified when allocationMode is 'All'"
        found.append(errors.invalid_value(f"{path}.count", request["count"], text))
    return found


def _state(claim: Json) -> str:
    status = status_of(claim)
    states = ["deleted"] if claim["metadata"].get("deletionTimestamp") else []
    if status.get("allocation") is None:
        return ",".join([*states, "pending"]) if not states else "deleted"
    states.append("allocated")
    return ",".join([*states, "reserved"] if status.get("reservedFor") else states)


RESOURCE_CLAIMS: Final = Resource(
    kind=kinds.RESOURCE_CLAIMS,
    key="resourceclaims",
    strategy=ResourceClaimStrategy(),
    columns=(Column("State", _state), AGE),
    subresources=("status",),
)
