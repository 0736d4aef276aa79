"""Expressions compiled, checked and evaluated by Google's CEL library, with upstream's functions and error texts.

An evaluation costs a few microseconds and ends after 10,000 rounds of its macros, however it was written.
Upstream: k8s.io/apiserver/pkg/cel. Not there: a budget in cost units (the library counts rounds), `transformMap` and
`transformMapEntry`, which the library knows at the compilation and no longer at the evaluation.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings
from google.protobuf.descriptor_pool import DescriptorPool

from machinery.cel import messages
from machinery.cel.formats import FORMATS
from machinery.cel.functions import FUNCTIONS

Type = cel.Type

_CODE: Final = re.compile(r"^[A-Z_]+: ")
_END: Final = re.compile(r" \[[A-Z_]+\]$")
_NO_KEY: Final = re.compile(r'Key not found in map : "?(.*?)"?$')
_INDEX: Final = re.compile(r"Index error: index=(-?\d+) size=\d+")
#: what the library has built in, but for those who name it
_LIBRARIES: Final = "{name: kubernetes, extensions: [{name: two-var-comprehensions}, {name: lists}]}"
_MAP_INSERT: Final = b"cel.@mapInsert"
#: what the library says: what cel-go says
_TEXTS: Final = (
    ("Iteration budget exceeded", "operation cancelled: actual cost limit exceeded"),
    ("divide by zero", "division by zero"),
    ("No matching overloads found", "no such overload"),
    ("Applying SELECT to non-message type", "no such overload"),
)


class CompileError(ValueError):
    """An expression that is none, or whose types do not fit; the text has the place, as cel-go shows it."""


class EvaluationError(Exception):
    """An expression that came to no value."""


@dataclass(frozen=True, slots=True)
class Program:
    """One compiled expression."""

    source: str
    type: cel.Type
    _compiled: cel.Expression

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """Its value, as plain Python; raises EvaluationError."""
        try:
            result = self._compiled.eval(data=values)
        except (RuntimeError, TypeError, ValueError) as problem:
            raise EvaluationError(_as_upstream(str(problem))) from problem
        if result.type() == Type.ERROR:
            raise EvaluationError(_as_upstream(str(result.value())))
        return result.plain_value()


class Environment:
    """What expressions may use: variables by name and type, and functions beside upstream's."""

    def __init__(
        self,
        variables: Mapping[str, cel.Type],
        functions: Sequence[cel.FunctionDecl] = (),
        pool: DescriptorPool | None = None,
    ) -> None:
        self._variables = dict(variables)
        self._functions = tuple(functions)
        self._pool = pool or messages.pool()
        own = cel.CelExtension("kubernetes", [*FUNCTIONS, *FORMATS, *functions])
        extensions = [*_extensions(), own]  # in this order: it adds to functions of the others
        libraries = cel.NewEnvConfigFromYaml(_LIBRARIES)
        self._env = cel.NewEnv(self._pool, config=libraries, variables=self._variables, extensions=extensions)

    def extended(self, variables: Mapping[str, cel.Type]) -> "Environment":
        """The same with more variables."""
        return Environment({**self._variables, **variables}, self._functions, self._pool)

    def compile(self, source: str, *types: cel.Type) -> Program:
        """Compile an expression that has to be of one of the types, where any is named; raises CompileError."""
        try:
            compiled = self._env.compile(source)
        except RuntimeError as problem:
            text = _END.sub("", _CODE.sub("", str(problem), count=1))
            raise CompileError(f"compilation failed: {text}") from problem
        if _MAP_INSERT in compiled.serialize():
            raise CompileError("compilation failed: transformMap and transformMapEntry are not supported")
        found = compiled.return_type()
        if types and found != Type.DYN and found not in types:
            wanted = " or ".join(_name(type_) for type_ in types)
            raise CompileError(f"must evaluate to {wanted}")
        return Program(source, found, compiled)


def _extensions() -> list[cel.CelExtensionBase]:
    plain: list[cel.CelExtensionBase] = [ext_bindings.ExtBindings(), ext_encoders.ExtEncoders(), ext_math.ExtMath()]
    return [*plain, ext_optional.ExtOptional(), ext_strings.ExtStrings()]


def _name(type_: cel.Type) -> str:
    return "null_type" if type_ == Type.NULL else str(type_.name()).lower()


def _as_upstream(text: str) -> str:
    text = _END.sub("", _CODE.sub("", text, count=1))
    if found := _NO_KEY.search(text):
        return f"no such key: {found[1]}"
    if found := _INDEX.search(text):
        return f"index out of bounds: {found[1]}"
    return next((said for part, said in _TEXTS if part in text), text)
