"""The schemas of Kubernetes' kinds as CEL types, so that an expression can be checked before any object is there.

Upstream: k8s.io/apiserver/pkg/cel/openapi. CEL's types with fields are messages of protobuf: each definition becomes
one. What has no type of its own (IntOrString, raw objects) may be anything.
"""

import re
from collections.abc import Iterator
from typing import Final

from cel_expr_python import cel
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool

from machinery.api.kinds import Kind
from machinery.api.schema import definition_of, shape_named
from machinery.api.schema_walk import Shape, What
from machinery.cel import authorizer, messages, requests
from machinery.cel.environment import CompileError, Environment, Type

_PACKAGE: Final = "schema"
_VALUE, _STRUCT, _LIST = (f".google.protobuf.{name}" for name in ("Value", "Struct", "ListValue"))
_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_STRUCT_NAME: Final = re.compile(r" not found in struct '[^']*'")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCALARS: Final = {
    What.STRING: _FIELD.TYPE_STRING,
    What.QUANTITY: _FIELD.TYPE_STRING,
    What.TIME: _FIELD.TYPE_STRING,
    What.MICRO_TIME: _FIELD.TYPE_STRING,
    What.BYTES: _FIELD.TYPE_STRING,
    What.INTEGER: _FIELD.TYPE_INT64,
    What.NUMBER: _FIELD.TYPE_DOUBLE,
    What.BOOLEAN: _FIELD.TYPE_BOOL,
}


def environment(kind: Kind, params: Kind | None) -> Environment:
    """Where `object`, `oldObject` and `params` have their types; raises KeyError for a kind without a known schema."""
    pool = messages.new_pool()
    builder = _Builder(pool)
    variables = {**requests.variables(), **requests.policy_variables(params=params is not None)}
    type_ = builder.type_of(kind)
    variables |= {"object": type_, "oldObject": type_}
    variables["namespaceObject"] = builder.type_of(Kind("", "v1", "Namespace", "namespaces"))
    if params is not None and (found := builder.type_or_none(params)) is not None:
        variables["params"] = found
    builder.add()
    return Environment(variables, authorizer.functions(lambda _: (False, ""), lambda *_: ""), pool)


def problem_of(source: str, environment: Environment) -> str:
    """What the checker has to say about an expression, in cel-go's words; empty: nothing."""
    try:
        environment.compile(source.strip())
    except CompileError as problem:
        return _STRUCT_NAME.sub("", str(problem).removeprefix("compilation failed: "))
    return ""


class _Builder:
    """Definitions, and all that they refer to, as one file of messages."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool
        self._file = descriptor_pb2.FileDescriptorProto(name="schema.proto", package=_PACKAGE, syntax="proto3")
        self._file.dependency.append("google/protobuf/struct.proto")
        self._made: set[str] = set()

    def type_of(self, kind: Kind) -> cel.Type:
        """The type of a kind; raises KeyError."""
        return Type(self._message(shape_named(definition_of(kind))).removeprefix("."))

    def type_or_none(self, kind: Kind) -> cel.Type | None:
        """The same, None for a kind without a known schema."""
        try:
            return self.type_of(kind)
        except KeyError:
            return None

    def add(self) -> None:
        """Give them all to the pool."""
        self._pool.Add(self._file)

    def _message(self, shape: Shape) -> str:
        name = re.sub(r"\W", "_", shape.definition or shape.go)
        if name not in self._made:
            self._made.add(name)
            message = self._file.message_type.add(name=name)
            for number, (key, child) in enumerate(_usable(shape), 1):
                self._field(message, key, number, child)
        return f".{_PACKAGE}.{name}"

    def _field(self, message: descriptor_pb2.DescriptorProto, key: str, number: int, shape: Shape) -> None:
        field = message.field.add(name=key, number=number, label=_FIELD.LABEL_OPTIONAL)
        if shape.what is What.ARRAY and shape.items is not None and not _is_nested(shape.items):
            field.label = _FIELD.LABEL_REPEATED
            self._type(field, shape.items)
        elif shape.what is What.MAP and shape.items is not None and not _is_nested(shape.items):
            entry = message.nested_type.add(name=_entry_name(key))
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, label=_FIELD.LABEL_OPTIONAL, type=_FIELD.TYPE_STRING)
            self._type(entry.field.add(name="value", number=2, label=_FIELD.LABEL_OPTIONAL), shape.items)
            field.label = _FIELD.LABEL_REPEATED
            field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{message.name}.{entry.name}"
        else:
            self._type(field, shape)

    def _type(self, field: descriptor_pb2.FieldDescriptorProto, shape: Shape) -> None:
        scalar = _SCALARS.get(shape.what)
        if scalar is not None:
            field.type = scalar
            return
        field.type = _FIELD.TYPE_MESSAGE
        if shape.what is What.OBJECT and shape.definition:
            field.type_name = self._message(shape)
        else:
            field.type_name = {What.MAP: _STRUCT, What.ARRAY: _LIST, What.OBJECT: _STRUCT}.get(shape.what, _VALUE)


def _usable(shape: Shape) -> Iterator[tuple[str, Shape]]:
    """The properties whose names an expression can say."""
    return ((key, child) for key, child in shape.properties.items() if _IDENTIFIER.fullmatch(key))


def _is_nested(shape: Shape) -> bool:
    """Lists of lists and the like, which messages do not have."""
    return shape.what in (What.ARRAY, What.MAP)


def _entry_name(key: str) -> str:
    """What protobuf wants the entries of a map field to be called."""
    return "".join(part[:1].upper() + part[1:] for part in key.split("_")) + "Entry"
