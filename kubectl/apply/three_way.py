"""★ The patch that makes the live object as the file says. Who sends it, and where objects come from, is not here.

Theory of operation. There are three objects: original (what was applied last), modified (the file), current (the live
one). Two questions are asked of every field, and nothing else changes:
- What does the file say differently from the live object? That is set, even if somebody else changed it meanwhile.
- What did the file say last time and says no more? That is removed. What the file never said belongs to others
  (defaults, controllers, people) and stays.

Upstream (apimachinery/pkg/util/strategicpatch/patch.go) computes two patches (current→modified without deletions,
original→modified with only deletions) and merges them into one; here one walk asks both questions, which gives the
same patch for what a file can hold. Lists follow the kind's schema: lists of objects with a merge key are merged by
it, lists of scalars with the merge strategy as sets, all others are replaced. `$setElementOrder` carries the file's
order, `$retainKeys` the fields of a union. Without a schema (custom kinds) the walk yields a JSON merge patch.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from machinery.api.codec import Json
from machinery.api.schema_walk import Shape, What

_DIRECTIVE: Final = "$patch"
_DELETE_FROM: Final = "$deleteFromPrimitiveList/"
_SET_ORDER: Final = "$setElementOrder/"
_RETAIN_KEYS: Final = "$retainKeys"
_PLAIN: Final = Shape(What.ANY)


class NoMergeKey(ValueError):
    """An element of a list that is merged by a key does not have it."""


def create_patch(original: Json, modified: Json, current: Json, shape: Shape | None) -> Json:
    """The patch, empty when nothing is to do; strategic with a shape, else a merge patch; raises NoMergeKey."""
    return _maps(original, modified, current, shape or _PLAIN)


def _maps(original: Json, modified: Json, current: Json, shape: Shape) -> Json:
    patch: Json = {}
    for key, wanted in modified.items():
        if key not in current:
            patch[key] = wanted
        else:
            patch |= _field(key, (original.get(key), wanted, current[key]), _child(shape, key))
    patch |= {key: None for key in original if key not in modified}
    return patch


def _child(shape: Shape, key: str) -> Shape:
    if shape.what is What.MAP:
        return shape.items or _PLAIN
    return shape.properties.get(key, _PLAIN)


def _field(key: str, values: tuple[Any, Any, Any], shape: Shape) -> Json:
    """What the patch says of a field that file and live object both have: nothing, or the field and directives."""
    original, wanted, live = values
    if isinstance(wanted, dict) and isinstance(live, dict) and "replace" not in shape.strategies:
        inner = _maps(original if isinstance(original, dict) else {}, wanted, live, shape)
        return {key: inner} if (inner := _with_retained(inner, wanted, live, shape)) else {}
    if isinstance(wanted, list) and isinstance(live, list) and shape.merges:
        return _lists(key, (original if isinstance(original, list) else [], wanted, live), shape)
    return {} if type(wanted) is type(live) and wanted == live else {key: wanted}


def _with_retained(patch: Json, wanted: Json, live: Json, shape: Shape) -> Json:
    """Fields of a union exclude each other: name those that stay, if anything changes or one too many is there."""
    if "retainKeys" not in shape.strategies or not (patch or live.keys() - wanted.keys()):
        return patch
    return patch | {_RETAIN_KEYS: sorted(key for key, value in wanted.items() if value is not None)}


def _lists(key: str, lists: tuple[list[Any], list[Any], list[Any]], shape: Shape) -> Json:
    original, wanted, live = lists
    if not live:
        return ({key: wanted} if wanted else {}) | _gone_scalars(key, original, wanted)
    if any(isinstance(item, dict) for item in wanted + live):
        return _objects(key, lists, shape)
    return _scalars(key, lists)


def _scalars(key: str, lists: tuple[list[Any], list[Any], list[Any]]) -> Json:
    original, wanted, live = lists
    patch = _gone_scalars(key, original, wanted)
    if added := [item for item in wanted if item not in live]:
        patch[key] = added
    if wanted and (patch or wanted != live):
        patch[_SET_ORDER + key] = wanted
    return patch


def _gone_scalars(key: str, original: list[Any], wanted: list[Any]) -> Json:
    gone = [item for item in original if item not in wanted and not isinstance(item, dict)]
    return {_DELETE_FROM + key: gone} if gone else {}


def _objects(key: str, lists: tuple[list[Any], list[Any], list[Any]], shape: Shape) -> Json:
    original, wanted, live = (dict(_keyed(items, shape.merge_key)) for items in lists)
    element = shape.items or _PLAIN
    changes: list[Json] = []
    for identity, item in wanted.items():
        if identity not in live:
            changes.append(item)
        elif inner := _maps(original.get(identity, {}), item, live[identity], element):
            changes.append(inner | {shape.merge_key: identity[0]})
    gone = [identity[0] for identity in original if identity not in wanted]
    changes += [{_DIRECTIVE: "delete", shape.merge_key: value} for value in gone]
    patch: Json = {key: changes} if changes else {}
    if wanted and (changes or list(wanted) != list(live)):
        patch[_SET_ORDER + key] = [{shape.merge_key: identity[0]} for identity in wanted]
    return patch


def _keyed(items: Sequence[Any], merge_key: str) -> Iterator[tuple[tuple[Any, int], Json]]:
    """Elements by merge key; a key that occurs again (one port, two protocols) is told apart by its turn."""
    turns: Counter[Any] = Counter()
    for item in items:
        if not isinstance(item, dict) or merge_key not in item:
            raise NoMergeKey(f"map: {item} does not contain declared merge key: {merge_key}")
        value = item[merge_key]
        yield (value, turns[value]), item
        turns[value] += 1
