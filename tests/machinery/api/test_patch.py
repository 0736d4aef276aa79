"""The three patches: what they do to a document, and in which words they refuse."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machinery.api import codec, kinds
from machinery.api.codec import Json
from machinery.api.patch import (
    MalformedPatch,
    PatchDoesNotApply,
    PatchTooLarge,
    json_patch,
    merge_patch,
    strategic_merge_patch,
)
from machinery.api.schema import schema_of

DOC: Json = {"a": {"b": 1, "c~/d": 2}, "l": [1, 2, 3], "n": None}


@pytest.mark.parametrize(
    ("operations", "result"),
    [
        pytest.param([{"op": "add", "path": "/x", "value": 1}], {**DOC, "x": 1}, id="add-key"),
        pytest.param([{"op": "add", "path": "/l/1", "value": 9}], {**DOC, "l": [1, 9, 2, 3]}, id="add-index"),
        pytest.param([{"op": "add", "path": "/l/-", "value": 9}], {**DOC, "l": [1, 2, 3, 9]}, id="append"),
        pytest.param([{"op": "remove", "path": "/l/0"}], {**DOC, "l": [2, 3]}, id="remove-index"),
        pytest.param([{"op": "remove", "path": "/l/-1"}], {**DOC, "l": [1, 2]}, id="remove-from-the-end"),
        pytest.param([{"op": "remove", "path": "/a/c~0~1d"}], {**DOC, "a": {"b": 1}}, id="escaped"),
        pytest.param(
            [{"op": "replace", "path": "/a/b", "value": {}}], {**DOC, "a": {"b": {}, "c~/d": 2}}, id="replace"
        ),
        pytest.param([{"op": "move", "from": "/a/b", "path": "/z"}], {**DOC, "a": {"c~/d": 2}, "z": 1}, id="move"),
        pytest.param([{"op": "copy", "from": "/l", "path": "/z"}], {**DOC, "z": [1, 2, 3]}, id="copy"),
        pytest.param([{"op": "test", "path": "/a/b", "value": 1}], DOC, id="test"),
        pytest.param([{"op": "test", "path": "/a", "value": {"c~/d": 2, "b": 1}}], DOC, id="test-any-order"),
        pytest.param([{"op": "test", "path": "/missing", "value": None}], DOC, id="test-absent-is-null"),
        pytest.param([], DOC, id="nothing"),
    ],
)
def test_a_json_patch_is_applied(operations: list[Json], result: Json) -> None:
    assert json_patch(DOC, operations) == result


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        ({"op": "test", "path": "/a/b", "value": 2}, "testing value /a/b failed: test failed"),
        ({"op": "test", "path": "/a/b", "value": True}, "testing value /a/b failed: test failed"),
        (
            {"op": "test", "path": "/x/y", "value": 1},
            "test operation does not apply: is missing path: /x/y: missing value",
        ),
        (
            {"op": "remove", "path": "/x"},
            "error in remove for path: '/x': Unable to remove nonexistent key: x: missing value",
        ),
        (
            {"op": "remove", "path": "/x/y"},
            'remove operation does not apply: doc is missing path: "/x/y": missing value',
        ),
        (
            {"op": "replace", "path": "/x", "value": 1},
            "replace operation does not apply: doc is missing key: /x: missing value",
        ),
        (
            {"op": "add", "path": "/x/y", "value": 1},
            'add operation does not apply: doc is missing path: "/x/y": missing value',
        ),
        (
            {"op": "add", "path": "/l/9", "value": 1},
            "error in add for path: '/l/9': Unable to access invalid index: 9: invalid index referenced",
        ),
        (
            {"op": "add", "path": "/l/x", "value": 1},
            "error in add for path: '/l/x': value was not a proper array index: 'x': "
            'strconv.Atoi: parsing "x": invalid syntax',
        ),
        ({"op": "jump", "path": "/a"}, "Unexpected kind: jump"),
        ({"path": "/a"}, "Unexpected kind: unknown"),
    ],
)
def test_a_json_patch_that_does_not_fit_is_refused_in_upstreams_words(operation: Json, text: str) -> None:
    with pytest.raises(PatchDoesNotApply) as caught:
        json_patch(DOC, [operation])
    assert str(caught.value) == text


@pytest.mark.parametrize("operations", [{}, ["x"]])
def test_a_json_patch_that_makes_no_sense_is_malformed(operations: Any) -> None:
    with pytest.raises(MalformedPatch):
        json_patch(DOC, operations)


def test_a_json_patch_has_ten_thousand_operations_at_most() -> None:
    with pytest.raises(PatchTooLarge, match="The allowed maximum operations in a JSON patch is 10000, got 10001"):
        json_patch(DOC, [{"op": "test", "path": "/a"}] * 10_001)


def test_a_json_patch_that_copies_a_document_into_itself_again_and_again_is_refused() -> None:
    doubling = [{"op": "copy", "from": "/l", "path": f"/l/{n}"} for n in range(60)]
    with pytest.raises(PatchDoesNotApply, match="the accumulated size increase of copy is .* exceeding the limit"):
        json_patch(DOC, doubling)


def test_a_json_patch_that_nests_deeper_than_can_be_written_is_refused() -> None:
    deeper = [{"op": "add", "path": "/n", "value": {}}, {"op": "copy", "from": "/n", "path": "/n/n"}]
    deeper += [{"op": "copy", "from": "/n", "path": "/n" + "/n" * 2**n} for n in range(10)]
    with pytest.raises(PatchDoesNotApply, match="deep copy"):
        json_patch(DOC, deeper)


# the table of RFC 7386, appendix A, as far as objects are concerned
@pytest.mark.parametrize(
    ("doc", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_merges_as_the_rfc_says(doc: Json, patch: Json, result: Json) -> None:
    assert merge_patch(doc, patch) == result


def test_a_merge_patch_that_is_no_object_is_malformed() -> None:
    with pytest.raises(MalformedPatch):
        merge_patch({}, [1])


POD = schema_of(kinds.PODS).shape
DEPLOYMENT = schema_of(kinds.DEPLOYMENTS).shape
SERVICE = schema_of(kinds.SERVICES).shape


def _spec(**fields: Any) -> Json:
    return {"spec": fields}


def _named(*names: str) -> list[Json]:
    return [{"name": name, "image": f"{name}:1"} for name in names]


STRATEGIC = [
    pytest.param(
        _spec(containers=_named("a", "b")),
        _spec(containers=[{"name": "b", "image": "b:2"}]),
        _spec(containers=[{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:2"}]),
        id="merged-by-name",
    ),
    pytest.param(
        _spec(containers=_named("a")),
        _spec(containers=_named("b")),
        _spec(containers=_named("a", "b")),
        id="new-element-behind",
    ),
    pytest.param(
        _spec(containers=_named("a", "b")),
        _spec(containers=[{"$patch": "delete", "name": "a"}]),
        _spec(containers=_named("b")),
        id="element-deleted",
    ),
    pytest.param(
        _spec(containers=_named("a", "b")),
        _spec(containers=[{"$patch": "replace"}, *_named("c")]),
        _spec(containers=_named("c")),
        id="list-replaced",
    ),
    pytest.param(
        _spec(tolerations=[{"key": "a"}]),
        _spec(tolerations=[{"key": "b"}]),
        _spec(tolerations=[{"key": "b"}]),
        id="atomic-list",
    ),
    pytest.param(
        _spec(nodeSelector={"a": "1", "b": "2"}),
        _spec(nodeSelector={"$patch": "replace", "c": "3"}),
        _spec(nodeSelector={"c": "3"}),
        id="map-replaced",
    ),
    pytest.param(
        _spec(nodeSelector={"a": "1"}),
        _spec(nodeSelector={"$patch": "delete"}),
        _spec(nodeSelector={}),
        id="map-emptied",
    ),
    pytest.param(
        _spec(nodeSelector={"a": "1"}, hostname="x"),
        _spec(nodeSelector=None, hostname=None),
        _spec(),
        id="nulls-remove",
    ),
    pytest.param(
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"finalizers": ["c", "a"]}},
        {"metadata": {"finalizers": ["a", "b", "c"]}},
        id="primitives-merged",
    ),
    pytest.param(
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}},
        {"metadata": {"finalizers": ["b"]}},
        id="primitive-deleted",
    ),
    pytest.param(
        _spec(volumes=[{"name": "v", "emptyDir": {}}]),
        _spec(volumes=[{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}]),
        _spec(volumes=[{"name": "v", "configMap": {"name": "c"}}]),
        id="union-member-exchanged",
    ),
    pytest.param(
        _spec(containers=_named("a", "b", "c")),
        {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}]}},
        _spec(containers=_named("c", "a", "b")),
        id="ordered",
    ),
    pytest.param(
        _spec(containers=_named("a", "injected", "b")),
        {
            "spec": {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                "containers": [{"name": "b", "image": "b:2"}],
            }
        },
        _spec(
            containers=[
                {"name": "injected", "image": "injected:1"},
                {"name": "b", "image": "b:2"},
                {"name": "a", "image": "a:1"},
            ]
        ),
        id="ordered-among-the-servers-own",
    ),
    pytest.param(
        _spec(containers=_named("a", "gone")),
        {
            "spec": {
                "$setElementOrder/containers": [{"name": "a"}],
                "containers": [{"$patch": "delete", "name": "gone"}],
            }
        },
        _spec(containers=_named("a")),
        id="ordered-and-deleted",
    ),
    pytest.param(
        _spec(),
        _spec(
            volumes=[{"name": "v", "$retainKeys": ["name"], "emptyDir": None}, {"$patch": "delete", "name": "w"}],
            nodeSelector={"$patch": "replace", "a": "1"},
        ),
        _spec(volumes=[{"name": "v"}], nodeSelector={"a": "1"}),
        id="no-directive-survives",
    ),
    pytest.param(
        {"metadata": {"ownerReferences": [{"uid": "1", "name": "a"}, {"uid": "2", "name": "b"}]}},
        {"metadata": {"ownerReferences": [{"$patch": "delete", "uid": "1"}]}},
        {"metadata": {"ownerReferences": [{"uid": "2", "name": "b"}]}},
        id="owner-released-by-uid",
    ),
    pytest.param(
        {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "x"}]}},
        {
            "status": {
                "$setElementOrder/conditions": [{"type": "Ready"}],
                "conditions": [{"type": "Ready", "status": "True"}],
            }
        },  # noqa: E501
        {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "x"}]}},
        id="condition-by-type",
    ),
]


@pytest.mark.parametrize(("doc", "patch", "result"), STRATEGIC)
def test_a_strategic_patch_merges_by_the_schema(doc: Json, patch: Json, result: Json) -> None:
    assert strategic_merge_patch(doc, patch, POD) == result


@pytest.mark.parametrize(("doc", "patch", "result"), STRATEGIC)
def test_a_strategic_patch_leaves_its_arguments_alone(doc: Json, patch: Json, result: Json) -> None:
    before = codec.dumps([doc, patch])
    strategic_merge_patch(doc, patch, POD)
    assert codec.dumps([doc, patch]) == before


def test_the_patch_of_rollout_restart_touches_one_annotation() -> None:
    doc = _spec(replicas=2, template={"metadata": {"labels": {"a": "b"}}, "spec": {"containers": _named("a")}})
    stamp = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    patched = strategic_merge_patch(doc, _spec(template={"metadata": {"annotations": stamp}}), DEPLOYMENT)
    assert patched["spec"]["template"] == {
        "metadata": {"labels": {"a": "b"}, "annotations": stamp},
        "spec": {"containers": _named("a")},
    }


def test_service_ports_are_merged_by_port() -> None:
    doc = _spec(ports=[{"port": 80, "name": "http"}, {"port": 443, "name": "https"}])
    patched = strategic_merge_patch(doc, _spec(ports=[{"port": 443, "targetPort": 8443}]), SERVICE)
    assert patched["spec"]["ports"][1] == {"port": 443, "name": "https", "targetPort": 8443}


def test_changing_the_strategy_type_drops_the_rolling_update() -> None:
    doc = _spec(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}})
    patch = _spec(strategy={"$retainKeys": ["type"], "type": "Recreate"})
    assert strategic_merge_patch(doc, patch, DEPLOYMENT) == _spec(strategy={"type": "Recreate"})


@pytest.mark.parametrize(
    ("patch", "error", "text"),
    [
        pytest.param([], MalformedPatch, "invalid JSON document", id="no-object"),
        pytest.param(
            _spec(containers=[{"image": "x"}]),
            PatchDoesNotApply,
            'map: {"image":"x"} does not contain declared merge key: name',
            id="no-merge-key",
        ),
        pytest.param(
            _spec(nodeSelector={"$patch": "jump"}),
            MalformedPatch,
            'unknown patch type: jump in map: {"$patch":"jump"}',
            id="unknown-directive",
        ),
        pytest.param(
            _spec(containers=[{"$patch": "merge", "name": "a"}]),
            MalformedPatch,
            "merging lists cannot yet be specified in the patch",
            id="merge-directive",
        ),
        pytest.param(
            {"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}},
            MalformedPatch,
            'The order in patch list:\n["b"]\n doesn\'t match $setElementOrder list:\n["a"]\n',
            id="order-contradicts",
        ),
        pytest.param(
            _spec(nodeSelector={"$retainKeys": ["a"], "b": "1"}),
            MalformedPatch,
            "invalid patch format of retainKeys",
            id="retain-keys-contradict",
        ),
    ],
)
def test_a_strategic_patch_that_is_wrong_is_refused(patch: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        strategic_merge_patch(_spec(containers=_named("a"), nodeSelector={"a": "1"}), patch, POD)
    assert str(caught.value) == text


LEAVES = st.none() | st.booleans() | st.integers(0, 3) | st.text("ab", max_size=2)
KEYS = st.sampled_from("abc")
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))


def _difference(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    gone = {key: None for key in old if key not in new}
    return gone | {key: _difference(old.get(key), value) for key, value in new.items() if old.get(key) != value}


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(item is None or _has_null(item) for item in value.values())
    return False


@given(st.dictionaries(KEYS, TREES), st.dictionaries(KEYS, TREES))
def test_the_difference_of_two_documents_as_a_merge_patch_makes_one_the_other(old: Json, new: Json) -> None:
    if not _has_null(new) and not _has_null(old):
        assert codec.dumps(merge_patch(old, _difference(old, new))) is not None
        assert merge_patch(old, _difference(old, new)) == new
