"""The dict of a JSON object to Kubernetes protobuf, by the table that `protobuf` reads with. Who asks is not here.

What JSON leaves out is left out: to Go a missing field and a zero are the same. Fields that the table does not have
are left out too, for there is no number to write them under.
Upstream: apimachinery/pkg/runtime/serializer/protobuf, the Marshal methods of apimachinery's types.
"""

import base64
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from machinery.api import codec, protobuf, times
from machinery.api.codec import Json

_VARINT: Final = 0
_EIGHT_BYTES: Final = 1
_BYTES: Final = 2
_FOUR_BYTES: Final = 5
_UNSIGNED_64: Final = (1 << 64) - 1
_NANOSECONDS: Final = 1_000_000_000

#: a value → what follows its tag
Write = Callable[[Any], bytes]
#: an object → its record, or nothing where it does not have the field
Emit = Callable[[Json], bytes]


def knows(api_version: str, kind: str) -> bool:
    """Whether objects of the kind can be written."""
    return protobuf.knows(api_version, kind)


def encode(obj: Json) -> bytes:
    """An object with its envelope; raises KeyError for a kind the table does not have."""
    return envelope(obj["apiVersion"], obj["kind"], message(obj))


def message(obj: Json) -> bytes:
    """An object without its envelope; raises KeyError for a kind the table does not have."""
    return _message(protobuf.message_of(obj["apiVersion"], obj["kind"]), obj)


def encode_list(head: Json, items: Iterable[bytes]) -> bytes:
    """A list with its envelope: `head` has kind, apiVersion and metadata, the items are messages."""
    metadata = _record(1, _message("meta.v1.ListMeta", head["metadata"]))
    body = b"".join((metadata, *(_record(2, item) for item in items)))
    return envelope(head["apiVersion"], head["kind"], body)


def partial_metadata(metadata: Json) -> bytes:
    """A PartialObjectMetadata without its envelope."""
    return _record(1, _message("meta.v1.ObjectMeta", metadata))


def watch_frame(type_: str, obj: bytes) -> bytes:
    """One event of a watch, with its length in front; `obj` has its envelope."""
    event = _record(1, type_.encode()) + _record(2, _record(1, obj))
    return struct.pack(">I", len(event)) + event


def envelope(api_version: str, kind: str, body: bytes) -> bytes:
    """A runtime.Unknown behind the four bytes that say what it is."""
    meta = _record(1, api_version.encode()) + _record(2, kind.encode())
    return protobuf.PREFIX + _record(1, meta) + _record(2, body) + _record(3, b"") + _record(4, b"")


# the wire


def _varint(value: int) -> bytes:
    value &= _UNSIGNED_64
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _record(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _sized(value: bytes) -> bytes:
    return _varint(len(value)) + value


def _packed_number(value: Any, *, form: str) -> bytes:
    return struct.pack(form, value)


#: protobuf's scalars: wire type and writer
_SCALARS: Final[Mapping[str, tuple[int, Write]]] = {
    "string": (_BYTES, lambda value: _sized(value.encode())),
    "bytes": (_BYTES, lambda value: _sized(base64.b64decode(value))),
    "bool": (_VARINT, lambda value: b"\1" if value else b"\0"),
    "int32": (_VARINT, lambda value: _varint(int(value))),
    "int64": (_VARINT, lambda value: _varint(int(value))),
    "uint32": (_VARINT, lambda value: _varint(int(value))),
    "uint64": (_VARINT, lambda value: _varint(int(value))),
    "double": (_EIGHT_BYTES, partial(_packed_number, form="<d")),
    "float": (_FOUR_BYTES, partial(_packed_number, form="<f")),
}


# messages whose JSON is no object of their fields


def _time(value: str | None) -> bytes:
    if value is None:  # in a map, where even Go's zero time is null
        return b""
    moment = times.parse(value)
    seconds, nanoseconds = int(moment.replace(microsecond=0).timestamp()), moment.microsecond * 1000
    return b"\x08" + _varint(seconds) + (b"\x10" + _varint(nanoseconds) if nanoseconds else b"")


def _int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return b"\x08\x01" + _record(3, value.encode())
    return b"\x08\x00\x10" + _varint(value)


def _raw(value: Any) -> bytes:
    return _record(1, codec.dumps(value))


_SPECIAL: Final[Mapping[str, Write]] = {
    "meta.v1.Time": _time,
    "meta.v1.MicroTime": _time,
    "meta.v1.FieldsV1": _raw,
    "resource.Quantity": lambda value: _record(1, str(value).encode()),
    "intstr.IntOrString": _int_or_string,
    "runtime.RawExtension": _raw,
}


# the table


@dataclass(slots=True)
class _Message:
    """How a message is written: by JSON name, and the parts that share their owner's object."""

    fields: dict[str, Emit] = field(default_factory=dict)
    inlined: list[Emit] = field(default_factory=list)
    items: Write | None = None  # of a message that is the list it holds


_compiled: dict[str, _Message] = {}


def _message(name: str, value: Any) -> bytes:
    known = _compiled.get(name) or _compile(name)
    if known.items is not None:
        return known.items(value)
    fields = known.fields
    records = [emit(value) for key in value if (emit := fields.get(key))]
    return b"".join(records + [emit(value) for emit in known.inlined])


def _compile(name: str) -> _Message:
    compiled = _compiled[name] = _Message()  # there before its fields are: a message may hold itself
    for row in protobuf.rows_of(name):
        tag = row.number << 3
        if row.name == "." and row.shape == "[]":
            compiled.items = partial(_many, tag, *_writer(row.type))
        elif row.name == ".":
            compiled.inlined.append(partial(_inline, row.number, row.type))
        else:
            compiled.fields[row.name] = partial(_field, row.name, _shaped(row.shape, tag, *_writer(row.type)))
    return compiled


def _writer(type_: str) -> tuple[int, Write]:
    if type_ in _SCALARS:
        return _SCALARS[type_]
    special = _SPECIAL.get(type_)
    if special is not None:
        return _BYTES, lambda value: _sized(special(value))
    return _BYTES, lambda value: _sized(_message(type_, value))


def _shaped(shape: str, tag: int, wire: int, write: Write) -> Write:
    if shape == "[]":
        return partial(_many, tag, wire, write)
    if shape == "{}":
        return partial(_entries, _varint(tag | _BYTES), _varint(2 << 3 | wire), write)
    start = _varint(tag | wire)
    return lambda value: start + write(value)


def _field(name: str, write: Write, obj: Json) -> bytes:
    value = obj[name]
    return b"" if value is None else write(value)


def _inline(number: int, type_: str, obj: Json) -> bytes:
    inner = _message(type_, obj)
    return _record(number, inner) if inner else b""


def _many(tag: int, wire: int, write: Write, values: Any) -> bytes:
    start = _varint(tag | wire)
    return b"".join(start + write(value) for value in values)


def _entries(start: bytes, value_tag: bytes, write: Write, values: Any) -> bytes:
    pairs = (_record(1, key.encode()) + value_tag + write(value) for key, value in values.items())
    return b"".join(start + _sized(pair) for pair in pairs)
