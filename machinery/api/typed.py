"""Values seen through their type: which fields they have, how two differ, how they merge. Who owns what is `apply`'s.

Theory of operation
-------------------
Each Shape becomes a node that answers for values at its place. There are few kinds of them: a leaf (scalars, and
whatever the schema calls atomic: it is owned and replaced as a whole), a struct (its fields are known), a map (they
are not), a list of items with keys, and a set. What is unknown and kept (custom kinds) goes by the value: maps are
granular, the rest is a leaf.

Results are field sets (`field_set`). A node answers for what is *below* it and for itself: the answer LEAF, or one with
`.` in it, says that the field itself is in the set.

One thing the wire does not show matters here. Upstream compares Go structs, and a Go struct always has its required
fields and the structs embedded in it, empty or not: nobody can add a Deployment's `spec.strategy`, only what is in it.
So these fields count as present on either side (`_Struct.always`), and managers own them only where the whole value
above is new. Otherwise `kubectl get --show-managed-fields` would tell another story than upstream's.

Upstream: sigs.k8s.io/structured-merge-diff, typed/{compare,merge,remove,tofieldset,validate}.go; kube-openapi,
pkg/schemaconv/smd.go.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import Any, Final

from machinery.api import codec, field_set
from machinery.api.codec import Json
from machinery.api.field_set import EMPTY, LEAF, SELF, FieldSet
from machinery.api.schema_walk import Shape, What

#: what keyed items have where a client leaves it out (Go's marker +default on a list's key)
_KEY_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "ContainerPort": {"protocol": "TCP"},
    "ServicePort": {"protocol": "TCP"},
}
#: optional fields that are Go structs and no pointers; definitions do not tell
_EMBEDDED: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset(("metadata", "spec", "status")),  # of every kind
    "DaemonSetSpec": frozenset(("updateStrategy",)),
    "DeploymentSpec": frozenset(("strategy",)),
    "Event": frozenset(("source",)),
    "IngressStatus": frozenset(("loadBalancer",)),
    "JobTemplateSpec": frozenset(("metadata", "spec")),
    "NetworkPolicySpec": frozenset(("podSelector",)),
    "NodeDaemonEndpoints": frozenset(("kubeletEndpoint",)),
    "NodeStatus": frozenset(("daemonEndpoints", "nodeInfo")),
    "PersistentVolumeClaimSpec": frozenset(("resources",)),
    "PodTemplate": frozenset(("template",)),
    "PodTemplateSpec": frozenset(("metadata", "spec")),
    "ResourceClaimSpec": frozenset(("devices",)),
    "ResourceClaimTemplateSpec": frozenset(("metadata",)),
    "ServiceStatus": frozenset(("loadBalancer",)),
    "StatefulSetSpec": frozenset(("updateStrategy",)),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """How one value became another. No field is in more than one of the sets."""

    removed: FieldSet = field(default_factory=dict)
    modified: FieldSet = field(default_factory=dict)
    added: FieldSet = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.removed or self.modified or self.added)

    def without(self, ignored: FieldSet) -> "Comparison":
        """Leave out fields and all below them."""
        if not ignored:
            return self
        cut = field_set.recursive_difference
        return Comparison(cut(self.removed, ignored), cut(self.modified, ignored), cut(self.added, ignored))


#: removed, modified, added: the nodes below one path element, None where there is nothing
_Change = tuple[FieldSet | None, FieldSet | None, FieldSet | None]
_SAME: Final[_Change] = (None, None, None)
_MISSING: Final = object()


class Node:
    """The base, and the leaf: owned and replaced as a whole."""

    #: what a field of this type is where it has to be there and nobody gave it a value
    empty: Any = None
    #: it is owned as a whole, whatever its value
    is_leaf: bool = True

    def fields(self, value: Any) -> FieldSet | None:
        """What somebody who sends this value claims; None: nothing."""
        return LEAF

    def everything(self, value: Any) -> FieldSet:
        """The field itself and all that is below it."""
        return LEAF

    def compare(self, old: Any, new: Any) -> _Change:
        """How the old value became the new one; both are there."""
        return _SAME if old == new else (None, LEAF, None)

    def merge(self, live: Any, config: Any) -> Any:
        """The live value with what is configured put over it."""
        return config

    def without(self, value: Any, unwanted: FieldSet) -> Any:
        """The value without these fields; None where nothing is left."""
        return value

    def with_named(self, fields: FieldSet) -> FieldSet:
        """The set with the structs' fields that lead to its members (upstream: EnsureNamedFieldsAreMembers)."""
        return fields

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """What keeps a value from being applied, as upstream tells it."""
        return iter(())


@dataclass(frozen=True, slots=True)
class _Scalar(Node):
    """A leaf with a type to check."""

    what: What

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """One: it is of another type."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        match self.what:
            case What.INTEGER | What.NUMBER:
                if not is_number:
                    yield f"{path}: expected numeric (int or float), got {_go_type(value)}"
            case What.BOOLEAN:
                if not isinstance(value, bool):
                    yield f"{path}: expected boolean, got {_shown(value)}"
            case What.QUANTITY | What.INT_OR_STRING:
                if isinstance(value, dict | list):
                    yield f"{path}: expected any scalar, got {_shown(value)}"
            case _:
                if not isinstance(value, str):
                    yield f"{path}: expected string, got {_shown(value)}"


class _Fields(Node):
    """What structs and maps have in common: a dict whose values have nodes of their own."""

    empty: Any = {}
    is_leaf = False
    always: frozenset[str] = frozenset()

    def child(self, name: str) -> Node | None:
        """The node of a field's value; None where the type has no such field."""
        raise NotImplementedError

    def is_named(self, name: str) -> bool:
        """Whether the type itself knows the field."""
        return False

    def fields(self, value: Any) -> FieldSet | None:
        """What is below; a field that no schema names is claimed itself, and so is an empty one."""
        found: dict[str, Any] = {}
        for name in sorted(value):
            child, item = self.child(name), value[name]
            below = child.fields(item) if child is not None else LEAF
            itself = item is None or item == {} or not self.is_named(name)
            if below or itself:
                found[f"f:{name}"] = {SELF: LEAF, **below} if itself and below else below or LEAF
            elif below is not None:
                found[f"f:{name}"] = LEAF
        return found or None

    def row(self, name: str) -> tuple[str, Node | None]:
        """A field's path element, and its node unless that is a leaf: what is written most often is written fast."""
        child = self.child(name)
        return f"f:{name}", None if child is None or child.is_leaf else child

    def everything(self, value: Any) -> FieldSet:
        """See Node."""
        if not value:
            return LEAF
        found: dict[str, Any] = {SELF: LEAF}
        row = self.row
        for name in sorted(value):
            element, child = row(name)
            found[element] = LEAF if child is None else child.everything(value[name])
        return found

    def compare(self, old: Any, new: Any) -> _Change:
        """See Node."""
        if old == new:
            return _SAME
        if not isinstance(old, dict) or not isinstance(new, dict):
            return None, LEAF, None
        changes = _Changes()
        for name in sorted(old.keys() | new.keys()):
            child = self.child(name)
            before, after = old.get(name, _MISSING), new.get(name, _MISSING)
            if child is not None and name in self.always:
                before = child.empty if before is _MISSING else before
                after = child.empty if after is _MISSING else after
            changes.add(f"f:{name}", child or _LEAF, before, after)
        return changes.result()

    def merge(self, live: Any, config: Any) -> Any:
        """See Node."""
        if not isinstance(live, dict) or not isinstance(config, dict):
            return config
        merged = dict(live)
        for name, value in config.items():
            child = self.child(name)
            merged[name] = child.merge(live[name], value) if child is not None and name in live else value
        return merged

    def without(self, value: Any, unwanted: FieldSet) -> Any:
        """See Node."""
        if not isinstance(value, dict) or not value:
            return None
        kept = {}
        for name, item in value.items():
            element = f"f:{name}"
            if field_set.has(unwanted, element):
                continue
            below = field_set.below(unwanted, element)
            child = self.child(name)
            kept[name] = child.without(item, below) if below and child is not None else item
        kept = {name: item for name, item in kept.items() if item is not None}
        return kept or None

    def with_named(self, fields: FieldSet) -> FieldSet:
        """See Node."""
        found: dict[str, Any] = {}
        for element, node in fields.items():
            if element == SELF:
                found[SELF] = LEAF
                continue
            name = element[2:]
            child = self.child(name) if element.startswith("f:") else None
            below = child.with_named(node) if child is not None else node
            named = bool(below) and SELF not in below and self.is_named(name)
            found[element] = {SELF: LEAF, **below} if named else below
        return found

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """See Node."""
        if not isinstance(value, dict):
            yield f"{path}: expected map, got {_shown(value)}"
            return
        for name, item in value.items():
            child = self.child(name)
            if child is None:
                yield f"{path}.{name}: field not declared in schema"
            elif item is not None:
                yield from child.problems(item, f"{path}.{name}")


class _Struct(_Fields):
    """An object with known fields."""

    def __init__(self, shape: Shape, *, root: bool = False) -> None:
        self._shape = shape
        self._children: dict[str, Node] = {}
        self._rows: dict[str, tuple[str, Node | None]] = {}
        self._deduces = shape.keeps_unknown
        embedded = _EMBEDDED[""] & shape.properties.keys() if root else _EMBEDDED.get(shape.struct, frozenset())
        self.always = embedded | shape.required

    def child(self, name: str) -> Node | None:
        """See _Fields; made when first asked for: some types contain themselves."""
        found = self._children.get(name)
        if found is None:
            shape = self._shape.properties.get(name)
            if shape is None:
                return _DEDUCED if self._deduces else None
            found = self._children[name] = node_of(shape, self._shape.struct)
        return found

    def row(self, name: str) -> tuple[str, Node | None]:
        """See _Fields."""
        found = self._rows.get(name)
        if found is None:
            found = super().row(name)
            if name in self._shape.properties:  # others are clients' words, without end
                self._rows[name] = found
        return found

    def is_named(self, name: str) -> bool:
        """See _Fields."""
        return name in self._shape.properties


class _Map(_Fields):
    """Keys of the client's choice."""

    def __init__(self, items: Node) -> None:
        self._items = items

    def child(self, name: str) -> Node | None:
        """See _Fields."""
        return self._items

    @property
    def has_leaves(self) -> bool:
        """Whether its values are owned as a whole."""
        return self._items.is_leaf


class _Deduced(_Map):
    """Nothing is known: a dict is a map of the same, the rest is a leaf."""

    empty: Any = None

    def __init__(self) -> None:
        super().__init__(self)

    def fields(self, value: Any) -> FieldSet | None:
        """See Node."""
        return super().fields(value) if isinstance(value, dict) else LEAF

    def everything(self, value: Any) -> FieldSet:
        """See Node."""
        return super().everything(value) if isinstance(value, dict) else LEAF

    def without(self, value: Any, unwanted: FieldSet) -> Any:
        """See Node."""
        return super().without(value, unwanted) if isinstance(value, dict) else value

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """None."""
        return iter(())


class _Items(Node):
    """A list whose items have names in paths: by their keys, or by what they are."""

    empty: Any = []
    is_leaf = False

    def __init__(self, items: Node) -> None:
        self._items = items

    def element(self, item: Any) -> str:
        """The path element of an item; raises ValueError for one that cannot have any."""
        raise NotImplementedError

    def fields(self, value: Any) -> FieldSet | None:
        """Each item is claimed, with what is in it; of items that are there twice no more than that they are."""
        if not value:
            return None
        found: dict[str, Any] = {}
        for element, items in self._sorted(value):
            below = self._items.fields(items[0]) if len(items) == 1 else None
            found[element] = {SELF: LEAF, **below} if below else LEAF
        return found

    def everything(self, value: Any) -> FieldSet:
        """See Node."""
        if not value:
            return LEAF
        found: dict[str, Any] = {SELF: LEAF}
        for element, items in self._sorted(value):
            found[element] = self._items.everything(items[0]) if len(items) == 1 else LEAF
        return found

    def compare(self, old: Any, new: Any) -> _Change:
        """See Node. Items that are there twice are compared as a whole."""
        if old == new:
            return _SAME
        changes = _Changes()
        before, after = self._indexed(old or []), self._indexed(new or [])
        for element in sorted(before.keys() | after.keys(), key=field_set.order):
            olds, news = before.get(element, []), after.get(element, [])
            if len(olds) < 2 and len(news) < 2:
                changes.add(element, self._items, *(items[0] if items else _MISSING for items in (olds, news)))
            elif len(olds) >= 2 and len(news) >= 2:
                changes.add(element, _LEAF, olds, news)
            else:
                changes.add_duplicates(element, self._items, olds, news)
        return changes.result()

    def merge(self, live: Any, config: Any) -> Any:
        """The items of both; shared ones in the configured order, others where they stood."""
        if not isinstance(live, list) or not isinstance(config, list):
            return config
        theirs = {self.element(item): item for item in config}
        mine = self._indexed(live)
        ordered = _interleaved([self.element(item) for item in live], list(theirs), mine.keys())
        merged = []
        taken: dict[str, int] = {}
        for element in ordered:
            number = taken.get(element, 0)
            taken[element] = number + 1
            if element not in theirs:
                merged.append(mine[element][number])
            elif len(mine.get(element, ())) == 1:
                merged.append(self._items.merge(mine[element][0], theirs[element]))
            else:
                merged.append(theirs[element])
        return merged

    def without(self, value: Any, unwanted: FieldSet) -> Any:
        """See Node."""
        if not isinstance(value, list) or not value:
            return None
        kept = []
        for item in value:
            element = self.element(item)
            if field_set.has(unwanted, element):
                continue
            below = field_set.below(unwanted, element)
            kept.append(self._items.without(item, below) if below else item)
        return kept or None

    def with_named(self, fields: FieldSet) -> FieldSet:
        """See Node."""
        return {element: node if element == SELF else self._items.with_named(node) for element, node in fields.items()}

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """Items without keys, items twice, and what is wrong within each."""
        if not isinstance(value, list):
            yield f"{path}: expected list, got {_shown(value)}"
            return
        seen: set[str] = set()
        for number, item in enumerate(value):
            try:
                element = self.element(item)
            except ValueError as problem:
                yield f"{path}: element {number}: {problem}"
                return
            if element in seen:
                yield f"{path}: duplicate entries for key {field_set.readable(element)}"
            seen.add(element)
            yield from self._items.problems(item, path + field_set.readable(element))

    def _indexed(self, value: Iterable[Any]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for item in value:
            found.setdefault(self.element(item), []).append(item)
        return found

    def _sorted(self, value: list[Any]) -> Iterable[tuple[str, list[Any]]]:
        if len(value) == 1:
            return ((self.element(value[0]), value),)
        indexed = self._indexed(value)
        return ((element, indexed[element]) for element in sorted(indexed, key=field_set.order))


class _Set(_Items):
    """Scalars, each once."""

    def __init__(self) -> None:
        super().__init__(_LEAF)

    def element(self, item: Any) -> str:
        """`v:VALUE`."""
        if isinstance(item, dict):
            raise ValueError("associative list without keys has an element that's a map type")
        if isinstance(item, list):
            raise ValueError("not supported: associative list with lists as elements")
        if item is None:
            raise ValueError("associative list without keys has an element that's an explicit null")
        return f"v:{codec.dumps(item).decode()}"


class _Keyed(_Items):
    """Objects that are told apart by some of their fields."""

    def __init__(self, items: Node, keys: tuple[str, ...], defaults: Mapping[str, Any]) -> None:
        super().__init__(items)
        self._keys = tuple(sorted(keys))
        self._listed = "[" + " ".join(f'"{key}"' for key in keys) + "]"
        self._defaults = defaults

    def element(self, item: Any) -> str:
        """`k:{…}`; a key that is left out has its default, or is no part of the name."""
        if item is None:
            raise ValueError("associative list with keys may not have a null element")
        if not isinstance(item, dict):
            raise ValueError("associative list with keys may not have non-map elements")
        found = {}
        for key in self._keys:
            value = item.get(key, self._defaults.get(key))
            if value is not None:
                found[key] = value
        if not found:
            raise ValueError(
                f"associative list with keys has an element that omits all key fields {self._listed} "
                "(and doesn't have default values for any key fields)"
            )
        return f"k:{codec.dumps(found).decode()}"


class _Changes:
    """Collects the changes of a value's parts."""

    def __init__(self) -> None:
        self._removed: dict[str, Any] = {}
        self._modified: dict[str, Any] = {}
        self._added: dict[str, Any] = {}

    def add(self, element: str, node: Node, before: Any, after: Any) -> None:
        """One part, on either side or both."""
        if before is _MISSING:
            if after is not _MISSING:
                self._added[element] = node.everything(after)
        elif after is _MISSING:
            self._removed[element] = node.everything(before)
        elif before != after:
            self._take(element, node.compare(before, after))

    def add_duplicates(self, element: str, node: Node, olds: list[Any], news: list[Any]) -> None:
        """Items that became several of one element, or stopped being several."""
        if len(olds) >= 2:
            self._removed[element] = LEAF
            if news:
                self._added[element] = node.everything(news[0])
        else:
            self._added[element] = LEAF
            if olds:
                self._removed[element] = node.everything(olds[0])

    def _take(self, element: str, change: _Change) -> None:
        for collected, part in zip((self._removed, self._modified, self._added), change, strict=True):
            if part is not None:
                collected[element] = part

    def result(self) -> _Change:
        """All of them."""
        return self._removed or None, self._modified or None, self._added or None


_LEAF: Final = Node()
_DEDUCED: Final = _Deduced()


@cache
def node_of(shape: Shape, owner: str = "") -> Node:
    """The node of a type at its place; `owner` is the struct it is a field of."""
    if shape.what is What.OBJECT and shape.properties:
        return _LEAF if shape.map_type == "atomic" else _Struct(shape)
    if shape.what is What.MAP or shape.what is What.OBJECT:
        if shape.map_type == "atomic" or (shape.items is None and not shape.keeps_unknown):
            return _LEAF
        return _Map(node_of(shape.items, owner)) if shape.items is not None else _DEDUCED
    if shape.what is What.ARRAY:
        return _list_node(shape)
    return _LEAF if shape.what is What.ANY else _Scalar(shape.what)


def _list_node(shape: Shape) -> Node:
    keys = shape.list_keys if shape.list_type == "map" else ()
    is_set = shape.list_type == "set"
    if not shape.list_type and shape.merges:
        keys, is_set = (shape.merge_key,) if shape.merge_key else (), not shape.merge_key
    items = shape.items
    if keys and items is not None:
        return _Keyed(node_of(items), keys, _KEY_DEFAULTS.get(items.struct, {}))
    return _Set() if is_set else _AtomicList()


class _AtomicList(Node):
    """A list that is owned as a whole."""

    def problems(self, value: Any, path: str) -> Iterator[str]:
        """It is no list."""
        if not isinstance(value, list):
            yield f"{path}: expected list, got {_shown(value)}"


@cache
def root_of(shape: Shape) -> Node:
    """The node of a whole object."""
    return _Struct(shape, root=True)


def is_map_of_leaves(node: Node, name: str) -> bool:
    """Whether a field is a map whose values are owned as a whole, whatever they are: ConfigMaps' `data`."""
    child = node.child(name) if isinstance(node, _Fields) else None
    return isinstance(child, _Map) and not isinstance(child, _Deduced) and child.has_leaves


def fields_of(node: Node, value: Json) -> FieldSet:
    """What somebody who applies this object claims."""
    return node.fields(value) or EMPTY


def compare(node: Node, old: Json, new: Json) -> Comparison:
    """How an object became another; an object that was not there is {}."""
    removed, modified, added = node.compare(old, new)
    return Comparison(removed or EMPTY, modified or EMPTY, added or EMPTY)


def _interleaved(live: list[str], config: list[str], known: Iterable[str]) -> list[str]:
    """The order of a merged list: shared elements as configured, others where they stood (upstream: visitListItems)."""
    present, wanted = set(known), set(config)
    shared = iter([element for element in config if element in present])
    following = next(shared, None)
    result: list[str] = []
    done: set[str] = set()
    left = right = 0
    while left < len(live) or right < len(config):
        if left < len(live) and right < len(config):
            if live[left] == config[right]:
                result.append(live[left])
                done.add(live[left])
                left, right, following = left + 1, right + 1, next(shared, None)
                continue
            if live[left] in wanted and following is not None and following != live[left]:
                left += 1
                continue
        if left < len(live):
            if live[left] not in wanted:
                result.append(live[left])
                left += 1
                continue
            left += live[left] in done
        if right < len(config):
            result.append(config[right])
            done.add(config[right])
            following = next(shared, None) if config[right] == following else following
            right += 1
    return result


_GO_TYPES: Final[Mapping[type[Any], str]] = {
    str: "string",
    bool: "bool",
    int: "int64",
    float: "float64",
    dict: "map[string]interface {}",
    list: "[]interface {}",
}


def _go_type(value: Any) -> str:
    return _GO_TYPES.get(type(value), "<nil>")


def _shown(value: Any) -> str:
    return f"&value.valueUnstructured{{Value:{codec.dumps(value).decode()}}}"


def first_problems(node: Node, value: Json, most: int = 10) -> list[str]:
    """What keeps an object from being applied; no more than some of it."""
    return list(islice(node.problems(value, ""), most))
