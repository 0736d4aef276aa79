"""Sets of fields, in the form that managedFields have on the wire (FieldsV1). Which fields an object has is `typed`'s.

A set is a nested dict whose keys are path elements: `f:NAME` a field, `k:{…}` the item of a list with these keys,
`v:VALUE` the item of a set, `i:N` the item at an index. What is below a key are the fields below that one. A field that
is itself in the set has nothing below it, or has `.` among what is:

    {"f:metadata": {"f:labels": {".": {}, "f:app": {}}}}       # metadata.labels and metadata.labels.app

Sets are values: no function changes one, and results may share parts with what they were made from.

Upstream: sigs.k8s.io/structured-merge-diff, fieldpath/set.go, element.go, serialize.go.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from machinery.api import codec

FieldSet = Mapping[str, Any]

#: itself in the set, and nothing below it
LEAF: Final[dict[str, Any]] = {}
EMPTY: Final[FieldSet] = {}
SELF: Final = "."
_PREFIXES: Final = ("f:", "k:", "v:", "i:")


class InvalidFieldSet(ValueError):
    """The text is no FieldsV1."""


def is_member(node: FieldSet) -> bool:
    """Whether the field that `node` hangs below is itself in the set."""
    return not node or SELF in node


def union(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in either."""
    if not one or not other:
        return one or other
    result = dict(one)
    for key, node in other.items():
        mine = result.get(key)
        result[key] = node if mine is None else _joined(mine, node)
    return result


def _joined(one: FieldSet, other: FieldSet) -> FieldSet:
    """The union below one path element, where being empty means something."""
    if one is other or (not one and not other):
        return one
    both = union(one, other)
    if (not one or not other) and SELF not in both:
        return {SELF: LEAF, **both}
    return both


def difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in the first only: of a field and what is below it each for itself."""
    if not other:
        return one
    result: dict[str, Any] = {}
    for key, node in one.items():
        theirs = other.get(key)
        if theirs is None:
            result[key] = node
            continue
        kept = _kept(node, is_member(node) and not is_member(theirs), difference(_below(node), _below(theirs)))
        if kept is not None:
            result[key] = kept
    return result


def recursive_difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in the first only, where a field of the second takes away all below it too."""
    if not other:
        return one
    result: dict[str, Any] = {}
    for key, node in one.items():
        theirs = other.get(key)
        if theirs is None:
            result[key] = node
        elif not is_member(theirs):
            kept = _kept(node, is_member(node), recursive_difference(_below(node), theirs))
            if kept is not None:
                result[key] = kept
    return result


def intersection(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in both."""
    if len(other) < len(one):
        one, other = other, one
    result: dict[str, Any] = {}
    for key, node in one.items():
        theirs = other.get(key)
        if theirs is None:
            continue
        both = intersection(_below(node), _below(theirs))
        kept = _kept(node, is_member(node) and is_member(theirs), both)
        if kept is not None:
            result[key] = kept
    return result


def _below(node: FieldSet) -> FieldSet:
    return {key: child for key, child in node.items() if key != SELF} if SELF in node else node


def _kept(node: FieldSet, member: bool, below: FieldSet) -> FieldSet | None:
    """A path element's node from whether it is in the set and what is below; None where neither is anything."""
    if member:
        return {SELF: LEAF, **below} if below else LEAF
    return below or None


def has(fields: FieldSet, element: str) -> bool:
    """Whether the field of one path element is in the set."""
    node = fields.get(element)
    return node is not None and is_member(node)


def below(fields: FieldSet, element: str) -> FieldSet:
    """The set of what is below one path element."""
    node = fields.get(element)
    return EMPTY if node is None else _below(node)


def of_path(*elements: str) -> FieldSet:
    """The set of one field."""
    node: FieldSet = LEAF
    for element in reversed(elements):
        node = {element: node}
    return node


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """The fields as upstream writes paths: `.spec.containers[name="a"].image`; members before what is below them."""
    elements = sorted((key for key in fields if key != SELF), key=order)
    for key in elements:
        if is_member(fields[key]):
            yield prefix + readable(key)
    for key in elements:
        yield from paths(_below(fields[key]), prefix + readable(key))


@lru_cache(maxsize=4096)
def readable(element: str) -> str:
    """`.name`, `[name="a",port=80]`, `[="x"]`, `[0]`."""
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return f".{text}"
    if kind == "k:":
        pairs = codec.loads(text)
        return "[" + ",".join(f"{name}={_text(value)}" for name, value in sorted(pairs.items())) + "]"
    return f"[={_text(codec.loads(text))}]" if kind == "v:" else f"[{text}]"


def _text(value: Any) -> str:
    return codec.dumps(value).decode()


@lru_cache(maxsize=8192)
def order(element: str) -> tuple[Any, ...]:
    """Upstream's order of path elements: fields, then keyed items, items of sets, indexes (element.go, Compare)."""
    kind, text = element[:2], element[2:]
    if kind == "k:":
        pairs = sorted(codec.loads(text).items())
        return (1, *((name, _order_of_value(value)) for name, value in pairs))
    if kind == "v:":
        return (2, _order_of_value(codec.loads(text)))
    if kind == "i:":
        return (3, int(text))
    return (-1,) if element == SELF else (0, text)


def _order_of_value(value: Any) -> tuple[int, Any]:
    """Numbers, texts, booleans (upstream: value.Compare)."""
    if isinstance(value, bool):
        return (2, value)
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def ordered(fields: FieldSet) -> dict[str, Any]:
    """The same set with its keys as upstream writes them."""
    if len(fields) == 1:
        return {key: ordered(node) if node else LEAF for key, node in fields.items()}
    return {key: ordered(fields[key]) if fields[key] else LEAF for key in sorted(fields, key=order)}


def check(fields: Any) -> None:
    """Raises InvalidFieldSet for what is no set: a client may have written it."""
    if not isinstance(fields, dict):
        raise InvalidFieldSet("fieldsV1 is not an object")
    for key, node in fields.items():
        if key != SELF:
            _check_element(key)
        check(node)


def _check_element(element: str) -> None:
    kind, text = element[:2], element[2:]
    if kind not in _PREFIXES:
        raise InvalidFieldSet(f"invalid path element {element!r}")
    try:
        if kind == "i:":
            int(text)
        elif kind != "f:" and isinstance(codec.loads(text), dict) is not (kind == "k:"):
            raise InvalidFieldSet(f"invalid path element {element!r}")
    except ValueError as problem:
        raise InvalidFieldSet(f"invalid path element {element!r}") from problem
