"""Handlers: what clients see of get, list, create, update, patch, delete and scale."""

from collections.abc import Mapping

import pytest
import yaml

from apiserver.handlers import rendering
from machinery.api import errors
from machinery.api.codec import Json
from tests.apiserver.handlers.calls import Caller
from tests.fakes.storage import MemoryStorage

MAPS = "/api/v1/namespaces/a/configmaps"
PODS = "/api/v1/namespaces/a/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/a/deployments"
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
MERGE = {"content-type": "application/merge-patch+json"}


def _map(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _pod(name: str, **spec: object) -> Json:
    spec = {"containers": [{"name": "c", "image": "i"}], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _deployment(name: str, replicas: int = 1) -> Json:
    template = {"metadata": {"labels": {"app": name}}, "spec": _pod("x")["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


async def test_an_object_comes_back_as_it_was_written(api: Caller) -> None:
    made = await api("POST", MAPS, _map("x", k="v"))
    assert made.status == 201
    assert (await api("GET", f"{MAPS}/x")).json == made.json
    assert (await api("GET", f"{MAPS}/x?resourceVersion=0")).json == made.json
    with pytest.raises(errors.NotFound, match='configmaps "y" not found'):
        await api("GET", f"{MAPS}/y")


async def test_yaml_is_read_and_written(api: Caller) -> None:
    text = b"{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {day: 2026-01-01, 1: 'one'}}"
    made = await api("POST", MAPS, text, {"content-type": "application/yaml", "accept": "application/yaml"})
    assert made.content_type == "application/yaml"
    assert yaml.safe_load(made.raw)["data"] == {"day": "2026-01-01", "1": "one"}


@pytest.mark.parametrize(
    ("body", "headers", "expected", "text"),
    [
        pytest.param(
            b"{",
            {},
            errors.BadRequest,
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse "
            "error: unexpected end of JSON input ({)",
            id="no-json",
        ),
        pytest.param(b'{"x":' * 300 + b"1" + b"}" * 300, {}, errors.BadRequest, "exceeded max depth", id="too-deep"),
        pytest.param(
            b"[" * 900 + b"]" * 900,
            {"content-type": "application/yaml"},
            errors.BadRequest,
            "error converting YAML to JSON: yaml: exceeded max depth",
            id="too-deep-yaml",
        ),
        pytest.param(
            b"- " * 200_000,
            {"content-type": "application/yaml"},
            errors.BadRequest,
            "exceeded max depth",
            id="deeper-than-the-c-stack-in-yaml",
        ),
        pytest.param(
            b"a: [" + b"1," * 300_000 + b"]",
            {"content-type": "application/yaml"},
            errors.BadRequest,
            "document has more than 100000 values",
            id="too-many-nodes-in-yaml",
        ),
        pytest.param(
            b"a: &a [x,x,x,x,x,x,x,x]\n"
            + b"".join(b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (n, n, *[n - 1] * 8) for n in range(98, 116)),
            {"content-type": "application/yaml"},
            errors.BadRequest,
            "document contains excessive aliasing",
            id="a-billion-laughs",
        ),
        pytest.param(
            b"a: &a [*a]", {"content-type": "application/yaml"}, errors.BadRequest, "excessive aliasing", id="in-itself"
        ),
        pytest.param(b"[]", {}, errors.BadRequest, "json parse error", id="a-list"),
        pytest.param(
            {"apiVersion": "v2", "kind": "ConfigMap"},
            {},
            errors.BadRequest,
            'no kind "ConfigMap" is registered for version "v2" in scheme "pkg/api/legacyscheme/scheme.go:30"',
            id="version",
        ),
        pytest.param(
            {"apiVersion": "v1", "kind": "Secret"},
            {},
            errors.BadRequest,
            'Secret in version "v1" cannot be handled as a ConfigMap',
            id="kind",
        ),
        pytest.param(
            _map("x"),
            {"content-type": "application/cbor"},
            errors.UnsupportedMediaType,
            "the body of the request was in an unknown format - accepted media types include: application/json",
            id="cbor",
        ),
        pytest.param(_map("X"), {}, errors.Invalid, 'ConfigMap "X" is invalid: metadata.name: Invalid', id="name"),
        pytest.param(_map(""), {}, errors.Invalid, "name or generateName is required", id="no-name"),
        pytest.param({"data": 1}, {}, errors.BadRequest, "cannot unmarshal number", id="type"),
    ],
)
async def test_a_body_that_cannot_be_created_is_refused(
    api: Caller, body: object, headers: Mapping[str, str], expected: type[errors.StatusError], text: str
) -> None:
    with pytest.raises(expected) as refusal:
        await api("POST", MAPS, body, headers)
    assert text in refusal.value.message


async def test_unknown_fields_are_dropped_with_a_warning_or_refused(api: Caller, storage: MemoryStorage) -> None:
    body = _map("x") | {"spec": {}}
    with pytest.raises(errors.BadRequest, match='strict decoding error: unknown field "spec"'):
        await api("POST", f"{MAPS}?fieldValidation=Strict", body)
    made = await api("POST", MAPS, body)
    assert (made.warnings, "spec" in made.json) == (['unknown field "spec"'], False)
    quiet = await api("POST", f"{MAPS}?fieldValidation=Ignore", body | {"metadata": {"name": "y"}})
    assert (quiet.warnings, "spec" in quiet.json) == ([], False)


async def test_pages_are_one_list_whatever_happens_between_them(api: Caller) -> None:
    for name in "abcde":
        await api("POST", MAPS, _map(name))
    first = (await api("GET", f"{MAPS}?limit=2")).json
    assert (first["metadata"]["remainingItemCount"], first["kind"]) == (3, "ConfigMapList")
    await api("DELETE", f"{MAPS}/d")
    await api("POST", MAPS, _map("bb"))
    token = first["metadata"]["continue"]
    second = (await api("GET", f"{MAPS}?limit=2&continue={token}")).json
    third = (await api("GET", f"{MAPS}?limit=2&continue={second['metadata']['continue']}")).json
    names = [item["metadata"]["name"] for page in (first, second, third) for item in page["items"]]
    assert names == list("abcde")
    assert "continue" not in third["metadata"]
    assert {page["metadata"]["resourceVersion"] for page in (first, second, third)} == {
        first["metadata"]["resourceVersion"]
    }


async def test_a_token_that_is_too_old_brings_one_that_goes_on_inconsistently(
    api: Caller, storage: MemoryStorage
) -> None:
    for name in "abc":
        await api("POST", MAPS, _map(name))
    token = (await api("GET", "/api/v1/configmaps?limit=1")).json["metadata"]["continue"]
    await api("POST", MAPS, _map("bb"))
    await api("GET", MAPS)  # the cache has moved on as well
    storage.compact(storage.revision)
    with pytest.raises(errors.Expired) as expired:
        await api("GET", f"/api/v1/configmaps?limit=2&continue={token}")
    status = expired.value.status()
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert status["message"].startswith("The provided continue parameter is too old to display a consistent list")
    rest = (await api("GET", f"/api/v1/configmaps?continue={status['metadata']['continue']}")).json
    assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "bb", "c"]


async def test_a_list_of_the_past_is_read_from_storage(api: Caller) -> None:
    await api("POST", MAPS, _map("x", v="1"))
    version = (await api("GET", MAPS)).json["metadata"]["resourceVersion"]
    await api("PATCH", f"{MAPS}/x", {"data": {"v": "2"}}, MERGE)
    past = await api("GET", f"{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact")
    assert [item["data"] for item in past.json["items"]] == [{"v": "1"}]


async def test_a_long_list_comes_in_chunks_and_is_whole(api: Caller) -> None:
    for number in range(2 * rendering.CHUNK + 1):
        await api("POST", MAPS, _map(f"m-{number:03}"))
    answer = await api("GET", MAPS)
    assert answer.chunks > 2
    assert len(answer.json["items"]) == 2 * rendering.CHUNK + 1
    table = await api("GET", MAPS, None, TABLE)
    assert len(table.json["rows"]) == 2 * rendering.CHUNK + 1


async def test_selectors_select(api: Caller) -> None:
    await api("POST", PODS, _pod("one", nodeName="n1"))
    await api("POST", PODS, {**_pod("two"), "metadata": {"name": "two", "labels": {"app": "x"}}})
    for query, expected in (
        ("fieldSelector=spec.nodeName%3Dn1", ["one"]),
        ("labelSelector=app%3Dx", ["two"]),
        ("fieldSelector=metadata.name%3Dtwo", ["two"]),
        ("fieldSelector=spec.nodeName!%3Dn1,metadata.namespace%3Da", ["two"]),
    ):
        items = (await api("GET", f"{PODS}?{query}")).json["items"]
        assert [item["metadata"]["name"] for item in items] == expected


async def test_a_table_has_the_kinds_columns_and_what_of_the_object_was_asked_for(api: Caller) -> None:
    await api("POST", MAPS, _map("x", k="v"))
    table = (await api("GET", MAPS, None, TABLE)).json
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    [row] = table["rows"]
    assert row["cells"][:2] == ["x", 1]
    assert (row["object"]["kind"], set(row["object"])) == ("PartialObjectMetadata", {"kind", "apiVersion", "metadata"})
    whole = (await api("GET", f"{MAPS}/x?includeObject=Object", None, TABLE)).json
    assert whole["rows"][0]["object"]["data"] == {"k": "v"}
    none = (await api("GET", f"{MAPS}?includeObject=None", None, TABLE)).json
    assert none["rows"][0]["object"] is None
    with pytest.raises(errors.BadRequest, match="Unable to convert to Table as requested: includeObject"):
        await api("GET", f"{MAPS}?includeObject=Some", None, TABLE)


async def test_metadata_alone_is_served(api: Caller) -> None:
    await api("POST", MAPS, _map("x", k="v"))
    headers = {"accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
    listed = (await api("GET", MAPS, None, headers)).json
    assert (listed["kind"], listed["items"][0]["kind"]) == ("PartialObjectMetadataList", "PartialObjectMetadata")
    assert "data" not in listed["items"][0]


async def test_a_put_must_name_what_the_url_names(api: Caller) -> None:
    await api("POST", MAPS, _map("x"))
    with pytest.raises(errors.BadRequest) as refusal:
        await api("PUT", f"{MAPS}/x", _map("y"))
    assert refusal.value.message == "the name of the object (y) does not match the name on the URL (x)"
    assert (await api("PUT", f"{MAPS}/x", _map("", k="v"))).json["data"] == {"k": "v"}


@pytest.mark.parametrize(
    ("media_type", "patch", "expected"),
    [
        pytest.param("application/merge-patch+json", {"data": {"k": None, "n": "1"}}, {"n": "1"}, id="merge"),
        pytest.param("application/strategic-merge-patch+json", {"data": {"n": "1"}}, {"k": "v", "n": "1"}, id="smp"),
        pytest.param(
            "application/json-patch+json; charset=utf-8",
            [{"op": "test", "path": "/data/k", "value": "v"}, {"op": "replace", "path": "/data/k", "value": "w"}],
            {"k": "w"},
            id="json",
        ),
    ],
)
async def test_each_kind_of_patch_patches(api: Caller, media_type: str, patch: object, expected: Json) -> None:
    await api("POST", MAPS, _map("x", k="v"))
    patched = await api("PATCH", f"{MAPS}/x", patch, {"content-type": media_type})
    assert (patched.status, patched.json["data"]) == (200, expected)


@pytest.mark.parametrize(
    ("media_type", "patch", "expected", "text"),
    [
        pytest.param("application/json", {}, errors.UnsupportedMediaType, "application/json-patch+json, ", id="json"),
        pytest.param("application/merge-patch+json", b"{", errors.BadRequest, "error decoding patch", id="no-json"),
        pytest.param("application/merge-patch+json", [], errors.BadRequest, "error decoding patch", id="no-map"),
        pytest.param(
            "application/json-patch+json",
            [{"op": "test", "path": "/data/k", "value": "w"}],
            errors.Invalid,
            "the server rejected our request due to an error in our request",
            id="test-fails",
        ),
        pytest.param(
            "application/merge-patch+json", {"data": {"k": 1}}, errors.Invalid, "patch: Invalid value:", id="bad-type"
        ),
        pytest.param(
            "application/strategic-merge-patch+json",
            {"data": {"k": 1, "a": None}},
            errors.Invalid,
            'patch: Invalid value: "map[data:map[a:<nil> k:1]]": unrecognized type: string',
            id="bad-type-in-a-strategic-one",
        ),
        pytest.param(
            "application/strategic-merge-patch+json",
            {"data": ["x"]},
            errors.Invalid,
            'patch: Invalid value: "map[data:[x]]": cannot restore map from slice',
            id="no-map-in-a-strategic-one",
        ),
        pytest.param(
            "application/merge-patch+json",
            {"metadata": {"resourceVersion": "1"}},
            errors.Conflict,
            "the object has been modified",
            id="old-version",
        ),
        pytest.param(
            "application/merge-patch+json",
            {"metadata": {"name": "y"}},
            errors.Invalid,
            "metadata.name: Invalid value",
            id="another-name",
        ),
        pytest.param("application/merge-patch+json", {"kind": "Secret"}, errors.BadRequest, "kind", id="another-kind"),
    ],
)
async def test_a_patch_that_does_not_fit_is_refused(
    api: Caller, media_type: str, patch: object, expected: type[errors.StatusError], text: str
) -> None:
    await api("POST", MAPS, _map("x", k="v"))
    with pytest.raises(expected) as refusal:
        await api("PATCH", f"{MAPS}/x", patch, {"content-type": media_type})
    assert text in refusal.value.message


async def test_a_delete_answers_a_status_or_the_object_as_the_kind_does(api: Caller) -> None:
    made = (await api("POST", MAPS, _map("x"))).json
    assert (await api("DELETE", f"{MAPS}/x")).json == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": "x", "kind": "configmaps", "uid": made["metadata"]["uid"]},
    }
    await api("POST", PODS, _pod("p"))
    gone = (await api("DELETE", f"{PODS}/p")).json
    assert (gone["kind"], gone["metadata"]["deletionGracePeriodSeconds"]) == ("Pod", 0)


@pytest.mark.parametrize(
    "body",
    [{"preconditions": "x"}, {"dryRun": "All"}, {"gracePeriodSeconds": "1"}, {"kind": "Pod", "apiVersion": "v1"}, b"{"],
)
async def test_delete_options_that_are_none_are_refused(api: Caller, body: object) -> None:
    await api("POST", MAPS, _map("x"))
    with pytest.raises(errors.BadRequest):
        await api("DELETE", f"{MAPS}/x", body)
    await api("DELETE", f"{MAPS}/x", {"gracePeriodSeconds": 2**60, "unknown": 1})


async def test_a_pod_on_a_node_ends_gracefully_and_then_for_good(api: Caller) -> None:
    await api("POST", PODS, _pod("p", nodeName="n1", terminationGracePeriodSeconds=7))
    ending = (await api("DELETE", f"{PODS}/p")).json
    assert ending["metadata"]["deletionGracePeriodSeconds"] == 7
    again = (await api("DELETE", f"{PODS}/p")).json
    assert again["metadata"]["resourceVersion"] == ending["metadata"]["resourceVersion"]
    options = {"gracePeriodSeconds": 0, "preconditions": {"uid": "other"}}
    with pytest.raises(errors.Conflict):
        await api("DELETE", f"{PODS}/p", options)
    options["preconditions"] = {"uid": ending["metadata"]["uid"]}
    await api("DELETE", f"{PODS}/p", options)
    with pytest.raises(errors.NotFound):
        await api("GET", f"{PODS}/p")


async def test_a_collection_is_deleted_by_selector(api: Caller) -> None:
    for name in "abc":
        await api("POST", MAPS, {**_map(name), "metadata": {"name": name, "labels": {"keep": str(name == "b")}}})
    answer = (await api("DELETE", f"{MAPS}?labelSelector=keep!%3DTrue")).json
    assert [item["metadata"]["name"] for item in answer["items"]] == ["a", "c"]
    assert [item["metadata"]["name"] for item in (await api("GET", MAPS)).json["items"]] == ["b"]


async def test_foreground_deletion_waits_for_the_garbage_collector(api: Caller) -> None:
    await api("POST", DEPLOYMENTS, _deployment("web"))
    answer = await api("DELETE", f"{DEPLOYMENTS}/web?propagationPolicy=Foreground")
    assert answer.json["metadata"]["finalizers"] == ["foregroundDeletion"]
    await api("PATCH", f"{DEPLOYMENTS}/web", {"metadata": {"finalizers": None}}, MERGE)
    with pytest.raises(errors.NotFound):
        await api("GET", f"{DEPLOYMENTS}/web")


async def test_a_scale_shows_and_changes_replicas_only(api: Caller) -> None:
    made = (await api("POST", DEPLOYMENTS, _deployment("web", 2))).json
    url = f"{DEPLOYMENTS}/web/scale"
    scale = (await api("GET", url)).json
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert (scale["spec"], scale["status"]) == ({"replicas": 2}, {"replicas": 0, "selector": "app=web"})
    scale["spec"]["replicas"] = 5
    assert (await api("PUT", url, scale)).json["spec"] == {"replicas": 5}
    with pytest.raises(errors.Conflict):
        await api("PUT", url, scale)
    assert (await api("PATCH", url, {"spec": {"replicas": 0}}, MERGE)).json["spec"] == {}
    now = (await api("GET", f"{DEPLOYMENTS}/web")).json
    assert now["spec"] == made["spec"] | {"replicas": 0}
    with pytest.raises(errors.Invalid, match=r"spec.replicas: Invalid value: -1: must be greater than or equal to 0"):
        await api("PATCH", url, {"spec": {"replicas": -1}}, MERGE)


@pytest.mark.parametrize("expression", [{"key": "a", "operator": "Is"}, {"operator": "In", "values": ["b"]}])
async def test_a_selector_that_makes_no_sense_is_invalid(api: Caller, expression: Json) -> None:
    deployment = _deployment("web")
    deployment["spec"]["selector"]["matchExpressions"] = [expression]
    with pytest.raises(errors.Invalid, match=r"spec.selector"):
        await api("POST", DEPLOYMENTS, deployment)


async def test_base64_that_is_not_even_ascii_is_a_bad_request(api: Caller) -> None:
    with pytest.raises(errors.BadRequest, match="illegal base64 data at input byte 0"):
        await api("POST", MAPS, {**_map("x"), "binaryData": {"c": "ä"}})


async def test_a_verb_that_is_not_served_is_said_so(api: Caller) -> None:
    with pytest.raises(errors.MethodNotSupported):
        await api("POST", f"{DEPLOYMENTS}/web/scale", {})


_TWICE = b"metadata:\n  name: x\n  name: x\ndata:\n  a: b\n  a: c\n"
_REPEATED = 'yaml: unmarshal errors:\n  line 3: key "name" already set in map\n  line 6: key "a" already set in map'


async def test_keys_that_yaml_has_twice_are_told(api: Caller) -> None:
    yaml = {"content-type": "application/yaml"}
    with pytest.raises(errors.BadRequest) as refusal:
        await api("POST", f"{MAPS}?fieldValidation=Strict", _TWICE, yaml)
    text = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: '
    assert refusal.value.message == text + _REPEATED
    assert (await api("POST", f"{MAPS}?fieldValidation=Ignore&dryRun=All", _TWICE, yaml)).warnings == []
    assert (await api("POST", MAPS, _TWICE, yaml)).warnings == [_REPEATED]


async def test_fields_that_a_patch_has_twice_are_told(api: Caller) -> None:
    await api("POST", MAPS, _map("x"))
    merge = {"content-type": "application/merge-patch+json"}
    patch = b'{"data":{"a":"b","a":"c"},"foo":1}'
    with pytest.raises(errors.Invalid, match='strict decoding error: duplicate field "data.a", unknown field "foo"'):
        await api("PATCH", f"{MAPS}/x?fieldValidation=Strict", patch, merge)
    found = await api("PATCH", f"{MAPS}/x", patch, merge)
    assert found.warnings == ['duplicate field "data.a"', 'unknown field "foo"']
    assert found.json["data"] == {"a": "c"}
