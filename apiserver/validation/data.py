"""Checks of the key-value kinds, ConfigMap and Secret (upstream: ValidateConfigMap, ValidateSecret)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from apiserver.validation import fields
from machinery.api import errors, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

LIMIT: Final = 1024 * 1024  # bytes of all values, decoded


def keys(data: Iterable[str], path: str) -> list[FieldError]:
    """Each key can be a file name."""
    return [error for key in data for error in fields.satisfies(key, f"{path}[{key}]", names.is_config_key)]


def decoded_size(data: Mapping[str, str]) -> int:
    """Bytes that base64 texts stand for."""
    return sum(len(value) * 3 // 4 - value.count("=", -2) for value in data.values())


def fits(size: int, path: str) -> list[FieldError]:
    """At most 1 MiB."""
    return [errors.too_long(path, LIMIT)] if size > LIMIT else []


def immutable(obj: Json, old: Json, members: Sequence[str]) -> list[FieldError]:
    """Once `immutable` is true neither it nor the data changes."""
    if not old.get("immutable"):
        return []
    found: list[FieldError] = []
    text = "field is immutable when `immutable` is set"
    if not obj.get("immutable"):
        found.append(errors.forbidden_field("immutable", text))
    changed = [member for member in members if (obj.get(member) or {}) != (old.get(member) or {})]
    return found + [errors.forbidden_field(member, text) for member in changed]
