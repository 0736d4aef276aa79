"""Server-side apply on a made-up type that has one of everything: ownership, conflicts, merging, pruning.

The cases follow the documentation of server-side apply and upstream's own table (structured-merge-diff, merge tests).
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machinery.api import apply, field_set, typed
from machinery.api.apply import Applying, Conflicts, Manager, Managers, Typing
from machinery.api.codec import Json
from machinery.api.schema import Shape, What

STRING, NUMBER = Shape(What.STRING, go="string"), Shape(What.INTEGER, go="int32")
ITEM = Shape(What.OBJECT, go="v1.Item", properties={"name": STRING, "value": NUMBER, "other": STRING})
MAP_OF_STRINGS = Shape(What.MAP, go="map[string]string", items=STRING)
TYPE = Shape(
    What.OBJECT,
    go="v1.Thing",
    properties={
        "number": NUMBER,
        "text": STRING,
        "labels": MAP_OF_STRINGS,
        "selector": Shape(What.MAP, go="map[string]string", items=STRING, map_type="atomic"),
        "struct": Shape(What.OBJECT, go="v1.Struct", properties={"a": NUMBER, "b": NUMBER}),
        "whole": Shape(What.OBJECT, go="v1.Whole", properties={"a": NUMBER, "b": NUMBER}, map_type="atomic"),
        "list": Shape(What.ARRAY, go="[]v1.Item", items=ITEM, list_type="map", list_keys=("name",)),
        "set": Shape(What.ARRAY, go="[]string", items=STRING, list_type="set"),
        "atomic": Shape(What.ARRAY, go="[]string", items=STRING, list_type="atomic"),
        "free": Shape(What.MAP, go="map[string]any", keeps_unknown=True),
    },
)
NODE = typed.root_of(TYPE)
THING = Typing("v1", NODE)


class World:
    """An object and its managers."""

    def __init__(self) -> None:
        self.obj: Json = {}
        self.managers: Managers = {}

    def apply(self, name: str, config: Json, *, force: bool = False) -> None:
        """By an applier."""
        how = Applying(Manager(name, "Apply"), "now", force)
        self.obj, self.managers = apply.apply(THING, self.obj, config, self.managers, how)

    def update(self, name: str, obj: Json) -> None:
        """By an updater."""
        self.managers = apply.track_update(THING, self.obj, obj, self.managers, Manager(name, "Update", "v1"), "now")
        self.obj = obj

    def owners(self, path: str) -> set[str]:
        """Who owns a field."""
        return {who.name for who, owned in self.managers.items() if path in set(field_set.paths(owned.fields))}


@pytest.fixture
def world() -> World:
    """Nothing yet."""
    return World()


def test_an_applier_owns_what_it_sends(world: World) -> None:
    world.apply("ann", {"number": 1, "labels": {"a": "x"}, "list": [{"name": "i", "value": 1}], "set": ["s"]})
    (owned,) = world.managers.values()
    assert list(field_set.paths(owned.fields)) == [
        ".number",
        ".labels.a",
        '.list[name="i"]',
        '.list[name="i"].name',
        '.list[name="i"].value',
        '.set[="s"]',
    ]


def test_another_value_is_a_conflict_and_force_takes_the_field(world: World) -> None:
    world.apply("ann", {"number": 1, "text": "a"})
    with pytest.raises(Conflicts) as refused:
        world.apply("bob", {"number": 2, "text": "a"})
    assert [(one.manager.name, one.path) for one in refused.value.listed()] == [("ann", ".number")]
    world.apply("bob", {"number": 2}, force=True)
    assert world.obj == {"number": 2, "text": "a"}
    assert (world.owners(".number"), world.owners(".text")) == ({"bob"}, {"ann"})


def test_the_same_value_is_owned_together_and_stays_while_anybody_owns_it(world: World) -> None:
    world.apply("ann", {"number": 1})
    world.apply("bob", {"number": 1})
    assert world.owners(".number") == {"ann", "bob"}
    world.apply("ann", {})
    assert world.obj == {"number": 1}
    world.apply("bob", {})
    assert world.obj == {}


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        pytest.param({"number": 1, "text": "t"}, {"text": "t"}, {"text": "t"}, id="field"),
        pytest.param({"labels": {"a": "x", "b": "y"}}, {"labels": {"b": "y"}}, {"labels": {"b": "y"}}, id="map-key"),
        pytest.param({"set": ["a", "b"]}, {"set": ["b"]}, {"set": ["b"]}, id="item-of-a-set"),
        pytest.param(
            {"list": [{"name": "a"}, {"name": "b"}]}, {"list": [{"name": "b"}]}, {"list": [{"name": "b"}]}, id="item"
        ),
        pytest.param(
            {"list": [{"name": "a", "value": 1}]}, {"list": [{"name": "a"}]}, {"list": [{"name": "a"}]}, id="in-an-item"
        ),
        pytest.param({"struct": {"a": 1, "b": 2}}, {"struct": {"b": 2}}, {"struct": {"b": 2}}, id="in-a-struct"),
        pytest.param({"atomic": ["a", "b"]}, {"atomic": ["b"]}, {"atomic": ["b"]}, id="atomic-list"),
        pytest.param({"whole": {"a": 1, "b": 2}}, {"whole": {"a": 1}}, {"whole": {"a": 1}}, id="atomic-struct"),
        pytest.param(
            {"free": {"x": {"y": 1, "z": 2}}}, {"free": {"x": {"y": 1}}}, {"free": {"x": {"y": 1}}}, id="free"
        ),
    ],
)
def test_what_is_sent_no_longer_is_removed(world: World, first: Json, second: Json, left: Json) -> None:
    world.apply("ann", first)
    world.apply("ann", second)
    assert world.obj == left


def test_what_an_updater_set_is_not_removed_by_an_applier_that_never_owned_it(world: World) -> None:
    world.apply("ann", {"labels": {"a": "x"}})
    world.update("ctl", {"labels": {"a": "x", "b": "y"}, "number": 5})
    world.apply("ann", {})
    assert world.obj == {"labels": {"b": "y"}, "number": 5}


def test_an_item_to_which_somebody_added_a_field_stays_with_that_field(world: World) -> None:
    world.apply("ann", {"list": [{"name": "a", "value": 1}]})
    world.apply("bob", {"list": [{"name": "a", "other": "o"}]})
    world.apply("ann", {})
    assert world.obj == {"list": [{"name": "a", "other": "o"}]}


def test_an_update_takes_what_it_changes_and_only_that(world: World) -> None:
    world.apply("ann", {"number": 1, "text": "t"})
    world.update("ctl", {"number": 2, "text": "t"})
    assert (world.owners(".number"), world.owners(".text")) == ({"ctl"}, {"ann"})
    with pytest.raises(Conflicts):
        world.apply("ann", {"number": 1, "text": "t"})


def test_an_update_that_removes_a_field_leaves_it_to_nobody(world: World) -> None:
    world.apply("ann", {"number": 1, "text": "t"})
    world.update("ctl", {"text": "t"})
    assert world.owners(".number") == set()
    world.apply("bob", {"number": 9})
    assert world.obj["number"] == 9


def test_an_update_that_changes_nothing_changes_no_manager(world: World) -> None:
    world.apply("ann", {"number": 1})
    before = world.managers
    world.update("ctl", {"number": 1})
    assert world.managers is before


def test_atomic_parts_are_owned_as_a_whole(world: World) -> None:
    world.apply("ann", {"selector": {"a": "x"}, "atomic": ["a"], "whole": {"a": 1}})
    for config in ({"selector": {"b": "y"}}, {"atomic": ["b"]}, {"whole": {"b": 1}}):
        with pytest.raises(Conflicts):
            world.apply("bob", config)


def test_lists_are_merged_in_the_configured_order_around_what_others_have(world: World) -> None:
    world.apply("ann", {"set": ["a", "c"]})
    world.apply("bob", {"set": ["c", "b"]})
    assert world.obj["set"] == ["a", "c", "b"]
    world.apply("bob", {"set": ["b", "c", "a"]})
    assert world.obj["set"] == ["b", "c", "a"]


def test_a_manager_of_another_version_is_compared_in_that_version_and_one_of_none_is_forgotten() -> None:
    renamed = Shape(What.OBJECT, go="v1.Thing", properties={"count": NUMBER, "text": STRING})

    def as_v2(obj: Json) -> Json:
        return {"count" if key == "number" else key: value for key, value in obj.items()}

    def others(version: str) -> apply.View | None:
        return apply.View(typed.root_of(renamed), as_v2) if version == "v2" else None

    kinds = Typing("v1", NODE, others=others)
    managers: Managers = {
        Manager("new", "Update", "v2"): apply.Owned({"f:count": {}, "f:text": {}}, "v2"),
        Manager("gone", "Update", "v0"): apply.Owned({"f:text": {}}, "v0"),
    }
    old, new = {"number": 1, "text": "t"}, {"number": 2, "text": "t"}
    found = apply.track_update(kinds, old, new, managers, Manager("ann", "Update", "v1"), "now")
    assert {who.name: owned.fields for who, owned in found.items()} == {
        "new": {"f:text": {}},
        "ann": {"f:number": {}},
    }


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"number": "1"}, ".number: expected numeric (int or float), got string"),
        ({"nope": 1}, ".nope: field not declared in schema"),
        ({"set": ["a", "a"]}, '.set: duplicate entries for key [="a"]'),
        ({"set": [{}]}, ".set: element 0: associative list without keys has an element that's a map type"),
        ({"list": [{"name": "a"}, {"name": "a"}]}, '.list: duplicate entries for key [name="a"]'),
        (
            {"list": [{"value": 1}]},
            '.list: element 0: associative list with keys has an element that omits all key fields ["name"] '
            "(and doesn't have default values for any key fields)",
        ),
        ({"list": [{"name": "a", "value": "x"}]}, '.list[name="a"].value: expected numeric (int or float), got string'),
    ],
)
def test_what_cannot_be_applied_is_told_in_upstreams_words(config: Json, problem: str) -> None:
    assert typed.first_problems(NODE, config) == [problem]


CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "number": st.integers(0, 2),
        "labels": st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), min_size=1),
        "struct": st.fixed_dictionaries({}, optional={"a": st.integers(0, 1), "b": st.integers(0, 1)}).filter(bool),
        "set": st.lists(st.sampled_from("abc"), unique=True, min_size=1),
        "list": st.lists(st.sampled_from("abc"), unique=True, min_size=1).flatmap(
            lambda names: st.tuples(
                *(
                    st.fixed_dictionaries({"name": st.just(name)}, optional={"value": st.integers(0, 1)})
                    for name in names
                )
            ).map(list)
        ),
        "atomic": st.lists(st.sampled_from("ab"), min_size=1),
    },
)


def existing(obj: Json) -> set[str]:
    """All paths of an object."""
    return set(field_set.paths(NODE.everything(obj)))


@given(st.lists(st.tuples(st.sampled_from(["ann", "bob", "ctl"]), CONFIGS), max_size=6))
def test_managers_own_only_what_exists_and_applying_again_changes_nothing(steps: list[tuple[str, Json]]) -> None:
    world = World()
    for name, config in steps:
        if name == "ctl":
            world.update(name, config)
            continue
        world.apply(name, config, force=True)
        for path in field_set.paths(typed.fields_of(NODE, config)):
            assert name in world.owners(path)
        again = apply.apply(THING, world.obj, config, world.managers, Applying(Manager(name, "Apply"), "now"))
        assert again == (world.obj, world.managers)
    for owned in world.managers.values():
        assert set(field_set.paths(owned.fields)) <= existing(world.obj)


@given(CONFIGS, CONFIGS)
def test_a_comparison_and_its_reverse_agree(old: Json, new: Json) -> None:
    there, back = typed.compare(NODE, old, new), typed.compare(NODE, new, old)
    assert (there.removed, there.added) == (back.added, back.removed)
    assert there.modified == back.modified
    assert there.same == (_unordered(old) == _unordered(new))


def _unordered(obj: Json) -> Json:
    """Sets and lists with keys say the same in any order."""
    return {name: sorted(value, key=str) if name in ("set", "list") else value for name, value in obj.items()}


def test_a_dropped_configuration_drops_everything_it_alone_owned() -> None:
    world = World()
    everything: dict[str, Any] = {"number": 1, "labels": {"a": "x"}, "struct": {"a": 1}, "set": ["a"], "atomic": ["a"]}
    world.apply("ann", everything)
    world.apply("ann", {})
    assert world.obj == {}
    assert world.managers == {}
