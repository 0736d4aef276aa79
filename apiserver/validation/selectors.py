"""LabelSelectors (upstream: apimachinery/pkg/apis/meta/v1/validation)."""

from typing import Final

from apiserver.validation import fields, metadata
from machinery.api import errors, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_WITH_VALUES: Final = ("In", "NotIn")
_WITHOUT_VALUES: Final = ("Exists", "DoesNotExist")


def label_selector(selector: Json | None, path: str) -> list[FieldError]:
    """matchLabels and matchExpressions make sense."""
    if selector is None:
        return []
    found = metadata.labels(selector.get("matchLabels"), f"{path}.matchLabels")
    for expression, at in fields.each(selector.get("matchExpressions"), f"{path}.matchExpressions"):
        found += requirement(expression, at)
    return found


def requirement(expression: Json, path: str) -> list[FieldError]:
    """One expression: operator, values as the operator wants them, key."""
    found: list[FieldError] = []
    operator, values = expression.get("operator") or "", expression.get("values") or ()
    if operator in _WITH_VALUES:
        if not values:
            text = "must be specified when `operator` is 'In' or 'NotIn'"
            found.append(errors.required(f"{path}.values", text))
    elif operator in _WITHOUT_VALUES:
        if values:
            text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(errors.forbidden_field(f"{path}.values", text))
    else:
        found.append(errors.invalid_value(f"{path}.operator", operator, "not a valid selector operator"))
    found += fields.qualified_name(expression.get("key") or "", f"{path}.key")
    for value, at in fields.each(values, f"{path}.values"):
        found += fields.satisfies(value, at, names.is_label_value)
    return found


def is_empty(selector: Json | None) -> bool:
    """Selects everything, which workloads may not."""
    return not selector or not (selector.get("matchLabels") or selector.get("matchExpressions"))
