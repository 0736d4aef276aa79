"""Command lines as upstream's components read them: one pydantic model per component, `--its-fields` as flags.

`secure_port: int = Field(6443, description="…")` is `--secure-port N` or `--secure-port=N`; a bool is switched on by
`--flag`, off by `--flag=false`; lists repeat or take commas; dicts read `a=b,c=d`. Upstream flags that Skiff accepts
without acting on them are named once in the log.
"""

import difflib
import logging
import sys
import types
import typing
from collections import deque
from collections.abc import Collection
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

logger = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)


class FlagError(Exception):
    """The command line cannot be understood; the text says why."""


def parse(model: type[M], argv: list[str], *, prog: str, no_effect: Collection[str] = ()) -> M:
    """The model filled from argv; a mistake is printed and exits with 2, --help prints the flags and exits with 0."""
    if any(argument in ("-h", "--help") for argument in argv):
        print(help_text(model, prog))
        raise SystemExit(0)
    try:
        return parse_or_raise(model, argv, no_effect=no_effect)
    except FlagError as problem:
        print(f"Error: {problem}\nSee '{prog} --help' for usage.", file=sys.stderr)
        raise SystemExit(2) from None


def parse_or_raise(model: type[M], argv: list[str], *, no_effect: Collection[str] = ()) -> M:
    """The model filled from argv; raises FlagError."""
    values: dict[str, Any] = {}
    ignored: list[str] = []
    arguments = deque(argv)
    while arguments:
        name, value = _split(arguments.popleft())
        field = name.replace("-", "_")
        if field in model.model_fields:
            _store(values, field, model, _value(name, value, arguments, is_bool=_is(model, field, bool)))
        elif name in no_effect:
            ignored.append(name)
            if value is None:
                _skip_value(arguments)
        else:
            raise FlagError(f"unknown flag: --{name}{_nearest(name, model, no_effect)}")
    if ignored:
        logger.warning("flags without effect here: %s", ", ".join(f"--{name}" for name in ignored))
    try:
        return model.model_validate(values)
    except ValidationError as problem:
        first = problem.errors()[0]
        flag = str(first["loc"][0]).replace("_", "-") if first["loc"] else "flags"
        raise FlagError(f'invalid argument "{first["input"]}" for "--{flag}" flag: {first["msg"]}') from None


def help_text(model: type[BaseModel], prog: str) -> str:
    """One line per flag with its default."""
    lines = [f"Usage: {prog} [flags]", "", "Flags:"]
    for field, info in model.model_fields.items():
        default = info.get_default(call_default_factory=True)
        shown = f" (default {default})" if default not in ("", None, False, [], {}) else ""
        lines.append(f"  --{field.replace('_', '-')}\n        {info.description or ''}{shown}")
    return "\n".join(lines)


def _split(argument: str) -> tuple[str, str | None]:
    if not argument.startswith("-") or argument in ("-", "--"):
        raise FlagError(f'unknown command "{argument}"')
    name, equals, value = argument.lstrip("-").partition("=")
    return name.replace("_", "-"), value if equals else None


def _value(name: str, value: str | None, arguments: deque[str], *, is_bool: bool) -> str:
    if value is not None:
        return value
    if is_bool:
        return "true"
    if not arguments:
        raise FlagError(f"flag needs an argument: --{name}")
    return arguments.popleft()


def _skip_value(arguments: deque[str]) -> None:
    # Whether an ignored flag is a bool is not known: what follows belongs to it unless it looks like a flag.
    if arguments and not arguments[0].startswith("-"):
        arguments.popleft()


def _store(values: dict[str, Any], field: str, model: type[BaseModel], text: str) -> None:
    if _is(model, field, list):
        values.setdefault(field, []).extend(part for part in text.split(",") if part)
    elif _is(model, field, dict):
        pairs = (part.partition("=") for part in text.split(",") if part)
        values.setdefault(field, {}).update({key: value for key, _, value in pairs})
    else:
        values[field] = text


def _is(model: type[BaseModel], field: str, wanted: type) -> bool:
    annotation = model.model_fields[field].annotation
    choices = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return any(choice is wanted or typing.get_origin(choice) is wanted for choice in choices)


def _nearest(name: str, model: type[BaseModel], no_effect: Collection[str]) -> str:
    known = [field.replace("_", "-") for field in model.model_fields] + list(no_effect)
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean --{close[0]}?" if close else ""
