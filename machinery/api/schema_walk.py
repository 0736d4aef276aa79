"""Shapes (a schema as a tree of types) and the walk over an object that prunes, normalises and names what is wrong.

Where shapes come from, and the fast path that makes this walk rare, is `schema`. Texts follow Go's encoding/json and
sigs.k8s.io/json, because clients show them: unknown fields are listed, a wrong type stops at the first.
"""

import base64
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from machinery.api import quantity, times
from machinery.api.codec import dumps


class What(Enum):
    """The kinds of value the wire knows."""

    OBJECT = "object"
    MAP = "map"
    ARRAY = "array"
    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    BYTES = "bytes"
    TIME = "time"
    MICRO_TIME = "micro time"
    QUANTITY = "quantity"
    INT_OR_STRING = "int or string"
    ANY = "any"


@dataclass(slots=True, eq=False)
class Shape:
    """The type of a value: what it is, what it contains, how a strategic merge treats it."""

    what: What
    #: the type as Go prints it: `int32`, `v1.PodSpec`, `[]v1.Container`
    go: str = ""
    #: OBJECT: its fields
    properties: dict[str, "Shape"] = field(default_factory=dict)
    #: fields the API documents as required (decoding does not insist, validation does)
    required: frozenset[str] = frozenset()
    #: ARRAY, MAP: what it holds
    items: "Shape | None" = None
    #: ARRAY: merged by this key of its objects
    merge_key: str = ""
    #: patch strategies: `merge`, `replace`, `retainKeys`
    strategies: frozenset[str] = frozenset()
    #: `atomic`, `set`, `map` and the keys of a `map`: what server-side apply goes by
    list_type: str = ""
    list_keys: tuple[str, ...] = ()
    #: OBJECT, MAP: `atomic` or `granular`; "": as the type is by nature, granular
    map_type: str = ""
    #: OBJECT with a name of its own: the definition it came from
    definition: str = ""
    #: unknown fields are kept (custom kinds), not pruned
    keeps_unknown: bool = False

    @property
    def merges(self) -> bool:
        """A strategic merge joins this list element by element."""
        return "merge" in self.strategies

    @property
    def struct(self) -> str:
        """The Go struct's bare name: `PodSpec`."""
        return self.go.rpartition(".")[2]


@dataclass(slots=True)
class Findings:
    """What a walk found: paths of unknown fields in document order, and the first wrong type as Go words it."""

    unknown: list[str] = field(default_factory=list)
    problem: str = ""


INT_RANGE: Final = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_GO_SCALARS: Final = {What.STRING: "string", What.BOOLEAN: "bool", What.NUMBER: "float64", What.BYTES: "[]uint8"}
_ZERO: Final[dict[What, Any]] = {
    What.STRING: "",
    What.BYTES: "",
    What.INTEGER: 0,
    What.NUMBER: 0,
    What.BOOLEAN: False,
    What.QUANTITY: "0",
    What.INT_OR_STRING: 0,
}


def value_kind(value: Any) -> str:
    """The JSON value as Go names it in its errors."""
    if isinstance(value, bool):
        return "bool"
    names = {dict: "object", list: "array", str: "string", int: "number", float: "number"}
    return names.get(type(value), "null")


class Walker:
    """One walk over one object; `findings` is what it found. The object is changed in place."""

    def __init__(self) -> None:
        self.findings = Findings()
        self._path: list[str] = []
        self._fields: list[str] = []
        self._struct = ""

    def walk(self, shape: Shape, value: Any) -> Any:
        """The value, pruned and normalised; what is wrong stays and is noted."""
        handler = _HANDLERS.get(shape.what)
        return value if handler is None else handler(self, shape, value)

    def wrong_type(self, value: str, go: str) -> None:
        """Note `json: cannot unmarshal …` for where the walk is now."""
        where = f"struct field {self._struct}.{'.'.join(self._fields)}" if self._fields else "value"
        self.problem(f"json: cannot unmarshal {value} into Go {where} of type {go}")

    def problem(self, text: str) -> None:
        """Note the first problem; later ones are not reported, as upstream does not either."""
        self.findings.problem = self.findings.problem or text

    def object(self, shape: Shape, value: Any) -> Any:
        """A struct: unknown fields go, nulls go, known ones are walked."""
        if not isinstance(value, dict):
            self.wrong_type(value_kind(value), shape.go)
            return value
        outer, self._struct = self._struct, shape.struct
        for key in list(value):
            self._field(shape, value, key)
        self._struct = outer
        return value

    def _field(self, shape: Shape, value: dict[str, Any], key: str) -> None:
        known = shape.properties.get(key)
        self._path.append(f".{key}" if self._path else key)
        self._fields.append(key)
        if known is None and not shape.keeps_unknown:
            self.findings.unknown.append("".join(self._path))
            del value[key]
        elif value[key] is None:
            del value[key]
        elif known is not None:
            value[key] = self.walk(known, value[key])
            self._struct = shape.struct
        self._path.pop()
        self._fields.pop()

    def map(self, shape: Shape, value: Any) -> Any:
        """A map: a null becomes the zero value of what it holds."""
        if not isinstance(value, dict):
            self.wrong_type(value_kind(value), shape.go)
            return value
        for key, item in value.items():
            self._path.append(f".{key}")
            value[key] = self._item(shape, item)
            self._path.pop()
        return value

    def array(self, shape: Shape, value: Any) -> Any:
        """A list; a null element becomes the zero value."""
        if not isinstance(value, list):
            self.wrong_type(value_kind(value), shape.go)
            return value
        for index, item in enumerate(value):
            self._path.append(f"[{index}]")
            value[index] = self._item(shape, item)
            self._path.pop()
        return value

    def _item(self, shape: Shape, item: Any) -> Any:
        if shape.items is None:
            return item
        if item is None:
            return {} if shape.items.what in (What.OBJECT, What.MAP) else _ZERO.get(shape.items.what)
        return self.walk(shape.items, item)

    def scalar(self, shape: Shape, value: Any) -> Any:
        """string, bool, float64."""
        wanted: dict[What, tuple[type, ...]] = {What.STRING: (str,), What.BOOLEAN: (bool,), What.NUMBER: (int, float)}
        if not isinstance(value, wanted[shape.what]) or (shape.what is What.NUMBER and isinstance(value, bool)):
            self.wrong_type(value_kind(value), shape.go or _GO_SCALARS[shape.what])
        return value

    def integer(self, shape: Shape, value: Any) -> Any:
        """An integer in the range of its Go type; 80.0 is none."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong_type(value_kind(value), shape.go)
            return value
        low, high = INT_RANGE.get(shape.go, INT_RANGE["int64"])
        if isinstance(value, float) or not low <= value <= high:
            self.wrong_type(f"number {value}", shape.go)
        return value

    def bytes(self, shape: Shape, value: Any) -> Any:
        """Base64, in its canonical spelling."""
        if not isinstance(value, str):
            self.wrong_type(value_kind(value), "[]uint8")
            return value
        text = value.replace("\n", "").replace("\r", "")
        try:
            return base64.b64encode(base64.b64decode(text, validate=True)).decode()
        except ValueError:  # binascii.Error is one; characters outside ASCII are another
            self.problem(f"illegal base64 data at input byte {_illegal_at(text)}")
        return value

    def time(self, shape: Shape, value: Any) -> Any:
        """A Time or MicroTime, in UTC."""
        micro = shape.what is What.MICRO_TIME
        if not isinstance(value, str):
            self.wrong_type(value_kind(value), "string")
            return value
        try:
            return normal_time(value, micro=micro)
        except ValueError as error:
            self.problem(str(error))
        return value

    def quantity(self, shape: Shape, value: Any) -> Any:
        """A quantity in canonical form; numbers become strings."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self.problem(quantity.MESSAGE)
            return value
        try:
            return quantity.canonical(value.strip() if isinstance(value, str) else value)
        except ValueError as error:
            self.problem(str(error))
        return value

    def int_or_string(self, shape: Shape, value: Any) -> Any:
        """A string, or an int32."""
        return value if isinstance(value, str) else self.integer(_INT32, value)


_INT32: Final = Shape(What.INTEGER, go="int32")
_HANDLERS: Final = {
    What.OBJECT: Walker.object,
    What.MAP: Walker.map,
    What.ARRAY: Walker.array,
    What.STRING: Walker.scalar,
    What.BOOLEAN: Walker.scalar,
    What.NUMBER: Walker.scalar,
    What.INTEGER: Walker.integer,
    What.BYTES: Walker.bytes,
    What.TIME: Walker.time,
    What.MICRO_TIME: Walker.time,
    What.QUANTITY: Walker.quantity,
    What.INT_OR_STRING: Walker.int_or_string,
}

_RFC3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:[.,](\d+))?(?:Z|[+-]\d{2}:\d{2})")


def normal_time(text: str, *, micro: bool) -> str:
    """RFC 3339 text in UTC as the wire writes it; raises ValueError in Go's words. MicroTime insists on six digits."""
    layout = "2006-01-02T15:04:05.000000Z07:00" if micro else "2006-01-02T15:04:05Z07:00"
    match = _RFC3339.fullmatch(text)
    if not match:
        raise ValueError(f'parsing time "{text}" as "{layout}": cannot parse {_unparsed(text)}')
    if micro and len(match.group(1) or "") != 6:
        rest = text[19:]
        raise ValueError(f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as ".000000"')
    try:
        moment = times.parse(text.replace(",", "."))
    except ValueError as error:
        raise ValueError(f'parsing time "{text}": {_out_of_range(text)}') from error
    return times.micro(moment) if micro else times.rfc3339(moment)


_LAYOUT: Final = (
    (re.compile(r"\d{4}"), "2006"),
    (re.compile("-"), "-"),
    (re.compile(r"\d{2}"), "01"),
    (re.compile("-"), "-"),
    (re.compile(r"\d{2}"), "02"),
    (re.compile("T"), "T"),
    (re.compile(r"\d{2}"), "15"),
    (re.compile(":"), ":"),
    (re.compile(r"\d{2}"), "04"),
    (re.compile(":"), ":"),
    (re.compile(r"\d{2}"), "05"),
    (re.compile(r"(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$"), "Z07:00"),
)


def _unparsed(text: str) -> str:
    at = 0
    for pattern, element in _LAYOUT:
        match = pattern.match(text, at)
        if not match:
            return f'"{text[at:]}" as "{element}"'
        at = match.end()
    return f'"{text[at:]}" as "Z07:00"'


def _out_of_range(text: str) -> str:
    bounds = ((5, 7, 12, "month"), (8, 10, 31, "day"), (11, 13, 23, "hour"), (14, 16, 59, "minute"))
    for start, end, limit, name in bounds:
        if int(text[start:end]) > limit or (limit < 13 and text[start:end] == "00"):
            return f"{name} out of range"
    return "second out of range" if int(text[17:19]) > 59 else "day out of range"


def _illegal_at(text: str) -> int:
    match = re.search(r"[^A-Za-z0-9+/=]", text)
    if match:
        return match.start()
    padding = re.search("=", text)
    return padding.start() if padding and len(text) % 4 == 0 else len(text) - len(text) % 4


class _Repeating(dict[str, Any]):
    """A JSON object some of whose keys came twice."""

    __slots__ = ("repeated",)
    repeated: list[str]


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    counts = Counter(key for key, _ in pairs)
    result = _Repeating(plain)
    result.repeated = [key for key, count in counts.items() if count > 1]
    return result


def duplicate_fields(raw: bytes, obj: Any) -> list[str]:
    """Paths of fields that occur twice in `raw`, which decoded to `obj`.

    orjson keeps the last of two equal keys and says nothing. The screen (4 µs for a Pod): the decoded object has as
    many keys as the text, counted by `":`; only where they differ is the text parsed again with a hook (50 µs).
    """
    if raw.count(b'":') == dumps(obj).count(b'":'):
        return []
    found: list[str] = []
    _collect_repeated(json.loads(raw, object_pairs_hook=_pairs), "", found)
    return found


def _collect_repeated(value: Any, path: str, found: list[str]) -> None:
    prefix = f"{path}." if path else ""
    if isinstance(value, _Repeating):
        found += [prefix + key for key in value.repeated]
    if isinstance(value, dict):
        for key, item in value.items():
            _collect_repeated(item, prefix + key, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _collect_repeated(item, f"{path}[{index}]", found)
