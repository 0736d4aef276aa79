"""The three client-made patches: JSON patch, merge patch, strategic merge patch. Server-side apply is not here.

Theory of operation
-------------------
A patch is a pure function from a document and a patch to a new document; neither argument is changed, and nothing is
half-applied: the first failing operation raises and the caller still holds the old document. What comes out is not yet
an object: the caller decodes, defaults and validates it as if a client had sent it whole.

Failures carry upstream's texts (evanphx/json-patch, apimachinery/pkg/util/strategicpatch) and come in two classes:
`MalformedPatch`, the patch makes no sense by itself (the API answers 400), and `PatchDoesNotApply`, it does not fit
this document (422).

A strategic merge is a merge patch that knows lists. A list whose shape says `merge` is joined by its merge key, every
other list is replaced. Directives steer it:
  `$patch: replace | delete` in a map or in a list element, `$retainKeys` in a map (a union: the other members go),
  `$deleteFromPrimitiveList/F` and `$setElementOrder/F` beside a field F.
A directive never survives into the result, also where the original had nothing to merge with.
Merge keys are single, as upstream's: two container ports that differ in protocol only are one to a strategic merge.
Refused: three-way merges. They are the client's business (kubectl computes the patch); the server only applies.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from machinery.api import codec
from machinery.api.codec import Json
from machinery.api.schema_walk import Shape, What

MAX_OPERATIONS: Final = 10_000  # upstream: maxJSONPatchOperations
MAX_COPIED: Final = 3 << 20  # bytes that one patch may copy; upstream: JSONPatchMaxCopyBytes


class PatchError(ValueError):
    """A patch that cannot be applied."""


class MalformedPatch(PatchError):
    """The patch is wrong by itself."""


class PatchTooLarge(PatchError):
    """The patch has more operations than one patch may have."""


class PatchDoesNotApply(PatchError):
    """The patch does not fit this document."""


# --- JSON patch (RFC 6902) -----------------------------------------------------------------------------------------


def json_patch(doc: Json, operations: Any) -> Json:
    """A new document after all operations in order; raises MalformedPatch, PatchTooLarge or PatchDoesNotApply."""
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise MalformedPatch("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    if len(operations) > MAX_OPERATIONS:
        raise PatchTooLarge(f"The allowed maximum operations in a JSON patch is 10000, got {len(operations)}")
    result = codec.copy_of(doc)
    copied = 0
    for operation in operations:
        kind = operation.get("op")
        apply = _OPERATIONS.get(kind) if isinstance(kind, str) else None
        if apply is None:
            raise PatchDoesNotApply(f"Unexpected kind: {kind if isinstance(kind, str) else 'unknown'}")
        copied += apply(result, operation) or 0
        if copied > MAX_COPIED:  # else forty copies of a document into itself fill any memory
            raise PatchDoesNotApply(
                f"Unable to complete the copy, the accumulated size increase of copy is {copied}, "
                f"exceeding the limit {MAX_COPIED}"
            )
    return result


class _Missing:
    """What a pointer finds where nothing is."""


_MISSING: Final = _Missing()


def _pointer(operation: Json, field: str, op: str) -> str:
    pointer = operation.get(field)
    if not isinstance(pointer, str):
        reason = "operation missing path field: " if field == "path" else "operation, missing from field: "
        raise PatchDoesNotApply(f"{op} operation failed to decode {field}: {reason}missing value")
    return pointer


def _container(doc: Any, pointer: str) -> tuple[Any, str]:
    """The object or list that holds the pointer's last token, and that token; (None, "") when there is none."""
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")]
    if len(tokens) < 2:
        return None, ""
    for token in tokens[1:-1]:
        doc = _peek(doc, token)
        if not isinstance(doc, dict | list):
            return None, ""
    return doc, tokens[-1]


def _peek(container: Any, token: str) -> Any:
    if isinstance(container, dict):
        return container.get(token, _MISSING)
    if isinstance(container, list) and re.fullmatch(r"-?\d+", token) and int(token) < len(container):
        return container[int(token)] if int(token) >= -len(container) else _MISSING
    return _MISSING


def _index(container: list[Any], token: str, limit: int) -> int:
    if not re.fullmatch(r"[+-]?\d+", token):
        raise PatchDoesNotApply(f'strconv.Atoi: parsing "{token}": invalid syntax')
    index = int(token)
    if not -limit <= index < limit:
        raise PatchDoesNotApply(f"Unable to access invalid index: {index}: invalid index referenced")
    return index if index >= 0 else index + limit


def _get(container: Any, token: str) -> Any:
    if isinstance(container, list):
        return container[_index(container, token, len(container))]
    if token not in container:
        raise PatchDoesNotApply(f"unable to get nonexistent key: {token}: missing value")
    return container[token]


def _insert(container: Any, token: str, value: Any) -> None:
    if isinstance(container, dict):
        container[token] = value
    elif token == "-":
        container.append(value)
    else:
        try:
            index = _index(container, token, len(container) + 1)
        except PatchDoesNotApply as error:
            prefix = f"value was not a proper array index: '{token}': " if "Atoi" in str(error) else ""
            raise PatchDoesNotApply(prefix + str(error)) from error
        container.insert(index, value)


def _delete(container: Any, token: str) -> None:
    if isinstance(container, list):
        del container[_index(container, token, len(container))]
    elif token not in container:
        raise PatchDoesNotApply(f"Unable to remove nonexistent key: {token}: missing value")
    else:
        del container[token]


def _wrapped(context: str, action: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return action(*arguments)
    except PatchDoesNotApply as error:
        raise PatchDoesNotApply(f"{context}: {error}") from error


def _add(doc: Json, operation: Json) -> None:
    path = _pointer(operation, "path", "add")
    container, token = _container(doc, path)
    if container is None:
        raise PatchDoesNotApply(f'add operation does not apply: doc is missing path: "{path}": missing value')
    _wrapped(f"error in add for path: '{path}'", _insert, container, token, operation.get("value"))


def _remove(doc: Json, operation: Json) -> None:
    path = _pointer(operation, "path", "remove")
    container, token = _container(doc, path)
    if container is None:
        raise PatchDoesNotApply(f'remove operation does not apply: doc is missing path: "{path}": missing value')
    _wrapped(f"error in remove for path: '{path}'", _delete, container, token)


def _replace(doc: Json, operation: Json) -> None:
    path = _pointer(operation, "path", "replace")
    container, token = _container(doc, path)
    if container is None:
        raise PatchDoesNotApply(f"replace operation does not apply: doc is missing path: {path}: missing value")
    if isinstance(_peek(container, token), _Missing):
        raise PatchDoesNotApply(f"replace operation does not apply: doc is missing key: {path}: missing value")
    key = token if isinstance(container, dict) else int(token)
    container[key] = operation.get("value")


def _move(doc: Json, operation: Json) -> None:
    source = _pointer(operation, "from", "move")
    container, token = _container(doc, source)
    if container is None:
        raise PatchDoesNotApply(f"move operation does not apply: doc is missing from path: {source}: missing value")
    value = _wrapped(f"error in move for path: '{token}'", _get, container, token)
    _delete(container, token)
    path = _pointer(operation, "path", "move")
    container, token = _container(doc, path)
    if container is None:
        raise PatchDoesNotApply(
            f"move operation does not apply: doc is missing destination path: {path}: missing value"
        )
    _wrapped(f"error in move for path: '{path}'", _insert, container, token, value)


def _copy(doc: Json, operation: Json) -> int:
    """The size of what was copied, in bytes."""
    source = _pointer(operation, "from", "copy")
    container, token = _container(doc, source)
    if container is None:
        raise PatchDoesNotApply(f"copy operation does not apply: doc is missing from path: {source}: missing value")
    value = _wrapped(f"error in copy for from: '{source}'", _get, container, token)
    path = _pointer(operation, "path", "copy")
    container, token = _container(doc, path)
    if container is None:
        raise PatchDoesNotApply(
            f"copy operation does not apply: doc is missing destination path: {path}: missing value"
        )
    try:
        text = codec.dumps(value)
    except TypeError as problem:  # deeper than can be written
        raise PatchDoesNotApply(f"error while performing deep copy: {problem}") from problem
    _wrapped("error while adding value during copy", _insert, container, token, codec.loads(text))
    return len(text)


def _test(doc: Json, operation: Json) -> None:
    path = _pointer(operation, "path", "test")
    container, token = _container(doc, path)
    if container is None:
        raise PatchDoesNotApply(f"test operation does not apply: is missing path: {path}: missing value")
    found = _peek(container, token)
    absent = isinstance(found, _Missing) or found is None
    expected = operation.get("value")
    if (expected is None) if absent else _same(found, expected):
        return
    raise PatchDoesNotApply(f"testing value {path} failed: test failed")


def _same(one: Any, other: Any) -> bool:
    """Equality as JSON knows it: true is not 1."""
    return codec.dumps(one) == codec.dumps(other) or (one == other and not _has_booleans(one) | _has_booleans(other))


def _has_booleans(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_booleans, value.values() if isinstance(value, dict) else value))
    return isinstance(value, bool)


_OPERATIONS: Final[Mapping[str, Callable[[Json, Json], int | None]]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


# --- merge patch (RFC 7386) ----------------------------------------------------------------------------------------


def merge_patch(doc: Json, patch: Any) -> Json:
    """A new document, which shares with the old one what no key of the patch leads to; raises MalformedPatch.

    Objects are merged, null removes, everything else replaces.
    """
    if not isinstance(patch, dict):
        raise MalformedPatch("Invalid JSON Patch")
    merged: Json = _merged(doc, codec.copy_of(patch))
    return merged


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = _merged(target.get(key), value)
    return target


# --- strategic merge patch -----------------------------------------------------------------------------------------

_DIRECTIVE: Final = "$patch"
_RETAIN_KEYS: Final = "$retainKeys"
_DELETE_FROM: Final = "$deleteFromPrimitiveList/"
_SET_ORDER: Final = "$setElementOrder/"
_PLAIN: Final = Shape(What.ANY)


def strategic_merge_patch(doc: Json, patch: Any, shape: Shape) -> Json:
    """A new document merged by what the shape says of each list; raises MalformedPatch or PatchDoesNotApply."""
    if not isinstance(patch, dict):
        raise MalformedPatch("invalid JSON document")
    return _merge_map(codec.copy_of(doc), codec.copy_of(patch), shape)


def _merge_map(original: Json, patch: Json, shape: Shape) -> Json:
    directive = patch.get(_DIRECTIVE)
    if directive is not None:
        return _directed_map(patch, directive)
    _retain_keys(original, patch)
    for field, order in _beside(patch, _SET_ORDER):
        _merge_ordered(original, patch, field, order, _child(shape, field))
    for field, doomed in _beside(patch, _DELETE_FROM):
        if isinstance(original.get(field), list):
            gone = set(map(_token, doomed))
            original[field] = [item for item in original[field] if _token(item) not in gone]
    for key, value in patch.items():
        if value is None:
            original.pop(key, None)
        else:
            original[key] = _merge_value(original.get(key), value, _child(shape, key))
    return original


def _directed_map(patch: Json, directive: Any) -> Json:
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != _DIRECTIVE}
    if directive == "delete":
        return {}
    raise MalformedPatch(f"unknown patch type: {directive} in map: {_shown(patch)}")


def _retain_keys(original: Json, patch: Json) -> None:
    """`$retainKeys`: whatever is not named goes; the patch may set named keys only."""
    retained = patch.pop(_RETAIN_KEYS, None)
    if retained is None:
        return
    kept = set(map(_token, retained)) if isinstance(retained, list) else set()
    if not isinstance(retained, list) or any(value is not None and key not in kept for key, value in patch.items()):
        raise MalformedPatch("invalid patch format of retainKeys")
    for key in [key for key in original if key not in kept]:
        del original[key]


def _beside(patch: Json, prefix: str) -> Iterable[tuple[str, list[Any]]]:
    """Take the directives that stand beside a field out of the patch: (field, list)."""
    taken = []
    for key in [key for key in patch if key.startswith(prefix)]:
        value = patch.pop(key)
        if not isinstance(value, list):
            what = "setElementOrder list" if prefix == _SET_ORDER else "primitive list"
            raise MalformedPatch(f"invalid patch format of {what}")
        taken.append((key.removeprefix(prefix), value))
    return taken


def _child(shape: Shape, key: str) -> Shape:
    if shape.what is What.MAP:
        return shape.items or _PLAIN
    return shape.properties.get(key, _PLAIN)


def _merge_value(original: Any, value: Any, shape: Shape) -> Any:
    if isinstance(value, dict) and isinstance(original, dict) and "replace" not in shape.strategies:
        return _merge_map(original, value, shape)
    if isinstance(value, list) and isinstance(original, list) and shape.merges:
        return _merge_list(original, value, shape)
    return _without_directives(value)


def _merge_list(original: list[Any], patch: list[Any], shape: Shape) -> list[Any]:
    if not all(isinstance(item, dict) for item in patch + original):
        return list(_unique(original + patch))
    if not shape.merge_key:
        raise PatchDoesNotApply(f"cannot merge lists without merge key for {shape.go}")
    original, patch, replaced = _special_elements(original, patch, shape.merge_key)
    if replaced:
        return [_without_directives(item) for item in patch]
    places = _places([item.get(shape.merge_key) for item in original])
    for item in patch:
        token = _token(_key_of(item, shape.merge_key))
        at = places.get(token)
        if at is None:
            places[token] = len(original)
            original.append(_without_directives(item))
        else:
            original[at] = _merge_map(original[at], item, shape.items or _PLAIN)
    return original


def _special_elements(original: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any], bool]:
    """Carry out `$patch: delete` elements and notice `$patch: replace`; gives what is left of both lists."""
    rest: list[Any] = []
    doomed: set[Any] = set()
    replaced = False
    for item in patch:
        directive = item.get(_DIRECTIVE)
        if directive == "delete":
            doomed.add(_token(_key_of(item, key)))
        elif directive == "replace":
            replaced = True
        elif directive is not None:
            raise MalformedPatch(_bad_element(directive, item))
        else:
            rest.append(item)
    return [item for item in original if _token(item.get(key)) not in doomed], rest, replaced


def _bad_element(directive: Any, item: Json) -> str:
    if directive == "merge":
        return "merging lists cannot yet be specified in the patch"
    return f"unknown patch type: {directive} in map: {_shown(item)}"


def _key_of(item: Json, key: str) -> Any:
    if key not in item:
        raise PatchDoesNotApply(f"map: {_shown(item)} does not contain declared merge key: {key}")
    return item[key]


def _token(value: Any) -> Any:
    """What stands for a JSON value in sets and dicts, which turn lists of any length over in one pass."""
    return value if isinstance(value, str) else codec.dumps(value)


def _places(values: Iterable[Any]) -> dict[Any, int]:
    """Where each value stands first."""
    places: dict[Any, int] = {}
    for place, value in enumerate(values):
        places.setdefault(_token(value), place)
    return places


def _merge_ordered(original: Json, patch: Json, field: str, order: list[Any], shape: Shape) -> None:
    """`$setElementOrder`: merge the list, then put what the order names into that order among the rest."""
    before, changes = original.get(field), patch.pop(field, None)
    if before is None and changes is None:
        return
    identity = _identity(shape.merge_key)
    wanted = [identity(item) for item in order]
    _check_order([identity(item) for item in changes or () if not _is_directive(item)], wanted)
    merged = list(before or ()) if changes is None else _merge_value(before, changes, shape)
    server_order = [identity(item) for item in before or ()]
    original[field] = _in_order(merged, wanted, server_order, identity)


def _identity(key: str) -> Callable[[Any], Any]:
    return lambda item: item.get(key) if isinstance(item, dict) else item


def _is_directive(item: Any) -> bool:
    return isinstance(item, dict) and _DIRECTIVE in item


def _check_order(patched: list[Any], wanted: list[Any]) -> None:
    remaining = iter(wanted)
    if not all(any(item == candidate for candidate in remaining) for item in patched):
        raise MalformedPatch(
            f"The order in patch list:\n{_shown(patched)}\n doesn't match {_SET_ORDER[:-1]} list:\n{_shown(wanted)}\n"
        )


def _in_order(merged: list[Any], wanted: list[Any], server: list[Any], identity: Callable[[Any], Any]) -> list[Any]:
    """Named items in the wanted order, the server's own items where they stood among them."""
    places, stood = _places(wanted), _places(server)
    tokens = [(_token(identity(item)), item) for item in merged]
    named = deque(sorted((pair for pair in tokens if pair[0] in places), key=lambda pair: places[pair[0]]))
    own = deque(
        sorted((pair for pair in tokens if pair[0] not in places), key=lambda pair: stood.get(pair[0], len(server)))
    )
    result: list[Any] = []
    while named and own:
        left, right = stood.get(named[0][0]), stood.get(own[0][0])
        left_first = left is not None and right is not None and left < right
        result.append((named if left_first else own).popleft()[1])
    return result + [item for _, item in (*named, *own)]


def _without_directives(value: Any) -> Any:
    """A patch value that nothing is merged with: its directives and nulls go."""
    if isinstance(value, list):
        kept = [
            item for item in value if not (isinstance(item, dict) and item.get(_DIRECTIVE) in ("delete", "replace"))
        ]
        return [_without_directives(item) for item in kept]
    if not isinstance(value, dict):
        return value
    if value.get(_DIRECTIVE) == "delete":
        return {}
    return {
        key: _without_directives(item)
        for key, item in value.items()
        if item is not None and not key.startswith((_DELETE_FROM, _SET_ORDER)) and key not in (_DIRECTIVE, _RETAIN_KEYS)
    }


def _unique(items: list[Any]) -> Iterable[Any]:
    return {_token(item): item for item in items}.values()


def _shown(value: Any) -> str:
    return codec.dumps(value).decode()
