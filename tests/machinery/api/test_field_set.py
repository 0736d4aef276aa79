"""Sets of fields: what the operations mean for fields and what is below them, and how sets are written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machinery.api import field_set
from machinery.api.field_set import LEAF, FieldSet, InvalidFieldSet


def fields(*paths: str) -> FieldSet:
    """A set of dotted paths."""
    result: FieldSet = {}
    for path in paths:
        result = field_set.union(result, field_set.of_path(*(f"f:{part}" for part in path.split("."))))
    return result


def listed(found: FieldSet) -> set[str]:
    """The paths in a set, without the first dot."""
    return {path[1:] for path in field_set.paths(found)}


PATHS = st.sets(st.sampled_from(["a", "a.b", "a.b.c", "a.b.d", "a.x", "b", "b.c", "b.c.d.e"]))


@given(PATHS, PATHS)
def test_union_and_intersection_are_those_of_the_paths(one: set[str], other: set[str]) -> None:
    assert listed(field_set.union(fields(*one), fields(*other))) == one | other
    assert listed(field_set.intersection(fields(*one), fields(*other))) == one & other


@given(PATHS, PATHS)
def test_a_difference_takes_each_field_for_itself(one: set[str], other: set[str]) -> None:
    assert listed(field_set.difference(fields(*one), fields(*other))) == one - other


@given(PATHS, PATHS)
def test_a_recursive_difference_takes_what_is_below_too(one: set[str], other: set[str]) -> None:
    kept = {path for path in one if not any(path == gone or path.startswith(f"{gone}.") for gone in other)}
    assert listed(field_set.recursive_difference(fields(*one), fields(*other))) == kept


@given(PATHS)
def test_no_operation_changes_a_set(one: set[str]) -> None:
    before = fields(*one)
    copy = fields(*one)
    for operation in (field_set.union, field_set.intersection, field_set.difference, field_set.recursive_difference):
        operation(before, fields("a.b", "b.c.d.e"))
    assert before == copy


def test_a_field_with_fields_below_it_has_a_dot() -> None:
    assert fields("a", "a.b") == {"f:a": {".": {}, "f:b": {}}}
    assert fields("a.b") == {"f:a": {"f:b": {}}}


def test_elements_are_written_in_upstreams_order() -> None:
    keys: dict[str, Any] = dict.fromkeys(
        ["v:3", 'k:{"port":443}', "f:b", 'k:{"port":80}', "i:10", "i:9", 'v:"a"', ".", "f:a", "v:true"], LEAF
    )
    assert list(field_set.ordered(keys)) == [
        *(".", "f:a", "f:b"),
        *('k:{"port":80}', 'k:{"port":443}'),
        *("v:3", 'v:"a"', "v:true", "i:9", "i:10"),
    ]


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ("f:spec", ".spec"),
        ('k:{"protocol":"TCP","containerPort":80}', '[containerPort=80,protocol="TCP"]'),
        ('v:"a"', '[="a"]'),
        ("i:3", "[3]"),
    ],
)
def test_elements_are_readable_as_upstream_writes_them(element: str, text: str) -> None:
    assert field_set.readable(element) == text


@pytest.mark.parametrize("bad", ["a", "f", "k:[1]", "k:{", "v:{}", "i:x", ""])
def test_what_is_no_path_element_is_refused(bad: str) -> None:
    with pytest.raises(InvalidFieldSet):
        field_set.check({"f:a": {bad: {}}})


@pytest.mark.parametrize("bad", [None, [], "f:a", {"f:a": None}, {"f:a": {".": 1}}])
def test_what_is_no_set_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidFieldSet):
        field_set.check(bad)
