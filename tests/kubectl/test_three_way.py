"""The three-way merge: what is sent, and that sending it makes the object as the file says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl.apply import last_applied
from kubectl.apply.three_way import NoMergeKey, create_patch
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.patch import merge_patch, strategic_merge_patch
from machinery.api.schema import definition_of, shape_named

DEPLOYMENT = shape_named(definition_of(kinds.DEPLOYMENTS))
POD = shape_named(definition_of(kinds.PODS))


def with_containers(*containers: Json) -> Json:
    """A pod with these containers."""
    return {"spec": {"containers": list(containers)}}


A1, A2, B, C = {"name": "a", "image": "1"}, {"name": "a", "image": "2"}, {"name": "b"}, {"name": "c"}
ORDER_A: Json = {"$setElementOrder/containers": [{"name": "a"}]}


@pytest.mark.parametrize(
    ("original", "modified", "current", "patch"),
    [
        pytest.param({"a": 1}, {"a": 1}, {"a": 1, "b": 2}, {}, id="what-others-set-stays"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}, id="changed-in-the-file"),
        pytest.param({"a": 1}, {"a": 1}, {"a": 3}, {"a": 1}, id="changed-by-others-is-set-back"),
        pytest.param({"a": 1, "b": 1}, {"a": 1}, {"a": 1, "b": 1}, {"b": None}, id="gone-from-the-file"),
        pytest.param({}, {"m": {"x": 1}}, {}, {"m": {"x": 1}}, id="new"),
        pytest.param({"m": {"x": 1}}, {"m": {}}, {"m": {"x": 1}}, {"m": {"x": None}}, id="deep"),
        pytest.param({}, {"a": 1}, {"a": True}, {"a": 1}, id="a-number-is-no-boolean"),
        pytest.param(
            with_containers(A1),
            with_containers(A2),
            with_containers(A1 | {"tty": False}),
            {"spec": ORDER_A | {"containers": [A2]}},
            id="an-element-by-its-key",
        ),
        pytest.param(
            with_containers(A1, B),
            with_containers(A1),
            with_containers(A1, B, C),
            {"spec": ORDER_A | {"containers": [{"$patch": "delete", "name": "b"}]}},
            id="an-element-gone-from-the-file",
        ),
        pytest.param(
            with_containers(B, A1),
            with_containers(A1, B),
            with_containers(B, A1),
            {"spec": {"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}]}},
            id="only-the-order-changed",
        ),
        pytest.param(
            {"metadata": {"finalizers": ["x", "y"]}},
            {"metadata": {"finalizers": ["y", "z"]}},
            {"metadata": {"finalizers": ["x", "y", "w"]}},
            {
                "metadata": {
                    "$deleteFromPrimitiveList/finalizers": ["x"],
                    "$setElementOrder/finalizers": ["y", "z"],
                    "finalizers": ["z"],
                }
            },
            id="scalars-merged-as-a-set",
        ),
        pytest.param(
            {"spec": {"containers": [{"name": "a", "args": ["1"]}]}},
            {"spec": {"containers": [{"name": "a", "args": ["1", "2"]}]}},
            {"spec": {"containers": [{"name": "a", "args": ["1"]}]}},
            {"spec": ORDER_A | {"containers": [{"name": "a", "args": ["1", "2"]}]}},
            id="a-plain-list-is-replaced",
        ),
    ],
)
def test_the_patch_says_what_the_file_changed(original: Json, modified: Json, current: Json, patch: Json) -> None:
    assert create_patch(original, modified, current, POD) == patch


def test_fields_of_a_union_that_the_file_does_not_name_go() -> None:
    current = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    modified = {"spec": {"strategy": {"type": "Recreate"}}}
    patch = create_patch({}, modified, current, DEPLOYMENT)
    assert patch == {"spec": {"strategy": {"type": "Recreate", "$retainKeys": ["type"]}}}
    assert strategic_merge_patch(current, patch, DEPLOYMENT) == modified


def test_an_element_without_its_merge_key_is_refused() -> None:
    with pytest.raises(NoMergeKey):
        create_patch({}, with_containers({"image": "x"}), with_containers(A1), POD)


def test_two_ports_of_one_number_are_told_apart() -> None:
    ports = [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}]
    pod = with_containers({"name": "a", "ports": ports})
    assert create_patch(pod, pod, pod, POD) == {}


names = st.sampled_from("abcd")
containers = st.lists(
    st.builds(lambda name, image: {"name": name, "image": image}, names, names), unique_by=lambda c: c["name"]
)
labels = st.dictionaries(names, names)
finalizers = st.lists(names, unique=True)
pods = st.builds(
    lambda c, label, f: {"metadata": {"labels": label, "finalizers": f}, "spec": {"containers": c}},
    containers,
    labels,
    finalizers,
)


@given(pods, pods)
def test_what_was_applied_and_not_touched_becomes_as_the_file_says(original: Json, modified: Json) -> None:
    patch = create_patch(original, modified, original, POD)
    result = strategic_merge_patch(original, patch, POD)
    assert result["metadata"].get("labels", {}) == modified["metadata"]["labels"]
    assert result["metadata"].get("finalizers", []) == modified["metadata"]["finalizers"]
    assert result["spec"].get("containers", []) == modified["spec"]["containers"]
    assert create_patch(modified, modified, result, POD) == {}


@given(pods, pods)
def test_without_a_schema_the_patch_is_a_merge_patch(original: Json, modified: Json) -> None:
    patch = create_patch(original, modified, original, None)
    assert merge_patch(original, patch) == modified


def test_the_annotation_is_upstreams_to_the_byte() -> None:
    obj: Json = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"k": "<&"}}
    remembered = last_applied.with_annotation(obj)["metadata"]["annotations"][last_applied.ANNOTATION]
    assert remembered == (
        '{"apiVersion":"v1","data":{"k":"\\u003c\\u0026"},"kind":"ConfigMap","metadata":{"annotations":{},"name":"a"}}\n'
    )


def test_the_annotation_does_not_contain_itself() -> None:
    once = last_applied.with_annotation({"metadata": {"annotations": {"x": "y"}}})
    assert last_applied.with_annotation(once) == once
    assert last_applied.original_of(once) == {"metadata": {"annotations": {"x": "y"}}}
