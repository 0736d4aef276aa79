"""Strategies for bad input: values, spoilt objects, patches, queries, paths. What is to become of it is the tests'."""

import base64
import copy
from collections.abc import Callable
from typing import Any, Final

import orjson
import yaml
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from machinery.api import protobuf_encode

TEXT: Final = st.text(st.characters(codec="utf-8"), max_size=12)
_ODD: Final = st.sampled_from(
    [
        "",
        "/",
        "..",
        "%",
        "\0",
        "a/b",
        "-1",
        "1e99",
        "0x10",
        "1Gi",
        "~1",
        "é" * 64,
        "x" * 300,
        "$patch",
        "null",
        "*",
        "\ud7ff",
    ]
)
_NUMBERS: Final = st.sampled_from([0, -1, 1, 2**31, -(2**31) - 1, 2**53, 2**63 - 1, -(2**63), 1.5, -0.0, 1e300])
_LEAVES: Final = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), _NUMBERS, TEXT, _ODD)
KEYS: Final = st.one_of(
    TEXT,
    st.sampled_from(
        [
            *("metadata", "name", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "uid"),
            *("managedFields", "generateName", "resourceVersion", "deletionTimestamp", "creationTimestamp", "spec"),
            *("status", "kind", "apiVersion", "data", "type", "replicas", "$patch", "$retainKeys", "generation"),
            *("$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers", "containers", "ports", "template"),
        ]
    ),
)
VALUES: Final[SearchStrategy[Any]] = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
OBJECTS: Final = st.dictionaries(KEYS, VALUES, max_size=6)

Place = tuple[Any, Any]  # a container and a key or index in it


def _places(value: Any) -> list[Place]:
    found: list[Place] = []
    waiting = [value]
    while waiting:
        node = waiting.pop()
        pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, child in pairs:
            found.append((node, key))
            waiting.append(child)
    return found


@st.composite
def spoilt(draw: DrawFn, valid: Any) -> Any:
    """A valid object with one to three places changed, removed or doubled."""
    obj = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        places = _places(obj)
        if not places:
            break
        owner, key = draw(st.sampled_from(places))
        how = draw(st.integers(0, 3))
        if how == 0:
            del owner[key]
        elif how == 1 and isinstance(owner, dict):
            owner[draw(KEYS)] = draw(VALUES)
        elif how == 1:
            owner.append(copy.deepcopy(owner[key]))
        else:
            owner[key] = draw(VALUES)
    return obj


def _yaml(obj: Any) -> bytes:
    return yaml.safe_dump(obj, allow_unicode=True).encode("utf-8", "surrogatepass")


@st.composite
def written(draw: DrawFn, obj: Any) -> tuple[bytes, str]:
    """A body and its content type, now and then damaged or mislabelled."""
    encoders: list[tuple[Callable[[Any], bytes], str]] = [
        (orjson.dumps, "application/json"),
        (_yaml, "application/yaml"),
    ]
    encode, content_type = draw(st.sampled_from(encoders))
    return draw(damaged(encode(obj))), draw(
        st.sampled_from([content_type] * 8 + ["application/yaml", "text/plain", ""])
    )


@st.composite
def protobufs(draw: DrawFn, valid: dict[str, Any]) -> bytes:
    """A valid object in protobuf, damaged."""
    return draw(damaged(protobuf_encode.encode(valid), often=True))


@st.composite
def damaged(draw: DrawFn, raw: bytes, *, often: bool = False) -> bytes:
    """Bytes with some of them changed, cut off or doubled; mostly none, unless `often`."""
    if not raw or (not often and draw(st.integers(0, 4))):
        return raw
    place = draw(st.integers(0, len(raw) - 1))
    how = draw(st.integers(0, 3))
    if how == 0:
        return raw[:place]
    if how == 1:
        return raw[:place] + draw(st.binary(max_size=4)) + raw[place + 1 :]
    if how == 2:
        return raw[:place] + raw[place : place + 20] + raw[place:]
    return raw + draw(st.binary(max_size=8))


_POINTERS: Final = st.one_of(
    TEXT,
    st.sampled_from(
        [
            *("", "/", "/metadata", "/metadata/labels/a", "/metadata/name", "/metadata/resourceVersion", "/kind"),
            *("/metadata/finalizers/-", "/metadata/finalizers/0", "/spec", "/spec/template/spec/containers/0"),
            *("/data/k", "/metadata/uid", "/metadata/annotations", "/~01", "/spec/replicas", "/metadata/managedFields"),
        ]
    ),
)
_OPERATIONS: Final = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x", 1]), "path": _POINTERS},
    optional={"value": VALUES, "from": _POINTERS},
)
PATCHES: Final = st.one_of(
    st.tuples(st.lists(st.one_of(_OPERATIONS, VALUES), max_size=4), st.just("application/json-patch+json")),
    st.tuples(
        st.one_of(OBJECTS, VALUES),
        st.sampled_from(
            [
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
                "application/json-patch+json",
                "application/apply-patch+yaml",
                "application/json",
            ]
        ),
    ),
)

_SELECTORS: Final = st.text(st.sampled_from("abA1-_./=!<>(), \\\n{}'\"é"), max_size=20)
_TOKENS: Final = st.one_of(
    TEXT,
    st.builds(
        lambda value: base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("="),
        st.one_of(
            VALUES, st.fixed_dictionaries({}, optional={"v": st.just("meta.k8s.io/v1"), "rv": VALUES, "start": VALUES})
        ),
    ),
)
_NUMBERS_AS_TEXT: Final = st.one_of(
    TEXT, st.integers(-2, 5).map(str), st.sampled_from(["", "0", "9" * 30, "1.5", "+1", "²"])
)
_FLAGS: Final = st.sampled_from(["true", "false", "", "0", "1", "yes", "é"])
QUERIES: Final = st.fixed_dictionaries(
    {},
    optional={
        "labelSelector": _SELECTORS,
        "fieldSelector": st.one_of(
            _SELECTORS, st.sampled_from(["metadata.name=x", "metadata.namespace!=a", "spec.nodeName="])
        ),
        "limit": _NUMBERS_AS_TEXT,
        "continue": _TOKENS,
        "resourceVersion": _NUMBERS_AS_TEXT,
        "resourceVersionMatch": st.sampled_from(["", "Exact", "NotOlderThan", "x"]),
        "sendInitialEvents": _FLAGS,
        "allowWatchBookmarks": _FLAGS,
        "dryRun": st.sampled_from(["All", "", "x"]),
        "fieldManager": st.one_of(TEXT, _ODD),
        "fieldValidation": st.sampled_from(["Strict", "Warn", "Ignore", "", "x"]),
        "force": _FLAGS,
        "gracePeriodSeconds": _NUMBERS_AS_TEXT,
        "propagationPolicy": st.sampled_from(["Orphan", "Foreground", "Background", "", "x"]),
        "orphanDependents": _FLAGS,
        "pretty": _FLAGS,
        "timeout": st.sampled_from(["1s", "0", "-1s", "x", "", "1h", "1e9s", "9999999999h"]),
        "includeObject": st.sampled_from(["None", "Object", "Metadata", "", "x"]),
    },
)
ACCEPTS: Final = st.sampled_from(
    [
        *(
            "application/json",
            "*/*",
            "",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
            "text/html",
            "a;b=;q=x",
        ),
        *(f"application/json;as={form};g=meta.k8s.io;v=v1" for form in ("Table", "PartialObjectMetadata", "Nonsense")),
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        "application/json;as=Table;g=meta.k8s.io;v=v1beta1",
    ]
)
_SEGMENTS: Final = st.one_of(
    TEXT,
    st.sampled_from(
        [
            *(
                "api",
                "apis",
                "v1",
                "apps",
                "namespaces",
                "default",
                "pods",
                "watch",
                "proxy",
                "status",
                "scale",
                "log",
                "exec",
            ),
            *(
                "nodes",
                "configmaps",
                "x",
                "..",
                ".",
                "",
                "%2F",
                "openapi",
                "v3",
                "healthz",
                "binding",
                "eviction",
                "token",
            ),
        ]
    ),
)
PATHS: Final = st.lists(_SEGMENTS, max_size=9)
