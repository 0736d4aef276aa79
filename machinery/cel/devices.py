"""Selectors of devices: an expression over one device of a ResourceSlice (KEP-4381).

Upstream: k8s.io/dynamic-resource-allocation/cel/compile.go. What the expression sees is `device`, with its driver, and
its attributes and capacity by domain; a domain that a device knows nothing of is an empty one.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final

from machinery.api.codec import Json
from machinery.cel import messages
from machinery.cel.environment import Environment, EvaluationError, Type

__all__ = ["EvaluationError", "Selector", "environment", "qualified", "selector"]

_DOMAINS: Final = re.compile(r"""\b(?:attributes|capacity)\s*\[\s*["']([^"']+)["']\s*\]""")


class Selector:
    """One expression, compiled; raises CompileError."""

    def __init__(self, expression: str) -> None:
        self._program = environment().compile(expression, Type.BOOL)
        self._domains: Mapping[str, Any] = {domain: {} for domain in _DOMAINS.findall(expression)}

    def matches(self, driver: str, device: Json) -> bool:
        """Whether a driver's device is selected; raises EvaluationError, ValueError for values that are none."""
        shown = {
            "driver": driver,
            "attributes": {**self._domains, **_by_domain(driver, device.get("attributes"), _attribute)},
            "capacity": {**self._domains, **_by_domain(driver, device.get("capacity"), _amount)},
        }
        return self._program.evaluate({"device": shown}) is True


@cache
def environment() -> Environment:
    """What selectors may use."""
    return Environment({"device": Type.DYN})


@lru_cache(maxsize=256)
def selector(expression: str) -> Selector:
    """The compiled expression, remembered; raises CompileError."""
    return Selector(expression)


def qualified(name: str, driver: str) -> str:
    """The full name of an attribute: those without a domain are the driver's."""
    return name if "/" in name else f"{driver}/{name}"


def _by_domain(driver: str, values: Mapping[str, Json] | None, as_value: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, value in (values or {}).items():
        domain, _, key = qualified(name, driver).partition("/")
        found.setdefault(domain, {})[key] = as_value(value)
    return found


def _attribute(value: Json) -> Any:
    if "version" in value:
        return messages.new("Semver", text=value["version"])
    found = next((value[kind] for kind in ("int", "bool", "string") if kind in value), None)
    if found is None:
        raise ValueError("unsupported attribute value")
    return found


def _amount(value: Json) -> Any:
    return messages.new("Quantity", text=str(value.get("value") or "0"))
