"""storage.objects: bytes in and out."""

import pytest

from apiserver.storage.interface import KeyValue
from apiserver.storage.objects import Entry, Selection, encode, entry_of_own
from machinery.api import codec
from machinery.api.codec import Json
from machinery.api.selectors import FieldSelector, LabelSelector
from tests.apiserver.storage.objects import NODES, PODS, pod


def _entry(raw: bytes, key: str = "/registry/pods/a/web", revision: int = 7) -> Entry:
    return PODS.entry(KeyValue(key, raw, revision, 3))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(encode(pod("web")), id="our-own"),
        pytest.param(
            b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"a"},"spec":{}}\n', id="upstream-s"
        ),
        pytest.param(
            b'{"spec":{},"metadata":{"namespace":"a","name":"web"},"apiVersion":"v1","kind":"Pod"}', id="any-order"
        ),
        pytest.param(
            b'{ "kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web", "namespace": "a"}, "spec": {}}',
            id="with-blanks",
        ),
        pytest.param(
            b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"1","name":"web","namespace":"a"},"spec":{}}',
            id="with-a-resource-version",
        ),
        pytest.param(
            b'{"spec":{"x":{"metadata":{}}},"metadata":{"namespace":"a","name":"web"},"apiVersion":"v1","kind":"Pod"}',
            id="metadata-inside-spec-first",
        ),
    ],
)
def test_the_revision_gets_into_any_json(raw: bytes) -> None:
    entry = _entry(raw)
    expected = {**codec.loads(raw), "metadata": {"name": "web", "namespace": "a", "resourceVersion": "7"}}
    assert codec.loads(entry.json()) == expected
    assert codec.loads(entry.json(9))["metadata"]["resourceVersion"] == "9"
    assert entry.decode() == expected


def test_what_a_server_of_upstream_wrote_as_protobuf_is_read() -> None:
    metadata = b"\x0a\x03web\x1a\x01a"  # name, namespace
    pod_message = b"\x0a" + bytes([len(metadata)]) + metadata
    type_meta = b"\x0a\x02v1\x12\x03Pod"
    unknown = b"\x0a" + bytes([len(type_meta)]) + type_meta + b"\x12" + bytes([len(pod_message)]) + pod_message
    entry = _entry(b"k8s\x00" + unknown)
    assert entry.decode()["metadata"] == {"name": "web", "namespace": "a", "resourceVersion": "7"}
    assert entry.stored.startswith(b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web"')


@pytest.mark.parametrize("raw", [b"k8s\x00\x01", b"{", b"[]", b"{}", b'{"metadata":1}'])
def test_what_is_not_an_object_in_json_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        _entry(raw)


def test_an_object_without_metadata_fields_keeps_valid_json() -> None:
    entry = entry_of_own("", "", encode({"kind": "Pod", "apiVersion": "v1", "metadata": {}}), 4)
    assert codec.loads(entry.json())["metadata"] == {"resourceVersion": "4"}


def test_what_a_dry_run_made_has_no_revision() -> None:
    entry = entry_of_own("a", "web", encode(pod("web")), 0)
    assert "resourceVersion" not in entry.decode()["metadata"]


def test_the_stored_form_has_no_revision_and_begins_as_upstreams() -> None:
    obj = pod("web")
    obj["metadata"]["resourceVersion"] = "12"
    assert encode(obj).startswith(b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"a"}')
    assert obj["metadata"]["resourceVersion"] == "12"


def test_name_and_namespace_come_from_the_key() -> None:
    entry = _entry(encode(pod("web")), "/registry/pods/b/other")
    assert (entry.namespace, entry.name, entry.fields["metadata.namespace"]) == ("b", "other", "b")
    node = NODES.entry(KeyValue("/registry/minions/n1", encode(pod("n1")), 1))
    assert (node.namespace, node.name) == ("", "n1")


@pytest.mark.parametrize(
    ("selection", "matches"),
    [
        pytest.param(Selection(), True, id="everything"),
        pytest.param(Selection(namespace="b"), False, id="other-namespace"),
        pytest.param(Selection(name="web"), True, id="name"),
        pytest.param(Selection(labels=LabelSelector.parse("app in (x,y)")), True, id="label"),
        pytest.param(Selection(labels=LabelSelector.parse("!app")), False, id="no-label"),
        pytest.param(Selection(fields=FieldSelector.parse("spec.nodeName=n1")), True, id="field"),
        pytest.param(Selection(fields=FieldSelector.parse("metadata.namespace!=a")), False, id="not-field"),
    ],
)
def test_a_selection_looks_at_keys_labels_and_fields(selection: Selection, matches: bool) -> None:
    assert selection.matches(_entry(encode(pod("web", node="n1", labels={"app": "x"})))) is matches


MANAGERS = [{"manager": "m", "fieldsV1": {"f:spec": {"f:x": {}}}}]


@pytest.mark.parametrize(
    "metadata",
    [
        {"name": "web", "managedFields": MANAGERS},
        {"managedFields": MANAGERS, "name": "web", "deletionTimestamp": "t"},
        {"name": "web"},
        {"name": "web", "ownerReferences": [{"uid": "u"}]},
        {"name": "web", "managedFields": [{"fieldsV1": {"f:x": {'k:{"n":"]},"}': {}}}}]},
        {"name": "web", "managedFields": [{"fieldsV1": {"f:x": {"v:]": {}}}}, {"a": "}]}"}]},
        {"name": "web", "annotations": {"a": '},"spec":{ ,"managedFields":['}, "managedFields": MANAGERS},
    ],
)
@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"data": {"a": "b"}},
        {"spec": {"template": {"metadata": {"x": [1]}, "spec": {"a": 1}}}},
        {"status": {"conditions": [{"type": "Ready"}]}, "spec": {"a": [1]}},
    ],
)
def test_managed_fields_are_left_out_without_being_decoded(metadata: Json, spec: Json) -> None:
    entry = entry_of_own("a", "web", encode({"kind": "Pod", "apiVersion": "v1", "metadata": metadata, **spec}), 7)
    obj, shown = entry.without_managers()
    whole = entry.decode()
    assert codec.loads(shown) == whole["metadata"]
    obj["metadata"].pop("managedFields", None)
    whole["metadata"].pop("managedFields", None)
    assert obj == whole


@pytest.mark.parametrize(
    "raw", [b'"managedFields":[{"a":1}],"name":"web"', b'"name":"web","managedFields":[1],"x":[2]']
)
def test_what_others_wrote_in_another_order_is_decoded_whole(raw: bytes) -> None:
    entry = entry_of_own("a", "web", b'{"kind":"Pod","apiVersion":"v1","metadata":{' + raw + b'},"spec":{"a":1}}', 7)
    obj, shown = entry.without_managers()
    assert (obj["metadata"]["name"], obj["spec"]) == ("web", {"a": 1})
    assert codec.loads(shown)["name"] == "web"
