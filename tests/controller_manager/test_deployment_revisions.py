"""Which ReplicaSet is current, hashes, revisions, history, clean-up."""

from typing import Any

import pytest

from controller_manager import deployment_revisions as revisions
from machinery.api import codec, meta
from machinery.api.codec import Json
from tests.controller_manager.objects import deployment, replica_set, template


def test_the_hash_is_stable_short_and_changes_with_template_and_collisions() -> None:
    shuffled = {"spec": template("a")["spec"], "metadata": template("a")["metadata"]}
    hashed = revisions.template_hash(template("a"))
    assert hashed == revisions.template_hash(shuffled)
    assert len({hashed, revisions.template_hash(template("b")), revisions.template_hash(template("a"), 1)}) == 3
    assert len(hashed) <= 10


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param({}, True, id="equal"),
        pytest.param({"metadata": {"labels": {"app": "web", revisions.HASH_LABEL: "x"}}}, True, id="but-for-the-hash"),
        pytest.param({"metadata": {"labels": {"app": "web"}, "creationTimestamp": None}}, True, id="but-for-a-null"),
        pytest.param({"metadata": {"labels": {"app": "db"}}}, False, id="other-labels"),
        pytest.param({"metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}}}, False, id="annotations"),
        pytest.param({"spec": {"containers": []}}, False, id="other-spec"),
    ],
)
def test_templates_are_compared_without_the_hash_label(change: Json, same: bool) -> None:
    assert revisions.same_template(template("a"), template("a") | change) is same


def test_the_oldest_of_several_replica_sets_of_a_template_is_the_current_one() -> None:
    young = replica_set("young", 1, template=template("new"), created="2026-01-01T00:00:05Z")
    old = replica_set("old", 1, template=template("new"), created="2026-01-01T00:00:01Z")
    other = replica_set("other", 1, created="2026-01-01T00:00:00Z")
    new, rest = revisions.split(deployment(1), [young, other, old])
    assert meta.name_of(new or {}) == "old"
    assert [meta.name_of(rs) for rs in rest] == ["other", "young"]


@pytest.mark.parametrize(
    ("present", "revision", "expected"),
    [
        pytest.param({}, 1, {revisions.REVISION: "1", "a": "b"}, id="new"),
        pytest.param({revisions.REVISION: "2"}, 2, {revisions.REVISION: "2", "a": "b"}, id="nothing-to-raise"),
        pytest.param({revisions.REVISION: "9"}, 4, {revisions.REVISION: "9", "a": "b"}, id="never-lowered"),
        pytest.param(
            {revisions.REVISION: "9"},
            10,
            {revisions.REVISION: "10", revisions.REVISION_HISTORY: "9", "a": "b"},
            id="numbers-not-texts-are-compared",
        ),
        pytest.param(
            {revisions.REVISION: "3", revisions.REVISION_HISTORY: "1"},
            5,
            {revisions.REVISION: "5", revisions.REVISION_HISTORY: "1,3", "a": "b"},
            id="a-rollback-remembers",
        ),
    ],
)
def test_annotations_of_the_current_replica_set(present: Json, revision: int, expected: Json) -> None:
    owner = deployment(1, annotations={"a": "b", revisions.REVISION: "7", revisions.DESIRED_REPLICAS: "7"})
    assert revisions.annotations_for(owner, present, revision) == expected


def test_a_new_replica_set_carries_the_hash_in_name_labels_selector_and_template() -> None:
    owner = deployment(3, spec={"minReadySeconds": 5})
    before = codec.copy_of(owner)
    made = revisions.new_replica_set(owner, [], {revisions.DESIRED_REPLICAS: "3"}, 3)
    hashed = made["metadata"]["labels"][revisions.HASH_LABEL]
    assert made["metadata"]["name"] == f"web-{hashed}"
    assert made["spec"]["selector"] == {"matchLabels": {"app": "web", revisions.HASH_LABEL: hashed}}
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": "web", revisions.HASH_LABEL: hashed}
    assert made["metadata"]["annotations"] == {revisions.REVISION: "1", revisions.DESIRED_REPLICAS: "3"}
    assert (made["spec"]["replicas"], made["spec"]["minReadySeconds"]) == (3, 5)
    assert owner == before


def _old(name: str, revision: int, **more: Any) -> Json:
    return replica_set(name, more.pop("replicas", 0), annotations={revisions.REVISION: str(revision)}, **more)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(None, []), (2**31 - 1, []), (3, []), (2, ["one"]), (0, ["one", "two"])],
)
def test_the_lowest_revisions_beyond_the_limit_go_but_only_empty_ones(limit: int | None, expected: list[str]) -> None:
    old = [_old("ten", 10, status={"replicas": 1}), _old("two", 2), _old("one", 1)]
    owner = deployment(1, spec={"revisionHistoryLimit": limit})
    assert [meta.name_of(rs) for rs in revisions.to_clean_up(owner, old)] == expected
