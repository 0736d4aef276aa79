"""Bodies: from bytes on the wire to an object of the right kind, checked against its schema. Patches are patch's."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import orjson
import yaml

from apiserver.handlers import negotiation
from apiserver.registry.resource import Resource
from apiserver.request import LARGE, Request
from machinery.aio.tasks import in_thread
from machinery.api import codec, errors, go_json, protobuf
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.schema import is_known, schema_of

_ALIAS_FACTOR: Final = 10  # of a YAML body's length: how many values its aliases may stand for
_NESTING: Final = 250  # a little less than orjson writes
_MOST_VALUES: Final = 100_000  # several times what the largest objects of any use have
_YAML_AT_ONCE: Final = 1 << 14
SUPPORTED: Final = (negotiation.JSON, negotiation.YAML, negotiation.PROTOBUF)
_SUMMARY_BYTES: Final = 30
_NO_KIND: Final = "couldn't get version/kind; json parse error"
#: the struct that upstream reads a body's kind into, as Go prints it
_ENVELOPE: Final = (
    'Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; '
    'Kind string "json:\\"kind,omitempty\\"" }'
)
_DELETE_OPTIONS: Final = "DeleteOptions"  # all that is parsed without a kind from the URL


async def decode_body(request: Request, resource: Resource, field_validation: str = "Warn") -> Json:
    """The object in the body, of the resource's kind, pruned and normalised; warnings are left in the request.

    Raises BadRequest, UnsupportedMediaType and RequestEntityTooLarge.
    """
    raw = await request.body()
    if len(raw) <= _at_once(request.headers.get("content-type", "")):
        return _decoded(request, raw, resource, field_validation)
    schema_of(resource.kind), protobuf.knows(resource.kind.api_version, resource.kind.kind)  # not made by two threads
    return await asyncio.to_thread(_decoded, request, raw, resource, field_validation)


def _decoded(request: Request, raw: bytes, resource: Resource, field_validation: str) -> Json:
    content_type = request.headers.get("content-type", "")
    obj = parse(raw, content_type, resource.kind)
    media_type = negotiation.content_type(content_type, SUPPORTED)
    if media_type == negotiation.YAML and field_validation != "Ignore":
        _tell_repeated(request, resource.kind, repeated_keys(raw), field_validation)
    text = raw if media_type == negotiation.JSON else b""
    obj.setdefault("apiVersion", resource.kind.api_version)
    obj.setdefault("kind", resource.kind.kind)
    check_kind(obj, resource.kind)
    if request.audit is not None:
        request.audit.sent(obj)
    check_schema(request, obj, resource.kind, text, field_validation)
    return obj


def check_schema(request: Request, obj: Json, kind: Kind, text: bytes = b"", field_validation: str = "Warn") -> None:
    """Prune, normalise and refuse as the schema says; metadata is there afterwards. Raises BadRequest."""
    normalise_metadata(obj)
    request.warnings += schema_of(kind).decode(obj, text, field_validation)


def normalise_metadata(obj: Json) -> None:
    """An object without metadata has empty ones."""
    if not isinstance(obj.get("metadata"), dict):
        obj["metadata"] = obj.get("metadata") or {}


async def parse_aside(raw: bytes, content_type: str, kind: Kind | None = None) -> Json:
    """As `parse`, and other requests go on while a large body is read: YAML takes seconds, not milliseconds."""
    return await in_thread(len(raw) > _at_once(content_type), parse, raw, content_type, kind)


def _at_once(content_type: str) -> int:
    """How many bytes are read in a few milliseconds."""
    return _YAML_AT_ONCE if "yaml" in content_type else LARGE


async def json_or_yaml(raw: bytes) -> Any:
    """What is YAML by its content type and mostly JSON, which is read a hundred times faster. May raise ValueError."""
    if raw.startswith(b"{"):
        with suppress(ValueError):
            value = codec.loads(raw)
            check_depth(raw, value)
            return value
    return await in_thread(len(raw) > _YAML_AT_ONCE, yaml_loads, raw)


def parse(raw: bytes, content_type: str, kind: Kind | None = None) -> Json:
    """A mapping out of JSON, YAML or protobuf, as the content type says; raises BadRequest, UnsupportedMediaType."""
    media_type = negotiation.content_type(content_type, SUPPORTED)
    if media_type == negotiation.PROTOBUF:
        return _protobuf(raw, kind)
    try:
        value = codec.loads(raw) if media_type == negotiation.JSON else yaml_loads(raw)
        check_depth(raw, value)
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as problem:
        raise _unrecognized(raw, kind, _unreadable(raw, media_type, problem)) from problem
    if not isinstance(value, dict):
        raise _unrecognized(raw, kind, f"{_NO_KIND}: json: cannot unmarshal {go_json.kind_of(value)} into {_ENVELOPE}")
    for name in ("apiVersion", "kind"):
        if not isinstance(value.get(name) or "", str):
            text = f"json: cannot unmarshal {go_json.kind_of(value[name])} into Go struct field .{name} of type string"
            raise _unrecognized(raw, kind, f"{_NO_KIND}: {text}")
    return value


def _unreadable(raw: bytes, media_type: str, problem: Exception) -> str:
    if media_type == negotiation.JSON:
        return f"{_NO_KIND}: {json_problem(raw, problem)}"
    return "error converting YAML to JSON: yaml: " + " ".join(str(problem).split())


def json_problem(raw: bytes, problem: Exception) -> str:
    """What is wrong with JSON that `codec` or `check_depth` refused."""
    if isinstance(problem, TypeError):
        return go_json.TOO_DEEP
    return go_json.complaint(raw) if isinstance(problem, json.JSONDecodeError) else str(problem)


def _unrecognized(raw: bytes, kind: Kind | None, why: str) -> errors.BadRequest:
    """Upstream: handlers/rest.go, transformDecodeError."""
    what = kind.kind if kind else _DELETE_OPTIONS
    return errors.BadRequest(f"the object provided is unrecognized (must be of type {what}): {why} ({_summary(raw)})")


def check_depth(raw: bytes, value: Any) -> None:
    """Refuse what can be read but not be worked on: orjson reads deeper than it writes. Raises TypeError, ValueError.

    And three bytes can be a value that costs a thousand times as much to validate.
    """
    containers = raw.count(b"{") + raw.count(b"[")
    if containers > _NESTING:
        codec.dumps(value)
    if containers + raw.count(b",") > _MOST_VALUES:
        _count_values(value, _MOST_VALUES, f"document has more than {_MOST_VALUES} values")


def _protobuf(raw: bytes, kind: Kind | None) -> Json:
    """What is in Go's envelope; a kind without protobuf, as all custom ones are, is 415 as upstream."""
    try:
        return protobuf.decode(raw, *((kind.api_version, kind.kind) if kind else ("", _DELETE_OPTIONS)))
    except protobuf.UnknownKind as problem:
        raise negotiation.unsupported((negotiation.JSON, negotiation.YAML)) from problem
    except ValueError as problem:
        raise _unrecognized(raw, kind, str(problem)) from problem


def _summary(raw: bytes) -> str:
    """The beginning of a body that no one can read (upstream: handlers/rest.go, summarizeData)."""
    if not raw:
        return "<empty>"
    start = raw[:_SUMMARY_BYTES]
    shown = start.decode(errors="replace") if start.startswith(b"{") else start.hex()
    return shown if len(raw) <= _SUMMARY_BYTES else f"{shown} ..."


def yaml_loads(raw: bytes) -> Any:
    """One YAML document with JSON's types only: a date stays the text it was written as. May raise ValueError."""
    _check_yaml(raw)
    value = yaml.load(raw, Loader=_JsonLoader)
    # aliases share what they stand for, until it is written out: a small body can stand for a huge object
    _count_values(value, _ALIAS_FACTOR * len(raw) + 1000, "document contains excessive aliasing")
    return codec.loads(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))  # a key 1 is the text "1"


def repeated_keys(raw: bytes) -> str:
    """What goyaml says of keys that a mapping has twice; "" where none has."""
    found: list[str] = []
    open_ones: list[set[str] | None] = []  # the keys of each open mapping; None: a list
    waits_for_key: list[bool] = []
    for event in yaml.parse(raw, Loader=_JsonLoader):
        if isinstance(event, yaml.NodeEvent) and open_ones and (keys := open_ones[-1]) is not None:
            if waits_for_key[-1] and isinstance(event, yaml.ScalarEvent):
                if event.value in keys and event.value != "<<":
                    line = event.start_mark.line + 1 if event.start_mark else 0
                    found.append(f"  line {line}: key {codec.dumps(event.value).decode()} already set in map")
                keys.add(event.value)
            waits_for_key[-1] = not waits_for_key[-1]
        if isinstance(event, yaml.CollectionStartEvent):
            open_ones.append(set() if isinstance(event, yaml.MappingStartEvent) else None)
            waits_for_key.append(True)
        elif isinstance(event, yaml.CollectionEndEvent):
            open_ones.pop(), waits_for_key.pop()
    return "\n".join(["yaml: unmarshal errors:", *found]) if found else ""


def _tell_repeated(request: Request, kind: Kind, repeated: str, field_validation: str) -> None:
    if repeated and field_validation == "Strict":
        raise schema_of(kind).cannot_be_handled(f"strict decoding error: {repeated}")
    if repeated:
        request.warnings.append(repeated)


def _check_yaml(raw: bytes) -> None:
    """Refuse what is too deep (the C loader recurses, and would take the process with it) or has too many nodes."""
    depth = nodes = 0
    for event in yaml.parse(raw, Loader=_JsonLoader):
        nodes += isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _NESTING:
            raise ValueError("exceeded max depth")
        if nodes > _MOST_VALUES:
            raise ValueError(f"document has more than {_MOST_VALUES} values")


def _count_values(value: Any, budget: int, complaint: str) -> None:
    """Raises ValueError for more values than the budget has, before they are all looked at."""
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict | list):
            budget -= len(node)
            if budget < 0:
                raise ValueError(complaint)
            waiting.extend(node.values() if isinstance(node, dict) else node)


class _JsonLoader(yaml.CSafeLoader):
    """A SafeLoader (libyaml's: nine times as fast) that knows no timestamps."""


_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def check_kind(obj: Mapping[str, Any], kind: Kind) -> None:
    """The body is of the kind the URL is about; raises BadRequest (upstream: handlers/create.go, rest.go)."""
    api_version, name = obj.get("apiVersion"), obj.get("kind")
    if (api_version, name) == (kind.api_version, kind.kind):
        return
    version = str(api_version).rpartition("/")[2]
    if not is_known(str(api_version), str(name)):
        why = (
            f'no kind "{name}" is registered for version "{api_version}" in scheme "pkg/api/legacyscheme/scheme.go:30"'
        )
        raise errors.BadRequest(f'{name} in version "{version}" cannot be handled as a {kind.kind}: {why}')
    if name == kind.kind:
        text = f"the API version in the data ({api_version}) does not match the expected API version"
        raise errors.BadRequest(f"{text} ({kind.api_version})")
    raise errors.BadRequest(
        f'{name} in version "{version}" cannot be handled as a {kind.kind}: '
        f"converting ({api_version}.{name}) to ({kind.api_version}.{kind.kind}): unknown conversion"
    )


def check_name(obj: Json, name: str) -> None:
    """The body names what the URL names, or nothing; raises BadRequest."""
    metadata = obj["metadata"]
    given = metadata.get("name") or ""
    if not given:
        metadata["name"] = name
    elif given != name:
        raise errors.BadRequest(f"the name of the object ({given}) does not match the name on the URL ({name})")
