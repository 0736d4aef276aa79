"""DeviceClasses of resource.k8s.io/v1 (KEP-4381; upstream: pkg/apis/resource/validation)."""

from typing import Final

from apiserver.registry.resource import Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of
from apiserver.validation import fields
from machinery.api import errors, kinds, lazy
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_MOST_SELECTORS: Final = 32


class DeviceClassStrategy(KindStrategy):
    """Which devices are of the class."""

    namespaced = False
    has_generation = True

    def check(self, obj: Json) -> list[FieldError]:
        """Selectors with expressions."""
        return device_selectors(spec_of(obj).get("selectors"), "spec.selectors")


def device_selectors(items: list[Json] | None, path: str) -> list[FieldError]:
    """Not too many, each with a CEL expression."""
    found: list[FieldError] = []
    if len(items or ()) > _MOST_SELECTORS:
        found.append(errors.invalid_value(path, len(items or ()), f"must have at most {_MOST_SELECTORS} items"))
    for item, place in fields.each(items, path):
        text = (item.get("cel") or {}).get("expression")
        found += _expression(text, f"{place}.cel.expression") if text else [errors.required(f"{place}.cel", "")]
    return found


def _expression(text: str, path: str) -> list[FieldError]:
    try:
        lazy.load("machinery.cel.devices").selector(text)
    except ValueError as problem:
        return [errors.invalid_value(path, text, str(problem))]
    return []


DEVICE_CLASSES: Final = Resource(
    kind=kinds.DEVICE_CLASSES,
    key="deviceclasses",
    strategy=DeviceClassStrategy(),
    columns=(AGE,),
)
