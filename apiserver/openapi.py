"""OpenAPI v3 and v2 of what is served, from the packaged definitions and the rows. Validation is `machinery.api`.

A document is built when it is first asked for; its hash is known before, from the API level and the rows. kubectl
reads the paths for two facts: which kind lies where, and that PATCH takes `fieldValidation`; explain reads the
schemas.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from apiserver import openapi_protobuf
from apiserver.registry.resource import Resource
from apiserver.version import GIT_VERSION
from machinery.api import codec, schema
from machinery.api.codec import Json

_OLD_REF: Final = "#/$defs/"
_DELETE_OPTIONS: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
_STATUS: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
_INT_OR_STRING: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_PATCHES: Final = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
#: operation → (method, x-kubernetes-action, query parameters)
_WRITE: Final = ("dryRun", "fieldManager", "fieldValidation")
_LIST: Final = (
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
)
_COLLECTION: Final = (("get", "list", _LIST), ("post", "post", _WRITE), ("delete", "deletecollection", _LIST))
_ITEM: Final = (
    ("get", "get", ()),
    ("put", "put", _WRITE),
    ("patch", "patch", (*_WRITE, "force")),
    ("delete", "delete", ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")),
)
_VERB_OF: Final = {
    "get": "get",
    "list": "list",
    "post": "create",
    "put": "update",
    "patch": "patch",
    "delete": "delete",
    "deletecollection": "deletecollection",
}
_BOOLEANS: Final = frozenset(("allowWatchBookmarks", "force", "orphanDependents", "sendInitialEvents", "watch"))
_INTEGERS: Final = frozenset(("gracePeriodSeconds", "limit", "timeoutSeconds"))


@dataclass(frozen=True, slots=True)
class Built:
    """A document as bytes, and its digest."""

    body: bytes
    digest: str


class OpenAPI:
    """The documents of one set of rows."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._rows: dict[str, list[Resource]] = {}
        for row in resources:
            kind = row.kind
            path = f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"
            self._rows.setdefault(path, []).append(row)
        self._built: dict[str, Built] = {}

    def root(self) -> Json:
        """The body of /openapi/v3: where each group-version's document is."""
        urls = {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={self._digest(path)}"} for path in self._rows}
        return {"paths": urls}

    def document(self, path: str) -> Built | None:
        """One group-version's document, or None."""
        if path not in self._rows:
            return None
        if path not in self._built:
            body = codec.dumps(_Version3().document(self._rows[path]))
            self._built[path] = Built(body, self._digest(path))
        return self._built[path]

    @cached_property
    def digest(self) -> str:
        """What changes when any document does."""
        return hashlib.sha512("".join(self._digest(path) for path in self._rows).encode()).hexdigest().upper()

    @cached_property
    def version_2(self) -> bytes:
        """The body of /openapi/v2 in JSON."""
        return codec.dumps(self._document_2())

    @cached_property
    def version_2_protobuf(self) -> bytes:
        """The body of /openapi/v2 in gnostic's protobuf."""
        return openapi_protobuf.document(self._document_2())

    def _document_2(self) -> Json:
        return _Version2().document([row for rows in self._rows.values() for row in rows])

    def _digest(self, path: str) -> str:
        rows = "".join(f"{row.kind}{row.verbs}{row.subresources}" for row in self._rows[path])
        return hashlib.sha512(f"{GIT_VERSION}{path}{rows}".encode()).hexdigest().upper()


class _Dialect:
    """What OpenAPI 2 and 3 have in common: the walk over rows, paths and definitions."""

    ref = ""

    def __init__(self) -> None:
        self.definitions: dict[str, Json] = {}

    def add(self, name: str) -> str:
        """Take in a definition and all it refers to; answers the reference."""
        known = schema.definitions()
        if name in known and name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = self.special(name) or self.converted(known[name])
        return self.ref + name

    def special(self, name: str) -> Json | None:
        """The types that are two JSON types at once."""
        raise NotImplementedError

    def reference(self, node: Json) -> Json:
        """A reference with what stands beside it."""
        raise NotImplementedError

    def converted(self, node: Json) -> Json:
        """One schema node in this dialect."""
        if "$ref" in node:
            return self.reference(node)
        out: Json = {key: value for key, value in node.items() if key not in ("type", "enum")}
        kind = node.get("type")
        if kind is not None:
            out["type"] = next(word for word in kind if word != "null") if isinstance(kind, list) else kind
        if "properties" in node:
            out["properties"] = {key: self.converted(child) for key, child in node["properties"].items()}
        for key in ("items", "additionalProperties"):
            if isinstance(node.get(key), dict):
                out[key] = self.converted(node[key])
        return out

    def paths(self, rows: Iterable[Resource]) -> dict[str, Json]:
        """The path items of the rows."""
        found: dict[str, Json] = {}
        for row in rows:
            for path, operations in _paths_of(row):
                item: Json = {}
                for method, action, parameters in operations:
                    item[method] = self.operation(row, action, parameters)
                names = [name for name in ("namespace", "name") if f"{{{name}}}" in path]
                found[path] = item | {"parameters": [self.parameter(name, "path") for name in names]}
        return found

    def operation(self, row: Resource, action: str, parameters: Iterable[str]) -> Json:
        """One operation of a path."""
        kind = row.kind
        return {
            "description": f"{action} {kind.kind}",
            "operationId": f"{action}{kind.group or 'core'}{kind.version}{kind.kind}",
            "parameters": [self.parameter(name, "query") for name in parameters],
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        }

    def parameter(self, name: str, where: str) -> Json:
        """One parameter."""
        raise NotImplementedError


class _Version3(_Dialect):
    ref = "#/components/schemas/"

    def document(self, rows: list[Resource]) -> Json:
        for row in rows:
            _add_kind(self, row)
        paths = self.paths(rows)
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": GIT_VERSION},
            "paths": paths,
            "components": {"schemas": dict(sorted(self.definitions.items()))},
        }

    def special(self, name: str) -> Json | None:
        if name == _INT_OR_STRING:
            return {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"}
        return {"oneOf": [{"type": "string"}, {"type": "number"}]} if name == _QUANTITY else None

    def reference(self, node: Json) -> Json:
        target = {"$ref": self.add(node["$ref"].removeprefix(_OLD_REF))}
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return beside | {"allOf": [target]} if beside else target

    def operation(self, row: Resource, action: str, parameters: Iterable[str]) -> Json:
        operation = super().operation(row, action, parameters)
        own = {"schema": {"$ref": self.add(schema.definition_of(row.kind))}} if _has_definition(row) else {}
        if action in ("post", "put"):
            operation["requestBody"] = {"content": {"*/*": own}, "required": True}
        elif action == "patch":
            patch = {"schema": {"$ref": self.add("io.k8s.apimachinery.pkg.apis.meta.v1.Patch")}}
            operation["requestBody"] = {"content": dict.fromkeys(_PATCHES, patch), "required": True}
        operation["responses"] = {"200": {"description": "OK", "content": {"application/json": own}}}
        return operation

    def parameter(self, name: str, where: str) -> Json:
        return {"name": name, "in": where, "schema": {"type": _type(name), "uniqueItems": True}} | _required(where)


class _Version2(_Dialect):
    ref = "#/definitions/"

    def document(self, rows: list[Resource]) -> Json:
        for row in rows:
            _add_kind(self, row)
        paths = self.paths(rows)
        return {
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": GIT_VERSION},
            "paths": paths,
            "definitions": dict(sorted(self.definitions.items())),
        }

    def special(self, name: str) -> Json | None:
        if name == _INT_OR_STRING:
            return {"type": "string", "format": "int-or-string"}
        return {"type": "string"} if name == _QUANTITY else None

    def reference(self, node: Json) -> Json:
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return beside | {"$ref": self.add(node["$ref"].removeprefix(_OLD_REF))}

    def operation(self, row: Resource, action: str, parameters: Iterable[str]) -> Json:
        operation = super().operation(row, action, parameters)
        own = {"schema": {"$ref": self.add(schema.definition_of(row.kind))}} if _has_definition(row) else {}
        if action in ("post", "put"):
            operation["parameters"].append({"name": "body", "in": "body", "required": True} | own)
        elif action == "patch":
            body = {"schema": {"$ref": self.add("io.k8s.apimachinery.pkg.apis.meta.v1.Patch")}}
            operation["parameters"].append({"name": "body", "in": "body", "required": True} | body)
            operation["consumes"] = list(_PATCHES)
        operation["responses"] = {"200": {"description": "OK"} | own}
        return operation

    def parameter(self, name: str, where: str) -> Json:
        return {"name": name, "in": where, "type": _type(name), "uniqueItems": True} | _required(where)


def _add_kind(dialect: _Dialect, row: Resource) -> None:
    if not _has_definition(row):
        return
    name = schema.definition_of(row.kind)
    dialect.add(name)
    for other in (f"{name}List", _DELETE_OPTIONS, _STATUS):
        dialect.add(other)


def _has_definition(row: Resource) -> bool:
    try:
        schema.definition_of(row.kind)
    except KeyError:
        return False
    return True


def _paths_of(row: Resource) -> Iterator[tuple[str, list[tuple[str, str, tuple[str, ...]]]]]:
    kind = row.kind
    namespace = "{namespace}" if kind.namespaced else ""
    yield kind.path(namespace), _allowed(row, _COLLECTION)
    if kind.namespaced:
        yield kind.path(), _allowed(row, _COLLECTION[:1])
    yield kind.path(namespace, "{name}"), _allowed(row, _ITEM)
    for subresource in row.subresources:
        if subresource in ("status", "scale", "ephemeralcontainers", "resize"):
            yield kind.path(namespace, "{name}", subresource), list(_ITEM[:3])


def _allowed(row: Resource, operations: Iterable[Any]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [operation for operation in operations if _VERB_OF[operation[1]] in row.verbs]


def _type(name: str) -> str:
    if name in _BOOLEANS:
        return "boolean"
    return "integer" if name in _INTEGERS else "string"


def _required(where: str) -> Json:
    return {"required": True} if where == "path" else {}
