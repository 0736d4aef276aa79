"""Every message of the table, as Google's protobuf runtime encodes it, against the decoder."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto
from google.protobuf.message import Message

from machinery.api import protobuf, protobuf_encode

TABLE = protobuf._table()["messages"]
SCALAR_TYPES = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
}
#: fields of the messages that the decoder reads by hand
SPECIAL_FIELDS = {
    "meta.v1.Time": {1: "int64", 2: "int32"},
    "meta.v1.MicroTime": {1: "int64", 2: "int32"},
    "meta.v1.FieldsV1": {1: "bytes"},
    "runtime.RawExtension": {1: "bytes"},
    "resource.Quantity": {1: "string"},
    "intstr.IntOrString": {1: "int64", 2: "int32", 3: "string"},
}
#: the field to set, its value, the JSON
SPECIAL_VALUES: dict[str, tuple[dict[int, Any], Any]] = {
    "meta.v1.Time": ({1: 1_700_000_000, 2: 999_999_999}, "2023-11-14T22:13:20Z"),
    "meta.v1.MicroTime": ({1: 1_700_000_000, 2: 123_456_789}, "2023-11-14T22:13:20.123456Z"),
    "meta.v1.FieldsV1": ({1: b'{"f:spec":{}}'}, {"f:spec": {}}),
    "runtime.RawExtension": ({1: b'{"a":[1]}'}, {"a": [1]}),
    "resource.Quantity": ({1: "1500m"}, "1500m"),
    "intstr.IntOrString": ({1: 1, 2: 0, 3: "25%"}, "25%"),
}
SPECIAL_ZEROS: dict[str, Any] = dict.fromkeys(SPECIAL_FIELDS) | {"resource.Quantity": "0", "intstr.IntOrString": 0}
SCALAR_VALUES: dict[str, tuple[Any, Any]] = {
    "string": ("größe", "größe"),
    "bytes": (b"\x00\xff", base64.b64encode(b"\x00\xff").decode()),
    "bool": (True, True),
    "int32": (-5, -5),
    "int64": (1 << 62, 1 << 62),
}
SCALAR_ZEROS: dict[str, Any] = {"string": "", "bytes": b"", "bool": False, "int32": 0, "int64": 0}

Row = tuple[int, str, str, bool, str]  # number, JSON name, shape, keep, full type


def rows(message: str) -> list[Row]:
    """A line of the table, read by a reader of its own."""
    package = message.rpartition(".")[0]
    found = []
    for row in filter(None, TABLE[message].split(", ")):
        number, name, type_ = row.split(" ")
        bare = type_.lstrip("=[]{}")
        full = bare if bare in SCALAR_TYPES or "." in bare else f"{package}.{bare}"
        shape = type_[:2] if type_[0] in "[{" else ""
        found.append((int(number), name, shape, type_.startswith("="), full))
    return found


def pool() -> descriptor_pool.DescriptorPool:
    """All messages as proto2 descriptors; a map is the list of entries that it is on the wire."""
    file = descriptor_pb2.FileDescriptorProto(name="all.proto", package="t", syntax="proto2")
    for name in TABLE:
        fields: dict[int, str] = {}
        repeated = set()
        for number, _, shape, _, type_ in rows(name):
            fields[number] = type_
            if shape:
                repeated.add(number)
            if shape == "{}":
                fields[number] = f"{name}.entry.{number}"
                _describe(file.message_type.add(), fields[number], {1: "string", 2: type_})
        _describe(file.message_type.add(), name, fields, repeated)
    for name, fields in SPECIAL_FIELDS.items():
        _describe(file.message_type.add(), name, fields)
    made = descriptor_pool.DescriptorPool()
    made.Add(file)
    return made


def _describe(
    proto: DescriptorProto, name: str, fields: dict[int, str], repeated: set[int] | frozenset[int] = frozenset()
) -> None:
    proto.name = name.replace(".", "_")
    for number, type_ in fields.items():
        field = proto.field.add(name=f"f{number}", number=number)
        label = FieldDescriptorProto.LABEL_REPEATED if number in repeated else FieldDescriptorProto.LABEL_OPTIONAL
        field.label = label
        if type_ in SCALAR_TYPES:
            field.type = SCALAR_TYPES[type_]
        else:
            field.type = FieldDescriptorProto.TYPE_MESSAGE
            field.type_name = f".t.{type_.replace('.', '_')}"


POOL = pool()


def new(name: str) -> Message:
    """An empty message."""
    descriptor = POOL.FindMessageTypeByName(f"t.{name.replace('.', '_')}")
    return message_factory.GetMessageClass(descriptor)()


Made = tuple[Any, Any]  # what the runtime takes, the JSON that is to come of it


def full(name: str) -> Made:
    """A message with something in every field."""
    if name in SCALAR_VALUES:
        return SCALAR_VALUES[name]
    if name in SPECIAL_VALUES:
        fields, wanted = SPECIAL_VALUES[name]
        return special(name, fields), wanted
    return fill(name, full, zeros=False)


def zero(name: str) -> Made:
    """A message with every field written and nothing in it, as Go writes what is no pointer."""
    if name in SCALAR_ZEROS:
        value = SCALAR_ZEROS[name]
        return value, "" if value == b"" else value
    if name in SPECIAL_ZEROS:
        return new(name), SPECIAL_ZEROS[name]
    return fill(name, zero, zeros=True)


def special(name: str, fields: dict[int, Any]) -> Message:
    """One of the messages read by hand."""
    message = new(name)
    for number, value in fields.items():
        setattr(message, f"f{number}", value)
    return message


def fill(name: str, make: Callable[[str], Made], *, zeros: bool) -> Made:
    """A message of the table, and its JSON."""
    message, wanted = new(name), dict[str, Any]()
    for number, json_name, shape, keep, type_ in rows(name):
        value, json = make(type_)
        if shape == "{}":
            entry = new(f"{name}.entry.{number}")
            put(entry, 1, "" if zeros else "key")
            put(entry, 2, value)
            put(message, number, entry, repeated=True)
            wanted[json_name] = {"" if zeros else "key": json}
        elif shape == "[]":
            put(message, number, value, repeated=True)
            put(message, number, value, repeated=True)
            wanted[json_name] = [json, json]
        else:
            put(message, number, value)
            if json_name == ".":
                wanted |= json
            elif json or (keep and json is not None):
                wanted[json_name] = json
    return message, wanted.get(".", wanted)


def put(message: Message, number: int, value: Any, *, repeated: bool = False) -> None:
    """Set a field, or add to it."""
    if repeated:
        getattr(message, f"f{number}").append(value)
    elif isinstance(value, Message):
        getattr(message, f"f{number}").CopyFrom(value)
        getattr(message, f"f{number}").SetInParent()
    else:
        setattr(message, f"f{number}", value)


@pytest.mark.parametrize("make", [full, zero])
@pytest.mark.parametrize("kind", list(protobuf._table()["kinds"]))
def test_a_message_of_the_runtime_is_its_json(kind: str, make: Callable[[str], Made]) -> None:
    api_version, _, name = kind.partition(" ")
    message, wanted = make(protobuf._table()["kinds"][kind])
    raw = message.SerializeToString()
    size = bytes([0x12]) + varint(len(raw)) + raw
    assert protobuf.decode(protobuf.PREFIX + size, api_version, name) == {
        "apiVersion": api_version,
        "kind": name,
        **wanted,
    }


@pytest.mark.parametrize("make", [full, zero])
@pytest.mark.parametrize("kind", list(protobuf._table()["kinds"]))
def test_what_is_written_is_read_again_by_the_runtime_and_here(kind: str, make: Callable[[str], Made]) -> None:
    api_version, _, name = kind.partition(" ")
    obj = {"apiVersion": api_version, "kind": name} | make(protobuf._table()["kinds"][kind])[1]
    assert protobuf.decode(protobuf_encode.encode(obj)) == obj
    by_runtime = new(protobuf._table()["kinds"][kind])
    by_runtime.ParseFromString(protobuf_encode.message(obj))
    by_runtime.DiscardUnknownFields()
    raw = by_runtime.SerializeToString()
    assert protobuf.decode(protobuf_encode.envelope(api_version, name, raw)) == obj


def varint(number: int) -> bytes:
    """A number on the wire."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
