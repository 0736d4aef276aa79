"""An OpenAPI v2 document as gnostic's protobuf, which kubectl before 1.29 and Argo CD ask for. `openapi` builds it.

A table says for each message: JSON key → field number and type; the encoder knows nothing else. Field numbers are
facts of gnostic's openapiv2/OpenAPIv2.proto. Maps are lists of named values there; keys starting with x- are
extensions, in YAML.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from machinery.api import codec
from machinery.api.codec import Json

MEDIA_TYPE: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
Encoder = Callable[[Any], bytes]


def document(spec: Json) -> bytes:
    """The whole document."""
    return _DOCUMENT(spec)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _text(value: Any) -> bytes:
    return str(value).encode()


def _any(value: Any) -> bytes:
    return _field(2, codec.dumps(value) + b"\n")


class _Message:
    """One message: which JSON keys are which fields."""

    def __init__(self, extensions: int, **fields: tuple[int, str, Encoder | None]) -> None:
        self.extensions = extensions
        self.fields: dict[str, tuple[int, str, Encoder | None]] = fields

    def __call__(self, value: Mapping[str, Any]) -> bytes:
        parts = []
        for key, item in value.items():
            if key in self.fields:
                parts.append(_encoded(item, *self.fields[key]))
            elif key.startswith("x-") and self.extensions:
                parts.append(_field(self.extensions, _field(1, key.encode()) + _field(2, _any(item))))
        return b"".join(parts)


def _encoded(item: Any, number: int, how: str, encode: Encoder | None) -> bytes:
    if how == "bool":
        return _varint(number << 3) + _varint(1) if item else b""
    encode = encode or _text
    if how == "list":
        return b"".join(_field(number, encode(part)) for part in item)
    return _field(number, encode(item))


def _named(items: Iterable[tuple[str, Any]], number: int, encode: Encoder) -> bytes:
    return b"".join(_field(number, _field(1, key.encode()) + _field(2, encode(value))) for key, value in items)


def _schema(value: Json) -> bytes:
    return _SCHEMA(value)


def _properties(value: Json) -> bytes:
    return _named(value.items(), 1, _schema)


def _additional(value: Any) -> bytes:
    return _field(1, _schema(value)) if isinstance(value, dict) else _varint(2 << 3) + _varint(bool(value))


def _parameter(value: Json) -> bytes:
    """A ParametersItem: the wrapping messages tell body, query and path parameters apart."""
    if value["in"] == "body":
        return _field(1, _field(1, _BODY(value)))
    number, encode = {"query": (3, _QUERY), "path": (4, _PATH)}[value["in"]]
    return _field(1, _field(2, _field(number, encode(value))))


def _responses(value: Json) -> bytes:
    return _named(value.items(), 1, lambda response: _field(1, _RESPONSE(response)))


def _paths(value: Json) -> bytes:
    return _named(value.items(), 2, lambda item: _PATH_ITEM(item))


def _wrapped(value: Any) -> bytes:
    """A message of one field around a text: TypeItem."""
    return _field(1, _text(value))


def _wrapped_schema(value: Json) -> bytes:
    """A message of one field around a schema: ItemsItem, SchemaItem."""
    return _field(1, _schema(value))


_SCHEMA: Final = _Message(
    31,
    **{"$ref": (1, "one", None), "format": (2, "one", None), "description": (4, "one", None)},
    default=(5, "one", _any),
    required=(19, "list", None),
    additionalProperties=(21, "one", _additional),
    type=(22, "one", _wrapped),
    items=(23, "one", _wrapped_schema),
    properties=(25, "one", _properties),
)
_BODY: Final = _Message(
    6,
    description=(1, "one", None),
    name=(2, "one", None),
    **{"in": (3, "one", None)},
    required=(4, "bool", None),
    schema=(5, "one", _schema),
)
_QUERY: Final = _Message(
    23, name=(4, "one", None), type=(6, "one", None), uniqueItems=(20, "bool", None), **{"in": (2, "one", None)}
)
_PATH: Final = _Message(
    22,
    required=(1, "bool", None),
    **{"in": (2, "one", None)},
    name=(4, "one", None),
    type=(5, "one", None),
    uniqueItems=(19, "bool", None),
)
_RESPONSE: Final = _Message(5, description=(1, "one", None), schema=(2, "one", _wrapped_schema))
_OPERATION: Final = _Message(
    13,
    description=(3, "one", None),
    operationId=(5, "one", None),
    produces=(6, "list", None),
    consumes=(7, "list", None),
    parameters=(8, "list", _parameter),
    responses=(9, "one", _responses),
)
_PATH_ITEM: Final = _Message(
    10,
    get=(2, "one", _OPERATION),
    put=(3, "one", _OPERATION),
    post=(4, "one", _OPERATION),
    delete=(5, "one", _OPERATION),
    patch=(8, "one", _OPERATION),
    parameters=(9, "list", _parameter),
)
_INFO: Final = _Message(7, title=(1, "one", None), version=(2, "one", None))
_DOCUMENT: Final = _Message(
    16,
    swagger=(1, "one", None),
    info=(2, "one", _INFO),
    paths=(8, "one", _paths),
    definitions=(9, "one", _properties),
)
