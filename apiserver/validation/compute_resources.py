"""requests and limits of containers and pods (upstream: validateResourceRequirements)."""

from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import Final

from apiserver.validation import fields
from machinery.api import errors, names, quantity
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_STANDARD: Final = ("cpu", "memory", "ephemeral-storage")
#: resources that are counted somewhere, if not in containers (upstream: IsStandardResourceName)
_KNOWN: Final = (
    *("cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage"),
    *("limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods", "resourcequotas", "services"),
    *("replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims", "storage", "requests.storage"),
    *("services.nodeports", "services.loadbalancers"),
)
_HUGEPAGES: Final = "hugepages-"


def check(
    resources: Json | None, path: str, check_name: Callable[[str, str], list[FieldError]] | None = None
) -> list[FieldError]:
    """Names, a container's if not others, and amounts; a request is not above its limit."""
    resources = resources or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    check_name = check_name or resource_name
    found = _amounts(limits, f"{path}.limits", check_name) + _amounts(requests, f"{path}.requests", check_name)
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
            text = "Limit must be set for non overcommitable resources"
            found.append(errors.required(f"{path}.limits", text))
    asked = {*limits, *requests}
    if any(map(is_hugepages, asked)) and asked.isdisjoint(("cpu", "memory")):
        found.append(errors.forbidden_field(path, "HugePages require cpu or memory"))
    return found


def is_hugepages(name: str) -> bool:
    """Pages of one size (upstream: IsHugePageResourceName)."""
    return name.startswith(_HUGEPAGES)


def _overcommits(name: str) -> bool:
    return "/" not in name and not is_hugepages(name)


def _amounts(amounts: Json, path: str, check_name: Callable[[str, str], list[FieldError]]) -> list[FieldError]:
    found: list[FieldError] = []
    for name, amount in amounts.items():
        at = f"{path}[{name}]"
        found += check_name(name, at)
        value = quantity.parse(amount)
        if value < 0:
            found.append(errors.invalid_value(at, amount, fields.NEGATIVE))
        if "/" in name and value.denominator != 1:
            found.append(errors.invalid_value(at, amount, "must be an integer"))
        if is_hugepages(name) and not _is_whole_pages(name, value):
            text = f"{amount} is not positive integer multiple of {name}"
            found.append(errors.invalid_value(at, amount, text))
    return found


def _is_whole_pages(name: str, value: Fraction) -> bool:
    try:
        size = quantity.parse(name.removeprefix(_HUGEPAGES))
    except ValueError:
        return False
    return size > 0 and size.denominator == 1 and ceil(value) % size == 0


def known_name(name: str, path: str) -> list[FieldError]:
    """A resource that is counted anywhere, or a name with a domain (upstream: validateResourceName)."""
    found = [errors.invalid_value(path, name, text) for text in names.is_qualified_name(name)]
    if not found and "/" not in name and name not in _KNOWN and not is_hugepages(name):
        found.append(errors.invalid_value(path, name, "must be a standard resource type or fully qualified"))
    return found


def resource_name(name: str, path: str) -> list[FieldError]:
    """cpu, memory, ephemeral-storage, huge pages, or a name with a domain (upstream: validateContainerResourceName)."""
    found = known_name(name, path)
    if "/" not in name and name not in _STANDARD and not is_hugepages(name):
        found.append(errors.invalid_value(path, name, "must be a standard resource for containers"))
    return found
