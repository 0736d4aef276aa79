"""LimitRanges (upstream: pkg/apis/core/v1/defaults.go, validation.ValidateLimitRange). Enforcing is admission's."""

from typing import Final

from apiserver.registry.resource import Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import CREATED_AT, spec_of
from apiserver.validation import fields
from machinery.api import errors, kinds, quantity
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_TYPES: Final = ("Container", "PersistentVolumeClaim", "Pod")
_BOUNDS: Final = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


class LimitRangeStrategy(KindStrategy):
    """Bounds and defaults for a namespace's containers, pods and claims."""

    def defaults(self, obj: Json) -> None:
        """A container's default limit is its most, its default request the default limit or the least."""
        for item in obj.setdefault("spec", {}).setdefault("limits", []):
            if item.get("type") != "Container":
                continue
            for target, sources in (("default", ("max",)), ("defaultRequest", ("default", "min"))):
                for source in sources:
                    for name, value in (item.get(source) or {}).items():
                        item.setdefault(target, {}).setdefault(name, value)

    def check(self, obj: Json) -> list[FieldError]:
        """Each type once, bounds in order."""
        items = fields.each(spec_of(obj).get("limits"), "spec.limits")
        found = fields.unique((item.get("type"), f"{path}.type") for item, path in items)
        for item, path in items:
            found += _item(item, path)
        return found


def _item(item: Json, path: str) -> list[FieldError]:
    kind = item.get("type") or ""
    found = [] if kind in _TYPES or "/" in kind else fields.qualified_name(kind, f"{path}.type")
    if kind == "Pod":
        for name in ("default", "defaultRequest"):
            if item.get(name):
                text = "may not be specified when `type` is 'Pod'"
                found.append(errors.forbidden_field(f"{path}.{name}", text))
    if kind == "PersistentVolumeClaim":
        bounded = any("storage" in (item.get(name) or {}) for name in ("min", "max"))
        if not bounded:
            found.append(
                errors.required(path, "either minimum or maximum storage value is required, but neither was provided")
            )
    named = {name for bound in _BOUNDS for name in item.get(bound) or ()}
    for name in sorted(named):
        found += _order(item, name, path)
    return found


def _order(item: Json, name: str, path: str) -> list[FieldError]:
    """min ≤ defaultRequest ≤ default ≤ max, and a ratio of at least one."""
    chain = [(bound, (item.get(bound) or {}).get(name)) for bound in ("min", "defaultRequest", "default", "max")]
    known = [(bound, value) for bound, value in chain if value is not None]
    words = {"defaultRequest": "default request", "default": "default", "min": "min", "max": "max"}
    found: list[FieldError] = []
    for number, (lower, low) in enumerate(known):
        for upper, high in known[number + 1 :]:
            if quantity.parse(low) > quantity.parse(high):
                text = f"{words[lower]} value {low} is greater than {words[upper]} value {high}"
                found.append(errors.invalid_value(f"{path}.{lower}[{name}]", low, text))
    ratio = (item.get("maxLimitRequestRatio") or {}).get(name)
    if ratio is not None and quantity.parse(ratio) < 1:
        found.append(
            errors.invalid_value(f"{path}.maxLimitRequestRatio[{name}]", ratio, f"ratio {ratio} is less than 1")
        )
    return found


LIMIT_RANGES: Final = Resource(
    kind=kinds.LIMIT_RANGES,
    key="limitranges",
    strategy=LimitRangeStrategy(),
    short_names=("limits",),
    columns=(CREATED_AT,),
)
