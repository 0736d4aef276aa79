"""CEL expressions in objects: compiled to be checked, never evaluated (upstream: pkg/apis/admissionregistration)."""

import re
from typing import Final

from cel_expr_python import cel

from apiserver.validation import fields
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.errors import FieldError
from machinery.cel.environment import CompileError, Environment, Type

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_CONDITIONS: Final = 64


def expression(text: str, path: str, environment: Environment, *types: cel.Type) -> list[FieldError]:
    """Whether a text compiles to one of the types, any where none is named."""
    if not text.strip():
        return [errors.required(path, "")]
    try:
        environment.compile(text.strip(), *types)
    except CompileError as problem:
        return [errors.invalid_value(path, text, str(problem))]
    return []


def conditions(items: list[Json] | None, path: str, environment: Environment) -> list[FieldError]:
    """matchConditions: names once, expressions that are true or false."""
    listed = fields.each(items, path)
    found = fields.unique((item.get("name"), f"{place}.name") for item, place in listed)
    if len(listed) > _MOST_CONDITIONS:
        found.append(errors.FieldError("FieldValueTooMany", path, f"must have at most {_MOST_CONDITIONS} items"))
    for item, place in listed:
        if not item.get("name"):
            found.append(errors.required(f"{place}.name", ""))
        found += expression(item.get("expression") or "", f"{place}.expression", environment, Type.BOOL)
    return found


def variables(items: list[Json] | None, path: str, environment: Environment) -> tuple[list[FieldError], Environment]:
    """Variables, each of which may use those before it; and the environment that has them all."""
    listed = fields.each(items, path)
    found = fields.unique((item.get("name"), f"{place}.name") for item, place in listed)
    for item, place in listed:
        name, text = item.get("name") or "", item.get("expression") or ""
        if not name:
            found.append(errors.required(f"{place}.name", "name is required"))
        elif not _IDENTIFIER.fullmatch(name):
            found.append(errors.invalid_value(f"{place}.name", name, "name is not a valid CEL identifier"))
        problems = expression(text, f"{place}.expression", environment)
        found += problems
        if _IDENTIFIER.fullmatch(name):
            type_ = Type.DYN if problems else environment.compile(text.strip()).type
            environment = environment.extended({f"variables.{name}": type_})
    return found, environment
