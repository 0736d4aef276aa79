"""requests and limits of a whole pod against its containers' (upstream: validatePodResources, KEP-2837)."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from apiserver.validation import compute_resources, fields
from machinery.api import errors, pods, quantity
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_SUPPORTED: Final = ("cpu", "hugepages-", "memory")


def check(spec: Json, path: str) -> list[FieldError]:
    """Of the resources that a pod can share out, and enough for its containers."""
    at = f"{path}.resources"
    if (spec.get("os") or {}).get("name") == "windows":
        return [errors.forbidden_field(at, "may not be set for a windows pod")]
    resources = spec["resources"]
    found: list[FieldError] = []
    if resources.get("claims") is not None:
        found.append(errors.forbidden_field(f"{at}.claims", "claims may not be set for Resources at pod-level"))
    found += compute_resources.check(resources, at, resource_name)
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    found += _at_least(requests, spec, "requests", requests, at)
    found += _at_least(limits, spec, "limits", filter(compute_resources.is_hugepages, limits), at)
    return found + _each_limit(spec, limits, at)


def resource_name(name: str, path: str) -> list[FieldError]:
    """cpu, memory or huge pages (upstream: validatePodResourceName)."""
    found = compute_resources.known_name(name, path)
    if found or name in ("cpu", "memory") or compute_resources.is_hugepages(name):
        return found
    return [errors.not_supported(path, name, _SUPPORTED)]


def _at_least(amounts: Json, spec: Json, part: str, names: Iterable[str], path: str) -> list[FieldError]:
    """What the containers ask for together is within what the pod says."""
    total = pods.total_of_containers({"spec": spec}, part)
    found: list[FieldError] = []
    for name in names:
        value = Fraction(total.get(name, 0), 1000 if name == "cpu" else 1)
        if value > quantity.parse(amounts[name]):
            shown = quantity.in_family_of(_first(spec, part, name), value)
            text = f"must be greater than or equal to aggregate container {part} of {shown}"
            found.append(errors.invalid_value(f"{path}.{part}[{name}]", amounts[name], text))
    return found


def _first(spec: Json, part: str, name: str) -> str:
    """The amount whose notation a sum takes over: the first one's."""
    containers = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    found = (((container.get("resources") or {}).get(part) or {}).get(name) for container in containers)
    return next((amount for amount in found if amount is not None), "")


def _each_limit(spec: Json, limits: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for container, at in fields.each(spec.get("containers"), f"{path}.containers"):
        for name, limit in ((container.get("resources") or {}).get("limits") or {}).items():
            if name in limits and quantity.parse(limit) > quantity.parse(limits[name]):
                text = f"must be less than or equal to pod limits of {limits[name]}"
                found.append(errors.invalid_value(f"{at}[{name}].limits", limit, text))
    return found
