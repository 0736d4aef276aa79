"""CEL expressions in objects: compiled to be checked, never evaluated (upstream: pkg/apis/admissionregistration)."""

import re
from typing import Final

from cel_expr_python import cel

from apiserver.validation import fields
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.errors import FieldError
from machinery.cel import requests
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


def of_conditions(items: list[Json], path: str) -> list[FieldError]:
    """The matchConditions of a webhook."""
    return conditions(items, path, requests.checking())


def of_policy(spec: Json) -> tuple[list[FieldError], Environment]:
    """Conditions and variables of a policy, and the environment of its other expressions."""
    environment = requests.checking_policy(params=spec.get("paramKind") is not None)
    found = conditions(spec.get("matchConditions"), "spec.matchConditions", environment)
    problems, environment = variables(spec.get("variables"), "spec.variables", environment)
    return found + problems, environment


def of_validations(spec: Json, environment: Environment) -> list[FieldError]:
    """The expressions of validations and audit annotations that are there."""
    found: list[FieldError] = []
    for item, path in fields.each(spec.get("validations"), "spec.validations"):
        if (text := item.get("expression") or "").strip():
            found += expression(text, f"{path}.expression", environment, Type.BOOL)
        if text := item.get("messageExpression") or "":
            found += expression(text, f"{path}.messageExpression", environment, Type.STRING)
    for item, path in fields.each(spec.get("auditAnnotations"), "spec.auditAnnotations"):
        if (text := item.get("valueExpression") or "").strip():
            found += expression(text, f"{path}.valueExpression", environment, Type.STRING, Type.NULL)
    return found


def conditions(items: list[Json] | None, path: str, environment: Environment) -> list[FieldError]:
    """matchConditions: names once, expressions that are true or false."""
    listed = fields.each(items, path)
    found = fields.unique((item.get("name"), f"{place}.name") for item, place in listed)
    if len(listed) > _MOST_CONDITIONS:
        found.append(errors.too_many(path, len(listed), _MOST_CONDITIONS))
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
