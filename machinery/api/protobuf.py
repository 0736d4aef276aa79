"""Objects out of upstream's protobuf: Go clients send typed creates and updates so. Answers stay JSON: no encoder here.

Theory of operation
-------------------
A body is the four bytes `k8s\\0` and a runtime.Unknown, which names apiVersion and kind and holds the object's
message. What the fields of a message are called in JSON stands in a table (`protobuf_tables.txt`, made by
scripts/protobuf_tables.py); one generic decoder follows it and gives what the same client would have sent as JSON.

The hard part is what is *not* there. Go writes every field that is not a pointer, zeros included, and JSON leaves a
zero out where its tag says `omitempty`. So: a zero of a pointer field was said and stays (`replicas: 0`), a zero of
another field goes where it may be omitted and stays where it may not. Lists and maps that are empty cannot be told
from none, in Go neither.

Notation of the table, one message a line: its name, then for each field `number:json name:type|flags`. Types: s text, i
integer, b boolean, d double, y bytes, l list of texts in a message of its own, @ another message, {…} a map of texts
to that; Q quantity, I int-or-string, T time, M time with microseconds, D duration, R raw JSON. Flags: p pointer, o
omitempty, r repeated, n inline (the message's fields are the outer one's). Lines with = tell which package is which
API version.

Refused: the generated classes of upstream's .proto files (three times as slow with JSON afterwards, no pointer-ness,
and a thousand names to import), reflection on the OpenAPI definitions (they have no field numbers).
"""

import struct
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from machinery.api import codec, times
from machinery.api.codec import Json

MAGIC: Final = b"k8s\x00"
MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
_TABLES: Final = Path(__file__).with_name("protobuf_tables.txt")
_DEEPEST: Final = 64  # messages within messages; upstream's deepest is about 20
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    type: str
    pointer: bool
    omitempty: bool
    repeated: bool
    inline: bool


def decode(data: bytes) -> Json:
    """The object of a body with its envelope; raises ValueError for what is malformed or of an unknown kind."""
    if not data.startswith(MAGIC):
        raise ValueError("the body does not start as protobuf of Kubernetes does")
    type_meta, raw = b"", b""
    for number, value in _fields(memoryview(data)[len(MAGIC) :]):
        if number == 1:
            type_meta = _bytes(value)
        elif number == 2:
            raw = _bytes(value)
    named = {number: _bytes(value).decode() for number, value in _fields(memoryview(type_meta))}
    api_version, kind = named.get(1, ""), named.get(2, "")
    message = "meta/v1.DeleteOptions" if kind == "DeleteOptions" else f"{_packages().get(api_version, '')}.{kind}"
    if message not in _lines():
        raise ValueError(f'no kind "{kind}" is registered for version "{api_version}"')
    return {"apiVersion": api_version, "kind": kind} | _message(message, memoryview(raw), 0)


def _message(name: str, data: memoryview, depth: int) -> Json:
    if depth > _DEEPEST:
        raise ValueError("messages are nested too deeply")
    known = _table(name)
    found: Json = {}
    for number, value in _fields(data):
        field = known.get(number)
        if field is not None:
            _store(found, field, value, depth)
    return found


def _store(found: Json, field: _Field, value: int | memoryview, depth: int) -> None:
    if field.inline:
        found.update(_message(field.type[1:], _view(value), depth + 1))
    elif field.repeated:
        found.setdefault(field.name, []).append(_value(field.type, value, depth))
    elif field.type[0] == "{":
        key, item = _entry(field.type[1:-1], _view(value), depth)
        found.setdefault(field.name, {})[key] = item
    else:
        decoded = _value(field.type, value, depth)
        if field.pointer or _is_said(decoded, field):
            found[field.name] = decoded


def _is_said(value: Any, field: _Field) -> bool:
    if value is None:
        return False
    return bool(value) or not field.omitempty


def _entry(type_: str, data: memoryview, depth: int) -> tuple[str, Any]:
    key, item = "", _ZEROS.get(type_, {})
    for number, value in _fields(data):
        if number == 1:
            key = _bytes(value).decode()
        elif number == 2:
            item = _value(type_, value, depth)
    return key, item


def _value(type_: str, value: int | memoryview, depth: int) -> Any:
    if type_[0] == "@":
        return _message(type_[1:], _view(value), depth + 1)
    return _READERS[type_](value)


def _integer(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise ValueError("bytes where a number is expected")
    return value - (1 << 64) if value >= 1 << 63 else value


def _text(value: int | memoryview) -> str:
    return _bytes(value).decode()


def _double(value: int | memoryview) -> float:
    number: float = struct.unpack("<d", struct.pack("<q", _integer(value)))[0]
    return number


def _texts(value: int | memoryview) -> list[str]:
    return [_bytes(item).decode() for _, item in _fields(_view(value))]


def _numbers(value: int | memoryview) -> dict[int, int | memoryview]:
    return dict(_fields(_view(value)))


def _quantity(value: int | memoryview) -> str:
    return _text(_numbers(value).get(1, memoryview(b"0")))


def _int_or_string(value: int | memoryview) -> int | str:
    parts = _numbers(value)
    if _integer(parts.get(1, 0)) == 1:
        return _text(parts.get(3, memoryview(b"")))
    return _integer(parts.get(2, 0))


def _moment(value: int | memoryview) -> datetime | None:
    parts = _numbers(value)
    if not parts:
        return None
    seconds, nanos = _integer(parts.get(1, 0)), _integer(parts.get(2, 0))
    try:
        return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    except OverflowError as problem:
        raise ValueError(f"no time is {seconds} seconds after 1970") from problem


def _time(value: int | memoryview) -> str | None:
    moment = _moment(value)
    return times.rfc3339(moment) if moment is not None else None


def _micro_time(value: int | memoryview) -> str | None:
    moment = _moment(value)
    return times.micro(moment) if moment is not None else None


def _duration(value: int | memoryview) -> str:
    nanos = _integer(_numbers(value).get(1, 0))
    return f"{nanos / 1_000_000_000:g}s"


def _raw(value: int | memoryview) -> Any:
    raw = _bytes(_numbers(value).get(1, memoryview(b"")))
    return codec.loads(raw) if raw else None


_READERS: Final[dict[str, Callable[[int | memoryview], Any]]] = {
    "s": _text,
    "i": _integer,
    "b": lambda value: bool(_integer(value)),
    "d": _double,
    "y": lambda value: b64encode(_bytes(value)).decode(),
    "l": _texts,
    "Q": _quantity,
    "I": _int_or_string,
    "T": _time,
    "M": _micro_time,
    "D": _duration,
    "R": _raw,
}
_ZEROS: Final[dict[str, Any]] = {"s": "", "y": "", "i": 0, "b": False, "Q": "0", "l": []}


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: number and value (numbers as unsigned 64 bits). Raises ValueError."""
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position)
        wire, number = tag & 7, tag >> 3
        if wire == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == 2:
            size, position = _varint(data, position)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} is not in use")
        if position + size > end:
            raise ValueError("the message is cut short")
        part = data[position : position + size]
        position += size
        yield number, part if wire == 2 else int.from_bytes(part, "little")


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("a number is cut short or too long")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & ((1 << 64) - 1), position
        shift += 7


def _view(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where bytes are expected")
    return value


def _bytes(value: int | memoryview) -> bytes:
    return bytes(_view(value))


@lru_cache(maxsize=1)
def _lines() -> dict[str, str]:
    lines = (line.partition(" ") for line in _TABLES.read_text().splitlines() if not line.startswith("="))
    return {name: fields for name, _, fields in lines}


@lru_cache(maxsize=1)
def _packages() -> dict[str, str]:
    lines = (line.split() for line in _TABLES.read_text().splitlines() if line.startswith("="))
    return {api_version: package for _, package, api_version in lines}


@cache
def _table(message: str) -> dict[int, _Field]:
    table: dict[int, _Field] = {}
    for entry in _lines()[message].split():
        number, name, rest = entry.split(":", 2)
        type_, _, flags = rest.partition("|")
        table[int(number)] = _Field(name, type_, "p" in flags, "o" in flags, "r" in flags, "n" in flags)
    return table
