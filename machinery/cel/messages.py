"""The types that CEL itself does not have (quantities, addresses, the authorizer …), as messages of protobuf.

The library hands opaque values through only as messages, so each type is one: what it means lies in its text fields.
"""

from functools import cache
from typing import Any, Final

from cel_expr_python import cel
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.message import Message

PACKAGE: Final = "kubernetes"
_WELL_KNOWN: Final = (any_pb2, struct_pb2, wrappers_pb2, timestamp_pb2, duration_pb2)
_QUESTION: Final = ("user", "path", "group", "resource", "subresource", "namespace", "name", "fields", "labels")
#: type → its fields, all of them strings
_TYPES: Final = {
    "Quantity": ("text",),
    "URL": ("text",),
    "IP": ("text",),
    "CIDR": ("text",),
    "Semver": ("text",),
    "NamedFormat": ("text",),
    "Perhaps": ("format", "problems"),
    "Authorizer": _QUESTION,
    "PathCheck": _QUESTION,
    "GroupCheck": _QUESTION,
    "ResourceCheck": _QUESTION,
    "Decision": ("allowed", "reason"),
}

QUANTITY: Final = cel.Type(f"{PACKAGE}.Quantity")
URL: Final = cel.Type(f"{PACKAGE}.URL")
IP: Final = cel.Type(f"{PACKAGE}.IP")
CIDR: Final = cel.Type(f"{PACKAGE}.CIDR")
SEMVER: Final = cel.Type(f"{PACKAGE}.Semver")
NAMED_FORMAT: Final = cel.Type(f"{PACKAGE}.NamedFormat")
PERHAPS: Final = cel.Type(f"{PACKAGE}.Perhaps")
AUTHORIZER: Final = cel.Type(f"{PACKAGE}.Authorizer")
PATH_CHECK: Final = cel.Type(f"{PACKAGE}.PathCheck")
GROUP_CHECK: Final = cel.Type(f"{PACKAGE}.GroupCheck")
RESOURCE_CHECK: Final = cel.Type(f"{PACKAGE}.ResourceCheck")
DECISION: Final = cel.Type(f"{PACKAGE}.Decision")


def new_pool() -> descriptor_pool.DescriptorPool:
    """A pool with these types and protobuf's own; more may be added to it."""
    pool = descriptor_pool.DescriptorPool()
    for module in _WELL_KNOWN:
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(name="kubernetes.proto", package=PACKAGE, syntax="proto3")
    kind = descriptor_pb2.FieldDescriptorProto
    for name, fields in _TYPES.items():
        message = file.message_type.add(name=name)
        for number, field in enumerate(fields, 1):
            message.field.add(name=field, number=number, type=kind.TYPE_STRING, label=kind.LABEL_OPTIONAL)
    pool.Add(file)
    return pool


@cache
def pool() -> descriptor_pool.DescriptorPool:
    """The pool that every environment without types of its own shares."""
    return new_pool()


@cache
def _class(name: str) -> type[Message]:
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))


def new(type_: str, /, **fields: str) -> Message:
    """A value of one of the types."""
    return _class(type_)(**fields)


def is_a(value: Any, name: str) -> bool:
    """Whether a value is of one of the types."""
    return isinstance(value, Message) and value.DESCRIPTOR.full_name == f"{PACKAGE}.{name}"


def changed(value: Any, type_: str, /, **fields: str) -> Message:
    """A message with the same fields as another type (the next step of a question), some of them different."""
    kept = {field.name: text for field, text in value.ListFields()}
    return new(type_, **{**kept, **fields})
