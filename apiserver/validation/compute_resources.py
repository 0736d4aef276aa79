"""requests and limits of containers and pods (upstream: ValidateContainerResourceRequirements)."""

from typing import Final

from apiserver.validation import fields
from machinery.api import errors, names, quantity
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_STANDARD: Final = ("cpu", "memory", "ephemeral-storage")
_HUGEPAGES: Final = "hugepages-"


def check(resources: Json | None, path: str) -> list[FieldError]:
    """Names and amounts; a request is not above its limit."""
    resources = resources or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    found = _amounts(limits, f"{path}.limits") + _amounts(requests, f"{path}.requests")
    if found:
        return found
    for name, limit in limits.items():
        request = requests.get(name)
        if request is None:
            continue
        wanted, allowed = quantity.parse(request), quantity.parse(limit)
        if wanted != allowed and not _overcommits(name):
            text = f"must be equal to {name} limit of {limit}"
            found.append(errors.invalid_value(f"{path}.requests", request, text))
        elif wanted > allowed:
            text = f"must be less than or equal to {name} limit of {limit}"
            found.append(errors.invalid_value(f"{path}.requests", request, text))
    for name in requests:
        if not _overcommits(name) and name not in limits:
            text = "limit must be set for non overcommitable resources"
            found.append(errors.required(f"{path}.limits", text))
    return found


def _overcommits(name: str) -> bool:
    return "/" not in name and not name.startswith(_HUGEPAGES)


def _amounts(amounts: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for name, amount in amounts.items():
        at = f"{path}[{name}]"
        found += resource_name(name, at)
        value = quantity.parse(amount)
        if value < 0:
            found.append(errors.invalid_value(at, amount, fields.NEGATIVE))
        if "/" in name and value.denominator != 1:
            found.append(errors.invalid_value(at, amount, "must be an integer"))
    return found


def resource_name(name: str, path: str) -> list[FieldError]:
    """cpu, memory, ephemeral-storage, huge pages, or a name with a domain."""
    found = [errors.invalid_value(path, name, text) for text in names.is_qualified_name(name)]
    if not found and "/" not in name and name not in _STANDARD and not name.startswith(_HUGEPAGES):
        found.append(errors.invalid_value(path, name, "must be a standard resource for containers"))
    return found
