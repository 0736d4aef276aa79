"""The schema of each kind: from OpenAPI definitions to shapes, and `check`, which every client's object goes through.

Semantic validation (names, ranges, immutability) is not here but in apiserver.validation; the slow walk is
`schema_walk`. Accepted objects cost 4 µs (jsonschema-rs over a schema made stricter than the API: no nulls, int32 in
range, times and quantities in canonical spelling); whatever it refuses is walked in Python (140 µs for a Pod), which
either normalises it or says what is wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from machinery.api import codec, errors
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.schema_walk import INT_RANGE, Findings, Shape, Walker, What, duplicate_fields

__all__ = ["Decoded", "Schema", "Shape", "What", "definition_of", "definitions", "duplicate_fields", "schema_of"]

API_LEVEL: Final = "1.37"
_FILE: Final = f"kubernetes-json-schema/v{API_LEVEL}.0-local/_definitions.json"
_REF: Final = "#/$defs/"

#: definitions that are more than their JSON type
_SPECIAL: Final[dict[str, tuple[What, str]]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": (What.QUANTITY, "resource.Quantity"),
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": (What.MICRO_TIME, "v1.MicroTime"),
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": (What.TIME, "v1.Time"),
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": (What.INT_OR_STRING, "intstr.IntOrString"),
}
_SCALARS: Final = {"string": What.STRING, "boolean": What.BOOLEAN, "number": What.NUMBER, "integer": What.INTEGER}
_SCALAR_GO: Final = {What.STRING: "string", What.BOOLEAN: "bool", What.NUMBER: "float64"}
#: string types with a Go name of their own, which the definitions do not carry; for messages only
_GO_NAMES: Final = {
    "Container.imagePullPolicy": "v1.PullPolicy",
    "Container.terminationMessagePolicy": "v1.TerminationMessagePolicy",
    "ContainerPort.protocol": "v1.Protocol",
    "DeploymentStrategy.type": "v1.DeploymentStrategyType",
    "OwnerReference.uid": "types.UID",
    "ObjectMeta.uid": "types.UID",
    "PodSpec.dnsPolicy": "v1.DNSPolicy",
    "PodSpec.restartPolicy": "v1.RestartPolicy",
    "PodStatus.phase": "v1.PodPhase",
    "Secret.type": "v1.SecretType",
    "ServicePort.protocol": "v1.Protocol",
    "ServiceSpec.sessionAffinity": "v1.ServiceAffinity",
    "ServiceSpec.type": "v1.ServiceType",
    "Taint.effect": "v1.TaintEffect",
    "Toleration.effect": "v1.TaintEffect",
    "Toleration.operator": "v1.TolerationOperator",
}


@lru_cache(maxsize=1)
def definitions() -> Mapping[str, Json]:
    """All OpenAPI definitions of the API level by name (`io.k8s.api.core.v1.Pod`), as packaged; 10 ms, once."""
    found = find_spec("kubernetes_validate")  # its code is not needed, which imports a validator of its own
    if found is None or found.origin is None:
        raise ModuleNotFoundError("kubernetes_validate is missing: pip install -r requirements.lock")
    path = Path(found.origin).parent / _FILE
    loaded: dict[str, Json] = codec.loads(path.read_bytes())["$defs"]
    return loaded


@lru_cache(maxsize=1)
def _by_kind() -> Mapping[tuple[str, str, str], str]:
    index: dict[tuple[str, str, str], str] = {}
    for name, definition in definitions().items():
        for gvk in definition.get("x-kubernetes-group-version-kind", ()):
            index.setdefault((gvk["group"], gvk["version"], gvk["kind"]), name)
    return index


def definition_of(kind: Kind) -> str:
    """The name of a kind's definition; raises KeyError for a kind the packaged API does not have."""
    return _by_kind()[kind.group, kind.version, kind.kind]


def is_known(api_version: str, kind: str) -> bool:
    """Whether the packaged API has a kind."""
    group, _, version = api_version.rpartition("/")
    return (group, version, kind) in _by_kind()


_shapes: dict[str, Shape] = {}


def shape_named(name: str) -> Shape:
    """The shape of one definition, built on first use together with what it refers to."""
    shape = _shapes.get(name)
    if shape is None:
        shape = _shapes[name] = Shape(What.ANY, go=_go_name(name), definition=name)
        _fill(shape, definitions()[name], name)
    return shape


def _go_name(definition: str) -> str:
    return ".".join(definition.split(".")[-2:])


def _fill(shape: Shape, definition: Json, name: str) -> None:
    if name in _SPECIAL:
        shape.what, shape.go = _SPECIAL[name]
        return
    built = shape_from(definition, shape_named, shape.go)
    shape.what, shape.items, shape.required = built.what, built.items, built.required
    shape.properties.update(built.properties)
    shape.map_type = definition.get("x-kubernetes-map-type", "")
    if shape.what is not What.OBJECT:
        shape.go = built.go or shape.go


def shape_from(node: Json, named: Callable[[str], Shape], go: str = "") -> Shape:
    """A shape from one node of an OpenAPI schema; `named` resolves references."""
    if "$ref" in node:
        return _marked(named(node["$ref"].removeprefix(_REF)), node)
    kind = _type_of(node)
    if kind in _SCALARS:
        return _scalar(node, _SCALARS[kind])
    if kind == "array":
        items = shape_from(node.get("items", {}), named)
        return _marked(Shape(What.ARRAY, go=f"[]{items.go}", items=items), node)
    if kind == "object" and "properties" in node:
        required = frozenset(node.get("required", ()))
        shape = Shape(What.OBJECT, go=go, required=required)
        for key, child in node["properties"].items():
            shape.properties[key] = _renamed(shape_from(child, named), f"{shape.struct}.{key}")
        return shape
    return _map_or_any(node, named, kind)


def _map_or_any(node: Json, named: Callable[[str], Shape], kind: str) -> Shape:
    values = node.get("additionalProperties")
    if isinstance(values, dict):
        items = shape_from(values, named)
        return _marked(Shape(What.MAP, go=f"map[string]{items.go}", items=items), node)
    if kind == "object":
        return Shape(What.MAP, go="runtime.RawExtension")
    return Shape(What.ANY)


def _type_of(node: Json) -> str:
    kind = node.get("type", "")
    if isinstance(kind, list):
        return str(next(name for name in kind if name != "null"))
    return str(kind)


def _scalar(node: Json, what: What) -> Shape:
    if what is What.INTEGER:
        return Shape(what, go=node.get("format", "int64"))
    if node.get("format") == "byte":
        return Shape(What.BYTES, go="[]uint8")
    return Shape(what, go=_SCALAR_GO[what])


def _renamed(shape: Shape, place: str) -> Shape:
    if place in _GO_NAMES:
        shape.go = _GO_NAMES[place]
    return shape


def _marked(shape: Shape, node: Json) -> Shape:
    """The shape with the list and patch markers of the place it is used at; a named shape is copied for it."""
    strategies = frozenset(filter(None, node.get("x-kubernetes-patch-strategy", "").split(",")))
    map_type = node.get("x-kubernetes-map-type", shape.map_type)
    if not strategies and map_type == shape.map_type and "x-kubernetes-list-type" not in node:
        return shape
    if shape.definition:
        return _used_at(shape, strategies, map_type)
    shape.strategies, shape.map_type = strategies, map_type
    shape.merge_key = node.get("x-kubernetes-patch-merge-key", "")
    shape.list_type = node.get("x-kubernetes-list-type", "")
    shape.list_keys = tuple(node.get("x-kubernetes-list-map-keys", ()))
    return shape


def _used_at(shape: Shape, strategies: frozenset[str], map_type: str) -> Shape:
    return Shape(
        shape.what, shape.go, shape.properties, shape.required, shape.items, strategies=strategies, map_type=map_type
    )


_TIME: Final = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d"
_NUMBER: Final = r"([1-9]\d{0,2}|[1-9]\d*(?!000)\d{3})"
#: texts that are certainly canonical; 1024Mi, 29 February and the like take the slow path
_PATTERNS: Final = {
    What.TIME: _TIME + "Z$",
    What.MICRO_TIME: _TIME + r"\.\d{6}Z$",
    What.QUANTITY: rf"^(0|{_NUMBER}[mkMGTPE]?|([1-9]\d{{0,2}}|10[01]\d|102[0-3])[KMGTPE]i)$",
    What.BYTES: r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
}


class _Strict:
    """Shapes as a JSON Schema (draft 4: there 80.0 is no integer) that refuses whatever needs a second look."""

    def __init__(self) -> None:
        self.defs: Json = {}

    def node(self, shape: Shape) -> Json:
        """The schema of a shape; objects with a definition become references."""
        if shape.what is What.OBJECT and shape.definition:
            if shape.definition not in self.defs:
                self.defs[shape.definition] = {}
                self.defs[shape.definition] = self._object(shape)
            return {"$ref": _REF + shape.definition}
        return self._inline(shape)

    def _object(self, shape: Shape) -> Json:
        properties = {key: self.node(child) for key, child in shape.properties.items()}
        return {"type": "object", "properties": properties, "additionalProperties": shape.keeps_unknown}

    def _inline(self, shape: Shape) -> Json:
        match shape.what:
            case What.OBJECT:
                return self._object(shape)
            case What.MAP:
                return {"type": "object"} | ({"additionalProperties": self.node(shape.items)} if shape.items else {})
            case What.ARRAY:
                return {"type": "array"} | ({"items": self.node(shape.items)} if shape.items else {})
            case What.INTEGER | What.INT_OR_STRING:
                types = ["string", "integer"] if shape.what is What.INT_OR_STRING else ["integer"]
                low, high = INT_RANGE["int64" if shape.go == "int64" else "int32"]
                return {"type": types, "minimum": low, "maximum": high}
            case What.STRING | What.BOOLEAN | What.NUMBER:
                return {"type": shape.what.value}
            case What.ANY:
                return {}
        return {"type": "string", "pattern": _PATTERNS[shape.what]}


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a check found: paths of unknown fields (pruned from the object), and the first wrong type in Go's words."""

    unknown: tuple[str, ...] = ()
    problem: str = ""


_FINE: Final = Decoded()
_MOST_TEXTS: Final = 100


@dataclass(slots=True, eq=False)
class Schema:
    """The schema of one kind."""

    kind: Kind
    shape: Shape
    _validator: Any = field(default=None, repr=False)

    def check(self, obj: Json) -> Decoded:
        """Prune and normalise `obj` in place; says which fields were unknown and what has the wrong type."""
        _drop_empty_timestamp(obj)
        if self.is_canonical(obj):
            return _FINE
        findings = self.walk(obj)
        return Decoded(tuple(findings.unknown), findings.problem)

    def is_canonical(self, obj: Json) -> bool:
        """The fast path: right in every type, nothing unknown, nothing null, all in canonical spelling."""
        if self._validator is None:
            self._validator = _validator(self.shape)
        return bool(self._validator.is_valid(obj))

    def walk(self, obj: Json) -> Findings:
        """The slow path of `check`."""
        walker = Walker()
        walker.walk(self.shape, obj)
        return walker.findings

    def decode(
        self, obj: Json, raw: bytes = b"", field_validation: str = "Warn", repeated: Sequence[str] = ()
    ) -> list[str]:
        """Check an object from a client in place; gives the texts for Warning headers.

        `repeated` are paths of fields that were sent twice, where that cannot be seen in `raw`.
        Raises BadRequest as upstream does: for a wrong type always, for unknown and duplicate fields when
        `field_validation` is Strict (upstream: apiserver/pkg/endpoints/handlers/rest.go, transformDecodeError).
        """
        # before the check: pruning would make the cheap screen see a difference
        if raw and field_validation != "Ignore":
            repeated = duplicate_fields(raw, obj)
        decoded = self.check(obj)
        if decoded.problem:
            raise self.cannot_be_handled(decoded.problem)
        if field_validation == "Ignore":
            return []
        texts = [f'duplicate field "{path}"' for path in repeated]
        texts += [f'unknown field "{path}"' for path in decoded.unknown]
        if texts and field_validation == "Strict":
            raise self.cannot_be_handled("strict decoding error: " + ", ".join(texts[:_MOST_TEXTS]))
        return texts[:_MOST_TEXTS]

    def cannot_be_handled(self, why: str) -> errors.BadRequest:
        """Upstream's words for a body that does not decode."""
        kind = self.kind.kind
        return errors.BadRequest(f'{kind} in version "{self.kind.version}" cannot be handled as a {kind}: {why}')

    def properties_of(self, *path: str) -> Mapping[str, Shape]:
        """The fields at a path of names (lists and maps are looked through); raises KeyError where there is none."""
        shape = self.shape
        for name in path:
            shape = _content(shape).properties[name]
        return _content(shape).properties


def _content(shape: Shape) -> Shape:
    while shape.items is not None:
        shape = shape.items
    return shape


def _drop_empty_timestamp(obj: Json) -> None:
    """Go clients before 1.34 send `creationTimestamp: null`, in templates too: not worth the slow path."""
    metadata, spec = obj.get("metadata"), obj.get("spec")
    if isinstance(metadata, dict) and metadata.get("creationTimestamp", "") is None:
        del metadata["creationTimestamp"]
    if isinstance(spec, dict) and isinstance(spec.get("template"), dict):
        _drop_empty_timestamp({"metadata": spec["template"].get("metadata")})


def _validator(shape: Shape) -> Any:
    strict = _Strict()
    root = strict.node(shape)
    return jsonschema_rs.Draft4Validator(
        {**root, "$defs": strict.defs} if "$ref" not in root else _rooted(root, strict)
    )


def _rooted(root: Json, strict: _Strict) -> Json:
    # draft 4 ignores what stands beside $ref; allOf keeps $defs reachable
    return {"allOf": [root], "$defs": strict.defs}


@lru_cache(maxsize=256)
def schema_of(kind: Kind) -> Schema:
    """The schema of a built-in kind (3 ms on first use for the largest); raises KeyError where the API has none."""
    return Schema(kind, shape_named(definition_of(kind)))
